//! The common condition: the smallest diagonal `T` with `WᵀW ⪯ T`.
//!
//! ```text
//! minimise Σ c_i t_i   subject to   diag(t) ⪰ G,   G = WᵀW
//! maximise ⟨G, V Vᵀ⟩   subject to   ‖v_i‖² = c_i         (v_i: row i of V)
//! ```
//!
//! The two have the same value as soon as `V` has about `√(2n)` columns. The second is climbed row by row, each row to its own optimum; at the top
//! `t_i = ‖(G V)_i‖ / √c_i` solves the first. What is left of infeasibility is repaired by a factor `1 + δ`, found by Cholesky factorisations. Where that
//! leaves a gap above the tolerance, a log-det barrier method goes on from there.
//!
//! Minimising the largest `t_i` instead of a sum is a question about one number: `T = ‖W‖² I`, see [`minimize_largest`].
//!
//! # Source
//!
//! - The condition: Araujo et al., *A Unified Algebraic Perspective on Lipschitz Neural Networks*, ICLR 2023, Theorem 1.
//! - The ascent: Wang, Chang and Kolter, *The Mixing method: low-rank coordinate descent for semidefinite programming with diagonal constraints*, 2017;
//!   the rank: Burer and Monteiro, Math. Program. 95 (2003), Boumal, Voroninski and Bandeira, NeurIPS 2016.
//! - The barrier: Benson, Ye and Zhang, *Solving large-scale sparse semidefinite programs for combinatorial optimization*, SIAM J. Optim. 10 (2000)
//!   (dual scaling; the Hessian `Z ∘ Z`).

mod ascent;
mod barrier;
mod feasible;
mod scaled;

pub(crate) use scaled::power_of_two;

use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatRef, Par, Side};

use crate::chain::{Status, Watch};
use crate::error::SolveError;
use ascent::Ascent;
use feasible::Feasible;
use scaled::Scaled;

/// How hard to try.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Stop at this relative gap between the objective and the dual bound.
    pub tolerance: f64,
    /// At most so many Newton steps of the barrier method.
    pub newton_most: usize,
    /// Threads of the dense linear algebra.
    pub par: Par,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tolerance: 1e-6,
            newton_most: 60,
            par: Par::Seq,
        }
    }
}

/// What was found about the common condition. Trusted by nobody.
#[derive(Clone, Debug, PartialEq)]
pub struct CommonSolution {
    /// Values of `t`, `(n,)` each: the best first, each later one further inside, so that a caller can prove the first that allows it. Never empty.
    ///
    /// `t_i = 0` where the column `i` of `W` is zero; only there.
    pub candidates: Vec<Vec<f64>>,
    /// `V`, `(n, r)`. Any factors `0 ≤ d_i` with `d_i² ‖v_i‖² ≤ c_i` make `⟨G, D V Vᵀ D⟩` a lower bound of the objective of every feasible `t`;
    /// here `‖v_i‖² ≈ c_i`, so that `d_i ≈ 1`. For [`minimize_largest`], `r = 1` and `‖V‖² ≤ 1` takes the place of the row norms.
    pub dual: Mat<f64>,
    /// About `⟨G, V Vᵀ⟩`.
    pub approx_dual: f64,
    /// About the objective of the first candidate.
    pub approx_objective: f64,
    /// How it ended.
    pub status: Status,
    /// Sweeps of the ascent and Newton steps.
    pub iterations: usize,
}

/// `WᵀW` for a weight `(m, n)`; both triangles of the result, `(n, n)`, are filled. Rounded in each entry; an empty weight gives zeros.
#[must_use]
pub fn approx_gram(weight: MatRef<'_, f64>, par: Par) -> Mat<f64> {
    let n = weight.ncols();
    let mut gram = Mat::zeros(n, n);
    triangular::matmul(
        gram.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Replace,
        weight.transpose(),
        BlockStructure::Rectangular,
        weight,
        BlockStructure::Rectangular,
        1.0,
        par,
    );
    for j in 1..n {
        for i in 0..j {
            gram[(i, j)] = gram[(j, i)];
        }
    }
    gram
}

/// Minimises `Σ t_i` subject to `diag(t) ⪰ G`. See [`minimize_weighted`], of which it is the case `c = 1`.
///
/// # Errors
///
/// Those of [`minimize_weighted`].
pub fn minimize_trace(gram: MatRef<'_, f64>, options: &Options, watch: &dyn Watch) -> Result<CommonSolution, SolveError> {
    minimize_weighted(gram, &vec![1.0; gram.nrows()], options, watch)
}

