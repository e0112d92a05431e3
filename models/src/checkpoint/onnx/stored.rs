//! The tensors that a model file stores, in itself or in files beside it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::blob::Blob;
use super::super::dtype::Dtype;
use super::super::error::{FileError, shown};
use super::super::place::{Place, Source};
use super::super::view::{TensorError, View};
use super::OnnxError;
use super::constant::Constant;
use super::model::{Data, External, Tensor};

/// The most elements of a tensor of integers that may describe a shape.
const MAX_SHAPE: usize = 64;
/// The most files beside a model.
const MAX_FILES: usize = 256;

/// The model file and the files beside it, in the order in which they are first named.
#[derive(Debug)]
pub(super) struct Files<'p> {
    model: &'p Path,
    names: Vec<PathBuf>,
    pub(super) open: Vec<File>,
    lengths: Vec<u64>,
}

impl<'p> Files<'p> {
    /// Only the model file so far.
    pub(super) fn new(model: &'p Path, file: File, length: u64) -> Self {
        Self {
            model,
            names: vec![PathBuf::new()],
            open: vec![file],
            lengths: vec![length],
        }
    }

    /// Bytes of all files together.
    pub(super) fn bytes(&self) -> u64 {
        self.lengths.iter().sum()
    }

    /// Opens a file beside the model: a plain name without any folder.
    fn beside(&mut self, location: &str) -> Result<usize, String> {
        let plain = !location.contains(['/', '\\', '\0', ':']) && !matches!(location, "" | "." | "..");
        if !plain {
            return Err("only files beside the model are read, by their plain name".to_owned());
        }
        let path = self.model.parent().unwrap_or(Path::new("")).join(location);
        if let Some(index) = self.names.iter().position(|name| *name == path) {
            return Ok(index);
        }
        if self.names.len() > MAX_FILES {
            return Err(format!("more than {MAX_FILES} files"));
        }
        let metadata = fs::metadata(&path).map_err(|cause| cause.to_string())?;
        if !metadata.is_file() {
            return Err("not a regular file".to_owned());
        }
        let file = File::open(&path).map_err(|cause| cause.to_string())?;
        let length = file.metadata().map_err(|cause| cause.to_string())?.len();
        self.names.push(path);
        self.open.push(file);
        self.lengths.push(length);
        Ok(self.open.len() - 1)
    }

    /// The bytes that the entries of `external_data` name; all of the file behind the offset where no length is given.
    fn external(&mut self, external: External<'_>) -> Result<(usize, u64, u64), String> {
        let location = external.location.ok_or("no location is given")?;
        let number = |text: &str| {
            text.parse::<u64>()
                .map_err(|_| format!("`{}` is not a number", shown(text.as_bytes())))
        };
        let offset = external.offset.map_or(Ok(0), number)?;
        let index = self.beside(location)?;
        let length = self.lengths[index];
        let room = length
            .checked_sub(offset)
            .ok_or_else(|| format!("offset {offset} lies behind the end, {length} bytes"))?;
        let size = external.length.map_or(Ok(room), number)?;
        if size > room {
            return Err(format!("{size} bytes from offset {offset} do not fit into {length} bytes"));
        }
        Ok((index, offset, size))
    }
}

/// The element types that are read, by their code.
const fn dtype(code: i64) -> Option<Dtype> {
    Some(match code {
        1 => Dtype::Float32,
        2 => Dtype::Uint8,
        3 => Dtype::Int8,
        4 => Dtype::Uint16,
        5 => Dtype::Int16,
        6 => Dtype::Int32,
        7 => Dtype::Int64,
        9 => Dtype::Bool,
        10 => Dtype::Float16,
        11 => Dtype::Float64,
        12 => Dtype::Uint32,
        13 => Dtype::Uint64,
        16 => Dtype::Bfloat16,
        _ => return None,
    })
}

/// Checks a stored tensor: type, sizes, and as many bytes as they need. That of an attribute has no files beside the model.
pub(super) fn constant(tensor: &Tensor<'_>, files: Option<&mut Files<'_>>) -> Result<Constant, FileError> {
    let name = || shown(tensor.name.as_bytes());
    let refuse = |cause| FileError::Tensor { tensor: name(), cause };
    let data = |what| OnnxError::Data { tensor: name(), what };
    let code = tensor.element;
    let dtype = dtype(code).ok_or_else(|| OnnxError::Element { tensor: name(), code })?;
    let negative = |value: i64| refuse(TensorError::Negative { what: "a size", value });
    let sizes: Result<Vec<usize>, _> = tensor
        .sizes
        .iter()
        .map(|size| usize::try_from(*size).map_err(|_| negative(*size)))
        .collect();
    let view = View::row_major(sizes?).map_err(refuse)?;
    let expected = (view.count() * dtype.size()) as u64;
    let size = |found| OnnxError::Size {
        tensor: name(),
        shape: view.shape().to_vec(),
        dtype,
        expected,
        found,
    };
    let (source, integers) = match &tensor.data {
        Data::Block { block, only } => {
            if only.is_some_and(|only| only != code) {
                return Err(data("the numbers stand in the field of another element type").into());
            }
            let found = block.bytes.len() as u64;
            if found != expected {
                return Err(size(found).into());
            }
            let blob = Blob::plain(block.at, found);
            let source = Source::File { file: 0, blob, start: 0 };
            (source, integers_of(dtype, view.count(), block.bytes))
        }
        Data::External(external) => {
            let found = match files {
                Some(files) => files.external(*external),
                None => Err("an attribute cannot have external data here".to_owned()),
            };
            let (file, offset, found) = found.map_err(|what| OnnxError::External {
                tensor: name(),
                location: shown(external.location.unwrap_or("").as_bytes()),
                what,
            })?;
            if found != expected {
                return Err(size(found).into());
            }
            let blob = Blob::plain(offset, found);
            (Source::File { file, blob, start: 0 }, None)
        }
        Data::Integers(values) => {
            if dtype.is_float() {
                return Err(data("floats in a field of integers are not read").into());
            }
            if values.len() != view.count() {
                return Err(size((values.len() * dtype.size()) as u64).into());
            }
            (Source::Memory(Arc::new([])), Some(values.as_slice().into()))
        }
        Data::None if expected == 0 => (Source::Memory(Arc::new([])), Some(Arc::new([]) as Arc<[i64]>)),
        Data::None => return Err(data("no numbers").into()),
        Data::Other(field) => {
            let what = match *field {
                "two kinds of data" => "the numbers stand in two places, or in another than `data_location` says",
                other => other,
            };
            return Err(data(what).into());
        }
    };
    Ok(Constant {
        dtype,
        place: Place { source, view },
        integers,
        computed: false,
    })
}

/// The elements of a short tensor of 32-bit or 64-bit integers, or of truth values.
fn integers_of(dtype: Dtype, count: usize, bytes: &[u8]) -> Option<Arc<[i64]>> {
    if count > MAX_SHAPE {
        return None;
    }
    match dtype {
        Dtype::Int64 => Some(bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
        Dtype::Int32 => Some(bytes.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b).into()).collect()),
        Dtype::Bool => Some(bytes.iter().map(|byte| i64::from(*byte)).collect()),
        _ => None,
    }
}
