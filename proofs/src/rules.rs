//! What can be proved: one file a rule, each with its statement, source, proof and mutation note.
//!
//! | rule | proves | evidence |
//! |---|---|---|
//! | [`structural`] | the norm of a map without weights | none |
//! | [`formula`] | a residual layer whose `T` is its formula is 1-Lipschitz | none |
//! | [`dense_formula`] | the norm of a dense weight that is computed from free parameters | none |
//! | [`sandwich`] | a sandwich layer is 1-Lipschitz | none |
//! | [`tolerance`] | a residual layer with a stored `T` is `(1 + 2δ)`-Lipschitz | a proof of `A Aᵀ ⪯ (1 + δ) T` |
//! | [`diagonal_dominance`] | `A Aᵀ ⪯ λ T` | positive weights, or the layer's own |
//! | [`cholesky`] | `A Aᵀ ⪯ λ T`, dense | `λ` |
//! | [`circulant_grid`] | `K Kᵀ ⪯ λ T`, zero-padded convolution | `λ`, a frequency grid |
//! | [`circular_spectrum`] | `K Kᵀ ⪯ λ I`, circular convolution | `λ` |
//! | [`gram_iteration`] | `A Aᵀ ⪯ λ I`, dense or convolution | `λ`, a number of squarings |
//! | [`common_condition`] | `A Aᵀ ⪯ diag(t)` and how far `t` is from the best | `t`, vectors of the dual |
//! | [`operator_norm`] | `‖W‖₂` of a dense layer or convolution | `λ` with `W Wᵀ ⪯ λ I` |
//! | [`taylor_remainder`] | the exponential of a skew convolution, cut off | `λ` with `L Lᵀ ⪯ λ I` |
//! | [`lipsdp`] | the bound of a chain of dense layers and activations | diagonal multipliers |
//! | [`residual_lmi`] | the bound of a residual block, one hidden layer or more | diagonal multipliers |
//! | [`lipsdp_groupwise`] | the bound of a chain with MaxMin, GroupSort or Householder activations | two numbers a group |
//! | [`equilibrium`] | that an equation has one solution, and its bound | a diagonal multiplier |
//! | [`contraction`] | that a recurrent map forgets its state | a metric |
//! | [`last_layer`] | norms of the head, whole or by class or pair | `λ` |
//! | [`compose`] | the bound of the whole map | one certificate a layer |
//! | [`margin`] | a certified radius | enclosed logits |
//! | [`curvature`] | the distance to a boundary, for a head dense, softplus, dense | none |
//! | [`refutation`] | `A Aᵀ ⪯ T` is false | a vector |

pub mod cholesky;
pub mod circulant_grid;
pub mod circular_spectrum;
pub mod common_condition;
pub mod compose;
pub mod contraction;
pub mod curvature;
pub mod dense_formula;
pub mod diagonal_dominance;
pub mod equilibrium;
pub mod formula;
pub mod gram_iteration;
pub mod last_layer;
pub mod lipsdp;
pub mod lipsdp_groupwise;
pub mod margin;
pub mod operator_norm;
pub mod refutation;
pub mod residual_lmi;
pub mod sandwich;
pub mod structural;
pub mod taylor_remainder;
pub mod tolerance;
