//! Between the plain data of `lipcert-proofs`, the matrices of faer and those of nalgebra.

use faer::{Mat, MatRef, Par};
use lipcert_proofs::certificate;
use lipcert_proofs::rounding::gram::Gram;
use lipcert_proofs::statement::{self, Matrix, Output, ResidualBlock};
use nalgebra::DMatrix;

use crate::chain::{Chain, DualVectors, Slope};
use crate::error::SolveError;

/// A matrix, `(rows, cols)` as it is.
#[must_use]
pub fn matrix(source: &Matrix) -> Mat<f64> {
    MatRef::from_row_major_slice(source.data(), source.rows(), source.cols()).to_owned()
}

/// The float64 centres of an enclosed Gram matrix, `(inner, inner)`. A dense one: with lattice shifts only the first would be seen.
#[must_use]
pub fn gram(source: &Gram) -> MatRef<'_, f64> {
    MatRef::from_column_major_slice(source.approx_centre(), source.inner(), source.inner())
}

/// The rows of a matrix one after the other.
#[must_use]
pub fn row_major(source: MatRef<'_, f64>) -> Vec<f64> {
    let cols = source.ncols();
    (0..source.nrows() * cols)
        .map(|flat| source[(flat / cols, flat % cols)])
        .collect()
}

/// One thread, or as many as the pool of the caller has.
#[must_use]
pub fn threads(all: bool) -> Par {
    if all { Par::rayon(0) } else { Par::Seq }
}

/// The run of layers up to its output.
///
/// # Errors
///
/// [`SolveError::NotFinite`] if the difference of two rows of the head overflows.
pub fn chain(source: &statement::Chain<'_>) -> Result<Chain, SolveError> {
    let weights = source.weights().iter().map(|weight| matrix(weight));
    let slopes = source.slopes().iter().map(|&(lo, hi)| Slope { lo, hi });
    let head = source.head();
    let row = |value: &dyn Fn(usize) -> f64| Mat::from_fn(1, head.cols(), |_, j| value(j));
    let output = match source.output() {
        Output::All => matrix(head),
        Output::Features => Mat::identity(head.cols(), head.cols()),
        Output::Class(class) => row(&|j| head.row(class)[j]),
        Output::Pair(a, b) => row(&|j| head.row(a)[j] - head.row(b)[j]),
    };
    Chain::new(weights.collect(), slopes.collect(), output)
}

/// The hidden layers of a residual block with its output, and its path, written out where it is the identity.
///
/// # Errors
///
/// Those of [`Chain::new`].
pub fn residual_block(source: &ResidualBlock) -> Result<(Chain, Mat<f64>), SolveError> {
    let (lo, hi) = source.activation().slopes();
    let weights: Vec<Mat<f64>> = source.hidden().iter().map(|layer| matrix(&layer.weight)).collect();
    let slopes = vec![Slope { lo, hi }; weights.len()];
    let path = match source.path() {
        Some(path) => matrix(path),
        None => Mat::identity(source.outputs(), source.inputs()),
    };
    Ok((Chain::new(weights, slopes, matrix(source.output()))?, path))
}

/// The vectors as evidence: nine significant digits, since they are a hint and a certificate is a text.
#[must_use]
pub fn dual(source: &DualVectors) -> certificate::DualVectors {
    let rank = source.blocks.first().map_or(0, Mat::ncols);
    let mut blocks: Vec<Vec<f64>> = source.blocks.iter().map(|block| row_major(block.as_ref())).collect();
    let largest = blocks.iter().flatten().fold(0.0_f64, |most, value| most.max(value.abs()));
    if largest > 0.0 && largest.is_finite() {
        for value in blocks.iter_mut().flatten() {
            *value = short(*value / largest);
        }
    }
    certificate::DualVectors { rank, blocks }
}

/// The same entries for nalgebra.
pub(crate) fn to_nalgebra(matrix: MatRef<'_, f64>) -> DMatrix<f64> {
    DMatrix::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)])
}

/// The same entries for faer.
pub(crate) fn to_faer(matrix: &DMatrix<f64>) -> Mat<f64> {
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)])
}

/// The float next to the first nine significant digits of another.
fn short(value: f64) -> f64 {
    format!("{value:.8e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "copies")]
    fn rows_stay_rows() {
        let source = Matrix::new("weight", 2, 3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).expect("a matrix");
        let copy = matrix(&source);
        assert_eq!((copy.nrows(), copy.ncols(), copy[(1, 0)], copy[(0, 2)]), (2, 3, 4.0, 3.0));
        let dual = dual(&DualVectors {
            blocks: vec![copy, Mat::from_fn(1, 3, |_, j| 12.0 * (j + 1) as f64 / 3.0)],
        });
        assert_eq!(dual.rank, 3);
        assert_eq!(dual.blocks[1], [4.0 / 12.0, 8.0 / 12.0, 1.0].map(short));
        assert_eq!(dual.blocks[0][3], short(4.0 / 12.0));
    }
}
