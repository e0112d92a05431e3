//! The only room of this crate that may round: directed operations, intervals, and the matrix work built on them.

pub(crate) mod chain;
pub(crate) mod chain_dual;
pub(crate) mod condition;
pub(crate) mod conv_error;
pub mod directed;
pub(crate) mod error_bound;
pub mod factor;
pub mod forward;
pub mod gram;
pub mod head;
pub mod interval;
pub(crate) mod iteration;
pub mod kernel_ball;
pub mod kernels;
pub(crate) mod least_norm;
pub(crate) mod roots;
pub(crate) mod semidefinite;
pub(crate) mod small_gram;
pub(crate) mod spectral;
pub(crate) mod tridiagonal;
