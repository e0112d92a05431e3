//! Which map the tensors of a file are the parameters of.
//!
//! Four sources: a declaration in the metadata of a safetensors file (below), the graph of an ONNX model, the names and shapes of the
//! authors' SLL code ([`sll`](self)), and those of plain stacks of dense layers ([`dense`](self)), between which ReLU is assumed. In every
//! case the set of tensors must be exactly the expected one: an extra or a missing tensor is refused by name.
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
//! `input` (channels, height, width; or the length of a vector) and `preprocess` may be `null` or absent; unknown fields are refused. A layer with parameters
//! finds them under its name:
//!
//! | kind | tensors | shapes |
//! |---|---|---|
//! | `sll-conv`, `sll-conv-weighted` | `NAME.kernel`, `NAME.bias`, `NAME.q` | `(inner, channels, k, k)`, `(inner,)`, `(inner,)` |
//! | `residual-conv` | `NAME.kernel`, `NAME.bias`, `NAME.factor` | the same; `factor` is `1/T` |
//! | `sll-dense`, `aol-dense` | `NAME.weight`, `NAME.bias`, `NAME.q` | `(inner, n)`, `(inner,)`, `(inner,)` |
//! | `residual-dense` | `NAME.weight`, `NAME.bias`, `NAME.factor` | the same |
//! | `cpl-conv` | `NAME.kernel`, `NAME.bias` | the same; `T` is the square of the operator norm, a tensor `NAME.u` is not read |
//! | `cpl-dense`, `cpl-frobenius` | `NAME.weight`, `NAME.bias` | `(inner, n)`, `(inner,)`; the same, or the Frobenius norm |
//! | `aol` (with a number `epsilon`, else 0), `frobenius` | `NAME.weight`, `NAME.bias` or none | `(m, n)`, `(m,)` |
//! | `spectral`, `bjorck` | the same, and `NAME.sigma`, or `NAME.u` and `NAME.v`, or none | `()` or `(1,)`; `(m,)`, `(n,)` |
//! | `cayley` | `NAME.weight`, `NAME.alpha` or none, `NAME.bias` or none | `(m, n)`, `()` or `(1,)`, `(m,)` |
//! | `householder-product` | `NAME.vectors`, `NAME.bias` or none | `(k, n)`, `(n,)` |
//! | `sandwich` | `NAME.weight`, `NAME.psi`, `NAME.bias`, `NAME.alpha` or none | `(q, q + p)`, `(q,)`, `(q,)`, `()` or `(1,)` |
//! | `dense` | `NAME.weight`, `NAME.bias` or none | `(m, n)`, `(m,)`; without a bias it is zero |
//! | `add`, `subtract`, `multiply`, `divide` | `NAME.operand` | `(n,)`, one number an entry of the input |
//! | `residual-block` | `NAME.weight`, `NAME.bias`, `NAME.output`; `NAME.path`, `NAME.output_bias` or none | `(inner, n)`, `(inner,)`, `(m, inner)`; `(m, n)`, `(m,)`; without a path the input is added as it is |
//! | `normalized-head` | `NAME.weight`, `NAME.bias` | `(classes, n)`, `(classes,)` |
//! | `prelu`, `lprelu` | `NAME.weight` | `(channels,)` or `(1,)`; `lprelu` clamps to `[−1, 1]` |
//! | `n-activation` | `NAME.theta` | `(channels, 2)`, sorted |
//! | `householder`, `projection-pool` | `NAME.theta` | `(pairs,)`; clamped to `[0, π]` for the pool |
//! | `householder-2` | `NAME.theta0`, `NAME.theta1`, `NAME.theta2` | `(pairs,)`, clamped to `[0, 2π]` |
//!
//! Channels are those of an image or the entries of a vector, pairs the channel `i` with that in the second half. The activation of a `residual-block` is ReLU, or leaky with a number `slope`. The other kinds have none, but for some a field:
//!
//! | kind | fields | map |
//! |---|---|---|
//! | `relu`, `abs`, `tanh`, `sigmoid`, `elu` | | at every entry |
//! | `leaky-relu`, `softplus` | `slope`; `beta`, positive | at every entry |
//! | `max-min` | `pairing`: `split` (`i` with `i + channels/2`) or `adjacent` (`2i` with `2i + 1`) | the larger first |
//! | `group-sort`, `full-sort` | `size` of the first | adjacent channels in ascending order |
//! | `crelu` | | `relu(x)`, `relu(−x)`: twice the channels |
//! | `pixel-unshuffle`, `pixel-shuffle` | `factor`, `order`: `channel-first` (PyTorch, the code of Singla et al.) or `block-first` (concatenation pooling) | |
//! | `first-channels`, `pad-features` | `channels`; `features` | the others dropped; zeros added behind a vector |
//! | `center` | `over`: `all` or `channel` | minus the mean |
//! | `max-pool`, `norm-pool` | `size`, and `stride` of the first | largest, Euclidean norm of a window |
//! | `pair-max` | | the larger of a pair |
//!
//! `spectral`, `frobenius` and `bjorck` take a number `offset` (else 0), which is added to the divisor; `bjorck` also `beta` (else 0.5) and `iterations`. A tensor `u` without a `v`, or nothing, means the exact norm, which a power iteration only approaches: results for such a network are conditional. `sandwich` takes an `activation`, `relu` or `leaky-relu`, the latter with a `slope`.
//! The scaled average pooling of deel-torchlip is `average-pool` with `divisor` equal to `size`. The residual kinds apply relu by definition; a field `activation` that
//! asks them for another one is refused. A network that ends neither in `dense` nor in `normalized-head` has its last features as logits. A `dense` layer whose name is a number finds its parameters as `W0` and `b0`
//! too, so that a stack with another activation than ReLU is declared as
//!
//! ```toml
//! schema = "lipcert/architecture/1"
//! name = "dense-leaky-relu"
//! layers = [
//!   { kind = "dense", name = "0" },
//!   { kind = "leaky-relu", name = "0.activation", slope = 0.01 },
//!   { kind = "dense", name = "1" },
//! ]
//! ```
//!
//! A bias may have the shapes of the authors' code too: `(1, inner, 1, 1)` and `(1, inner)`. The name of the architecture is `sll`
//! (every convolution `sll-conv`, every dense layer `sll-dense`), `sll-weighted` (convolutions `sll-conv-weighted`), `dense-relu`
//! (kinds `dense`, `relu`, `subtract`, `divide`), or any other name of lower-case letters, digits and hyphens, under which any kinds may be mixed.

