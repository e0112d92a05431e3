//! Rule `cholesky`: `A Aᵀ ⪯ λ diag(T)` for a dense layer, at the `λ` of an eigenvalue hint.
//!
//! # Statement
//!
//! If `λ diag(T) − A Aᵀ`, minus the rounding of its entries, has a floating Cholesky factor `L` with a small residual, then
//! `A Aᵀ ⪯ λ diag(T)` on the active rows.
//!
//! # Proof
//!
//! After a scaling by powers of two, which is exact, let `N` be the matrix with its diagonal lowered by `c`. `N = L Lᵀ + R ⪰ −‖R‖ I` whatever `L`
//! is; `‖R‖` is bounded by one conventional product, and `c ≥ ‖R‖ + ‖E‖`, with `E` the error of the Gram entries,
//! `‖E‖₂ ≤ γ Σ_i d_i² ‖a_i‖²` (its entries are at most those of a rank-one matrix). Hence the exact matrix is semidefinite. The eigenvalue
//! that suggested `λ` enters nowhere; neither the eigensolver nor the Cholesky routine is trusted.
//!
//! # Source
//!
//! Rump, *Verification of positive definiteness*, BIT 46 (2006); Rump and Jeannerod, SIAM J. Matrix Anal. Appl. 35 (2014). Here with the residual
//! bounded after the fact in place of the a-priori bound.
//!
//! # Mutation note
//!
//! `error` left out of the shift and of the final comparison: `semidefinite::two_by_two_table` went red (either alone is made up for by the
//! other). `λ` multiplied by 1.001: `cholesky::just_below_the_eigenvalue`.

use crate::error::CheckError;
use crate::rounding::gram::Gram;
use crate::rounding::spectral::prove_dense;

/// Checks the rule for every `T ≥ scale_down` on the active rows.
///
/// # Errors
///
/// - [`CheckError::RuleMismatch`] for a convolution.
/// - [`CheckError::NotSemidefinite`] if the factorisation does not prove it.
pub fn check(gram: &Gram, scale_down: &[f64], active: &[bool], lambda: f64) -> Result<(), CheckError> {
    if gram.span() == 1 {
        prove_dense(gram, scale_down, active, lambda)
    } else {
        Err(CheckError::RuleMismatch {
            rule: "cholesky",
            kind: "convolution",
        })
    }
}
