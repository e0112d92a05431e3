//! Files of named tensors: bytes in, names, shapes and float64 numbers out.
//!
//! The format is found from the bytes. Opening reads the description of the tensors and hashes the file; [`Checkpoint::read`] then
//! reads one tensor at a time, so that a file of gigabytes (most of it an optimizer's state) needs the memory of its largest tensor.
//!
//! | format | file | what is refused beside damage |
//! |---|---|---|
//! | torch zip | [`torch_zip`](self) | names that are not on a list of ten, other byte orders |
//! | torch legacy | the same values, another container | the same |
//! | safetensors | names that stand twice, gaps, bytes behind the end | element types below one byte |
//! | npz, npy | arrays of numbers; a single one is called `array` | Python objects, other byte orders |
//! | ONNX | [`onnx`](self) | graphs with branches, operators that no layer here has |
//! | MATLAB v5 | [`matlab`](self) | other byte orders, anything but numbers and cells of them |
//! | nested lists | [`lists`](self) | anything but finite decimals in full matrices |
//!
//! What the names mean is the business of [`crate::architecture`].

pub(crate) mod archive;
mod blob;
mod dtype;
mod error;
mod format;
mod lists;
mod matlab;
mod npz;
mod onnx;
mod pickle;
mod place;
mod safetensors;
mod state_dict;
mod torch_legacy;
mod torch_zip;
mod view;
mod write;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use sha2::{Digest, Sha256};

pub use archive::ArchiveError;
pub use dtype::Dtype;
pub use error::{FileError, FileKind};
pub use format::Format;
pub use lists::ListsError;
pub use matlab::MatlabError;
pub use npz::NpyError;
pub use onnx::{GraphError, NodeError, OnnxError};
pub use pickle::PickleError;
pub use safetensors::SafetensorsError;
pub use state_dict::StateDictError;
pub use torch_legacy::LegacyError;
pub use view::TensorError;
pub use write::{PlainTensor, WriteError, write_safetensors};

use crate::architecture::{Architecture, ArchitectureError, METADATA_KEY};
use crate::error::ModelError;
use archive::ArchiveError as Archive;
use blob::Blob;
pub(crate) use error::shown;
use format::Family;
use place::Place;
pub(crate) use view::position;

/// Name, element type and shape of a stored tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorInfo {
    /// As in the file, without the key of a wrapping dictionary.
    pub name: String,
    /// Type of the elements.
    pub dtype: Dtype,
    /// Sizes; none for a scalar.
    pub shape: Vec<usize>,
}

impl TensorInfo {
    /// Number of elements.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What a reader of one format finds.
#[derive(Debug, Default)]
struct Contents {
    tensors: Vec<(TensorInfo, Place)>,
    metadata: BTreeMap<String, String>,
    extras: Vec<String>,
    structure: Structure,
    computed: Vec<String>,
    /// The files that the tensors lie in, the checkpoint itself first; empty if there is no other.
    files: Vec<File>,
}

/// What the file itself says about the layers that its tensors belong to.
#[derive(Debug, Default)]
pub(crate) enum Structure {
    /// Nothing, or what the metadata say: it follows from the names.
    #[default]
    Unsaid,
    /// A graph that is a chain of layers.
    Known(Box<Architecture>),
    /// A graph that is not read.
    Refused(GraphError),
}

/// An open checkpoint file.
///
/// The hash is that of the bytes at the time of opening; the numbers are read from the same open file afterwards.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    format: Format,
    sha256: String,
    bytes: u64,
    tensors: Vec<TensorInfo>,
    places: Vec<Place>,
    index: BTreeMap<String, usize>,
    metadata: BTreeMap<String, String>,
    extras: Vec<String>,
    structure: Structure,
    computed: Vec<String>,
    files: Mutex<Vec<File>>,
}

