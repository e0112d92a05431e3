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
            Activation::LeakyRelu { slope } if slope <= 1.0 => input.maximum(&(input * slope)),
            Activation::LeakyRelu { slope } => input.minimum(&(input * slope)),
            Activation::Abs => input.abs(),
            Activation::Tanh => input.tanh(),
            Activation::Sigmoid => input.sigmoid(),
            // the usual function is linear from a threshold on, this one is not
            Activation::Softplus { beta } => (input * beta).logaddexp(&input.zeros_like()) / beta,
            Activation::Elu => input.elu(),
        }
    }
}
