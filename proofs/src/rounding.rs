//! The only room of this crate that may round: directed operations, intervals, and the matrix work built on them.

pub mod directed;
pub mod factor;
pub mod gram;
pub mod head;
pub mod interval;
pub(crate) mod semidefinite;
pub(crate) mod spectral;