mod declared;
mod dense;
mod error;
mod formula;
pub mod layouts;
mod sll;

use std::collections::BTreeMap;

use lipcert_proofs::statement::{Activation, Groupwise, Operation, Over, PairMap, Resample, Shape};

use crate::checkpoint::{Checkpoint, Structure, TensorInfo};
use crate::error::ModelError;
use crate::preprocess::Preprocess;

pub use declared::METADATA_KEY;
pub(crate) use declared::{MAX_SIDE, angle_fields, too_large};
pub use dense::NAME as DENSE_RELU;
pub(crate) use dense::alias;
pub use error::ArchitectureError;
pub use formula::{DivisorPlan, FormulaPlan};

/// Name of the architecture that an ONNX graph is.
pub const ONNX: &str = "onnx";

/// Where the diagonal `T` of a residual layer comes from; see [`lipcert_proofs::statement::Scale`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleKind {
    /// From the weights alone; a tensor `q` is in the file.
    RowSum,
    /// From the weights and the tensor `q`.
    Weighted,
    /// From the tensor `factor`, which is `1/T`.
    Stored,
    /// The square of the operator norm of the weight.
    Norm,
    /// The square of the Frobenius norm of the weight.
    Frobenius,
}

impl ScaleKind {
    /// Name of the tensor that belongs to it, if there is one.
    #[must_use]
    pub const fn tensor(self) -> Option<&'static str> {
        match self {
            Self::RowSum | Self::Weighted => Some("q"),
            Self::Stored => Some("factor"),
            Self::Norm | Self::Frobenius => None,
        }
    }
}

/// An activation with parameters for each unit: a channel of an image or an entry of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// A leaky relu with the slopes `weight`.
    Prelu,
    /// The same with the slopes clamped to `[−1, 1]`.
    LipschitzPrelu,
    /// The N-activation with the two numbers `theta` of each unit, sorted.
    N,
}

