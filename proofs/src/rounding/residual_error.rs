//! How far the computed output of a residual block can be from the exact one; see [`super::error_bound`] for what the constants mean.
//!
//! Legend: `m` the largest absolute slope, `ŵ_k` the computed values behind hidden layer `k`, `ŵ_0 = x̂`, `w_k` those of exact arithmetic from `x̂`, `n_k` their number. Every quantity
//! is bounded by `p ‖x̂‖ + q`; the pairs `(p, q)` are carried along.
//!
//! 1. `‖ŵ_k − w_k‖ ≤ m (‖C_k‖ ‖ŵ_{k−1} − w_{k−1}‖ + γ_{n_{k−1}+2} (‖|C_k|‖ ‖ŵ_{k−1}‖ + ‖b_k‖)) + u ‖ŵ_k‖`, the last part only where the activation multiplies.
//! 2. `‖ŵ_k‖ ≤ (1 + 2u) m (1 + γ) (‖|C_k|‖ ‖ŵ_{k−1}‖ + ‖b_k‖)`, since `|σ(v)| ≤ m |v|`.
//! 3. The output adds `‖B‖ ‖ŵ_h − w_h‖ + γ_{n_h+2} (‖|B|‖ ‖ŵ_h‖ + ‖c‖) + γ_{n+2} ‖|A|‖ ‖x̂‖ + u ‖ŷ‖`.
//!
//! `‖|·|‖` bounds `‖·‖` too and stands for it.

use super::directed::{add_up, gamma_up, max, mul_up, norm_up, sqrt_up};
use super::error_bound::{ErrorBound, LOST, absolute_norm_up};
use crate::statement::{Activation, Matrix, ResidualBlock};

/// The bound `p ‖x̂‖ + q`.
#[derive(Clone, Copy)]
struct Linear(f64, f64);

impl Linear {
    fn add(self, other: Self) -> Self {
        Self(add_up(self.0, other.0), add_up(self.1, other.1))
    }

    fn times(self, factor: f64) -> Self {
        Self(mul_up(self.0, factor), mul_up(self.1, factor))
    }
}

/// Whether the activation multiplies negative arguments: one rounding an entry. All of these keep 0; one that does not, or that rounds more, needs a term of its own above.
const fn multiplies(activation: Activation) -> bool {
    match activation {
        Activation::Relu | Activation::Abs => false,
        // The smooth ones never get here.
        Activation::LeakyRelu { .. } | Activation::Tanh | Activation::Sigmoid | Activation::Softplus { .. } | Activation::Elu => {
            true
        }
    }
}

/// `W v̂ + b` for vectors of norm at most `size`: a bound of its norm, and of its rounding.
fn product(weight: &Matrix, bias: &[f64], size: Linear) -> (Linear, Linear) {
    let (norm, _) = absolute_norm_up(weight, &vec![1.0; weight.rows()]);
    let exact = size.times(norm).add(Linear(0.0, norm_up(bias)));
    let lost = mul_up(LOST, mul_up((weight.cols() + 2) as f64, sqrt_up(weight.rows() as f64)));
    let rounding = exact.times(gamma_up(weight.cols() + 2)).add(Linear(0.0, lost));
    (exact, rounding)
}

/// The constants of a residual block; `lipschitz` bounds the exact map.
pub(crate) fn residual_block(lipschitz: f64, block: &ResidualBlock) -> ErrorBound {
    let unit = gamma_up(1);
    let (lo, hi) = block.activation().slopes();
    let slope = max(lo.abs(), hi.abs());
    let mut size = Linear(1.0, 0.0);
    let mut error = Linear(0.0, 0.0);
    let mut reach = (0.0, 0.0);
    for layer in block.hidden() {
        let (norm, longest) = absolute_norm_up(&layer.weight, &vec![1.0; layer.weight.rows()]);
        let largest = layer.bias.iter().fold(0.0, |most, b| max(most, b.abs()));
        let sum = size.times(longest).add(Linear(0.0, largest));
        reach = (max(reach.0, sum.0), max(reach.1, sum.1));
        let (exact, rounding) = product(&layer.weight, &layer.bias, size);
        let lost = Linear(0.0, mul_up(LOST, sqrt_up(layer.weight.rows() as f64)));
        error = error.times(norm).add(rounding).times(slope);
        size = exact.add(rounding).times(slope);
        if multiplies(block.activation()) {
            size = size.times(add_up(1.0, mul_up(2.0, unit))).add(lost);
            error = error.add(size.times(unit)).add(lost);
        }
    }
    let (norm, _) = absolute_norm_up(block.output(), &vec![1.0; block.outputs()]);
    let (_, rounding) = product(block.output(), block.bias(), size);
    let mut total = error.times(norm).add(rounding);
    if let Some(path) = block.path() {
        let (_, rounding) = product(path, &[], Linear(1.0, 0.0));
        total = total.add(rounding);
    }
    let lost = mul_up(LOST, sqrt_up(block.outputs() as f64));
    ErrorBound {
        lipschitz,
        relative: total.0,
        absolute: add_up(total.1, lost),
        output: unit,
        reach,
    }
}
