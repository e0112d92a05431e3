//! Why a file could not be read.

use std::fmt;

use super::archive::ArchiveError;
use super::lists::ListsError;
use super::matlab::MatlabError;
use super::npz::NpyError;
use super::onnx::OnnxError;
use super::pickle::PickleError;
use super::safetensors::SafetensorsError;
use super::state_dict::StateDictError;
use super::torch_legacy::LegacyError;
use super::view::TensorError;

/// What a file that is no checkpoint looks like, from its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A PNG image.
    Png,
    /// A JPEG image.
    Jpeg,
    /// A gzip stream.
    Gzip,
    /// A tar archive.
    Tar,
    /// An executable.
    Elf,
    /// HDF5, as Keras and MATLAB v7.3 write it.
    Hdf5,
    /// JSON text.
    Json,
    /// Other text.
    Text,
    /// A Python pickle that torch did not write.
    Pickle,
    /// None of these.
    Unknown,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "a PNG image",
            Self::Jpeg => "a JPEG image",
            Self::Gzip => "a gzip stream",
            Self::Tar => "a tar archive",
            Self::Elf => "an executable",
            Self::Hdf5 => "an HDF5 file (Keras, or MATLAB v7.3)",
            Self::Json => "JSON text",
            Self::Text => "text",
            Self::Pickle => "a Python pickle that torch.save did not write",
            Self::Unknown => "no known file type",
        })
    }
}

/// Why a file could not be read as a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A directory, a device or a pipe.
    #[error("not a regular file")]
    NotAFile,
    /// No bytes.
    #[error("the file is empty")]
    Empty,
    /// None of the formats.
    #[error(
        "not a checkpoint: it looks like {looks_like} (torch zip, torch legacy, safetensors, npz, npy, ONNX, MATLAB v5 and nested lists are read)"
    )]
    UnknownFormat {
        /// What its first bytes say.
        looks_like: FileKind,
    },
    /// A malformed archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A malformed or forbidden pickle.
    #[error("pickle: {0}")]
    Pickle(PickleError),
    /// A pickle without a plain state dict.
    #[error(transparent)]
    StateDict(#[from] StateDictError),
    /// A malformed legacy torch file.
    #[error("torch legacy file: {0}")]
    Legacy(LegacyError),
    /// A malformed safetensors file.
    #[error("safetensors: {0}")]
    Safetensors(SafetensorsError),
    /// A malformed array of an npz archive.
    #[error("array `{tensor}`: {cause}")]
    Npy {
        /// Name of the array.
        tensor: String,
        /// What is wrong.
        cause: NpyError,
    },
    /// A malformed ONNX model.
    #[error("ONNX: {0}")]
    Onnx(OnnxError),
    /// A malformed MATLAB file.
    #[error("MATLAB: {0}")]
    Matlab(MatlabError),
    /// Text that is not matrices as nested lists.
    #[error("nested lists: {0}")]
    Lists(ListsError),
    /// A malformed or unreadable tensor.
    #[error("tensor `{tensor}`: {cause}")]
    Tensor {
        /// Name of the tensor.
        tensor: String,
        /// What is wrong.
        cause: TensorError,
    },
}

impl From<PickleError> for FileError {
    fn from(cause: PickleError) -> Self {
        Self::Pickle(cause)
    }
}

impl From<LegacyError> for FileError {
    fn from(cause: LegacyError) -> Self {
        Self::Legacy(cause)
    }
}

impl From<SafetensorsError> for FileError {
    fn from(cause: SafetensorsError) -> Self {
        Self::Safetensors(cause)
    }
}

impl From<OnnxError> for FileError {
    fn from(cause: OnnxError) -> Self {
        Self::Onnx(cause)
    }
}

impl From<MatlabError> for FileError {
    fn from(cause: MatlabError) -> Self {
        Self::Matlab(cause)
    }
}

impl From<ListsError> for FileError {
    fn from(cause: ListsError) -> Self {
        Self::Lists(cause)
    }
}

/// Bytes from a file as they may be shown: escaped and cut to 80 characters.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(240)]);
    let mut escaped: String = text.escape_debug().take(80).collect();
    if text.escape_debug().count() > 80 || bytes.len() > 240 {
        escaped.push('…');
    }
    escaped
}
