//! A block of bytes inside a file, stored or deflated.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::archive::ArchiveError;
use super::error::FileError;

/// Bytes that pass through memory at a time; a multiple of every element size.
const CHUNK: usize = 1 << 16;
/// Deflated blocks up to this size are read whatever their ratio.
const SMALL: u64 = 1 << 20;
/// Larger deflated blocks may grow by this factor; weights hardly shrink at all.
const MAX_RATIO: u64 = 64;

/// Where a block lies and how it is packed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Blob {
    /// First byte in the file.
    pub(crate) offset: u64,
    /// Bytes in the file.
    pub(crate) stored: u64,
    /// Bytes once inflated.
    pub(crate) size: u64,
    /// Whether the bytes are deflated.
    pub(crate) deflated: bool,
    /// Checksum of the inflated bytes, where the format has one.
    pub(crate) crc: Option<u32>,
}

impl Blob {
    /// A block that lies in the file as it is.
    pub(crate) const fn plain(offset: u64, size: u64) -> Self {
        Self {
            offset,
            stored: size,
            size,
            deflated: false,
            crc: None,
        }
    }

    /// Refuses a block that ends behind the file or promises to inflate beyond reason.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::OutOfFile`], [`ArchiveError::Inflates`].
    pub(crate) fn check(&self, name: &str, length: u64) -> Result<(), ArchiveError> {
        let end = self.offset.checked_add(self.stored);
        if end.is_none_or(|end| end > length) {
            return Err(ArchiveError::OutOfFile {
                entry: name.to_owned(),
                offset: self.offset,
                stored: self.stored,
                length,
            });
        }
        if self.size > SMALL && self.size / MAX_RATIO > self.stored {
            return Err(ArchiveError::Inflates {
                entry: name.to_owned(),
                stored: self.stored,
                size: self.size,
            });
        }
        Ok(())
    }

    /// Passes the bytes of `range` to `sink` in chunks; every chunk but the last is 64 KiB long.
    ///
    /// Where the block has a checksum it is read to its end and compared.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`] if the file ends early or the deflated stream is malformed, [`ArchiveError::Checksum`], and
    /// [`ArchiveError::Size`] if more bytes come out than the directory says.
    pub(crate) fn read(
        &self,
        name: &str,
        file: &mut File,
        range: Range<u64>,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(), FileError> {
        let whole = self.deflated || self.crc.is_some();
        let start = if whole { 0 } else { range.start };
        file.seek(SeekFrom::Start(self.offset + start))?;
        let raw = io::BufReader::with_capacity(CHUNK, file.take(self.stored - start));
        let mut reader: Box<dyn Read + '_> = if self.deflated {
            Box::new(DeflateDecoder::new(raw))
        } else {
            Box::new(raw)
        };
        let mut crc = Crc::new();
        let mut buffer = vec![0u8; CHUNK];
        let mut at = start;
        for (end, wanted) in [(range.start, false), (range.end, true), (self.size, false)] {
            if end == self.size && !wanted && !whole {
                break;
            }
            while at < end {
                let length = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
                reader.read_exact(&mut buffer[..length])?;
                crc.update(&buffer[..length]);
                if wanted {
                    sink(&buffer[..length]);
                }
                at += length as u64;
            }
        }
        if whole && reader.read(&mut buffer[..1])? != 0 {
            let (entry, size) = (name.to_owned(), self.size);
            return Err(ArchiveError::Size { entry, size }.into());
        }
        match self.crc {
            Some(expected) if expected != crc.sum() => Err(ArchiveError::Checksum {
                entry: name.to_owned(),
                expected,
                found: crc.sum(),
            }
            .into()),
            _ => Ok(()),
        }
    }

    /// The first bytes of the block, at most `limit`, without a look at the checksum.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`].
    pub(crate) fn head(&self, file: &mut File, limit: u64) -> Result<Vec<u8>, FileError> {
        file.seek(SeekFrom::Start(self.offset))?;
        let raw = io::BufReader::with_capacity(CHUNK, file.take(self.stored));
        let mut head = Vec::new();
        if self.deflated {
            DeflateDecoder::new(raw).take(limit).read_to_end(&mut head)?;
        } else {
            raw.take(limit).read_to_end(&mut head)?;
        }
        Ok(head)
    }
}
