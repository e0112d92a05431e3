//! What is in a model file and what is odd about it.

use std::path::Path;

use anyhow::Context;
use lipcert_models::inspect::{self, Oddity, inspect};
use lipcert_models::network::LoadOptions;
use lipcert_models::preprocess::Preprocess;

use super::ModelOptions;
use super::load::open;
use crate::results::{Finding, InspectSchema, Inspected, InspectedModel, Severity, Tensor, Tool};

/// Looks into a model file.
///
/// # Errors
///
/// If the file cannot be read or is malformed. An unknown architecture is a finding, and so are numbers that are not finite.
pub fn run(model: &Path, options: &ModelOptions) -> anyhow::Result<Inspected> {
    let preprocess = match &options.preprocess {
        Some(text) => text.parse().context("--preprocess")?,
        None => Preprocess::File,
    };
    let checkpoint = open(model, options.architecture.as_deref())?;
    let found = inspect(
        &checkpoint,
        &LoadOptions {
            input: options.input,
            preprocess,
        },
    );
    let summary = found.model;
    let tensors = found.tensors.into_iter().map(|tensor| Tensor {
        name: tensor.name,
        dtype: tensor.dtype.to_string(),
        shape: tensor.shape,
    });
    let findings = found.findings.into_iter().map(|finding| Finding {
        severity: match finding.severity {
            inspect::Severity::Error if stops(&finding.oddity) => Severity::Fault,
            inspect::Severity::Error => Severity::Warning,
            inspect::Severity::Warning => Severity::Warning,
            inspect::Severity::Note => Severity::Note,
        },
        tensor: finding.tensor,
        message: finding.message,
    });
    Ok(Inspected {
        schema: InspectSchema::V1,
        tool: Tool::current(),
        model: InspectedModel {
            path: model.display().to_string(),
            bytes: summary.bytes,
            sha256: summary.sha256,
            format: summary.format.to_string(),
            architecture: summary.architecture,
            parameters: summary.parameters,
        },
        tensors: tensors.collect(),
        findings: findings.collect(),
        draft: found.draft,
    })
}

/// Whether no job can go on with such a file, whatever the architecture.
const fn stops(oddity: &Oddity) -> bool {
    matches!(oddity, Oddity::NotFinite { .. } | Oddity::Unreadable { .. })
}
