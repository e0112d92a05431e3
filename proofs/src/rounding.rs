//! The only room of this crate that may round: directed operations, intervals, and the matrix work built on them.

pub(crate) mod ball;
pub(crate) mod chain;
pub(crate) mod chain_dual;
pub(crate) mod condition;
pub(crate) mod convolution_norm;
pub mod dense_formula;
pub mod directed;
pub(crate) mod error_bound;
pub mod factor;
pub mod forward;
pub mod gram;
pub mod head;
pub mod interval;
pub mod kernels;
pub(crate) mod operator_norm;
pub mod sandwich;
pub(crate) mod semidefinite;
pub(crate) mod spectral;
pub(crate) mod tridiagonal;
