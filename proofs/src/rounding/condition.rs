//! The common condition `A Aᵀ ⪯ diag(t)`: a lower bound of what any `t` can reach, from vectors that nobody has to trust.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

use super::directed::{add_up, div_down, div_up, gamma_up, max, mul_down, mul_up, norm_up, sqrt_down, sub_down, sum_up};
use crate::error::CheckError;
use crate::statement::Matrix;
use crate::statement::Objective;

/// Upper bound of the objective at `t`.
pub(crate) fn objective_up(objective: &Objective, t: &[f64]) -> f64 {
    match objective {
        Objective::Weighted(weights) => sum_up(t.iter().zip(weights).map(|(t, c)| mul_up(*t, *c))),
        Objective::Max => t.iter().fold(0.0, |most, t| max(most, *t)),
    }
}

/// Scales the rows `v_i` of `vectors`, `(inner, rank)` row-major, until `‖v_i‖² ≤ c_i` (for the maximum: `Σ ‖v_i‖² ≤ 1`), and bounds `‖Aᵀ V‖_F²` from
/// below.
pub(crate) fn dual_down(weight: &Matrix, objective: &Objective, rank: usize, vectors: &[f64]) -> Result<f64, CheckError> {
    let (inner, cols) = (weight.rows(), weight.cols());
    if inner.checked_mul(rank) != Some(vectors.len()) || rank == 0 {
        return Err(CheckError::Shape {
            what: "dual vectors",
            expected: vec![inner, rank],
            found: vec![vectors.len()],
        });
    }
    if let Some(index) = vectors.iter().position(|value| !value.is_finite()) {
        return Err(CheckError::NotFinite {
            what: "dual vectors",
            index: vec![index / rank, index % rank],
        });
    }
    let scaled: Vec<f64> = match objective {
        Objective::Weighted(weights) => vectors
            .chunks_exact(rank)
            .zip(weights)
            .flat_map(|(row, weight)| shrink(row, *weight))
            .collect(),
        Objective::Max => shrink(vectors, 1.0),
    };
    let mut product = Mat::<f64>::zeros(cols, rank);
    matmul(
        product.as_mut(),
        Accum::Replace,
        MatRef::from_row_major_slice(weight.data(), inner, cols).transpose(),
        MatRef::from_row_major_slice(&scaled, inner, rank),
        1.0,
        Par::Seq,
    );
    let entries: Vec<f64> = (0..cols * rank).map(|flat| product[(flat / rank, flat % rank)]).collect();
    // ‖|A|ᵀ|V|‖_F ≤ ‖A‖_F ‖V‖_F.
    let sizes = mul_up(norm_up(weight.data()), norm_up(&scaled));
    let lost = mul_up((entries.len() * (inner + 1)) as f64, f64::MIN_POSITIVE);
    let error = add_up(mul_up(gamma_up(inner + 2), sizes), lost);
    let high = norm_up(&entries);
    // `norm_up` widens a plain sum by less than these factors.
    let widened = mul_up(high, mul_up(2.0, gamma_up(entries.len() + 6)));
    let length = max(sub_down(sub_down(high, widened), add_up(error, 1e-140)), 0.0);
    let bound = mul_down(length, length);
    Ok(if bound.is_finite() { bound } else { 0.0 })
}

/// A multiple of `values` whose squared norm is proved to be at most `limit`, nearly equal if it can be; zeros otherwise.
fn shrink(values: &[f64], limit: f64) -> Vec<f64> {
    let length = norm_up(values);
    if length > 0.0 && limit > 0.0 {
        let factor = div_down(sqrt_down(limit), length);
        for pull in [0.0, 4e-16, 1e-14, 1e-10] {
            let factor = factor * (1.0 - pull);
            let scaled: Vec<f64> = values.iter().map(|value| value * factor).collect();
            let norm = norm_up(&scaled);
            let proved = mul_up(norm, norm) <= limit;
            if proved {
                return scaled;
            }
        }
    }
    vec![0.0; values.len()]
}

/// `1 + excess`-fold `t`, rounded up.
pub(crate) fn inflate_up(t: &[f64], excess: f64) -> Vec<f64> {
    let factor = add_up(1.0, excess);
    t.iter().map(|value| mul_up(*value, factor)).collect()
}

/// Upper bound of the relative gap `upper / lower − 1`; infinite where `lower` is not positive.
pub(crate) fn relative_gap_up(upper: f64, lower: f64) -> f64 {
    if lower > 0.0 {
        -sub_down(1.0, div_up(upper, lower))
    } else {
        f64::INFINITY
    }
}
