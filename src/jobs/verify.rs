//! A proved Lipschitz bound of a network.

use std::path::PathBuf;

use lipcert_proofs::statement::Output;

use super::{ModelOptions, Progress};
use crate::results::Verified;

/// How a bound is proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// The best one for the architecture.
    #[default]
    Auto,
    /// One rule for each layer; the bounds of the layers are multiplied.
    Layers,
}

/// What to verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The model file.
    pub model: PathBuf,
    /// How to read it.
    pub read: ModelOptions,
    /// How the bound is proved.
    pub method: Method,
    /// Which part of the network the bound speaks of.
    pub output: Output,
    /// The command, for the record.
    pub command: String,
}

/// The answer, and the certificate that goes with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The answer; its certificate has no path yet.
    pub verified: Verified,
    /// The bytes of the certificate file; `None` if no bound is proved.
    pub certificate: Option<Vec<u8>>,
}

/// Proves a bound. A layer that cannot be proved stops only itself: the answer lists every layer.
///
/// # Errors
///
/// If the model cannot be read, or has numbers that are not finite.
pub fn run(options: &Options, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    progress.begin("proving layers", 0);
    anyhow::bail!("cannot verify `{}`", options.model.display())
}
