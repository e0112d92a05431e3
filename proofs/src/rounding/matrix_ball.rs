//! Matrices known up to a distance: a float64 centre and a proved bound of the norm of what is missing.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::lu::partial_pivoting::{factor, solve};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::directed::{add_up, div_up, gamma_up, max, min, mul_up, norm_up, sqrt_up, sub_down};
use super::interval::Interval;
use crate::statement::Matrix;

/// All real matrices within `radius` of the centre in the Frobenius norm, of which one is meant.
///
/// Every operation encloses the exact result for every choice of its operands. An enclosure that failed has a radius that is infinite or NaN.
///
/// The products are conventional: `|fl(A B) − A B| ≤ γ_k |A||B|` in any order, fused or not, and `‖|A||B|‖_F ≤ ‖A‖_F ‖B‖_F`.
///
/// # Source
///
/// Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 3.5; Rump, *Verification methods*, Acta Numerica 19 (2010), section 10.
#[derive(Clone, Debug)]
pub(crate) struct MatrixBall {
    rows: usize,
    cols: usize,
    /// Row-major.
    centre: Vec<f64>,
    radius: f64,
    /// Upper bound of the spectral norm of the matrix that is meant.
    norm: f64,
}

impl MatrixBall {
    /// A matrix that is what it is.
    pub(crate) fn exact(matrix: &Matrix) -> Self {
        Self::new(matrix.rows(), matrix.cols(), matrix.data().to_vec(), 0.0)
    }

    /// The identity.
    pub(crate) fn identity(n: usize) -> Self {
        let mut centre = vec![0.0; n * n];
        centre.iter_mut().step_by(n + 1).for_each(|value| *value = 1.0);
        Self::new(n, n, centre, 0.0).with_norm_at_most(1.0)
    }

    fn new(rows: usize, cols: usize, centre: Vec<f64>, radius: f64) -> Self {
        let norm = add_up(spectral_up(rows, cols, &centre), radius);
        Self {
            rows,
            cols,
            centre,
            radius,
            norm,
        }
    }

    /// Number of rows.
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub(crate) const fn cols(&self) -> usize {
        self.cols
    }

    /// The centre, row-major.
    pub(crate) fn centre(&self) -> &[f64] {
        &self.centre
    }

    /// Upper bound of the Frobenius norm of the distance to the matrix that is meant.
    pub(crate) const fn radius(&self) -> f64 {
        self.radius
    }

    /// Upper bound of the spectral norm of the matrix that is meant.
    pub(crate) const fn norm(&self) -> f64 {
        self.norm
    }

    /// The same, when a theorem says that the spectral norm of the matrix that is meant is at most `norm`.
    pub(crate) fn with_norm_at_most(mut self, norm: f64) -> Self {
        self.norm = min(self.norm, norm);
        self
    }

    /// The same with a larger radius.
    pub(crate) fn widened(mut self, by: f64) -> Self {
        self.radius = add_up(self.radius, by);
        self.norm = add_up(self.norm, by);
        self
    }

    /// The centre as an exact matrix.
    pub(crate) fn without_radius(&self) -> Self {
        let norm = add_up(self.norm, self.radius);
        Self {
            radius: 0.0,
            norm,
            ..self.clone()
        }
    }

    /// Upper bound of the Frobenius norm of the centre.
    fn size_up(&self) -> f64 {
        norm_up(&self.centre)
    }

    /// `X Y`. With `X = A + E`, `Y = B + F`: `‖X Y − A B‖ ≤ ‖E‖‖Y‖ + ‖X‖‖F‖ + ‖E‖‖F‖`.
    pub(crate) fn product(&self, other: &Self) -> Self {
        let (rows, inner, cols) = (self.rows, self.cols, other.cols);
        let mut centre = vec![0.0; rows * cols];
        matmul(
            MatMut::from_row_major_slice_mut(&mut centre, rows, cols),
            Accum::Replace,
            MatRef::from_row_major_slice(&self.centre, rows, inner),
            MatRef::from_row_major_slice(&other.centre, inner, cols),
            1.0,
            Par::Seq,
        );
        let rounded = mul_up(gamma_up(inner + 2), mul_up(self.size_up(), other.size_up()));
        let lost = mul_up((rows * cols * (inner + 1)) as f64, f64::MIN_POSITIVE);
        let carried = add_up(
            add_up(mul_up(self.radius, other.norm), mul_up(self.norm, other.radius)),
            mul_up(self.radius, other.radius),
        );
        let norm = mul_up(self.norm, other.norm);
        Self::new(rows, cols, centre, add_up(add_up(rounded, lost), carried)).with_norm_at_most(norm)
    }

