//! LipSDP by a structured interior-point method.
//!
//! The inequality of [`crate::chain`] has `N + 1` scalar unknowns and a block tridiagonal matrix. A block Cholesky recursion gives `log det P`, its
//! gradient in `O(Σ n³)` and its Hessian in `O(n N²)`; Newton's method on the barrier `τ ρ − log det P` follows the central path. On the way every
//! iterate is strictly feasible, and the leading vectors of `P⁻¹` are a point of the dual, so both sides of the optimum are known at any time.
//! In large chains the Hessian is not formed; products with it cost `O(Σ n³)` and conjugate gradients need few of them.
//! With one multiplier a layer the same derivatives are summed over layers, and `h + 1` unknowns are left.

mod band;
mod constant;
mod dense;
mod dual;
mod goal;
mod hessian;
mod krylov;
mod path;
mod problem;
mod product;
mod schur;
mod start;
mod step;

use faer::Par;

pub use dual::approx_dual_bound;

use crate::chain::{Candidate, Chain, Sharing, Solution, Status, Watch};
use crate::error::SolveError;
use problem::{Problem, Reduction, reduce};

/// How far a bound that has no slack is moved inside.
const SLACK: [f64; 4] = [1e-12, 1e-10, 1e-8, 1e-6];

/// Newton steps a layer of [`layerwise`].
const STEPS: usize = 30;

/// [`Options::dense_most`]: from about here on forming the Hessian takes longer.
const DENSE_MOST: usize = 2_000;

/// How to solve.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Whether all neurons of a layer have one multiplier.
    pub sharing: Sharing,
    /// Stop where `(√ρ − dual) / √ρ` is below this.
    pub tolerance: f64,
    /// At most this many Newton steps.
    pub iterations: usize,
    /// With more unknowns than this the Hessian is not formed: memory is then linear in the depth but for `h` vectors, and steps are found by conjugate gradients.
    pub dense_most: usize,
    /// Threads of the dense products.
    pub parallel: Par,
    /// Multipliers of a closely related chain: the last candidate of its solution, which lies far inside, saves steps; the first would cost some.
    /// Ignored where the multipliers of a layer have to be equal and are not.
    pub start: Option<&'a Candidate>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            sharing: Sharing::Neuron,
            tolerance: 1e-6,
            iterations: 500,
            dense_most: DENSE_MOST,
            parallel: Par::Seq,
            start: None,
        }
    }
}

/// Minimises `√ρ` over all multipliers, or over those that are equal within each layer.
///
/// With [`Sharing::Layer`] there are no dual vectors: its dual asks for the sum of `⟨v_k − α u_k, v_k − β u_k⟩` over a layer alone, so what
/// [`DualVectors`](crate::chain::DualVectors) show bounds the optimum of [`Sharing::Neuron`], which may lie far below. [`Solution::approx_dual`] is what
/// the last centres of the barrier say. Neurons that do not see the input or are not seen by the output have multipliers of their own all the same.
///
/// The candidates are the last iterates of the path and one about the centre. Where it does not converge, the best feasible candidates and the best dual vectors come back all the same, see [`Solution::status`].
///
/// # Errors
///
/// - [`SolveError::NoCandidate`] if numbers overflow or no feasible point was found.
pub fn lipsdp(chain: &Chain, options: &Options<'_>, watch: &dyn Watch) -> Result<Solution, SolveError> {
    let method = match options.sharing {
        Sharing::Neuron => "LipSDP-Neuron",
        Sharing::Layer => "LipSDP-Layer",
    };
    let missing = SolveError::NoCandidate { method };
    let Some((problem, reduction)) = reduce(chain, options.parallel) else {
        return constant::solution(chain).ok_or(missing);
    };
    path::follow(&problem, &reduction, options, watch).ok_or(missing)
}

/// ECLipsE-Fast: one scalar multiplier a layer, in closed form.
///
/// # Source
///
/// Xu and Sivaranjani, *ECLipsE: Efficient Compositional Lipschitz Constant Estimation for Deep Neural Networks*, NeurIPS 2024.
///
/// # Errors
///
/// - [`SolveError::NoCandidate`] if numbers overflow.
pub fn eclipse_fast(chain: &Chain) -> Result<Solution, SolveError> {
    closed(chain, "ECLipsE-Fast", |problem| start::fast(problem, Par::Seq))
}

/// The layers one after the other, each with all its multipliers and one scalar for what comes behind.
///
/// Per layer `η log s + log det(S(Λ) − s W_{i+1}ᵀ W_{i+1})` is maximised, `S` the Schur complement of what comes before and `η` the number of neurons
/// behind, or those and all once more: the better of the two. Cheap, and often far below ECLipsE-Fast in deep chains; for one or two hidden layers it may lie above.
///
/// # Errors
///
/// - [`SolveError::NoCandidate`] if numbers overflow.
pub fn layerwise(chain: &Chain) -> Result<Solution, SolveError> {
    closed(chain, "the layerwise barrier", |problem| {
        let all = problem.barrier_parameter();
        [1.0, all]
            .into_iter()
            .filter_map(|weight| start::layerwise(problem, (weight, STEPS), Par::Seq))
            .min_by(|one, other| one[0].total_cmp(&other[0]))
    })
}

/// A method that gives multipliers and the least `ρ` that they allow.
fn closed(chain: &Chain, method: &'static str, solve: impl Fn(&Problem) -> Option<Vec<f64>>) -> Result<Solution, SolveError> {
    let missing = SolveError::NoCandidate { method };
    let Some((problem, reduction)) = reduce(chain, Par::Seq) else {
        return constant::solution(chain).ok_or(missing);
    };
    let x = solve(&problem).ok_or(missing.clone())?;
    let candidates: Vec<Candidate> = SLACK
        .iter()
        .filter_map(|slack| inside(&problem, &reduction, &x, *slack))
        .collect();
    if candidates.is_empty() {
        return Err(missing);
    }
    Ok(Solution {
        candidates,
        dual: None,
        approx_dual: 0.0,
        status: Status::Closed,
        iterations: 0,
    })
}

/// The candidate of `x` with all of it made larger against the output by a factor.
fn inside(problem: &Problem, reduction: &Reduction<'_>, x: &[f64], slack: f64) -> Option<Candidate> {
    let larger: Vec<f64> = x.iter().map(|value| value * (1.0 + slack)).collect();
    reduction.candidate(problem, &larger)
}
