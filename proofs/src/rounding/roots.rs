//! Roots of unity, enclosed.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::directed::{add_up, max, mul_up};
use super::interval::Interval;

/// The frequencies of a torus of `rows × cols` pixels: `e^{2πi (a y / rows + b x / cols)}`.
pub(super) struct Frequencies {
    rows: Vec<(f64, f64)>,
    cols: Vec<(f64, f64)>,
    /// Upper bound of the error of the cosine and of the sine that [`Self::phase`] returns.
    pub(super) error: f64,
}

impl Frequencies {
    pub(super) fn new(rows: usize, cols: usize) -> Self {
        let (rows, first) = rounded(rows);
        let (cols, second) = rounded(cols);
        // Of exact roots with errors e and f, at most √2 ε each: |e| + |f| + |e f|; then at most three roundings of numbers below 2.
        let single = max(first, second);
        Self {
            rows,
            cols,
            error: add_up(mul_up(4.0, single), 8.0 * f64::EPSILON),
        }
    }

    /// `(cos, sin)` at the frequency `(a, b)` and the shift `(y, x)`.
    pub(super) fn phase(&self, (a, b): (usize, usize), (y, x): (i64, i64)) -> (f64, f64) {
        let at = |table: &[(f64, f64)], frequency: usize, shift: i64| {
            let turn = (frequency as i64 * shift).rem_euclid(table.len() as i64);
            table[turn as usize]
        };
        let (c, s) = at(&self.rows, a, y);
        let (d, t) = at(&self.cols, b, x);
        (c * d - s * t, c * t + s * d)
    }
}

/// `(cos, sin)` of `2π m / n` rounded, and a bound of their errors.
fn rounded(n: usize) -> (Vec<(f64, f64)>, f64) {
    let mut error = 0.0;
    let table = (0..n)
        .map(|m| {
            let (cos, sin) = root_of_unity(m, n);
            let (c, s) = (cos.mid(), sin.mid());
            error = max(error, max(cos.distance_up(c), sin.distance_up(s)));
            (c, s)
        })
        .collect();
    (table, error)
}

/// Encloses `(cos, sin)` of `2π m / n` for `n ≥ 1`, `m < n`; no library sine is believed.
///
/// The nearest multiple of a quarter turn is taken off exactly, in integers; the Taylor polynomials of the rest, at most `π/4`, have the next term as
/// remainder.
pub(super) fn root_of_unity(m: usize, n: usize) -> (Interval, Interval) {
    // π lies between these two neighbours: 3.14159265358979311… and 3.14159265358979356….
    let pi = Interval::between(std::f64::consts::PI, std::f64::consts::PI.next_up());
    let quarters = (8 * m + n) / (2 * n);
    let rest = 4 * m as i64 - (quarters * n) as i64;
    let angle = pi.mul(Interval::integer(rest)).div(Interval::integer(2 * n as i64));
    let square = angle.square();
    let (mut cos, mut sin) = (Interval::ONE, Interval::ONE);
    for k in (1..=10).rev() {
        let k = 2 * k;
        cos = Interval::ONE.sub(square.mul(cos).div(Interval::integer(k * (k - 1))));
        sin = Interval::ONE.sub(square.mul(sin).div(Interval::integer(k * (k + 1))));
    }
    // |θ| ≤ 0.7854: θ²²/22! < 5e-24.
    let remainder = Interval::between(-1e-23, 1e-23);
    let (cos, sin) = (cos.add(remainder), angle.mul(sin).add(remainder));
    match quarters % 4 {
        0 => (cos, sin),
        1 => (sin.neg(), cos),
        2 => (cos.neg(), sin.neg()),
        _ => (sin, cos.neg()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_enclose_the_library_values_to_an_ulp_or_two() {
        for n in [1, 2, 3, 4, 7, 8, 33, 64, 100, 512] {
            let (table, error) = rounded(n);
            assert!(error < 1e-14, "{n}: {error}");
            for (m, (cos, sin)) in table.iter().enumerate() {
                let angle = std::f64::consts::TAU * m as f64 / n as f64;
                #[expect(clippy::disallowed_methods, reason = "the second method of this test")]
                let (c, s) = (angle.cos(), angle.sin());
                assert!((cos - c).abs() < 2e-15 && (sin - s).abs() < 2e-15, "{m} of {n}");
            }
        }
    }

    /// The exact relations `c² + s² = 1` and `r₁^n = 1` hold inside the enclosures.
    #[test]
    fn roots_are_roots() {
        for n in [3, 5, 8, 12, 37] {
            let (c, s) = root_of_unity(1, n);
            let mut power = (Interval::ONE, Interval::ZERO);
            for m in 0..=n {
                let (cos, sin) = root_of_unity(m % n, n);
                for (a, b) in [(power.0, cos), (power.1, sin)] {
                    assert!(a.lo() <= b.hi() && b.lo() <= a.hi(), "{m} of {n}: {a:?} {b:?}");
                }
                power = (power.0.mul(c).sub(power.1.mul(s)), power.0.mul(s).add(power.1.mul(c)));
            }
            let unit = c.square().add(s.square());
            assert!(unit.lo() <= 1.0 && unit.hi() >= 1.0 && unit.hi() - unit.lo() < 1e-14);
        }
    }

    #[test]
    fn phases_are_within_their_error() {
        let frequencies = Frequencies::new(5, 7);
        assert!(frequencies.error < 1e-14);
        for (a, b, y, x) in [(1, 2, -2, 3), (4, 6, 2, 2), (0, 3, 1, -1)] {
            let (cos, sin) = frequencies.phase((a, b), (y, x));
            let angle = std::f64::consts::TAU * ((a as i64 * y) as f64 / 5.0 + (b as i64 * x) as f64 / 7.0);
            #[expect(clippy::disallowed_methods, reason = "the second method of this test")]
            let (c, s) = (angle.cos(), angle.sin());
            assert!((cos - c).abs() < 2e-14 && (sin - s).abs() < 2e-14);
        }
    }
}
