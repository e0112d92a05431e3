//! The matrices whose semidefiniteness says `A Aᵀ ⪯ λ diag(T)`, with a bound of the error of their entries.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::directed::{add_up, gamma_up, max, mul_down, mul_up};
use super::gram::Gram;
use super::roots::{Frequencies, root_of_unity};
use super::semidefinite::prove_semidefinite;
use crate::error::CheckError;

/// `λ diag(T) − A Aᵀ` on the rows that are on, scaled so that `λT` lies in `[1, 4)`, or `T` where some `λT` is out of range.
struct Scaled {
    rows: Vec<usize>,
    /// A power of two a row, about `(λT)^{-1/2}`.
    scales: Vec<f64>,
}

impl Scaled {
    fn new(scale_down: &[f64], active: &[bool], lambda: f64) -> Self {
        let rows: Vec<usize> = (0..active.len()).filter(|i| active[*i]).collect();
        let usable = |i: &usize| (SCALE_LEAST..=SCALE_MOST).contains(&(lambda * scale_down[*i]));
        let factor = if rows.iter().all(usable) { lambda } else { 1.0 };
        let scales = rows
            .iter()
            .map(|i| power_near_inverse_root(factor * scale_down[*i]))
            .collect();
        Self { rows, scales }
    }

    /// Lower bound of the scaled diagonal `d² (λ T − R_ii(0))`, exact but for the direction.
    fn diagonal(&self, gram: &Gram, scale_down: &[f64], lambda: f64, k: usize) -> f64 {
        let (row, d) = (self.rows[k], self.scales[k]);
        mul_down(
            mul_down(gram.diagonal_slack_down(row, mul_down(lambda, scale_down[row])), d),
            d,
        )
    }
}

/// Proves `A Aᵀ ⪯ λ diag(T)` for a dense Gram matrix and every `T ≥ scale_down`, on the active rows.
///
/// # Errors
///
/// [`CheckError::NotSemidefinite`] if it could not be shown.
pub(crate) fn prove_dense(gram: &Gram, scale_down: &[f64], active: &[bool], lambda: f64) -> Result<(), CheckError> {
    let scaled = Scaled::new(scale_down, active, lambda);
    let n = scaled.rows.len();
    let mut matrix = vec![0.0; n * n];
    for j in 0..n {
        let column = gram_column(gram, scaled.rows[j]);
        for i in j + 1..n {
            matrix[j * n + i] = -(column[scaled.rows[i]] * scaled.scales[i]) * scaled.scales[j];
        }
        matrix[j * n + j] = scaled.diagonal(gram, scale_down, lambda, j);
    }
    let error = add_up(gram.scaled_error_up(&scaled.rows, &scaled.scales), UNDERFLOW);
    prove_semidefinite(n, &matrix, error)
}

/// Row `j` of the centre, which is its column `j`.
fn gram_column(gram: &Gram, j: usize) -> &[f64] {
    let n = gram.inner();
    &gram.approx_centre()[j * n..(j + 1) * n]
}

/// Proves `S(ω) ⪯ λ diag(T)` at all `ω ∈ (2π/rows)·ℤ × (2π/cols)·ℤ`, where `S(ω)_ij = Σ_s R_ij(s) e^{iω·s}` is the symbol of `K Kᵀ`.
///
/// Half of the frequencies suffices: `S(−ω)` is the complex conjugate of `S(ω)`.
///
/// # Errors
///
/// [`CheckError::NotSemidefinite`] at the first frequency where it could not be shown.
pub(crate) fn prove_on_grid(
    gram: &Gram,
    scale_down: &[f64],
    active: &[bool],
    (rows, cols): (usize, usize),
    lambda: f64,
) -> Result<(), CheckError> {
    let scaled = Scaled::new(scale_down, active, lambda);
    let n = scaled.rows.len();
    let frequencies = Frequencies::new(rows, cols);
    let error = add_up(symbol_error_up(gram, &scaled, frequencies.error), UNDERFLOW);
    let span = gram.span();
    let diagonal: Vec<f64> = scaled.rows.iter().map(|row| mul_down(lambda, scale_down[*row])).collect();
    let error = add_up(error, diagonal_room_up(gram, &scaled, &diagonal));
    let mut phases = vec![(0.0, 0.0); span * span];
    let mut matrix = vec![0.0; 4 * n * n];
    let reach = (span as i64 - 1) / 2;
    for a in 0..=rows / 2 {
        for b in 0..cols {
            for dy in 0..span {
                for dx in 0..span {
                    let shift = (dy as i64 - reach, dx as i64 - reach);
                    phases[dy * span + dx] = frequencies.phase((a, b), shift);
                }
            }
            // The Hermitian X + iY is semidefinite iff the real [[X, −Y], [Y, X]] is.
            for j in 0..n {
                for i in j..n {
                    let (mut x, mut y) = (0.0, 0.0);
                    for (value, (cos, sin)) in gram.pair(scaled.rows[i], scaled.rows[j]).iter().zip(&phases) {
                        x += value * cos;
                        y += value * sin;
                    }
                    let (x, y) = if i == j {
                        // One rounding to nearest; the error bound of the entry has room for it.
                        let slack = (diagonal[i] - x) * scaled.scales[i] * scaled.scales[i];
                        (slack, 0.0)
                    } else {
                        (
                            -x * scaled.scales[i] * scaled.scales[j],
                            -y * scaled.scales[i] * scaled.scales[j],
                        )
                    };
                    let side = 2 * n;
                    matrix[j * side + i] = x;
                    matrix[(n + j) * side + n + i] = x;
                    // Lower left block Y: entries (n + i, j) = Y_ij and (n + j, i) = Y_ji = −Y_ij.
                    matrix[j * side + n + i] = y;
                    matrix[i * side + n + j] = -y;
                }
            }
            prove_semidefinite(2 * n, &matrix, error)?;
        }
    }
    Ok(())
}

