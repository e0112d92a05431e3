//! Which map the tensors of a file are the parameters of.
//!
//! Two sources: the names and shapes of the authors' SLL code ([`sll`](self)), and a declaration in the metadata of a safetensors
//! file (below). In both cases the set of tensors must be exactly the expected one: an extra or a missing tensor is refused by name.
//!
//! # Declaration
//!
//! The entry [`METADATA_KEY`] of a safetensors file is a JSON object; for other files the caller may declare the same:
//!
//! ```json
//! {
//!   "schema": "lipcert/architecture/1",
//!   "name": "sll",
//!   "input": [1, 8, 8],
//!   "preprocess": { "mean": ["0.3053"], "std": ["1"] },
//!   "layers": [
//!     { "kind": "pad-channels", "name": "0", "channels": 24 },
//!     { "kind": "sll-conv", "name": "1" },
//!     { "kind": "average-pool", "name": "2", "size": 4, "divisor": 4 },
//!     { "kind": "flatten", "name": "3" },
//!     { "kind": "sll-dense", "name": "4" },
//!     { "kind": "normalized-head", "name": "5" }
//!   ]
//! }
//! ```
//!
//! `input` (channels, height, width) and `preprocess` may be `null` or absent; unknown fields are refused. A layer with parameters
//! finds them under its name:
//!
//! | kind | tensors | shapes |
//! |---|---|---|
//! | `sll-conv`, `sll-conv-weighted` | `NAME.kernel`, `NAME.bias`, `NAME.q` | `(inner, channels, k, k)`, `(inner,)`, `(inner,)` |
//! | `residual-conv` | `NAME.kernel`, `NAME.bias`, `NAME.factor` | the same; `factor` is `1/T` |
//! | `sll-dense`, `aol-dense` | `NAME.weight`, `NAME.bias`, `NAME.q` | `(inner, n)`, `(inner,)`, `(inner,)` |
//! | `residual-dense` | `NAME.weight`, `NAME.bias`, `NAME.factor` | the same |
//! | `normalized-head` | `NAME.weight`, `NAME.bias` | `(classes, n)`, `(classes,)` |
//!
//! A bias may have the shapes of the authors' code too: `(1, inner, 1, 1)` and `(1, inner)`. The name of the architecture is `sll`
//! (every convolution `sll-conv`, every dense layer `sll-dense`), `sll-weighted` (convolutions `sll-conv-weighted`), or any other
//! name of lower-case letters, digits and hyphens, under which any kinds may be mixed.

mod declared;
mod error;
mod sll;

use std::collections::BTreeMap;

use crate::checkpoint::{Checkpoint, TensorInfo};
use crate::error::ModelError;
use crate::preprocess::Preprocess;

pub use declared::METADATA_KEY;
pub(crate) use declared::{MAX_SIDE, too_large};
pub use error::ArchitectureError;

/// Where the diagonal `T` of a residual layer comes from; see [`lipcert_proofs::statement::Scale`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleKind {
    /// From the weights alone; a tensor `q` is in the file.
    RowSum,
    /// From the weights and the tensor `q`.
    Weighted,
    /// From the tensor `factor`, which is `1/T`.
    Stored,
}

impl ScaleKind {
    /// Name of the tensor that belongs to it.
    #[must_use]
    pub const fn tensor(self) -> &'static str {
        match self {
            Self::RowSum | Self::Weighted => "q",
            Self::Stored => "factor",
        }
    }
}

/// Kind and sizes of a layer, without its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Zero channels are added behind the image's own.
    PadChannels {
        /// Number of channels afterwards.
        channels: usize,
    },
    /// A residual convolution: `kernel`, `bias`, and `q` or `factor`.
    Conv {
        /// Where `T` comes from.
        scale: ScaleKind,
        /// Inner channels.
        inner: usize,
        /// Channels of the image.
        channels: usize,
        /// Side of the kernel.
        size: usize,
    },
    /// A residual dense layer: `weight`, `bias`, and `q` or `factor`.
    Dense {
        /// Where `T` comes from.
        scale: ScaleKind,
        /// Inner neurons.
        inner: usize,
        /// Length of the input.
        features: usize,
    },
    /// Sum over windows, divided.
    AveragePool {
        /// Side of the window.
        size: usize,
        /// The divisor.
        divisor: u32,
    },
    /// The image as a vector.
    Flatten,
    /// The row-normalised affine head: `weight`, `bias`.
    Head {
        /// Number of classes.
        classes: usize,
        /// Length of the input.
        features: usize,
    },
}

