//! Rule `operator-norm`: the Lipschitz bound of a dense layer from its Gram matrix.
//!
//! # Statement
//!
//! If `W Wᵀ ⪯ λ I`, or `Wᵀ W ⪯ λ I`, then `x ↦ W x + b` is `√λ`-Lipschitz in the l2 norm. If the exact weight lies within `ρ` of `W` in
//! the Frobenius norm, as for a weight that a formula computes, then it is `(√λ + ρ)`-Lipschitz.
//!
//! # Proof
//!
//! `‖W‖₂² = λ_max(W Wᵀ) = λ_max(Wᵀ W)`. The inequality is checked by [`super::cholesky`] or [`super::diagonal_dominance`] for the shorter side, after an
//! exact scaling by a power of two. `‖W + E‖₂ ≤ ‖W‖₂ + ‖E‖_F`. No power iteration is believed: it approaches the norm from below.
//!
//! # Source
//!
//! Elementary.
//!
//! # Mutation note
//!
//! `√λ` replaced by `λ`: `operator_norm::accept_and_reject` went red.

use crate::rounding::directed::{add_up, sqrt_up};

/// Upper bound `√λ + ρ`. NaN gives NaN, which no claim reaches.
#[must_use]
pub fn bound_up(lambda: f64, radius: f64) -> f64 {
    add_up(sqrt_up(lambda), radius)
}
