//! Factors and solutions in float64 for families that compute their weights. Nothing here is trusted: the claim speaks of the computed weights.

use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::prelude::Solve;
use faer::{Mat, MatRef, Par, Side};
use lipcert_proofs::CheckError;
use lipcert_proofs::statement::Matrix;

/// The matrix with the same entries.
pub(super) fn to_faer(matrix: &Matrix) -> Mat<f64> {
    MatRef::from_row_major_slice(matrix.data(), matrix.rows(), matrix.cols()).to_owned()
}

/// The matrix with the same entries.
///
/// # Errors
///
/// [`CheckError::NotFinite`] for NaN or an infinity.
pub(super) fn to_matrix(what: &'static str, matrix: MatRef<'_, f64>) -> Result<Matrix, CheckError> {
    let (rows, cols) = (matrix.nrows(), matrix.ncols());
    let entries = (0..rows * cols).map(|flat| matrix[(flat / cols, flat % cols)]);
    Matrix::new(what, rows, cols, entries.collect())
}

/// Refuses a matrix of another shape.
///
/// # Errors
///
/// [`CheckError::Shape`].
pub(super) fn require(what: &'static str, found: &Matrix, (rows, cols): (usize, usize)) -> Result<(), CheckError> {
    if (found.rows(), found.cols()) == (rows, cols) {
        Ok(())
    } else {
        Err(CheckError::Shape {
            what,
            expected: vec![rows, cols],
            found: vec![found.rows(), found.cols()],
        })
    }
}

/// The lower triangular `L` with `L Lᵀ = M`; the lower half is read.
///
/// # Errors
///
/// [`CheckError::NotSemidefinite`] if a pivot is not positive.
pub(super) fn cholesky(matrix: MatRef<'_, f64>) -> Result<Mat<f64>, CheckError> {
    match matrix.llt(Side::Lower) {
        Ok(factor) => Ok(factor.L().to_owned()),
        Err(_) => Err(CheckError::NotSemidefinite {
            shift: 0.0,
            residual: f64::NAN,
        }),
    }
}

/// `L⁻¹ B` for a lower triangular `L`.
pub(super) fn solve_lower(lower: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut solution = right.to_owned();
    solve_lower_triangular_in_place(lower, solution.as_mut(), Par::Seq);
    solution
}

/// `L⁻ᵀ B` for a lower triangular `L`.
pub(super) fn solve_lower_transposed(lower: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut solution = right.to_owned();
    faer::linalg::triangular_solve::solve_upper_triangular_in_place(lower.transpose(), solution.as_mut(), Par::Seq);
    solution
}

/// `M⁻¹ B` for a square `M`.
pub(super) fn solve(matrix: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    matrix.partial_piv_lu().solve(right)
}

/// `N = V R⁻¹` with `RᵀR = VᵀV + α I`, `R` upper triangular: in exact arithmetic `‖N‖ < 1`, and every such `N` is of this form.
///
/// # Errors
///
/// [`CheckError::NotPositive`] unless `α > 0`; [`CheckError::NotSemidefinite`] if `VᵀV` overflows.
pub(super) fn contraction(free: &Matrix, alpha: f64) -> Result<Mat<f64>, CheckError> {
    let positive = alpha > 0.0;
    if !positive {
        return Err(CheckError::NotPositive {
            what: "alpha",
            index: 0,
            value: alpha,
        });
    }
    let free = to_faer(free);
    let mut gram = free.transpose() * &free;
    for i in 0..gram.nrows() {
        gram[(i, i)] += alpha;
    }
    // N Rᵀᵀ = V, that is Rᵀ Nᵀ = Vᵀ with Rᵀ lower triangular.
    let lower = cholesky(gram.as_ref())?;
    Ok(solve_lower(lower.as_ref(), free.transpose()).transpose().to_owned())
}

/// `2 (I − N Nᵀ)`.
pub(super) fn twice_complement(contraction: MatRef<'_, f64>) -> Mat<f64> {
    let product = contraction * contraction.transpose();
    Mat::from_fn(product.nrows(), product.ncols(), |i, j| {
        2.0 * (if i == j { 1.0 } else { 0.0 } - product[(i, j)])
    })
}
