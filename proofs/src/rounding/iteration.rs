//! Upper bounds of norms by repeated squaring of a Gram matrix.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::directed::{add_up, max, min, mul_up, norm_up, sqrt_up};
use super::gram::Gram;
use super::small_gram::scale_near_one;
use crate::error::CheckError;
use crate::statement::{Kernel, Matrix};

/// Upper bound of `‖A‖₂²` from its enclosed Gram matrix or self-correlation `G_1`, after `steps − 1` squarings.
///
/// Let `Ĝ_t` be the stored centre of level `t` and `δ_t` bound the norm of its error. Then `‖A‖² ≤ ‖Ĝ_1‖ + δ_1` and, as `Ĝ_{t+1}` is the computed
/// Gram matrix of the exact numbers `Ĝ_t` times a power of two `p`, `p² ‖Ĝ_t‖² ≤ ‖Ĝ_{t+1}‖ + δ_{t+1}`. The last norm is bounded by the Frobenius norm
/// (dense) and by `√(largest row sum · largest column sum)` of absolute values. NaN gives NaN, which no claim reaches.
///
/// # Errors
///
/// Those of [`Gram::dense`] and [`Gram::lattice`] for the squares.
pub(crate) fn squared_norm_up(gram: &Gram, steps: usize) -> Result<f64, CheckError> {
    if (0..gram.inner()).all(|i| gram.is_zero_row(i)) {
        return Ok(0.0);
    }
    // Per level: the power of two on it before it was squared.
    let mut powers = Vec::new();
    let mut errors = vec![error_up(gram)];
    let mut level: Option<Gram> = None;
    for _ in 1..steps {
        let (square, power) = squared(level.as_ref().unwrap_or(gram))?;
        powers.push(power);
        // Scaling down may lose bits of entries far below the largest, less than 1e-307 each of numbers that are at most near one.
        let lost = if power < 1.0 {
            mul_up(gram.approx_centre().len() as f64, 1e-290)
        } else {
            0.0
        };
        errors.push(add_up(error_up(&square), mul_up(lost, square.approx_centre().len() as f64)));
        level = Some(square);
    }
    let last = centre_norm_up(level.as_ref().unwrap_or(gram));
    let mut bound = last;
    for (power, error) in powers.iter().zip(&errors[1..]).rev() {
        // A division by a power of two: exact, or rounded up below the normal numbers by the factor.
        bound = mul_up(sqrt_up(add_up(bound, *error)), 1.0 / power);
    }
    Ok(add_up(bound, errors[0]))
}

/// The Gram matrix of the centre of `gram` times a power of two, and the power.
fn squared(gram: &Gram) -> Result<(Gram, f64), CheckError> {
    let (n, span) = (gram.inner(), gram.span());
    let power = scale_near_one(gram.approx_centre());
    let data: Vec<f64> = gram.approx_centre().iter().map(|value| value * power).collect();
    let square = if span == 1 {
        Gram::dense(&Matrix::new("gram", n, n, data)?)?
    } else {
        Gram::lattice(&Kernel::new("self-correlation", n, n, span, data)?)?
    };
    Ok((square, power))
}

/// Upper bound of the spectral norm of the error of a Gram matrix, or of the lattice operator of a self-correlation.
fn error_up(gram: &Gram) -> f64 {
    let n = gram.inner();
    if gram.span() == 1 {
        gram.scaled_error_up(&(0..n).collect::<Vec<_>>(), &vec![1.0; n])
    } else {
        let shifts = (gram.span() * gram.span()) as f64;
        let row = |i| (0..n).fold(0.0, |sum, j| add_up(sum, gram.entry_error_up(i, j)));
        mul_up(shifts, (0..n).map(row).fold(0.0, max))
    }
}

/// Upper bound of the norm of the centre as an exact matrix or lattice operator.
fn centre_norm_up(gram: &Gram) -> f64 {
    let n = gram.inner();
    let mut columns = vec![0.0; n];
    let mut row = 0.0;
    for i in 0..n {
        let mut sum = 0.0;
        for (j, column) in columns.iter_mut().enumerate() {
            let entry = gram.pair_sum_up(i, j);
            sum = add_up(sum, entry);
            *column = add_up(*column, entry);
        }
        row = max(row, sum);
    }
    let schur = sqrt_up(mul_up(row, columns.into_iter().fold(0.0, max)));
    if gram.span() == 1 {
        min(schur, norm_up(gram.approx_centre()))
    } else {
        schur
    }
}
