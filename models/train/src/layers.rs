//! The layers of an architecture as maps of tensors. One file a family.

mod activation;
mod block;
mod convolution;
mod formula;
mod head;
mod norm;
mod orthogonal;
mod resample;
mod residual;
mod sums;
mod unitwise;

use lipcert_models::architecture::{Plan, PlannedLayer, ScaleKind};
use lipcert_proofs::statement::Shape;
use tch::Tensor;

use crate::parameters::Parameters;

/// A layer on a device. A batch has its samples first.
pub(crate) trait Layer {
    /// Computes what depends on the parameters alone; comes before every pass after a change of them.
    ///
    /// Where gradients are on and a weight has one, the layer learns: they go through what is derived, and norms are followed from step to step. Else the
    /// layer is what its file says.
    fn derive(&mut self) {}

    /// The output for a batch.
    fn forward(&self, input: &Tensor) -> Tensor;

    /// Brings the gradients of what was derived to the parameters; comes once behind the passes of a step.
    fn pull(&mut self) {}

    /// The rows by which the logits depend on the features, `(classes, features)`, of a head; nothing of other layers.
    fn rows(&self) -> Option<Tensor> {
        None
    }

    /// What is kept from step to step beside the parameters. Whoever changes such a tensor in place changes the layer.
    fn state(&self) -> Vec<(&'static str, Tensor)> {
        Vec::new()
    }

    /// What a file gets in place of numbers that only training approaches; nothing if the layer is as its file says. `plan` is its own.
    fn seal(&self, _plan: Plan) -> Option<Sealed> {
        None
    }
}

/// A layer whose claim can be checked.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) plan: Plan,
    /// The tensors that are new or have other numbers, by field.
    pub(crate) changed: Vec<(&'static str, Tensor)>,
}

/// Whether a layer with this weight learns: it has a gradient, and gradients are on.
fn learning(weight: &Tensor) -> bool {
    // what a view says does not depend on whether gradients are on, what a product says does
    let entry = weight.flatten(0, -1).narrow(0, 0, 1);
    weight.requires_grad() && (entry * 1.0).requires_grad()
}

/// Whether a parameter moves in training.
///
/// `sigma`, `u`, `v` and `factor` are computed, and so a weight with a stored factor must stay as it is. A `q` that cancels has no gradient. Constants stay.
pub(crate) fn learnt(plan: Plan, field: &str) -> bool {
    match plan {
        Plan::Conv { scale, .. } | Plan::Dense { scale, .. } => match scale {
            ScaleKind::Stored => field == "bias",
            ScaleKind::RowSum => field != "q",
            ScaleKind::Weighted | ScaleKind::Norm | ScaleKind::Frobenius => true,
        },
        Plan::Elementwise { .. } => false,
        _ => !matches!(field, "sigma" | "u" | "v" | "factor"),
    }
}

/// The layer of a plan. `input` is the shape of its input.
pub(crate) fn build(layer: &PlannedLayer, parameters: &Parameters, input: Shape) -> Box<dyn Layer> {
    let name = layer.name.as_str();
    match layer.plan {
        Plan::PadChannels { channels } => Box::new(resample::PadChannels::new(input, channels)),
        Plan::AveragePool { size, divisor } => Box::new(resample::AveragePool { size, divisor }),
        Plan::Flatten => Box::new(resample::Flatten),
        Plan::Conv { scale, size, .. } => Box::new(residual::Conv::new(parameters, name, scale, size, input)),
        Plan::Dense { scale, .. } => Box::new(residual::Dense::new(parameters, name, scale)),
        Plan::Affine { .. } => Box::new(head::Affine::new(parameters, name)),
        Plan::Head { .. } => Box::new(head::Normalized::new(parameters, name)),
        Plan::Activation(activation) => Box::new(activation::Scalar(activation)),
        Plan::Elementwise { operation, .. } => Box::new(block::Constant::new(parameters, name, operation, input)),
        Plan::ChannelActivation { kind, .. } => Box::new(unitwise::Channelwise::new(parameters, name, kind)),
        Plan::Groupwise(map) => Box::new(unitwise::Groups(map)),
        Plan::Paired { map, .. } => Box::new(unitwise::Pairs::new(parameters, name, map)),
        Plan::Resample(map) => Box::new(resample::Moved(map)),
        Plan::Block { activation, .. } => Box::new(block::Block::new(parameters, name, activation)),
        Plan::Formula { formula, .. } => Box::new(formula::Dense::new(parameters, name, formula)),
        Plan::Sandwich { activation, .. } => Box::new(formula::Sandwich::new(parameters, name, activation)),
        Plan::Convolution {
            kernel, size, padding, ..
        } => Box::new(convolution::Convolution::new(parameters, name, kernel, size, padding, input)),
    }
}
