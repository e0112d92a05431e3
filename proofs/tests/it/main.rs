//! The rules, one module each: what is accepted and what is not.

mod cholesky;
mod circulant_grid;
mod common;
mod compose;
mod diagonal_dominance;
mod format;
mod formula;
mod forward;
mod last_layer;
mod margin;
mod structural;
mod tolerance;