    /// `Xᵀ`.
    pub(crate) fn transpose(&self) -> Self {
        let (rows, cols) = (self.cols, self.rows);
        let centre = (0..rows * cols)
            .map(|flat| self.centre[flat % cols * rows + flat / cols])
            .collect();
        Self {
            rows,
            cols,
            centre,
            ..*self
        }
    }

    /// `X + Y`.
    pub(crate) fn add(&self, other: &Self) -> Self {
        let centre: Vec<f64> = self.centre.iter().zip(&other.centre).map(|(a, b)| a + b).collect();
        self.combined(other, centre)
    }

    /// `X − Y`.
    pub(crate) fn sub(&self, other: &Self) -> Self {
        let centre: Vec<f64> = self.centre.iter().zip(&other.centre).map(|(a, b)| a - b).collect();
        self.combined(other, centre)
    }

    /// A sum or difference: one rounding an entry.
    fn combined(&self, other: &Self, centre: Vec<f64>) -> Self {
        let rounded = mul_up(gamma_up(1), norm_up(&centre));
        let radius = add_up(add_up(self.radius, other.radius), rounded);
        let norm = add_up(self.norm, other.norm);
        Self::new(self.rows, self.cols, centre, radius).with_norm_at_most(norm)
    }

    /// `s X`.
    pub(crate) fn scale(&self, factor: Interval) -> Self {
        let norm = mul_up(self.norm, factor.magnitude_up());
        self.scale_columns(&vec![factor; self.cols]).with_norm_at_most(norm)
    }

    /// `X diag(s)`, one factor a column.
    pub(crate) fn scale_columns(&self, factors: &[Interval]) -> Self {
        let mids: Vec<f64> = factors.iter().map(|factor| factor.mid()).collect();
        let widths: Vec<f64> = factors
            .iter()
            .zip(&mids)
            .map(|(factor, mid)| factor.distance_up(*mid))
            .collect();
        let largest = factors.iter().fold(0.0, |most, factor| max(most, factor.magnitude_up()));
        let entries = self.centre.chunks_exact(self.cols);
        let centre: Vec<f64> = entries
            .clone()
            .flat_map(|row| row.iter().zip(&mids).map(|(a, s)| a * s))
            .collect();
        let off: Vec<f64> = entries
            .flat_map(|row| row.iter().zip(&widths).map(|(a, w)| mul_up(a.abs(), *w)))
            .collect();
        let rounded = mul_up(gamma_up(1), norm_up(&centre));
        let lost = mul_up(centre.len() as f64, f64::MIN_POSITIVE);
        let radius = add_up(add_up(norm_up(&off), rounded), add_up(lost, mul_up(self.radius, largest)));
        let norm = mul_up(self.norm, largest);
        Self::new(self.rows, self.cols, centre, radius).with_norm_at_most(norm)
    }

    /// Rows `first..last`.
    pub(crate) fn row_range(&self, first: usize, last: usize) -> Self {
        let centre = self.centre[first * self.cols..last * self.cols].to_vec();
        Self::new(last - first, self.cols, centre, self.radius).with_norm_at_most(self.norm)
    }

    /// The rows of `self`, then those of `other`; `norm` bounds the spectral norm of the whole.
    pub(crate) fn stack(&self, other: &Self, norm: f64) -> Self {
        let centre = self.centre.iter().chain(&other.centre).copied().collect();
        let radius = sqrt_up(add_up(mul_up(self.radius, self.radius), mul_up(other.radius, other.radius)));
        Self::new(self.rows + other.rows, self.cols, centre, radius).with_norm_at_most(norm)
    }

