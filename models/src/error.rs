//! Why a file is not a network.

use std::path::PathBuf;

use lipcert_proofs::CheckError;

use crate::architecture::ArchitectureError;
use crate::checkpoint::FileError;

/// Why a file could not be read as a network. The outermost layer names the file, the inner ones the tensor and the numbers.
///
/// The inner error is part of the text and is not repeated by [`std::error::Error::source`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file is not a checkpoint that can be read.
    #[error("`{}`: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: Box<FileError>,
    },
    /// The tensors are not those of an architecture that is known here.
    #[error("`{}`: {cause}", path.display())]
    Architecture {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        cause: Box<ArchitectureError>,
    },
    /// A layer's numbers are not acceptable, or do not fit the layer before.
    #[error("`{}`: layer {index} (`{layer}`): {cause}", path.display())]
    Layer {
        /// The file.
        path: PathBuf,
        /// Zero-based position in the network.
        index: usize,
        /// Name of the layer.
        layer: String,
        /// What is wrong.
        cause: Box<CheckError>,
    },
    /// A preprocessing that cannot be read.
    #[error("preprocess `{text}`: {cause}")]
    Preprocess {
        /// The text, shortened to 80 characters.
        text: String,
        /// What is wrong.
        cause: crate::preprocess::PreprocessError,
    },
    /// Tensors that cannot be written.
    #[error("tensor `{tensor}` cannot be written: {cause}")]
    Write {
        /// The tensor.
        tensor: String,
        /// What is wrong.
        cause: crate::checkpoint::WriteError,
    },
}
