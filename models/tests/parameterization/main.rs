//! Every family: random parameters give layers whose claims the checker accepts, and an independent method never exceeds the proved bound.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod aol_conv;
mod bcop;
mod common;
mod conv_norm;
mod convolutions;
mod linear_residual;
mod rko;
mod sll;
mod soc;
