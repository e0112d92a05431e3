//! What can be proved: one file a rule, each with its statement, source, proof and mutation note.
//!
//! | rule | proves | evidence |
//! |---|---|---|
//! | [`structural`] | the norm of a map without weights | none |
//! | [`formula`] | a residual layer whose `T` is its formula is 1-Lipschitz | none |
//! | [`tolerance`] | a residual layer with a stored `T` is `(1 + 2δ)`-Lipschitz | a proof of `A Aᵀ ⪯ (1 + δ) T` |
//! | [`diagonal_dominance`] | `A Aᵀ ⪯ λ T` | positive weights, or the layer's own |
//! | [`cholesky`] | `A Aᵀ ⪯ λ T`, dense | `λ` |
//! | [`circulant_grid`] | `K Kᵀ ⪯ λ T`, zero-padded convolution | `λ`, a frequency grid |
//! | [`common_condition`] | `A Aᵀ ⪯ diag(t)` and how far `t` is from the best | `t`, vectors of the dual |
//! | [`operator_norm`] | `‖W‖₂` of a dense layer | `λ` with `W Wᵀ ⪯ λ I` |
//! | [`lipsdp`] | the bound of a chain of dense layers and activations | diagonal multipliers |
//! | [`last_layer`] | norms of the head, whole or by class or pair | `λ` |
//! | [`compose`] | the bound of the whole map | one certificate a layer |
//! | [`margin`] | a certified radius | enclosed logits |
//! | [`curvature`] | the distance to a boundary, for a head dense, softplus, dense | none |

pub mod cholesky;
pub mod circulant_grid;
pub mod common_condition;
pub mod compose;
pub mod curvature;
pub mod diagonal_dominance;
pub mod formula;
pub mod last_layer;
pub mod lipsdp;
pub mod margin;
pub mod operator_norm;
pub mod structural;
pub mod tolerance;