impl Checkpoint {
    /// Opens a file of any of the formats, hashes it, and reads the description of its tensors.
    ///
    /// Memory is bounded by the limits of the readers (16 MiB of pickle or header), whatever the file says.
    ///
    /// # Errors
    ///
    /// [`ModelError::File`], with the reason.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        Self::open_file(path).map_err(|cause| ModelError::File {
            path: path.to_owned(),
            cause: Box::new(cause),
        })
    }

    fn open_file(path: &Path) -> Result<Self, FileError> {
        // before opening, which would wait on a pipe
        if !fs::metadata(path)?.is_file() {
            return Err(FileError::NotAFile);
        }
        let mut file = File::open(path)?;
        let mut head = Vec::new();
        (&mut file).take(300).read_to_end(&mut head)?;
        if head.is_empty() {
            return Err(FileError::Empty);
        }
        let length = file.metadata()?.len();
        let (format, contents) = match format::sniff(&head) {
            Family::Zip => {
                let entries = archive::entries(&mut file, length)?;
                if entries.iter().any(|(name, _)| torch_zip::is_pickle(name)) {
                    (Format::TorchZip, torch_zip::read(&mut file, length, &entries)?)
                } else if entries.iter().any(|(name, _)| name.ends_with(".npy")) {
                    (Format::Npz, npz::read(&mut file, length, entries)?)
                } else {
                    return Err(Archive::Foreign.into());
                }
            }
            Family::Pickle => (Format::TorchLegacy, torch_legacy::read(&mut file, length)?),
            Family::Safetensors => (Format::Safetensors, safetensors::read(&mut file, length)?),
            Family::Npy => (Format::Npy, npz::read_single(&mut file, length)?),
            Family::Onnx => (Format::Onnx, onnx::read(path, file.try_clone()?, length)?),
            Family::Matlab => (Format::Matlab, matlab::read(&mut file, length)?),
            Family::Lists => (Format::Lists, lists::read(&mut file, length)?),
            Family::Other(looks_like) => return Err(FileError::UnknownFormat { looks_like }),
        };
        state_dict::check_names(contents.tensors.iter().map(|(info, _)| info.name.as_str()))?;
        let mut files = contents.files;
        if files.is_empty() {
            files.push(file);
        }
        let (sha256, bytes) = hash(&mut files)?;
        let (tensors, places): (Vec<TensorInfo>, Vec<Place>) = contents.tensors.into_iter().unzip();
        let index = tensors.iter().enumerate().map(|(i, info)| (info.name.clone(), i)).collect();
        Ok(Self {
            path: path.to_owned(),
            format,
            sha256,
            bytes,
            tensors,
            places,
            index,
            metadata: contents.metadata,
            extras: contents.extras,
            structure: contents.structure,
            computed: contents.computed,
            files: Mutex::new(files),
        })
    }

    /// Adds a declaration of the architecture, as [`crate::architecture`] describes it, to a file that has none of its own.
    ///
    /// # Errors
    ///
    /// [`ModelError::Architecture`] if the file declares its architecture: it cannot be told to be another.
    pub fn declare(&mut self, declaration: String) -> Result<(), ModelError> {
        if self.metadata.contains_key(METADATA_KEY) || !matches!(self.structure, Structure::Unsaid) {
            return Err(ModelError::Architecture {
                path: self.path.clone(),
                cause: Box::new(ArchitectureError::Declared),
            });
        }
        self.metadata.insert(METADATA_KEY.to_owned(), declaration);
        Ok(())
    }

    /// The path that was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The format that was found.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// SHA-256 of all bytes of the file, 64 lower-case hexadecimal digits; with external data, of the model file followed by the other
    /// files in the order in which it first names them.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Bytes of the file and of the files beside it that belong to it.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The tensors of the model in the order of the file; those of an optimizer are not among them.
    #[must_use]
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The free text entries of a safetensors file (`__metadata__`); empty for other formats.
    #[must_use]
    pub const fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The keys beside the state dict of a wrapped torch checkpoint, such as `optimizer_state_dict`.
    #[must_use]
    pub fn extras(&self) -> &[String] {
        &self.extras
    }

    /// Names of the tensors that the file does not store but that its graph computes from others. Each step was rounded to the nearest
    /// number of the element type, and the network has the results.
    #[must_use]
    pub fn computed(&self) -> &[String] {
        &self.computed
    }

    /// What the file says about its layers.
    pub(crate) const fn structure(&self) -> &Structure {
        &self.structure
    }

    /// The name, type and shape of one tensor.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.index.get(name).map(|index| &self.tensors[*index])
    }

    /// All elements of one tensor in row-major order, widened exactly to float64. NaN and infinities pass.
    ///
    /// # Errors
    ///
    /// [`ModelError::File`] with [`TensorError::Missing`], [`TensorError::NotFloat`], a damaged archive, or an error of the system.
    pub fn read(&self, name: &str) -> Result<Vec<f64>, ModelError> {
        self.read_tensor(name).map_err(|cause| ModelError::File {
            path: self.path.clone(),
            cause: Box::new(cause),
        })
    }

    fn read_tensor(&self, name: &str) -> Result<Vec<f64>, FileError> {
        let refuse = |cause| FileError::Tensor {
            tensor: shown(name.as_bytes()),
            cause,
        };
        let index = *self.index.get(name).ok_or_else(|| refuse(TensorError::Missing))?;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        self.places[index].read(name, self.tensors[index].dtype, &mut files)
    }
}

/// The bytes of a whole small block.
fn whole(blob: &Blob, name: &str, file: &mut File) -> Result<Vec<u8>, FileError> {
    let mut data = Vec::new();
    blob.read(&shown(name.as_bytes()), file, 0..blob.size, |bytes| {
        data.extend_from_slice(bytes)
    })?;
    Ok(data)
}

/// SHA-256 and length of a model: of the bytes of its file; of several files, that of their digests (32 bytes each) one behind the other, so that it matters
/// where one file ends.
fn hash(files: &mut [File]) -> Result<(String, u64), FileError> {
    let mut digests = Vec::new();
    let mut bytes = 0;
    for file in files {
        let (digest, length) = hash_file(file)?;
        digests.push(digest);
        bytes += length;
    }
    let digest = match digests.as_slice() {
        [only] => *only,
        several => Sha256::digest(several.concat()).into(),
    };
    Ok((digest.iter().map(|byte| format!("{byte:02x}")).collect(), bytes))
}

/// SHA-256 and length of all bytes of a file.
fn hash_file(file: &mut File) -> Result<([u8; 32], u64), FileError> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0u8; 1 << 18];
    let mut bytes = 0;
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        hasher.update(&buffer[..length]);
        bytes += length as u64;
    }
    Ok((hasher.finalize().into(), bytes))
}
