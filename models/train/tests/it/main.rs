//! Tests of the training crate, in one binary.

mod agreement;
mod augment;
mod common;
mod loss;
mod optimizer;
mod regularizer;
mod schedule;
mod gradients;
mod seal;
mod attack;
mod common;
mod distributed;
