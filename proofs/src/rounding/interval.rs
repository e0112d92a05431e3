//! Closed intervals of float64 around exact real numbers.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::directed::{add_down, add_up, div_down, div_up, max, min, mul_down, mul_up, sqrt_down, sqrt_up};

/// A closed interval `[lo, hi]` that contains one exact real number.
///
/// Every operation returns an interval that contains the exact result for every choice of the operands. An interval that
/// could not be bounded has an infinite or NaN end; every comparison that accepts must then fail, see [`Interval::at_most`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    lo: f64,
    hi: f64,
}

impl Interval {
    /// The number zero.
    pub const ZERO: Self = Self { lo: 0.0, hi: 0.0 };
    /// The number one.
    pub const ONE: Self = Self { lo: 1.0, hi: 1.0 };
    /// No information.
    pub const WHOLE: Self = Self {
        lo: f64::NEG_INFINITY,
        hi: f64::INFINITY,
    };

    /// The interval that holds `value` alone.
    #[must_use]
    pub const fn point(value: f64) -> Self {
        Self { lo: value, hi: value }
    }

    /// The interval between two bounds; everything if they are out of order or NaN.
    #[must_use]
    pub fn between(lo: f64, hi: f64) -> Self {
        if lo <= hi { Self { lo, hi } } else { Self::WHOLE }
    }

    /// An integer; enclosed where it has more than 53 bits.
    #[must_use]
    pub fn integer(value: i64) -> Self {
        let nearest = value as f64;
        if value.unsigned_abs() <= 1 << 53 {
            Self::point(nearest)
        } else {
            Self {
                lo: nearest.next_down(),
                hi: nearest.next_up(),
            }
        }
    }

    /// Lower end.
    #[must_use]
    pub const fn lo(self) -> f64 {
        self.lo
    }

    /// Upper end.
    #[must_use]
    pub const fn hi(self) -> f64 {
        self.hi
    }

    /// A float64 inside or next to the interval, for use as its representative.
    #[must_use]
    pub fn mid(self) -> f64 {
        let mid = self.lo / 2.0 + self.hi / 2.0;
        if mid < self.lo {
            self.lo
        } else if mid > self.hi {
            self.hi
        } else {
            mid
        }
    }

    /// Upper bound of the distance between `value` and the enclosed number.
    #[must_use]
    pub fn distance_up(self, value: f64) -> f64 {
        max(add_up(self.hi, -value), add_up(value, -self.lo))
    }

    /// The largest absolute value in the interval.
    #[must_use]
    pub fn magnitude_up(self) -> f64 {
        max(self.lo.abs(), self.hi.abs())
    }

    /// Sum.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "named calls keep rounding visible in formulas")]
    pub fn add(self, other: Self) -> Self {
        Self {
            lo: add_down(self.lo, other.lo),
            hi: add_up(self.hi, other.hi),
        }
    }

    /// Difference.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "named calls keep rounding visible in formulas")]
    pub fn sub(self, other: Self) -> Self {
        Self {
            lo: add_down(self.lo, -other.hi),
            hi: add_up(self.hi, -other.lo),
        }
    }

    /// Product. `0 · ∞` becomes the whole line.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "named calls keep rounding visible in formulas")]
    pub fn mul(self, other: Self) -> Self {
        let ends = [
            (self.lo, other.lo),
            (self.lo, other.hi),
            (self.hi, other.lo),
            (self.hi, other.hi),
        ];
        let mut lo = f64::INFINITY;
        let mut hi = f64::NEG_INFINITY;
        for (a, b) in ends {
            lo = min(lo, mul_down(a, b));
            hi = max(hi, mul_up(a, b));
        }
        Self::between(lo, hi)
    }

    /// Square, never negative.
    #[must_use]
    pub fn square(self) -> Self {
        let (small, large) = if self.lo >= 0.0 {
            (self.lo, self.hi)
        } else if self.hi <= 0.0 {
            (-self.hi, -self.lo)
        } else {
            (0.0, self.magnitude_up())
        };
        Self::between(max(mul_down(small, small), 0.0), mul_up(large, large))
    }

    /// Quotient; the whole line where the divisor may be zero.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "named calls keep rounding visible in formulas")]
    pub fn div(self, other: Self) -> Self {
        if !(other.lo > 0.0 || other.hi < 0.0) {
            return Self::WHOLE;
        }
        let ends = [
            (self.lo, other.lo),
            (self.lo, other.hi),
            (self.hi, other.lo),
            (self.hi, other.hi),
        ];
        let mut lo = f64::INFINITY;
        let mut hi = f64::NEG_INFINITY;
        for (a, b) in ends {
            lo = min(lo, div_down(a, b));
            hi = max(hi, div_up(a, b));
        }
        Self::between(lo, hi)
    }

    /// Square root of the non-negative part; the whole line if the interval is all negative or NaN.
    #[must_use]
    pub fn sqrt(self) -> Self {
        if self.hi >= 0.0 {
            let low = if self.lo > 0.0 { sqrt_down(self.lo) } else { 0.0 };
            Self::between(low, sqrt_up(self.hi))
        } else {
            Self::WHOLE
        }
    }

