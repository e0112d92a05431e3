//! Each BLAS and LAPACK routine of the crate against nalgebra, through the declarations that the conic solver uses.
//!
//! Arrays have leading dimensions larger than they need, and what lies outside a matrix, or in the triangle that a routine may not touch, is a large number
//! that must still be there: so a routine that reads or writes there is caught. Sizes are small, entries below 1 in magnitude, so that `1e-13` is a few hundred ulps; factorisations of well-conditioned
//! matrices get `1e-12`.
#![expect(unsafe_code, reason = "the routines are foreign functions")]

mod eigen;
mod matrices;
mod products;
mod systems;

// The routines are in this crate; nothing else here names it.
use lipcert_solver as _;
