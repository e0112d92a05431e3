//! Everything that a training must know to go on as if it had never stopped.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use lipcert_models::checkpoint::{Checkpoint, PlainTensor, write_safetensors};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};
use tempfile::NamedTempFile;

use crate::TrainError;
use crate::metrics::Counts;
use crate::parameters::{sizes, values};

/// Entry of the file's metadata.
const KEY: &str = "lipcert.training";

/// Digests of everything that decides what a training does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Of the configuration.
    pub config: String,
    /// Of the samples.
    pub data: String,
    /// Of the network that it starts from.
    pub start: String,
}

impl Identity {
    /// The first thing that is another one, in words.
    #[must_use]
    pub fn other(&self, other: &Self) -> Option<&'static str> {
        if self.config != other.config {
            Some("configuration")
        } else if self.data != other.data {
            Some("data set")
        } else if self.start != other.start {
            Some("network to start from")
        } else {
            None
        }
    }
}

/// Where a training stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// So that no other training goes on from here.
    pub identity: Identity,
    /// Steps done.
    pub step: usize,
    /// Of the epoch that is under way.
    pub counts: Counts,
    /// Single numbers of the optimiser and the loss, by name; float64, where tensors are float32.
    pub numbers: BTreeMap<String, f64>,
    /// The epoch that the model is of.
    pub best: Option<usize>,
    /// SHA-256 of its file.
    pub digest: Option<String>,
    /// Its approximate certified accuracy on the held-out samples, if there are any.
    pub best_certified: Option<f64>,
}

/// Writes the position and named tensors; the file is replaced at once or not at all.
///
/// Tensors of float32 are kept as they are; others must be single numbers, which float64 holds.
///
/// # Errors
///
/// [`TrainError::File`], [`TrainError::Model`].
///
/// # Panics
///
/// If a tensor of another kind has more than one number.
pub fn write(path: &Path, position: &Position, tensors: Vec<(String, Tensor)>) -> Result<(), TrainError> {
    replace(path, &bytes(position, tensors)?)
}

/// What [`write()`] writes.
///
/// # Errors
///
/// [`TrainError::Model`].
///
/// # Panics
///
/// As [`write()`].
pub fn bytes(position: &Position, tensors: Vec<(String, Tensor)>) -> Result<Vec<u8>, TrainError> {
    let mut position = position.clone();
    let mut plain = Vec::new();
    for (name, tensor) in tensors {
        if tensor.kind() == Kind::Float {
            plain.push(PlainTensor {
                name,
                shape: tensor
                    .size()
                    .iter()
                    .map(|size| usize::try_from(*size).expect("a size"))
                    .collect(),
                values: values(&tensor)?,
            });
        } else {
            position.numbers.insert(name, tensor.double_value(&[]));
        }
    }
    let text = serde_json::to_string(&position).expect("numbers and texts");
    Ok(write_safetensors(&[(KEY.to_owned(), text)].into(), &plain)?)
}

/// Reads what [`write()`] wrote.
///
/// # Errors
///
/// [`TrainError::Model`] if the file cannot be read, [`TrainError::NoState`] if it is no state.
pub fn read(path: &Path) -> Result<(Position, Vec<(String, Tensor)>), TrainError> {
    let checkpoint = Checkpoint::open(path)?;
    let refuse = || TrainError::NoState { path: path.to_owned() };
    let text = checkpoint.metadata().get(KEY).ok_or_else(refuse)?;
    let mut position: Position = serde_json::from_str(text).map_err(|_| refuse())?;
    let numbers = std::mem::take(&mut position.numbers).into_iter();
    let mut tensors: Vec<(String, Tensor)> = numbers.map(|(name, value)| (name, Tensor::from(value))).collect();
    for info in checkpoint.tensors() {
        let tensor = Tensor::f_from_slice(&checkpoint.read(&info.name)?)?.f_to_kind(Kind::Float)?;
        tensors.push((info.name.clone(), tensor.f_view(sizes(&info.shape).as_slice())?));
    }
    Ok((position, tensors))
}

/// Writes a file beside its place and moves it there.
///
/// # Errors
///
/// [`TrainError::File`].
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let refuse = |cause| TrainError::File {
        path: path.to_owned(),
        cause,
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = draft(folder).map_err(refuse)?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(refuse)?;
    file.persist(path).map(drop).map_err(|error| refuse(error.error))
}

/// A file in a folder under a name that nobody has, as readable as any new file; it goes when it is dropped.
pub(crate) fn draft(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".lipcert-train-").suffix(".safetensors");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// A new file in the place of one that there may be; a link there is replaced, not followed.
pub(crate) fn fresh(path: &Path) -> std::io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::create_new(path)
}
