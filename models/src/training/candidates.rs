//! The inputs that an attack found, from one program to the other: a safetensors file that the reader does not trust.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use safetensors::tensor::{SafeTensors, TensorView, serialize};
use safetensors::{Dtype, SafeTensorError};
use thiserror::Error;

use super::job::{ATTACK_EPSILON, ATTACK_INPUT, ATTACK_SAMPLE};

/// The most bytes that a file may hold beside its inputs.
const HEADER: u64 = 1 << 16;

/// Inputs that may be classified otherwise than the sample that each belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidates {
    /// Entries of one input.
    pub length: usize,
    /// `(M, length)`, row-major.
    pub inputs: Vec<f64>,
    /// `(M,)`: place of the sample among those that were attacked.
    pub samples: Vec<usize>,
    /// `(M,)`: place of the size among those that were asked for; nothing for the attack that has none.
    pub epsilons: Vec<Option<usize>>,
}

/// Why a file holds no such inputs.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CandidatesError {
    /// It cannot be read.
    #[error("`{}`: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// It is a folder, a link, or nothing that ends.
    #[error("`{}` is not a regular file", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// It is larger than the inputs that were asked for.
    #[error("`{}` holds more than the {most} bytes of one input for each sample and size", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes.
        most: u64,
    },
    /// It is no safetensors file, or a tensor is missing.
    #[error("`{}`: {cause}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: SafeTensorError,
    },
    /// A tensor of another type or shape.
    #[error("`{}`: tensor `{tensor}` is {found}, expected {expected}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Its name.
        tensor: &'static str,
        /// Type and shape.
        found: String,
        /// Type and shape.
        expected: String,
    },
    /// A place that does not exist.
    #[error("`{}`: tensor `{tensor}` is {found} at {row}, there are {count}", path.display())]
    Place {
        /// The file.
        path: PathBuf,
        /// Its name.
        tensor: &'static str,
        /// Which input.
        row: usize,
        /// What stands there.
        found: i64,
        /// How many places there are.
        count: usize,
    },
    /// NaN or an infinity.
    #[error("`{}`: tensor `{ATTACK_INPUT}` is {value} at ({row}, {column})", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Which input.
        row: usize,
        /// Which entry.
        column: usize,
        /// What stands there.
        value: f64,
    },
}

impl Candidates {
    /// Number of inputs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The inputs, each with the sample that it belongs to.
    pub fn rows(&self) -> impl Iterator<Item = (usize, &[f64])> {
        self.samples.iter().copied().zip(self.inputs.chunks_exact(self.length.max(1)))
    }

