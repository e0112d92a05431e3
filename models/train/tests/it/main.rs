//! Tests of the training crate, in one binary.

mod agreement;
mod common;
mod loss;
mod optimizer;
mod schedule;
mod gradients;
