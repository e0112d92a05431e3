//! Labelled samples: the sets that are embedded, the official files of the public ones, and `.npz` files.
//!
//! A reader takes what the files say and nothing else: no download, no shuffling, no augmentation. Every sample keeps its place in
//! the source, so that a part of a set can be reported and joined again. Whether two runs used the same data is decided by
//! [`Dataset::sha256`].

mod cifar;
mod digits;
mod error;
mod idx;
mod npy;
mod npz;
mod options;
mod source;

use std::ops::Range;

pub use error::{DataError, NpyFault};
pub use options::{DataOptions, DataSpec, Shard, Split};

/// The values of samples as the source stores them, sample by sample in the order `(C, H, W)`.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// The input is the rational number `value / divisor`.
    Bytes {
        /// One byte a value.
        values: Vec<u8>,
        /// 255 for images, 16 for the digits.
        divisor: u32,
    },
    /// The input is the float64 itself; float32 is widened, which is exact.
    Floats(Vec<f64>),
}

impl Pixels {
    /// Number of values of all samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes { values, .. } => values.len(),
            Self::Floats(values) => values.len(),
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values of a range.
    fn slice(&self, range: Range<usize>) -> PixelSlice<'_> {
        match self {
            Self::Bytes { values, divisor } => PixelSlice::Bytes {
                values: &values[range],
                divisor: *divisor,
            },
            Self::Floats(values) => PixelSlice::Floats(&values[range]),
        }
    }

    /// Keeps the values of a range only.
    fn keep(&mut self, range: Range<usize>) {
        match self {
            Self::Bytes { values, .. } => keep(values, range),
            Self::Floats(values) => keep(values, range),
        }
    }
}

/// A view of [`Pixels`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PixelSlice<'a> {
    /// The input is `value / divisor`.
    Bytes {
        /// One byte a value.
        values: &'a [u8],
        /// The divisor of every value.
        divisor: u32,
    },
    /// The input is the float64 itself.
    Floats(&'a [f64]),
}

/// The samples of one split, or a part of them. There is always at least one.
///
/// # Shapes
///
/// | symbol | accessor | shape |
/// |---|---|---|
/// | `x` | [`pixels`](Self::pixels) | `(N, C, H, W)`, flat |
/// | `y` | [`labels`](Self::labels) | `(N,)`, below [`classes`](Self::classes) |
/// | | [`indices`](Self::indices) | `(N,)` |
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    name: String,
    split: Split,
    sha256: String,
    samples: Samples,
    indices: Vec<usize>,
    total: usize,
}

/// What a reader returns: one whole split.
#[derive(Clone, Debug, PartialEq)]
struct Samples {
    shape: [usize; 3],
    classes: usize,
    pixels: Pixels,
    labels: Vec<u16>,
}

impl Dataset {
    /// Opens a data set from its name on the command line.
    ///
    /// | spec | files | split | index of a sample |
    /// |---|---|---|---|
    /// | `digits` | embedded, 1×8×8, `pixel / 16` | rows 0–1436 train, 1437–1796 test | row of `digits.csv` |
    /// | `mnist:DIR`, `fashion-mnist:DIR` | the official IDX files, `.gz` or not, `pixel / 255` | as the files | place in the file |
    /// | `cifar10:DIR` | `data_batch_1.bin` … `data_batch_5.bin`, `test_batch.bin`, `pixel / 255` | as the files | place in the split |
    /// | `cifar100:DIR` | `train.bin`, `test.bin`, the fine label, `pixel / 255` | as the files | place in the file |
    /// | `npz:FILE` | arrays `x` and `y` | the file is the split that was asked for | place in `x` |
    ///
    /// In `npz:FILE`, `x` has shape `(N, C, H, W)`, `(N, H, W)` for one channel or `(N, D)` for vectors (`1×1×D`); `uint8` stands for
    /// `value / 255`, `float32` and `float64` for themselves. `y` is a vector of integers and the number of classes is its largest
    /// entry plus one.
    ///
    /// # Errors
    ///
    /// [`DataError`], naming the file and the place in it. A set without samples is an error.
    pub fn open(spec: &str, options: &DataOptions) -> Result<Self, DataError> {
        let spec: DataSpec = spec.parse()?;
        let split = options.split;
        let mut sources = source::Sources::default();
        let samples = match &spec {
            DataSpec::Digits => digits::read(&mut sources, split)?,
            DataSpec::Mnist(directory) => idx::read(&mut sources, directory, idx::MNIST, split)?,
            DataSpec::FashionMnist(directory) => idx::read(&mut sources, directory, idx::FASHION_MNIST, split)?,
            DataSpec::Cifar10(directory) => cifar::read(&mut sources, directory, cifar::CIFAR10, split)?,
            DataSpec::Cifar100(directory) => cifar::read(&mut sources, directory, cifar::CIFAR100, split)?,
            DataSpec::Npz(file) => npz::read(&mut sources, file)?,
        };
        let offset = match spec {
            DataSpec::Digits => digits::offset(split),
            _ => 0,
        };
        Self::select(spec.name(), sources.sha256(), samples, offset, options)
    }

