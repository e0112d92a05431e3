//! Finds evidence for the claims of `lipcert-proofs`; trusted by nobody.
//!
//! Every number from here is a hint. A caller hands it to a check, which re-derives the inequality from the claim's own data.

pub mod chain;
pub mod eigenvalue;
pub mod error;
mod lapack;

pub use error::SolveError;
