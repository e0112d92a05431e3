//! What happens to an image before the first layer.
//!
//! It is part of the function that is certified: a standard deviation below 1 multiplies the Lipschitz bound by its inverse.

use std::fmt;
use std::str::FromStr;

use lipcert_proofs::CheckError;
use lipcert_proofs::statement::Decimal;

use crate::checkpoint::shown;
use crate::error::ModelError;

/// The preprocessing of a network: `x ↦ (x − mean) / std`, a channel at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Preprocess {
    /// What the file's metadata says; nothing, where it is silent.
    #[default]
    File,
    /// Nothing, whatever the file says.
    None,
    /// Mean `0.4913, 0.4821, 0.4465`, std 1: the numbers of the authors' SLL code.
    Cifar10,
    /// Mean `0.5071, 0.4865, 0.4409`, std 1: the numbers of the authors' SLL code.
    Cifar100,
    /// Mean `0.1307`, std `0.3081`: the numbers that most MNIST code uses.
    Mnist,
    /// Numbers as they were typed.
    Explicit {
        /// One a channel.
        mean: Vec<Decimal>,
        /// One positive number a channel.
        std: Vec<Decimal>,
    },
}

/// Why a text is no preprocessing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PreprocessError {
    /// Neither a name nor a list.
    #[error("expected `cifar10`, `cifar100`, `mnist`, `none` or `mean=…;std=…`")]
    Unknown,
    /// A list that stands twice.
    #[error("`{list}` stands twice")]
    Twice {
        /// `mean` or `std`.
        list: &'static str,
    },
    /// Lists of different lengths.
    #[error("{mean} means and {std} standard deviations")]
    Lengths {
        /// Number of means.
        mean: usize,
        /// Number of standard deviations.
        std: usize,
    },
    /// A standard deviation that is zero or negative.
    #[error("std {index} is not positive: {value}")]
    NotPositive {
        /// Zero-based channel.
        index: usize,
        /// The number.
        value: Decimal,
    },
    /// Lists for images with another number of channels.
    #[error("{found} means and standard deviations, the images have {channels} channels")]
    Channels {
        /// Length of the lists.
        found: usize,
        /// Channels of the images.
        channels: usize,
    },
    /// Not a decimal number.
    #[error(transparent)]
    Decimal(#[from] CheckError),
}

impl Preprocess {
    /// Mean and standard deviation, one a channel; nothing for [`Preprocess::None`] and [`Preprocess::File`].
    ///
    /// # Panics
    ///
    /// Never: the named constants are decimals.
    #[must_use]
    pub fn normalization(&self) -> Option<(Vec<Decimal>, Vec<Decimal>)> {
        let (mean, std): (&[&str], &[&str]) = match self {
            Self::File | Self::None => return None,
            Self::Explicit { mean, std } => return Some((mean.clone(), std.clone())),
            Self::Cifar10 => (&["0.4913", "0.4821", "0.4465"], &["1", "1", "1"]),
            Self::Cifar100 => (&["0.5071", "0.4865", "0.4409"], &["1", "1", "1"]),
            Self::Mnist => (&["0.1307"], &["0.3081"]),
        };
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a decimal")).collect();
        Some((parse(mean), parse(std)))
    }

    /// Number of channels that the preprocessing is meant for.
    #[must_use]
    pub fn channels(&self) -> Option<usize> {
        self.normalization().map(|(mean, _)| mean.len())
    }

    /// Explicit numbers, checked.
    ///
    /// # Errors
    ///
    /// [`PreprocessError::Lengths`], [`PreprocessError::NotPositive`].
    pub fn explicit(mean: Vec<Decimal>, std: Vec<Decimal>) -> Result<Self, PreprocessError> {
        if mean.len() != std.len() || mean.is_empty() {
            return Err(PreprocessError::Lengths {
                mean: mean.len(),
                std: std.len(),
            });
        }
        match std.iter().position(|value| !value.is_positive()) {
            Some(index) => Err(PreprocessError::NotPositive {
                index,
                value: std[index],
            }),
            None => Ok(Self::Explicit { mean, std }),
        }
    }
}

impl FromStr for Preprocess {
    type Err = ModelError;

    /// Reads `cifar10`, `cifar100`, `mnist`, `none` or `mean=0.4914,0.4822,0.4465;std=1,1,1`; a missing list of means is all 0, a
    /// missing list of standard deviations all 1.
    fn from_str(text: &str) -> Result<Self, ModelError> {
        parse(text).map_err(|cause| ModelError::Preprocess {
            text: shown(text.as_bytes()),
            cause,
        })
    }
}

fn parse(text: &str) -> Result<Preprocess, PreprocessError> {
    match text {
        "none" => return Ok(Preprocess::None),
        "cifar10" => return Ok(Preprocess::Cifar10),
        "cifar100" => return Ok(Preprocess::Cifar100),
        "mnist" => return Ok(Preprocess::Mnist),
        _ => {}
    }
    let (mut mean, mut std) = (None, None);
    for part in text.split(';') {
        let (list, name, numbers) = match part.split_once('=') {
            Some(("mean", numbers)) => (&mut mean, "mean", numbers),
            Some(("std", numbers)) => (&mut std, "std", numbers),
            _ => return Err(PreprocessError::Unknown),
        };
        let numbers = numbers.split(',').map(str::parse).collect::<Result<Vec<Decimal>, _>>()?;
        if list.replace(numbers).is_some() {
            return Err(PreprocessError::Twice { list: name });
        }
    }
    let length = mean.as_ref().or(std.as_ref()).map_or(0, Vec::len);
    Preprocess::explicit(
        mean.unwrap_or_else(|| vec![Decimal::ZERO; length]),
        std.unwrap_or_else(|| vec![Decimal::ONE; length]),
    )
}

impl fmt::Display for Preprocess {
    /// Writes what [`Preprocess::from_str`] reads; `file` for [`Preprocess::File`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |list: &[Decimal]| list.iter().map(Decimal::to_string).collect::<Vec<_>>().join(",");
        match self {
            Self::File => f.write_str("file"),
            Self::None => f.write_str("none"),
            Self::Cifar10 => f.write_str("cifar10"),
            Self::Cifar100 => f.write_str("cifar100"),
            Self::Mnist => f.write_str("mnist"),
            Self::Explicit { mean, std } => write!(f, "mean={};std={}", join(mean), join(std)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["none", "cifar10", "cifar100", "mnist", "mean=0.4914,0.4822,0.4465;std=1,1,1"] {
            let value: Preprocess = text.parse().expect(text);
            assert_eq!(value.to_string(), text);
        }
        let short: Preprocess = "std=0.5,0.25".parse().expect("std alone");
        assert_eq!(short.to_string(), "mean=0,0;std=0.5,0.25");
    }

    #[test]
    fn refuses_everything_else() {
        for (text, reason) in [
            ("imagenet", "expected `cifar10`"),
            ("", "expected `cifar10`"),
            ("mean=1;mean=1", "`mean` stands twice"),
            ("mean=1,2;std=1", "2 means and 1 standard deviations"),
            ("mean=1;std=0", "std 0 is not positive: 0"),
            ("mean=0.5;std=-1", "std 0 is not positive: -1"),
            ("mean=1e-3", "`1e-3` is not a decimal number"),
        ] {
            let error = text.parse::<Preprocess>().expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
