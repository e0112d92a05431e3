//! The spectral norms by which a skew kernel is divided.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use faer::{MatRef, Side};

use super::directed::{mul_up, sub_down};
use super::interval::Interval;
use super::small_gram::SmallGram;
use super::spectral::prove_dense;
use crate::error::CheckError;
use crate::statement::{Kernel, Matrix};

/// How far above an approximate eigenvalue a proof is tried, relative to it.
const MARGINS: [f64; 4] = [1e-13, 1e-12, 1e-10, 1e-8];

/// Encloses the least of the four norms of an exactly skew kernel, see [`SkewDivisor::LeastNorm`](crate::statement::SkewDivisor::LeastNorm).
///
/// For such a kernel the second matrix is the negative transpose of the first up to the order of rows and columns, and the fourth of the third; so two
/// norms are enclosed.
///
/// # Errors
///
/// Those of [`Gram::dense`](super::gram::Gram::dense), and [`CheckError::NotSemidefinite`] if a norm could not be bounded.
pub(super) fn least_norm(kernel: &Kernel) -> Result<Interval, CheckError> {
    let (channels, size) = (kernel.channels(), kernel.size());
    let side = channels * size;
    let mixed = (0..side * side).map(|flat| {
        let (row, col) = (flat / side, flat % side);
        let (out, y, channel, x) = (row / size, row % size, col / size, col % size);
        kernel.data()[((out * channels + channel) * size + y) * size + x]
    });
    let mixed = norm(&Matrix::new("kernel", side, side, mixed.collect())?)?;
    let plain = norm(&Matrix::new("kernel", channels, side * size, kernel.data().to_vec())?)?;
    Ok(mixed.min(plain))
}

/// Encloses the spectral norm of a matrix: below by the Rayleigh quotient of an approximate eigenvector, above by a Cholesky factor.
fn norm(matrix: &Matrix) -> Result<Interval, CheckError> {
    let SmallGram { gram, scale } = SmallGram::new(matrix)?;
    let n = gram.inner();
    let centre = MatRef::from_column_major_slice(gram.approx_centre(), n, n);
    // A hint: what does not converge is refused below.
    let Ok(eigen) = centre.self_adjoint_eigen(Side::Lower) else {
        return Err(CheckError::NotSemidefinite {
            shift: 0.0,
            residual: f64::NAN,
        });
    };
    let vector: Vec<f64> = eigen.U().col(n - 1).iter().copied().collect();
    let (mut product, mut squares) = (Interval::ZERO, Interval::ZERO);
    for (j, weight) in vector.iter().enumerate() {
        let mut row = Interval::ZERO;
        for (i, other) in vector.iter().enumerate() {
            row = row.add(Interval::point(centre[(i, j)]).mul(Interval::point(*other)));
        }
        product = product.add(row.mul(Interval::point(*weight)));
        squares = squares.add(Interval::point(*weight).square());
    }
    let (every, ones) = ((0..n).collect::<Vec<_>>(), vec![1.0; n]);
    let lower = sub_down(product.div(squares).lo(), gram.scaled_error_up(&every, &ones));

    let active: Vec<bool> = (0..n).map(|i| !gram.is_zero_row(i)).collect();
    let hint = eigen.S()[n - 1];
    let mut proved = Err(CheckError::NotSemidefinite {
        shift: 0.0,
        residual: f64::NAN,
    });
    for margin in MARGINS {
        let upper = mul_up(hint, 1.0 + margin) + f64::MIN_POSITIVE;
        proved = prove_dense(&gram, &ones, &active, upper).map(|()| upper);
        if proved.is_ok() {
            break;
        }
    }
    // The scale is the square of a power of two: the quotient is exact.
    let power = Interval::point(scale).sqrt();
    Ok(Interval::between(lower, proved?).sqrt().div(power))
}
