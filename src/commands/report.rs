//! `lipcert report`

use std::path::Path;

use anyhow::Context;
use lipcert::jobs;
use lipcert::jobs::report::DocumentKind;

use crate::cli::ReportArgs;
use crate::files::reserve_all;
use crate::output::Output;
use crate::status::Status;

/// Puts runs into documents.
pub(super) fn run(args: &ReportArgs, output: &Output) -> anyhow::Result<Status> {
    let paths: Vec<&Path> = args.files.iter().map(AsRef::as_ref).collect();
    let kinds: Result<Vec<DocumentKind>, _> = paths.iter().map(|path| DocumentKind::of(path)).collect();
    let kinds = kinds?;
    let targets = reserve_all(&paths, args.force)?;
    let mut runs = Vec::new();
    for path in &args.runs {
        let shown = path.display();
        let bytes = std::fs::read(path).with_context(|| format!("cannot read run `{shown}`"))?;
        runs.push((shown.to_string(), bytes));
    }
    let report = jobs::report::run(&runs)?;
    for (target, kind) in targets.into_iter().zip(kinds) {
        target.write(&report.document(kind)?)?;
    }
    output.result(&report)?;
    Ok(Status::Proved)
}
