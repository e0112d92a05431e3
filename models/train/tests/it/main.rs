//! Tests of the training crate, in one binary.

mod agreement;
mod attack;
mod augment;
mod common;
mod distributed;
mod gradients;
mod loss;
mod optimizer;
mod regularizer;
mod schedule;
mod seal;
