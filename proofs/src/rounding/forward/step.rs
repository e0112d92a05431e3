//! The steps of the pass, and the step of each layer.

use crate::certificate::LayerCertificate;
use crate::error::CheckError;
use crate::rounding::error_bound::ErrorBound;
use crate::rounding::kernels::conv::ResidualConv;
use crate::rounding::kernels::dense::ResidualDense;
use crate::rounding::kernels::entrywise::{activate, combine};
use crate::rounding::kernels::plain_conv::{Exponential, PlainConv};
use crate::rounding::residual_error;
use crate::rounding::sandwich::EnclosedSandwich;
use crate::rounding::smooth::apply_up;
use crate::rounding::weightless::SampleMap;
use crate::rules::operator_norm;
use crate::statement::{Activation, Layer, Matrix, Operation, ResidualBlock, Sandwich};

/// One step of the pass.
pub(super) enum Step<'a> {
    /// The image gets its zero channels.
    Pad(usize),
    Conv(ResidualConv, ErrorBound),
    Dense(ResidualDense<'a>, ErrorBound),
    Pool {
        size: usize,
        divisor: u32,
        bound: ErrorBound,
    },
    Flatten,
    Affine {
        weight: &'a Matrix,
        bias: &'a [f64],
        bound: ErrorBound,
    },
    Entrywise(Entrywise<'a>, ErrorBound),
    Sample(SampleMap<'a>, ErrorBound),
    Block(&'a ResidualBlock, ErrorBound),
    Sandwich {
        layer: &'a Sandwich,
        weights: &'a EnclosedSandwich,
        bound: ErrorBound,
    },
    PlainConv(PlainConv, ErrorBound),
    Exponential(Exponential, ErrorBound),
}

/// A step that treats every entry alone, on images and vectors.
pub(super) enum Entrywise<'a> {
    Activation(Activation),
    Constant(Operation, &'a [f64]),
}

impl Entrywise<'_> {
    /// Changes one sample and returns a bound of the error that is new beside that of the step's [`ErrorBound`].
    pub(super) fn apply(&self, values: &mut [f64]) -> f64 {
        match self {
            Self::Activation(activation) => apply_up(*activation, values).unwrap_or_else(|| {
                activate(*activation, values);
                0.0
            }),
            Self::Constant(operation, operand) => {
                combine(*operation, operand, values);
                0.0
            }
        }
    }
}

impl Step<'_> {
    /// Width of the margins that the step needs.
    pub(super) const fn radius(&self) -> usize {
        match self {
            Self::Conv(layer, _) => layer.radius(),
            Self::Pad(_)
            | Self::Dense(..)
            | Self::Pool { .. }
            | Self::Flatten
            | Self::Affine { .. }
            | Self::Entrywise(..)
            | Self::Sample(..)
            | Self::Block(..)
            | Self::Sandwich { .. }
            | Self::PlainConv(..)
            | Self::Exponential(..) => 0,
        }
    }
}

/// The step of one layer before the head.
pub(super) fn step<'a>(certificate: &'a LayerCertificate<'a>) -> Result<Step<'a>, CheckError> {
    let lipschitz = certificate.lipschitz();
    let layer = certificate.layer();
    let mismatch = CheckError::RuleMismatch {
        rule: "enclosed-evaluation",
        kind: layer.kind(),
    };
    Ok(match layer {
        Layer::Normalize { .. } | Layer::NormalizedHead { .. } => return Err(mismatch),
        Layer::PadChannels { channels } => Step::Pad(*channels),
        Layer::Flatten => Step::Flatten,
        Layer::AveragePool { size, divisor } => {
            let bound = ErrorBound::average_pool(lipschitz, *size, certificate.input());
            Step::Pool {
                size: *size,
                divisor: *divisor,
                bound,
            }
        }
        Layer::ResidualConv { kernel, bias, .. } => {
            let factor = certificate.factor().ok_or(mismatch)?;
            let norm = certificate.condition_norm_up();
            let bound = ErrorBound::residual_conv(lipschitz, norm, kernel, bias, factor, certificate.input());
            Step::Conv(ResidualConv::new(kernel, bias, factor.approx()), bound)
        }
        Layer::ResidualDense { weight, bias, .. } => {
            let factor = certificate.factor().ok_or(mismatch)?;
            let norm = certificate.condition_norm_up();
            let bound = ErrorBound::residual_dense(lipschitz, norm, weight, bias, factor);
            Step::Dense(ResidualDense::new(weight, bias, factor.approx()), bound)
        }
        Layer::Dense { weight, bias } => Step::Affine {
            weight,
            bias,
            bound: ErrorBound::affine(lipschitz, weight, bias),
        },
        Layer::Activation(activation) => {
            let rounds = matches!(activation, Activation::LeakyRelu { .. });
            let bound = ErrorBound::entrywise(lipschitz, rounds, certificate.input());
            Step::Entrywise(Entrywise::Activation(*activation), bound)
        }
        Layer::Elementwise { operation, operand } => {
            let bound = ErrorBound::entrywise(lipschitz, true, certificate.input());
            Step::Entrywise(Entrywise::Constant(*operation, operand), bound)
        }
        Layer::ChannelActivation(_) | Layer::Groupwise(_) | Layer::Paired(_) | Layer::Resample(_) => {
            let (map, bound) = SampleMap::new(layer, certificate.input(), lipschitz).ok_or(mismatch)?;
            Step::Sample(map, bound)
        }
        Layer::ResidualBlock(block) => Step::Block(block, residual_error::residual_block(lipschitz, block)),
        Layer::DenseFormula { bias, .. } => {
            let weight = certificate.enclosed().ok_or(mismatch)?;
            Step::Affine {
                weight: weight.centre(),
                bias,
                bound: ErrorBound::enclosed(lipschitz, weight, bias),
            }
        }
        Layer::Sandwich(layer) => {
            let weights = certificate.sandwich().ok_or(mismatch)?;
            let bound = weights.error_bound(layer, lipschitz);
            Step::Sandwich { layer, weights, bound }
        }
        Layer::Convolution { bias, padding, .. } | Layer::ConvFormula { bias, padding, .. } => {
            let ball = certificate.kernel().ok_or(mismatch)?;
            let bound = ErrorBound::convolution(lipschitz, ball, bias, certificate.input());
            Step::PlainConv(PlainConv::new(ball.approx(), bias, *padding), bound)
        }
        Layer::SkewExponential(exponential) => {
            let (ball, inside) = certificate.kernel().zip(certificate.witness().inside()).ok_or(mismatch)?;
            let norm = operator_norm::bound_up(inside.lambda, ball.error_up());
            let (terms, bias) = (exponential.terms, &exponential.bias);
            let bound = ErrorBound::exponential(lipschitz, norm, ball, terms, bias, certificate.input());
            Step::Exponential(Exponential::new(ball.approx(), bias, exponential.padding, terms), bound)
        }
    })
}
