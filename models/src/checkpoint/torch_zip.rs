//! Torch checkpoints since version 1.6: a zip archive of `data.pkl` and one block `data/{key}` a storage.

use std::collections::HashMap;
use std::fs::File;

use super::archive::ArchiveError;
use super::blob::Blob;
use super::error::{FileError, shown};
use super::pickle::{self, MAX_PICKLE, PickleError};
use super::state_dict::{self, StateDictError};
use super::{Contents, whole};

/// The name of the pickle in the archive's one folder.
const PICKLE: &str = "data.pkl";

/// Whether an entry is the pickle of a checkpoint: `NAME/data.pkl`.
pub(super) fn is_pickle(name: &str) -> bool {
    name.strip_suffix(PICKLE)
        .is_some_and(|folder| !folder.is_empty() && folder.find('/') == Some(folder.len() - 1))
}

/// Refuses entries outside the folder, and those that torch, which looks names up without regard to case, would take for a part of the
/// checkpoint though they are spelled otherwise. A `constants.pkl` makes the archive a program for torch.
fn require_plain(folder: &str, entries: &[(String, Blob)]) -> Result<(), ArchiveError> {
    for (name, _) in entries {
        let part = name.strip_prefix(folder).filter(|part| {
            let lower = part.to_ascii_lowercase();
            let known = ["data.pkl", "byteorder", "version"].contains(&lower.as_str()) || lower.starts_with("data/");
            lower != "constants.pkl" && (!known || *part == lower)
        });
        if part.is_none() {
            return Err(ArchiveError::Stray {
                entry: shown(name.as_bytes()),
                folder: shown(folder.as_bytes()),
            });
        }
    }
    Ok(())
}

/// Reads the description of the tensors.
///
/// # Errors
///
/// [`FileError`].
pub(super) fn read(file: &mut File, length: u64, entries: &[(String, Blob)]) -> Result<Contents, FileError> {
    let mut pickles = entries.iter().filter(|(name, _)| is_pickle(name));
    let (name, blob) = pickles.next().ok_or(ArchiveError::Foreign)?;
    if let Some((second, _)) = pickles.next() {
        return Err(ArchiveError::Ambiguous {
            first: shown(name.as_bytes()),
            second: shown(second.as_bytes()),
        }
        .into());
    }
    let folder = &name[..name.len() - PICKLE.len()];
    require_plain(folder, entries)?;
    let blobs: HashMap<&str, &Blob> = entries.iter().map(|(name, blob)| (name.as_str(), blob)).collect();
    let order_name = format!("{folder}byteorder");
    if let Some(blob) = blobs.get(order_name.as_str()) {
        let order = blob.head(file, 16)?;
        if order != b"little" {
            let order = shown(&order);
            return Err(ArchiveError::ByteOrder { order }.into());
        }
    }
    if blob.size > MAX_PICKLE {
        let (size, most) = (blob.size, MAX_PICKLE);
        return Err(PickleError::TooLong { size, most }.into());
    }
    blob.check(name, length)?;
    let data = whole(blob, name, file)?;
    let (heap, root) = pickle::run_whole(&data)?;
    state_dict::contents(&heap, root, |tensor, storage| {
        let entry = format!("{folder}data/{}", storage.key);
        let blob = blobs.get(entry.as_str()).ok_or_else(|| StateDictError::NoStorage {
            tensor: shown(tensor.as_bytes()),
            key: shown(storage.key.as_bytes()),
        })?;
        state_dict::check_size(tensor, storage, blob.size)?;
        blob.check(&entry, length)?;
        Ok((*blob).clone())
    })
}