    /// `M⁻¹` of a square `M` with `‖M⁻¹‖₂ ≤ most`, which the caller knows by a theorem.
    ///
    /// For every `X`: `M⁻¹ − X = M⁻¹ (I − M X)`, so `‖M⁻¹ − X‖ ≤ most · ‖I − M X‖`. `X` comes from an elimination that nobody has to trust.
    pub(crate) fn inverse(&self, most: f64) -> Self {
        let n = self.rows;
        let mut approx = Self::identity(n);
        if self.centre.iter().all(|value| value.is_finite()) {
            approx.centre = approx_inverse(n, &self.centre);
        }
        let approx = Self::new(n, n, approx.centre, 0.0);
        let rest = Self::identity(n).sub(&self.product(&approx));
        let radius = mul_up(most, add_up(rest.size_up(), rest.radius));
        Self::new(n, n, approx.centre, radius).with_norm_at_most(most)
    }
}

/// An approximate inverse by elimination with pivots; anything where that breaks down.
fn approx_inverse(n: usize, matrix: &[f64]) -> Vec<f64> {
    let mut lu = matrix.to_vec();
    let mut inverse = vec![0.0; n * n];
    inverse.iter_mut().step_by(n + 1).for_each(|value| *value = 1.0);
    let (mut forward, mut backward) = (vec![0usize; n], vec![0usize; n]);
    let mut memory = MemBuffer::new(factor::lu_in_place_scratch::<usize, f64>(n, n, Par::Seq, Default::default()));
    let (_, permutation) = factor::lu_in_place(
        MatMut::from_row_major_slice_mut(&mut lu, n, n),
        &mut forward,
        &mut backward,
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    );
    let lu = MatRef::from_row_major_slice(&lu, n, n);
    let mut memory = MemBuffer::new(solve::solve_in_place_scratch::<usize, f64>(n, n, Par::Seq));
    solve::solve_in_place(
        lu,
        lu,
        permutation,
        MatMut::from_row_major_slice_mut(&mut inverse, n, n),
        Par::Seq,
        MemStack::new(&mut memory),
    );
    inverse
}

