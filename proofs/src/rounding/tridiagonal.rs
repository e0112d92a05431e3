//! A proof that a block-tridiagonal matrix is positive semidefinite, from a factor that nobody has to trust.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{BlockStructure, matmul as matmul_triangular};
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Accum, Mat, MatRef, Par};

use super::directed::{add_up, gamma_up, max, min, mul_up, sub_down};
use crate::error::CheckError;

/// A symmetric matrix with blocks on and beside the diagonal.
#[derive(Debug, Default)]
pub(crate) struct BlockTridiagonal {
    /// Square blocks; the lower half is read.
    pub(crate) diagonal: Vec<Mat<f64>>,
    /// The block `(i + 1, i)` for each `i`.
    pub(crate) below: Vec<Mat<f64>>,
}

/// How often the factorisation is tried, each time with a shift that follows from the last residual.
const ATTEMPTS: usize = 4;

/// Proves that every symmetric `M` with `‖M − matrix‖₂ ≤ error` is positive semidefinite.
///
/// With `N` the matrix whose diagonal is lowered by `c`, floating block Cholesky gives a lower block-bidiagonal `L`, which is only a hint. Then
/// `N = L Lᵀ + R ⪰ −‖R‖ I` and `M ⪰ N + (c' − error) I`, where `c'` is the smallest amount by which the diagonal was really lowered, so
/// `‖R‖₂ + error ≤ c'` proves the claim. The blocks of `R = N − L Lᵀ` are conventional sums of at most `K = n_i + n_{i−1}` products and one summand, hence
/// `|fl(R) − R| ≤ γ (|N| + |L||L|ᵀ)`; norms are bounded by the largest absolute row sum, `|L|(|L|ᵀ 1)` without forming the product.
///
/// Scale the matrix so that its diagonal lies near one. The work is that of a few products of blocks, linear in their number.
///
/// # Errors
///
/// [`CheckError::NotSemidefinite`] if the factorisation breaks down or the residual is too large; NaN anywhere leads here.
///
/// # Source
///
/// Rump, *Verification of positive definiteness*, BIT 46 (2006), block by block and with the residual bounded after the fact; Higham, *Accuracy and
/// Stability of Numerical Algorithms*, 2nd ed., section 3.5.
pub(crate) fn prove_semidefinite(matrix: &BlockTridiagonal, error: f64) -> Result<(), CheckError> {
    let sizes: Vec<usize> = matrix.diagonal.iter().map(Mat::nrows).collect();
    let terms = sizes.windows(2).map(|pair| pair[0] + pair[1]).max();
    let gamma = gamma_up(terms.or(sizes.first().copied()).unwrap_or(0) + 8);
    let largest = |sums: &[Vec<f64>]| sums.iter().flatten().fold(0.0, |most, sum| max(most, *sum));
    let mut shift = error + 3.0 * gamma * largest(&row_sums_up(&matrix.diagonal, &matrix.below));
    let mut residual = f64::NAN;
    for _ in 0..ATTEMPTS {
        let (lowered, room) = lower(&matrix.diagonal, shift);
        let Some(factor) = Factor::new(&lowered, &matrix.below) else {
            return Err(CheckError::NotSemidefinite { shift, residual });
        };
        let rest = factor.residual_up(&lowered, &matrix.below, gamma);
        residual = add_up(largest(&rest), error);
        let proved = residual <= room;
        if proved {
            return Ok(());
        }
        // Half as much again above the error of the entries.
        shift = error + 1.5 * (residual - error);
    }
    Err(CheckError::NotSemidefinite { shift, residual })
}

/// The blocks with their diagonal lowered by about `shift`, and the smallest amount by which it was.
fn lower(diagonal: &[Mat<f64>], shift: f64) -> (Vec<Mat<f64>>, f64) {
    let mut room = f64::INFINITY;
    let lowered = diagonal.iter().map(|block| {
        let mut block = block.clone();
        for i in 0..block.nrows() {
            let before = block[(i, i)];
            block[(i, i)] = before - shift;
            room = min(room, sub_down(before, block[(i, i)]));
        }
        block
    });
    (lowered.collect(), room)
}

