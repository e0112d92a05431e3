//! The layers of an architecture as maps of tensors. One file a family.

mod activation;
mod head;
mod resample;
mod residual;

use lipcert_models::architecture::{Plan, PlannedLayer};
use lipcert_proofs::statement::Shape;
use tch::Tensor;

use crate::parameters::Parameters;

/// A layer on a device. A batch has its samples first.
pub(crate) trait Layer {
    /// Computes what depends on the parameters alone; comes before every pass after a change of them. Where gradients are on, they go through it.
    fn derive(&mut self) {}

    /// The output for a batch.
    fn forward(&self, input: &Tensor) -> Tensor;

    /// Brings the gradients of what was derived to the parameters; comes once behind the passes of a step.
    fn pull(&mut self) {}

    /// The rows by which the logits depend on the features, `(classes, features)`, of a head; nothing of other layers.
    fn rows(&self) -> Option<Tensor> {
        None
    }
}

/// The layer of a plan, or nothing if it cannot be trained. `input` is the shape of its input.
pub(crate) fn build(layer: &PlannedLayer, parameters: &Parameters, input: Shape) -> Option<Box<dyn Layer>> {
    let name = layer.name.as_str();
    Some(match layer.plan {
        Plan::PadChannels { channels } => Box::new(resample::PadChannels::new(input, channels)),
        Plan::AveragePool { size, divisor } => Box::new(resample::AveragePool { size, divisor }),
        Plan::Flatten => Box::new(resample::Flatten),
        Plan::Conv { scale, size, .. } => Box::new(residual::Conv::new(parameters, name, scale, size, input)?),
        Plan::Dense { scale, .. } => Box::new(residual::Dense::new(parameters, name, scale)?),
        Plan::Affine { .. } => Box::new(head::Affine::new(parameters, name)),
        Plan::Head { .. } => Box::new(head::Normalized::new(parameters, name)),
        Plan::Activation(activation) => Box::new(activation::Scalar(activation)),
        _ => return None,
    })
}
