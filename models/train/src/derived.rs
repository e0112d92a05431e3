//! Tensors that are computed from parameters once a step and used many times.

use tch::Tensor;

/// A tensor with a gradient of its own, and the graph by which it comes from the parameters.
///
/// The passes of a step, of which there may be several, gather their gradient in the tensor; one pass through the graph brings it to the parameters.
#[derive(Debug)]
pub struct Derived {
    value: Tensor,
    leaf: Tensor,
}

impl Derived {
    /// Cuts the graph behind a tensor; nothing is cut where no gradient is asked for.
    #[must_use]
    pub fn new(value: Tensor) -> Self {
        let leaf = if value.requires_grad() {
            value.detach().set_requires_grad(true)
        } else {
            value.shallow_clone()
        };
        Self { value, leaf }
    }

    /// The tensor, to be computed with.
    pub const fn get(&self) -> &Tensor {
        &self.leaf
    }

    /// The gradient so far, if there is any.
    #[must_use]
    pub fn gradient(&self) -> Option<Tensor> {
        if !self.leaf.requires_grad() {
            return None;
        }
        let gradient = self.leaf.grad();
        gradient.defined().then_some(gradient)
    }

    /// The number whose gradient by the parameters is that of the passes, if there is any.
    #[must_use]
    pub fn pairing(&self) -> Option<Tensor> {
        let gradient = self.gradient()?;
        Some((&self.value * gradient).sum(None::<tch::Kind>))
    }

    /// Brings the gradient to the parameters; the graph is used up.
    pub fn pull(&self) {
        if let Some(pairing) = self.pairing() {
            pairing.backward();
        }
    }
}