    /// Reads a file about inputs of `length` entries for `samples` samples and `epsilons` sizes: at most one for each of both, and one for each sample
    /// without a size.
    ///
    /// # Errors
    ///
    /// [`CandidatesError`] for the first thing that is not as [`super::job`] says.
    pub fn read(path: &Path, length: usize, samples: usize, epsilons: usize) -> Result<Self, CandidatesError> {
        let bytes = bytes_of(path, most_bytes(length, samples, epsilons))?;
        let format = |cause| CandidatesError::Format {
            path: path.to_owned(),
            cause,
        };
        let file = SafeTensors::deserialize(&bytes).map_err(format)?;
        let tensor = |name: &'static str| file.tensor(name).map_err(format).map(|view| Stored { path, name, view });
        let (input, sample, epsilon) = (tensor(ATTACK_INPUT)?, tensor(ATTACK_SAMPLE)?, tensor(ATTACK_EPSILON)?);
        let count = sample.view.shape().first().copied().unwrap_or(0);
        let inputs: Vec<f64> = input.words(Dtype::F64, &[count, length])?.map(f64::from_le_bytes).collect();
        if let Some(place) = inputs.iter().position(|value| !value.is_finite()) {
            return Err(CandidatesError::NotFinite {
                path: path.to_owned(),
                row: place / length,
                column: place % length,
                value: inputs[place],
            });
        }
        let places = |stored: Stored<'_>, least: i64, most: usize| -> Result<Vec<Option<usize>>, CandidatesError> {
            let integers = stored.words(Dtype::I64, &[count])?.map(i64::from_le_bytes).enumerate();
            integers
                .map(|(row, found)| match usize::try_from(found) {
                    Ok(place) if place < most => Ok(Some(place)),
                    Err(_) if found >= least => Ok(None),
                    _ => Err(CandidatesError::Place {
                        path: path.to_owned(),
                        tensor: stored.name,
                        row,
                        found,
                        count: most,
                    }),
                })
                .collect()
        };
        Ok(Self {
            length,
            inputs,
            samples: places(sample, 0, samples)?.into_iter().flatten().collect(),
            epsilons: places(epsilon, -1, epsilons)?,
        })
    }

    /// The bytes of a file that [`Candidates::read`] reads.
    ///
    /// # Panics
    ///
    /// If the vectors do not have the lengths that their descriptions ask for.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = self.len();
        let integer = |place: usize| i64::try_from(place).expect("a place among samples");
        let words = |values: &mut dyn Iterator<Item = [u8; 8]>| values.flatten().collect::<Vec<u8>>();
        let inputs = words(&mut self.inputs.iter().map(|value| value.to_le_bytes()));
        let samples = words(&mut self.samples.iter().map(|place| integer(*place).to_le_bytes()));
        let epsilons = words(&mut self.epsilons.iter().map(|place| place.map_or(-1, integer).to_le_bytes()));
        let tensors = [
            (ATTACK_INPUT, Dtype::F64, vec![count, self.length], &inputs),
            (ATTACK_SAMPLE, Dtype::I64, vec![count], &samples),
            (ATTACK_EPSILON, Dtype::I64, vec![count], &epsilons),
        ];
        let views = tensors.map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(dtype, shape, bytes).expect("as many bytes as the shape asks for");
            (name, view)
        });
        serialize(views, None).expect("names are different")
    }
}

/// The most bytes that [`Candidates::read`] reads: every input comes with two integers.
fn most_bytes(length: usize, samples: usize, epsilons: usize) -> u64 {
    let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let row = wide(length).saturating_add(2).saturating_mul(8);
    let rows = wide(samples).saturating_mul(wide(epsilons).saturating_add(1));
    rows.saturating_mul(row).saturating_add(HEADER)
}

