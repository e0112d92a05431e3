//! Finds evidence for the claims of `lipcert-proofs`; trusted by nobody.
//!
//! Every number from here is a hint. A caller hands it to a check, which re-derives the inequality from the claim's own data.

pub mod assemble;
pub mod chain;
pub mod clarabel;
pub mod common;
pub mod convert;
pub mod eigenvalue;
pub mod error;
mod lapack;
pub mod problem;
pub mod structured;
pub mod svec;

mod random;

pub use error::SolveError;
