//! Euclidean norms at the speed of memory.

use pulp::{Arch, Simd, WithSimd};

use crate::rounding::directed::{add_up, div_up, gamma_up, mul_up, sqrt_up, sub_down};

/// Upper bound of the Euclidean norm of `values`, the same contract as [`norm_up`](crate::rounding::directed::norm_up).
///
/// The sum of squares is formed in some order and each square is added with one or two roundings, so it is below the exact sum
/// by at most the factor `1 − γ_{n+1}` and `n` smallest normal numbers. NaN in gives NaN out.
#[must_use]
pub fn norm_up(values: &[f64]) -> f64 {
    norm_up_on(Arch::new(), values)
}

pub(super) fn norm_up_on(arch: Arch, values: &[f64]) -> f64 {
    let plain = arch.dispatch(SumOfSquares { values });
    let slack = sub_down(1.0, gamma_up(values.len() + 1));
    let underflow = mul_up(values.len() as f64, f64::MIN_POSITIVE);
    sqrt_up(add_up(div_up(plain, slack), underflow))
}

struct SumOfSquares<'a> {
    values: &'a [f64],
}

impl WithSimd for SumOfSquares<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        const CHAINS: usize = 8;
        let (vectors, rest) = S::as_simd_f64s(self.values);
        let rest = simd.partial_load_f64s(rest);
        let mut sums = [simd.splat_f64s(0.0); CHAINS];
        let (blocks, tail) = vectors.as_chunks::<CHAINS>();
        for block in blocks {
            for (sum, value) in sums.iter_mut().zip(block) {
                *sum = simd.mul_add_e_f64s(*value, *value, *sum);
            }
        }
        for (sum, value) in sums.iter_mut().zip(tail) {
            *sum = simd.mul_add_e_f64s(*value, *value, *sum);
        }
        let mut total = simd.mul_f64s(rest, rest);
        for sum in sums {
            total = simd.add_f64s(total, sum);
        }
        simd.reduce_sum_f64s(total)
    }
}
