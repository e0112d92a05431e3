//! Numbers that are not finite, and where they come from.

use tch::{Kind, Tensor};

use super::Training;
use crate::TrainError;

impl Training<'_> {
    /// Names the first layer whose output is not finite.
    pub(super) fn not_finite(&self, images: &Tensor) -> TrainError {
        let layers = &self.network.architecture().layers;
        let mut first = None;
        tch::no_grad(|| {
            let _ = self.network.pass(images, |index, output| {
                if first.is_none() && !finite(output) {
                    first = Some(layers[index].name.clone());
                }
            });
        });
        TrainError::NotFinite {
            step: self.position.step,
            what: if first.is_some() {
                "the output of layer"
            } else {
                "the loss behind layer"
            },
            name: first.unwrap_or_else(|| layers.last().map_or_else(String::new, |layer| layer.name.clone())),
        }
    }

    /// Names the first tensor whose gradient is not finite.
    pub(super) fn require_finite_gradients(&self) -> Result<(), TrainError> {
        self.require_finite("the gradient of", |tensor| {
            let gradient = tensor.grad();
            !gradient.defined() || finite(&gradient)
        })
    }

    /// Names the first tensor that is not finite itself.
    pub(super) fn require_finite_weights(&self) -> Result<(), TrainError> {
        self.require_finite("the tensor", finite)
    }

    pub(super) fn require_finite(&self, what: &'static str, good: impl Fn(&Tensor) -> bool) -> Result<(), TrainError> {
        match self.network.parameters().iter().find(|(_, tensor)| !good(tensor)) {
            None => Ok(()),
            Some((parameter, _)) => Err(TrainError::NotFinite {
                step: self.position.step,
                what,
                name: parameter.name.clone(),
            }),
        }
    }
}

fn finite(tensor: &Tensor) -> bool {
    tensor.detach().abs().sum(Kind::Float).double_value(&[]).is_finite()
}