/// Upper bounds of the absolute row sums of the symmetric matrix, block by block.
fn row_sums_up(diagonal: &[Mat<f64>], below: &[Mat<f64>]) -> Vec<Vec<f64>> {
    let mut sums: Vec<Vec<f64>> = diagonal.iter().map(|block| symmetric_sums_up(block.as_ref())).collect();
    for (index, block) in below.iter().enumerate() {
        let (rows, cols) = absolute_sums_up(block.as_ref());
        add_to(&mut sums[index + 1], &rows);
        add_to(&mut sums[index], &cols);
    }
    sums
}

/// Upper bounds of the absolute row sums of a symmetric block whose lower half is read.
pub(crate) fn symmetric_sums_up(block: MatRef<'_, f64>) -> Vec<f64> {
    let n = block.nrows();
    let mut sums = vec![0.0; n];
    for j in 0..n {
        for i in j..n {
            let value = block[(i, j)].abs();
            sums[i] += value;
            if i > j {
                sums[j] += value;
            }
        }
    }
    let factor = add_up(1.0, mul_up(2.0, gamma_up(n + 1)));
    sums.iter_mut().for_each(|sum| *sum = mul_up(*sum, factor));
    sums
}

/// `sums ← sums + terms`, rounded up.
fn add_to(sums: &mut [f64], terms: &[f64]) {
    for (sum, term) in sums.iter_mut().zip(terms) {
        *sum = add_up(*sum, *term);
    }
}

/// A lower block-bidiagonal matrix.
struct Factor {
    /// Lower triangular, the upper half is zero.
    diagonal: Vec<Mat<f64>>,
    /// The block `(i + 1, i)` for each `i`.
    below: Vec<Mat<f64>>,
}

impl Factor {
    /// Floating Cholesky; nothing if a pivot is not positive. Untrusted.
    fn new(diagonal: &[Mat<f64>], below: &[Mat<f64>]) -> Option<Self> {
        let mut factor = Self {
            diagonal: Vec::with_capacity(diagonal.len()),
            below: Vec::with_capacity(below.len()),
        };
        for (index, block) in diagonal.iter().enumerate() {
            let mut pivot = block.clone();
            if let (Some(left), Some(last)) = (index.checked_sub(1).map(|i| &below[i]), factor.diagonal.last()) {
                // X Lᵀ = B, that is L Xᵀ = Bᵀ.
                let mut turned = left.transpose().to_owned();
                solve_lower_triangular_in_place(last.as_ref(), turned.as_mut(), Par::Seq);
                subtract_product(&mut pivot, turned.transpose());
                factor.below.push(turned.transpose().to_owned());
            }
            let n = pivot.nrows();
            let mut memory = MemBuffer::new(cholesky_in_place_scratch::<f64>(n, Par::Seq, Default::default()));
            let stack = MemStack::new(&mut memory);
            cholesky_in_place(pivot.as_mut(), Default::default(), Par::Seq, stack, Default::default()).ok()?;
            for j in 1..n {
                for i in 0..j {
                    pivot[(i, j)] = 0.0;
                }
            }
            factor.diagonal.push(pivot);
        }
        Some(factor)
    }

    /// Upper bounds of the absolute row sums of `N − L Lᵀ`, rounding included.
    fn residual_up(&self, diagonal: &[Mat<f64>], below: &[Mat<f64>], gamma: f64) -> Vec<Vec<f64>> {
        let mut rest_diagonal = Vec::with_capacity(diagonal.len());
        let mut rest_below = Vec::with_capacity(below.len());
        // |L|ᵀ 1, block column by block column.
        let mut columns = Vec::with_capacity(diagonal.len());
        for (index, block) in diagonal.iter().enumerate() {
            let mut rest = block.clone();
            if index > 0 {
                subtract_product(&mut rest, self.below[index - 1].as_ref());
            }
            subtract_product(&mut rest, self.diagonal[index].as_ref());
            rest_diagonal.push(rest);
            let (_, mut sums) = absolute_sums_up(self.diagonal[index].as_ref());
            if let (Some(block), Some(left)) = (below.get(index), self.below.get(index)) {
                let mut rest = block.clone();
                let transposed = self.diagonal[index].transpose();
                matmul(rest.as_mut(), Accum::Add, left.as_ref(), transposed, -1.0, Par::Seq);
                rest_below.push(rest);
                add_to(&mut sums, &absolute_sums_up(left.as_ref()).1);
            }
            columns.push(sums);
        }
        let mut sums = row_sums_up(&rest_diagonal, &rest_below);
        let mut sizes = row_sums_up(diagonal, below);
        for (index, size) in sizes.iter_mut().enumerate() {
            add_to(size, &times_up(self.diagonal[index].as_ref(), &columns[index]));
            if index > 0 {
                add_to(size, &times_up(self.below[index - 1].as_ref(), &columns[index - 1]));
            }
        }
        for (sum, size) in sums.iter_mut().zip(&sizes) {
            for (sum, size) in sum.iter_mut().zip(size) {
                *sum = add_up(*sum, add_up(mul_up(gamma, *size), UNDERFLOW));
            }
        }
        sums
    }
}

