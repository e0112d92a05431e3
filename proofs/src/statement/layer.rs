//! The closed set of maps that have a rule.

mod shape;

use super::activation::{Activation, ChannelActivation};
use super::convolution::{ConvFormula, Padding, SkewDivisor, SkewExponential};
use super::decimal::Decimal;
use super::dense_formula::{DenseFormula, Sandwich};
use super::groupwise::{Groupwise, Paired};
use super::resample::Resample;
use super::residual::ResidualBlock;
use super::tensor::{Kernel, Matrix};
use crate::error::CheckError;

pub(super) use shape::check_length;

/// The diagonal `T` of a residual layer `x ↦ x − 2 Aᵀ diag(T)⁻¹ relu(A x + b)`.
///
/// `G` is `A Aᵀ` for a dense layer and the self-correlation of the kernel on the infinite lattice for a convolution, where the
/// sum over `j` also runs over all lattice shifts. A zero row of `A` has `T = 0`; its channel is off (`1/T` is read as 0).
///
/// # Source
///
/// Araujo et al., *A Unified Algebraic Perspective on Lipschitz Neural Networks*, ICLR 2023, Theorem 3 (`W` there, `Aᵀ` here) and the
/// authors' published code, in which the two exponentials of the convolution carry the same index.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// `T_i = Σ_j |G_ij|`: the deployed convolution, in which `e^{−q_i}` and `e^{q_i}` cancel. `q` is kept because it is in the
    /// file and must lie in the range where the deployed exponentials are finite.
    RowSum {
        /// Shape `(inner,)`.
        q: Vec<f64>,
    },
    /// `T_i = Σ_j |G_ij| e^{q_j − q_i}`: the deployed dense layer, and the convolution as the paper intends it.
    Weighted {
        /// Shape `(inner,)`.
        q: Vec<f64>,
    },
    /// `T_i = 1 / factor_i` for the factor that a file stores. A factor that is exactly 0 switches its channel off.
    Stored {
        /// Shape `(inner,)`, not negative.
        factor: Vec<f64>,
    },
    /// `T = ‖A‖₂² I` with the exact operator norm, that of the zero-padded convolution on the layer's own images: convex potential layers.
    Norm,
    /// `T = ‖A‖_F² I`, dense only.
    Frobenius,
}

/// The largest `|q|` for which the deployed float32 exponentials and their products are finite.
pub const Q_LIMIT: f64 = 80.0;

