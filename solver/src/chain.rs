//! A feed-forward network as LipSDP sees it, and what a solver says about it.
//!
//! The map is `x ↦ C σ_h(W_h … σ_1(W_1 x + b_1) … + b_h)`; biases do not matter to a Lipschitz bound. The linear matrix inequality is
//!
//! ```text
//! P(Λ, ρ) = ρ E_00 + Σ_k λ_k (a_k b_kᵀ + b_k a_kᵀ) − (Cᵀ C in the last block)  ⪰ 0,   Λ ≥ 0 diagonal,
//! a_k = e_k − α_i w_k,   b_k = e_k − β_i w_k
//! ```
//!
//! with `w_k` the row `k` of `W_i` in the block `i − 1`, `e_k` the unit vector of neuron `k` in the block `i`, and `[α_i, β_i]` the slopes of the activation
//! behind `W_i`. `P ⪰ 0` says that the map is `√ρ`-Lipschitz. For slopes `[0, 1]` the blocks are `P_00 = ρ I`, `P_ii = 2 Λ_i`, `P_{i,i−1} = −Λ_i W_i`, and
//! `CᵀC` is taken off the last one.
//!
//! # Source
//!
//! Fazlyab et al., *Efficient and accurate estimation of Lipschitz constants for deep neural networks*, NeurIPS 2019, with diagonal multipliers
//! (`T` there is `Λ` here); the form with full coupling is not sound and not offered.

use faer::{Mat, MatRef};

use crate::error::SolveError;

/// The slopes of a scalar activation: `lo ≤ (σ(u) − σ(v)) / (u − v) ≤ hi`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// The smallest.
    pub lo: f64,
    /// The largest.
    pub hi: f64,
}

impl Slope {
    /// Rectified linear units, tanh, and all others that do not fall and rise at most as fast as their argument.
    pub const UNIT: Self = Self { lo: 0.0, hi: 1.0 };
}

/// The data of the inequality.
#[derive(Clone, Debug)]
pub struct Chain {
    weights: Vec<Mat<f64>>,
    slopes: Vec<Slope>,
    output: Mat<f64>,
}

impl Chain {
    /// Builds a chain of `h` hidden layers.
    ///
    /// # Shapes
    ///
    /// | argument | shape |
    /// |---|---|
    /// | `weights[i]` | `(n_{i+1}, n_i)`, `i = 0 … h − 1`; none for an affine map |
    /// | `slopes` | one a hidden layer |
    /// | `output` | `(m, n_h)`: all rows of the last weight, one of them, or a difference of two |
    ///
    /// # Errors
    ///
    /// - [`SolveError::Shape`] if the sizes do not fit, or one is zero.
    /// - [`SolveError::NotFinite`] if an entry is NaN or infinite.
    /// - [`SolveError::Slope`] if slopes are out of order or not finite.
    pub fn new(weights: Vec<Mat<f64>>, slopes: Vec<Slope>, output: Mat<f64>) -> Result<Self, SolveError> {
        if slopes.len() != weights.len() {
            return Err(SolveError::Shape {
                what: "slopes",
                expected: vec![weights.len()],
                found: vec![slopes.len()],
            });
        }
        let mut cols = weights.first().map_or(output.ncols(), Mat::ncols);
        for weight in weights.iter().chain([&output]) {
            let fits = weight.ncols() == cols && weight.nrows() > 0 && cols > 0;
            if !fits {
                return Err(SolveError::Shape {
                    what: "weight",
                    expected: vec![weight.nrows().max(1), cols.max(1)],
                    found: vec![weight.nrows(), weight.ncols()],
                });
            }
            cols = weight.nrows();
            for j in 0..weight.ncols() {
                if let Some(i) = (0..weight.nrows()).find(|i| !weight[(*i, j)].is_finite()) {
                    return Err(SolveError::NotFinite {
                        what: "weight",
                        index: vec![i, j],
                    });
                }
            }
        }
        for (layer, slope) in slopes.iter().enumerate() {
            let ordered = slope.lo <= slope.hi && slope.lo.is_finite() && slope.hi.is_finite();
            if !ordered {
                return Err(SolveError::Slope {
                    layer,
                    lo: slope.lo,
                    hi: slope.hi,
                });
            }
        }
        Ok(Self { weights, slopes, output })
    }

