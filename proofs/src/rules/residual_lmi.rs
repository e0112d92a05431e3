//! Rule `residual-lmi`: the Lipschitz bound of a residual block from one linear matrix inequality.
//!
//! # Statement
//!
//! Let `h(x) = A x + B w_h + c` with `w_k = σ(C_k w_{k−1} + b_k)`, `w_0 = x`, where every coordinate of `σ` has its slopes in `[α, β]`. If for some diagonal `Λ_k > 0` the quadratic
//! form
//!
//! ```text
//! γ² ‖z_0‖² + 2 Σ_k (z_k − α C_k z_{k−1})ᵀ Λ_k (z_k − β C_k z_{k−1}) − ‖A z_0 + B z_h‖²
//! ```
//!
//! is not negative for any `z_0, …, z_h`, then `h` is `γ`-Lipschitz in the l2 norm. With one hidden layer, `C_1 = Wᵀ`, `A = H`, `B = G`, its matrix is
//!
//! ```text
//! | γ² I − HᵀH + 2αβ W Λ Wᵀ      −(HᵀG + (α + β) W Λ) |
//! | ·                             2Λ − GᵀG             |
//! ```
//!
//! For slopes `[0, 1]` and all `Λ_k = I` the inequality is decided in closed form: with `D_0 = γ² I − AᵀA`, `D_k = 2I − C_k D_{k−1}⁻¹ C_kᵀ` definite for `k < h` as well as `D_h`, and `Γ`, `S`, `X`
//! as in the parameterization `deep-residual`, it holds iff `BᵀXB + BᵀAΓ_h + Γ_hᵀAᵀB ⪯ D_h`. A formula for `B` that drops the cross term `AΓ_h` violates it.
//!
//! # Proof
//!
//! Put the differences of two runs for `z_k`. With `v = C_k z_{k−1}`, each coordinate has `(z_k − α v)(z_k − β v) ≤ 0` by the range of slopes, so the middle sum is not positive and
//! `‖h(x) − h(y)‖² ≤ γ² ‖x − y‖²`. Only diagonal `Λ` are sound: the inequality holds coordinate by coordinate and for no other pairs (see [`super::lipsdp`]).
//!
//! That the form is not negative is shown with `F = [A 0 … 0 B]` as a further block row, `[P₀ Fᵀ; F I] ⪰ 0`, by a Cholesky factor whose residual is bounded after the fact; all entries are
//! enclosed by intervals, see `rounding::residual_lmi` and `rounding::enclosed`.
//!
//! # Source
//!
//! Wang and Manchester, *Direct parameterization of Lipschitz-bounded deep networks*, ICML 2023, equation 13 (one hidden layer; an extension of LipSDP by Araujo et al., ICLR 2023). Fazlyab et al.,
//! NeurIPS 2019, for the layers. `W` there is `C_1ᵀ` here.
//!
//! # Mutation note
//!
//! `α + β` replaced by `β`, and `2αβ` by `αβ`: `residual_lmi::the_least_accepted_bound_is_true` went red. The identity of a block without a path left out: `the_worked_example`,
//! `an_sll_layer_is_1_lipschitz`. The same for the smaller rounding: the distances of the entries left out altogether, `rounding::enclosed::accept_and_reject`.

use crate::error::CheckError;
use crate::rounding::residual_lmi;
use crate::statement::ResidualBlock;

/// Checks the inequality; then the block is `lipschitz`-Lipschitz. `multipliers` holds the diagonals `Λ_1, …, Λ_h`.
///
/// # Errors
///
/// - [`CheckError::Shape`] if there is not one multiplier a hidden neuron.
/// - [`CheckError::NotPositive`] for a bound or a multiplier that is not positive, NaN included.
/// - [`CheckError::TooLarge`] for more than 4096 inputs, neurons and outputs together.
/// - [`CheckError::NotSemidefinite`] if the evidence does not prove it.
pub fn check(block: &ResidualBlock, multipliers: &[Vec<f64>], lipschitz: f64) -> Result<(), CheckError> {
    let expected: Vec<usize> = block.hidden().iter().map(|layer| layer.weight.rows()).collect();
    let found: Vec<usize> = multipliers.iter().map(Vec::len).collect();
    if expected != found {
        return Err(CheckError::Shape {
            what: "multipliers",
            expected,
            found,
        });
    }
    require_positive("lipschitz", &[lipschitz])?;
    for layer in multipliers {
        require_positive("multiplier", layer)?;
    }
    residual_lmi::prove(block, multipliers, lipschitz)
}

/// The claimed bound, if [`check`] accepts it.
///
/// # Errors
///
/// Those of [`check`].
pub fn bound_up(block: &ResidualBlock, multipliers: &[Vec<f64>], lipschitz: f64) -> Result<f64, CheckError> {
    check(block, multipliers, lipschitz).map(|()| lipschitz)
}

/// Refuses NaN, zero and negative numbers.
pub(crate) fn require_positive(what: &'static str, values: &[f64]) -> Result<(), CheckError> {
    match values.iter().position(|value| value.is_nan() || *value <= 0.0) {
        Some(index) => Err(CheckError::NotPositive {
            what,
            index,
            value: values[index],
        }),
        None => Ok(()),
    }
}
