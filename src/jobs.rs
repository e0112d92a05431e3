//! The jobs: files in, serialisable results out, no printing.

pub mod certify;
pub mod check;
pub mod demo;
pub mod inspect;
mod load;
mod prove;
pub mod report;
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
}

/// Nobody looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn begin(&self, _: &str, _: usize) {}
    fn advance(&self, _: usize) {}
}
