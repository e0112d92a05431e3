//! ONNX models that are one chain of layers.
//!
//! The file is one message of protocol buffers ([`wire`], [`model`]); weights stay where they are, in the file or in files beside it, and
//! are read one tensor at a time like those of every other format. The graph is then walked once ([`graph`]): what depends on the input
//! becomes a layer, everything else is a constant. The model is in memory while it is opened, and nothing grows beyond a small multiple of
//! the file.
//!
//! | operator | becomes |
//! |---|---|
//! | `Gemm` (`alpha = beta = 1`), `MatMul` with one constant | `dense`; an `Add` right behind it is its bias |
//! | `Relu`, `LeakyRelu` | the activation |
//! | `Add`, `Sub`, `Mul`, `Div` with a constant | one operand an entry; a `Mul` right behind a `dense` is multiplied in where every product is a float64 exactly |
//! | `Flatten`, `Reshape`, `Unsqueeze` | another shape of the same sample |
//! | `Identity`, `Dropout` | nothing |
//! | `Constant`, `Shape`, `Gather`, `Concat`, `Unsqueeze`, `Reshape`, `Add` …, `MatMul` with a vector, all of constants | a constant; see [`constant`] |
//!
//! Everything else is refused by the name of the node: other operators and attributes, branches, several inputs or outputs.
//!
//! External data are read from files beside the model only, named without any folder. The SHA-256 of such a model is that of the model file
//! followed by these files in the order in which its initializers first name them, and its length is the sum.

mod constant;
mod draft;
mod error;
mod graph;
mod layer;
mod model;
mod operator;
mod stored;
mod wire;

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

pub use error::{GraphError, NodeError, OnnxError};

use self::constant::Desk;
use self::model::Model;
use self::stored::Files;
use self::wire::Message;
use super::error::{FileError, shown};
use super::view::TensorError;
use super::{Contents, Structure, TensorInfo};

/// The longest message of protocol buffers.
const MAX_SIZE: u64 = (1 << 31) - 1;
/// Numbers that the layers may have beyond two a byte of the file.
const SPARE: usize = 1 << 18;

/// Reads the model and walks its graph. A graph that is not read leaves the initializers to look at.
///
/// # Errors
///
/// [`OnnxError`], [`FileError::Tensor`], [`FileError::Io`].
pub(super) fn read(path: &Path, mut file: File, length: u64) -> Result<Contents, FileError> {
    if length > MAX_SIZE {
        let (size, most) = (length, MAX_SIZE);
        return Err(OnnxError::TooLong { size, most }.into());
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    (&mut file).take(MAX_SIZE).read_to_end(&mut bytes)?;
    let model = Model::read(Message { bytes: &bytes, at: 0 })?;
    let mut files = Files::new(path, file, bytes.len() as u64);
    let mut stored = Vec::new();
    let mut constants = HashMap::new();
    for tensor in &model.graph.initializers {
        let constant = stored::constant(tensor, Some(&mut files))?;
        if constants.insert(tensor.name, constant.clone()).is_some() {
            return Err(FileError::Tensor {
                tensor: shown(tensor.name.as_bytes()),
                cause: TensorError::Duplicate,
            });
        }
        stored.push((tensor.name, constant));
    }
    let numbers = usize::try_from(files.bytes()).unwrap_or(usize::MAX);
    let mut desk = Desk {
        files: &mut files.open,
        budget: numbers.saturating_mul(2).saturating_add(SPARE),
    };
    let walked = graph::walk(&model, constants, &mut desk);
    let mut contents = Contents::default();
    match walked {
        Ok(walked) => {
            contents.tensors = walked.tensors;
            contents.computed = walked.computed;
            contents.structure = Structure::Known(Box::new(walked.architecture));
        }
        Err(cause) => {
            contents.tensors = stored
                .into_iter()
                .map(|(name, constant)| {
                    let info = TensorInfo {
                        name: name.to_owned(),
                        dtype: constant.dtype,
                        shape: constant.shape().to_vec(),
                    };
                    (info, constant.place)
                })
                .collect();
            contents.structure = Structure::Refused(cause);
        }
    }
    contents.files = files.open;
    Ok(contents)
}
