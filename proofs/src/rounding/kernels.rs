//! The plain float64 arithmetic of a forward pass, as fast as one thread can.
//!
//! Nothing here bounds an error. What a caller needs for that is which sums are formed, and each function states it:
//!
//! - every entry of a product is a conventional inner product: each of its `n` terms is multiplied once and added once, in some
//!   order, with or without a fused multiply-add. No Strassen, Winograd or Fourier transform. So `|computed − exact| ≤ γ_n Σ|a||x|`
//!   up to underflow, with `n + 1` for `n` where a bias is part of the sum;
//! - a product with a margin of zeros adds exactly nothing, as weights are finite;
//! - `relu` keeps NaN, and so does everything else: a NaN or an infinity that enters is still visible in the result.
//!
//! The vector instructions are chosen at run time (AVX-512, AVX2 with FMA, or none), so the last bits may differ between
//! machines; the bounds above hold for each choice.

pub mod conv;
pub mod dense;
pub mod entrywise;
pub mod groupwise;
pub mod image;
pub mod norm;
pub mod pair;
pub mod pool;
pub mod resample;
pub mod residual;

use pulp::Simd;

/// `relu(sum) · factor`: zero where `sum < 0`, and NaN where `sum` is NaN.
#[inline(always)]
fn activate<S: Simd>(simd: S, sum: S::f64s, factor: S::f64s) -> S::f64s {
    let zero = simd.splat_f64s(0.0);
    // Not `max`, which drops NaN.
    let relu = simd.select_f64s(simd.less_than_f64s(sum, zero), zero, sum);
    simd.mul_f64s(relu, factor)
}

#[cfg(test)]
mod tests;
