//! Rule `normalized-rows`: the norms of a row-normalised head.
//!
//! # Statement
//!
//! Let `Ŵ` have the rows `ŵ_i = w_i / max(‖w_i‖, 1e-12)` and let the features be `L`-Lipschitz. Then the logit `i` is `L‖ŵ_i‖`-Lipschitz, the difference of
//! two logits `L‖ŵ_i − ŵ_j‖`, and the joint map `L√μ` wherever `W Wᵀ ⪯ μ diag(max(‖w_i‖, 1e-12)²)`. The joint map is *not* `L`-Lipschitz in general:
//! `√μ` can be as large as `√classes`, and for a pair `‖ŵ_i − ŵ_j‖` as large as 2.
//!
//! A network without a head has `Ŵ = I`: its logits are jointly `L`-Lipschitz, `μ = 1`, and every difference of two logits is `√2 L`-Lipschitz. This is the margin/√2
//! rule; it holds for no other reason, and not for rows that are normalised one by one.
//!
//! # Proof
//!
//! Cauchy–Schwarz for a row and a difference of rows; `‖Ŵ‖₂² = λ_max(Ŵ Ŵᵀ) = min {μ : Ŵ Ŵᵀ ⪯ μ I}`, and a congruence by the divisors.
//!
//! # Source
//!
//! Singla, Singla and Feizi, *Improved deterministic l2 robustness on CIFAR-10 and CIFAR-100*, ICLR 2022 (last-layer normalisation). `√2` for jointly
//! Lipschitz logits: Tsuzuku, Sato and Sugiyama, *Lipschitz-Margin Training*, NeurIPS 2018.
//!
//! # Mutation note
//!
//! `√μ` replaced by 1: `last_layer::the_joint_map_is_not_1_lipschitz` went red.

use crate::error::CheckError;
use crate::rounding::directed::{mul_up, sqrt_up};
use crate::rounding::head::HeadRows;
use crate::statement::Output;

/// Upper bound of the Lipschitz constant of the asked part of the network, from the bound of the features.
///
/// # Errors
///
/// [`CheckError::NoSuchClass`] if a class index is out of range.
pub fn bound_up(features: f64, rows: &HeadRows, joint_squared: f64, output: Output) -> Result<f64, CheckError> {
    let classes = rows.classes();
    let known = |class: usize| {
        if class < classes {
            Ok(class)
        } else {
            Err(CheckError::NoSuchClass { class, classes })
        }
    };
    let gain = match output {
        Output::All => sqrt_up(joint_squared),
        Output::Features => 1.0,
        Output::Class(class) => rows.norm_up(known(class)?),
        Output::Pair(a, b) => rows.distance(known(a)?, known(b)?).hi(),
    };
    Ok(mul_up(features, gain))
}
