//! What each of several processes does of a step, and what they learn of each other.

use std::ops::Range;
use std::time::Duration;

use lipcert_models::training::job::{self, Event};
use lipcert_models::training::place::Place;
use tch::{Device, Kind, Tensor};

use super::taken::Taken;
use super::{Training, share, start};
use crate::distributed::Group;
use crate::{Network, TrainError};

/// After how long whoever waits for the others is told so.
const PATIENCE: Duration = Duration::from_secs(5);

/// Meets the other processes, if there are any.
pub(super) fn meet(report: &mut dyn FnMut(Event), stop: &dyn Fn() -> bool) -> Result<Option<Group>, TrainError> {
    let mut told = false;
    Group::from_environment(&mut |place, waited| {
        if !told && waited > PATIENCE {
            told = true;
            let Place {
                rank, size, host, port, ..
            } = place;
            report(Event::Warning {
                message: format!("process {rank} of {size} waits for the others at {host}:{port}"),
            });
        }
        !stop()
    })
}

/// Makes sure that all processes train the same network on the same samples, wherever these lie on each machine; the numbers to start from are those of
/// process 0.
pub(super) fn compare(group: &Group, task: &job::Train, network: &Network, data: &str) -> Result<(), TrainError> {
    let config = format!("{}{}", start::config_digest(&task.config), u8::from(task.resume));
    let network = start::digest(network.architecture().declaration().as_bytes());
    agree(group, &config, "configuration")?;
    agree(group, data, "data set")?;
    agree(group, &network, "network")
}

/// Makes sure that a digest is the same in all processes.
pub(super) fn agree(group: &Group, digest: &str, other: &'static str) -> Result<(), TrainError> {
    let own = Tensor::from_slice(digest.as_bytes()).to_kind(Kind::Int64);
    let mut first = [own.copy()];
    group.broadcast(&mut first, 0)?;
    // all of them end, also those that agree
    let mut differ = [Tensor::from_slice(&[i64::from(first[0] != own)])];
    group.sum(&mut differ)?;
    if differ[0].int64_value(&[0]) > 0 {
        return Err(TrainError::Others {
            rank: group.rank(),
            other,
        });
    }
    Ok(())
}

impl Training<'_> {
    /// Whether it holds in any process.
    pub(super) fn any(&self, here: bool) -> Result<bool, TrainError> {
        let Some(group) = &self.group else { return Ok(here) };
        let mut count = [Tensor::from_slice(&[i64::from(here)])];
        group.sum(&mut count)?;
        Ok(count[0].int64_value(&[0]) > 0)
    }

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
