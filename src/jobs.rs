//! The jobs: files in, serialisable results out, no printing.

pub mod certify;
pub mod check;
pub mod demo;
pub mod explore;
pub mod inspect;
mod load;
mod lower;
mod multipliers;
mod prove;
pub mod report;
mod residual;
pub mod solve;
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