/// The bytes of a regular file of at most so many; nothing else is opened, since reading it may never end.
fn bytes_of(path: &Path, most: u64) -> Result<Vec<u8>, CandidatesError> {
    let failed = |cause| CandidatesError::File {
        path: path.to_owned(),
        cause,
    };
    if !path.symlink_metadata().map_err(failed)?.is_file() {
        return Err(CandidatesError::NotRegular { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > most) {
        return Err(CandidatesError::TooLarge {
            path: path.to_owned(),
            most,
        });
    }
    Ok(bytes)
}

/// A tensor of the file.
struct Stored<'a> {
    path: &'a Path,
    name: &'static str,
    view: TensorView<'a>,
}

impl<'a> Stored<'a> {
    /// The elements, if type and shape are as expected; all types that are read take eight bytes.
    fn words(&self, dtype: Dtype, shape: &[usize]) -> Result<impl Iterator<Item = [u8; 8]> + use<'a>, CandidatesError> {
        if self.view.dtype() != dtype || self.view.shape() != shape {
            return Err(CandidatesError::Tensor {
                path: self.path.to_owned(),
                tensor: self.name,
                found: format!("{} {:?}", self.view.dtype(), self.view.shape()),
                expected: format!("{dtype} {shape:?}"),
            });
        }
        let bytes: &'a [u8] = self.view.data();
        Ok(bytes.as_chunks().0.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates() -> Candidates {
        Candidates {
            length: 2,
            inputs: vec![0.1, -0.2, f64::MIN_POSITIVE, 1e300],
            samples: vec![0, 3],
            epsilons: vec![Some(1), None],
        }
    }

    /// What reading says of bytes.
    fn read(bytes: &[u8], length: usize, samples: usize, epsilons: usize) -> Result<Candidates, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Candidates::read(file.path(), length, samples, epsilons).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = candidates().to_bytes();
        assert_eq!(read(&bytes, 2, 4, 2), Ok(candidates()));
        let none = Candidates {
            inputs: Vec::new(),
            samples: Vec::new(),
            epsilons: Vec::new(),
            ..candidates()
        };
        assert_eq!(read(&none.to_bytes(), 2, 4, 2), Ok(none));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let bytes = candidates().to_bytes();
        let with = |change: &dyn Fn(&mut Candidates)| {
            let mut changed = candidates();
            change(&mut changed);
            read(&changed.to_bytes(), 2, 4, 2)
        };
        for (found, cause) in [
            (read(&bytes, 3, 4, 2), "`input` is F64 [2, 2], expected F64 [2, 3]"),
            (read(&bytes, 2, 3, 2), "`sample` is 3 at 1, there are 3"),
            (read(&bytes, 2, 4, 1), "`epsilon` is 1 at 0, there are 1"),
            (with(&|all| all.inputs[3] = f64::NAN), "`input` is NaN at (1, 1)"),
            (with(&|all| all.inputs[0] = f64::INFINITY), "`input` is inf at (0, 0)"),
            (read(&bytes[..bytes.len() - 1], 2, 4, 2), "incomplete"),
            (read(b"", 2, 4, 2), "header"),
        ] {
            let error = found.unwrap_err();
            assert!(error.contains(cause), "{error}");
        }
    }

    /// Whatever is said of them, no more is read than all that may have been found.
    #[test]
    fn what_is_larger_than_was_asked_for_is_refused() {
        let rows = |count: usize| Candidates {
            length: 1000,
            inputs: vec![0.5; count * 1000],
            samples: vec![0; count],
            epsilons: vec![None; count],
        };
        assert_eq!(read(&rows(4).to_bytes(), 1000, 2, 1), Ok(rows(4)));
        let error = read(&rows(20).to_bytes(), 1000, 2, 1).unwrap_err();
        assert!(error.contains("holds more than the 97600 bytes"), "{error}");
        assert_eq!(most_bytes(usize::MAX, usize::MAX, usize::MAX), u64::MAX);
    }

    #[cfg(unix)]
    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for path in [folder.path(), &link, Path::new("/dev/zero")] {
            let error = Candidates::read(path, 2, 4, 2).unwrap_err();
            assert!(matches!(error, CandidatesError::NotRegular { .. }), "{error}");
        }
    }

    /// A place below zero means something for a size and nothing for a sample.
    #[test]
    fn only_a_size_may_be_missing() {
        let mut bytes = candidates().to_bytes();
        let place = bytes.windows(8).rposition(|word| word == 3i64.to_le_bytes()).unwrap();
        bytes[place..place + 8].copy_from_slice(&(-1i64).to_le_bytes());
        let error = read(&bytes, 2, 4, 2).unwrap_err();
        assert!(error.contains("`sample` is -1 at 1, there are 4"), "{error}");
    }

    #[test]
    fn other_types_and_missing_tensors_are_refused() {
        let bytes = [0u8; 16];
        let view = |dtype, shape: &[usize], length: usize| TensorView::new(dtype, shape.to_vec(), &bytes[..length]).unwrap();
        let input = (ATTACK_INPUT, view(Dtype::F64, &[1, 2], 16));
        let epsilon = (ATTACK_EPSILON, view(Dtype::I64, &[1], 8));
        for (sample, cause) in [
            (Some(view(Dtype::F64, &[1], 8)), "`sample` is F64 [1], expected I64 [1]"),
            (Some(view(Dtype::I32, &[1], 4)), "`sample` is I32 [1], expected I64 [1]"),
            (Some(view(Dtype::I64, &[1, 1], 8)), "`sample` is I64 [1, 1], expected I64 [1]"),
            (None, "sample"),
        ] {
            let sample = sample.map(|view| (ATTACK_SAMPLE, view));
            let tensors: Vec<_> = [Some(input.clone()), sample, Some(epsilon.clone())]
                .into_iter()
                .flatten()
                .collect();
            let error = read(&serialize(tensors, None).unwrap(), 2, 4, 2).unwrap_err();
            assert!(error.contains(cause), "{error}");
        }
    }
}