    /// Number of hidden layers `h`.
    #[must_use]
    pub const fn hidden(&self) -> usize {
        self.weights.len()
    }

    /// The weights of the hidden layers, first to last.
    #[must_use]
    pub fn weights(&self) -> &[Mat<f64>] {
        &self.weights
    }

    /// The slopes behind each hidden layer.
    #[must_use]
    pub fn slopes(&self) -> &[Slope] {
        &self.slopes
    }

    /// The matrix `C` behind the last activation.
    #[must_use]
    pub fn output(&self) -> MatRef<'_, f64> {
        self.output.as_ref()
    }

    /// The widths `n_0, n_1, …, n_h`.
    #[must_use]
    pub fn widths(&self) -> Vec<usize> {
        let input = self.weights.first().map_or(self.output.ncols(), Mat::ncols);
        std::iter::once(input).chain(self.weights.iter().map(Mat::nrows)).collect()
    }

    /// Number of neurons `n_1 + … + n_h`.
    #[must_use]
    pub fn neurons(&self) -> usize {
        self.weights.iter().map(Mat::nrows).sum()
    }
}

/// Which neurons share a multiplier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// None: the tightest sound bound of this kind.
    Neuron,
    /// All of a layer: fewer unknowns, a weaker bound.
    Layer,
}

/// Multipliers that satisfy the inequality as far as floats can tell. Trusted by nobody.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// `√ρ`, a bound of the Lipschitz constant.
    pub lipschitz: f64,
    /// The diagonals `Λ_1, …, Λ_h` that belong to it, one vector a hidden layer.
    pub multipliers: Vec<Vec<f64>>,
}

/// Vectors that show that no multipliers do better: a low-rank point of the dual. Trusted by nobody.
///
/// Any vectors will do: a check scales those of the hidden neurons, layer by layer, until each satisfies
/// `⟨v_k − α u_k, v_k − β u_k⟩ ≤ 0` with `u_k = Σ_j w_kj v_j`; then `‖C V_h‖_F / ‖V_0‖_F` is below `√ρ` for every feasible `ρ`.
/// Where `α β ≤ 0` the largest scale is best and that of the block does not matter. Where `α β > 0` small scales are forbidden too, and the one
/// nearest to 1 is best: a vector may lie on the near side of its ball.
#[derive(Clone, Debug, PartialEq)]
pub struct DualVectors {
    /// `V_0, …, V_h`; `V_i` is `(n_i, r)`.
    pub blocks: Vec<Mat<f64>>,
}

/// How a solver ended. A remark, never a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The gap is below the tolerance.
    Converged,
    /// Somebody asked to stop.
    Stopped,
    /// No further progress in floating point.
    Stalled,
    /// The limit of iterations.
    Iterations,
    /// Nothing is iterated: a closed form.
    Closed,
}

/// What a solver found.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// The best first; each later one lies further inside, so that a caller can prove the first that allows it. Never empty.
    pub candidates: Vec<Candidate>,
    /// Vectors whose bound is about `approx_dual`; absent where the method has none.
    pub dual: Option<DualVectors>,
    /// About the largest lower bound of `√ρ` that was found; 0 where the method has none.
    pub approx_dual: f64,
    /// How it ended.
    pub status: Status,
    /// Newton steps or the like.
    pub iterations: usize,
}

/// Somebody who looks on, and may say stop. A solver works the same whether or not anybody looks.
pub trait Watch: Sync {
    /// As far as floats can tell, the optimum of `√ρ` lies between these two.
    fn interval(&self, approx_dual: f64, approx_primal: f64);
    /// Whether to return the best so far.
    fn stop(&self) -> bool;
}

/// Nobody looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn interval(&self, _: f64, _: f64) {}
    fn stop(&self) -> bool {
        false
    }
}
