//! The two float types that networks are evaluated in.

use lipcert_proofs::statement::Decimal;
use ndarray::NdFloat;

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