/// Upper bound of the spectral norm: the smaller of Frobenius and Schur, `√(largest row sum · largest column sum)`.
fn spectral_up(rows: usize, cols: usize, entries: &[f64]) -> f64 {
    let mut columns = vec![0.0; cols];
    let mut row_most = 0.0;
    for row in entries.chunks_exact(cols) {
        let mut sum = 0.0;
        for (column, value) in columns.iter_mut().zip(row) {
            sum += value.abs();
            *column += value.abs();
        }
        row_most = max(row_most, sum);
    }
    let widen = |sum: f64, terms: usize| div_up(sum, sub_down(1.0, gamma_up(terms + 1)));
    let column_most = columns.iter().fold(0.0, |most, sum| max(most, *sum));
    let schur = sqrt_up(mul_up(widen(row_most, cols), widen(column_most, rows)));
    min(schur, norm_up(entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::DMatrix;
    use num_rational::BigRational;
    use proptest::prelude::*;

    fn exact(value: f64) -> BigRational {
        BigRational::from_float(value).expect("finite")
    }

    fn rational(rows: usize, cols: usize, entries: &[f64]) -> Vec<Vec<BigRational>> {
        assert_eq!(rows * cols, entries.len());
        entries
            .chunks_exact(cols)
            .map(|row| row.iter().map(|value| exact(*value)).collect())
            .collect()
    }

    /// Whether the exact matrix lies within the ball.
    fn holds(ball: &MatrixBall, matrix: &[Vec<BigRational>]) -> bool {
        let centre = rational(ball.rows, ball.cols, &ball.centre);
        let differences = centre.iter().flatten().zip(matrix.iter().flatten());
        let squares = differences.map(|(a, b)| (a - b) * (a - b));
        let sum = squares.fold(exact(0.0), |sum, square| sum + square);
        sum <= exact(ball.radius) * exact(ball.radius)
    }

    fn product(a: &[Vec<BigRational>], b: &[Vec<BigRational>]) -> Vec<Vec<BigRational>> {
        let entry = |row: &[BigRational], j: usize| row.iter().zip(b).fold(exact(0.0), |sum, (x, y)| sum + x * &y[j]);
        a.iter().map(|row| (0..b[0].len()).map(|j| entry(row, j)).collect()).collect()
    }

    fn entries(length: usize) -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(prop_oneof![5 => -3.0..3.0f64, 1 => Just(0.0), 1 => -1e-9..1e-9f64], length)
    }

    proptest! {
        /// Products, sums and scalings of matrices away from the centre, against exact rationals. The operand is at the edge of its ball.
        #[test]
        fn operations_enclose_exact_arithmetic(a in entries(6), b in entries(6), s in 0.1..3.0f64, off in 0.0..1e-3f64) {
            let first = MatrixBall::exact(&Matrix::new("a", 2, 3, a.clone()).expect("a matrix"));
            let second = MatrixBall::exact(&Matrix::new("b", 3, 2, b.clone()).expect("a matrix"));
            let (first, second) = (first.widened(off), second.widened(off));
            let mut x = rational(2, 3, &a);
            let mut y = rational(3, 2, &b);
            x[1][2] = &x[1][2] + exact(off);
            y[2][0] = &y[2][0] - exact(off);
            prop_assert!(holds(&first.product(&second), &product(&x, &y)));
            let flipped = second.transpose();
            let sum = |sign: f64| -> Vec<Vec<BigRational>> {
                (0..2).map(|i| (0..3).map(|j| &x[i][j] + exact(sign) * &y[j][i]).collect()).collect()
            };
            prop_assert!(holds(&first.add(&flipped), &sum(1.0)));
            prop_assert!(holds(&first.sub(&flipped), &sum(-1.0)));
            let factors = [Interval::between(s, s * 1.5), Interval::point(s), Interval::between(-s, s)];
            let scaled: Vec<Vec<BigRational>> = x.iter()
                .map(|row| row.iter().zip(factors).map(|(value, factor)| value * exact(factor.hi())).collect())
                .collect();
            prop_assert!(holds(&first.scale_columns(&factors), &scaled));
        }

        /// The inverse of `I + (skew)`, whose norm is at most 1: the exact product with the exact matrix is the identity up to what the radius says.
        #[test]
        fn inverses_are_enclosed(a in entries(9)) {
            let m: Vec<f64> = (0..9).map(|flat| {
                let (i, j) = (flat / 3, flat % 3);
                f64::from(u8::from(i == j)) + if i < j { a[flat] } else if i > j { -a[j * 3 + i] } else { 0.0 }
            }).collect();
            let inverse = MatrixBall::exact(&Matrix::new("m", 3, 3, m.clone()).expect("a matrix")).inverse(1.0);
            // det and adjugate, exactly
            let e = rational(3, 3, &m);
            let minor = |i: usize, j: usize| {
                let (r, c) = ([(i + 1) % 3, (i + 2) % 3], [(j + 1) % 3, (j + 2) % 3]);
                &e[r[0]][c[0]] * &e[r[1]][c[1]] - &e[r[0]][c[1]] * &e[r[1]][c[0]]
            };
            let det = (0..3).fold(exact(0.0), |sum, j| sum + &e[0][j] * minor(0, j));
            let truth: Vec<Vec<BigRational>> = (0..3).map(|i| (0..3).map(|j| minor(j, i) / &det).collect()).collect();
            prop_assert!(holds(&inverse, &truth));
            prop_assert!(inverse.radius < 1e-13);
        }

        /// The cheap bound of the spectral norm against singular values.
        #[test]
        fn spectral_bounds(a in entries(12)) {
            let norm = DMatrix::from_row_slice(3, 4, &a).singular_values().max();
            prop_assert!(spectral_up(3, 4, &a) >= norm * (1.0 - 1e-13));
        }
    }

    #[test]
    fn what_is_not_finite_has_no_finite_radius() {
        let huge = MatrixBall::exact(&Matrix::new("a", 2, 2, vec![1e200, 0.0, 0.0, 1.0]).expect("a matrix"));
        assert!(!huge.product(&huge).radius.is_finite());
        assert!(!huge.product(&huge).inverse(1.0).radius.is_finite());
        let singular = MatrixBall::exact(&Matrix::new("a", 2, 2, vec![1.0, 1.0, 1.0, 1.0]).expect("a matrix"));
        let inverse = singular.inverse(1.0);
        assert!(!(inverse.radius < 0.5), "{}", inverse.radius);
    }
}
