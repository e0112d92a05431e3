//! Rule `circular-spectrum`: `K Kᵀ ⪯ λ I` for a circular convolution on one image, frequency by frequency.
//!
//! # Statement
//!
//! If the symbol `S(ω) = K̂(ω) K̂(ω)*` is at most `λ I` at all `ω ∈ (2π/height) ℤ × (2π/width) ℤ`, then `‖K‖₂² ≤ λ` for the circular convolution on an image of that
//! size. For other sizes, and for zero padding, it says nothing.
//!
//! # Proof
//!
//! The Fourier transform of the torus `height × width` is unitary and turns the convolution into multiplication by `K̂(ω)` at these frequencies; a kernel larger
//! than the image is folded by the same formula.
//!
//! # Source
//!
//! Sedghi, Gupta and Long, *The Singular Values of Convolutional Layers*, ICLR 2019, Theorem 6 (there by singular values, here by a factorisation of
//! `λ I − S(ω)` with a bounded residual).
//!
//! # Mutation note
//!
//! Zero padding accepted: `circular_spectrum::not_for_zero_padding` went red. Height and width exchanged: `circular_spectrum::singular_values_agree`.

use crate::error::{CheckError, limit_work};
use crate::rounding::gram::Gram;
use crate::rounding::spectral::prove_on_grid;
use crate::statement::Shape;

/// Checks the rule for every `T ≥ scale_down` on the active channels; `input` is an image.
///
/// # Errors
///
/// - [`CheckError::TooLarge`] for an image of more than 2²⁰ pixels.
/// - [`CheckError::TooMuchWork`] for too many channels at so many pixels.
/// - [`CheckError::NotSemidefinite`] at the first frequency that fails.
pub fn check(gram: &Gram, input: Shape, scale_down: &[f64], active: &[bool], lambda: f64) -> Result<(), CheckError> {
    const PIXELS_MOST: usize = 1 << 20;
    let (height, width) = match input {
        Shape::Image { height, width, .. } => (height, width),
        Shape::Flat(width) => (1, width),
    };
    if height.saturating_mul(width) > PIXELS_MOST {
        return Err(CheckError::TooLarge {
            what: "frequencies",
            entries: height as u128 * width as u128,
            most: PIXELS_MOST as u128,
        });
    }
    limit_work("circular-spectrum", height * width, [gram.inner(); 3])?;
    prove_on_grid(gram, scale_down, active, (height, width), lambda)
}
