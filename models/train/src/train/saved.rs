//! What is written down of a training, and how it is taken up again.

use tch::Tensor;

use super::start::digest;
use super::{MODEL, STATE, Training};
use crate::{TrainError, state};

/// What the names in the state begin with.
const NETWORK: &str = "network.";
const LAYERS: &str = "layers.";
const OPTIMIZER: &str = "optimizer.";
const LOSS: &str = "loss.";

impl Training<'_> {
    /// Writes the network as it is now; nothing in a process that writes no files.
    pub(super) fn write_model(&mut self) -> Result<(), TrainError> {
        if self.writes() {
            let bytes = self.network.seal()?.file()?;
            self.position.digest = Some(digest(&bytes));
            state::replace(&self.path(MODEL), &bytes)?;
        }
        Ok(())
    }

    /// A training that stops leaves a model: that of the best epoch, or the network as it is if no epoch was the best yet.
    pub(super) fn write_best_so_far(&mut self) -> Result<(), TrainError> {
        if self.position.best.is_some() {
            return Ok(());
        }
        self.require_finite_weights()?;
        self.write_model()
    }

    /// Writes the state, from which a training can go on; nothing in a process that writes no files.
    pub(super) fn save(&mut self) -> Result<(), TrainError> {
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        journal.flush()?;
        state::write(&self.path(STATE), &self.position, self.tensors())
    }

    /// Goes on from the state in the folder.
    pub(super) fn take_up(&mut self) -> Result<(), TrainError> {
        let path = self.path(STATE);
        let (position, saved) = state::read(&path)?;
        if let Some(other) = position.identity.other(&self.position.identity) {
            return Err(TrainError::OtherState { path, other });
        }
        let parameters = self.network.parameters().iter();
        let parameters = parameters.map(|(parameter, tensor)| (format!("{NETWORK}{}", parameter.name), tensor.shallow_clone()));
        let kept = self.network.state().into_iter();
        for (name, mut target) in parameters.chain(kept.map(|(name, tensor)| (format!("{LAYERS}{name}"), tensor))) {
            match saved.iter().find(|(found, _)| *found == name) {
                Some((_, numbers)) if numbers.size() == target.size() => tch::no_grad(|| target.copy_(numbers)),
                _ => return Err(TrainError::State { name }),
            }
        }
        self.optimizer.restore(&below(&saved, OPTIMIZER))?;
        self.criterion.restore(&below(&saved, LOSS))?;
        self.position = position;
        Ok(())
    }

    /// Everything that changes but the position.
    fn tensors(&self) -> Vec<(String, Tensor)> {
        let network = self.network.parameters().iter();
        let mut all: Vec<(String, Tensor)> = network
            .map(|(parameter, tensor)| (format!("{NETWORK}{}", parameter.name), tensor.shallow_clone()))
            .collect();
        let others = [
            (LAYERS, self.network.state()),
            (OPTIMIZER, self.optimizer.state()),
            (LOSS, self.criterion.state()),
        ];
        for (prefix, tensors) in others {
            all.extend(tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
        }
        all
    }
}

/// The tensors whose names have a prefix, without it.
fn below(tensors: &[(String, Tensor)], prefix: &str) -> Vec<(String, Tensor)> {
    let strip = |(name, tensor): &(String, Tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.shallow_clone()));
    tensors.iter().filter_map(strip).collect()
}
