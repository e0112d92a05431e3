//! The rules, one module each: what is accepted and what is not.
#![expect(
    clippy::disallowed_methods,
    reason = "second methods and library functions are what a test compares with"
)]

mod attack;
mod cholesky;
mod circulant_grid;
mod circular_spectrum;
mod common;
mod common_condition;
mod compose;
mod convolution;
mod dense;
mod diagonal_dominance;
mod format;
mod formula;
mod forward;
mod forward_conv;
mod gram_iteration;
mod last_layer;
mod lipsdp;
mod margin;
mod operator_norm;
mod structural;
mod taylor_remainder;
mod tolerance;
