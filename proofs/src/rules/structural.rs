//! Rule `structural`: the Lipschitz bound of a map without weights.
//!
//! # Statement
//!
//! | map | bound |
//! |---|---|
//! | normalisation by `std` | `max_c 1 / std_c` |
//! | zero channels added | 1 (an isometry) |
//! | average pooling, window `s × s`, divisor `d` | `s / d` |
//! | flatten | 1 (an isometry) |
//! | activation with slopes in `[α, β]` | `max(|α|, |β|)` |
//! | constants added or subtracted | 1 |
//! | multiplied by `m`, divided by `d`, an entry at a time | `max |m|`, `max 1 / |d|` |
//!
//! # Proof
//!
//! Normalisation is an affine map with a diagonal linear part. The windows of the pooling are disjoint, so the rows of its matrix are
//! orthogonal, each with `s²` entries `1/d`, norm `s/d`; hence `P Pᵀ = (s/d)² I`. The other maps act on every entry alone, where the
//! bound is the largest slope.
//!
//! # Source
//!
//! Elementary; the divisor of the official SLL network is 4 for a 4 × 4 window, which makes the bound exactly 1.
//!
//! # Mutation note
//!
//! `max_c` replaced by the first channel: `structural::reject_table` went red (std `1, 0.5`). `size` replaced by `size²`: `structural::accept_table`.

use crate::error::CheckError;
use crate::rounding::directed::max;
use crate::rounding::interval::Interval;
use crate::statement::{Layer, Operation};

/// Upper bound of the Lipschitz constant of a map without weights.
///
/// # Errors
///
/// [`CheckError::RuleMismatch`] for a layer that has weights.
pub fn bound_up(layer: &Layer) -> Result<f64, CheckError> {
    match layer {
        Layer::Normalize { std, .. } => {
            let gains = std.iter().map(|value| Interval::ONE.div(value.enclosure()).hi());
            Ok(gains.fold(0.0, max))
        }
        Layer::PadChannels { .. } | Layer::Flatten => Ok(1.0),
        Layer::AveragePool { size, divisor } => {
            let size = i64::try_from(*size).unwrap_or(i64::MAX);
            Ok(Interval::integer(size).div(Interval::integer(i64::from(*divisor))).hi())
        }
        Layer::Activation(activation) => {
            let (lo, hi) = activation.slopes();
            Ok(max(lo.abs(), hi.abs()))
        }
        Layer::Elementwise { operation, operand } => match operation {
            Operation::Add | Operation::Subtract => Ok(1.0),
            Operation::Multiply => Ok(operand.iter().fold(0.0, |most, factor| max(most, factor.abs()))),
            Operation::Divide => {
                let gains = operand
                    .iter()
                    .map(|divisor| Interval::ONE.div(Interval::point(divisor.abs())).hi());
                Ok(gains.fold(0.0, max))
            }
        },
        Layer::ResidualConv { .. }
        | Layer::ResidualDense { .. }
        | Layer::Dense { .. }
        | Layer::NormalizedHead { .. }
        | Layer::Convolution { .. }
        | Layer::ConvFormula { .. }
        | Layer::SkewExponential(_) => Err(CheckError::RuleMismatch {
            rule: "structural",
            kind: layer.kind(),
        }),
    }
}
