//! The few dense operations that the solver is made of.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::{Accum, Mat, MatRef, Par, Side};

/// `scale · lhs rhs`.
pub(crate) fn product(lhs: MatRef<'_, f64>, rhs: MatRef<'_, f64>, scale: f64, par: Par) -> Mat<f64> {
    let mut result = Mat::zeros(lhs.nrows(), rhs.ncols());
    matmul(result.as_mut(), Accum::Replace, lhs, rhs, scale, par);
    result
}

/// Adds `scale · lhs lhsᵀ` to the lower triangle of `target`.
pub(crate) fn add_gram(target: &mut Mat<f64>, lhs: MatRef<'_, f64>, scale: f64, par: Par) {
    triangular::matmul(
        target.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Add,
        lhs,
        BlockStructure::Rectangular,
        lhs.transpose(),
        BlockStructure::Rectangular,
        scale,
        par,
    );
}

/// Copies the lower triangle to the upper one.
pub(crate) fn mirror(matrix: &mut Mat<f64>) {
    for j in 0..matrix.ncols() {
        for i in j + 1..matrix.nrows() {
            matrix[(j, i)] = matrix[(i, j)];
        }
    }
}

/// Replaces the lower triangle by its Cholesky factor and returns the logarithm of the determinant; nothing unless positive definite.
pub(crate) fn cholesky(matrix: &mut Mat<f64>, par: Par) -> Option<f64> {
    let n = matrix.nrows();
    let mut memory = MemBuffer::new(cholesky_in_place_scratch::<f64>(n, par, Default::default()));
    cholesky_in_place(
        matrix.as_mut(),
        Default::default(),
        par,
        MemStack::new(&mut memory),
        Default::default(),
    )
    .ok()?;
    let log_det: f64 = (0..n).map(|k| 2.0 * matrix[(k, k)].ln()).sum();
    log_det.is_finite().then_some(log_det)
}

/// The inverse of a lower triangle, zero above it.
pub(crate) fn lower_inverse(lower: MatRef<'_, f64>, par: Par) -> Mat<f64> {
    let mut result = Mat::zeros(lower.nrows(), lower.ncols());
    invert_lower_triangular(result.as_mut(), lower, par);
    result
}

/// `L⁻ᵀ L⁻¹` from `L⁻¹`, both triangles.
pub(crate) fn inverse_from(lower_inverse: MatRef<'_, f64>, par: Par) -> Mat<f64> {
    let mut result = Mat::zeros(lower_inverse.nrows(), lower_inverse.ncols());
    triangular::matmul(
        result.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Replace,
        lower_inverse.transpose(),
        BlockStructure::TriangularUpper,
        lower_inverse,
        BlockStructure::TriangularLower,
        1.0,
        par,
    );
    mirror(&mut result);
    result
}

/// The largest eigenvalue of a symmetric matrix, of which the lower triangle is read; nothing if the routine fails.
pub(crate) fn largest_eigenvalue(matrix: MatRef<'_, f64>) -> Option<f64> {
    let all = matrix.self_adjoint_eigenvalues(Side::Lower).ok()?;
    all.last().copied().filter(|value| value.is_finite())
}
