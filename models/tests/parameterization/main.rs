//! Every family: random parameters give layers whose claims the checker accepts, and an independent method never exceeds the proved bound.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod activation;
mod common;
mod cpl;
mod crc;
mod dense_formula;
mod sandwich;
mod sll;
