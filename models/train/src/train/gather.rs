//! What each of several processes does of a step, and what they learn of each other.

use std::ops::Range;

use tch::{Device, Tensor};

use super::taken::Taken;
use super::{Training, share};
use crate::TrainError;

impl Training<'_> {
    /// The part of a batch that is this process's.
    pub(super) fn own(&self, batch: usize) -> Range<usize> {
        let (rank, size) = self.group.as_ref().map_or((0, 1), |group| (group.rank(), group.size()));
        batch * rank / size..batch * (rank + 1) / size
    }

    /// Adds up the gradients and the counts of all processes.
    pub(super) fn gather(&mut self, taken: &mut Taken) -> Result<(), TrainError> {
        let Some(group) = &self.group else { return Ok(()) };
        let gradients = self.network.parameters().iter().map(|(_, tensor)| tensor.grad());
        let mut all: Vec<Tensor> = gradients.filter(Tensor::defined).map(|gradient| gradient.detach()).collect();
        all.push(Tensor::from_slice(&taken.numbers()));
        group.sum(&mut all)?;
        let sums = Vec::try_from(all.pop().expect("it was pushed").to_device(Device::Cpu))?;
        *taken = Taken::from_numbers(&sums);
        // every process saw another part of the batch
        let mut kept = self.criterion.state();
        let mut means: Vec<Tensor> = kept.iter().map(|(_, tensor)| tensor * share(1, group.size())).collect();
        group.sum(&mut means)?;
        for ((_, tensor), mean) in kept.iter_mut().zip(means) {
            *tensor = mean;
        }
        self.criterion.restore(&kept)
    }
}
