//! Real numbers as a float64 with a bound of its error: an [`Interval`](super::interval::Interval) that costs a few operations.
//!
//! A result is rounded to nearest; its bound is computed to nearest as well, from fewer than ten non-negative terms and factors, and then enlarged
//! by the factor `1 + 16u`, which is more than these roundings lose, and by a normal number for what underflow loses. NaN and infinities stay
//! visible in the bound.
//!
//! # Source
//!
//! Rump, *Fast and parallel interval arithmetic*, BIT 39 (1999), section 3 (midpoint and radius); Higham, *Accuracy and Stability of Numerical Algorithms*,
//! 2nd ed., section 3.1.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use std::f64::consts::{LN_2, LOG2_E};

use super::directed::max;

/// Unit roundoff `2⁻⁵³`.
const UNIT: f64 = f64::EPSILON / 2.0;
/// More than all underflows of one operation.
const LOST: f64 = 4.0 * f64::MIN_POSITIVE;

/// All real numbers within `error` of `value`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ball {
    /// The centre.
    pub(crate) value: f64,
    /// Upper bound of the distance to it.
    pub(crate) error: f64,
}

/// An upper bound of a non-negative expression of at most ten operations that was computed to nearest.
fn enlarged(error: f64) -> f64 {
    error * (1.0 + 8.0 * f64::EPSILON) + LOST
}

