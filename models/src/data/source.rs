//! Files as bytes: found, hashed, and never larger in memory than their headers and a fixed limit allow.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::error::DataError;

/// The most bytes that a file may have, stored or decompressed.
pub(super) const MAX_BYTES: u64 = 1 << 32;

/// The files that have been read, as one running hash.
#[derive(Default)]
pub(super) struct Sources {
    hasher: Sha256,
}

impl Sources {
    /// Adds bytes that lie in the program.
    pub(super) fn embedded(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Reads a file.
    pub(super) fn read(&mut self, path: &Path) -> Result<Vec<u8>, DataError> {
        let file = File::open(path).map_err(|cause| read_error(path, cause))?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|cause| read_error(path, cause))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(DataError::TooLarge {
                file: path.into(),
                bytes: bytes.len() as u128,
                limit: MAX_BYTES,
            });
        }
        self.hasher.update(&bytes);
        Ok(bytes)
    }

    /// The hash of everything that was read, in hexadecimal.
    pub(super) fn sha256(self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.hasher.finalize() {
            write!(text, "{byte:02x}").expect("a string takes every text");
        }
        text
    }
}

/// The first of `names` that is a file below `directory`.
pub(super) fn find(directory: &Path, names: &[String]) -> Result<PathBuf, DataError> {
    if !fs::metadata(directory).is_ok_and(|found| found.is_dir()) {
        return Err(DataError::DirectoryMissing {
            directory: directory.into(),
        });
    }
    names
        .iter()
        .map(|name| directory.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| DataError::FileMissing {
            directory: directory.into(),
            looked_for: names.to_vec(),
        })
}

/// The bytes themselves, or decompressed where they begin as gzip does.
pub(super) fn plain(bytes: &[u8]) -> Box<dyn Read + '_> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        Box::new(MultiGzDecoder::new(bytes))
    } else {
        Box::new(bytes)
    }
}

/// A reader of which a header tells how long it is.
pub(super) struct Content<'a, R> {
    file: &'a Path,
    reader: R,
    done: u64,
}

impl<'a, R: Read> Content<'a, R> {
    /// Names the file for errors.
    pub(super) const fn new(file: &'a Path, reader: R) -> Self {
        Self { file, reader, done: 0 }
    }

    /// The next `length` bytes; memory grows with what is really there.
    pub(super) fn take(&mut self, length: u128) -> Result<Vec<u8>, DataError> {
        let expected = u128::from(self.done).saturating_add(length);
        let length = match u64::try_from(length) {
            Ok(length) if expected <= u128::from(MAX_BYTES) => length,
            _ => {
                return Err(DataError::TooLarge {
                    file: self.file.into(),
                    bytes: expected,
                    limit: MAX_BYTES,
                });
            }
        };
        let mut bytes = Vec::new();
        let end = self.reader.by_ref().take(length).read_to_end(&mut bytes);
        let found = bytes.len() as u64;
        match end {
            // a compressed stream that stops in the middle is a truncated file
            Err(cause) if cause.kind() != io::ErrorKind::UnexpectedEof => Err(read_error(self.file, cause)),
            _ if found < length => Err(DataError::Truncated {
                file: self.file.into(),
                expected: self.done + length,
                found: self.done + found,
            }),
            _ => {
                self.done += length;
                Ok(bytes)
            }
        }
    }

    /// Checks that nothing follows. Reading to the end also checks the sum that gzip and zip keep.
    pub(super) fn end(mut self) -> Result<(), DataError> {
        let mut next = [0];
        match self.reader.read(&mut next) {
            Ok(0) => Ok(()),
            Ok(_) => Err(DataError::TrailingBytes {
                file: self.file.into(),
                expected: self.done,
            }),
            Err(cause) => Err(read_error(self.file, cause)),
        }
    }
}

/// Names the file of a failure.
fn read_error(file: &Path, cause: io::Error) -> DataError {
    DataError::Read {
        file: file.into(),
        cause,
    }
}
