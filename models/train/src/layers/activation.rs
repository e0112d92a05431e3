//! Activations.

use lipcert_proofs::statement::Activation;
use tch::Tensor;

use super::Layer;

/// The same map at every entry.
#[derive(Debug)]
pub(crate) struct Scalar(pub(crate) Activation);

impl Layer for Scalar {
    fn forward(&self, input: &Tensor) -> Tensor {
        match self.0 {
            Activation::Relu => input.relu(),
            Activation::LeakyRelu { slope } => input.maximum(&(input * slope)),
            Activation::Abs => input.abs(),
            Activation::Tanh => input.tanh(),
            Activation::Sigmoid => input.sigmoid(),
            // the threshold of the usual function makes it linear from there on; `log(1 + exp)` in the stable form has none
            Activation::Softplus { beta } => (input.relu() * beta + (-(input * beta).abs()).exp().log1p()) / beta,
            Activation::Elu => input.elu(),
        }
    }
}
