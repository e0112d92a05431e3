//! Tests of the training crate, in one binary.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod agreement;
mod attack;
mod common;
mod distributed;
mod log;
mod tensorboard;
