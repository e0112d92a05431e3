//! Which map the tensors of a file are the parameters of.
//!
//! Four sources: a declaration in the metadata of a safetensors file (below), the graph of an ONNX model, the names and shapes of the
//! authors' SLL code ([`sll`](self)), and those of plain stacks of dense layers ([`dense`](self)), between which ReLU is assumed. In every
//! case the set of tensors must be exactly the expected one: an extra or a missing tensor is refused by name.
//!
#![doc = include_str!("../../docs/architecture.md")]

mod convolution;
mod declared;
mod dense;
mod error;
mod formula;
pub mod layouts;
mod plan;
mod sll;

use std::collections::BTreeMap;

use lipcert_proofs::statement::Shape;

use crate::checkpoint::{Checkpoint, Structure, TensorInfo};
use crate::error::ModelError;
use crate::preprocess::Preprocess;
use crate::training::parameters;

pub use convolution::KernelKind;
pub use declared::METADATA_KEY;
pub(crate) use declared::{MAX_SIDE, angle_fields, fault, read_layer, too_large};
pub use dense::NAME as DENSE_RELU;
pub(crate) use dense::alias;
pub use error::ArchitectureError;
pub(crate) use formula::torch_names;
pub use formula::{DivisorPlan, FormulaPlan};
pub use plan::{ChannelKind, Plan, ScaleKind};

/// Name of the architecture that an ONNX graph is.
pub const ONNX: &str = "onnx";

/// A layer of an architecture.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedLayer {
    /// Its name; parameters are found under `NAME.…`, those of a dense layer called by a number also as `W0`, `b0`.
    pub name: String,
    /// Kind and sizes.
    pub plan: Plan,
}

/// The layers that a file's tensors belong to.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// `sll`, `sll-weighted`, `dense-relu`, `onnx`, or the name that the file declares.
    pub name: String,
    /// Shape of one input, where the file declares it.
    pub input: Option<Shape>,
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
        Self::of(checkpoint).map_err(|cause| ModelError::Architecture {
            path: checkpoint.path().to_owned(),
            cause: Box::new(cause),
        })
    }

    /// As [`Architecture::detect`], without the path.
    pub(crate) fn of(checkpoint: &Checkpoint) -> Result<Self, ArchitectureError> {
        match checkpoint.structure() {
            Structure::Unsaid => Self::from_tensors(checkpoint.tensors(), checkpoint.metadata()),
            Structure::Known(architecture) => Ok((**architecture).clone()),
            Structure::Refused(cause) => Err(ArchitectureError::Graph(cause.clone())),
        }
    }

    /// Finds the architecture from names, shapes and metadata alone.
    ///
    /// # Errors
    ///
    /// [`ArchitectureError::Unknown`] if the names are not those of a known code, and the other variants if they nearly are.
    pub fn from_tensors(tensors: &[TensorInfo], metadata: &BTreeMap<String, String>) -> Result<Self, ArchitectureError> {
        let architecture = match metadata.get(METADATA_KEY) {
            Some(text) => declared::read(text, tensors)?,
            None => match dense::detect(tensors) {
                Some(found) => found?,
                None => sll::detect(tensors)?,
            },
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
        let tensors = parameters::of(self).into_iter();
        tensors.map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    }

    /// The length of the input, if the network takes a vector: a dense layer or a constant operand stands before anything that needs an
    /// image.
    #[must_use]
    pub fn vector(&self) -> Option<usize> {
        match self.input {
            Some(Shape::Flat(length)) => return Some(length),
            Some(Shape::Image { .. }) => return None,
            None => {}
        }
        self.layers.iter().find_map(|layer| match layer.plan {
            Plan::Affine { features, .. }
            | Plan::Dense { features, .. }
            | Plan::Head { features, .. }
            | Plan::Block { features, .. }
            | Plan::Formula { features, .. }
            | Plan::Sandwich { features, .. } => Some(Some(features)),
            Plan::Elementwise { entries, .. } => Some(Some(entries)),
            Plan::PadChannels { .. } | Plan::Conv { .. } | Plan::AveragePool { .. } | Plan::Flatten => Some(None),
            Plan::Convolution { .. } => Some(None),
            plan if plan.keeps_length() => None,
            Plan::Activation(_)
            | Plan::ChannelActivation { .. }
            | Plan::Groupwise(_)
            | Plan::Paired { .. }
            | Plan::Resample(_) => Some(None),
        })?
    }

    /// The shape of the input, if the network takes a vector, if the file declares it or if it follows from the parameters: with `w` channels behind the padding,
    /// pooling by `p` and `F` features behind the flattening, `F = w (n/p)²` gives a square image of side `n`.
    ///
    /// `channels` is the number of channels of the raw image, which the parameters do not tell.
    ///
    /// # Errors
    ///
    /// [`ArchitectureError::Input`] if it cannot be told.
    pub fn input_shape(&self, channels: Option<usize>) -> Result<Shape, ArchitectureError> {
        if let Some(input) = self.input.or(self.vector().map(Shape::Flat)) {
            return Ok(input);
        }
        let (mut width, mut pooling, mut features) = (None, 1usize, None);
        let mut regular = true;
        for layer in &self.layers {
            match layer.plan {
                Plan::Conv { channels, .. } => width = Some(channels),
                Plan::Convolution { outputs, .. } => width = Some(outputs),
                Plan::AveragePool { size, .. } => pooling = pooling.saturating_mul(size),
                Plan::Dense { features: found, .. }
                | Plan::Head { features: found, .. }
                | Plan::Affine { features: found, .. }
                | Plan::Block { features: found, .. }
                | Plan::Formula { features: found, .. }
                | Plan::Sandwich { features: found, .. } => {
                    features = features.or(Some(found));
                }
                // Channels and pixels change in other ways than the formula says.
                Plan::Paired { .. } | Plan::Groupwise(_) | Plan::Resample(_) => regular = false,
                Plan::PadChannels { .. }
                | Plan::Flatten
                | Plan::Activation(_)
                | Plan::Elementwise { .. }
                | Plan::ChannelActivation { .. } => {}
            }
        }
        let side = match (width, features) {
            (Some(width), Some(features)) if regular && features % width == 0 => {
                let side = (features / width).isqrt();
                (side * side * width == features).then(|| side.saturating_mul(pooling))
            }
            _ => None,
        };
        match (channels, side) {
            (Some(channels), Some(side)) => Ok(Shape::Image {
                channels,
                height: side,
                width: side,
            }),
            _ => Err(ArchitectureError::Input { channels, side }),
        }
    }
}
