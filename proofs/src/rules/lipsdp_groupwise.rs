//! Rule `lipsdp-groupwise`: the Lipschitz bound of a chain of dense layers and activations that act on groups: MaxMin, GroupSort, Householder.
//!
//! # Statement
//!
//! Let `x_k = σ_k(W_k x_{k−1} + b_k)` for `k = 1 … h` and `y = C x_h + c`, where `σ_k` is 1-Lipschitz on every group of neurons and keeps a quadratic form `E`: sorting keeps
//! the sum, `E = 1 1ᵀ`; a reflection at `u` keeps what is across `u`, `E = ‖u‖² I − u uᵀ`. If for numbers `λ ≥ 0` and `γ` of any sign, one pair a group, `T_k = blkdiag(λ I + γ E)`,
//!
//! ```text
//! ρ I − W_1ᵀ T_1 W_1 ⪰ 0,   T_k − W_{k+1}ᵀ T_{k+1} W_{k+1} ⪰ 0,   T_h − CᵀC ⪰ 0,
//! ```
//!
//! then `y` is `√ρ`-Lipschitz in `x_0`, in the l2 norm. With `γ = 0` this is the product of norms; `γ` gains on it.
//!
//! # Proof
//!
//! For the differences `v` before and `w` behind an activation, a group has `λ‖w‖² ≤ λ‖v‖²` because `λ ≥ 0`, and `wᵀEw = vᵀEv`: sorting two vectors leaves the sum of each, and both pieces
//! of the reflection map leave the part across `u`. So `wᵀ T w ≤ vᵀ T v`, and from the last inequality to the first `‖C w_h‖² ≤ w_hᵀ T_h w_h ≤ v_hᵀ T_h v_h ≤ … ≤ ρ ‖Δx_0‖²`. No scalar
//! multipliers of [`super::lipsdp`] apply: a sorting activation has no coordinate with slopes in `[0, 1]`.
//!
//! Each inequality is shown as `[T_{k−1} (T_k W_k)ᵀ; T_k W_k T_k] ⪰ 0` with enclosed entries; then `T_k ⪰ 0`, and its generalised Schur complement is `T_{k−1} − W_kᵀ T_k W_k`, since
//! `T_k T_k⁺ T_k = T_k`.
//!
//! # Source
//!
//! Pauli, Havens, Araujo, Garg, Khorrami, Allgöwer and Hu, *Novel quadratic constraints for extending LipSDP beyond slope-restricted activations*, ICLR 2024, with their `P = S = 0`. The reflection:
//! the same argument for another kept form.
//!
//! # Mutation note
//!
//! The sign test of `λ` removed: `lipsdp_groupwise::reject_table` went red. `‖u‖²` left out of the kept form of a reflection: `the_least_accepted_bound_is_true`. `C` left out of the last
//! inequality: `the_worked_example`.

use crate::error::CheckError;
use crate::rounding::standalone;
use crate::rules::residual_lmi::require_positive;
use crate::statement::GroupedChain;

/// A claimed bound of a chain with activations of groups, with its evidence. Untrusted.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupedClaim {
    /// The bound `√ρ`.
    pub lipschitz: f64,
    /// `λ` of each group, one vector a hidden layer, not negative.
    pub identity: Vec<Vec<f64>>,
    /// `γ` of each group, one vector a hidden layer, any sign.
    pub kept: Vec<Vec<f64>>,
}

/// Checks the claim.
///
/// # Errors
///
/// - [`CheckError::Shape`] if there is not one pair of numbers a group.
/// - [`CheckError::NotPositive`] for a bound that is not positive or a negative `λ`, [`CheckError::NotFinite`] for a `γ` that is no number.
/// - [`CheckError::TooLarge`] for an inequality of more than 4096 rows.
/// - [`CheckError::NotSemidefinite`] if the evidence does not prove it.
pub fn check(chain: &GroupedChain, claim: &GroupedClaim) -> Result<(), CheckError> {
    let mut expected = Vec::with_capacity(chain.weights().len());
    for (weight, groups) in chain.weights().iter().zip(chain.groups()) {
        expected.push(groups.sizes(weight.rows())?.len());
    }
    for (what, numbers) in [("identity multipliers", &claim.identity), ("kept multipliers", &claim.kept)] {
        let found: Vec<usize> = numbers.iter().map(Vec::len).collect();
        if expected != found {
            return Err(CheckError::Shape { what, expected, found });
        }
    }
    require_positive("lipschitz", &[claim.lipschitz])?;
    for (index, value) in claim.identity.iter().flatten().enumerate() {
        let usable = *value >= 0.0;
        if !usable {
            return Err(CheckError::NotPositive {
                what: "identity multiplier",
                index,
                value: *value,
            });
        }
    }
    if let Some(index) = claim.kept.iter().flatten().position(|value| !value.is_finite()) {
        return Err(CheckError::NotFinite {
            what: "kept multiplier",
            index: vec![index],
        });
    }
    standalone::prove_groupwise(chain, &claim.identity, &claim.kept, claim.lipschitz)
}
