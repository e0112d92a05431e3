//! What a training writes down as it goes: lines of JSON, and curves for TensorBoard.

use std::path::Path;

use lipcert_models::training::folder::LOG;
use lipcert_models::training::job::{Epoch, Event, Step};

use crate::TrainError;
use crate::log::Log;
use crate::tensorboard::Writer;

/// Both logs of a training.
#[derive(Debug)]
pub(super) struct Journal {
    log: Log,
    curves: Writer,
}

impl Journal {
    /// Begins, or goes on behind `done` steps.
    pub(super) fn new(folder: &Path, done: usize) -> Result<Self, TrainError> {
        let path = folder.join(LOG);
        Ok(if done == 0 {
            Self {
                log: Log::create(&path)?,
                curves: Writer::new(folder)?,
            }
        } else {
            Self {
                log: Log::resume(&path, done)?,
                curves: Writer::resume(folder, done + 1)?,
            }
        })
    }

    /// A step and the rate of its update.
    pub(super) fn step(&mut self, step: &Step, learning_rate: f64) -> Result<(), TrainError> {
        self.curves.scalar("step/loss", step.loss, step.step)?;
        self.curves.scalar("step/learning rate", learning_rate, step.step)?;
        self.log.write(step.step, &Event::Step(*step))
    }

    /// An epoch, which ended behind `done` steps.
    pub(super) fn epoch(&mut self, epoch: &Epoch, done: usize) -> Result<(), TrainError> {
        let mut numbers = vec![
            ("train/loss", epoch.loss),
            ("train/accuracy", epoch.accuracy),
            ("train/approximately certified", epoch.approx_certified),
        ];
        if let Some(found) = epoch.held_out {
            numbers.extend([
                ("held out/loss", found.loss),
                ("held out/accuracy", found.accuracy),
                ("held out/approximately certified", found.approx_certified),
            ]);
        }
        for (tag, value) in numbers {
            self.curves.scalar(tag, value, done)?;
        }
        self.log.write(done, &Event::Epoch(*epoch))?;
        self.flush()
    }

    /// Brings everything to the disk.
    pub(super) fn flush(&mut self) -> Result<(), TrainError> {
        self.curves.flush()?;
        self.log.flush()
    }
}
