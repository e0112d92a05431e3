//! How far the computed output of a layer can be from the exact one: constants per layer, norms per sample.
//!
//! All errors are Euclidean norms. If `‖x̂ − x‖ ≤ e` for the computed input `x̂` and the exact input `x`, then
//! `‖ŷ − h(x)‖ ≤ L e + α ‖x̂‖ + β + u ‖ŷ‖`: the layer's own Lipschitz bound carries the old error, the constants bound the new one.
//!
//! # The residual layer
//!
//! Legend: `A` weight or convolution, `B = T^{-1/2} A` on the active channels, `τ = 1/T`, `τ̂` the float64 factor, `|τ̂_i T_i − 1| ≤ δ`, `n₁` products in a
//! row of `A`, `n₂` in a column. Computed are `r̂ = fl(A x̂ + b)`, `ŝ = fl(τ̂ relu(r̂))`, `p̂ = fl(Aᵀ ŝ)`, `ŷ = fl(x̂ − 2 p̂)`.
//!
//! 1. `|r̂ − r| ≤ γ_{n₁+1} (|A||x̂| + |b|)`, so `D := ‖T^{-1/2}(r̂ − r)‖ ≤ γ_{n₁+1}(‖|B|‖ ‖x̂‖ + ‖T^{-1/2} b‖)`.
//! 2. relu is 1-Lipschitz an entry, so replacing `r` by `r̂` moves the output by at most `2 ‖B‖ D`.
//! 3. `ŝ_i = τ_i relu(r̂_i)(1 + ρ_i)`, `|ρ_i| ≤ ρ = (1 + δ)(1 + u) − 1`; this moves the output by at most `2 ‖B‖ ρ S`,
//!    `S := ‖B‖ ‖x̂‖ + ‖T^{-1/2} b‖ + D ≥ ‖T^{-1/2} relu(r̂)‖`.
//! 4. `|p̂ − Aᵀ ŝ| ≤ γ_{n₂} |A|ᵀ |ŝ|`, and `|A|ᵀ|ŝ| = |B|ᵀ |T^{1/2} ŝ|`; this moves the output by at most `2 γ_{n₂} ‖|B|‖ (1 + ρ) S`.
//! 5. The last subtraction adds `u |ŷ|`.
//!
//! # Other layers
//!
//! A dense layer `W x + b`: `|fl − exact| ≤ γ_{n+1} (|W||x̂| + |b|)`, hence `α = γ ‖|W|‖`, `β = γ ‖b‖`. An activation or a constant: at most one rounding an
//! entry, `u ‖ŷ‖`.
//!
//! `‖|B|‖ ≤ √(largest row sum · largest column sum)` (Schur), and at most the Frobenius norm where `A` is dense. For a convolution the sums
//! over the kernel bound those of the zero-padded operator. Underflow is covered by an absolute term.
//!
//! # Source
//!
//! Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., sections 3.1 to 3.5; the recursion is elementary.

#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::dense_formula::EnclosedWeight;
use super::directed::{add_up, div_up, gamma_up, max, min, mul_up, norm_up, sqrt_up, sub_down, sum_up};
use super::factor::Factor;
use super::head::HeadRows;
use crate::statement::{Kernel, Matrix, Shape};

/// Twice the smallest subnormal: a bound of what one rounded operation loses to underflow, with room.
pub(crate) const LOST: f64 = 1e-323;

/// The constants of one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ErrorBound {
    /// Lipschitz bound of the exact layer.
    pub(crate) lipschitz: f64,
    /// New error a unit of `‖x̂‖`.
    pub(crate) relative: f64,
    /// New error that does not depend on the input.
    pub(crate) absolute: f64,
    /// New error a unit of `‖ŷ‖`.
    pub(crate) output: f64,
    /// Largest norm of a row of `A`, and largest `|b_i|`: what a sum before the relu can reach.
    pub(crate) reach: (f64, f64),
}

