//! Where the numbers of a tensor lie.

use std::fs::File;
use std::sync::Arc;

use super::blob::Blob;
use super::dtype::Dtype;
use super::error::FileError;
use super::shown;
use super::view::{TensorError, View};

/// The block that a tensor is a view of.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Bytes of a file.
    File {
        /// Which file: 0 is the model itself, the others lie beside it.
        file: usize,
        /// The bytes that hold the block.
        blob: Blob,
        /// First byte of the block in `blob`.
        start: u64,
    },
    /// Numbers that the reader made: from text, from an inflated stream, or computed from other tensors.
    Memory(Arc<[f64]>),
}

/// A tensor: a block and what of it belongs to the tensor.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) source: Source,
    pub(crate) view: View,
}

impl Place {
    /// A tensor in the model file itself.
    pub(crate) const fn in_file(blob: Blob, start: u64, view: View) -> Self {
        let source = Source::File { file: 0, blob, start };
        Self { source, view }
    }

    /// All elements in row-major order, widened exactly.
    ///
    /// # Errors
    ///
    /// [`TensorError::NotFloat`], a damaged archive, or an error of the system.
    pub(crate) fn read(&self, name: &str, dtype: Dtype, files: &mut [File]) -> Result<Vec<f64>, FileError> {
        if !dtype.is_float() {
            return Err(FileError::Tensor {
                tensor: shown(name.as_bytes()),
                cause: TensorError::NotFloat { dtype },
            });
        }
        let span = self.view.span();
        let values = match &self.source {
            Source::Memory(values) => values[span].to_vec(),
            Source::File { file, blob, start } => {
                let size = dtype.size() as u64;
                let range = start + span.start as u64 * size..start + span.end as u64 * size;
                // no more than the blob holds, which was compared with the file when it was opened
                let mut values = Vec::with_capacity(span.len());
                blob.read(&shown(name.as_bytes()), &mut files[*file], range, |bytes| {
                    dtype.widen(bytes, &mut values)
                })?;
                values
            }
        };
        Ok(self.view.gather(values))
    }
}
