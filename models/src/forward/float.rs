//! The two float types that networks are evaluated in.

use lipcert_proofs::statement::{Decimal, Matrix};
use ndarray::{Array1, Array2, NdFloat};

/// `f32` or `f64`.
pub trait Float: NdFloat + sealed::Sealed {
    /// The float nearest to `value`.
    fn of(value: f64) -> Self;

    /// The float64 nearest to the number, and the float nearest to that, as PyTorch converts a number in Python code.
    #[must_use]
    fn of_decimal(value: Decimal) -> Self {
        let text = value.to_string();
        Self::of(text.parse().expect("a decimal is written as floats are"))
    }
}

impl Float for f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest is meant")]
    fn of(value: f64) -> Self {
        value as Self
    }
}

impl Float for f64 {
    fn of(value: f64) -> Self {
        value
    }
}

mod sealed {
    /// Keeps [`Float`](super::Float) to the two types.
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// The matrix in this arithmetic, rounded to it.
pub(super) fn matrix<T: Float>(source: &Matrix) -> Array2<T> {
    Array2::from_shape_fn((source.rows(), source.cols()), |(row, col)| T::of(source.row(row)[col]))
}

/// The vector in this arithmetic, rounded to it.
pub(super) fn vector<T: Float>(source: &[f64]) -> Array1<T> {
    source.iter().map(|value| T::of(*value)).collect()
}
