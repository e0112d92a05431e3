//! Everything that a training must know to go on as if it had never stopped.

use std::collections::BTreeMap;
use std::path::Path;

use lipcert_models::checkpoint::{Checkpoint, PlainTensor, write_safetensors};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::TrainError;
use crate::metrics::Counts;
use crate::parameters::{sizes, values};

/// Entry of the file's metadata.
const KEY: &str = "lipcert.training";

/// Where a training stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Digest of the configuration and of the start, so that no other training goes on from here.
    pub identity: String,
    /// Steps done.
    pub step: usize,
    /// Of the epoch that is under way.
    pub counts: Counts,
    /// Highest approximate certified accuracy on the held-out samples so far, and its epoch.
    pub best: Option<(f64, usize)>,
}

/// Writes the position and named tensors, float32; the file is replaced at once or not at all.
///
/// # Errors
///
/// [`TrainError::File`], [`TrainError::Model`].
pub fn write(path: &Path, position: &Position, tensors: &[(String, Tensor)]) -> Result<(), TrainError> {
    let plain: Result<Vec<PlainTensor>, TrainError> = tensors
        .iter()
        .map(|(name, tensor)| {
            Ok(PlainTensor {
                name: name.clone(),
                shape: tensor.size().iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect(),
                values: values(tensor)?,
            })
        })
        .collect();
    let text = serde_json::to_string(position).expect("numbers and texts");
    replace(path, &write_safetensors(&[(KEY.to_owned(), text)].into(), &plain?)?)
}

/// Reads what [`write`] wrote.
///
/// # Errors
///
/// [`TrainError::Model`] if the file cannot be read, [`TrainError::NoState`] if it is no state.
pub fn read(path: &Path) -> Result<(Position, BTreeMap<String, Tensor>), TrainError> {
    let checkpoint = Checkpoint::open(path)?;
    let refuse = || TrainError::NoState { path: path.to_owned() };
    let text = checkpoint.metadata().get(KEY).ok_or_else(refuse)?;
    let position = serde_json::from_str(text).map_err(|_| refuse())?;
    let mut tensors = BTreeMap::new();
    for info in checkpoint.tensors() {
        let tensor = Tensor::f_from_slice(&checkpoint.read(&info.name)?)?;
        tensors.insert(info.name.clone(), tensor.f_view(sizes(&info.shape))?);
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
    let beside = path.with_extension("part");
    std::fs::write(&beside, bytes).map_err(refuse)?;
    std::fs::rename(&beside, path).map_err(refuse)
}

/// Overwrites tensors by those of the same names.
///
/// # Errors
///
/// [`TrainError::StateTensor`] for the first that is missing or has another shape.
pub fn restore<'t>(
    prefix: &str,
    targets: impl IntoIterator<Item = (String, &'t Tensor)>,
    saved: &BTreeMap<String, Tensor>,
) -> Result<(), TrainError> {
    for (name, target) in targets {
        let name = format!("{prefix}{name}");
        match saved.get(&name) {
            Some(tensor) if tensor.size() == target.size() => {
                tch::no_grad(|| target.shallow_clone().copy_(tensor));
            }
            _ => return Err(TrainError::StateTensor { tensor: name }),
        }
    }
    Ok(())
}
