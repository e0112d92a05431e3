//! What lipcert claims, the evidence, and the check: the trusted ground of the house.
//!
//! A [`statement`] says which map over the reals is meant. A witness is untrusted evidence; only a check in this crate turns it into
//! a certificate. Floats are added and multiplied in [`rounding`] and nowhere else.
#![forbid(unsafe_code)]
#![deny(clippy::float_arithmetic)]

pub mod certificate;
pub mod error;
mod exact;
pub mod format;
pub mod rounding;
pub mod rules;
pub mod statement;

pub use error::CheckError;
pub use format::{CertificateFile, FormatError};
