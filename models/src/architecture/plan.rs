//! Kinds and sizes of layers, without their numbers.

use lipcert_proofs::statement::{Activation, Groupwise, Operation, Over, Padding, PairMap, Resample};

use super::{FormulaPlan, KernelKind};

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
    /// A plain convolution: `weight`, `bias` unless it is zero, and `sigma` where the kind has it.
    Convolution {
        /// Where the kernel comes from.
        kernel: KernelKind,
        /// Channels of the output.
        outputs: usize,
        /// Channels of the image.
        channels: usize,
        /// Side of the kernel.
        size: usize,
        /// Whether there is a tensor `bias`.
        bias: bool,
        /// What lies outside the image.
        padding: Padding,
    },
}

impl Plan {
    /// Whether a vector passes with its length unchanged, so that the length of the input can be read off a later layer.
    pub(super) const fn keeps_length(self) -> bool {
        match self {
            Self::Activation(_) | Self::ChannelActivation { .. } | Self::Resample(Resample::Center(Over::All)) => true,
            Self::Groupwise(map) => !matches!(map, Groupwise::Crelu),
            Self::Paired { map, .. } => !matches!(map, PairMap::Projection),
            _ => false,
        }
    }
}
