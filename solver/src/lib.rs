//! Finds evidence for the claims of `lipcert-proofs`; trusted by nobody.
//!
//! Every number from here is a hint. A caller hands it to a check, which re-derives the inequality from the claim's own data.

pub mod assemble;
pub mod chain;
pub mod clarabel;
pub mod closed;
pub mod common;
pub mod convert;
pub mod eigenvalue;
pub mod error;
mod lapack;
pub mod lower;
pub mod problem;
mod random;
pub mod structured;
pub mod svec;

pub use error::SolveError;
