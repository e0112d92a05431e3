//! A symmetric matrix with enclosed entries, and the proof that it is positive semidefinite.

use super::directed::{add_up, max};
use super::interval::Interval;
use super::semidefinite::prove_semidefinite;
use super::spectral::{SCALE_LEAST, SCALE_MOST, power_near_inverse_root};
use crate::error::CheckError;

/// The most rows: 16 MiB of entries a thousand rows, and a second of Cholesky at the limit of a few thousand.
const SIDE_MOST: usize = 4096;

/// By how much a strict inequality is strict.
const STRICT: f64 = 1e-100;

/// The lower half of a symmetric matrix of intervals.
#[derive(Clone, Debug)]
pub(crate) struct Enclosed {
    side: usize,
    /// Entry `(i, j)`, `i ≥ j`, at `i (i + 1) / 2 + j`.
    entries: Vec<Interval>,
}

impl Enclosed {
    /// The zero matrix.
    ///
    /// # Errors
    ///
    /// [`CheckError::TooLarge`] for more than 4096 rows.
    pub(crate) fn zeros(side: usize) -> Result<Self, CheckError> {
        if side > SIDE_MOST {
            return Err(CheckError::TooLarge {
                what: "inequality",
                entries: (side as u128) * (side as u128),
                most: (SIDE_MOST as u128) * (SIDE_MOST as u128),
            });
        }
        Ok(Self {
            side,
            entries: vec![Interval::ZERO; side * (side + 1) / 2],
        })
    }

    /// Adds to the entries `(i, j)` and `(j, i)`, which are one number.
    pub(crate) fn add(&mut self, i: usize, j: usize, value: Interval) {
        let (row, col) = if i >= j { (i, j) } else { (j, i) };
        let entry = &mut self.entries[row * (row + 1) / 2 + col];
        *entry = entry.add(value);
    }

    /// Proves that every symmetric matrix with entries in the intervals is positive semidefinite.
    ///
    /// A scaling `diag(d) M diag(d)` by powers of two brings the diagonal to the size of one; with `C` the midpoints, `‖M − C‖₂` is at most the largest
    /// row sum of the distances, which goes into [`prove_semidefinite`]. Intervals bound every rounding, underflow included.
    ///
    /// # Errors
    ///
    /// [`CheckError::NotSemidefinite`] if it could not be shown, NaN and infinite entries included.
    pub(crate) fn prove_semidefinite(&self) -> Result<(), CheckError> {
        let (centre, error) = self.centre()?;
        prove_semidefinite(self.side, &centre, error)
    }

    /// Proves that every such matrix is positive definite: `M − δ D⁻² ⪰ 0` for some `δ > 0` and the diagonal `D > 0` of the scaling.
    ///
    /// # Errors
    ///
    /// As [`Self::prove_semidefinite`].
    pub(crate) fn prove_definite(&self) -> Result<(), CheckError> {
        let (centre, error) = self.centre()?;
        prove_semidefinite(self.side, &centre, add_up(error, STRICT))
    }

    /// The scaled midpoints, column-major lower half, and a bound of the norm of their error.
    fn centre(&self) -> Result<(Vec<f64>, f64), CheckError> {
        let side = self.side;
        let mut scales = Vec::with_capacity(side);
        for i in 0..side {
            let least = self.entries[i * (i + 1) / 2 + i].lo();
            let usable = (SCALE_LEAST..=SCALE_MOST).contains(&least);
            if !usable {
                return Err(CheckError::NotSemidefinite {
                    shift: 0.0,
                    residual: f64::NAN,
                });
            }
            scales.push(Interval::point(power_near_inverse_root(least)));
        }
        let mut centre = vec![0.0; side * side];
        let mut sums = vec![0.0; side];
        for i in 0..side {
            for j in 0..=i {
                let entry = self.entries[i * (i + 1) / 2 + j].mul(scales[i]).mul(scales[j]);
                let mid = entry.mid();
                let distance = entry.distance_up(mid);
                centre[j * side + i] = mid;
                sums[i] = add_up(sums[i], distance);
                if i > j {
                    sums[j] = add_up(sums[j], distance);
                }
            }
        }
        Ok((centre, sums.iter().fold(0.0, |most, sum| max(most, *sum))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[a, b; b, c]` with entries widened by `width`, scaled by `2^{±shift}` on either side.
    fn two_by_two(a: f64, b: f64, c: f64, width: f64) -> Enclosed {
        let mut matrix = Enclosed::zeros(2).expect("small");
        let wide = |value: Interval| value.add(Interval::between(-width, width));
        matrix.add(0, 0, wide(Interval::point(a)));
        matrix.add(0, 1, wide(Interval::point(b)));
        matrix.add(1, 1, wide(Interval::point(c)));
        matrix
    }

    #[test]
    fn accept_and_reject() {
        for (a, b, c, width, holds) in [
            (2.0, 1.0, 2.0, 0.0, true),
            (2.0, 1.0, 2.0, 0.49, true),
            (2.0, 1.0, 2.0, 0.51, false),
            (2.0, -1.0, 2.0, 0.51, false),
            (1.0, 1.0 + 1e-12, 1.0, 0.0, false),
            (1.0, 1.0 - 1e-12, 1.0, 0.0, true),
            // The scaling makes one of sizes that lie far apart.
            (1e160, 0.9, 1e-160, 0.0, true),
            (1e160, 1.1, 1e-160, 0.0, false),
            (0.0, 0.0, 1.0, 0.0, false),
            (1.0, f64::NAN, 1.0, 0.0, false),
            (1.0, f64::INFINITY, 1.0, 0.0, false),
            (f64::NAN, 0.0, 1.0, 0.0, false),
            (1.0, 0.0, 1.0, f64::INFINITY, false),
        ] {
            let matrix = two_by_two(a, b, c, width);
            assert_eq!(matrix.prove_semidefinite().is_ok(), holds, "{a:e} {b:e} {c:e} {width}");
            assert_eq!(matrix.prove_definite().is_ok(), holds, "{a:e} {b:e} {c:e} {width}");
        }
        assert!(matches!(Enclosed::zeros(1 << 13), Err(CheckError::TooLarge { .. })));
    }
}
