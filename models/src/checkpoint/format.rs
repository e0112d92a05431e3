//! Which format a file has, from its bytes.

use std::fmt;

use serde::Serialize;

use super::error::FileKind;
use super::safetensors::MAX_HEADER;

/// Format of a checkpoint file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// `torch.save` since version 1.6: a zip archive.
    TorchZip,
    /// `torch.save` before version 1.6, or with the old layout asked for.
    TorchLegacy,
    /// Safetensors.
    Safetensors,
    /// An archive of numpy arrays.
    Npz,
    /// One numpy array.
    Npy,
    /// A graph of the Open Neural Network Exchange.
    Onnx,
    /// MATLAB version 5.
    Matlab,
    /// Matrices as nested lists of decimals in text.
    Lists,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TorchZip => "torch-zip",
            Self::TorchLegacy => "torch-legacy",
            Self::Safetensors => "safetensors",
            Self::Npz => "npz",
            Self::Npy => "npy",
            Self::Onnx => "onnx",
            Self::Matlab => "matlab",
            Self::Lists => "lists",
        })
    }
}

/// The family of formats that the first bytes announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// A torch checkpoint or numpy arrays.
    Zip,
    /// A legacy torch checkpoint or another pickle.
    Pickle,
    /// Safetensors.
    Safetensors,
    /// One numpy array.
    Npy,
    /// A message of protocol buffers that begins as a model does.
    Onnx,
    /// MATLAB version 5.
    Matlab,
    /// Text that begins with two brackets.
    Lists,
    /// Nothing that is read.
    Other(FileKind),
}

/// Judges a file by its first bytes (300 are enough).
pub(super) fn sniff(head: &[u8]) -> Family {
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Family::Zip;
    }
    if let Some((size, rest)) = head.split_first_chunk::<8>()
        && rest.first() == Some(&b'{')
        && u64::from_le_bytes(*size) <= MAX_HEADER
    {
        return Family::Safetensors;
    }
    // behind safetensors, whose header length may begin with the same two bytes
    if let [0x80, 2..=5, ..] = head {
        return Family::Pickle;
    }
    let starts = |magic: &[u8]| head.starts_with(magic);
    // the first field of a model is its version, a small number; the next one is another field that models have
    if let [0x08, 1..=0x7f, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72, ..] = head {
        return Family::Onnx;
    }
    if starts(b"\x93NUMPY") {
        return Family::Npy;
    }
    if starts(b"MATLAB 5.0") || matches!(head.get(124..128), Some([_, _, b'I', b'M'] | [_, _, b'M', b'I'])) && starts(b"MATLAB") {
        return Family::Matlab;
    }
    let text = !head.is_empty()
        && head
            .iter()
            .all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..));
    if text && head.starts_with(b"[[") {
        return Family::Lists;
    }
    Family::Other(if starts(b"\x89PNG") {
        FileKind::Png
    } else if starts(b"\xff\xd8\xff") {
        FileKind::Jpeg
    } else if starts(b"\x1f\x8b") {
        FileKind::Gzip
    } else if starts(b"\x7fELF") {
        FileKind::Elf
    } else if starts(b"\x89HDF\r\n") || starts(b"MATLAB 7.3") {
        FileKind::Hdf5
    } else if head.get(257..262) == Some(b"ustar") {
        FileKind::Tar
    } else if text && matches!(head.trim_ascii_start().first(), Some(b'{' | b'[')) {
        FileKind::Json
    } else if text {
        FileKind::Text
    } else {
        FileKind::Unknown
    })
}
