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
mod contraction;
mod convolution;
mod cpl;
mod curvature;
mod dense;
mod dense_formula;
mod diagonal_dominance;
mod distance;
mod equilibrium;
mod format;
mod formula;
mod forward;
mod forward_conv;
mod gram_iteration;
mod joint;
mod last_layer;
mod lipsdp;
mod lipsdp_groupwise;
mod margin;
mod operator_norm;
mod refutation;
mod residual_lmi;
mod sandwich;
mod structural;
mod taylor_remainder;
mod tolerance;
mod weightless;
mod weightless_exact;
