//! A certificate file, checked again from its evidence alone.

use std::path::PathBuf;

use super::Progress;
use crate::results::Checked;

/// What to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The certificate file, which is untrusted.
    pub certificate: PathBuf,
    /// The model file that it speaks of.
    pub model: PathBuf,
    /// The command, for the record.
    pub command: String,
}

/// Checks a certificate: no solver, no search.
///
/// # Errors
///
/// If a file cannot be read or is malformed, or if the certificate speaks of another model file.
pub fn run(options: &Options, progress: &dyn Progress) -> anyhow::Result<Checked> {
    progress.begin("checking layers", 0);
    anyhow::bail!("cannot check `{}`", options.certificate.display())
}