impl Ball {
    /// The float alone.
    pub(crate) const fn point(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    /// Sum.
    pub(crate) fn plus(self, other: Self) -> Self {
        let value = self.value + other.value;
        Self {
            value,
            error: enlarged(self.error + other.error + UNIT * value.abs()),
        }
    }

    /// Negation, exact.
    pub(crate) fn negated(self) -> Self {
        Self {
            value: -self.value,
            error: self.error,
        }
    }

    /// Difference.
    pub(crate) fn minus(self, other: Self) -> Self {
        self.plus(other.negated())
    }

    /// Product.
    pub(crate) fn times(self, other: Self) -> Self {
        let value = self.value * other.value;
        let carried = self.value.abs() * other.error + other.value.abs() * self.error + self.error * other.error;
        Self {
            value,
            error: enlarged(carried + UNIT * value.abs()),
        }
    }

    /// Quotient; an infinite or NaN bound where the divisor may be zero.
    ///
    /// `|a'/b' − a/b| = |δa b − a δb| / |b b'| ≤ (δa + |a/b| δb) / (|b| − δb)`.
    pub(crate) fn over(self, other: Self) -> Self {
        let value = self.value / other.value;
        let room = other.value.abs() - other.error;
        let carried = (self.error + value.abs() * other.error) / room;
        let apart = room > 0.0;
        Self {
            value,
            error: if apart {
                enlarged(carried + UNIT * value.abs())
            } else {
                f64::INFINITY
            },
        }
    }

    /// Upper bound of the largest magnitude.
    fn magnitude(self) -> f64 {
        enlarged(self.value.abs() + self.error)
    }

    /// `eˣ` for `x` up to about 1.
    ///
    /// `x = k ln 2 + r` with an integer `k`, `|r| ≤ 0.36`; the Taylor polynomial of degree 14 in `r` misses `|r|¹⁵ / 15! · e^{|r|} < 1e-18`. Below −700
    /// the result is 0 within 1e-303, as `e^{−700} < 1e-304`.
    pub(crate) fn exp(self) -> Self {
        const REMAINDER: f64 = 1e-18;
        if self.value < -700.0 && self.error <= 1.0 {
            return Self {
                value: 0.0,
                error: 1e-303,
            };
        }
        let turns = (self.value * LOG2_E).round();
        // ln 2 lies 2.32e-17 above the float.
        let ln_2 = Self {
            value: LN_2,
            error: 2.4e-17,
        };
        let rest = self.minus(Self::point(turns).times(ln_2));
        let in_range = rest.magnitude() <= 0.36 && (-1020.0..=2.0).contains(&turns);
        if !in_range {
            return Self {
                value: 0.0,
                error: f64::INFINITY,
            };
        }
        let mut sum = Self::point(0.0);
        for coefficient in INVERSE_FACTORIALS.iter().rev() {
            // A quotient of two integers below 2⁵³, rounded once.
            let coefficient = Self {
                value: *coefficient,
                error: UNIT * *coefficient,
            };
            sum = sum.times(rest).plus(coefficient);
        }
        // Exact: a power of two, and e^{−700} is far above the subnormals.
        let power = f64::from_bits(((1023 + turns as i64) as u64) << 52);
        Self {
            value: sum.value * power,
            error: enlarged((sum.error + REMAINDER) * power),
        }
    }

    /// `ln(1 + t)` for `t` in `[0, 1]`.
    ///
    /// With `w = t / (2 + t) ≤ 1/3` it is `2 (w + w³/3 + w⁵/5 + …)`; behind 19 terms the rest is below `w · 9⁻¹⁹ / 39 · 9/8 < 1e-19 w`.
    pub(crate) fn ln_1p(self) -> Self {
        const TERMS: u32 = 19;
        let ratio = self.over(Self::point(2.0).plus(self));
        let in_range = ratio.magnitude() <= 0.334 && self.value >= 0.0;
        if !in_range {
            return Self {
                value: 0.0,
                error: f64::INFINITY,
            };
        }
        let square = ratio.times(ratio);
        let mut sum = Self::point(0.0);
        for term in (0..TERMS).rev() {
            let coefficient = Self::point(1.0).over(Self::point(f64::from(2 * term + 1)));
            sum = sum.times(square).plus(coefficient);
        }
        sum.error = enlarged(sum.error + 1e-19);
        let half = ratio.times(sum);
        half.plus(half)
    }

    /// The larger of the number and zero.
    pub(crate) fn positive_part(self) -> Self {
        Self {
            value: max(self.value, 0.0),
            error: self.error,
        }
    }
}

/// `1 / k!`, `k = 0 … 14`.
const INVERSE_FACTORIALS: [f64; 15] = {
    let mut table = [1.0; 15];
    let (mut factorial, mut k) = (1u64, 1);
    while k < 15 {
        factorial *= k as u64;
        table[k] = 1.0 / factorial as f64;
        k += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use num_rational::BigRational;
    use proptest::prelude::*;

    fn exact(value: f64) -> BigRational {
        BigRational::from_float(value).expect("finite")
    }

    fn holds(ball: Ball, truth: &BigRational) -> bool {
        let off = exact(ball.value) - truth;
        let error = exact(ball.error);
        off <= error && -off <= error
    }

    /// A partial sum of `e^{−x}`: within 1e-25 for `0 ≤ x ≤ 8` and 60 terms, for `0 ≤ x ≤ 0.7` and 24.
    fn exp_negative(x: &BigRational, terms: i32) -> BigRational {
        let mut term = BigRational::from(BigInt::from(1));
        let mut sum = term.clone();
        for k in 1..terms {
            term = -(term * x) / BigRational::from(BigInt::from(k));
            sum += &term;
        }
        sum
    }

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![4 => -1e3..1e3f64, 1 => -1e-160..1e-160f64, 1 => Just(0.0), 1 => -1e150..1e150f64]
    }

    proptest! {
        /// Every corner of two balls against exact rationals.
        #[test]
        fn operations_enclose(a in number(), b in number(), ra in 0.0..1e-3f64, rb in 0.0..1e-3f64) {
            let (x, y) = (Ball { value: a, error: ra }, Ball { value: b, error: rb });
            for p in [exact(a) - exact(ra), exact(a) + exact(ra)] {
                for q in [exact(b) - exact(rb), exact(b) + exact(rb)] {
                    prop_assert!(holds(x.plus(y), &(&p + &q)));
                    prop_assert!(holds(x.minus(y), &(&p - &q)));
                    let product = x.times(y);
                    prop_assert!(holds(product, &(&p * &q)));
                    let quotient = x.over(y);
                    if quotient.error.is_finite() {
                        prop_assert!(holds(quotient, &(&p / &q)));
                    }
                }
            }
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn exponentials_enclose(x in 0.0..8.0f64) {
            let ball = Ball::point(-x).exp();
            prop_assert!(holds(ball, &exp_negative(&exact(x), 60)));
            prop_assert!(ball.error < 1e-14 * ball.value);
        }


        /// `l = ln(1 + t)` exactly if `e^{−l} (1 + t) = 1`; the ends of the ball lie on both sides.
        #[test]
        fn logarithms_enclose(t in prop_oneof![0.0..1.0f64, 0.0..1e-12f64]) {
            let ball = Ball::point(t).ln_1p();
            let scaled = |l: BigRational| exp_negative(&l, 24) * (exact(1.0) + exact(t));
            let slack = exact(1e-24);
            prop_assert!(scaled(exact(ball.value) - exact(ball.error)) >= exact(1.0) - &slack);
            prop_assert!(scaled(exact(ball.value) + exact(ball.error)) <= exact(1.0) + slack);
            prop_assert!(ball.error <= 1e-14 * ball.value + 1e-300);
        }
    }

    #[test]
    fn unknown_is_infinite_or_nan() {
        for ball in [
            Ball::point(1.0).over(Ball { value: 1.0, error: 1.0 }),
            Ball::point(f64::NAN).exp(),
            Ball::point(f64::NEG_INFINITY).exp().times(Ball::point(f64::INFINITY)),
            Ball::point(800.0).exp(),
            Ball {
                value: -800.0,
                error: 100.0,
            }
            .exp(),
            Ball::point(-0.1).ln_1p(),
            Ball::point(1.1).ln_1p(),
            Ball::point(f64::NAN).ln_1p(),
            Ball { value: 0.5, error: 0.6 }.ln_1p(),
        ] {
            assert!(!ball.error.is_finite(), "{ball:?}");
        }
        assert!(Ball::point(-701.0).exp().error < 1e-300);
    }
}
