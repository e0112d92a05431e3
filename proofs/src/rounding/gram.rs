//! Gram matrices and lattice self-correlations with a bound for every entry.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use faer::linalg::matmul::matmul as matmul_full;
use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, MatMut, MatRef, Par};

use super::directed::{add_up, div_down, div_up, gamma_up, max, mul_up, norm_up, sub_down, sub_up};
use super::interval::Interval;
use crate::error::CheckError;
use crate::statement::{Kernel, Matrix};

/// Columns that one product runs over before its result is added up.
///
/// Short blocks keep `γ` small: `γ_{BLOCK + number of blocks}` in place of `γ_columns`.
const BLOCK: usize = 256;

/// The inner products `R_ij(s)` of the rows of `A`, enclosed.
///
/// - Dense `A`, `(inner, n)`: one shift, `R_ij = ⟨a_i, a_j⟩`.
/// - A kernel `K`, `(inner, c, k, k)`: `(2k − 1)²` shifts, `R_ij(s) = Σ_{c,p} K_ic(p) K_jc(p + s)`, the self-correlation on the infinite
///   lattice. Every zero-padded, circular or full convolution with `K` is a compression or a folding of that operator, so bounds
///   that start from `R` hold at the border of an image too; row sums of the unrolled zero-padded operator do not.
///
/// The exact value lies within `gamma · ‖a_i‖ · ‖a_j‖ + tiny` of the stored centre, since `|fl(xᵀy) − xᵀy| ≤ γ |x|ᵀ|y|` for conventional
/// products in any order, fused or not, and `|x|ᵀ|y| ≤ ‖x‖‖y‖`.
///
/// # Source
///
/// Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 3.1. Border: Prach and Lampert, *Almost-Orthogonal Layers*,
/// ECCV 2022, Lemma 2.
#[derive(Clone, Debug)]
pub struct Gram {
    inner: usize,
    span: usize,
    centre: Vec<f64>,
    norms: Vec<f64>,
    zero: Vec<bool>,
    gamma: f64,
    tiny: f64,
}

/// The most entries of a Gram matrix or self-correlation: 2 GiB of float64, a square of 16384.
const ENTRIES_MOST: u128 = 1 << 28;

/// The most multiplications of a self-correlation, a few seconds of work.
const LATTICE_MOST: u128 = 1 << 34;

/// The largest side of a kernel.
const SIDE_MOST: u128 = 31;

impl Gram {
    /// Encloses `A Aᵀ`, by products of `BLOCK` columns that are added up.
    ///
    /// # Errors
    ///
    /// - [`CheckError::TooLarge`] for more than 16384 rows.
    /// - [`CheckError::NotFinite`] if a product overflows.
    pub fn dense(weight: &Matrix) -> Result<Self, CheckError> {
        let (inner, cols) = (weight.rows(), weight.cols());
        limit("gram", &[inner, inner], ENTRIES_MOST)?;
        let full = MatRef::from_row_major_slice(weight.data(), inner, cols);
        let mut centre = vec![0.0; inner * inner];
        let mut part = vec![0.0; if cols > BLOCK { inner * inner } else { 0 }];
        let mut blocks = 0;
        let mut start = 0;
        while start < cols {
            let width = BLOCK.min(cols - start);
            let block = full.subcols(start, width);
            let target = if start == 0 { &mut centre } else { &mut part };
            // Column-major, lower half: entry (i, j) with i >= j lies at j * inner + i.
            matmul(
                MatMut::from_column_major_slice_mut(target, inner, inner),
                BlockStructure::TriangularLower,
                Accum::Replace,
                block,
                BlockStructure::Rectangular,
                block.transpose(),
                BlockStructure::Rectangular,
                1.0,
                Par::Seq,
            );
            if start > 0 {
                for (sum, value) in centre.iter_mut().zip(&part) {
                    *sum += value;
                }
            }
            start += width;
            blocks += 1;
        }
        mirror(&mut centre, inner);
        let rows: Vec<&[f64]> = (0..inner).map(|i| weight.row(i)).collect();
        Self::build(1, centre, &rows, BLOCK.min(cols) + blocks)
    }

