//! Runs of `lipcert certify` as a document that anyone can read.
//!
//! A report proves nothing and checks no network again: it restates what the run files say, names them by their hashes, and says
//! how to check.

use std::fmt;
use std::path::Path;

use anyhow::{Context, bail};
use lipcert_proofs::format::hexadecimal;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::results::{Certified, Run, Semantics, Tool, to_json};
use crate::text::printable;

mod escape;
mod html;
mod markdown;
mod plot;

/// The schema of [`Report`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum ReportSchema {
    /// First version.
    #[default]
    #[serde(rename = "lipcert/report/1")]
    V1,
}

/// Runs, put together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// `lipcert/report/1`.
    pub schema: ReportSchema,
    /// The program that wrote this.
    pub tool: Tool,
    /// The runs, weakest verdict first, else in the order in which they were given.
    pub runs: Vec<ReportedRun>,
}

/// A run and the file that it was read from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportedRun {
    /// Path of the run file as it was given.
    pub file: String,
    /// SHA-256 of the run file, lower-case hexadecimal.
    pub sha256: String,
    /// What the file says.
    pub run: Run,
}

impl ReportedRun {
    /// Where the numbers come from: a report claims nothing of its own.
    fn restated(&self) -> String {
        format!("Restated from {} (sha256 {}), not checked again.", self.file, self.sha256)
    }
}

/// How a report is written, found from the ending of the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// One page that needs no other file.
    Html,
    /// Text with tables, for a repository.
    Markdown,
    /// For programs.
    Json,
}

impl DocumentKind {
    /// The kind that the ending of `path` names.
    ///
    /// # Errors
    ///
    /// If it is none of `.html`, `.md`, `.json`.
    pub fn of(path: &Path) -> anyhow::Result<Self> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("html") => Ok(Self::Html),
            Some("md") => Ok(Self::Markdown),
            Some("json") => Ok(Self::Json),
            _ => bail!(
                "cannot write `{}`: a report ends in `.html`, `.md` or `.json`",
                path.display()
            ),
        }
    }
}

/// Reads run files, given as path and bytes, into a report.
///
/// # Errors
///
/// If a file is no run, or contradicts itself; the first one is named. Also if there is no file.
pub fn run(files: &[(String, Vec<u8>)]) -> anyhow::Result<Report> {
    if files.is_empty() {
        bail!("a report needs at least one run");
    }
    let read = |(file, bytes): &(String, Vec<u8>)| {
        Ok(ReportedRun {
            file: file.clone(),
            sha256: hexadecimal(&Sha256::digest(bytes)),
            run: Run::read(bytes).with_context(|| format!("cannot read run `{file}`"))?,
        })
    };
    let runs: anyhow::Result<Vec<ReportedRun>> = files.iter().map(read).collect();
    let mut runs = runs?;
    runs.sort_by_key(|reported| std::cmp::Reverse(reported.run.verdict()));
    Ok(Report {
        schema: ReportSchema::V1,
        tool: Tool::current(),
        runs,
    })
}

impl Report {
    /// The report as the bytes of a file.
    ///
    /// # Errors
    ///
    /// None in practice: every report can be written in every kind.
    pub fn document(&self, kind: DocumentKind) -> anyhow::Result<Vec<u8>> {
        match kind {
            DocumentKind::Html => Ok(html::page(self).into_bytes()),
            DocumentKind::Markdown => Ok(markdown::text(self).into_bytes()),
            DocumentKind::Json => Ok(to_json(self)?),
        }
    }

    /// Every network of every run.
    fn models(&self) -> impl Iterator<Item = &Certified> {
        self.runs.iter().flat_map(|run| run.run.models())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, reported) in self.runs.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(
                f,
                "restated from {}, not checked again: {}",
                printable(&reported.file),
                reported.run
            )?;
            writeln!(f, "\nsha256 of {}: {}", printable(&reported.file), reported.sha256)?;
        }
        Ok(())
    }
}

/// What a count under `semantics` says, in words.
fn meaning(semantics: Semantics) -> &'static str {
    match semantics {
        Semantics::Real => {
            "A sample counts as certified at ε if it is classified correctly and no input within ℓ2 distance ε of it, in units of \
             the raw input, is classified otherwise. The network is the map over the real numbers that the formulas of the model \
             file define, with the weights exactly as stored and with the preprocessing named below. Nothing is claimed about what \
             a floating-point program computes. Bounds are rounded up, radii and percentages down."
        }
    }
}

/// The facts about one network's run, as label and text.
fn facts(model: &Certified) -> Vec<(&'static str, String)> {
    let sizes: Vec<String> = model.model.input.iter().map(ToString::to_string).collect();
    let mut facts = vec![
        ("Model", model.model.path.clone()),
        ("Model sha256", model.model.sha256.clone()),
        (
            "Architecture",
            format!("{}, {} parameters", model.model.architecture_words(), model.model.parameters),
        ),
        (
            "Input",
            format!("{}, preprocessing {}", sizes.join(" × "), model.model.preprocess),
        ),
        (
            "Data",
            format!(
                "{}, {} split, {}",
                model.data.name,
                model.data.split,
                model.data.count_words()
            ),
        ),
        ("Data sha256", model.data.sha256.clone()),
        ("Semantics", model.semantics.to_string()),
        ("Bound", model.lipschitz_line()),
        ("Open", model.open_line()),
    ];
    if let Some(certificate) = &model.certificate {
        facts.push(("Certificate sha256", certificate.sha256.clone()));
    }
    facts.push(("Command", model.command.clone()));
    facts.push(("Tool", format!("{} {}", model.tool.name, model.tool.version)));
    facts.push((
        "Time",
        format!("{:.2} s, {:.0} samples/s", model.seconds, model.samples_per_second),
    ));
    facts
}

/// Commands that check a network's run again.
fn recheck(model: &Certified) -> Vec<String> {
    let mut commands = vec![crate::text::command_line(["sha256sum", &model.model.path])];
    if let Some(path) = model.certificate.as_ref().and_then(|certificate| certificate.path.as_deref()) {
        commands.push(crate::text::command_line(["lipcert", "check", path, &model.model.path]));
    }
    let sizes: Vec<String> = model.model.input.iter().map(ToString::to_string).collect();
    let shape = sizes.join("x");
    let options = ["--input", &shape, "--preprocess", &model.model.preprocess];
    let verify = ["lipcert", "verify", &model.model.path].into_iter().chain(options);
    commands.push(crate::text::command_line(verify.chain(["-o", "again.json"])));
    commands
}

#[cfg(test)]
mod tests;
