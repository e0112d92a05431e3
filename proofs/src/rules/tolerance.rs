//! Rule `tolerance`: a `T` that misses the condition by `δ` costs a factor `1 + 2δ`.
//!
//! # Statement
//!
//! If `A Aᵀ ⪯ λ diag(T)` with `T > 0` and `δ = max(λ − 1, 0)`, then `x ↦ x − 2 Aᵀ diag(T)⁻¹ relu(A x + b)` is `(1 + 2δ)`-Lipschitz. A `λ` below 1 does
//! not lower the bound. Channels whose factor `1/T` is exactly 0 are left out.
//!
//! # Proof
//!
//! With `v`, `w` as in [`super::formula`], `G = A Aᵀ ⪯ (1 + δ) T`: `‖h(x) − h(y)‖² ≤ ‖d‖² − 4 vᵀT⁻¹w + 4(1 + δ) wᵀT⁻¹w`, and since `wᵀT⁻¹(v − w) ≥ 0`
//! the last two terms are at most `4δ wᵀT⁻¹w`. More sharply, the multiplier `Λ = 2(1 + 2δ)T⁻¹` in the block LMI of a residual layer gives
//! the factor `1 + 2δ`, attained by `σ = id` where `G` touches `(1 + δ)T`: there `h` has the singular value `2(1 + δ) − 1 = 1 + 2δ`.
//!
//! # Source
//!
//! The LMI: Araujo et al., ICLR 2023, Theorem 4. The lemma is elementary; tightness is a test.
//!
//! # Mutation note
//!
//! `max(λ − 1, 0)` replaced by `λ − 1`: `tolerance::a_negative_excess_does_not_lower_the_bound` went red. Factor 2 dropped: `tolerance::tight_example`.

use crate::rounding::directed::max;
use crate::rounding::interval::Interval;

/// Upper bound `1 + 2 max(λ − 1, 0)`. NaN gives +∞.
#[must_use]
pub fn bound_up(lambda: f64) -> f64 {
    let excess = Interval::point(lambda).sub(Interval::ONE).hi();
    Interval::ONE
        .add(Interval::integer(2).mul(Interval::point(max(excess, 0.0))))
        .hi()
}
