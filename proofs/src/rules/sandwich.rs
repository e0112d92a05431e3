//! Rule `formula` for sandwich layers.
//!
//! # Statement
//!
//! Let `A Aᵀ + B Bᵀ = I`, `Ψ` diagonal and positive, and let the slopes of `σ` lie in `[0, 1]`. Then `x ↦ √2 Aᵀ Ψ σ(√2 Ψ⁻¹ B x + b)` is 1-Lipschitz in the
//! l2 norm.
//!
//! # Proof
//!
//! Let `d` be the difference of two inputs, `v = √2 Ψ⁻¹ B d`, and `w` the difference of the two activations, so `w_i (v_i − w_i) ≥ 0`. With `z = Ψ w`:
//! `2 zᵀ z ≤ 2 zᵀ Ψ v = 2√2 zᵀ B d ≤ ‖d‖² + 2 zᵀ B Bᵀ z`. Since `B Bᵀ = I − A Aᵀ` this says `2 zᵀ A Aᵀ z ≤ ‖d‖²`, and `‖√2 Aᵀ Ψ w‖² = 2 zᵀ A Aᵀ z`.
//!
//! `[A B]` is a Cayley map with orthonormal rows, see [`super::dense_formula`]. Slopes outside `[0, 1]` are refused by [`Layer::output_shape`]: with a slope of
//! −1 the inequality for `w` is false.
//!
//! # Source
//!
//! Wang and Manchester, ICML 2023, Theorem 3.2 and section 3.
//!
//! [`Layer::output_shape`]: crate::statement::Layer::output_shape