/// Sums before a relu stay below this, so none overflows to `−∞`, which the relu would hide.
const REACH_MOST: f64 = 1e300;

impl ErrorBound {
    /// Average pooling with window `size`: at most `size²` additions and one division on non-negative weights.
    pub(crate) fn average_pool(lipschitz: f64, size: usize, input: Shape) -> Self {
        let relative = mul_up(gamma_up(size * size + 1), lipschitz);
        let absolute = mul_up(LOST, (input.len() + size * size) as f64);
        Self {
            lipschitz,
            relative,
            absolute,
            output: 0.0,
            reach: (0.0, 0.0),
        }
    }

    /// A dense layer `x ↦ W x + b`.
    pub(crate) fn affine(lipschitz: f64, weight: &Matrix, bias: &[f64]) -> Self {
        let (absolute_norm, longest) = absolute_norm_up(weight, &vec![1.0; weight.rows()]);
        let gamma = gamma_up(weight.cols() + 2);
        let lost = mul_up(LOST, mul_up((weight.cols() + 1) as f64, sqrt_up(weight.rows() as f64)));
        Self {
            lipschitz,
            relative: mul_up(gamma, absolute_norm),
            absolute: add_up(mul_up(gamma, norm_up(bias)), lost),
            output: 0.0,
            reach: (longest, bias.iter().fold(0.0, |most, b| max(most, b.abs()))),
        }
    }

    /// A dense layer whose exact weight lies within `radius` of `weight`: the old bound and `radius ‖x̂‖`.
    pub(crate) fn enclosed(lipschitz: f64, weight: &EnclosedWeight, bias: &[f64]) -> Self {
        let plain = Self::affine(lipschitz, weight.centre(), bias);
        Self {
            relative: add_up(plain.relative, weight.radius()),
            ..plain
        }
    }

    /// A map that treats every entry alone, with one rounding an entry if it `rounds`.
    pub(crate) fn entrywise(lipschitz: f64, rounds: bool, input: Shape) -> Self {
        let (output, absolute) = if rounds {
            (gamma_up(1), mul_up(LOST, sqrt_up(input.len() as f64)))
        } else {
            (0.0, 0.0)
        };
        Self {
            lipschitz,
            relative: 0.0,
            absolute,
            output,
            reach: (0.0, 0.0),
        }
    }

    /// A dense residual layer; `norm` bounds `‖B‖₂`.
    pub(crate) fn residual_dense(lipschitz: f64, norm: f64, weight: &Matrix, bias: &[f64], factor: &Factor) -> Self {
        let (rows, cols) = (weight.rows(), weight.cols());
        let roots = inverse_roots_up(factor);
        let (absolute_norm, longest) = absolute_norm_up(weight, &roots);
        Parts {
            norm,
            absolute_norm,
            roots,
            factor,
            bias,
            copies: 1,
            fan_in: cols,
            fan_out: rows,
            outputs: cols,
            longest,
        }
        .bound(lipschitz)
    }

    /// A convolutional residual layer on an image of shape `input`; `norm` bounds `‖B‖₂`.
    pub(crate) fn residual_conv(lipschitz: f64, norm: f64, kernel: &Kernel, bias: &[f64], factor: &Factor, input: Shape) -> Self {
        let area = kernel.size() * kernel.size();
        let roots = inverse_roots_up(factor);
        let mut columns = vec![0.0; kernel.channels()];
        let (mut largest_row, mut longest) = (0.0, 0.0);
        for (i, root) in roots.iter().enumerate() {
            longest = max(longest, norm_up(kernel.filter(i)));
            largest_row = max(largest_row, mul_up(*root, absolute_sum_up(kernel.filter(i))));
            for (column, plane) in columns.iter_mut().zip(kernel.filter(i).chunks_exact(area)) {
                *column = add_up(*column, mul_up(*root, absolute_sum_up(plane)));
            }
        }
        let column = columns.iter().fold(0.0, |a, b| max(a, *b));
        let absolute_norm = sqrt_up(mul_up(largest_row, column));
        let copies = input.len() / input.channels();
        let (fan_in, fan_out) = (kernel.channels() * area, kernel.inner() * area);
        Parts {
            norm,
            absolute_norm,
            roots,
            factor,
            bias,
            copies,
            fan_in,
            fan_out,
            outputs: input.len(),
            longest,
        }
        .bound(lipschitz)
    }

