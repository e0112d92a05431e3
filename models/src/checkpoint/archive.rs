//! The directory of a zip archive, read once and strictly.
//!
//! The entries themselves are read by [`super::blob`]. An archive is refused where two readers could see different files in it: names that
//! are equal up to case, end records that differ, extra fields that rename an entry, local headers that name another one, bytes in
//! front of the first entry or behind the directory, encryption, a method other than stored and deflated. General zip libraries choose
//! one reading silently, and torch's chooses another.
//!
//! # Source
//!
//! PKWARE, *.ZIP File Format Specification*, version 6.3.10, sections 4.3.7, 4.3.12 and 4.3.14 to 4.3.16.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};

use super::blob::Blob;
use super::error::{FileError, shown};

/// The most entries that are read.
const MAX_ENTRIES: u64 = 1 << 16;
/// Bytes of the record that ends an archive without a comment.
const END_RECORD: u64 = 22;
/// Bytes of the zip64 record without extensible data.
const END_RECORD_64: u64 = 56;
/// Bytes of what names the place of the zip64 record.
const LOCATOR: u64 = 20;
/// The most bytes of a directory.
const MAX_DIRECTORY: u64 = 1 << 26;
/// Methods and a flag of an entry.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const ENCRYPTED: u16 = 1;
/// Extra fields that are read or known to mean nothing here: large sizes, timestamps, owners.
const ZIP64: u16 = 0x0001;
const TIMES: u16 = 0x5455;
const OWNERS: u16 = 0x7875;

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The directory is malformed.
    #[error("zip directory: {0}")]
    Directory(&'static str),
    /// A name that is not plain text.
    #[error("zip entry `{entry}` has a name that is not plain UTF-8")]
    Name {
        /// The name.
        entry: String,
    },
    /// The header before the bytes of an entry is of another one.
    #[error("zip entry `{entry}`: the local header is of another entry")]
    LocalHeader {
        /// Name of the entry.
        entry: String,
    },
    /// An extra field that could rename the entry, or that is malformed.
    #[error("zip entry `{entry}` has an extra field that is not read")]
    Extra {
        /// Name of the entry.
        entry: String,
    },
    /// An entry that torch would take for another one.
    #[error("zip entry `{entry}` does not belong to a torch checkpoint in the folder `{folder}`")]
    Stray {
        /// Name of the entry.
        entry: String,
        /// The folder of the checkpoint.
        folder: String,
    },
    /// The archive does not end with its directory: it is cut off, or something follows it.
    #[error("the file does not end with a zip directory: truncated, or followed by other bytes")]
    NoEnd,
    /// Bytes stand in front of the archive.
    #[error("{bytes} bytes stand in front of the zip archive")]
    Prefix {
        /// How many.
        bytes: u64,
    },
    /// Two entries carry one name, up to case.
    #[error("zip directory: two entries are named `{entry}`, up to case")]
    Duplicate {
        /// Name of the second.
        entry: String,
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
pub(crate) fn entries<R: Read + Seek>(file: &mut R, length: u64) -> Result<Vec<(String, Blob)>, FileError> {
    let directory = Directory::find(file, length)?;
    if directory.count > MAX_ENTRIES || directory.size > MAX_DIRECTORY {
        let (listed, most) = (directory.count, MAX_ENTRIES);
        return Err(ArchiveError::TooMany { listed, most }.into());
    }
    let bytes = read_at(file, directory.start, directory.size as usize)?;
    let mut rest = bytes.as_slice();
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    let mut first = directory.start;
    for _ in 0..directory.count {
        let (entry, behind) = Entry::parse(rest)?;
        rest = behind;
        // Other readers look names up without regard to case.
        if !names.insert(entry.name.to_ascii_lowercase()) {
            return Err(ArchiveError::Duplicate {
                entry: shown(entry.name.as_bytes()),
            }
            .into());
        }
        first = first.min(entry.header);
        let start = entry.data_start(file, directory.start)?;
        if !entry.name.ends_with('/') {
            found.push((
                entry.name,
                Blob {
                    offset: start,
                    ..entry.blob
                },
            ));
        }
    }
    if !rest.is_empty() {
        return Err(ArchiveError::Directory("it is longer than its entries").into());
    }
    if first != 0 {
        return Err(ArchiveError::Prefix { bytes: first }.into());
    }
    Ok(found)
}

/// Where the central directory lies.
struct Directory {
    start: u64,
    size: u64,
    count: u64,
}

impl Directory {
    /// Finds the directory through the end record, which must end the file without a comment. Where a zip64 record is there, the plain one
    /// must agree with it: readers differ in which of the two they believe.
    fn find<R: Read + Seek>(file: &mut R, length: u64) -> Result<Self, FileError> {
        let end = length.checked_sub(END_RECORD).ok_or(ArchiveError::NoEnd)?;
        let record = read_at(file, end, END_RECORD as usize)?;
        if !record.starts_with(b"PK\x05\x06") || record[20..] != [0, 0] {
            return Err(ArchiveError::NoEnd.into());
        }
        let plain = [
            u64::from(u16_at(&record, 10)),
            u64::from(u32_at(&record, 12)),
            u64::from(u32_at(&record, 16)),
        ];
        let single_disk = record[4..8] == [0; 4] || record[4..8] == [0xff; 4];
        if !single_disk || record[8..10] != record[10..12] {
            return Err(ArchiveError::Directory("it spans several disks").into());
        }
        let sentinels = [u64::from(u16::MAX), u64::from(u32::MAX), u64::from(u32::MAX)];
        let locator = match end.checked_sub(LOCATOR) {
            Some(place) => read_at(file, place, LOCATOR as usize)?,
            None => Vec::new(),
        };
        let (values, behind) = if locator.starts_with(b"PK\x06\x07") {
            let place = u64_at(&locator, 8);
            if place.checked_add(END_RECORD_64) != end.checked_sub(LOCATOR) {
                return Err(ArchiveError::Directory("its zip64 record is not where it should be").into());
            }
            let larger = read_at(file, place, END_RECORD_64 as usize)?;
            if !larger.starts_with(b"PK\x06\x06") || u64_at(&larger, 4) != END_RECORD_64 - 12 {
                return Err(ArchiveError::Directory("its zip64 record is malformed").into());
            }
            let values = [u64_at(&larger, 32), u64_at(&larger, 40), u64_at(&larger, 48)];
            let agree = plain
                .iter()
                .zip(&values)
                .zip(&sentinels)
                .all(|((a, b), sentinel)| a == b || a == sentinel);
            if !agree || u64_at(&larger, 24) != values[0] {
                return Err(ArchiveError::Directory("its two end records differ").into());
            }
            (values, place)
        } else if plain.iter().zip(&sentinels).any(|(value, sentinel)| value == sentinel) {
            return Err(ArchiveError::Directory("its zip64 record is missing").into());
        } else {
            (plain, end)
        };
        let [count, size, start] = values;
        if start.checked_add(size) == Some(behind) {
            Ok(Self { start, size, count })
        } else {
            Err(ArchiveError::NoEnd.into())
        }
    }
}

/// One entry of the central directory.
struct Entry {
    name: String,
    method: u16,
    /// Place of the local header.
    header: u64,
    /// What the directory says; the place of the bytes is not known yet.
    blob: Blob,
}

impl Entry {
    /// Parses the first entry of `bytes`; the rest is returned.
    fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), ArchiveError> {
        let cut = || ArchiveError::Directory("it is cut off");
        let (fixed, rest) = bytes.split_at_checked(46).ok_or_else(cut)?;
        if !fixed.starts_with(b"PK\x01\x02") {
            return Err(ArchiveError::Directory("an entry has no signature"));
        }
        let (raw, rest) = rest.split_at_checked(usize::from(u16_at(fixed, 28))).ok_or_else(cut)?;
        let (extra, rest) = rest.split_at_checked(usize::from(u16_at(fixed, 30))).ok_or_else(cut)?;
        let (_comment, rest) = rest.split_at_checked(usize::from(u16_at(fixed, 32))).ok_or_else(cut)?;
        let entry = shown(raw);
        let name = std::str::from_utf8(raw).map_err(|_| ArchiveError::Name { entry: entry.clone() })?;
        if name.is_empty() || name.chars().any(char::is_control) || name.contains('\\') {
            return Err(ArchiveError::Name { entry });
        }
        let mut sizes = [
            u64::from(u32_at(fixed, 24)),
            u64::from(u32_at(fixed, 20)),
            u64::from(u32_at(fixed, 42)),
        ];
        enlarge(&mut sizes, extra, &entry)?;
        let [size, stored, header] = sizes;
        let (flags, method) = (u16_at(fixed, 8), u16_at(fixed, 10));
        let deflated = method == DEFLATED;
        let plain = method == STORED && size == stored;
        if flags & ENCRYPTED != 0 || !(deflated || plain) || u16_at(fixed, 34) != 0 {
            return Err(ArchiveError::Method { entry });
        }
        // torch writes 0 where it was told to compute no checksums
        let crc = Some(u32_at(fixed, 16)).filter(|crc| *crc != 0);
        let blob = Blob {
            offset: 0,
            stored,
            size,
            deflated,
            crc,
        };
        Ok((
            Self {
                name: name.to_owned(),
                method,
                header,
                blob,
            },
            rest,
        ))
    }

    /// The place of the entry's bytes, behind a local header that names the same entry.
    fn data_start<R: Read + Seek>(&self, file: &mut R, directory: u64) -> Result<u64, FileError> {
        let differs = || ArchiveError::LocalHeader {
            entry: shown(self.name.as_bytes()),
        };
        let fits = self.header.checked_add(30).is_some_and(|end| end <= directory);
        if !fits {
            return Err(differs().into());
        }
        let fixed = read_at(file, self.header, 30)?;
        let (name, extra) = (usize::from(u16_at(&fixed, 26)), u64::from(u16_at(&fixed, 28)));
        if !fixed.starts_with(b"PK\x03\x04") || u16_at(&fixed, 8) != self.method || name != self.name.len() {
            return Err(differs().into());
        }
        if read_at(file, self.header + 30, name)? != self.name.as_bytes() {
            return Err(differs().into());
        }
        Ok(self.header + 30 + name as u64 + extra)
    }
}

/// Replaces the sizes that are too large for 32 bits by those of the zip64 field, and refuses fields that rename an entry.
fn enlarge(sizes: &mut [u64; 3], mut extra: &[u8], entry: &str) -> Result<(), ArchiveError> {
    let refuse = || ArchiveError::Extra { entry: entry.to_owned() };
    let mut seen = false;
    while !extra.is_empty() {
        let (head, rest) = extra.split_at_checked(4).ok_or_else(refuse)?;
        let (mut field, rest) = rest.split_at_checked(usize::from(u16_at(head, 2))).ok_or_else(refuse)?;
        match u16_at(head, 0) {
            ZIP64 if !seen => {
                seen = true;
                for size in sizes.iter_mut().filter(|size| **size == u64::from(u32::MAX)) {
                    let (value, behind) = field.split_at_checked(8).ok_or_else(refuse)?;
                    *size = u64_at(value, 0);
                    field = behind;
                }
            }
            TIMES | OWNERS => {}
            _ => return Err(refuse()),
        }
        extra = rest;
    }
    if !seen && sizes.contains(&u64::from(u32::MAX)) {
        Err(refuse())
    } else {
        Ok(())
    }
}

/// Some bytes of the file.
fn read_at<R: Read + Seek>(file: &mut R, place: u64, count: usize) -> Result<Vec<u8>, FileError> {
    let mut bytes = vec![0; count];
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], place: usize) -> u16 {
    u16::from_le_bytes(bytes[place..place + 2].try_into().expect("two bytes"))
}

fn u32_at(bytes: &[u8], place: usize) -> u32 {
    u32::from_le_bytes(bytes[place..place + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], place: usize) -> u64 {
    u64::from_le_bytes(bytes[place..place + 8].try_into().expect("eight bytes"))
}
