//! Every family: random parameters give layers whose claims the checker accepts, and an independent method never exceeds the proved bound.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod activation;
mod aol_conv;
mod bcop;
mod cayley_conv;
mod common;
mod conv_norm;
mod convolutions;
mod cpl;
mod crc;
mod deep_residual;
mod dense_formula;
mod lben;
mod ldlt;
mod linear_residual;
mod lot;
mod r2dn;
mod residual_block;
mod rko;
mod sandwich;
mod sll;
mod soc;
mod torus;
