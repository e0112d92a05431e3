//! What is written down of a training, and how it is taken up again.

use std::io::ErrorKind;
use std::path::Path;

use lipcert_models::training::folder::{Hold, TRAINER_HOLD, remove_results};
use lipcert_models::training::job::Event;
use tch::Tensor;

use super::gather::agree;
use super::start::digest;
use super::{MODEL, STATE, Training};
use crate::TrainError;
use crate::state::{self, Position};

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
            // whoever reads them must not find them beside another network
            remove_results(&self.task.folder).map_err(|(path, cause)| TrainError::File { path, cause })?;
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
    pub(super) fn take_up(&mut self, report: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
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
        self.require_known_model(report)
    }

    /// Makes sure that all processes go on from the same place. Which model is the best is the business of the one that writes it.
    pub(super) fn require_one_state(&self) -> Result<(), TrainError> {
        let Some(group) = &self.group else { return Ok(()) };
        let position = Position {
            best: None,
            best_certified: None,
            digest: None,
            ..self.position.clone()
        };
        agree(group, &digest(&state::bytes(&position, self.tensors())?), "state")
    }

    /// Forgets the best epoch if its model is not there any more: a training that was killed between two files goes on, and chooses anew.
    fn require_known_model(&mut self, report: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        if !self.writes() {
            return Ok(());
        }
        let path = self.path(MODEL);
        let found = match std::fs::read(&path) {
            Ok(bytes) => Some(digest(&bytes)),
            Err(cause) if cause.kind() == ErrorKind::NotFound => None,
            Err(cause) => return Err(TrainError::File { path, cause }),
        };
        if found == self.position.digest {
            return Ok(());
        }
        (self.position.best, self.position.best_certified, self.position.digest) = (None, None, None);
        report(Event::Warning {
            message: format!(
                "`{}` is not the model of the state beside it: the best epoch is chosen anew",
                path.display()
            ),
        });
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

/// Makes sure that no other program trains in a folder.
pub(super) fn hold(folder: &Path) -> Result<Hold, TrainError> {
    let path = folder.join(TRAINER_HOLD);
    match Hold::take(&path) {
        Ok(Some(hold)) => Ok(hold),
        Ok(None) => Err(TrainError::Busy { path }),
        Err(cause) => Err(TrainError::File { path, cause }),
    }
}

/// The tensors whose names have a prefix, without it.
fn below(tensors: &[(String, Tensor)], prefix: &str) -> Vec<(String, Tensor)> {
    let strip = |(name, tensor): &(String, Tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.shallow_clone()));
    tensors.iter().filter_map(strip).collect()
}
