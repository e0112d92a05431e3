//! How far the computed output of a convolution can be from the exact one; the recursion is that of [`super::error_bound`].
//!
//! # A convolution
//!
//! With `K̂` the stored kernel, `‖K − K̂‖ ≤ ε` and `n` products in a sum: `|fl − K̂ x̂ − b| ≤ γ_{n+1} (|K̂||x̂| + |b|)`, so the new error is at most
//! `(ε + γ ‖|K̂|‖) ‖x̂‖ + γ ‖b‖ √pixels`, `‖|K̂|‖ ≤ √(largest row sum · largest column sum)`.
//!
//! # The exponential
//!
//! Computed is `ẑ_n = x̂`, `ẑ_i = fl(x̂ + fl(K̂ ẑ_{i+1}) / i)` for `i = n − 1, …, 1`, then `fl(ẑ_1 + b)`. With `s ≥ ‖K‖`, `‖ẑ_i‖ ≤ Z_i ‖x̂‖` and
//! `‖ẑ_i − z_i‖ ≤ E_i ‖x̂‖`, where `z_i` is exact: `E_n = 0`, `Z_n = 1`,
//! `E_i = (s E_{i+1} + (ε + γ_{n+3} ‖|K̂|‖) Z_{i+1}) / i + γ_3 (1 + (s + ε + ‖|K̂|‖) Z_{i+1} / i)`, `Z_i = 1 + (s / i) P_{i+1} + E_i` with `P` the same recursion
//! without errors.
//!
//! # Mutation note
//!
//! `γ` left out of a convolution, or `E_1` replaced by 0: `forward_conv::the_rounding_of_a_long_sum_is_covered` went red.

use super::directed::{add_up, div_up, gamma_up, max, mul_up, norm_up, sqrt_up, sum_up};
use super::error_bound::{ErrorBound, LOST};
use super::kernel_ball::KernelBall;
use crate::statement::{Kernel, Shape};

impl ErrorBound {
    /// A convolution on an image of shape `input`.
    pub(crate) fn convolution(lipschitz: f64, ball: &KernelBall<'_>, bias: &[f64], input: Shape) -> Self {
        let sizes = Sizes::new(ball.approx(), input);
        let gamma = gamma_up(sizes.products + 2);
        Self {
            lipschitz,
            relative: add_up(ball.error_up(), mul_up(gamma, sizes.absolute_norm)),
            absolute: add_up(mul_up(gamma, sizes.bias_norm_up(bias)), sizes.lost_up()),
            output: 0.0,
            reach: (sizes.longest, largest(bias)),
        }
    }

    /// The exponential of a convolution with `‖K‖ ≤ norm`, `terms` terms.
    pub(crate) fn exponential(
        lipschitz: f64,
        norm: f64,
        ball: &KernelBall<'_>,
        terms: usize,
        bias: &[f64],
        input: Shape,
    ) -> Self {
        let sizes = Sizes::new(ball.approx(), input);
        let (gamma, few) = (gamma_up(sizes.products + 4), gamma_up(3));
        let fresh = add_up(ball.error_up(), mul_up(gamma, sizes.absolute_norm));
        let reach = add_up(add_up(norm, ball.error_up()), sizes.absolute_norm);
        // error, exact growth, computed growth, absolute error
        let (mut error, mut exact, mut computed, mut absolute) = (0.0, 1.0, 1.0, 0.0);
        let mut most = 1.0;
        for i in (1..terms).rev() {
            let share = |value| div_up(value, i as f64);
            let carried = share(add_up(mul_up(norm, error), mul_up(fresh, computed)));
            let rounded = mul_up(few, add_up(1.0, share(mul_up(reach, computed))));
            error = add_up(carried, rounded);
            absolute = add_up(share(mul_up(norm, absolute)), sizes.lost_up());
            exact = add_up(1.0, share(mul_up(norm, exact)));
            computed = add_up(exact, error);
            most = max(most, computed);
        }
        let bias_norm = sizes.bias_norm_up(bias);
        Self {
            lipschitz,
            relative: error,
            absolute: add_up(add_up(absolute, sizes.lost_up()), mul_up(gamma_up(1), bias_norm)),
            output: gamma_up(2),
            reach: (mul_up(sizes.longest, most), largest(bias)),
        }
    }
}

/// Sums and counts of one kernel.
struct Sizes {
    absolute_norm: f64,
    /// Largest norm of a filter.
    longest: f64,
    products: usize,
    pixels: usize,
    outputs: usize,
}

impl Sizes {
    fn new(kernel: &Kernel, input: Shape) -> Self {
        let area = kernel.size() * kernel.size();
        let mut columns = vec![0.0; kernel.channels()];
        let (mut row, mut longest) = (0.0, 0.0);
        for i in 0..kernel.inner() {
            let filter = kernel.filter(i);
            longest = max(longest, norm_up(filter));
            let mut sum = 0.0;
            for (column, plane) in columns.iter_mut().zip(filter.chunks_exact(area)) {
                let part = sum_up(plane.iter().map(|value| value.abs()));
                *column = add_up(*column, part);
                sum = add_up(sum, part);
            }
            row = max(row, sum);
        }
        let column = columns.into_iter().fold(0.0, max);
        let pixels = input.len() / input.channels();
        Self {
            absolute_norm: sqrt_up(mul_up(row, column)),
            longest,
            products: kernel.channels() * area,
            pixels,
            outputs: kernel.inner() * pixels,
        }
    }

    fn bias_norm_up(&self, bias: &[f64]) -> f64 {
        mul_up(sqrt_up(self.pixels as f64), norm_up(bias))
    }

    /// Underflow of one convolution.
    fn lost_up(&self) -> f64 {
        mul_up(LOST, mul_up((self.products + 3) as f64, sqrt_up(self.outputs as f64)))
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| max(most, value.abs()))
}
