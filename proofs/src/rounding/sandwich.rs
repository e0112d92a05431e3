//! The two weights of a sandwich layer, enclosed, and its evaluation.

use super::dense_formula::{EnclosedWeight, cayley};
use super::directed::{add_up, gamma_up, max, mul_up, norm_up, sqrt_up};
use super::error_bound::{ErrorBound, LOST, absolute_norm_up};
use super::interval::Interval;
use super::kernels::dense::affine;
use super::kernels::entrywise::activate;
use crate::error::CheckError;
use crate::statement::{Activation, Sandwich};

/// `√2 Ψ⁻¹ B`, `(q, p)`, and `√2 Aᵀ Ψ`, `(q, q)`.
#[derive(Clone, Debug, PartialEq)]
pub struct EnclosedSandwich {
    first: EnclosedWeight,
    second: EnclosedWeight,
    zero: Vec<f64>,
}

impl EnclosedSandwich {
    /// Encloses the weights.
    ///
    /// # Errors
    ///
    /// Those of [`EnclosedWeight::new`] for the Cayley map.
    pub fn new(layer: &Sandwich) -> Result<Self, CheckError> {
        let map = cayley(&layer.weight, layer.alpha)?.transpose();
        let q = layer.outputs();
        let root = Interval::integer(2).sqrt();
        let (mut up, mut down) = (Vec::with_capacity(q), Vec::with_capacity(q));
        for psi in layer.psi.iter().map(|psi| Interval::point(*psi)) {
            up.push(root.mul(psi.exp()));
            down.push(root.mul(psi.neg().exp()));
        }
        // Rows of the transposed map are columns of [A B]; its columns are scaled.
        let second = map.row_range(0, q).scale_columns(&up);
        let first = map.row_range(q, map.rows()).scale_columns(&down).transpose();
        Ok(Self {
            first: EnclosedWeight::of(&first, first.norm())?,
            second: EnclosedWeight::of(&second, second.norm())?,
            zero: vec![0.0; q],
        })
    }

    /// Writes the layer's output for each sample of `batch` to `outputs`.
    pub(crate) fn apply(&self, layer: &Sandwich, batch: &[f64], outputs: &mut Vec<f64>) {
        let (q, p) = (self.first.centre().rows(), self.first.centre().cols());
        let mut inner = vec![0.0; batch.len() / p * q];
        affine(self.first.centre(), &layer.bias, batch, &mut inner);
        activate(layer.activation, &mut inner);
        outputs.clear();
        outputs.resize(inner.len(), 0.0);
        affine(self.second.centre(), &self.zero, &inner, outputs);
    }

    /// The error of [`Self::apply`].
    ///
    /// With `W₁`, `W₂` the exact weights, `r = W₁ x̂ + b` and `‖σ(r)‖ ≤ ‖r‖` because `σ(0) = 0`:
    ///
    /// 1. `D := ‖r̂ − r‖ ≤ (γ_{p+2} ‖|Ŵ₁|‖ + ρ₁) ‖x̂‖ + γ_{p+2} ‖b‖`, and `‖r̂‖ ≤ S := ‖W₁‖ ‖x̂‖ + ‖b‖ + D`;
    /// 2. the activation is 1-Lipschitz an entry and rounds once: its output is off by `D + uS`, its norm at most `(1 + u) S`;
    /// 3. the second product adds `(γ_{q+2} ‖|Ŵ₂|‖ + ρ₂)(1 + u) S` to `‖W₂‖ (D + uS)`.
    pub(crate) fn error_bound(&self, layer: &Sandwich, lipschitz: f64) -> ErrorBound {
        let (q, p) = (self.first.centre().rows(), self.first.centre().cols());
        let ones = vec![1.0; q];
        let (first_absolute, longest) = absolute_norm_up(self.first.centre(), &ones);
        let (second_absolute, _) = absolute_norm_up(self.second.centre(), &ones);
        let unit = if layer.activation == Activation::Relu {
            0.0
        } else {
            gamma_up(1)
        };
        let (one, two) = (gamma_up(p + 2), gamma_up(q + 2));
        let root = sqrt_up(q as f64);
        let lost = |terms: usize| mul_up(LOST, mul_up((terms + 2) as f64, root));
        // D ≤ d1 ‖x̂‖ + d0 and S ≤ s1 ‖x̂‖ + s0.
        let bias = norm_up(&layer.bias);
        let d1 = add_up(mul_up(one, first_absolute), self.first.radius());
        let d0 = add_up(mul_up(one, bias), lost(p));
        let (s1, s0) = (add_up(self.first.reach(), d1), add_up(bias, d0));
        let second = mul_up(add_up(mul_up(two, second_absolute), self.second.radius()), add_up(1.0, unit));
        let total = |d: f64, s: f64| {
            let carried = mul_up(self.second.reach(), add_up(d, mul_up(unit, s)));
            add_up(carried, mul_up(second, s))
        };
        ErrorBound {
            lipschitz,
            relative: total(d1, s1),
            absolute: add_up(total(d0, s0), add_up(mul_up(self.second.reach(), lost(1)), lost(q))),
            output: 0.0,
            reach: (longest, layer.bias.iter().fold(0.0, |most, b| max(most, b.abs()))),
        }
    }
}
