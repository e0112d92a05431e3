//! How many samples of a data set no perturbation of a given size can change.

use std::path::PathBuf;

use super::verify::Method;
use super::{ModelOptions, Progress};
use crate::results::{Epsilon, Run, Sample, Semantics};

/// Which samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataChoice {
    /// The data set as typed, e.g. `cifar10:DIR`.
    pub name: String,
    /// Which part of it.
    pub split: Split,
    /// Only so many first samples.
    pub limit: Option<usize>,
    /// Only part `.0` of `.1` equal parts, zero-based.
    pub shard: Option<(usize, usize)>,
}

/// Part of a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// The test samples.
    #[default]
    Test,
    /// The training samples.
    Train,
}

/// What to certify.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Model files, or folders of them.
    pub models: Vec<PathBuf>,
    /// How to read them.
    pub read: ModelOptions,
    /// The samples.
    pub data: DataChoice,
    /// Perturbation sizes.
    pub epsilons: Vec<Epsilon>,
    /// Which function is meant.
    pub semantics: Semantics,
    /// How the Lipschitz bound is proved.
    pub method: Method,
    /// The command, for the record.
    pub command: String,
}

/// The answer, and what was found for each sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The answer.
    pub run: Run,
    /// The samples; empty if there are several models.
    pub samples: Vec<Sample>,
}

/// Certifies every model on the samples. Two ε of the same size are refused; a sample that is not certified is only counted.
///
/// # Errors
///
/// If a model or the data cannot be read, or a number of them is not finite.
pub fn run(options: &Options, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    progress.begin("certifying samples", 0);
    anyhow::bail!("cannot certify `{}`", options.data.name)
}