    /// Encloses the self-correlation of a kernel on the infinite lattice.
    ///
    /// # Errors
    ///
    /// - [`CheckError::TooLarge`] for an absurdly large kernel.
    /// - [`CheckError::NotFinite`] if a product overflows.
    pub fn lattice(kernel: &Kernel) -> Result<Self, CheckError> {
        let (inner, channels, size) = (kernel.inner(), kernel.channels(), kernel.size());
        limit("kernel", &[size], SIDE_MOST)?;
        let span = 2 * size - 1;
        limit("self-correlation", &[inner, inner, span, span], ENTRIES_MOST)?;
        limit(
            "self-correlation",
            &[inner, inner, channels, size, size, size, size],
            LATTICE_MOST,
        )?;
        let centre = self_correlation(kernel);
        let rows: Vec<&[f64]> = (0..inner).map(|i| kernel.filter(i)).collect();
        Self::build(span, centre, &rows, size * size + channels)
    }

    fn build(span: usize, centre: Vec<f64>, rows: &[&[f64]], operations: usize) -> Result<Self, CheckError> {
        let inner = rows.len();
        if let Some(flat) = centre.iter().position(|value| !value.is_finite()) {
            let pair = flat / (span * span);
            return Err(CheckError::NotFinite {
                what: "gram",
                index: vec![pair / inner, pair % inner],
            });
        }
        // An underflowing product loses at most half the smallest subnormal; two of them a term leave room for the sums.
        let tiny = mul_up((2 * rows[0].len()) as f64, f64::from_bits(1));
        let norms = rows.iter().map(|row| norm_up(row)).collect();
        let zero = rows.iter().map(|row| row.iter().all(|value| *value == 0.0)).collect();
        Ok(Self {
            inner,
            span,
            centre,
            norms,
            zero,
            gamma: gamma_up(operations + 2),
            tiny,
        })
    }

    /// Number of rows of `A`.
    #[must_use]
    pub const fn inner(&self) -> usize {
        self.inner
    }

    /// Side of the square of lattice shifts: `2k − 1`, and 1 for a dense matrix.
    #[must_use]
    pub const fn span(&self) -> usize {
        self.span
    }

    /// The float64 centres, order `(i, j, dy, dx)`; approximations.
    #[must_use]
    pub fn approx_centre(&self) -> &[f64] {
        &self.centre
    }

    /// Upper bounds of the norms of the rows of `A`.
    #[must_use]
    pub fn norms_up(&self) -> &[f64] {
        &self.norms
    }

    /// Whether every entry of row `i` of `A` is zero.
    #[must_use]
    pub fn is_zero_row(&self, i: usize) -> bool {
        self.zero[i]
    }

    /// The centres of one pair of rows, all shifts.
    pub(crate) fn pair(&self, i: usize, j: usize) -> &[f64] {
        let shifts = self.span * self.span;
        let start = (i * self.inner + j) * shifts;
        &self.centre[start..start + shifts]
    }

    /// Upper bound of the distance between one centre of the pair and its exact value.
    pub(crate) fn entry_error_up(&self, i: usize, j: usize) -> f64 {
        add_up(mul_up(self.gamma, mul_up(self.norms[i], self.norms[j])), self.tiny)
    }

    /// Upper bound of `Σ_i d_i² ‖a_i‖²` times the relative error: the spectral norm of the error of `diag(d) A Aᵀ diag(d)`.
    pub(crate) fn scaled_error_up(&self, rows: &[usize], scales: &[f64]) -> f64 {
        let mut sum = 0.0;
        let mut tiny = 0.0;
        for (&row, &scale) in rows.iter().zip(scales) {
            let scaled = mul_up(scale, self.norms[row]);
            sum = add_up(sum, mul_up(scaled, scaled));
            tiny = add_up(tiny, mul_up(scale, scale));
        }
        let absolute = mul_up(mul_up(self.tiny, rows.len() as f64), tiny);
        add_up(mul_up(self.gamma, sum), absolute)
    }

    /// Encloses `Σ_j Σ_s |R_ij(s)| w_j / w_i` for each row `i`, over the rows `j` that are `active`; zero for the others.
    ///
    /// `weights` must be positive.
    #[must_use]
    pub fn row_sums(&self, weights: &[Interval], active: &[bool]) -> Vec<Interval> {
        let shifts = self.span * self.span;
        // Products with the weight, then a sum of inner · shifts terms.
        let gamma = gamma_up(self.inner * shifts + 2);
        let mut reach = 0.0;
        let mut weight_sum = 0.0;
        for j in 0..self.inner {
            if active[j] {
                reach = add_up(reach, mul_up(weights[j].hi(), self.norms[j]));
                weight_sum = add_up(weight_sum, weights[j].hi());
            }
        }
        (0..self.inner)
            .map(|i| {
                if !active[i] {
                    return Interval::ZERO;
                }
                let (mut low, mut high) = (0.0, 0.0);
                for j in 0..self.inner {
                    if active[j] {
                        let sum: f64 = self.pair(i, j).iter().map(|value| value.abs()).sum();
                        low += sum * weights[j].lo();
                        high += sum * weights[j].hi();
                    }
                }
                let relative = mul_up(self.gamma, mul_up(self.norms[i], reach));
                let error = mul_up(add_up(relative, mul_up(self.tiny, weight_sum)), shifts as f64);
                let underflow = mul_up((self.inner * shifts) as f64, f64::MIN_POSITIVE);
                let error = add_up(error, underflow);
                let high = add_up(div_up(high, sub_down(1.0, gamma)), error);
                let low = max(0.0, sub_down(div_down(low, add_up(1.0, gamma)), error));
                Interval::between(low, high).div(weights[i])
            })
            .collect()
    }

