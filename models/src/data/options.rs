//! What the command line says about data: which set, which part.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::DataError;

/// Which part of a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// The samples that a network is trained on.
    Train,
    /// The samples that were held back.
    #[default]
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Train => "train",
            Self::Test => "test",
        })
    }
}

impl FromStr for Split {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        match text {
            "train" => Ok(Self::Train),
            "test" => Ok(Self::Test),
            _ => Err(DataError::UnknownSplit { text: text.into() }),
        }
    }
}

/// One of `count` consecutive parts of a set, counted from 0: `0/4` to `3/4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Names part `index` of `count`.
    ///
    /// # Errors
    ///
    /// [`DataError::Shard`] unless `index < count`.
    pub const fn new(index: usize, count: usize) -> Result<Self, DataError> {
        if index < count {
            Ok(Self { index, count })
        } else {
            Err(DataError::Shard { index, count })
        }
    }

    /// Which part, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index
    }

    /// Number of parts.
    #[must_use]
    pub const fn count(self) -> usize {
        self.count
    }

    /// The part of `total` samples. All parts together are `0..total`, and their sizes differ by at most one.
    fn range(self, total: usize) -> Range<usize> {
        let cut = |part: usize| {
            let position = part as u128 * total as u128 / self.count as u128;
            usize::try_from(position).expect("a part is not larger than the whole")
        };
        cut(self.index)..cut(self.index + 1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let parsed = text.split_once('/').and_then(|(index, count)| {
            let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
            (digits(index) && digits(count)).then_some((index.parse().ok()?, count.parse().ok()?))
        });
        match parsed {
            Some((index, count)) => Self::new(index, count),
            None => Err(DataError::NotAShard { text: text.into() }),
        }
    }
}

/// Which samples of a set are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataOptions {
    /// Training or test part; the test part by default.
    pub split: Split,
    /// At most so many samples, the first ones.
    pub limit: Option<usize>,
    /// A part of the samples that `limit` leaves.
    pub shard: Option<Shard>,
}

impl DataOptions {
    /// The positions that are taken out of `total`.
    pub(super) fn range(&self, total: usize) -> Range<usize> {
        let limited = self.limit.map_or(total, |limit| limit.min(total));
        self.shard.map_or(0..limited, |shard| shard.range(limited))
    }
}

/// A data set as it is named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataSpec {
    /// `digits`
    Digits,
    /// `mnist:DIR`
    Mnist(PathBuf),
    /// `fashion-mnist:DIR`
    FashionMnist(PathBuf),
    /// `cifar10:DIR`
    Cifar10(PathBuf),
    /// `cifar100:DIR`
    Cifar100(PathBuf),
    /// `npz:FILE`
    Npz(PathBuf),
}

impl DataSpec {
    /// Name in reports, without a directory.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Digits => "digits".into(),
            Self::Mnist(_) => "mnist".into(),
            Self::FashionMnist(_) => "fashion-mnist".into(),
            Self::Cifar10(_) => "cifar10".into(),
            Self::Cifar100(_) => "cifar100".into(),
            Self::Npz(file) => format!("npz:{}", file.file_name().unwrap_or_default().display()),
        }
    }
}

impl FromStr for DataSpec {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let unknown = || DataError::UnknownSet { spec: text.into() };
        let Some((kind, path)) = text.split_once(':') else {
            return if text == "digits" { Ok(Self::Digits) } else { Err(unknown()) };
        };
        let make = match kind {
            "mnist" => Self::Mnist,
            "fashion-mnist" => Self::FashionMnist,
            "cifar10" => Self::Cifar10,
            "cifar100" => Self::Cifar100,
            "npz" => Self::Npz,
            _ => return Err(unknown()),
        };
        if path.is_empty() {
            return Err(unknown());
        }
        Ok(make(PathBuf::from(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_the_samples_once() {
        for (total, count) in [(10, 3), (3, 5), (0, 2), (360, 7), (usize::MAX, 2)] {
            let mut end = 0;
            for index in 0..count {
                let range = Shard::new(index, count).expect("index < count").range(total);
                assert_eq!(range.start, end);
                end = range.end;
            }
            assert_eq!(end, total);
        }
    }

    #[test]
    fn limit_comes_before_shard() {
        let options = DataOptions {
            limit: Some(4),
            shard: Some(Shard::new(1, 2).expect("1 < 2")),
            ..DataOptions::default()
        };
        assert_eq!(options.range(100), 2..4);
    }
}
