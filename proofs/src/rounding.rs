//! The only room of this crate that may round: directed operations, intervals, and the matrix work built on them.

pub mod directed;
pub mod interval;
pub mod kernels;