    /// Upper bound of `Σ_s |R_ij(s)|` as computed, without the error of the entries.
    pub(crate) fn pair_sum_up(&self, i: usize, j: usize) -> f64 {
        self.pair(i, j).iter().fold(0.0, |sum, value| add_up(sum, value.abs()))
    }

    /// Distance of a computed slack `bound − R_ii(0)` from below.
    pub(crate) fn diagonal_slack_down(&self, row: usize, bound: f64) -> f64 {
        -sub_up(self.pair(row, row)[0], bound)
    }
}

/// Refuses a product of sizes above `most`.
fn limit(what: &'static str, sizes: &[usize], most: u128) -> Result<(), CheckError> {
    let product = sizes
        .iter()
        .try_fold(1u128, |product, size| product.checked_mul(*size as u128));
    let entries = product.unwrap_or(u128::MAX);
    if entries <= most {
        Ok(())
    } else {
        Err(CheckError::TooLarge { what, entries, most })
    }
}

/// Copies the lower half of a column-major matrix to the upper half.
fn mirror(matrix: &mut [f64], n: usize) {
    // Tiles keep both halves in cache.
    const TILE: usize = 32;
    for column in (0..n).step_by(TILE) {
        for row in (column..n).step_by(TILE) {
            for j in column..(column + TILE).min(n) {
                for i in row.max(j + 1)..(row + TILE).min(n) {
                    matrix[i * n + j] = matrix[j * n + i];
                }
            }
        }
    }
}

/// `R_ij(s) = Σ_{c,p} K_ic(p) K_jc(p + s)` in the order `(i, j, dy, dx)`, `s = (dy, dx) − (size − 1)`: a product of `channels` columns a pair of taps, and at
/// most `size²` of them added up.
fn self_correlation(kernel: &Kernel) -> Vec<f64> {
    let (inner, channels, size) = (kernel.inner(), kernel.channels(), kernel.size());
    let (area, span, block) = (size * size, 2 * size - 1, inner * inner);
    // Columns (tap, i) of `channels` numbers.
    let taps: Vec<f64> = (0..area * inner * channels)
        .map(|flat| {
            let (tap, i, channel) = (flat / (inner * channels), flat / channels % inner, flat % channels);
            kernel.data()[(i * channels + channel) * area + tap]
        })
        .collect();
    let from = |tap: usize, count: usize| {
        let start = tap * inner * channels;
        MatRef::from_column_major_slice(&taps[start..start + count * inner * channels], channels, count * inner)
    };
    // R_ji(−s) = R_ij(s): the shifts from one tap to itself and those behind it in the order of rows are the later half.
    let half = span * span / 2;
    let mut sums = vec![0.0; (half + 1) * block];
    let mut part = vec![0.0; area * block];
    for p in 0..area {
        let part = &mut part[..(area - p) * block];
        matmul_full(
            MatMut::from_column_major_slice_mut(part, inner, (area - p) * inner),
            Accum::Replace,
            from(p, 1).transpose(),
            from(p, area - p),
            1.0,
            Par::Seq,
        );
        for (q, product) in (p..area).zip(part.chunks_exact(block)) {
            let (dy, dx) = (q / size + size - 1 - p / size, q % size + size - 1 - p % size);
            let start = (dy * span + dx - half) * block;
            for (sum, value) in sums[start..start + block].iter_mut().zip(product) {
                *sum += value;
            }
        }
    }
    let mut centre = vec![0.0; block * span * span];
    for (position, sum) in sums.chunks_exact(block).enumerate() {
        let shift = position + half;
        for (flat, value) in sum.iter().enumerate() {
            let (i, j) = (flat % inner, flat / inner);
            centre[(i * inner + j) * span * span + shift] = *value;
            centre[(j * inner + i) * span * span + span * span - 1 - shift] = *value;
        }
    }
    centre
}
