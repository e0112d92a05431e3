//! Rule `gram-iteration`: `A Aᵀ ⪯ λ I` by repeated squaring.
//!
//! # Statement
//!
//! Let `G_1 = A Aᵀ` and `G_{t+1} = G_t G_tᵀ`; for a kernel the products are correlations on the infinite lattice. Then for every `t`
//! `‖A‖₂ ≤ ‖G_t‖_F^{2^{−t}}` (dense) and `‖A‖₂ ≤ (max_i Σ_j Σ_s |G_t,ij(s)|)^{2^{−t}}`, the latter for every image under zero and circular padding. `t = 1` with
//! row sums is diagonal dominance; the bound falls to the norm as `t` grows.
//!
//! # Proof
//!
//! `‖G_{t+1}‖ = ‖G_t‖²`, and the spectral norm is at most the Frobenius norm and at most `√(row sum · column sum)` of absolute values. A zero-padded or
//! circular convolution is a compression or a folding of the one on the lattice. Rounding: each level is taken as exact numbers whose computed Gram matrix
//! has a bounded error `δ`, so `‖G_t‖² ≤ ‖Ĝ_{t+1}‖ + δ` is undone level by level with roots rounded up. Nothing has to converge: every level is a bound.
//!
//! # Source
//!
//! Delattre et al., *Efficient Bound of Lipschitz Constant for Convolutional Layers by Gram Iteration*, ICML 2023, Theorems 1 and 2; *Spectral Norm of
//! Convolutional Layers with Circular and Zero Paddings*, 2024 (`t` there is `t` here).
//!
//! # Mutation note
//!
//! The root left out for the last level: `gram_iteration::worked_examples` went red. `δ` of the first level left out:
//! `gram_iteration::the_error_of_the_entries_counts`.

use crate::error::{CheckError, limit_work};
use crate::rounding::directed::mul_down;
use crate::rounding::gram::Gram;
use crate::rounding::iteration::squared_norm_up;

/// The most levels that are computed.
pub const STEPS_MOST: usize = 24;

/// Checks the rule for `T = scale · I`.
///
/// # Errors
///
/// - [`CheckError::Shape`] for no step or more than [`STEPS_MOST`].
/// - [`CheckError::TooMuchWork`] for too many steps with so large a matrix.
/// - [`CheckError::TooLarge`] if a kernel has grown too large.
/// - [`CheckError::BoundTooSmall`] if the bound is above `λ`.
pub fn check(gram: &Gram, scale: f64, steps: usize, lambda: f64) -> Result<(), CheckError> {
    if !(1..=STEPS_MOST).contains(&steps) {
        return Err(CheckError::Shape {
            what: "steps",
            expected: vec![STEPS_MOST],
            found: vec![steps],
        });
    }
    limit_work("gram-iteration", steps, [gram.inner(); 3])?;
    let bound = squared_norm_up(gram, steps)?;
    let claimed = mul_down(lambda, scale);
    let proved = bound <= claimed;
    if proved {
        Ok(())
    } else {
        Err(CheckError::BoundTooSmall {
            what: "lambda",
            claimed,
            proved: bound,
        })
    }
}
