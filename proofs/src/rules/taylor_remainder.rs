//! Rule `taylor-remainder`: the beginning of the exponential of a skew-symmetric matrix.
//!
//! # Statement
//!
//! If `Jᵀ = −J` and `‖J‖₂ ≤ s`, then `‖Σ_{i < n} Jⁱ / i!‖₂ ≤ 1 + sⁿ / n!`.
//!
//! # Proof
//!
//! `J` is normal with eigenvalues `iθ`, `|θ| ≤ s`. The exponential is orthogonal, and the rest of the series has the eigenvalues
//! `e^{iθ} − Σ_{i<n} (iθ)ⁱ/i!`, of absolute value at most `|θ|ⁿ/n!` (the integral form of the remainder, as `|e^{iθ}| = 1`). Under zero and circular padding the
//! convolution with a kernel `L_ij(s) = −L_ji(−s)` is such a `J`. `s` is a proved upper bound: after division by the least of four reshaped norms it can be as large as
//! the side of the kernel, and a power iteration would give it too small.
//!
//! # Source
//!
//! Singla and Feizi, *Skew Orthogonal Convolutions*, ICML 2021, Theorems 1 and 3.
//!
//! # Mutation note
//!
//! The remainder left out: `taylor_remainder::worked_example` went red. `n!` replaced by `(n + 1)!`: `taylor_remainder::one_rotation`.

use crate::rounding::interval::Interval;

/// Upper bound `1 + sⁿ / n!` for `norm = s`, `terms = n`. NaN gives NaN or infinity, which no claim reaches.
#[must_use]
pub fn bound_up(norm: f64, terms: usize) -> f64 {
    let norm = Interval::point(norm);
    let mut term = Interval::ONE;
    for i in 1..=terms {
        term = term.mul(norm).div(Interval::integer(i as i64));
    }
    Interval::ONE.add(term).hi()
}
