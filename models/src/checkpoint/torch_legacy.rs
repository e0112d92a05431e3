//! Torch checkpoints before version 1.6: five pickles, then the storages one after the other.
//!
//! A magic number, a protocol version, a description of the machine, the object, and the list of storage keys; each storage is then
//! its number of elements (int64) and its bytes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::Contents;
use super::blob::Blob;
use super::error::{FileError, FileKind, shown};
use super::pickle::heap::{Heap, Id, Node};
use super::pickle::{self, MAX_PICKLE};
use super::state_dict::{self, StateDictError};

/// The number that the first pickle holds, `0x1950a86a20f9469cfc6c`, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The only version that was ever written.
const PROTOCOL: i64 = 1001;

/// Why a legacy file was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LegacyError {
    /// Another version of the layout.
    #[error("the second pickle is not protocol version {expected}")]
    Version {
        /// The version that is read.
        expected: i64,
    },
    /// Written on a machine with another byte order.
    #[error("numbers are not little-endian")]
    ByteOrder,
    /// The list of storages is not a list of texts.
    #[error("the list of storages is malformed")]
    Keys,
    /// A key that stands twice.
    #[error("storage `{key}` stands twice")]
    DuplicateStorage {
        /// The key.
        key: String,
    },
    /// A storage that no tensor names.
    #[error("storage `{key}` belongs to no tensor")]
    UnknownStorage {
        /// The key.
        key: String,
    },
    /// A storage has another number of elements than the object says.
    #[error("storage `{key}` has {found} elements, the object says {expected}")]
    Count {
        /// The key.
        key: String,
        /// From the object.
        expected: usize,
        /// In front of the block.
        found: i64,
    },
    /// The file ends inside a storage.
    #[error("the file ends inside storage `{key}`")]
    Truncated {
        /// The key.
        key: String,
    },
    /// Bytes behind the last storage.
    #[error("{bytes} bytes follow the last storage")]
    Trailing {
        /// How many.
        bytes: u64,
    },
}

/// Reads the description of the tensors.
///
/// # Errors
///
/// [`FileError`]; [`FileError::UnknownFormat`] if the first pickle is not torch's magic number.
pub(super) fn read(file: &mut File, length: u64) -> Result<Contents, FileError> {
    file.seek(SeekFrom::Start(0))?;
    let mut data = Vec::new();
    (&mut *file).take(MAX_PICKLE).read_to_end(&mut data)?;
    let mut at = 0;
    let mut next = || -> Result<(Heap<'_>, Id), FileError> {
        let (heap, root, used) = pickle::run(&data[at..])?;
        at += used;
        Ok((heap, root))
    };
    let (heap, magic) = next()?;
    if heap.long(magic) != Some(&MAGIC) {
        return Err(FileError::UnknownFormat {
            looks_like: FileKind::Pickle,
        });
    }
    let (heap, version) = next()?;
    if !matches!(heap.get(version), Node::Int(PROTOCOL)) {
        return Err(LegacyError::Version { expected: PROTOCOL }.into());
    }
    let (heap, machine) = next()?;
    if !is_little_endian(&heap, machine) {
        return Err(LegacyError::ByteOrder.into());
    }
    let (heap, root) = next()?;
    let (list, keys) = next()?;
    let blobs = storages(file, length, at as u64, &heap, &list, keys)?;
    state_dict::contents(&heap, root, |tensor, storage| {
        blobs.get(storage.key.as_str()).cloned().ok_or_else(|| {
            StateDictError::NoStorage {
                tensor: shown(tensor.as_bytes()),
                key: shown(storage.key.as_bytes()),
            }
            .into()
        })
    })
}

/// Whether the description of the machine says so; one without a word on it is not believed.
fn is_little_endian(heap: &Heap<'_>, machine: Id) -> bool {
    let Node::Dict(pairs) = heap.get(machine) else {
        return false;
    };
    let order = pairs.iter().find(|(key, _)| heap.text(*key) == Some("little_endian"));
    order.is_some_and(|(_, value)| matches!(heap.get(*value), Node::Bool(true)))
}

/// Walks the blocks from byte `start` to the end of the file.
fn storages<'l>(
    file: &mut File,
    length: u64,
    start: u64,
    heap: &Heap<'_>,
    list: &Heap<'l>,
    keys: Id,
) -> Result<HashMap<&'l str, Blob>, FileError> {
    let Node::List(keys) = list.get(keys) else {
        return Err(LegacyError::Keys.into());
    };
    let known: HashMap<&str, _> = heap
        .storages()
        .iter()
        .map(|storage| (storage.key.as_str(), storage))
        .collect();
    let mut blobs = HashMap::new();
    let mut at = start;
    for key in keys {
        let key = list.text(*key).ok_or(LegacyError::Keys)?;
        let name = || shown(key.as_bytes());
        let storage = known.get(key).ok_or_else(|| LegacyError::UnknownStorage { key: name() })?;
        let truncated = || LegacyError::Truncated { key: name() };
        if at.checked_add(8).is_none_or(|end| end > length) {
            return Err(truncated().into());
        }
        let mut count = [0u8; 8];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut count)?;
        let found = i64::from_le_bytes(count);
        if usize::try_from(found) != Ok(storage.count) {
            let expected = storage.count;
            return Err(LegacyError::Count {
                key: name(),
                expected,
                found,
            }
            .into());
        }
        at += 8;
        let size = u64::try_from(state_dict::size(storage)).map_err(|_| truncated())?;
        let end = at.checked_add(size).filter(|end| *end <= length).ok_or_else(truncated)?;
        if blobs.insert(key, Blob::plain(at, size)).is_some() {
            return Err(LegacyError::DuplicateStorage { key: name() }.into());
        }
        at = end;
    }
    match length - at {
        0 => Ok(blobs),
        bytes => Err(LegacyError::Trailing { bytes }.into()),
    }
}
