//! Rule `lipsdp`: the Lipschitz bound of a chain of dense layers and activations from one linear matrix inequality.
//!
//! # Statement
//!
//! Let `x_i = σ_i(W_i x_{i−1} + b_i)` for `i = 1 … h`, where every coordinate of `σ_i` has its slopes in `[α_i, β_i]`, and let `y = C x_h + c`. If for some
//! diagonal `Λ_i > 0` the matrix `P(Λ, ρ)` of the quadratic form
//!
//! ```text
//! ρ ‖z_0‖² + 2 Σ_i (z_i − α_i W_i z_{i−1})ᵀ Λ_i (z_i − β_i W_i z_{i−1}) − ‖C z_h‖²
//! ```
//!
//! is positive semidefinite, then `y` is `√ρ`-Lipschitz in `x_0`, in the l2 norm. For slopes `[0, 1]` its blocks are `ρI`, `2Λ_i`, `−Λ_i W_i` beside the diagonal, and
//! `CᵀC` is taken off the last one.
//!
//! # Proof
//!
//! Put the differences of two runs for `z_i`. With `v = W_i z_{i−1}` the difference before the activation, each coordinate has
//! `(z_i − α_i v)(z_i − β_i v) ≤ 0` by the range of slopes, so the middle sum is not positive, and `‖C z_h‖² ≤ ρ ‖z_0‖²`. Only diagonal `Λ` are sound:
//! the inequality holds coordinate by coordinate and for no other pairs. The form with full coupling ("LipSDP-Network") has published and measured
//! counterexamples; `lipsdp::coupled_multipliers_are_refuted` keeps one.
//!
//! That `P ⪰ 0` is shown with `C` as a further block row, `[P₀ Cᵀ; C I] ⪰ 0`, whose Schur complement is `P`, by a block Cholesky factor whose residual
//! is bounded after the fact; see `rounding::chain` and `rounding::tridiagonal`.
//!
//! # The other side
//!
//! No multipliers do better than `‖C X_h‖_F / ‖X_0‖_F` for vectors `x_k` (rows of `X_i`) with `⟨x_k − α u_k, x_k − β u_k⟩ ≤ 0`, `u_k = Σ_j w_kj x_j`: then
//! `tr(P X Xᵀ) ≥ 0` gives `ρ ‖X_0‖² ≥ ‖C X_h‖²`, since the middle sum has the sign of `Λ`. So a solution can be proved optimal up to a gap, [`dual_down`].
//!
//! # Source
//!
//! Fazlyab, Robey, Hassani, Morari and Pappas, *Efficient and accurate estimation of Lipschitz constants for deep neural networks*, NeurIPS 2019, Theorem 2
//! (`T` there is `Λ` here). Against coupling: Pauli et al., *Training robust neural networks using Lipschitz bounds*, IEEE L-CSS 2021.
//!
//! # Mutation note
//!
//! Each of these turned the named test red, and mostly others: the block of the first layer zeroed, `lipsdp::a_dropped_layer`; a square `W` transposed,
//! `lipsdp::a_transposed_weight`; one `λ` of the assembly halved, `lipsdp::a_certificate_holds_what_was_checked`; `ρ` lowered by `1e-6`, `lipsdp::the_worked_examples`;
//! `ρ` raised by `1e-6`, `lipsdp::a_lower_bound_is_refused`; the head zeroed, `lipsdp::the_head_counts`; the sign test of `Λ` removed, `lipsdp::reject_table`; `α + β`
//! replaced by `β`, and the curvature `2αβ WᵀΛW` left out, `lipsdp::slopes_against_dense_matrices`; the ball of the dual twice as large,
//! `chain_dual::balls_contain_what_is_proved_to_lie_inside`. The error of the entries left out of the final comparison of `rounding::tridiagonal` alone turned
//! nothing red: it is a part of the shift too, and either makes up for the other; so did the rounding of the residual's own sums, which the error of the entries
//! outweighs in small matrices.

use crate::error::CheckError;
use crate::rounding::{chain, chain_dual};
use crate::statement::Chain;

/// Checks that `P(Λ, l²) ⪰ 0`; then the output of the chain is `l`-Lipschitz. `multipliers` holds the diagonals, `h` vectors of lengths `n_1, …, n_h`.
///
/// # Errors
///
/// - [`CheckError::Shape`] if there is not one multiplier a hidden neuron.
/// - [`CheckError::NotPositive`], [`CheckError::OutOfRange`] for a bound, a multiplier, a slope or a weight outside the range of the rule.
/// - [`CheckError::NotSemidefinite`] if the evidence does not prove it.
pub fn check(chain: &Chain<'_>, multipliers: &[Vec<f64>], lipschitz: f64) -> Result<(), CheckError> {
    chain::prove(chain, multipliers, lipschitz)
}

/// A proved lower bound of every `l` for which some multipliers satisfy the inequality, from any vectors: those of the neurons are moved until they
/// are feasible. 0 where nothing could be shown.
///
/// It bounds the optimum of the relaxation, not the Lipschitz constant of the network.
///
/// # Shapes
///
/// `vectors[i]` is `X_i`, `(n_i, rank)` row-major, for `i = 0 … h`.
///
/// # Errors
///
/// [`CheckError::Shape`] if the sizes are not those of the chain, [`CheckError::NotFinite`] for NaN or an infinity.
pub fn dual_down(chain: &Chain<'_>, rank: usize, vectors: &[Vec<f64>]) -> Result<f64, CheckError> {
    chain_dual::bound_down(chain, rank, vectors)
}
