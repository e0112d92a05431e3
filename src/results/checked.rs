//! What `lipcert check` answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::common::{FileHash, LayerResult, Lipschitz, Model, Semantics, Tool, Verdict};
use super::lines::{head_line, layer_table, lipschitz_words, write_remarks};
use crate::text::printable;

/// The schema of [`Checked`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckSchema {
    /// First version.
    #[default]
    #[serde(rename = "lipcert/check/1")]
    V1,
}

/// A certificate file, checked against its model from its evidence alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checked {
    /// `lipcert/check/1`.
    pub schema: CheckSchema,
    /// The program that wrote this.
    pub tool: Tool,
    /// Whether the certificate's claim is proved.
    pub verdict: Verdict,
    /// What was taken on trust; empty if `certified`.
    pub assumptions: Vec<String>,
    /// Which function is meant.
    pub semantics: Semantics,
    /// The command, as a shell reads it.
    pub command: String,
    /// The network.
    pub model: Model,
    /// The certificate.
    pub certificate: FileHash,
    /// The bounds.
    pub lipschitz: Lipschitz,
    /// Why the certificate as a whole is not accepted although its layers are; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Every layer, in the order of the network.
    pub layers: Vec<LayerResult>,
    /// Wall-clock seconds of the whole command.
    pub seconds: f64,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = lipschitz_words(&self.lipschitz);
        writeln!(f, "{}", head_line(self.verdict, &self.assumptions, &number))?;
        if let Some(reason) = &self.reason {
            writeln!(f, "{}", printable(reason))?;
        }
        let certificate = self.certificate.path.as_deref().unwrap_or(&self.certificate.sha256);
        writeln!(
            f,
            "{} for {}\nsemantics {} · {:.2} s\n",
            printable(certificate),
            self.model.words(),
            self.semantics,
            self.seconds
        )?;
        write!(f, "{}", layer_table(&self.layers))?;
        write_remarks(f, &self.layers, &self.assumptions)
    }
}
