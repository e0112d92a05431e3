//! The jobs: files in, serialisable results out, no printing.

pub mod attack;
pub mod certify;
pub mod check;
pub mod demo;
pub mod doctor;
pub mod explore;
pub mod inspect;
mod load;
mod lower;
mod multipliers;
mod prove;
pub mod report;
mod residual;
pub mod solve;
pub mod train;
pub mod trainer;
pub mod verify;

use std::path::PathBuf;

use lipcert_proofs::statement::Shape;

/// How to read a model file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelOptions {
    /// A TOML file that declares the architecture; if absent, it is found from names and shapes.
    pub architecture: Option<PathBuf>,
    /// Input shape, `[channels, height, width]`; if absent, that of the data or of the file.
    pub input: Option<Shape>,
    /// What is done to the raw input, as typed: `cifar10`, `mnist`, `none` or `mean=…;std=…`; if absent, what the file declares, or none.
    pub preprocess: Option<String>,
}

/// Somebody who wants to know how far a job is. A job works the same whether or not anybody looks.
pub trait Progress: Sync {
    /// A task of `steps` steps begins; an unfinished earlier one ends.
    fn begin(&self, task: &str, steps: usize);
    /// So many steps are done.
    fn advance(&self, steps: usize);
    /// As far as floats can tell, the bound that is being looked for lies between these two.
    fn interval(&self, approx_dual: f64, approx_primal: f64);
    /// Whether the job should end with the best that it has.
    fn stopped(&self) -> bool;
    /// What stands beside the steps, in place of what stood there.
    fn note(&self, words: &str);
    /// A part of the task ended.
    fn remark(&self, words: &str);
    /// Something that a reader of the result should know.
    fn warn(&self, words: &str);
}

/// Nobody looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn begin(&self, _: &str, _: usize) {}
    fn advance(&self, _: usize) {}
    fn interval(&self, _: f64, _: f64) {}
    fn stopped(&self) -> bool {
        false
    }
    fn note(&self, _: &str) {}
    fn remark(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}

/// Somebody who wanted an earlier part of the work to stop, and not this one.
#[derive(Clone, Copy)]
pub(crate) struct Unhurried<'p>(pub(crate) &'p dyn Progress);

impl Progress for Unhurried<'_> {
    fn begin(&self, task: &str, steps: usize) {
        self.0.begin(task, steps);
    }
    fn advance(&self, steps: usize) {
        self.0.advance(steps);
    }
    fn interval(&self, approx_dual: f64, approx_primal: f64) {
        self.0.interval(approx_dual, approx_primal);
    }
    fn stopped(&self) -> bool {
        false
    }
    fn note(&self, words: &str) {
        self.0.note(words);
    }
    fn remark(&self, words: &str) {
        self.0.remark(words);
    }
    fn warn(&self, words: &str) {
        self.0.warn(words);
    }
}

/// Somebody who sees the same from another process, and hears of what goes wrong only.
#[derive(Clone, Copy)]
pub(crate) struct Aside<'p>(pub(crate) &'p dyn Progress);

impl Progress for Aside<'_> {
    fn begin(&self, _: &str, _: usize) {}
    fn advance(&self, _: usize) {}
    fn interval(&self, _: f64, _: f64) {}
    fn stopped(&self) -> bool {
        self.0.stopped()
    }
    fn note(&self, _: &str) {}
    fn remark(&self, _: &str) {}
    fn warn(&self, words: &str) {
        self.0.warn(words);
    }
}

/// What a solver sees of whoever looks on.
#[derive(Clone, Copy)]
pub(crate) struct Onlooker<'p> {
    progress: &'p dyn Progress,
    /// What the solver's bound is multiplied with, and nothing if intervals are not to be shown.
    factor: Option<f64>,
}

impl lipcert_solver::chain::Watch for Onlooker<'_> {
    fn interval(&self, approx_dual: f64, approx_primal: f64) {
        if let Some(factor) = self.factor {
            self.progress.interval(approx_dual * factor, approx_primal * factor);
        }
    }

    fn stop(&self) -> bool {
        self.progress.stopped()
    }
}
