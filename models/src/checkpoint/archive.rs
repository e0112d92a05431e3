//! The directory of a zip archive, read once and strictly.
//!
//! The `zip` crate reads the directory; the entries are read by [`super::blob`]. An archive is refused where two readers could see
//! different files in it: two entries of one name, bytes in front of the first or behind the directory, encryption, a method other
//! than stored and deflated.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use zip::{CompressionMethod, ZipArchive};

use super::blob::Blob;
use super::error::{FileError, shown};

/// The most entries that are read.
const MAX_ENTRIES: u64 = 1 << 16;
/// Bytes of the record that ends an archive without a comment.
const END_RECORD: u64 = 22;

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The directory is malformed.
    #[error("zip directory: {0}")]
    Directory(zip::result::ZipError),
    /// The archive does not end with its directory: it is cut off, or something follows it.
    #[error("the file does not end with a zip directory: truncated, or followed by other bytes")]
    NoEnd,
    /// Bytes stand in front of the archive.
    #[error("{bytes} bytes stand in front of the zip archive")]
    Prefix {
        /// How many.
        bytes: u64,
    },
    /// Two entries carry one name.
    #[error("zip directory: {listed} entries listed, {distinct} different names")]
    Duplicate {
        /// Entries that the directory claims.
        listed: u64,
        /// Different names among them.
        distinct: u64,
    },
    /// Too many entries.
    #[error("zip directory: {listed} entries, at most {most} are read")]
    TooMany {
        /// Entries that the directory claims.
        listed: u64,
        /// The limit.
        most: u64,
    },
    /// An encrypted entry, or one packed by another method.
    #[error("zip entry `{entry}` is encrypted or neither stored nor deflated")]
    Method {
        /// Name of the entry.
        entry: String,
    },
    /// An entry lies outside the file.
    #[error("zip entry `{entry}`: {stored} bytes from {offset} lie outside a file of {length}")]
    OutOfFile {
        /// Name of the entry.
        entry: String,
        /// First byte.
        offset: u64,
        /// Bytes in the file.
        stored: u64,
        /// Bytes of the file.
        length: u64,
    },
    /// An entry would inflate beyond reason.
    #[error("zip entry `{entry}` would inflate from {stored} to {size} bytes")]
    Inflates {
        /// Name of the entry.
        entry: String,
        /// Bytes in the file.
        stored: u64,
        /// Bytes once inflated.
        size: u64,
    },
    /// The bytes of an entry do not have the checksum that the directory gives.
    #[error("zip entry `{entry}` is damaged: checksum {found:08x}, expected {expected:08x}")]
    Checksum {
        /// Name of the entry.
        entry: String,
        /// From the directory.
        expected: u32,
        /// Of the bytes.
        found: u32,
    },
    /// An entry has not the size that the directory gives.
    #[error("zip entry `{entry}` does not have the {size} bytes that the directory says")]
    Size {
        /// Name of the entry.
        entry: String,
        /// From the directory.
        size: u64,
    },
    /// An archive of another kind.
    #[error("the zip archive holds neither a torch checkpoint (`data.pkl`) nor arrays (`.npy`)")]
    Foreign,
    /// Two checkpoints in one archive.
    #[error("the zip archive holds two checkpoints: `{first}` and `{second}`")]
    Ambiguous {
        /// One of them.
        first: String,
        /// Another.
        second: String,
    },
    /// A numeric byte order that is not read.
    #[error("the checkpoint's byte order is `{order}`, only `little` is read")]
    ByteOrder {
        /// What the file says.
        order: String,
    },
}

/// Reads the directory: names and places of all entries that are no folders.
///
/// # Errors
///
/// [`ArchiveError`]; [`FileError::Io`].
pub(super) fn entries(file: &mut File, length: u64) -> Result<Vec<(String, Blob)>, FileError> {
    let listed = listed(file, length)?;
    if listed > MAX_ENTRIES {
        return Err(ArchiveError::TooMany {
            listed,
            most: MAX_ENTRIES,
        }
        .into());
    }
    let mut archive = ZipArchive::new(BufReader::new(&mut *file)).map_err(ArchiveError::Directory)?;
    if archive.offset() != 0 {
        return Err(ArchiveError::Prefix { bytes: archive.offset() }.into());
    }
    let distinct = archive.len() as u64;
    if distinct != listed {
        return Err(ArchiveError::Duplicate { listed, distinct }.into());
    }
    let mut found = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(ArchiveError::Directory)?;
        let name = shown(entry.name().as_bytes());
        let deflated = match entry.compression() {
            CompressionMethod::Stored if !entry.encrypted() && entry.size() == entry.compressed_size() => false,
            CompressionMethod::DEFLATE if !entry.encrypted() => true,
            _ => return Err(ArchiveError::Method { entry: name }.into()),
        };
        if entry.is_dir() {
            continue;
        }
        let blob = Blob {
            offset: entry.data_start(),
            stored: entry.compressed_size(),
            size: entry.size(),
            deflated,
            // torch writes 0 where it was told to compute no checksums
            crc: Some(entry.crc32()).filter(|crc| *crc != 0),
        };
        found.push((entry.name().to_owned(), blob));
    }
    Ok(found)
}

/// The number of entries that the end record gives. The record must end the file, without a comment.
fn listed(file: &mut File, length: u64) -> Result<u64, FileError> {
    let mut record = [0u8; END_RECORD as usize];
    let start = length.checked_sub(END_RECORD).ok_or(ArchiveError::NoEnd)?;
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut record)?;
    if !record.starts_with(b"PK\x05\x06") || record[20..] != [0, 0] {
        return Err(ArchiveError::NoEnd.into());
    }
    let count = u16::from_le_bytes([record[10], record[11]]);
    if count < u16::MAX {
        return Ok(u64::from(count));
    }
    // zip64: a locator of 20 bytes stands before the record and names the place of the larger record
    let mut locator = [0u8; 20];
    file.seek(SeekFrom::Start(start.checked_sub(20).ok_or(ArchiveError::NoEnd)?))?;
    file.read_exact(&mut locator)?;
    if !locator.starts_with(b"PK\x06\x07") {
        return Ok(u64::from(count));
    }
    let place = u64::from_le_bytes(locator[8..16].try_into().expect("eight bytes"));
    let mut larger = [0u8; 40];
    if place > start {
        return Err(ArchiveError::NoEnd.into());
    }
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(&mut larger)?;
    Ok(u64::from_le_bytes(larger[32..40].try_into().expect("eight bytes")))
}
