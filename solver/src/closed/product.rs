//! The product of the norms, as a feasible point of LipSDP.
//!
//! Let `s_i = ‖W_i‖`, `s = ‖C‖`, and `κ_i = max(|α_i|, |β_i|)`. With `x_h = s²` and `x_{i−1} = κ_i² s_i² x_i` the multipliers
//! `Λ_i = x_i κ_i / (β_i − α_i) I` satisfy the inequality at `ρ = x_0`. For one layer, `u` its input, `v = W u` and `w` its output,
//!
//! ```text
//! x_{i−1} ‖u‖² + 2 λ ⟨w − α v, w − β v⟩ − x_i ‖w‖²
//! ```
//!
//! is convex in `w` and smallest at `w = ±κ v`, where it is `x_{i−1} ‖u‖² − x_i κ² ‖v‖² ≥ 0`; the sum over the layers is the quadratic form of `P`.

use crate::chain::{Candidate, Chain, Solution, Status};
use crate::eigenvalue::approx_norm;
use crate::error::SolveError;

/// By how much the norms of each candidate are raised above their approximations.
const SLACKS: [f64; 4] = [1e-13, 1e-11, 1e-9, 1e-6];

/// The product of the norms, with multipliers.
///
/// # Errors
///
/// - [`SolveError::Slope`] if an activation is linear (`α = β`): such a layer belongs into the next weight.
/// - [`SolveError::NoCandidate`] if an eigenvalue routine fails or a number overflows.
pub fn solve(chain: &Chain) -> Result<Solution, SolveError> {
    for (layer, slope) in chain.slopes().iter().enumerate() {
        if slope.lo >= slope.hi {
            return Err(SolveError::Slope {
                layer,
                lo: slope.lo,
                hi: slope.hi,
            });
        }
    }
    let failed = SolveError::NoCandidate {
        method: "the product of norms",
    };
    let norms: Option<Vec<f64>> = chain.weights().iter().map(|weight| approx_norm(weight.as_ref())).collect();
    let (Some(norms), Some(last)) = (norms, approx_norm(chain.output())) else {
        return Err(failed);
    };
    let candidate = |slack: f64| {
        let mut below = (last * (1.0 + slack)).powi(2);
        let mut multipliers = Vec::with_capacity(norms.len());
        for ((norm, slope), weight) in norms.iter().zip(chain.slopes()).zip(chain.weights()).rev() {
            let steepest = slope.lo.abs().max(slope.hi.abs());
            multipliers.push(vec![below * steepest / (slope.hi - slope.lo); weight.nrows()]);
            below *= (steepest * norm * (1.0 + slack)).powi(2);
        }
        multipliers.reverse();
        Candidate {
            lipschitz: below.sqrt(),
            multipliers,
        }
    };
    let candidates: Vec<Candidate> = SLACKS.iter().map(|slack| candidate(*slack)).collect();
    let finite = candidates
        .iter()
        .all(|found| found.lipschitz.is_finite() && found.multipliers.iter().flatten().all(|l| l.is_finite()));
    if !finite {
        return Err(failed);
    }
    Ok(Solution {
        candidates,
        dual: None,
        approx_dual: 0.0,
        status: Status::Closed,
        iterations: 0,
    })
}