    /// Builds a data set from samples in memory; its [`sha256`](Self::sha256) is empty and its split [`Split::Test`].
    ///
    /// # Errors
    ///
    /// - [`DataError::NoSamples`] if there is no label, [`DataError::Shape`] if a size is 0.
    /// - [`DataError::Count`] if the number of values is not the number of labels times the product of `shape`.
    /// - [`DataError::Label`] if a label is not below `classes`.
    pub fn from_samples(
        name: &str,
        shape: [usize; 3],
        classes: usize,
        pixels: Pixels,
        labels: Vec<u16>,
    ) -> Result<Self, DataError> {
        let expected = shape
            .iter()
            .fold(labels.len() as u128, |product, size| product.saturating_mul(*size as u128));
        if expected != pixels.len() as u128 {
            return Err(DataError::Count {
                file: name.into(),
                expected,
                found: pixels.len() as u128,
            });
        }
        let samples = Samples {
            shape,
            classes,
            pixels,
            labels,
        };
        let dataset = Self::select(name.to_owned(), String::new(), samples, 0, &DataOptions::default())?;
        dataset.require_classes(classes)?;
        Ok(dataset)
    }

    /// Takes the limited part of a split and of it the shard.
    fn select(
        name: String,
        sha256: String,
        mut samples: Samples,
        offset: usize,
        options: &DataOptions,
    ) -> Result<Self, DataError> {
        let total = samples.labels.len();
        let range = options.range(total);
        if range.is_empty() {
            return Err(DataError::NoSamples {
                name,
                split: options.split,
                total,
                limit: options.limit,
                shard: options.shard,
            });
        }
        if samples.shape.contains(&0) {
            return Err(DataError::Shape {
                file: name.into(),
                expected: "no size of 0",
                found: samples.shape.to_vec(),
            });
        }
        let size: usize = samples.shape.iter().product();
        samples.pixels.keep(range.start * size..range.end * size);
        keep(&mut samples.labels, range.clone());
        Ok(Self {
            name,
            split: options.split,
            sha256,
            samples,
            indices: range.map(|position| offset + position).collect(),
            total,
        })
    }

    /// Name without a directory: `digits`, `mnist`, …, `npz:NAME`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The split that was asked for.
    #[must_use]
    pub const fn split(&self) -> Split {
        self.split
    }

    /// SHA-256, in hexadecimal, of the bytes of the files that were read, one after the other as they lie on disk.
    ///
    /// The order is images, labels for IDX (so `.gz` and raw files differ) and `data_batch_1.bin` … `data_batch_5.bin` for the
    /// training part of CIFAR-10; for one file it is what `sha256sum` prints. It does not depend on limit and shard.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Shape of one sample, `(C, H, W)`.
    #[must_use]
    pub const fn shape(&self) -> [usize; 3] {
        self.samples.shape
    }

    /// Number of values of one sample.
    #[must_use]
    pub fn sample_len(&self) -> usize {
        self.samples.shape.iter().product()
    }

    /// Number of classes that the set distinguishes.
    #[must_use]
    pub const fn classes(&self) -> usize {
        self.samples.classes
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.labels.len()
    }

    /// Never true: a set without samples is not opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of samples of the split before limit and shard.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// All values.
    #[must_use]
    pub const fn pixels(&self) -> &Pixels {
        &self.samples.pixels
    }

    /// The values of the samples of `range`, which counts samples of this set from 0.
    ///
    /// # Panics
    ///
    /// If `range` does not lie within `0..len()`.
    #[must_use]
    pub fn pixels_of(&self, range: Range<usize>) -> PixelSlice<'_> {
        let size = self.sample_len();
        self.samples.pixels.slice(range.start * size..range.end * size)
    }

    /// The labels, one a sample.
    #[must_use]
    pub fn labels(&self) -> &[u16] {
        &self.samples.labels
    }

    /// The place of each sample in its source, see the table of [`open`](Self::open).
    #[must_use]
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// Checks that every label is one of `classes` classes, the number of a network's logits.
    ///
    /// # Errors
    ///
    /// [`DataError::Label`] for the first label that is not.
    pub fn require_classes(&self, classes: usize) -> Result<(), DataError> {
        match self.labels().iter().position(|label| usize::from(*label) >= classes) {
            None => Ok(()),
            Some(position) => Err(DataError::Label {
                file: self.name().into(),
                record: self.indices[position],
                label: self.labels()[position].into(),
                classes,
            }),
        }
    }
}

/// Keeps a range of a vector.
fn keep<T>(values: &mut Vec<T>, range: Range<usize>) {
    values.truncate(range.end);
    values.drain(..range.start);
}
