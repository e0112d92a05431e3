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
//! | leaky relu with a slope `s_c` for each unit | `max_c max(1, |s_c|)` |
//! | N-activation | 1 |
//! | the larger and the smaller of a pair; sorting in groups; `relu(x)`, `relu(−x)` | 1 |
//! | Householder activations, projection pooling, the larger of a pair | 1 |
//! | pixels to channels and back, dropped or zero entries, the mean subtracted | 1 |
//! | maximum over `s × s` windows, stride `p` | `⌈s / p⌉` |
//! | Euclidean norm over disjoint windows | 1 |
//!
//! # Proof
//!
//! Normalisation is an affine map with a diagonal linear part. The windows of the pooling are disjoint, so the rows of its matrix are
//! orthogonal, each with `s²` entries `1/d`, norm `s/d`; hence `P Pᵀ = (s/d)² I`. The other maps act on every entry alone, where the
//! bound is the largest slope.
//!
//! *Sorting.* The sorted vector is the permutation of its group whose inner product with any other sorted vector is largest (rearrangement), so
//! `‖sort x − sort y‖² = ‖x‖² + ‖y‖² − 2 ⟨sort x, sort y⟩ ≤ ‖x − y‖²`; max-min is sorting two. `(relu(x), relu(−x))` moves by `|x − y|` if the signs agree, and else by
//! `√(x² + y²) ≤ |x − y|`. Groups are disjoint, so the squares add up.
//!
//! *Householder.* On each of finitely many closed sectors that cover the plane the map is orthogonal, and on the ray between two sectors both
//! orthogonal maps agree; so it is continuous, and a segment is cut into finitely many pieces whose lengths it keeps. Order 1: the mirror image at the line on which
//! the switch lies. Order 2, by the angle `φ`: at `(θ₀ + θ₁)/2` the mirror image at this line fixes it; at `(θ₀ + θ₁ + θ₂)/2` both `θ₀ + θ₁ − φ` and `φ − θ₂` are
//! `(θ₀ + θ₁ − θ₂)/2`; at `π + (θ₀ + θ₂)/2` both `φ − θ₂` and `θ₀ − φ` are `π + (θ₀ − θ₂)/2` up to a turn; at `θ₀/2` the mirror image at this line fixes it.
//!
//! *Distances.* Projection pooling is the signed distance to a closed convex set: outside the distance, inside minus the distance to the complement,
//! each 1-Lipschitz, and a segment that crosses the boundary is cut there. `|max_W x − max_W y|² ≤ Σ_W (x_i − y_i)²`, and an entry lies in at most `⌈s/p⌉²` windows. A norm is
//! 1-Lipschitz (reverse triangle inequality). Subtracting a mean is an orthogonal projection.
//!
//! # Source
//!
//! Elementary; the divisor of the official SLL network is 4 for a 4 × 4 window, which makes the bound exactly 1, as does the divisor `size` in general (the scaled
//! average pooling of deel-torchlip). Sorting: Anil, Lucas and Grosse, ICML 2019. Householder activations and projection pooling: Singla, Singla
//! and Feizi, ICLR 2022. N-activation: Prach and Lampert, 2023.
//!
//! # Mutation note
//!
//! `max_c` replaced by the first channel: `structural::reject_table` went red (std `1, 0.5`). `size` replaced by `size²`: `structural::accept_table`.

use crate::error::CheckError;
use crate::rounding::directed::max;
use crate::rounding::interval::Interval;
use crate::statement::{ChannelActivation, Layer, Operation, Resample};

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
        | Layer::DenseFormula { .. }
        | Layer::Sandwich(_)
        | Layer::ResidualBlock(_) => Err(CheckError::RuleMismatch {
            rule: "structural",
            kind: layer.kind(),
        }),
        Layer::ChannelActivation(ChannelActivation::Prelu { slope }) => Ok(slope.iter().fold(1.0, |most, s| max(most, s.abs()))),
        Layer::ChannelActivation(ChannelActivation::N { .. }) | Layer::Groupwise(_) | Layer::Paired(_) => Ok(1.0),
        Layer::Resample(Resample::MaxPool { size, stride }) => {
            let overlap = size.div_ceil(*stride);
            Ok(Interval::integer(i64::try_from(overlap).unwrap_or(i64::MAX)).hi())
        }
        Layer::Resample(_) => Ok(1.0),
    }
}
