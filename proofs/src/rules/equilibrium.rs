//! Rule `equilibrium`: existence, uniqueness and the Lipschitz bound of a network that is defined by an equation.
//!
//! # Statement
//!
//! Let `z = σ(W z + U x + b)`, `y = G z`, every coordinate of `σ` continuous with slopes in `[0, 1]`. If for some diagonal `Λ > 0`
//!
//! ```text
//! M := 2Λ − ΛW − WᵀΛ ≻ 0   and   M − (1/γ) (GᵀG + Λ U Uᵀ Λ) ⪰ 0,
//! ```
//!
//! then there is exactly one `z` for every `x` and `b`, and `x ↦ y` is `γ`-Lipschitz in the l2 norm. Without the strict inequality the equation may have no solution or many:
//! `W = I` allows `M = 0`, and `z = max(z + x, 0)` has none for `x > 0`.
//!
//! # Proof
//!
//! *Bound.* For two solutions let `d = Δz`, `v = W d + U Δx`. Each coordinate has `d_i (v_i − d_i) ≥ 0`, so `dᵀ M d ≤ 2 dᵀ Λ U Δx ≤ (1/γ)‖UᵀΛd‖² + γ‖Δx‖²`; the second inequality gives
//! `‖G d‖² ≤ γ² ‖Δx‖²`.
//!
//! *Existence.* Let `F(z) = z − σ(W z + v)` and `e = F(z) − F(z')`, `d = z − z'`. The difference `w = d − e` of the values of `σ` has `w_i ((W d)_i − w_i) ≥ 0`, so
//! `wᵀ M w ≤ 2 wᵀ Λ W e`, and with `M ⪰ δ I`: `δ ‖w‖ ≤ 2 ‖ΛW‖ ‖e‖`. So `‖d‖ ≤ K ‖e‖`: `F` is injective and its image is closed; as a continuous injective map of `ℝⁿ` it is open
//! (invariance of domain). The image is open, closed and not empty, so `F(z) = 0` has exactly one solution.
//!
//! Shown is that the matrix of two Schur complements is positive *definite*, of which `M` is a block:
//!
//! ```text
//! | M     Gᵀ    ΛU  |
//! | G     γI    0   |
//! | UᵀΛ   0     γI  |
//! ```
//!
//! # Source
//!
//! Revay, Wang and Manchester, *Lipschitz bounded equilibrium networks*, 2020, Theorems 1 and 2 (`Λ`, `W`, `U` there; `W_out` is `G` here). Havens et al., NeurIPS 2023.
//!
//! # Mutation note
//!
//! One of the two summands of `ΛW + WᵀΛ` on the diagonal left out: `equilibrium::the_equation_must_be_well_posed` and others went red. `Λ` left out of `ΛU`: `the_worked_example`. The
//! sign test of `Λ` removed: `reject_table`. "Definite" replaced by "semidefinite" turned nothing red: the rounding that every proof counts is far above the strictness.

use crate::error::CheckError;
use crate::rounding::standalone;
use crate::rules::residual_lmi::require_positive;
use crate::statement::Equilibrium;

/// A claimed bound of an equilibrium network with its evidence. Untrusted.
#[derive(Clone, Debug, PartialEq)]
pub struct EquilibriumClaim {
    /// `γ`.
    pub lipschitz: f64,
    /// `Λ`, `(n,)`, positive.
    pub multipliers: Vec<f64>,
}

/// Checks the claim; then the equation has exactly one solution for every input, and the network is `γ`-Lipschitz.
///
/// # Errors
///
/// - [`CheckError::Shape`] if there is not one multiplier a neuron.
/// - [`CheckError::NotPositive`] for a bound or a multiplier that is not positive, NaN included.
/// - [`CheckError::TooLarge`] for more than 4096 neurons, inputs and outputs together.
/// - [`CheckError::NotSemidefinite`] if the evidence does not prove it.
pub fn check(system: &Equilibrium, claim: &EquilibriumClaim) -> Result<(), CheckError> {
    let neurons = system.recurrent().rows();
    if claim.multipliers.len() != neurons {
        return Err(CheckError::Shape {
            what: "multipliers",
            expected: vec![neurons],
            found: vec![claim.multipliers.len()],
        });
    }
    require_positive("lipschitz", &[claim.lipschitz])?;
    require_positive("multiplier", &claim.multipliers)?;
    standalone::prove_equilibrium(system, &claim.multipliers, claim.lipschitz)
}
