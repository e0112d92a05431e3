//! What the program that trains says on its way.

use lipcert_models::training::job::{Epoch, Event};

use crate::jobs::Progress;

/// What the other program has said so far.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) device: String,
    pub(super) parameters: usize,
    pub(super) moving: usize,
    pub(super) epochs: Vec<Epoch>,
    done: usize,
}

impl Heard {
    pub(super) fn event(&mut self, event: Event, progress: &dyn Progress) {
        match event {
            Event::Started {
                device,
                parameters,
                moving,
                steps,
                done,
                samples,
            } => {
                progress.begin(&format!("training on {device}"), steps);
                progress.note(&format!(
                    "training {moving} of {parameters} parameters on {samples} samples, {device}"
                ));
                progress.advance(done);
                (self.device, self.parameters, self.moving, self.done) = (device, parameters, moving, done);
            }
            Event::Step(step) => {
                progress.advance(step.step.saturating_sub(self.done));
                self.done = self.done.max(step.step);
                progress.note(&format!(
                    "epoch {} · loss {:.4} · accuracy {:.1} % · approx. certified {:.1} % · {:.0} images/s",
                    step.epoch.saturating_add(1),
                    step.loss,
                    100.0 * step.accuracy,
                    100.0 * step.approx_certified,
                    step.rate
                ));
            }
            Event::Epoch(epoch) => {
                progress.remark(&epoch_words(&epoch));
                self.epochs.push(epoch);
            }
            Event::Warning { message } => progress.warn(&message),
            Event::Attack(_) | Event::Doctor(_) | Event::Finished { .. } | Event::Failed { .. } => {}
        }
    }
}

/// An epoch on one line.
fn epoch_words(epoch: &Epoch) -> String {
    let mut words = format!(
        "epoch {}: loss {:.4}, accuracy {:.2} %, approx. certified {:.2} %",
        epoch.epoch.saturating_add(1),
        epoch.loss,
        100.0 * epoch.accuracy,
        100.0 * epoch.approx_certified
    );
    if let Some(held) = &epoch.held_out {
        words += &format!(
            "; held out: loss {:.4}, accuracy {:.2} %, approx. certified {:.2} %",
            held.loss,
            100.0 * held.accuracy,
            100.0 * held.approx_certified
        );
    }
    words
}
