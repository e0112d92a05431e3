//! Safetensors: the length of a header, a JSON header, one block.
//!
//! The header is read here and not by the crate because JSON allows a name to stand twice and the crate's map would keep one of the
//! two without a word; that offsets ascend without gaps and fit the shapes is then checked by the crate.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use safetensors::SafeTensorError;
use safetensors::tensor::{Metadata, TensorInfo as Stored};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::blob::Blob;
use super::dtype::Dtype;
use super::error::{FileError, shown};
use super::view::View;
use super::{Contents, Place, TensorInfo};

/// The longest header that is read.
pub(super) const MAX_HEADER: u64 = 16 << 20;

/// Why a safetensors file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SafetensorsError {
    /// The header is longer than the file or than any header needs to be.
    #[error("the header has {header} bytes, the file {length} (at most {most} are read)")]
    Header {
        /// Announced length of the header.
        header: u64,
        /// Length of the file.
        length: u64,
        /// The limit.
        most: u64,
    },
    /// The header is not the JSON object that it should be; a name that stands twice is one reason.
    #[error("header: {0}")]
    Json(serde_json::Error),
    /// The offsets do not ascend without gaps, or do not fit the shapes.
    #[error("{0}")]
    Layout(SafeTensorError),
    /// The file does not end where the last tensor ends.
    #[error("the tensors take {tensors} bytes, {found} follow the header")]
    Length {
        /// Bytes of all tensors.
        tensors: u64,
        /// Bytes behind the header.
        found: u64,
    },
    /// An element type that is not read.
    #[error("tensor `{tensor}` has elements of type {dtype}, which are not read")]
    Dtype {
        /// The tensor.
        tensor: String,
        /// The type.
        dtype: safetensors::Dtype,
    },
}

/// Reads the description of the tensors.
///
/// # Errors
///
/// [`SafetensorsError`]; [`FileError::Io`].
pub(super) fn read(file: &mut File, length: u64) -> Result<Contents, FileError> {
    let mut size = [0u8; 8];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut size)?;
    let header = u64::from_le_bytes(size);
    let rest = length.checked_sub(8).and_then(|rest| rest.checked_sub(header));
    let (Some(found), true) = (rest, header <= MAX_HEADER) else {
        let most = MAX_HEADER;
        return Err(SafetensorsError::Header { header, length, most }.into());
    };
    let mut text = Vec::new();
    file.take(header).read_to_end(&mut text)?;
    let Header { metadata, mut tensors } = serde_json::from_slice(&text).map_err(SafetensorsError::Json)?;
    tensors.sort_by_key(|(_, stored)| stored.data_offsets);
    let layout = tensors.iter().map(|(name, stored)| (name.clone(), clone(stored))).collect();
    let none: Option<HashMap<String, String>> = None;
    let layout = Metadata::new(none, layout).map_err(SafetensorsError::Layout)?;
    let used = if tensors.is_empty() { 0 } else { layout.data_len() as u64 };
    if used != found {
        return Err(SafetensorsError::Length { tensors: used, found }.into());
    }
    let mut contents = Contents {
        metadata,
        ..Contents::default()
    };
    for (name, stored) in tensors {
        let dtype = dtype(stored.dtype).ok_or_else(|| SafetensorsError::Dtype {
            tensor: shown(name.as_bytes()),
            dtype: stored.dtype,
        })?;
        let view = View::row_major(stored.shape.clone()).map_err(|cause| FileError::Tensor {
            tensor: shown(name.as_bytes()),
            cause,
        })?;
        let (start, end) = stored.data_offsets;
        let blob = Blob::plain(8 + header + start as u64, (end - start) as u64);
        let shape = stored.shape;
        contents
            .tensors
            .push((TensorInfo { name, dtype, shape }, Place::in_file(blob, 0, view)));
    }
    Ok(contents)
}

/// Our name of an element type.
const fn dtype(stored: safetensors::Dtype) -> Option<Dtype> {
    use safetensors::Dtype as S;
    Some(match stored {
        S::F16 => Dtype::Float16,
        S::BF16 => Dtype::Bfloat16,
        S::F32 => Dtype::Float32,
        S::F64 => Dtype::Float64,
        S::BOOL => Dtype::Bool,
        S::U8 => Dtype::Uint8,
        S::U16 => Dtype::Uint16,
        S::U32 => Dtype::Uint32,
        S::U64 => Dtype::Uint64,
        S::I8 => Dtype::Int8,
        S::I16 => Dtype::Int16,
        S::I32 => Dtype::Int32,
        S::I64 => Dtype::Int64,
        _ => return None,
    })
}

/// The crate's description has no `Clone`.
fn clone(stored: &Stored) -> Stored {
    Stored {
        dtype: stored.dtype,
        shape: stored.shape.clone(),
        data_offsets: stored.data_offsets,
    }
}

/// The header, with every name once.
struct Header {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, Stored)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header {
            metadata: BTreeMap::new(),
            tensors: Vec::new(),
        };
        let mut seen = std::collections::HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format!("`{}` stands twice", shown(name.as_bytes()))));
            }
            if name == "__metadata__" {
                header.metadata = map.next_value::<Unique>()?.0;
            } else {
                let tensor: Strict = map.next_value()?;
                let stored = Stored {
                    dtype: tensor.dtype,
                    shape: tensor.shape,
                    data_offsets: tensor.data_offsets,
                };
                header.tensors.push((name, stored));
            }
        }
        Ok(header)
    }
}

/// One tensor of the header, without unknown fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    dtype: safetensors::Dtype,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// A map of texts, with every key once.
struct Unique(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UniqueVisitor;
        impl<'de> Visitor<'de> for UniqueVisitor {
            type Value = Unique;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut all = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if all.insert(key.clone(), value).is_some() {
                        return Err(A::Error::custom(format!("`{}` stands twice", shown(key.as_bytes()))));
                    }
                }
                Ok(Unique(all))
            }
        }
        deserializer.deserialize_map(UniqueVisitor)
    }
}
