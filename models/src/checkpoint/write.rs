//! Writes safetensors files that [`super::Checkpoint`] reads back.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{TensorView, serialize};

use crate::error::ModelError;

/// A tensor to be written, float32, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct PlainTensor {
    /// Its name.
    pub name: String,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Its elements.
    pub values: Vec<f32>,
}

/// Why a tensor cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The shape asks for another number of elements, or the name stands twice.
    #[error("shape {shape:?} and {values} elements do not agree, or the name stands twice")]
    Shape {
        /// The sizes.
        shape: Vec<usize>,
        /// Number of elements.
        values: usize,
    },
    /// The library refused.
    #[error("{0}")]
    Library(safetensors::SafeTensorError),
}

/// The bytes of a safetensors file with these tensors and free text entries.
///
/// Bits of the elements are kept. An architecture goes into the entry [`crate::architecture::METADATA_KEY`].
///
/// # Errors
///
/// [`ModelError::Write`].
pub fn write_safetensors(metadata: &BTreeMap<String, String>, tensors: &[PlainTensor]) -> Result<Vec<u8>, ModelError> {
    let refuse = |tensor: &str, cause| ModelError::Write {
        tensor: super::shown(tensor.as_bytes()),
        cause,
    };
    let mut bytes: Vec<(&PlainTensor, Vec<u8>)> = Vec::with_capacity(tensors.len());
    for (position, tensor) in tensors.iter().enumerate() {
        let count = tensor
            .shape
            .iter()
            .try_fold(1usize, |product, size| product.checked_mul(*size));
        let twice = tensors[..position].iter().any(|other| other.name == tensor.name);
        if count != Some(tensor.values.len()) || twice {
            let cause = WriteError::Shape {
                shape: tensor.shape.clone(),
                values: tensor.values.len(),
            };
            return Err(refuse(&tensor.name, cause));
        }
        bytes.push((tensor, tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect()));
    }
    let mut views = Vec::with_capacity(bytes.len());
    for (tensor, bytes) in &bytes {
        let view = TensorView::new(safetensors::Dtype::F32, tensor.shape.clone(), bytes);
        let view = view.map_err(|cause| refuse(&tensor.name, WriteError::Library(cause)))?;
        views.push((tensor.name.as_str(), view));
    }
    let metadata: HashMap<String, String> = metadata.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    serialize(views, (!metadata.is_empty()).then_some(metadata)).map_err(|cause| refuse("*", WriteError::Library(cause)))
}
