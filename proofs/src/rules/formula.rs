//! Rule `formula`: a residual layer whose `T` is computed from its own weights is 1-Lipschitz.
//!
//! # Statement
//!
//! Let `T_i = Σ_j |G_ij| w_j / w_i` with `w > 0`, `G = A Aᵀ` (or the lattice self-correlation of a kernel, the sum then also over shifts). Then
//! `x ↦ x − 2 Aᵀ diag(T)⁻¹ relu(A x + b)` is 1-Lipschitz in the l2 norm, for every image size and zero padding. Rows that are zero are left out.
//! The same holds for `T = ‖A‖₂² I`, the norm of a convolution being that on the layer's own images, and for `T = ‖A‖_F² I` of a dense layer.
//!
//! A convolution `K = P diag(d)` with `d_c = (Σ_{c'} Σ_s |R_{cc'}(s)| + ε)^{−1/2}` over its input channels, `ε ≥ 0`, is 1-Lipschitz under zero and circular padding.
//!
//! # Proof
//!
//! `diag(w)⁻¹ (diag(T) − G) diag(w)` is row diagonally dominant with a non-negative diagonal, and it is similar to a symmetric matrix; so
//! `G ⪯ diag(T)`. A zero-padded convolution is a compression `P C Pᵀ'` of the one on the lattice and `T` is constant a channel, so the inequality
//! passes to it. With `v = A(x − y)` and `w` the difference of the two activations, `wᵢ(vᵢ − wᵢ) ≥ 0`; then
//! `‖h(x) − h(y)‖² = ‖x − y‖² − 4 vᵀT⁻¹w + 4 wᵀT⁻¹ G T⁻¹ w ≤ ‖x − y‖² − 4 wᵀT⁻¹(v − w) ≤ ‖x − y‖²`.
//! `T = ‖A‖₂² I` and `T = ‖A‖_F² I` satisfy `G ⪯ T` by definition, and the second half of the proof is the same. A sandwich layer: [`super::sandwich`].
//! Likewise `PᵀP ⪯ diag(d)⁻²` on the lattice gives `KᵀK = diag(d) PᵀP diag(d) ⪯ I`, and both paddings compress or fold the lattice.
//! The theorem needs nothing but finite weights and a finite `q`; no number is compared, so no rounding enters.
//!
//! # Source
//!
//! Araujo et al., ICLR 2023, Theorems 1 and 3 (`W` there is `Aᵀ` here, `q_i` there is `w_i = e^{q_i}` here). The deployed convolution has
//! `w = 1`, see [`Scale::RowSum`]. `T = ‖A‖₂² I`: Meunier et al., *A Dynamical System Perspective for Lipschitz Neural Networks*, ICML 2022, Theorem 3.
//! Convolution by input channels: Prach and Lampert, ECCV 2022, Theorem 1 and Lemma 2.
//!
//! # Mutation note
//!
//! Accepting `Scale::Stored` here: `formula::a_stored_factor_is_not_a_formula` went red.

use crate::error::CheckError;
use crate::statement::{ConvFormula, Layer, Scale};

/// Upper bound 1 of the Lipschitz constant of a layer with a formula for `T`, and of a sandwich layer.
///
/// Finite numbers, matching sizes and the range of `q` are checked by [`Layer::output_shape`] before a network can exist.
///
/// # Errors
///
/// [`CheckError::RuleMismatch`] for every other layer.
pub fn bound_up(layer: &Layer) -> Result<f64, CheckError> {
    match layer {
        Layer::ResidualConv {
            scale: Scale::RowSum { .. } | Scale::Weighted { .. } | Scale::Norm,
            ..
        }
        | Layer::ResidualDense {
            scale: Scale::RowSum { .. } | Scale::Weighted { .. } | Scale::Norm | Scale::Frobenius,
            ..
        }
        | Layer::Sandwich(_) => Ok(1.0),
        Layer::ConvFormula {
            formula: ConvFormula::Aol { .. },
            ..
        } => Ok(1.0),
        _ => Err(CheckError::RuleMismatch {
            rule: "formula",
            kind: layer.kind(),
        }),
    }
}
