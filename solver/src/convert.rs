//! Between the matrix types of faer and nalgebra.

use faer::{Mat, MatRef};
use nalgebra::DMatrix;

/// The same entries for nalgebra.
pub(crate) fn to_nalgebra(matrix: MatRef<'_, f64>) -> DMatrix<f64> {
    DMatrix::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)])
}

/// The same entries for faer.
pub(crate) fn to_faer(matrix: &DMatrix<f64>) -> Mat<f64> {
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)])
}