/// Upper bound of the rounding of the diagonal's subtraction, `u·d²(λT + Σ_s|R_ii(s)|)`, over all rows.
fn diagonal_room_up(gram: &Gram, scaled: &Scaled, diagonal: &[f64]) -> f64 {
    let mut room = 0.0;
    for (k, (&row, &d)) in scaled.rows.iter().zip(&scaled.scales).enumerate() {
        let size = add_up(diagonal[k], mul_up(2.0, gram.pair_sum_up(row, row)));
        room = max(room, mul_up(mul_up(mul_up(size, d), d), f64::EPSILON));
    }
    room
}

/// Upper bound of the spectral norm of the error of the scaled real embedding of the symbol.
///
/// An entry `Σ_s R(s) e^{iω·s}` is off by at most `Σ_s |R(s)| (ε + γ (1 + ε)) + #s · δR` in its real and in its imaginary part, with `ε` the
/// error of the roots and `δR` that of `R`; the norm of a symmetric matrix is at most its largest absolute row sum.
fn symbol_error_up(gram: &Gram, scaled: &Scaled, root_error: f64) -> f64 {
    let shifts = gram.span() * gram.span();
    let gamma = gamma_up(shifts + 2);
    let relative = add_up(root_error, mul_up(gamma, add_up(1.0, root_error)));
    let mut largest = 0.0;
    for (&i, &di) in scaled.rows.iter().zip(&scaled.scales) {
        let mut sum = 0.0;
        for (&j, &dj) in scaled.rows.iter().zip(&scaled.scales) {
            let rounded = mul_up(gram.pair_sum_up(i, j), relative);
            let carried = mul_up(mul_up(shifts as f64, gram.entry_error_up(i, j)), add_up(1.0, root_error));
            let entry = add_up(rounded, carried);
            sum = add_up(sum, mul_up(2.0, mul_up(mul_up(entry, di), dj)));
        }
        largest = max(largest, sum);
    }
    largest
}

/// Room for underflow in a scaled matrix.
///
/// `T`, or `λT`, lies in `[SCALE_LEAST, SCALE_MOST]`, so `d² < 4e200`; fewer than `1e9` lost subnormals of at most `5e-324`, times `d²`, stay below.
const UNDERFLOW: f64 = 1e-100;

/// The range of `T` for which the scaled matrices are stated.
pub(crate) const SCALE_LEAST: f64 = 1e-200;
/// See [`SCALE_LEAST`].
pub(crate) const SCALE_MOST: f64 = 1e200;

/// A power of two `d` with `d² T` in `[1, 4)` for a normal positive `T`.
pub(crate) fn power_near_inverse_root(scale: f64) -> f64 {
    let exponent = ((scale.to_bits() >> 52) & 0x7ff) as i64 - 1023;
    let half = exponent.div_euclid(2);
    f64::from_bits(((1023 - half) as u64) << 52)
}

/// Lower bound of `cos(π m / (2 grid))⁴`, the price of going from a grid to all frequencies; 0 where the grid is too coarse.
pub(crate) fn between_grid_points_down(grid: usize, degree: usize) -> f64 {
    if 2 * degree >= grid {
        return 0.0;
    }
    let cos = root_of_unity(degree, 4 * grid).0;
    cos.square().square().lo()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_bring_the_scale_near_one() {
        for scale in [1e-280, 0.3, 1.0, 2.0, 3.9, 4.0, 7e250] {
            let d = power_near_inverse_root(scale);
            let scaled = d * d * scale;
            assert!((1.0..4.0).contains(&scaled), "{scale:e} {scaled}");
        }
    }

    #[test]
    fn the_price_between_grid_points() {
        let price = between_grid_points_down(34_usize.next_power_of_two(), 2);
        assert!(price > 0.99 && price < 1.0);
        assert!(between_grid_points_down(4, 2) <= 0.0);
    }
}