    /// Absolute value.
    #[must_use]
    pub fn abs(self) -> Self {
        if self.lo >= 0.0 {
            self
        } else if self.hi <= 0.0 {
            Self {
                lo: -self.hi,
                hi: -self.lo,
            }
        } else {
            Self::between(0.0, self.magnitude_up())
        }
    }

    /// Negation.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "named calls keep rounding visible in formulas")]
    pub fn neg(self) -> Self {
        Self {
            lo: -self.hi,
            hi: -self.lo,
        }
    }

    /// The larger of two enclosed numbers.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            lo: max(self.lo, other.lo),
            hi: max(self.hi, other.hi),
        }
    }

    /// The smaller of two enclosed numbers.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            lo: min(self.lo, other.lo),
            hi: min(self.hi, other.hi),
        }
    }

    /// Exponential, for arguments in `[-700, 700]`; outside, `[0, ∞]`.
    ///
    /// With `x = r · 2ᵏ`, `|r| ≤ 1/2`: the Taylor polynomial of degree 20 with its Lagrange remainder, squared `k` times, all
    /// in interval arithmetic. No library exponential is believed.
    #[must_use]
    pub fn exp(self) -> Self {
        Self {
            lo: exp_point(self.lo).lo,
            hi: exp_point(self.hi).hi,
        }
    }

    /// Whether the enclosed number is proved to be at most `bound`. NaN proves nothing.
    #[must_use]
    pub fn at_most(self, bound: f64) -> bool {
        self.hi <= bound
    }

    /// Whether both ends are finite.
    #[must_use]
    pub fn is_finite(self) -> bool {
        self.lo.is_finite() && self.hi.is_finite()
    }
}

/// Encloses `eˣ` for one float.
fn exp_point(x: f64) -> Interval {
    const DEGREE: i64 = 20;
    let in_range = x.abs() <= 700.0;
    if !in_range {
        return Interval {
            lo: 0.0,
            hi: f64::INFINITY,
        };
    }
    let mut reduced = x;
    let mut squarings = 0;
    while reduced.abs() > 0.5 {
        // Exact: a power of two, far from underflow.
        reduced /= 2.0;
        squarings += 1;
    }
    let point = Interval::point(reduced);
    // Horner: 1 + r(1 + r/2 (1 + r/3 (…))).
    let mut value = Interval::ONE;
    for k in (1..=DEGREE).rev() {
        value = Interval::ONE.add(point.mul(value).div(Interval::integer(k)));
    }
    // |remainder| ≤ e^{1/2} |r|^21 / 21!  <  1.65 · 4.8e-7 / 5.1e19  <  1e-25.
    let remainder = 1e-25;
    value = value.add(Interval {
        lo: -remainder,
        hi: remainder,
    });
    for _ in 0..squarings {
        value = value.square();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use num_rational::BigRational;
    use proptest::prelude::*;

    fn exact(value: f64) -> BigRational {
        BigRational::from_float(value).expect("finite")
    }

    proptest! {
        #[test]
        fn operations_enclose(a in -1e3..1e3f64, b in -1e3..1e3f64, wa in 0.0..1.0f64, wb in 0.0..1.0f64) {
            let (x, y) = (Interval::between(a, a + wa), Interval::between(b, b + wb));
            for p in [a, a + wa] {
                for q in [b, b + wb] {
                    let (p, q) = (exact(p), exact(q));
                    for (result, value) in [
                        (x.add(y), &p + &q),
                        (x.sub(y), &p - &q),
                        (x.mul(y), &p * &q),
                        (x.square(), &p * &p),
                    ] {
                        prop_assert!(exact(result.lo()) <= value && value <= exact(result.hi()));
                    }
                    let quotient = x.div(y);
                    if quotient.is_finite() {
                        let value = &p / &q;
                        prop_assert!(exact(quotient.lo()) <= value && value <= exact(quotient.hi()));
                    }
                }
            }
        }

        /// A second method: the exact partial sums of the series in rationals, 80 terms, for |x| ≤ 8.
        #[test]
        fn exponential_encloses(x in -8.0..8.0f64) {
            let mut term = BigRational::from(BigInt::from(1));
            let mut sum = term.clone();
            for k in 1..80 {
                term = term * exact(x) / BigRational::from(BigInt::from(k));
                sum += &term;
            }
            let tail = exact(1e-40);
            let value = Interval::point(x).exp();
            prop_assert!(exact(value.lo()) <= &sum + &tail && &sum - &tail <= exact(value.hi()));
            prop_assert!(value.hi() - value.lo() <= 1e-12 * value.hi());
        }
    }

    #[test]
    fn unknown_is_never_accepted() {
        assert!(!Interval::WHOLE.at_most(1e300));
        assert!(!Interval::point(f64::NAN).at_most(1.0));
        assert_eq!(Interval::ONE.div(Interval::between(-1.0, 1.0)), Interval::WHOLE);
        assert_eq!(Interval::ZERO.mul(Interval::WHOLE), Interval::WHOLE);
        assert_eq!(Interval::between(2.0, 1.0), Interval::WHOLE);
        assert!(!Interval::point(701.0).exp().is_finite());
        assert!(Interval::point(0.0).exp().hi() - 1.0 < 1e-15);
        assert_eq!(Interval::between(-2.0, -1.0).sqrt(), Interval::WHOLE);
    }
}
