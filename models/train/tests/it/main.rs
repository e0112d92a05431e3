//! Tests of the training crate, in one binary.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod agreement;
mod attack;
mod augment;
mod common;
mod distributed;
mod gradients;
mod initial;
mod log;
mod loss;
mod optimizer;
mod program;
mod regularizer;
mod schedule;
mod seal;
mod tensorboard;
mod training;
mod training_faults;