impl Scale {
    /// The vector that the scale carries, `(inner,)`; nothing where `T` follows from the weight alone.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        match self {
            Self::RowSum { q } | Self::Weighted { q } => q,
            Self::Stored { factor } => factor,
            Self::Norm | Self::Frobenius => &[],
        }
    }

    /// Checks length, finiteness and range.
    fn validate(&self, inner: usize) -> Result<(), CheckError> {
        let what = match self {
            Self::RowSum { .. } | Self::Weighted { .. } => "q",
            Self::Stored { .. } => "factor",
            Self::Norm | Self::Frobenius => return Ok(()),
        };
        let values = self.values();
        check_length(what, inner, values)?;
        for (index, &value) in values.iter().enumerate() {
            match self {
                Self::RowSum { .. } | Self::Weighted { .. } if value.abs() > Q_LIMIT => {
                    return Err(CheckError::OutOfRange {
                        what,
                        index,
                        value,
                        limit: Q_LIMIT,
                    });
                }
                Self::Stored { .. } if value < 0.0 => {
                    return Err(CheckError::NotPositive { what, index, value });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What an [`Layer::Elementwise`] layer does with its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `x + operand`.
    Add,
    /// `x − operand`.
    Subtract,
    /// `x · operand`.
    Multiply,
    /// `x / operand`.
    Divide,
}

/// One map of a network.
///
/// # Shapes
///
/// | variant | input | output |
/// |---|---|---|
/// | `Normalize` | any, one mean and std a channel | same |
/// | `PadChannels` | `(C, H, W)` | `(channels, H, W)`, zeros added behind |
/// | `ResidualConv` | `(C, H, W)` | same |
/// | `ResidualDense` | `(n,)` | same |
/// | `AveragePool` | `(C, H, W)` | `(C, H / size, W / size)` |
/// | `Flatten` | `(C, H, W)` | `(C·H·W,)` |
/// | `Dense` | `(n,)` | `(m,)` |
/// | `Activation` | any | same |
/// | `Elementwise` | any, one operand an entry | same |
/// | `NormalizedHead` | `(n,)` | `(classes,)` |
/// | `ChannelActivation` | any, one parameter a unit | same |
/// | `Groupwise` | any, units in whole groups | same; `Crelu` twice the units |
/// | `Paired` | any, an even number of units | same; `Projection` half the units |
/// | `Resample` | see [`Resample`] | |
/// | `ResidualBlock` | `(n,)` | `(m,)` |
/// | `DenseFormula` | `(n,)` | `(m,)` |
/// | `Sandwich` | `(p,)` | `(q,)` |
/// | `Convolution`, `ConvFormula`, `SkewExponential` | `(C, H, W)` | `(out, H, W)` |
///
/// A unit is a channel of an image or an entry of a vector.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// `x ↦ (x − mean) / std`, a channel at a time.
    Normalize {
        /// One number a channel.
        mean: Vec<Decimal>,
        /// One positive number a channel.
        std: Vec<Decimal>,
    },
    /// Zero channels added behind the image's own.
    PadChannels {
        /// Number of channels afterwards.
        channels: usize,
    },
    /// `x ↦ x − 2 Kᵀ(diag(T)⁻¹ relu(K x + b))` with `K` the zero-padded convolution and `Kᵀ` its adjoint (`conv_transpose2d`).
    ResidualConv {
        /// `(inner, channels, size, size)`.
        kernel: Kernel,
        /// `(inner,)`.
        bias: Vec<f64>,
        /// `(inner,)`.
        scale: Scale,
    },
    /// `x ↦ x − 2 Aᵀ diag(T)⁻¹ relu(A x + b)`.
    ResidualDense {
        /// `A`, `(inner, n)`.
        weight: Matrix,
        /// `(inner,)`.
        bias: Vec<f64>,
        /// `(inner,)`.
        scale: Scale,
    },
    /// Sum over disjoint `size × size` windows, divided by `divisor`. The sides of the image must be multiples of `size`.
    AveragePool {
        /// Side of the window and stride.
        size: usize,
        /// The divisor, not necessarily `size²`.
        divisor: u32,
    },
    /// The image as a vector in the order `(C, H, W)`.
    Flatten,
    /// `x ↦ W x + b`.
    Dense {
        /// `W`, `(m, n)`.
        weight: Matrix,
        /// `(m,)`.
        bias: Vec<f64>,
    },
    /// A scalar activation at every entry.
    Activation(Activation),
    /// Arithmetic with a constant at every entry.
    Elementwise {
        /// Which.
        operation: Operation,
        /// One number an entry of the input; a divisor is not zero.
        operand: Vec<f64>,
    },
    /// `x ↦ Ŵ x + b` with rows `ŵ = w / max(‖w‖₂, 1e-12)`.
    NormalizedHead {
        /// `(classes, n)`, rows as stored.
        weight: Matrix,
        /// `(classes,)`.
        bias: Vec<f64>,
    },
    /// A scalar activation with parameters for each unit.
    ChannelActivation(ChannelActivation),
    /// An activation on groups of units.
    Groupwise(Groupwise),
    /// A map of pairs of units given by angles.
    Paired(Paired),
    /// Entries moved, dropped, added or pooled.
    Resample(Resample),
    /// `x ↦ A x + B σ(… σ(C_1 x + b_1) …) + c`: a path of its own beside hidden layers.
    ResidualBlock(ResidualBlock),
    /// `x ↦ Ŵ x + b` with a weight that is computed from free parameters.
    DenseFormula {
        /// `Ŵ`, `(m, n)`.
        formula: DenseFormula,
        /// `(m,)`.
        bias: Vec<f64>,
    },
    /// `x ↦ √2 Aᵀ Ψ σ(√2 Ψ⁻¹ B x + b)`.
    Sandwich(Sandwich),
    /// `x ↦ K ∗ x + b`, a correlation as `conv2d`, stride 1, same size.
    Convolution {
        /// `(out, in, k, k)`.
        kernel: Kernel,
        /// `(out,)`.
        bias: Vec<f64>,
        /// What lies outside the image.
        padding: Padding,
    },
    /// The same with a kernel by formula.
    ConvFormula {
        /// The formula and its numbers.
        formula: ConvFormula,
        /// `(out,)`.
        bias: Vec<f64>,
        /// What lies outside the image.
        padding: Padding,
    },
    /// The beginning of the exponential of a skew convolution.
    SkewExponential(SkewExponential),
}

impl Layer {
    /// Name of the kind, as certificates and reports write it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Normalize { .. } => "normalize",
            Self::PadChannels { .. } => "pad-channels",
            Self::ResidualConv { scale, .. } => match scale {
                Scale::RowSum { .. } => "sll-conv",
                Scale::Weighted { .. } => "sll-conv-weighted",
                Scale::Stored { .. } => "residual-conv",
                Scale::Norm | Scale::Frobenius => "cpl-conv",
            },
            Self::ResidualDense { scale, .. } => match scale {
                Scale::RowSum { .. } => "aol-dense",
                Scale::Weighted { .. } => "sll-dense",
                Scale::Stored { .. } => "residual-dense",
                Scale::Norm => "cpl-dense",
                Scale::Frobenius => "cpl-frobenius",
            },
            Self::AveragePool { .. } => "average-pool",
            Self::Flatten => "flatten",
            Self::Dense { .. } => "dense",
            Self::Activation(activation) => activation.kind(),
            Self::Elementwise { operation, .. } => match operation {
                Operation::Add => "add",
                Operation::Subtract => "subtract",
                Operation::Multiply => "multiply",
                Operation::Divide => "divide",
            },
            Self::NormalizedHead { .. } => "normalized-head",
            Self::ChannelActivation(activation) => activation.kind(),
            Self::Groupwise(groupwise) => groupwise.kind(),
            Self::Paired(paired) => paired.kind(),
            Self::Resample(resample) => resample.kind(),
            Self::ResidualBlock(_) => "residual-block",
            Self::DenseFormula { formula, .. } => formula.kind(),
            Self::Sandwich(_) => "sandwich",
            Self::Convolution { .. } => "convolution",
            Self::ConvFormula { formula, .. } => formula.kind(),
            Self::SkewExponential(_) => "skew-exponential",
        }
    }

    /// Whether the layer has no weight matrix: its bound follows from its kind and constants alone.
    #[must_use]
    pub const fn is_structural(&self) -> bool {
        match self {
            Self::Normalize { .. }
            | Self::PadChannels { .. }
            | Self::AveragePool { .. }
            | Self::Flatten
            | Self::Activation(_)
            | Self::Elementwise { .. }
            | Self::ChannelActivation(_)
            | Self::Groupwise(_)
            | Self::Paired(_)
            | Self::Resample(_) => true,
            Self::ResidualConv { .. }
            | Self::ResidualDense { .. }
            | Self::Dense { .. }
            | Self::NormalizedHead { .. }
            | Self::ResidualBlock(_)
            | Self::DenseFormula { .. }
            | Self::Sandwich(_)
            | Self::Convolution { .. }
            | Self::ConvFormula { .. }
            | Self::SkewExponential(_) => false,
        }
    }

    /// Whether the deployed program reaches the layer's formula only in the limit of a power iteration.
    #[must_use]
    pub const fn assumes_convergence(&self) -> bool {
        match self {
            Self::DenseFormula { formula, .. } => formula.assumes_convergence(),
            Self::SkewExponential(layer) => matches!(layer.divisor, SkewDivisor::LeastNorm),
            Self::ResidualConv { scale, .. } | Self::ResidualDense { scale, .. } => matches!(scale, Scale::Norm),
            _ => false,
        }
    }

    /// What a convolution reads outside the image; nothing for other layers.
    #[must_use]
    pub const fn padding(&self) -> Option<Padding> {
        match self {
            Self::ResidualConv { .. } => Some(Padding::Zero),
            Self::Convolution { padding, .. } | Self::ConvFormula { padding, .. } => Some(*padding),
            Self::SkewExponential(layer) => Some(layer.padding),
            _ => None,
        }
    }
}
