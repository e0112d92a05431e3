//! Exact sums and products of float64: each is an integer times a power of two, and so are its sums and products.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

/// Bits of a float64 behind the leading one.
const FRACTION: u32 = 52;

/// `mantissa · 2^exponent`, exactly.
#[derive(Clone, Debug)]
pub(crate) struct Dyadic {
    mantissa: BigInt,
    exponent: i64,
}

impl Dyadic {
    /// Zero.
    pub(crate) fn zero() -> Self {
        Self {
            mantissa: BigInt::ZERO,
            exponent: 0,
        }
    }

    /// The value of a finite float; nothing for NaN and the infinities.
    pub(crate) fn new(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let bits = value.to_bits();
        let stored = i64::try_from(bits >> FRACTION & 0x7ff).expect("eleven bits");
        let fraction = bits & ((1 << FRACTION) - 1);
        let (magnitude, exponent) = match stored {
            0 => (fraction, -1074),
            _ => (fraction | 1 << FRACTION, stored - 1075),
        };
        let sign = if value.is_sign_negative() { Sign::Minus } else { Sign::Plus };
        Some(Self {
            mantissa: BigInt::from_biguint(sign, magnitude.into()),
            exponent,
        })
    }

    /// The magnitude.
    pub(crate) fn abs(&self) -> Self {
        Self {
            mantissa: self.mantissa.magnitude().clone().into(),
            exponent: self.exponent,
        }
    }

    /// The sum.
    pub(crate) fn add(&self, other: &Self) -> Self {
        let (mine, theirs, exponent) = self.aligned(other);
        Self {
            mantissa: mine + theirs,
            exponent,
        }
    }

    /// The difference.
    pub(crate) fn sub(&self, other: &Self) -> Self {
        let (mine, theirs, exponent) = self.aligned(other);
        Self {
            mantissa: mine - theirs,
            exponent,
        }
    }

    /// The product.
    pub(crate) fn mul(&self, other: &Self) -> Self {
        Self {
            mantissa: &self.mantissa * &other.mantissa,
            exponent: self.exponent + other.exponent,
        }
    }

    /// Which of the two is larger.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let (mine, theirs, _) = self.aligned(other);
        mine.cmp(&theirs)
    }

    /// The sum of the products of the entries.
    pub(crate) fn dot<'d>(pairs: impl IntoIterator<Item = (&'d Self, &'d Self)>) -> Self {
        pairs.into_iter().fold(Self::zero(), |sum, (a, b)| sum.add(&a.mul(b)))
    }

    /// A float not above the quotient of two positive numbers and next to it, if it lies in the normal range of floats; else nothing.
    pub(crate) fn quotient_down(&self, divisor: &Self) -> Option<f64> {
        if self.mantissa.sign() != Sign::Plus || divisor.mantissa.sign() != Sign::Plus {
            return None;
        }
        // Enough bits in front for a quotient of at least 54; then the upper 53 are kept.
        let ahead = i64::try_from(divisor.mantissa.bits()).ok()? - i64::try_from(self.mantissa.bits()).ok()? + 55;
        let ahead = u64::try_from(ahead.max(0)).ok()?;
        let quotient = (&self.mantissa << ahead) / &divisor.mantissa;
        let beyond = quotient.bits() - u64::from(FRACTION + 1);
        let kept = u64::try_from(quotient >> beyond).ok()?;
        let exponent = self.exponent - divisor.exponent - i64::try_from(ahead).ok()? + i64::try_from(beyond).ok()?;
        let stored = u64::try_from(exponent + i64::from(FRACTION) + 1023).ok()?;
        let normal = (1..=2046).contains(&stored);
        normal.then(|| f64::from_bits(stored << FRACTION | (kept & ((1 << FRACTION) - 1))))
    }

    /// Both mantissas for the smaller of the two exponents.
    fn aligned(&self, other: &Self) -> (BigInt, BigInt, i64) {
        // A zero has no scale: it must not blow up the other.
        let exponent = match (self.mantissa.sign(), other.mantissa.sign()) {
            (Sign::NoSign, _) => other.exponent,
            (_, Sign::NoSign) => self.exponent,
            _ => self.exponent.min(other.exponent),
        };
        let shifted = |number: &Self| match u64::try_from(number.exponent - exponent) {
            Ok(places) => &number.mantissa << places,
            Err(_) => BigInt::ZERO,
        };
        (shifted(self), shifted(other), exponent)
    }
}

#[cfg(test)]
mod tests {
    use num_rational::BigRational;
    use proptest::prelude::*;

    use super::*;

    fn dyadic(value: f64) -> Dyadic {
        Dyadic::new(value).expect("finite")
    }

    fn rational(number: &Dyadic) -> BigRational {
        let two = BigRational::from(BigInt::from(2));
        BigRational::from(number.mantissa.clone()) * two.pow(i32::try_from(number.exponent).expect("small"))
    }

    fn exact(value: f64) -> BigRational {
        BigRational::from_float(value).expect("finite")
    }

    #[test]
    fn special_values() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Dyadic::new(value).is_none());
        }
        assert_eq!(dyadic(0.0).compare(&dyadic(-0.0)), Ordering::Equal);
        assert_eq!(dyadic(5e-324).compare(&Dyadic::zero()), Ordering::Greater);
        assert_eq!(dyadic(-5e-324).compare(&Dyadic::zero()), Ordering::Less);
        assert_eq!(dyadic(1.0).quotient_down(&dyadic(2.0)), Some(0.5));
        assert_eq!(dyadic(1.0).quotient_down(&dyadic(-2.0)), None);
        assert_eq!(dyadic(0.0).quotient_down(&dyadic(1.0)), None);
        assert_eq!(dyadic(1e300).quotient_down(&dyadic(1e-300)), None);
    }

    proptest! {
        #[test]
        fn as_rationals(a in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO, b in -1e3..1e3f64) {
            let (x, y) = (dyadic(a), dyadic(b));
            prop_assert_eq!(rational(&x), exact(a));
            prop_assert_eq!(rational(&x.add(&y)), exact(a) + exact(b));
            prop_assert_eq!(rational(&x.sub(&y)), exact(a) - exact(b));
            prop_assert_eq!(rational(&x.mul(&y)), exact(a) * exact(b));
            prop_assert_eq!(x.compare(&y), exact(a).cmp(&exact(b)));
            prop_assert_eq!(x.abs().compare(&x), exact(a.abs()).cmp(&exact(a)));
            if let Some(quotient) = x.abs().quotient_down(&y.abs()) {
                let truth = exact(a.abs()) / exact(b.abs());
                prop_assert!(exact(quotient) <= truth && exact(quotient.next_up()) > truth);
            }
        }
    }
}
