//! Rule `contraction`: a recurrent map forgets its state.
//!
//! # Statement
//!
//! Let `x⁺ = A x + B φ(C x + v) + u` with a 1-Lipschitz `φ`. If for a symmetric `P ≻ 0` and `0 < a ≤ 1`
//!
//! ```text
//! [A B]ᵀ P [A B] − diag(a² P, 0) + diag(CᵀC, −I) ⪯ 0,
//! ```
//!
//! then two runs with the same inputs `u`, `v` have `‖Δx⁺‖_P ≤ a ‖Δx‖_P`, with `‖x‖_P² = xᵀ P x`. For `a < 1` the map is a contraction; for `a = 1` distances do not grow.
//!
//! # Proof
//!
//! Let `w` be the difference of the values of `φ`, so `‖w‖ ≤ ‖C Δx‖`. Then `‖Δx⁺‖_P² = ‖A Δx + B w‖_P² ≤ a² ‖Δx‖_P² − ‖C Δx‖² + ‖w‖² ≤ a² ‖Δx‖_P²`.
//!
//! Shown is that the following matrix is positive definite; its Schur complements at the last two blocks give the inequality, since `(P[A B])ᵀ P⁻¹ (P[A B]) = [A B]ᵀ P [A B]`,
//! and `P` is a block of it. The products `P A` and `P B` are enclosed.
//!
//! ```text
//! | a² P   0     (PA)ᵀ   Cᵀ |
//! | 0      I     (PB)ᵀ   0  |
//! | PA     PB    P       0  |
//! | C      0     0       I  |
//! ```
//!
//! # Source
//!
//! Barbara, Wang and Manchester, *R2DN: scalable parameterization of contracting and Lipschitz recurrent deep networks*, 2025 (`B1`, `C1` there; `a = 1` and a strict inequality).
//!
//! # Mutation note
//!
//! `a²` replaced by 1: `contraction::the_worked_example` went red. `CᵀC` left out: `damaged_metrics`, `the_least_accepted_rate_is_true`. The upper half of `P` read: `damaged_metrics`.

use crate::error::CheckError;
use crate::rounding::standalone;
use crate::rules::residual_lmi::require_positive;
use crate::statement::{Feedback, Matrix};

/// A claimed rate of contraction with its evidence. Untrusted.
#[derive(Clone, Debug, PartialEq)]
pub struct ContractionClaim {
    /// `a`, at most 1.
    pub rate: f64,
    /// `P`, `(n, n)`; its lower half is read, so it is symmetric.
    pub metric: Matrix,
}

/// Checks the claim.
///
/// # Errors
///
/// - [`CheckError::Shape`] if `P` has not the size of the state.
/// - [`CheckError::NotPositive`], [`CheckError::OutOfRange`] for a rate outside `(0, 1]`, NaN included.
/// - [`CheckError::TooLarge`] for an inequality of more than 4096 rows.
/// - [`CheckError::NotSemidefinite`] if the evidence does not prove it.
pub fn check(system: &Feedback, claim: &ContractionClaim) -> Result<(), CheckError> {
    let n = system.transition().rows();
    let (rows, cols) = (claim.metric.rows(), claim.metric.cols());
    if (rows, cols) != (n, n) {
        return Err(CheckError::Shape {
            what: "metric",
            expected: vec![n, n],
            found: vec![rows, cols],
        });
    }
    require_positive("rate", &[claim.rate])?;
    let usable = claim.rate <= 1.0;
    if !usable {
        return Err(CheckError::OutOfRange {
            what: "rate",
            index: 0,
            value: claim.rate,
            limit: 1.0,
        });
    }
    standalone::prove_contraction(system, &claim.metric, claim.rate)
}
