//! What is added to the loss for the weights alone.

use lipcert_models::architecture::{KernelKind, Plan, PlannedLayer};
use lipcert_models::training::config::Regularizer;
use lipcert_proofs::statement::Activation;
use tch::Tensor;

use crate::{Network, TrainError, regularizer};

/// Rounds of the power method for the curvature of a head.
const ROUNDS: usize = 10;

/// The sum of the regularisers that depend on the weights alone, or nothing if there is none.
pub(super) fn of(network: &Network, weights: &Regularizer) -> Option<Tensor> {
    let layers = &network.architecture().layers;
    let parameters = network.parameters();
    let mut terms = Vec::new();
    if weights.orthogonality > 0.0 {
        let plain = layers.iter().filter(|layer| is_plain(layer.plan));
        let tensors: Vec<Tensor> = plain.map(|layer| parameters.get(&layer.name, "weight")).collect();
        terms.push(regularizer::orthogonality(&tensors) * weights.orthogonality);
    }
    if let Some((first, second, sharpness)) = head(layers).filter(|_| weights.curvature > 0.0) {
        let (first, second) = (parameters.get(first, "weight"), parameters.get(second, "weight"));
        terms.push(regularizer::curvature(&first, &second, sharpness, ROUNDS) * weights.curvature);
    }
    // nothing to do for weights that do not move
    terms.into_iter().filter(Tensor::requires_grad).reduce(|sum, term| sum + term)
}

/// Refuses a regulariser that has nothing to work on.
pub(super) fn require(network: &Network, weights: &Regularizer) -> Result<(), TrainError> {
    let layers = &network.architecture().layers;
    let refuse = |field, needs| Err(TrainError::Regularizer { field, needs });
    if weights.orthogonality > 0.0 && !layers.iter().any(|layer| is_plain(layer.plan)) {
        return refuse("regularizer.orthogonality", "a layer `dense` or `convolution`");
    }
    if weights.curvature > 0.0 && head(layers).is_none() {
        return refuse("regularizer.curvature", "the layers `dense`, `softplus`, `dense` at the end");
    }
    Ok(())
}

/// Whether a layer's weight is used as it is stored.
const fn is_plain(plan: Plan) -> bool {
    matches!(
        plan,
        Plan::Affine { .. }
            | Plan::Convolution {
                kernel: KernelKind::Plain,
                ..
            }
    )
}

/// The names of the layers of a head with one hidden softplus layer, and the softplus's sharpness.
fn head(layers: &[PlannedLayer]) -> Option<(&str, &str, f64)> {
    match layers {
        [.., first, activation, second] => match (first.plan, activation.plan, second.plan) {
            (Plan::Affine { .. }, Plan::Activation(Activation::Softplus { beta }), Plan::Affine { .. }) => {
                Some((&first.name, &second.name, beta))
            }
            _ => None,
        },
        _ => None,
    }
}
