//! Tests of the training crate, in one binary.

mod agreement;
mod attack;
mod common;
mod distributed;
mod log;
mod tensorboard;
