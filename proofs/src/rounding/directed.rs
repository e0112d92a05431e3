//! Single operations with a chosen direction of rounding.
//!
//! Each `*_up` returns a float64 that is at least the exact real result, each `*_down` one that is at most the exact real
//! result. The results are the nearest such floats wherever the error-free transformation below is exact (no underflow),
//! so `mul_up(1.0, 1.0)` is exactly `1.0`. NaN in gives NaN out; an overflow gives the infinity of its direction or the
//! largest finite number on the inner side.
//!
//! # Source
//!
//! Sum: Knuth, *The Art of Computer Programming 2*, 4.2.2, Theorem B (TwoSum). Product, quotient and root: the sign of the
//! residual by a fused multiply-add, Muller et al., *Handbook of Floating-Point Arithmetic*, 2nd ed., sections 4.4 and 4.7.
#![expect(clippy::float_arithmetic, clippy::disallowed_methods, reason = "the room that may round")]

/// Below this magnitude the residual of a product may underflow, so the rounding is widened without asking for its sign.
const SAFE: f64 = 1e-270;

/// Moves `value` up by one float if `grow`; keeps NaN and +∞.
fn step_up(value: f64, grow: bool) -> f64 {
    if grow { value.next_up() } else { value }
}

/// Upper bound of `a + b`.
#[must_use]
pub fn add_up(a: f64, b: f64) -> f64 {
    let sum = a + b;
    if sum == f64::NEG_INFINITY && a.is_finite() && b.is_finite() {
        return f64::MIN;
    }
    if !sum.is_finite() {
        return sum;
    }
    let virtual_b = sum - a;
    let error = (a - (sum - virtual_b)) + (b - virtual_b);
    // An intermediate overflow leaves a NaN or an infinity here; then the step is taken.
    step_up(sum, error > 0.0 || !error.is_finite())
}

/// Lower bound of `a + b`.
#[must_use]
pub fn add_down(a: f64, b: f64) -> f64 {
    -add_up(-a, -b)
}

/// Upper bound of `a − b`.
#[must_use]
pub fn sub_up(a: f64, b: f64) -> f64 {
    add_up(a, -b)
}

/// Lower bound of `a − b`.
#[must_use]
pub fn sub_down(a: f64, b: f64) -> f64 {
    add_down(a, -b)
}

/// Upper bound of `a · b`.
#[must_use]
pub fn mul_up(a: f64, b: f64) -> f64 {
    let product = a * b;
    if product == f64::NEG_INFINITY && a.is_finite() && b.is_finite() {
        return f64::MIN;
    }
    if !product.is_finite() {
        return product;
    }
    if a == 0.0 || b == 0.0 {
        return 0.0;
    }
    if product.abs() < SAFE {
        return product.next_up();
    }
    step_up(product, f64::mul_add(a, b, -product) > 0.0)
}

/// Lower bound of `a · b`.
#[must_use]
pub fn mul_down(a: f64, b: f64) -> f64 {
    -mul_up(-a, b)
}

/// Upper bound of `a / b`. NaN if `b` is zero.
#[must_use]
pub fn div_up(a: f64, b: f64) -> f64 {
    if b == 0.0 || b.is_nan() {
        return f64::NAN;
    }
    let quotient = a / b;
    if quotient == f64::NEG_INFINITY && a.is_finite() {
        return f64::MIN;
    }
    if !quotient.is_finite() || a == 0.0 {
        return quotient;
    }
    if quotient.abs() < SAFE || a.abs() < SAFE || b.is_infinite() {
        return quotient.next_up();
    }
    // a − q·b has the sign of the error of q times the sign of b.
    let residual = f64::mul_add(-quotient, b, a);
    let below = if b > 0.0 { residual > 0.0 } else { residual < 0.0 };
    step_up(quotient, below || !residual.is_finite())
}

/// Lower bound of `a / b`. NaN if `b` is zero.
#[must_use]
pub fn div_down(a: f64, b: f64) -> f64 {
    -div_up(-a, b)
}

/// Upper bound of `√a`. NaN if `a` is negative.
#[must_use]
pub fn sqrt_up(a: f64) -> f64 {
    let root = a.sqrt();
    if !root.is_finite() || root == 0.0 {
        return root;
    }
    if a < SAFE {
        return root.next_up();
    }
    step_up(root, f64::mul_add(-root, root, a) > 0.0)
}

/// Lower bound of `√a`. NaN if `a` is negative.
#[must_use]
pub fn sqrt_down(a: f64) -> f64 {
    let root = a.sqrt();
    if !root.is_finite() || root == 0.0 {
        return root;
    }
    if a < SAFE {
        return root.next_down();
    }
    if f64::mul_add(-root, root, a) < 0.0 {
        root.next_down()
    } else {
        root
    }
}

/// The larger of two numbers; NaN if either is NaN (`f64::max` would drop it).
#[must_use]
pub fn max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a >= b {
        a
    } else {
        b
    }
}

/// The smaller of two numbers; NaN if either is NaN (`f64::min` would drop it).
#[must_use]
pub fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

/// Upper bound of the sum of non-negative numbers, in one pass.
///
/// Every partial sum is rounded up, so the order does not matter for validity. NaN in gives NaN out.
#[must_use]
pub fn sum_up(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, add_up)
}

