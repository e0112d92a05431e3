//! Affine layers: the row-normalised head, and plain weights.

use tch::Tensor;

use super::Layer;
use crate::derived::Derived;
use crate::parameters::Parameters;

/// Norms below this are taken for it.
const SMALLEST_NORM: f64 = 1e-12;

/// `x ↦ W x + b` with the rows of `W` divided by their norms.
#[derive(Debug)]
pub(crate) struct Normalized {
    weight: Tensor,
    bias: Tensor,
    rows: Option<Derived>,
}

impl Normalized {
    pub(crate) fn new(parameters: &Parameters, name: &str) -> Self {
        Self {
            weight: parameters.get(name, "weight"),
            bias: parameters.get(name, "bias"),
            rows: None,
        }
    }
}

impl Layer for Normalized {
    fn derive(&mut self) {
        let norms = self
            .weight
            .norm_scalaropt_dim(2, [1].as_slice(), true)
            .clamp_min(SMALLEST_NORM);
        self.rows = Some(Derived::new(&self.weight / norms));
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        let rows = self.rows.as_ref().expect("derived before a pass");
        input.linear(rows.get(), Some(&self.bias))
    }

    fn pull(&mut self) {
        self.rows.take().expect("derived before a pass").pull();
    }

    fn rows(&self) -> Option<Tensor> {
        self.rows.as_ref().map(|rows| rows.get().detach())
    }
}

/// `x ↦ W x + b`.
#[derive(Debug)]
pub(crate) struct Affine {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Affine {
    pub(crate) fn new(parameters: &Parameters, name: &str) -> Self {
        Self {
            weight: parameters.get(name, "weight"),
            bias: parameters.find(name, "bias"),
        }
    }
}

impl Layer for Affine {
    fn forward(&self, input: &Tensor) -> Tensor {
        input.linear(&self.weight, self.bias.as_ref())
    }

    fn rows(&self) -> Option<Tensor> {
        Some(self.weight.detach())
    }
}
