//! Gram matrices and lattice self-correlations with a bound for every entry.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

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

/// The most multiplications of a self-correlation, about a second of work.
const LATTICE_MOST: u128 = 1 << 30;

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
        let mut centre = vec![0.0; inner * inner * span * span];
        for i in 0..inner {
            for j in 0..inner {
                for dy in 0..span {
                    for dx in 0..span {
                        let mut sum = 0.0;
                        for c in 0..channels {
                            let (a, b) = (plane(kernel, i, c), plane(kernel, j, c));
                            sum += shifted_product(a, b, size, dy, dx);
                        }
                        centre[((i * inner + j) * span + dy) * span + dx] = sum;
                    }
                }
            }
        }
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

/// The Gram matrix of the shorter side of a weight, scaled by a power of two: for its operator norm.
///
/// `W' W'ᵀ ⪯ λ · scale · I` says `‖W‖₂² ≤ λ`, where `W'` is `W`, or its transpose if that has fewer rows, times a power of two whose square is `scale`.
/// The scaling is exact, and left out where it would not be, so the norms of weights of any size are found without over- or underflow.
pub(crate) struct SmallGram {
    pub(crate) gram: Gram,
    /// Between `2^{-660}` and `2^{660}`.
    pub(crate) scale: f64,
}

impl SmallGram {
    /// Encloses the products.
    ///
    /// # Errors
    ///
    /// Those of [`Gram::dense`].
    pub(crate) fn new(weight: &Matrix) -> Result<Self, CheckError> {
        let (small, power) = shorter_side(weight)?;
        Ok(Self {
            gram: Gram::dense(&small)?,
            scale: power * power,
        })
    }
}

/// The weight, or its transpose if that has fewer rows, times a power of two that brings its entries near one; the power is 1 where the scaling would not be
/// exact.
pub(crate) fn shorter_side(weight: &Matrix) -> Result<(Matrix, f64), CheckError> {
    let (scaled, power) = near_one(weight)?;
    let (rows, cols) = (weight.rows(), weight.cols());
    if rows <= cols {
        return Ok((scaled, power));
    }
    let data = scaled.data();
    let turned = (0..rows * cols).map(|flat| data[flat % rows * cols + flat / rows]);
    Ok((Matrix::new("weight", cols, rows, turned.collect())?, power))
}

/// The weight times a power of two that brings its entries near one, and that power; 1 where the scaling would not be exact.
pub(crate) fn near_one(weight: &Matrix) -> Result<(Matrix, f64), CheckError> {
    let power = scale_near_one(weight.data());
    let scaled: Vec<f64> = weight.data().iter().map(|value| value * power).collect();
    let exact = scaled
        .iter()
        .zip(weight.data())
        .all(|(a, b)| (a / power).to_bits() == b.to_bits());
    let (data, power) = if exact {
        (scaled, power)
    } else {
        (weight.data().to_vec(), 1.0)
    };
    Ok((Matrix::new("weight", weight.rows(), weight.cols(), data)?, power))
}

/// A power of two, at most `2^{330}` either way, that brings the largest magnitude near one; 1 for zeros.
fn scale_near_one(values: &[f64]) -> f64 {
    const MOST: i64 = 330;
    let largest = values.iter().fold(0.0, |most, value| max(most, value.abs()));
    let exponent = ((largest.to_bits() >> 52) & 0x7ff) as i64 - 1023;
    if exponent == -1023 {
        return 1.0;
    }
    f64::from_bits(((1023 - exponent.clamp(-MOST, MOST)) as u64) << 52)
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

/// One `(size, size)` plane of a kernel.
fn plane(kernel: &Kernel, inner: usize, channel: usize) -> &[f64] {
    let area = kernel.size() * kernel.size();
    &kernel.filter(inner)[channel * area..(channel + 1) * area]
}

/// `Σ_p a(p) b(p + s)` with `s = (dy, dx) − (size − 1)` on the plane, zero outside.
fn shifted_product(a: &[f64], b: &[f64], size: usize, dy: usize, dx: usize) -> f64 {
    let mut sum = 0.0;
    for y in 0..size {
        let Some(v) = (y + dy).checked_sub(size - 1).filter(|v| *v < size) else {
            continue;
        };
        for x in 0..size {
            let Some(w) = (x + dx).checked_sub(size - 1).filter(|w| *w < size) else {
                continue;
            };
            sum += a[y * size + x] * b[v * size + w];
        }
    }
    sum
}
