//! Why samples could not be read.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use zip::result::ZipError;

use super::options::{Shard, Split};
use crate::checkpoint::FileError;

/// Why a data set could not be opened. Every variant names the file and the place in it, and says all that it knows: none has a cause beneath it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// The directory of an archive could be read in two ways, or is no zip directory.
    #[error("`{}`: {cause}", file.display())]
    Directory {
        /// The archive.
        file: PathBuf,
        /// Why.
        cause: Box<FileError>,
    },
    /// The name of the set is not known, or its path is missing.
    #[error("data `{spec}` is none of `digits`, `mnist:DIR`, `fashion-mnist:DIR`, `cifar10:DIR`, `cifar100:DIR`, `npz:FILE`")]
    UnknownSet {
        /// What was given.
        spec: String,
    },
    /// The split is not known.
    #[error("split `{text}` is neither `train` nor `test`")]
    UnknownSplit {
        /// What was given.
        text: String,
    },
    /// The shard is not of the form `i/n`.
    #[error("shard `{text}` is not of the form `i/n`, such as `0/4`")]
    NotAShard {
        /// What was given.
        text: String,
    },
    /// The shard does not exist.
    #[error("shard `{index}/{count}` does not exist: shards are counted from 0")]
    Shard {
        /// Which part.
        index: usize,
        /// Number of parts.
        count: usize,
    },
    /// No sample is left.
    #[error(
        "no samples: split `{split}` of `{name}` has {total}{}{}",
        .limit.map(|limit| format!(", limit `{limit}`")).unwrap_or_default(),
        .shard.map(|shard| format!(", shard `{shard}`")).unwrap_or_default()
    )]
    NoSamples {
        /// Name of the set.
        name: String,
        /// The split that was asked for.
        split: Split,
        /// Samples in it.
        total: usize,
        /// The limit that was asked for.
        limit: Option<usize>,
        /// The shard that was asked for.
        shard: Option<Shard>,
    },
    /// The directory of a set is missing.
    #[error("`{}` is not a directory", .directory.display())]
    DirectoryMissing {
        /// The directory as given.
        directory: PathBuf,
    },
    /// A file of a set is missing.
    #[error("`{}` holds none of `{}`", .directory.display(), .looked_for.join("`, `"))]
    FileMissing {
        /// The directory as given.
        directory: PathBuf,
        /// The names that were tried, relative to it.
        looked_for: Vec<String>,
    },
    /// The system or the decompressor failed.
    #[error("cannot read `{}`: {cause}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The reason.
        cause: io::Error,
    },
    /// The file says that it holds more than is ever read.
    #[error("`{}` holds or declares {bytes} bytes, more than {limit}", .file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Bytes, at least.
        bytes: u128,
        /// The limit.
        limit: u64,
    },
    /// The file begins with something else.
    #[error("`{}` begins with {found:#010x}, not with {expected:#010x}", .file.display())]
    Magic {
        /// The file.
        file: PathBuf,
        /// The number that the format begins with.
        expected: u32,
        /// The number that was found.
        found: u32,
    },
    /// The file ends too early.
    #[error("`{}` ends after {found} of {expected} bytes", .file.display())]
    Truncated {
        /// The file, or the array in it.
        file: PathBuf,
        /// Bytes that its header declares.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The last record is not whole.
    #[error("`{}`: record {record} has {found} of {expected} bytes", .file.display())]
    PartialRecord {
        /// The file.
        file: PathBuf,
        /// Which record, from 0.
        record: usize,
        /// Bytes of a record.
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// The file goes on after its end.
    #[error("`{}` goes on after its {expected} bytes", .file.display())]
    TrailingBytes {
        /// The file, or the array in it.
        file: PathBuf,
        /// Bytes that its header declares.
        expected: u64,
    },
    /// Two counts that must agree do not.
    #[error("`{}` holds {found} entries, expected {expected}", .file.display())]
    Count {
        /// The file, or the array in it.
        file: PathBuf,
        /// The count that the other file or array has.
        expected: u128,
        /// The count that this one has.
        found: u128,
    },
    /// A label is not a class.
    #[error("`{}`: label {label} of record {record} is not one of {classes} classes", .file.display())]
    Label {
        /// The file, or the array in it.
        file: PathBuf,
        /// Which record, from 0.
        record: usize,
        /// The label.
        label: i128,
        /// Number of classes.
        classes: usize,
    },
    /// A field of a text file is not a number in its range.
    #[error("`{file}`: field {column} of row {row} is not an integer from 0 to {limit}")]
    Field {
        /// The file.
        file: &'static str,
        /// Which row, from 0.
        row: usize,
        /// Which field, from 0; the number of fields if one is missing.
        column: usize,
        /// The largest number that is allowed there.
        limit: u8,
    },
    /// The file is not a zip archive that can be read.
    #[error("cannot read `{}` as a zip archive: {cause}", .file.display())]
    Archive {
        /// The file, or the array in it.
        file: PathBuf,
        /// The reason.
        cause: ZipError,
    },
    /// The archive lacks an array.
    #[error("`{}` has no array `{array}`, only `{}`", .file.display(), .found.join("`, `"))]
    ArrayMissing {
        /// The file.
        file: PathBuf,
        /// The array that is needed.
        array: &'static str,
        /// The entries that are there, at most 20.
        found: Vec<String>,
    },
    /// The header of an array is malformed.
    #[error("header of `{}` is malformed at byte {at}: {fault}", .file.display())]
    Npy {
        /// The array in its file.
        file: PathBuf,
        /// Place in the header, from 0.
        at: usize,
        /// What is wrong there.
        fault: NpyFault,
    },
    /// The type of an array is not one that is read.
    #[error("`{}` has dtype `{dtype}`, expected {expected}", .file.display())]
    Dtype {
        /// The array in its file.
        file: PathBuf,
        /// The type as its header writes it.
        dtype: String,
        /// The types that are read.
        expected: &'static str,
    },
    /// The shape of an array is not one that is read.
    #[error("`{}` has shape {found:?}, expected {expected}", .file.display())]
    Shape {
        /// The array in its file.
        file: PathBuf,
        /// The shapes that are read.
        expected: &'static str,
        /// The shape in its header.
        found: Vec<usize>,
    },
    /// NaN or an infinity where a real number is needed.
    #[error("`{}` is {value} at {index:?}", .file.display())]
    NotFinite {
        /// The array in its file.
        file: PathBuf,
        /// Its place, from 0.
        index: Vec<usize>,
        /// The value.
        value: f64,
    },
}

/// What is wrong in the header of an array in NumPy's format.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NpyFault {
    /// The file does not begin with the format's magic bytes.
    #[error("not an array in NumPy's format")]
    Magic,
    /// The version is none of 1.0, 2.0 and 3.0.
    #[error("unknown version of the format")]
    Version,
    /// The header is larger than any that an array of numbers needs.
    #[error("header of more than 65,536 bytes")]
    Length,
    /// Something else than what the grammar asks for.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A key twice.
    #[error("key `{0}` twice")]
    Repeated(&'static str),
}
