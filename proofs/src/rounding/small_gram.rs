//! Gram matrices for operator norms: of the shorter side, scaled by a power of two.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::directed::max;
use super::gram::Gram;
use crate::error::CheckError;
use crate::statement::{Kernel, Matrix};

/// The Gram matrix of the shorter side of a weight or kernel, scaled by a power of two: for its operator norm.
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

    /// Encloses the self-correlation of a kernel, or of its adjoint if that has fewer output channels.
    ///
    /// # Errors
    ///
    /// Those of [`Gram::lattice`].
    pub(crate) fn lattice(kernel: &Kernel) -> Result<Self, CheckError> {
        let (data, power) = scaled_near_one(kernel.data());
        let (inner, channels) = (kernel.inner(), kernel.channels());
        let scaled = Kernel::new("kernel", inner, channels, kernel.size(), data)?;
        let small = if inner <= channels { scaled } else { scaled.adjoint() };
        Ok(Self {
            gram: Gram::lattice(&small)?,
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
    let (data, power) = scaled_near_one(weight.data());
    Ok((Matrix::new("weight", weight.rows(), weight.cols(), data)?, power))
}

/// The numbers times a power of two that brings the largest near one, and the power; unchanged where that would not be exact.
fn scaled_near_one(values: &[f64]) -> (Vec<f64>, f64) {
    let power = scale_near_one(values);
    let scaled: Vec<f64> = values.iter().map(|value| value * power).collect();
    let exact = scaled.iter().zip(values).all(|(a, b)| (a / power).to_bits() == b.to_bits());
    if exact { (scaled, power) } else { (values.to_vec(), 1.0) }
}

/// A power of two, at most `2^{330}` either way, that brings the largest magnitude near one; 1 for zeros.
pub(super) fn scale_near_one(values: &[f64]) -> f64 {
    const MOST: i64 = 330;
    let largest = values.iter().fold(0.0, |most, value| max(most, value.abs()));
    let exponent = ((largest.to_bits() >> 52) & 0x7ff) as i64 - 1023;
    if exponent == -1023 {
        return 1.0;
    }
    f64::from_bits(((1023 - exponent.clamp(-MOST, MOST)) as u64) << 52)
}
