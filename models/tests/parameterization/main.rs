//! Every family: random parameters give layers whose claims the checker accepts, and an independent method never exceeds the proved bound.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;
mod deep_residual;
mod lben;
mod ldlt;
mod r2dn;
mod residual_block;
mod sll;
