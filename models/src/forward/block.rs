//! Residual blocks with a path of their own.

use lipcert_proofs::statement::{Activation, ResidualBlock};
use ndarray::{Array1, Array2};

use super::Float;
use super::activation::activate;
use super::float::{matrix, vector};

/// `A x + B σ(… σ(C_1 x + b_1) …) + c` with converted weights.
#[derive(Clone, Debug)]
pub(super) struct Block<T> {
    path: Option<Array2<T>>,
    hidden: Vec<(Array2<T>, Array1<T>)>,
    activation: Activation,
    output: Array2<T>,
    bias: Array1<T>,
}

impl<T: Float> Block<T> {
    pub(super) fn new(block: &ResidualBlock) -> Self {
        let hidden = block.hidden().iter();
        Self {
            path: block.path().map(matrix),
            hidden: hidden.map(|layer| (matrix(&layer.weight), vector(&layer.bias))).collect(),
            activation: block.activation(),
            output: matrix(block.output()),
            bias: vector(block.bias()),
        }
    }

    /// Takes samples `(N, n)` to `(N, m)`.
    pub(super) fn apply(&self, x: &Array2<T>) -> Array2<T> {
        let mut inner = x.clone();
        for (weight, bias) in &self.hidden {
            inner = inner.dot(&weight.t()) + bias;
            inner.mapv_inplace(|value| activate(self.activation, value));
        }
        let straight = match &self.path {
            Some(path) => x.dot(&path.t()),
            None => x.clone(),
        };
        straight + inner.dot(&self.output.t()) + &self.bias
    }
}
