//! Tests of the training crate, in one binary.

mod agreement;
mod common;
mod gradients;
mod loss;
mod optimizer;
mod schedule;
