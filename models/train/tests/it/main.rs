//! Tests of the training crate, in one binary.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod agreement;
mod common;
mod gradients;
mod initial;
mod seal;
