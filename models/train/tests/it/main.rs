//! Tests of the training crate, in one binary.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod agreement;
mod augment;
mod common;
mod loss;
mod optimizer;
mod regularizer;
mod schedule;