    /// The error of the output: from that of the input and the norms of the computed input and output.
    ///
    /// Infinite where a sum before the relu could overflow.
    pub(crate) fn carry_up(&self, error: f64, input_norm: f64, output_norm: f64) -> f64 {
        let (row, bias) = self.reach;
        let safe = add_up(mul_up(row, input_norm), bias) <= REACH_MOST;
        if !safe {
            return f64::INFINITY;
        }
        let old = mul_up(self.lipschitz, error);
        let new = add_up(mul_up(self.relative, input_norm), self.absolute);
        add_up(add_up(old, new), mul_up(self.output, output_norm))
    }
}

/// What the bound of a residual layer is made of.
struct Parts<'a> {
    norm: f64,
    absolute_norm: f64,
    roots: Vec<f64>,
    factor: &'a Factor,
    bias: &'a [f64],
    /// How often each channel occurs: the number of pixels, 1 for a dense layer.
    copies: usize,
    fan_in: usize,
    fan_out: usize,
    outputs: usize,
    longest: f64,
}

impl Parts<'_> {
    fn bound(self, lipschitz: f64) -> ErrorBound {
        let unit = gamma_up(1);
        let (first, second) = (gamma_up(self.fan_in + 2), gamma_up(self.fan_out + 2));
        let copies = self.copies as f64;
        let delta = self.factor.relative_error_up();
        let rho = add_up(add_up(delta, unit), mul_up(delta, unit));

        let active = self.roots.iter().zip(self.bias).zip(self.factor.active());
        let scaled: Vec<f64> = active
            .filter(|(_, on)| **on)
            .map(|((root, b), _)| mul_up(*root, b.abs()))
            .collect();
        let bias = mul_up(sqrt_up(copies), norm_up(&scaled));

        // D ≤ d1 ‖x̂‖ + d0 and S ≤ s1 ‖x̂‖ + s0.
        let (d1, d0) = (
            mul_up(first, self.absolute_norm),
            add_up(mul_up(first, bias), self.underflow_before()),
        );
        let (s1, s0) = (add_up(self.norm, d1), add_up(bias, d0));
        let on_d = mul_up(2.0, self.norm);
        let spread = mul_up(mul_up(second, self.absolute_norm), add_up(1.0, rho));
        let on_s = mul_up(2.0, add_up(mul_up(self.norm, rho), spread));
        ErrorBound {
            lipschitz,
            relative: add_up(mul_up(on_d, d1), mul_up(on_s, s1)),
            absolute: add_up(add_up(mul_up(on_d, d0), mul_up(on_s, s0)), self.underflow_after()),
            output: unit,
            reach: (self.longest, self.bias.iter().fold(0.0, |most, b| max(most, b.abs()))),
        }
    }

    /// Underflow in `r`: each of its `fan_in` products loses at most `LOST`; as a norm after the factor `T^{-1/2}`.
    fn underflow_before(&self) -> f64 {
        let squares = sum_up(self.roots.iter().map(|root| mul_up(*root, *root)));
        let spread = sqrt_up(mul_up(self.copies as f64, squares));
        mul_up(mul_up(LOST, self.fan_in as f64), spread)
    }

    /// Underflow in `s`, carried by `2 ‖B‖ ‖T^{1/2} δs‖`, in `p` and in the last subtraction.
    fn underflow_after(&self) -> f64 {
        let scales = self.factor.scale().iter().zip(self.factor.active());
        let total = sum_up(scales.filter(|(_, on)| **on).map(|(scale, _)| scale.hi()));
        let inner = mul_up(mul_up(2.0, self.norm), sqrt_up(mul_up(self.copies as f64, total)));
        let outer = mul_up(4.0, mul_up(self.fan_out as f64, sqrt_up(self.outputs as f64)));
        mul_up(LOST, add_up(inner, outer))
    }
}