/// Minimises `Σ c_i t_i` subject to `diag(t) ⪰ G`.
///
/// # Shapes
///
/// | argument | shape |
/// |---|---|
/// | `gram` | `G = WᵀW`, `(n, n)`, positive semidefinite up to rounding; its lower triangle is read |
/// | `weights` | `c > 0`, `(n,)` |
///
/// Columns of `W` may differ in size by hundreds of orders of magnitude as long as `G` neither overflows nor loses a square to underflow. A column with
/// `G_ii = 0` is left out and gets `t_i = 0`. `watch` is shown bounds of the objective (not of its root).
///
/// # Errors
///
/// - [`SolveError::Shape`] if `gram` is not square, empty, or the weights are another number.
/// - [`SolveError::NotFinite`] if an entry is NaN or infinite, or a weight is not a positive number.
/// - [`SolveError::NotSemidefinite`] if a diagonal entry is negative, or zero beside an entry that is not.
/// - [`SolveError::NoCandidate`] if no factorisation went through.
pub fn minimize_weighted(
    gram: MatRef<'_, f64>,
    weights: &[f64],
    options: &Options,
    watch: &dyn Watch,
) -> Result<CommonSolution, SolveError> {
    let problem = Scaled::new(gram, weights)?;
    if problem.len() == 0 {
        return Ok(CommonSolution {
            candidates: vec![vec![0.0; gram.nrows()]],
            dual: Mat::from_fn(gram.nrows(), 1, |i, _| weights[i].sqrt()),
            approx_dual: 0.0,
            approx_objective: 0.0,
            status: Status::Converged,
            iterations: 0,
        });
    }
    let mut ascent = Ascent::new(&problem, options.par);
    let mut best = climb(&problem, &mut ascent, options, watch)?;
    let mut iterations = ascent.sweeps();
    let gap = |best: &Feasible, ascent: &Ascent<'_>| (best.objective - ascent.value()) / best.objective;
    if gap(&best, &ascent) > options.tolerance && !watch.stop() {
        let central = barrier::minimize(&problem, &best, ascent.value(), options, watch);
        iterations += central.iterations;
        if let Some(dual) = central.dual {
            ascent.improve_with(dual);
        }
        if central.best.objective < best.objective {
            best = central.best;
        }
        // The polished dual may show a better primal point than the barrier's.
        if let Some(other) = feasible::from_dual(&problem, &ascent.scale(), options.par)
            && other.objective < best.objective
        {
            best = other;
        }
    }
    ascent.trim(0.1 * options.tolerance);
    let status = if gap(&best, &ascent) <= options.tolerance {
        Status::Converged
    } else if watch.stop() {
        Status::Stopped
    } else {
        Status::Stalled
    };
    let candidates: Vec<Vec<f64>> = best.candidates().iter().map(|scale| problem.unscale(scale)).collect();
    let approx_objective = candidates[0].iter().zip(weights).map(|(t, c)| t * c).sum();
    Ok(CommonSolution {
        candidates,
        dual: problem.unscale_dual(ascent.vectors(), weights),
        approx_dual: ascent.value() * problem.unit(),
        approx_objective,
        status,
        iterations,
    })
}

/// Climbs until the gap is small, or the barrier method is the better use of the time.
fn climb(problem: &Scaled, ascent: &mut Ascent<'_>, options: &Options, watch: &dyn Watch) -> Result<Feasible, SolveError> {
    let mut best: Option<Feasible> = None;
    let mut target = 30;
    // About the cost of fifteen Newton steps.
    let most = 100 + 20 * (problem.len() as f64).sqrt().ceil() as usize;
    loop {
        let done = ascent.climb(target.min(most), 1e-3 * options.tolerance / (target as f64), watch);
        if let Some(found) = feasible::from_dual(problem, &ascent.scale(), options.par) {
            watch.interval(ascent.value() * problem.unit(), found.objective * problem.unit());
            if best.as_ref().is_none_or(|best| found.objective < best.objective) {
                best = Some(found);
            }
        }
        let gap = best
            .as_ref()
            .map_or(f64::INFINITY, |best| (best.objective - ascent.value()) / best.objective);
        if gap <= options.tolerance || done || target >= most || watch.stop() {
            return best.ok_or(SolveError::NoCandidate {
                method: "the common condition",
            });
        }
        target += target / 2;
    }
}

/// Minimises `max t_i` subject to `diag(t) ⪰ G`: `t_i = ‖W‖²` for all `i`, with the top singular vector of `W` as the dual.
///
/// `gram` as for [`minimize_weighted`]. The candidates lie above the computed eigenvalue by factors from `1 + 2⁻⁴⁸ n` on.
///
/// # Errors
///
/// Those of [`minimize_weighted`] about `gram`.
pub fn minimize_largest(gram: MatRef<'_, f64>, options: &Options) -> Result<CommonSolution, SolveError> {
    let n = gram.nrows();
    scaled::check(gram, &vec![1.0; n])?;
    let largest = (0..n).map(|i| gram[(i, i)]).fold(0.0, f64::max);
    let unit = if largest > 0.0 { power_of_two(largest) } else { 1.0 };
    let scaled = Mat::from_fn(n, n, |i, j| gram[(i.max(j), i.min(j))] / unit);
    let failed = SolveError::NoCandidate {
        method: "the largest eigenvalue",
    };
    let (top, vector) = if n <= 256 {
        let eigen = scaled.self_adjoint_eigen(Side::Lower).map_err(|_| failed)?;
        (eigen.S()[n - 1], Mat::from_fn(n, 1, |i, _| eigen.U()[(i, n - 1)]))
    } else {
        crate::eigenvalue::leading(scaled.as_ref(), options.par).ok_or(failed)?
    };
    let top = top.max(0.0) * unit;
    let candidates = [n as f64 * 2.0_f64.powi(-48), 1e-9, 1e-6, 1e-3]
        .iter()
        .map(|slack| vec![top * (1.0 + slack); n])
        .collect::<Vec<_>>();
    Ok(CommonSolution {
        approx_objective: candidates[0][0],
        candidates,
        dual: vector,
        approx_dual: top,
        status: Status::Closed,
        iterations: 0,
    })
}
