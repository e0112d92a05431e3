//! The matrices whose semidefiniteness says `A Aᵀ ⪯ λ diag(T)`, with a bound of the error of their entries.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::directed::{add_up, gamma_up, max, mul_down, mul_up};
use super::gram::Gram;
use super::interval::Interval;
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

/// Proves `S(ω) ⪯ λ diag(T)` at all `ω ∈ (2π/grid)·ℤ²`, where `S(ω)_ij = Σ_s R_ij(s) e^{iω·s}` is the symbol of `K Kᵀ`.
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
    grid: usize,
    lambda: f64,
) -> Result<(), CheckError> {
    let scaled = Scaled::new(scale_down, active, lambda);
    let n = scaled.rows.len();
    let roots = Roots::new(grid);
    let error = add_up(symbol_error_up(gram, &scaled, roots.error), UNDERFLOW);
    let span = gram.span();
    let diagonal: Vec<f64> = scaled.rows.iter().map(|row| mul_down(lambda, scale_down[*row])).collect();
    let error = add_up(error, diagonal_room_up(gram, &scaled, &diagonal));
    let mut phases = vec![(0.0, 0.0); span * span];
    let mut matrix = vec![0.0; 4 * n * n];
    for a in 0..=grid / 2 {
        for b in 0..grid {
            for dy in 0..span {
                for dx in 0..span {
                    // s = (dy, dx) − (span − 1)/2; the constant is a multiple of the period after adding grid.
                    let turn = a * (dy + grid * span - (span - 1) / 2) + b * (dx + grid * span - (span - 1) / 2);
                    phases[dy * span + dx] = roots.table[turn % grid];
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

/// The roots of unity `e^{2πi m / n}` for a power of two `n ≥ 4`.
struct Roots {
    /// `(cos, sin)` rounded, `m = 0 … n − 1`.
    table: Vec<(f64, f64)>,
    /// Upper bound of the error of each entry.
    error: f64,
}

impl Roots {
    /// From `(0, 1)` at a quarter turn by half-angle roots, then products, all in interval arithmetic; no library sine is believed.
    fn new(n: usize) -> Self {
        let exact = roots_of_unity(n);
        let mut error = 0.0;
        let table = exact
            .iter()
            .map(|(cos, sin)| {
                let (c, s) = (cos.mid(), sin.mid());
                error = max(error, max(cos.distance_up(c), sin.distance_up(s)));
                (c, s)
            })
            .collect();
        Self { table, error }
    }
}

/// Encloses `(cos, sin)` of `2π m / n`, `m = 0 … n − 1`, for a power of two `n ≥ 4`.
fn roots_of_unity(n: usize) -> Vec<(Interval, Interval)> {
    let two = Interval::integer(2);
    let (mut cos, mut sin) = (Interval::ZERO, Interval::ONE);
    // generators[k] is the root of order 4 · 2ᵏ.
    let mut generators = vec![(cos, sin)];
    while 4 << (generators.len() - 1) < n {
        // cos(θ/2) = √((1 + cos θ)/2), sin(θ/2) = sin θ / (2 cos(θ/2)), all in the first quadrant.
        cos = Interval::ONE.add(cos).div(two).sqrt();
        sin = sin.div(two.mul(cos));
        generators.push((cos, sin));
    }
    (0..n)
        .map(|m| {
            let mut root = (Interval::ONE, Interval::ZERO);
            let order = generators.len() + 1;
            for bit in 0..order {
                if m >> bit & 1 == 1 {
                    // 2^bit steps of 2π/n are one step of order n / 2^bit; order 2 is −1.
                    root = if bit + 1 == order {
                        (root.0.neg(), root.1.neg())
                    } else {
                        let (c, s) = generators[order - 2 - bit];
                        (root.0.mul(c).sub(root.1.mul(s)), root.0.mul(s).add(root.1.mul(c)))
                    };
                }
            }
            root
        })
        .collect()
}

/// Lower bound of `cos(π m / (2 grid))⁴`, the price of going from a grid to all frequencies; 0 where the grid is too coarse.
pub(crate) fn between_grid_points_down(grid: usize, degree: usize) -> f64 {
    if 2 * degree >= grid {
        return 0.0;
    }
    let cos = roots_of_unity(4 * grid)[degree].0;
    cos.square().square().lo()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_enclose_the_library_values_to_an_ulp_or_two() {
        for n in [4, 8, 64, 512] {
            let roots = Roots::new(n);
            assert!(roots.error < 1e-14, "{n}: {}", roots.error);
            for (m, (cos, sin)) in roots.table.iter().enumerate() {
                let angle = std::f64::consts::TAU * m as f64 / n as f64;
                #[expect(clippy::disallowed_methods, reason = "the second method of this test")]
                let (c, s) = (angle.cos(), angle.sin());
                assert!((cos - c).abs() < 2e-14 && (sin - s).abs() < 2e-14, "{m} of {n}");
            }
        }
    }

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