/// A layer of an architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedLayer {
    /// Its name; parameters are found under `NAME.…`.
    pub name: String,
    /// Kind and sizes.
    pub plan: Plan,
}

/// The layers that a file's tensors belong to.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// `sll`, `sll-weighted`, or the name that the file declares.
    pub name: String,
    /// Shape of one input, where the file declares it.
    pub input: Option<[usize; 3]>,
    /// The preprocessing, where the file declares it.
    pub preprocess: Option<Preprocess>,
    /// The layers in order, without the preprocessing.
    pub layers: Vec<PlannedLayer>,
}

impl Architecture {
    /// Finds the architecture of an open file.
    ///
    /// # Errors
    ///
    /// [`ModelError::Architecture`].
    pub fn detect(checkpoint: &Checkpoint) -> Result<Self, ModelError> {
        Self::from_tensors(checkpoint.tensors(), checkpoint.metadata()).map_err(|cause| ModelError::Architecture {
            path: checkpoint.path().to_owned(),
            cause: Box::new(cause),
        })
    }

    /// Finds the architecture from names, shapes and metadata alone.
    ///
    /// # Errors
    ///
    /// [`ArchitectureError::Unknown`] if the names are not those of a known code, and the other variants if they nearly are.
    pub fn from_tensors(tensors: &[TensorInfo], metadata: &BTreeMap<String, String>) -> Result<Self, ArchitectureError> {
        let architecture = match metadata.get(METADATA_KEY) {
            Some(text) => declared::read(text, tensors)?,
            None => sll::detect(tensors)?,
        };
        match tensors.iter().find(|info| !info.dtype.is_float()) {
            Some(info) => Err(ArchitectureError::NotFloat {
                tensor: info.name.clone(),
                dtype: info.dtype,
            }),
            None => Ok(architecture),
        }
    }

    /// The declaration of this architecture for the metadata of a safetensors file.
    ///
    /// # Panics
    ///
    /// Never: the declaration holds texts and numbers only.
    #[must_use]
    pub fn declaration(&self) -> String {
        declared::write(self)
    }

    /// Number of residual convolutions.
    #[must_use]
    pub fn convolutions(&self) -> usize {
        self.layers
            .iter()
            .filter(|layer| matches!(layer.plan, Plan::Conv { .. }))
            .count()
    }

    /// Number of residual dense layers.
    #[must_use]
    pub fn dense(&self) -> usize {
        self.layers
            .iter()
            .filter(|layer| matches!(layer.plan, Plan::Dense { .. }))
            .count()
    }

    /// Number of parameters, `q` and biases included.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let count = |plan| match plan {
            Plan::Conv {
                inner, channels, size, ..
            } => inner * (channels * size * size + 2),
            Plan::Dense { inner, features, .. } => inner * (features + 2),
            Plan::Head { classes, features } => classes * (features + 1),
            Plan::PadChannels { .. } | Plan::AveragePool { .. } | Plan::Flatten => 0,
        };
        self.layers.iter().map(|layer| count(layer.plan)).sum()
    }

    /// The shape of the input, if the file declares it or if it follows from the parameters: with `w` channels behind the padding,
    /// pooling by `p` and `F` features behind the flattening, `F = w (n/p)²` gives a square image of side `n`.
    ///
    /// `channels` is the number of channels of the raw image, which the parameters do not tell.
    ///
    /// # Errors
    ///
    /// [`ArchitectureError::Input`] if it cannot be told.
    pub fn input_shape(&self, channels: Option<usize>) -> Result<[usize; 3], ArchitectureError> {
        if let Some(input) = self.input {
            return Ok(input);
        }
        let (mut width, mut pooling, mut features) = (None, 1usize, None);
        for layer in &self.layers {
            match layer.plan {
                Plan::Conv { channels, .. } => width = Some(channels),
                Plan::AveragePool { size, .. } => pooling = pooling.saturating_mul(size),
                Plan::Dense { features: found, .. } | Plan::Head { features: found, .. } => features = features.or(Some(found)),
                Plan::PadChannels { .. } | Plan::Flatten => {}
            }
        }
        let side = match (width, features) {
            (Some(width), Some(features)) if features % width == 0 => {
                let side = (features / width).isqrt();
                (side * side * width == features).then(|| side.saturating_mul(pooling))
            }
            _ => None,
        };
        match (channels, side) {
            (Some(channels), Some(side)) => Ok([channels, side, side]),
            _ => Err(ArchitectureError::Input { channels, side }),
        }
    }
}
