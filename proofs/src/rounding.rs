//! The only room of this crate that may round: directed operations, intervals, and the matrix work built on them.

pub(crate) mod ball;
pub(crate) mod boundary;
pub(crate) mod chain;
pub(crate) mod chain_dual;
pub(crate) mod condition;
pub mod curvature;
pub mod directed;
pub(crate) mod error_bound;
pub mod factor;
pub mod forward;
pub mod gram;
pub mod head;
pub mod interval;
pub mod kernels;
pub(crate) mod semidefinite;
pub(crate) mod smooth;
pub(crate) mod spectral;
pub(crate) mod tridiagonal;