/// Kind and sizes of a layer, without its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// A dense layer: `weight`, and `bias` unless it is zero.
    Affine {
        /// Length of the output.
        outputs: usize,
        /// Length of the input.
        features: usize,
        /// Whether there is a tensor `bias`.
        bias: bool,
    },
    /// A scalar activation.
    Activation(Activation),
    /// Arithmetic with the tensor `operand`.
    Elementwise {
        /// Which.
        operation: Operation,
        /// Length of the operand: that of the input.
        entries: usize,
    },
    /// The row-normalised affine head: `weight`, `bias`.
    Head {
        /// Number of classes.
        classes: usize,
        /// Length of the input.
        features: usize,
    },
    /// A scalar activation with parameters for each unit.
    ChannelActivation {
        /// Which.
        kind: ChannelKind,
        /// Number of units that the tensor has parameters for; 1 means that all share them.
        units: usize,
    },
    /// An activation on groups of units.
    Groupwise(Groupwise),
    /// A map of pairs given by angles.
    Paired {
        /// Which.
        map: PairMap,
        /// Number of pairs.
        pairs: usize,
    },
    /// Entries moved, dropped, added or pooled.
    Resample(Resample),
    /// A residual block with one hidden layer: `weight`, `bias`, `output`, and `path`, `output_bias` where there are any.
    Block {
        /// Behind the hidden layer.
        activation: Activation,
        /// Length of the input.
        features: usize,
        /// Hidden neurons.
        inner: usize,
        /// Length of the output.
        outputs: usize,
        /// Whether there is a tensor `path`; else the input is added as it is.
        path: bool,
        /// Whether there is a tensor `output_bias`.
        bias: bool,
    },
    /// A dense layer whose weight is computed from free parameters.
    Formula {
        /// Which.
        formula: FormulaPlan,
        /// Length of the output.
        outputs: usize,
        /// Length of the input.
        features: usize,
        /// Whether there is a tensor `bias`.
        bias: bool,
    },
    /// A sandwich layer: `weight`, `psi`, `bias`, and `alpha` if it is there.
    Sandwich {
        /// Between its two weights.
        activation: Activation,
        /// Length of the output.
        outputs: usize,
        /// Length of the input.
        features: usize,
        /// Whether there is a tensor `alpha`.
        alpha: bool,
    },
}

impl Plan {
    /// Whether the layer takes an image and nothing else, without parameters that tell its size.
    const fn needs_image(self) -> bool {
        matches!(
            self,
            Self::Resample(
                Resample::PixelUnshuffle { .. }
                    | Resample::PixelShuffle { .. }
                    | Resample::Center(Over::Channel)
                    | Resample::MaxPool { .. }
                    | Resample::NormPool { .. }
            )
        )
    }
}

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
        let count = |plan| match plan {
            Plan::Conv {
                scale,
                inner,
                channels,
                size,
            } => inner * (channels * size * size + 1 + usize::from(scale.tensor().is_some())),
            Plan::Dense { scale, inner, features } => inner * (features + 1 + usize::from(scale.tensor().is_some())),
            Plan::Formula {
                formula,
                outputs,
                features,
                bias,
            } => formula.parameters(outputs, features) + if bias { outputs } else { 0 },
            Plan::Sandwich {
                outputs,
                features,
                alpha,
                ..
            } => outputs * (outputs + features + 2) + usize::from(alpha),
            Plan::Head { classes, features } => classes * (features + 1),
            Plan::Affine { outputs, features, bias } => outputs * (features + usize::from(bias)),
            Plan::Elementwise { entries, .. } => entries,
            Plan::Block {
                features,
                inner,
                outputs,
                path,
                bias,
                ..
            } => inner * (features + 1 + outputs) + usize::from(path) * outputs * features + usize::from(bias) * outputs,
            Plan::ChannelActivation { kind, units } => units * if kind == ChannelKind::N { 2 } else { 1 },
            Plan::Paired { map, pairs } => pairs * map.angles(),
            Plan::PadChannels { .. }
            | Plan::AveragePool { .. }
            | Plan::Flatten
            | Plan::Activation(_)
            | Plan::Groupwise(_)
            | Plan::Resample(_) => 0,
        };
        self.layers.iter().map(|layer| count(layer.plan)).sum()
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
            plan if plan.needs_image() => Some(None),
            Plan::Activation(_)
            | Plan::ChannelActivation { .. }
            | Plan::Groupwise(_)
            | Plan::Paired { .. }
            | Plan::Resample(_) => None,
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
