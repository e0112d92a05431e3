//! Rule `operator-norm`: the Lipschitz bound of a dense layer or a convolution from its Gram matrix.
//!
//! # Statement
//!
//! If `W Wᵀ ⪯ λ I`, or `Wᵀ W ⪯ λ I`, then `x ↦ W x + b` is `√λ`-Lipschitz in the l2 norm. If `W` is known up to a matrix of
//! norm `ε` and `λ` belongs to its centre, then `√λ + ε` is a bound.
//!
//! # Proof
//!
//! `‖W‖₂² = λ_max(W Wᵀ) = λ_max(Wᵀ W)`. The inequality is checked for the shorter side, after an exact scaling by a power of two: of a dense
//! layer by [`super::cholesky`], of a convolution by [`super::circulant_grid`] (zero padding) or [`super::circular_spectrum`], of both by
//! [`super::diagonal_dominance`] or [`super::gram_iteration`]. No power iteration is believed: it approaches the norm from below.
//!
//! # Source
//!
//! Elementary.
//!
//! # Mutation note
//!
//! `√λ` replaced by `λ`: `operator_norm::accept_and_reject` went red. `ε` left out: `convolution::the_error_of_a_formula_counts`.

use crate::rounding::directed::{add_up, sqrt_up};

/// Upper bound `√λ`. NaN gives NaN, which no claim reaches.
#[must_use]
pub fn bound_up(lambda: f64) -> f64 {
    sqrt_up(lambda)
}

/// Upper bound `√λ + ε`. NaN gives NaN.
#[must_use]
pub fn bound_with_error_up(lambda: f64, error: f64) -> f64 {
    add_up(sqrt_up(lambda), error)
}
