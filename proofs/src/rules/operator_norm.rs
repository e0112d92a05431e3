//! Rule `operator-norm`: the Lipschitz bound of a dense layer or a convolution from its Gram matrix.
//!
//! # Statement
//!
//! If `W Wᵀ ⪯ λ I`, or `Wᵀ W ⪯ λ I`, then `x ↦ W x + b` is `√λ`-Lipschitz in the l2 norm. If the exact weight lies within `ρ` of `W` in
//! the Frobenius norm, as for a weight that a formula computes, then it is `(√λ + ρ)`-Lipschitz.
//!
//! # Proof
//!
//! `‖W‖₂² = λ_max(W Wᵀ) = λ_max(Wᵀ W)`. The inequality is checked for the shorter side, after an exact scaling by a power of two: of a dense
//! layer by [`super::cholesky`], of a convolution by [`super::circulant_grid`] (zero padding) or [`super::circular_spectrum`], of both by
//! [`super::diagonal_dominance`] or [`super::gram_iteration`]. `‖W + E‖₂ ≤ ‖W‖₂ + ‖E‖_F`. No power iteration is believed: it approaches the norm from below.
//!
//! # Source
//!
//! Elementary.
//!
//! # Mutation note
//!
//! `√λ` replaced by `λ`: `operator_norm::accept_and_reject` went red. `ρ` left out: `dense_formula::the_norm_of_the_enclosed_weight`,
//! `convolution::the_error_of_a_formula_counts`.

use crate::rounding::directed::{add_up, sqrt_up};

/// Upper bound `√λ + ρ`. NaN gives NaN, which no claim reaches.
#[must_use]
pub fn bound_up(lambda: f64, radius: f64) -> f64 {
    add_up(sqrt_up(lambda), radius)
}
