//! Finds evidence for the claims of `lipcert-proofs`; trusted by nobody.
//!
//! Every number from here is a hint. A caller hands it to a check, which re-derives the inequality from the claim's own data.

pub mod chain;
pub mod closed;
pub mod common;
pub mod eigenvalue;
pub mod error;
pub mod lower;

mod random;

pub use error::SolveError;
