//! Scalar activations.

use lipcert_proofs::statement::Activation;

use super::Float;

/// The activation of one number; NaN stays NaN.
pub(super) fn activate<T: Float>(activation: Activation, value: T) -> T {
    let (zero, one) = (T::zero(), T::one());
    let negative = value < zero;
    match activation {
        Activation::Relu if negative => zero,
        Activation::LeakyRelu { slope } if negative => T::of(slope) * value,
        Activation::Abs if negative => -value,
        Activation::Elu if negative => value.exp_m1(),
        Activation::Relu | Activation::LeakyRelu { .. } | Activation::Abs | Activation::Elu => value,
        Activation::Tanh => value.tanh(),
        Activation::Sigmoid if negative => value.exp() / (one + value.exp()),
        Activation::Sigmoid => one / (one + (-value).exp()),
        Activation::Softplus { beta } => {
            let beta = T::of(beta);
            let rectified = if negative { zero } else { value };
            rectified + (-(beta * value).abs()).exp().ln_1p() / beta
        }
    }
}
