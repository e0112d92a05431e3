//! The tensors of a model inside the values of a pickle.

use super::error::shown;
use super::pickle::heap::{Heap, Id, Node, Storage, Tensor};
use super::view::{TensorError, View};
use super::{Contents, FileError, Place, TensorInfo};

/// The keys below which training scripts put the weights.
const WRAPPERS: [&str; 3] = ["model_state_dict", "state_dict", "model"];
/// Tensors may share storage, as tied weights do, up to this many times the size of all storages.
const MAX_SHARING: u128 = 4;
/// What the tensors of a small file may take whatever they share.
const SMALL: u128 = 1 << 20;

/// Why the values of a pickle are not a state dict.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StateDictError {
    /// The outermost value is no dictionary.
    #[error("the file holds {found}, not a state dict")]
    NotADictionary {
        /// What is there.
        found: &'static str,
    },
    /// Two entries could be the weights.
    #[error("both `{first}` and `{second}` could be the state dict")]
    Ambiguous {
        /// One key.
        first: &'static str,
        /// Another key.
        second: &'static str,
    },
    /// A name that is not text.
    #[error("the state dict has {found} for a name")]
    NameKind {
        /// What is there.
        found: &'static str,
    },
    /// An entry of the state dict is no tensor.
    #[error("entry `{name}` of the state dict is {found}, not a tensor")]
    NotATensor {
        /// Name of the entry.
        name: String,
        /// What is there.
        found: &'static str,
    },
    /// No tensor at all.
    #[error("the state dict is empty")]
    NoTensors,
    /// Many tensors show the same few numbers.
    #[error("the tensors take {tensors} bytes, their storages only {storages}")]
    Shared {
        /// Bytes of all tensors.
        tensors: u128,
        /// Bytes of the storages that they use.
        storages: u128,
    },
    /// A storage that the file does not hold.
    #[error("tensor `{tensor}`: storage `{key}` is not in the file")]
    NoStorage {
        /// Name of the tensor.
        tensor: String,
        /// Key of the storage.
        key: String,
    },
    /// A storage of another size than the pickle says.
    #[error("tensor `{tensor}`: storage `{key}` has {found} bytes, the pickle says {expected}")]
    StorageSize {
        /// Name of the tensor.
        tensor: String,
        /// Key of the storage.
        key: String,
        /// Bytes that the pickle announces.
        expected: u128,
        /// Bytes in the file.
        found: u64,
    },
}

/// The tensors below `root` and the names of the other entries of a wrapped checkpoint.
///
/// `place` says where the block of a storage lies, for the tensor of the given name.
///
/// # Errors
///
/// [`StateDictError`], [`FileError::Tensor`], and the errors of `place`.
pub(super) fn contents(
    heap: &Heap<'_>,
    root: Id,
    place: impl Fn(&str, &Storage) -> Result<super::Blob, FileError>,
) -> Result<Contents, FileError> {
    let (entries, extras) = entries(heap, root)?;
    let mut contents = Contents {
        extras,
        ..Contents::default()
    };
    let mut used = vec![false; heap.storages().len()];
    let mut bytes = 0u128;
    for (name, tensor) in entries {
        let storage = &heap.storages()[tensor.storage];
        let view = View::strided(tensor.offset, &tensor.sizes, &tensor.strides, storage.count);
        let view = view.map_err(|cause| FileError::Tensor {
            tensor: shown(name.as_bytes()),
            cause,
        })?;
        let blob = place(name, storage)?;
        used[tensor.storage] = true;
        bytes += view.count() as u128 * storage.dtype.size() as u128;
        contents.tensors.push((
            TensorInfo {
                name: name.to_owned(),
                dtype: storage.dtype,
                shape: view.shape().to_vec(),
            },
            Place::in_file(blob, 0, view),
        ));
    }
    let storages = heap.storages().iter().zip(used).filter(|(_, used)| *used);
    let storages = storages.map(|(storage, _)| size(storage)).sum();
    if bytes > SMALL && bytes / MAX_SHARING > storages {
        return Err(StateDictError::Shared {
            tensors: bytes,
            storages,
        }
        .into());
    }
    Ok(contents)
}

/// Bytes of a storage.
pub(super) fn size(storage: &Storage) -> u128 {
    storage.count as u128 * storage.dtype.size() as u128
}

/// The entries of the state dict, and the other keys beside it.
#[expect(clippy::type_complexity, reason = "names with their tensors, used once")]
fn entries<'h>(heap: &'h Heap<'_>, root: Id) -> Result<(Vec<(&'h str, &'h Tensor)>, Vec<String>), StateDictError> {
    let Node::Dict(outer) = heap.get(root) else {
        let found = heap.get(root).kind();
        return Err(StateDictError::NotADictionary { found });
    };
    let mut wrapped: Option<(&'static str, &[(Id, Id)])> = None;
    for (key, value) in outer {
        let wrapper = WRAPPERS.iter().find(|wrapper| heap.text(*key) == Some(**wrapper));
        if let (Some(second), Node::Dict(inner)) = (wrapper, heap.get(*value)) {
            if let Some((first, _)) = wrapped {
                return Err(StateDictError::Ambiguous { first, second });
            }
            wrapped = Some((second, inner));
        }
    }
    let mut extras = Vec::new();
    if let Some((wrapper, _)) = wrapped {
        for text in outer.iter().filter_map(|(key, _)| heap.text(*key)) {
            if text != wrapper {
                extras.push(shown(text.as_bytes()));
            }
        }
    }
    let dict = wrapped.map_or(outer.as_slice(), |(_, inner)| inner);
    let mut entries = Vec::with_capacity(dict.len());
    for (key, value) in dict {
        let name = heap.text(*key).ok_or_else(|| StateDictError::NameKind {
            found: heap.get(*key).kind(),
        })?;
        match heap.get(*value) {
            Node::Tensor(tensor) => entries.push((name, tensor.as_ref())),
            other => {
                return Err(StateDictError::NotATensor {
                    name: shown(name.as_bytes()),
                    found: other.kind(),
                });
            }
        }
    }
    if entries.is_empty() {
        return Err(StateDictError::NoTensors);
    }
    Ok((entries, extras))
}

/// Whether a storage of the file has the size that the pickle says.
///
/// # Errors
///
/// [`StateDictError::StorageSize`].
pub(super) fn check_size(tensor: &str, storage: &Storage, found: u64) -> Result<(), StateDictError> {
    let expected = size(storage);
    if expected == u128::from(found) {
        return Ok(());
    }
    Err(StateDictError::StorageSize {
        tensor: shown(tensor.as_bytes()),
        key: shown(storage.key.as_bytes()),
        expected,
        found,
    })
}

/// Whether all names are different and printable.
pub(super) fn check_names<'n>(names: impl Iterator<Item = &'n str>) -> Result<(), FileError> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        let cause = if name.is_empty() || name.len() > 500 || name.chars().any(char::is_control) {
            TensorError::Name
        } else if !seen.insert(name) {
            TensorError::Duplicate
        } else {
            continue;
        };
        let tensor = shown(name.as_bytes());
        return Err(FileError::Tensor { tensor, cause });
    }
    Ok(())
}
