//! Sine and cosine, enclosed. No library function is believed.
//!
//! `x = n π/2 + r` with the integer `n` next to `2x/π`, where `π` lies between two neighbouring floats; any other `n` would only make `r` larger. Both Taylor polynomials of
//! `r` are evaluated in interval arithmetic and get their Lagrange remainders; `n mod 4` says which of them is the sine and with which sign.
//!
//! # Source
//!
//! Elementary; reduction as in Muller, *Elementary Functions*, 3rd ed., chapter 11.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::directed::{add_down, add_up};
use super::interval::Interval;
use crate::statement::ANGLE_LIMIT;

/// Terms of each series: the remainders are at most `0.8²² / 22! < 1e-23`.
const TERMS: i64 = 11;

/// The largest `|r|`: `π/4` and room.
const REACH: f64 = 0.8;

/// The remainder.
const REMAINDER: f64 = 1e-23;

/// `π/2` between two neighbouring floats.
fn quarter() -> Interval {
    Interval::between(std::f64::consts::FRAC_PI_2, std::f64::consts::FRAC_PI_2.next_up())
}

/// Encloses `(sin x, cos x)` for every `x` in the interval; `[−1, 1]` twice for arguments beyond [`ANGLE_LIMIT`] and for NaN.
#[must_use]
pub(crate) fn sin_cos(x: Interval) -> (Interval, Interval) {
    let unit = Interval::between(-1.0, 1.0);
    // Four times the limit: sums of angles.
    let usable = x.magnitude_up() <= 4.0 * ANGLE_LIMIT;
    if !usable {
        return (unit, unit);
    }
    let mid = x.mid();
    let (sin, cos) = at(mid);
    // Both are 1-Lipschitz.
    let reach = x.distance_up(mid);
    let widen = |value: Interval| {
        let wide = Interval::between(add_down(value.lo(), -reach), add_up(value.hi(), reach));
        wide.max(Interval::point(-1.0)).min(Interval::ONE)
    };
    (widen(sin), widen(cos))
}

/// Encloses `(sin x, cos x)` for one float.
fn at(x: f64) -> (Interval, Interval) {
    let turns = (x / std::f64::consts::FRAC_PI_2).round_ties_even();
    // At most 4 · 1024 · 2/π quarters.
    #[expect(clippy::cast_possible_truncation, reason = "a small integer")]
    let turns = turns as i64;
    let r = Interval::point(x).sub(Interval::integer(turns).mul(quarter()));
    let reduced = r.magnitude_up() <= REACH;
    if !reduced {
        return (Interval::WHOLE, Interval::WHOLE);
    }
    let square = r.square();
    // Σ (−1)^k r^{2k} / (2k + offset)!, innermost first.
    let series = |offset: i64| {
        let mut sum = Interval::ONE;
        for k in (1..TERMS).rev() {
            let divisor = Interval::integer((2 * k + offset) * (2 * k + offset - 1));
            sum = Interval::ONE.sub(square.mul(sum).div(divisor));
        }
        sum
    };
    let remainder = Interval::between(-REMAINDER, REMAINDER);
    let sin = r.mul(series(1)).add(remainder);
    let cos = series(0).add(remainder);
    match turns.rem_euclid(4) {
        0 => (sin, cos),
        1 => (cos, sin.neg()),
        2 => (sin.neg(), cos.neg()),
        _ => (cos.neg(), sin),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "library functions are what a test compares with")]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use num_rational::BigRational;
    use proptest::prelude::*;

    fn exact(value: f64) -> BigRational {
        BigRational::from_float(value).expect("finite")
    }

    proptest! {
        /// A second method: the exact partial sums of the series in rationals, for `|x| ≤ 8`.
        #[test]
        fn the_series_is_enclosed(x in -8.0..8.0f64) {
            let (mut term, mut sums) = (BigRational::from(BigInt::from(1)), [BigRational::from(BigInt::from(0)), BigRational::from(BigInt::from(0))]);
            for k in 0..70i64 {
                if k > 0 {
                    term = term * exact(x) / BigRational::from(BigInt::from(k));
                }
                let signed = if k % 4 < 2 { term.clone() } else { -term.clone() };
                sums[(k % 2) as usize] += signed;
            }
            let tail = exact(1e-30);
            let (sin, cos) = sin_cos(Interval::point(x));
            for (value, sum) in [(cos, &sums[0]), (sin, &sums[1])] {
                prop_assert!(exact(value.lo()) <= sum + &tail && sum - &tail <= exact(value.hi()), "{x}: {value:?}");
                prop_assert!(value.hi() - value.lo() <= 4e-15, "{x}: {value:?}");
            }
        }

        /// Every number of an interval is covered, with room for a library's last bit; far arguments stay narrow.
        #[test]
        fn intervals_are_covered(x in -1020.0..1020.0f64, width in 0.0..1.0f64, part in 0.0..1.0f64) {
            let (sin, cos) = sin_cos(Interval::between(x, x + width));
            let (s, c) = (x + part * width).sin_cos();
            prop_assert!(sin.lo() <= s + 1e-15 && s <= sin.hi() + 1e-15);
            prop_assert!(cos.lo() <= c + 1e-15 && c <= cos.hi() + 1e-15);
            let (sin, _) = sin_cos(Interval::point(x));
            prop_assert!(sin.hi() - sin.lo() < 1e-12);
        }
    }

    #[test]
    fn quarters_and_unknown_arguments() {
        let (sin, cos) = sin_cos(Interval::point(std::f64::consts::FRAC_PI_2));
        assert!(sin.hi() >= 1.0 && sin.lo() > 1.0 - 1e-15 && cos.lo() >= 0.0 - 1e-15 && cos.hi() < 1e-15);
        let (sin, cos) = sin_cos(Interval::ZERO);
        assert!(sin.hi().abs() < 1e-20 && cos.lo() > 1.0 - 1e-15 && cos.hi() <= 1.0);
        for unknown in [f64::NAN, 1e9, f64::INFINITY] {
            let (sin, _) = sin_cos(Interval::point(unknown));
            assert_eq!(
                (sin.lo().to_bits(), sin.hi().to_bits()),
                ((-1.0f64).to_bits(), 1.0f64.to_bits())
            );
        }
    }
}