/// Upper bounds of `T_i^{-1/2}`, 0 where the channel is off.
fn inverse_roots_up(factor: &Factor) -> Vec<f64> {
    let scales = factor.scale().iter().zip(factor.active());
    scales
        .map(|(scale, on)| if *on { sqrt_up(div_up(1.0, scale.lo())) } else { 0.0 })
        .collect()
}

/// Upper bounds of `‖|diag(scales) W|‖₂`, by Schur and by Frobenius, and of the largest norm of a row of `W`.
pub(crate) fn absolute_norm_up(weight: &Matrix, scales: &[f64]) -> (f64, f64) {
    let rows = weight.rows();
    let mut columns = vec![0.0; weight.cols()];
    let (mut largest_row, mut frobenius, mut longest) = (0.0, 0.0, 0.0);
    for (i, &scale) in scales.iter().enumerate() {
        let row = weight.row(i);
        let length = norm_up(row);
        longest = max(longest, length);
        let euclid = mul_up(scale, length);
        frobenius = add_up(frobenius, mul_up(euclid, euclid));
        largest_row = max(largest_row, mul_up(scale, absolute_sum_up(row)));
        add_scaled_up(&mut columns, row, scale);
    }
    // The column sums were added up to nearest: `rows` additions and one product each.
    let widened = div_up(columns.iter().fold(0.0, |a, b| max(a, *b)), sub_down(1.0, gamma_up(rows + 2)));
    let column = add_up(widened, mul_up(rows as f64, f64::MIN_POSITIVE));
    let schur = sqrt_up(mul_up(largest_row, column));
    (min(schur, sqrt_up(frobenius)), longest)
}

/// Upper bound of the sum of absolute values.
fn absolute_sum_up(values: &[f64]) -> f64 {
    let plain: f64 = values.iter().map(|value| value.abs()).sum();
    div_up(plain, sub_down(1.0, gamma_up(values.len() + 1)))
}

/// `sums ← sums + scale · |values|`, rounded to nearest.
fn add_scaled_up(sums: &mut [f64], values: &[f64], scale: f64) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += scale * value.abs();
    }
}

/// The error of the logits.
#[derive(Clone, Debug)]
pub(crate) struct HeadBound {
    /// New error of a logit, a unit of the norm of the features.
    relative: Vec<f64>,
    /// New error of a logit that does not depend on the features.
    absolute: Vec<f64>,
}

impl HeadBound {
    /// Logit `i` is `fl(Σ_k approx_ik φ̂_k) + b_i`: `n` products, then the bias.
    pub(crate) fn new(rows: &HeadRows, bias: &[f64], features: usize) -> Self {
        let gamma = gamma_up(features + 2);
        let mut bound = Self {
            relative: Vec::new(),
            absolute: Vec::new(),
        };
        for (class, b) in bias.iter().enumerate() {
            let size = add_up(rows.norm_up(class), rows.error_up(class));
            bound.relative.push(add_up(rows.error_up(class), mul_up(gamma, size)));
            bound
                .absolute
                .push(add_up(mul_up(gamma, b.abs()), mul_up(LOST, features as f64)));
        }
        bound
    }

    /// Upper bound of the new error of one logit.
    pub(crate) fn local_up(&self, class: usize, feature_norm: f64) -> f64 {
        add_up(mul_up(self.relative[class], feature_norm), self.absolute[class])
    }
}

/// Upper bound of the error of a rounded input from the largest error of an entry.
pub(crate) fn input_error_up(largest: f64, entries: usize) -> f64 {
    mul_up(largest, sqrt_up(entries as f64))
}
