//! Rule `diagonal-dominance`: `A Aᵀ ⪯ λ diag(T)` by Gershgorin's circles.
//!
//! # Statement
//!
//! If `w > 0` and `Σ_j |G_ij| w_j / w_i ≤ λ T_i` for every active row `i`, then `G ⪯ λ diag(T)`; `G = A Aᵀ`, or the lattice self-correlation of a
//! kernel with the sum also over shifts, which covers every zero-padded image.
//!
//! # Proof
//!
//! `λ diag(T) − G` is symmetric and similar to `diag(w)⁻¹ (λ diag(T) − G) diag(w)`, whose Gershgorin circles lie in the right half plane.
//! Explicitly `λ diag(T) − G = R + Σ_{i<j} |g_ij| v_ij v_ijᵀ` with `R ⪰ 0` diagonal and
//! `v_ij = √(w_j/w_i) e_i − sign(g_ij) √(w_i/w_j) e_j`. Without `w > 0` it is false: `W = 2, T = 1, w = −1` would give `4 ≤ 1` from a negative sum.
//! Row sums of the *unrolled* zero-padded operator are not used: at the border they can exceed `T` though the inequality holds.
//!
//! # Source
//!
//! Araujo et al., ICLR 2023, proof of Theorem 3; Prach and Lampert, ECCV 2022, Theorem 1 and Lemma 2 for `w = 1`.
//!
//! # Mutation note
//!
//! The sign check of the weights removed: `diagonal_dominance::reject_table` went red (`w = −1`). The entry error left out of
//! [`Gram::row_sums`]: `diagonal_dominance::cancellation_between_rows_of_different_length`.

use crate::error::CheckError;
use crate::rounding::directed::mul_down;
use crate::rounding::gram::Gram;
use crate::rounding::interval::Interval;

/// Checks the rule for every `T ≥ scale_down` on the active rows.
///
/// # Errors
///
/// - [`CheckError::Shape`], [`CheckError::NotPositive`] for unusable weights.
/// - [`CheckError::NotDominant`] with the first row that fails.
pub fn check(gram: &Gram, weights: &[Interval], scale_down: &[f64], active: &[bool], lambda: f64) -> Result<(), CheckError> {
    if weights.len() != gram.inner() {
        return Err(CheckError::Shape {
            what: "weights",
            expected: vec![gram.inner()],
            found: vec![weights.len()],
        });
    }
    for (index, weight) in weights.iter().enumerate() {
        let usable = weight.lo() > 0.0 && weight.hi() < f64::INFINITY;
        if !usable {
            return Err(CheckError::NotPositive {
                what: "weights",
                index,
                value: weight.lo(),
            });
        }
    }
    for (row, sum) in gram.row_sums(weights, active).iter().enumerate() {
        let rhs = mul_down(lambda, scale_down[row]);
        let proved = sum.hi() <= rhs;
        if active[row] && !proved {
            return Err(CheckError::NotDominant { row, lhs: sum.hi(), rhs });
        }
    }
    Ok(())
}
