//! What `lipcert verify` answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::common::{FileHash, LayerResult, Lipschitz, Model, Semantics, SolverRemark, Tool, Verdict};
use super::lines::{gap_words, head_line, layer_table, lipschitz_words, write_remarks};

/// The schema of [`Verified`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum VerifySchema {
    /// First version.
    #[default]
    #[serde(rename = "lipcert/verify/1")]
    V1,
}

/// A proved Lipschitz bound of a network, with what was proved about each layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// `lipcert/verify/1`.
    pub schema: VerifySchema,
    /// The program that wrote this.
    pub tool: Tool,
    /// Whether `lipschitz.upper` is proved.
    pub verdict: Verdict,
    /// What was taken on trust; empty if `certified`.
    pub assumptions: Vec<String>,
    /// Which function is meant.
    pub semantics: Semantics,
    /// The command, as a shell reads it.
    pub command: String,
    /// The network.
    pub model: Model,
    /// The method that was used: never `auto`.
    pub method: String,
    /// What the solver says of itself, where one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solver: Option<SolverRemark>,
    /// The bounds.
    pub lipschitz: Lipschitz,
    /// Every layer, in the order of the network.
    pub layers: Vec<LayerResult>,
    /// The certificate; absent if no bound is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<FileHash>,
    /// Wall-clock seconds of the whole command.
    pub seconds: f64,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = lipschitz_words(&self.lipschitz);
        writeln!(f, "{}", head_line(self.verdict, &self.assumptions, &number))?;
        let model = &self.model;
        writeln!(
            f,
            "{}\n{} parameters · semantics {} · method {} · {:.2} s",
            model.words(),
            model.parameters,
            self.semantics,
            self.method,
            self.seconds
        )?;
        if let Some(solver) = &self.solver {
            write!(
                f,
                "solver {}, {}, {} iterations",
                solver.name, solver.status, solver.iterations
            )?;
            writeln!(f, "{}", gap_words(&self.lipschitz))?;
        }
        writeln!(f)?;
        write!(f, "{}", layer_table(&self.layers))?;
        write_remarks(f, &self.layers, &self.assumptions)
    }
}