/// Upper bound of the Euclidean norm of `values`.
///
/// One pass of plain float64 sums, then the bound of the recursive sum: `fl(Σ vᵢ²)` is below the exact sum by at most the
/// factor `1 − γ_{n+1}` and `n` smallest subnormals, whatever the order. NaN in gives NaN out.
#[must_use]
pub fn norm_up(values: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut lanes = [0.0f64; LANES];
    let chunks = values.chunks_exact(LANES);
    let mut tail = 0.0;
    for value in chunks.remainder() {
        tail += value * value;
    }
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value * value;
        }
    }
    let plain = lanes.iter().fold(tail, |sum, lane| sum + lane);
    let terms = values.len() as f64;
    let slack = sub_down(1.0, gamma_up(values.len() + 1));
    sqrt_up(add_up(div_up(plain, slack), mul_up(terms, f64::MIN_POSITIVE)))
}

/// Upper bound of `γ_n = n·u / (1 − n·u)`, `u = 2⁻⁵³`: the relative error of a sum or product of `n` rounded operations.
///
/// Infinite where `n·u ≥ 1`.
///
/// # Source
///
/// Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., Lemma 3.1.
#[must_use]
pub fn gamma_up(n: usize) -> f64 {
    let unit = f64::EPSILON / 2.0;
    let total = mul_up(n as f64, unit);
    if total < 0.5 {
        div_up(total, sub_down(1.0, total))
    } else {
        f64::INFINITY
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact results are what is tested")]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use num_rational::BigRational;
    use proptest::prelude::*;

    fn exact(value: f64) -> BigRational {
        BigRational::from_float(value).expect("finite")
    }

    fn tight(low: f64, high: f64) -> bool {
        low == high || low.next_up() == high || low.next_up().next_up() == high
    }

    proptest! {
        #[test]
        fn sums_enclose(a in -1e6..1e6f64, b in -1e-6..1e6f64) {
            let sum = exact(a) + exact(b);
            prop_assert!(exact(add_up(a, b)) >= sum && exact(add_down(a, b)) <= sum);
            prop_assert!(tight(add_down(a, b), add_up(a, b)));
        }

        #[test]
        fn products_enclose(a in -1e3..1e3f64, b in -1e3..1e3f64, shift in 0i32..300) {
            let b = b * 2f64.powi(-shift);
            let product = exact(a) * exact(b);
            prop_assert!(exact(mul_up(a, b)) >= product && exact(mul_down(a, b)) <= product);
            prop_assert!(tight(mul_down(a, b), mul_up(a, b)));
        }

        #[test]
        fn products_of_subnormals_enclose(a in any::<f64>(), b in any::<f64>()) {
            let (up, down) = (mul_up(a, b), mul_down(a, b));
            if up.is_finite() && down.is_finite() {
                let product = exact(a) * exact(b);
                prop_assert!(exact(up) >= product && exact(down) <= product);
            }
        }

        #[test]
        fn quotients_enclose(a in any::<f64>(), b in any::<f64>()) {
            let (up, down) = (div_up(a, b), div_down(a, b));
            if b != 0.0 && a.is_finite() && b.is_finite() && up.is_finite() && down.is_finite() {
                let quotient = exact(a) / exact(b);
                prop_assert!(exact(up) >= quotient && exact(down) <= quotient);
            }
        }

        #[test]
        fn roots_enclose(a in 0.0..1e12f64, shift in 0i32..1000) {
            let a = a * 2f64.powi(-shift);
            let (up, down) = (exact(sqrt_up(a)), exact(sqrt_down(a)));
            prop_assert!(&up * &up >= exact(a) && &down * &down <= exact(a));
        }

        #[test]
        fn norms_are_upper(values in prop::collection::vec(-1e3..1e3f64, 0..40)) {
            let squares = values.iter().fold(BigRational::from(BigInt::from(0)), |sum, v| sum + exact(*v) * exact(*v));
            let norm = exact(norm_up(&values));
            prop_assert!(&norm * &norm >= squares);
        }
    }

    #[test]
    fn exact_results_stay_exact() {
        assert_eq!(mul_up(1.0, 1.0), 1.0);
        assert_eq!(add_up(1.0, 2.0), 3.0);
        assert_eq!(div_up(1.0, 4.0), 0.25);
        assert_eq!(sqrt_up(4.0), 2.0);
        assert_eq!(sqrt_down(0.0), 0.0);
    }

    #[test]
    fn nan_and_overflow_are_not_lost() {
        assert!(add_up(f64::NAN, 1.0).is_nan());
        assert!(max(f64::NAN, 1.0).is_nan() && max(1.0, f64::NAN).is_nan() && min(1.0, f64::NAN).is_nan());
        assert_eq!(mul_up(f64::MAX, 2.0), f64::INFINITY);
        assert_eq!(mul_down(f64::MAX, 2.0), f64::MAX);
        assert_eq!(add_up(f64::MIN, f64::MIN), f64::MIN);
        assert!(div_up(1.0, 0.0).is_nan());
        assert!(norm_up(&[1.0, f64::NAN]).is_nan());
        assert_eq!(norm_up(&[]).to_bits() & !1 >> 1, 0);
    }
}
