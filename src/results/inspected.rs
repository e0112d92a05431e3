//! What `lipcert inspect` answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::common::Tool;
use crate::text::{Align, Table, printable};

/// The schema of [`Inspected`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InspectSchema {
    /// First version.
    #[default]
    #[serde(rename = "lipcert/inspect/1")]
    V1,
}

/// What a model file holds and what is odd about it. Nothing is claimed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inspected {
    /// `lipcert/inspect/1`.
    pub schema: InspectSchema,
    /// The program that wrote this.
    pub tool: Tool,
    /// The file.
    pub model: InspectedModel,
    /// Every tensor, in the order of the file.
    pub tensors: Vec<Tensor>,
    /// What is odd, most serious first.
    pub findings: Vec<Finding>,
    /// The draft of a declaration for `--arch`, where the architecture is unknown and every layer looks like one of a public code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<String>,
}

/// A model file, whether or not its architecture is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InspectedModel {
    /// Path as it was given.
    pub path: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of all bytes, lower-case hexadecimal.
    pub sha256: String,
    /// How the file is written, e.g. `torch-zip`.
    pub format: String,
    /// Which network the file holds; `null` if that is not known.
    pub architecture: Option<String>,
    /// Number of entries of all tensors.
    pub parameters: usize,
}

/// One array of a model file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tensor {
    /// Name in the file.
    pub name: String,
    /// Type of an entry, e.g. `float32`.
    pub dtype: String,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
}

/// How serious a finding is, most serious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing can be certified with this, e.g. a NaN: exit status 2.
    Fault,
    /// Worth a look, e.g. two equal rows of the head.
    Warning,
    /// Good to know, e.g. an unknown architecture.
    Note,
}

/// Something odd about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// How serious it is.
    pub severity: Severity,
    /// Where, if it is about one tensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensor: Option<String>,
    /// What was found, with its numbers.
    pub message: String,
}

impl Inspected {
    /// Whether something was found with which nothing can be certified.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Fault)
    }
}

impl fmt::Display for Inspected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = &self.model;
        let architecture = model.architecture.as_deref().unwrap_or("unknown architecture");
        let findings = match self.findings.len() {
            0 => "no findings".to_owned(),
            1 => "1 finding".to_owned(),
            n => format!("{n} findings"),
        };
        writeln!(f, "{}: {} parameters, {findings}", printable(architecture), model.parameters)?;
        writeln!(
            f,
            "{} · {} · {} bytes · sha256 {}\n",
            printable(&model.path),
            model.format,
            model.bytes,
            model.sha256
        )?;
        if !self.findings.is_empty() {
            let mut table = Table::new(&[("finding", Align::Left), ("tensor", Align::Left), ("what", Align::Left)]);
            for finding in &self.findings {
                let severity = match finding.severity {
                    Severity::Fault => "fault",
                    Severity::Warning => "warning",
                    Severity::Note => "note",
                };
                table.row([
                    severity.to_owned(),
                    finding.tensor.clone().unwrap_or_default(),
                    finding.message.clone(),
                ]);
            }
            writeln!(f, "{table}")?;
        }
        let mut table = Table::new(&[("tensor", Align::Left), ("dtype", Align::Left), ("shape", Align::Left)]);
        for tensor in &self.tensors {
            let sizes: Vec<String> = tensor.shape.iter().map(ToString::to_string).collect();
            table.row([tensor.name.clone(), tensor.dtype.clone(), sizes.join(" × ")]);
        }
        write!(f, "{table}")?;
        if let Some(draft) = &self.draft {
            write!(f, "\ndraft of a declaration, to be completed and given with --arch:\n")?;
            for line in draft.lines() {
                write!(f, "\n{}", printable(line))?;
            }
        }
        Ok(())
    }
}
