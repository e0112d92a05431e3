//! Claims with unknown multipliers as semidefinite problems; one file a claim.
//!
//! Every builder scales its problem by a bound that it knows in closed form, so that unknowns and optimum are about 1 or a little below, and reads an answer back in the units of
//! the claim. The SLL form `T_i = s Σ_j |WᵀW|_ij q_j / q_i` with `q` given has no builder: its smallest `s` is an eigenvalue, which
//! [`approx_dense`](crate::eigenvalue::approx_dense) finds.

pub mod chain;
pub mod equilibrium;
pub mod gram;
pub mod group_sort;
mod scale;

use nalgebra::DMatrix;

use crate::convert::to_faer;
use crate::eigenvalue;

/// About the spectral norm, or 1 for the zero matrix and where nothing is found: a scale and no bound.
fn approx_norm(matrix: &DMatrix<f64>) -> f64 {
    positive_or_one(eigenvalue::approx_norm(to_faer(matrix).as_ref()).unwrap_or(1.0))
}

/// A scale that can be divided by.
fn positive_or_one(scale: f64) -> f64 {
    if scale > 0.0 && scale.is_finite() { scale } else { 1.0 }
}
