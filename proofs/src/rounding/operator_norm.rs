//! The spectral norm of a matrix, from both sides.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};

use super::convolution_norm::convolution_norm;
use super::directed::{add_up, div_down, gamma_up, max, mul_down, mul_up, norm_up, sqrt_up, sub_down};
use super::gram::{Gram, shorter_side};
use super::head::norm_enclosed;
use super::interval::Interval;
use super::spectral::prove_dense;
use crate::error::CheckError;
use crate::statement::{Layer, Matrix, Scale, Shape};

/// How far above an approximate eigenvalue a proof is tried, one after the other, relative to it.
const MARGINS: [f64; 6] = [1e-13, 1e-12, 1e-11, 1e-9, 1e-6, 1e-3];

/// The longest shorter side for which an eigenvector is computed.
const SIDE_MOST: usize = 4096;

/// Encloses `‖W‖₂`; zero for zeros.
///
/// Both ends start from an approximate eigenvector `v` of `W Wᵀ` (or `Wᵀ W`, the smaller), which nobody has to trust: `‖Wᵀ v‖ / ‖v‖` bounds the norm from
/// below, and a [`prove_dense`] of `W Wᵀ ⪯ λ I` for a `λ` just above its eigenvalue from above. Where that fails the Frobenius norm is the upper end.
///
/// # Errors
///
/// [`CheckError::TooLarge`] and [`CheckError::NotFinite`] of [`Gram::dense`].
pub(crate) fn operator_norm(weight: &Matrix) -> Result<Interval, CheckError> {
    if weight.data().iter().all(|value| *value == 0.0) {
        return Ok(Interval::ZERO);
    }
    // w: (short, long), entries near one
    let (small, power) = shorter_side(weight)?;
    let (short, long) = (small.rows(), small.cols());
    if short > SIDE_MOST {
        return Err(CheckError::TooLarge {
            what: "operator norm",
            entries: (short as u128).pow(2),
            most: (SIDE_MOST as u128).pow(2),
        });
    }
    let gram = Gram::dense(&small)?;
    let frobenius = norm_up(small.data());
    let (mut low, mut high) = (0.0, frobenius);
    if let Some((value, vector)) = leading(&gram) {
        let mut image = vec![0.0; long];
        matmul(
            MatMut::from_column_major_slice_mut(&mut image, long, 1),
            Accum::Replace,
            MatRef::from_row_major_slice(small.data(), short, long).transpose(),
            MatRef::from_column_major_slice(&vector, short, 1),
            1.0,
            Par::Seq,
        );
        let length = norm_up(&vector);
        let lost = mul_up((long * (short + 1)) as f64, f64::MIN_POSITIVE);
        let error = add_up(mul_up(gamma_up(short + 2), mul_up(frobenius, length)), lost);
        low = max(0.0, div_down(sub_down(norm_enclosed(&image).lo(), error), length));
        let active: Vec<bool> = (0..short).map(|i| !gram.is_zero_row(i)).collect();
        let proved = MARGINS
            .iter()
            .map(|margin| value * (1.0 + margin))
            .find(|lambda| prove_dense(&gram, &vec![1.0; short], &active, *lambda).is_ok());
        if let Some(lambda) = proved {
            high = sqrt_up(lambda);
        }
    }
    // The power of two is at most 2^330 either way, so its reciprocal is exact.
    let back = 1.0 / power;
    Ok(Interval::between(mul_down(low, back), mul_up(high, back)))
}

/// Encloses the number of `T` of a residual layer with `T = ‖A‖² I`; nothing for another layer.
///
/// # Errors
///
/// Those of [`operator_norm`]; [`CheckError::RuleMismatch`] for the Frobenius norm of a convolution.
pub(crate) fn squared_norm(layer: &Layer, input: Shape) -> Result<Option<Interval>, CheckError> {
    match layer {
        Layer::ResidualDense {
            weight,
            scale: Scale::Norm,
            ..
        } => Ok(Some(operator_norm(weight)?.square())),
        Layer::ResidualDense {
            weight,
            scale: Scale::Frobenius,
            ..
        } => Ok(Some(norm_enclosed(weight.data()).square())),
        Layer::ResidualConv {
            kernel,
            scale: Scale::Norm,
            ..
        } => Ok(Some(convolution_norm(kernel, input)?.square())),
        _ => Ok(None),
    }
}

/// Approximations of the largest eigenvalue and of a vector of it; nothing if the routine fails.
fn leading(gram: &Gram) -> Option<(f64, Vec<f64>)> {
    let n = gram.inner();
    let mut values = Diag::<f64>::zeros(n);
    let mut vectors = Mat::<f64>::zeros(n, n);
    let scratch = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, Par::Seq, Default::default());
    self_adjoint_evd(
        MatRef::from_column_major_slice(gram.approx_centre(), n, n),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .ok()?;
    let value = values[n - 1];
    let vector: Vec<f64> = (0..n).map(|i| vectors[(i, n - 1)]).collect();
    let usable = value > 0.0 && value.is_finite() && vector.iter().all(|entry| entry.is_finite());
    usable.then_some((value, vector))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::DMatrix;
    use proptest::prelude::*;

    proptest! {
        /// Against singular values, whose rounding is far below 1e-12 of the norm; both ends are tight.
        #[test]
        fn both_ends_agree_with_singular_values(
            (rows, cols, data) in (1usize..7, 1usize..7).prop_flat_map(|(rows, cols)| (
                Just(rows), Just(cols), prop::collection::vec(prop_oneof![6 => -2.0..2.0f64, 1 => Just(0.0), 1 => -1e-6..1e-6f64], rows * cols),
            )),
            shift in -400i32..300,
        ) {
            let power = f64::from_bits(((1023 + i64::from(shift)) as u64) << 52);
            let scaled: Vec<f64> = data.iter().map(|value| value * power).collect();
            let norm = DMatrix::from_row_slice(rows, cols, &data).singular_values().max() * power;
            let found = operator_norm(&Matrix::new("w", rows, cols, scaled).expect("a matrix")).expect("a norm");
            prop_assert!(found.lo() <= norm * (1.0 + 1e-12) && norm * (1.0 - 1e-12) <= found.hi());
            prop_assert!(found.hi() - found.lo() <= 1e-10 * norm);
        }
    }

    #[test]
    fn repeated_and_zero_singular_values() {
        for data in [
            vec![3.0, 0.0, 0.0, 3.0],
            vec![3.0, 3.0, 0.0, 0.0],
            vec![0.0, 3.0, 0.0, 3.0],
            vec![0.0; 4],
        ] {
            let norm = DMatrix::from_row_slice(2, 2, &data).singular_values().max();
            let found = operator_norm(&Matrix::new("w", 2, 2, data).expect("a matrix")).expect("a norm");
            assert!(found.lo() <= norm && norm <= found.hi(), "{found:?} {norm}");
            assert!(found.hi() - found.lo() <= 1e-12 * norm, "{found:?} {norm}");
        }
    }
}
