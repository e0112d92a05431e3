//! Rule `formula` for dense layers: the norm of a weight that is computed from free parameters.
//!
//! # Statement
//!
//! For the exact real weight `Ŵ` of a [`DenseFormula`]:
//!
//! 1. `Aol`, `ε ≥ 0`: `‖Ŵ‖₂ ≤ 1`.
//! 2. `Cayley`: `Ŵ` has orthonormal columns (or rows), so `‖Ŵ‖₂ = 1`. `Householder`: `Ŵ` is orthogonal.
//! 3. `Normalized` without Björck steps: `‖Ŵ‖₂ = ‖W‖₂ / (σ + offset)`, at most 1 for `σ = ‖W‖_F` and `σ = ‖W‖₂`.
//! 4. After one Björck step on a matrix of norm at most `s`: at most `max { |p(t)| : 0 ≤ t ≤ s }`, `p(t) = (1 + β) t − β t³`; at most 1 where `s ≤ 1` and
//!    `β ≤ 1/2`.
//!
//! # Proof
//!
//! 1. For symmetric `M` and `2|ab| ≤ a² + b²`: `xᵀ M x ≤ Σ_i x_i² Σ_j |M_ij|`; hence `PᵀP ⪯ D⁻²` for `ε = 0`, and a larger diagonal for `ε > 0`. A zero column
//!    of `P` has a zero row in `PᵀP` and leaves the inequality.
//! 2. `A + Aᵀ = 2 VᵀV ⪰ 0`, so `I + A` is invertible, and `QᵀQ = (I + A)⁻ᵀ[(I − A)ᵀ(I − A) + 4VᵀV](I + A)⁻¹ = I` because
//!    `(I − A)ᵀ(I − A) + 2(A + Aᵀ) = (I + A)ᵀ(I + A)`. A reflection is orthogonal, and so is a product of them.
//! 3. By definition, and `‖W‖₂ ≤ ‖W‖_F`.
//! 4. With `W = U diag(s_i) Vᵀ` a step gives `U diag(p(s_i)) Vᵀ`. `p` rises up to `t* = √((1 + β)/(3β))` and falls behind it, so the maximum of `|p|` on
//!    `[0, s]` is at `min(s, t*)` or, where `p` has become negative, at `s`. For `β ≤ 1/2`: `t* ≥ 1` and `p(1) = 1`.
//!
//! Which `σ` is meant is a part of the formula: the exact norm is the limit of a power iteration, and a program that stops it early computes another map,
//! which is why a result for it is conditional. Finitely many Björck steps are never called orthogonal.
//!
//! # Source
//!
//! See [`DenseFormula`]; Björck and Bowie, *An iterative algorithm for computing the best estimate of an orthogonal matrix*, SIAM J. Numer. Anal. 8 (1971).
//!
//! # Mutation note
//!
//! The value of `|p|` at `s` left out: `dense_formula::accept_table`, `bounds_hold` and `one_step_of_a_number` went red. A stored `σ` believed to be the norm:
//! `accept_table`, `bounds_hold`. A negative offset admitted: `refused_by_name`. In the enclosure, the radius not carried through a step:
//! `rational_weights_are_enclosed`; the rounding of a reflection left out: the same; the residual of the inverse left out: `matrix_ball::inverses_are_enclosed`; the norm
//! taken a billionth below its eigenvalue: `operator_norm::both_ends_agree_with_singular_values`.

use crate::rounding::directed::{add_down, add_up, div_down, div_up, max, min, mul_down, mul_up, sqrt_down, sqrt_up, sub_up};
use crate::statement::{Bjorck, DenseFormula};

/// Upper bound of `‖Ŵ‖₂`; `reach` is an upper bound of `‖W‖₂ / (σ + offset)`, which the other formulas do not need.
#[must_use]
pub fn bound_up(formula: &DenseFormula, reach: f64) -> f64 {
    match formula {
        DenseFormula::Aol { .. } | DenseFormula::Cayley { .. } | DenseFormula::Householder { .. } => 1.0,
        DenseFormula::Normalized { bjorck, .. } => match bjorck {
            None => reach,
            Some(Bjorck { beta, iterations }) => (0..*iterations).fold(reach, |norm, _| bjorck_up(norm, *beta)),
        },
    }
}

/// A bound with room for the last bits of another machine, but not above 1 where it was not: what a claim should say.
#[must_use]
pub fn with_room_up(bound: f64) -> f64 {
    let wide = mul_up(bound, add_up(1.0, 1e-9));
    if bound <= 1.0 { min(wide, 1.0) } else { wide }
}

/// Upper bound of `max { |(1 + β) t − β t³| : 0 ≤ t ≤ norm }`, the norm after one Björck step. NaN gives NaN.
#[must_use]
pub fn bjorck_up(norm: f64, beta: f64) -> f64 {
    let (sum_down, sum_up) = (add_down(1.0, beta), add_up(1.0, beta));
    let rising = sqrt_down(div_down(sum_down, mul_up(3.0, beta)));
    // p(t) = t (1 + β − β t²), upper bound of p at the place where it is largest
    let at = |t: f64| mul_up(t, sub_up(sum_up, mul_down(beta, mul_down(t, t))));
    // without steps of positive length t* is infinite, or NaN for β = 0
    let highest = if norm > rising {
        let place = sqrt_up(div_up(sum_up, mul_down(3.0, beta)));
        mul_up(div_up(mul_up(2.0, sum_up), 3.0), place)
    } else {
        at(norm)
    };
    let lowest = mul_up(norm, sub_up(mul_up(beta, mul_up(norm, norm)), sum_down));
    let bound = max(highest, lowest);
    if norm <= 1.0 && beta <= 0.5 { min(bound, 1.0) } else { bound }
}