/// Room for what the products of one row lose to underflow: fewer than `1e9` terms of at most `5e-324`.
const UNDERFLOW: f64 = 1e-300;

/// Upper bounds of the entries of `|matrix| vector`, for a vector that is not negative.
pub(crate) fn times_up(matrix: MatRef<'_, f64>, vector: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; matrix.nrows()];
    for (j, factor) in vector.iter().enumerate() {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum += matrix[(i, j)].abs() * factor;
        }
    }
    let factor = add_up(1.0, mul_up(2.0, gamma_up(vector.len() + 2)));
    sums.iter_mut().for_each(|sum| *sum = mul_up(add_up(*sum, UNDERFLOW), factor));
    sums
}

/// `target ← target − X Xᵀ`, lower half.
fn subtract_product(target: &mut Mat<f64>, x: MatRef<'_, f64>) {
    matmul_triangular(
        target.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Add,
        x,
        BlockStructure::Rectangular,
        x.transpose(),
        BlockStructure::Rectangular,
        -1.0,
        Par::Seq,
    );
}

/// Upper bounds of the absolute row sums and column sums.
pub(crate) fn absolute_sums_up(matrix: MatRef<'_, f64>) -> (Vec<f64>, Vec<f64>) {
    let (mut rows, mut cols) = (vec![0.0; matrix.nrows()], vec![0.0; matrix.ncols()]);
    for j in 0..matrix.ncols() {
        for i in 0..matrix.nrows() {
            let value = matrix[(i, j)].abs();
            rows[i] += value;
            cols[j] += value;
        }
    }
    let widen = |sums: &mut Vec<f64>, terms: usize| {
        let factor = add_up(1.0, mul_up(2.0, gamma_up(terms + 1)));
        sums.iter_mut().for_each(|sum| *sum = mul_up(*sum, factor));
    };
    widen(&mut rows, matrix.ncols());
    widen(&mut cols, matrix.nrows());
    (rows, cols)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[[2, 1], [1, 2]] ⊗` chain of scalars: second differences, least eigenvalue `2 − 2 cos(π / (n + 1))`.
    fn second_differences(n: usize, diagonal: f64) -> BlockTridiagonal {
        BlockTridiagonal {
            diagonal: (0..n).map(|_| Mat::from_fn(1, 1, |_, _| diagonal)).collect(),
            below: (1..n).map(|_| Mat::from_fn(1, 1, |_, _| -1.0)).collect(),
        }
    }

    #[test]
    fn second_differences_and_their_least_eigenvalue() {
        let n = 50;
        #[expect(clippy::disallowed_methods, reason = "the second method of this test")]
        let least = 2.0 - 2.0 * (std::f64::consts::PI / (n as f64 + 1.0)).cos();
        for (diagonal, error, accepted) in [
            (2.0, 0.0, true),
            (2.0 - least * (1.0 - 1e-9), 0.0, true),
            (2.0 - least * (1.0 + 1e-9), 0.0, false),
            (2.0, least * (1.0 - 1e-9), true),
            (2.0, least * (1.0 + 1e-9), false),
            (f64::NAN, 0.0, false),
            (2.0, f64::NAN, false),
            (f64::INFINITY, 0.0, false),
        ] {
            let outcome = prove_semidefinite(&second_differences(n, diagonal), error);
            assert_eq!(outcome.is_ok(), accepted, "{diagonal} {error} {outcome:?}");
        }
    }

    #[test]
    fn an_entry_beside_the_diagonal_counts() {
        let mut matrix = second_differences(8, 2.0);
        matrix.below[6][(0, 0)] = -2.0;
        assert!(prove_semidefinite(&matrix, 0.0).is_err());
        let mut matrix = second_differences(8, 2.0);
        matrix.below[3][(0, 0)] = f64::NAN;
        assert!(prove_semidefinite(&matrix, 0.0).is_err());
    }
}
