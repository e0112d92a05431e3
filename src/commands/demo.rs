//! `lipcert demo`

use std::path::PathBuf;

use anyhow::Context;
use lipcert::jobs::demo::Outcome;
use lipcert::jobs::report::DocumentKind;
use lipcert::{jobs, results};

use crate::cli::DemoArgs;
use crate::files::reserve_all;
use crate::output::Output;
use crate::status::Status;

/// The files of the demo, in the order in which they are written.
const NAMES: [&str; 4] = ["model.safetensors", "certificate.json", "run.json", "report.html"];

/// Runs the whole job on what is built in.
pub(super) fn run(args: &DemoArgs, strict: bool, output: &Output) -> anyhow::Result<Status> {
    let mut targets = Vec::new();
    if let Some(folder) = &args.folder {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        let paths: Vec<PathBuf> = NAMES.iter().map(|name| folder.join(name)).collect();
        let paths: Vec<_> = paths.iter().map(AsRef::as_ref).collect();
        targets = reserve_all(&paths, args.force)?;
    }
    let Outcome {
        mut certified,
        certificate,
        model,
    } = jobs::demo::run(&super::typed(), output)?;
    if let Some(folder) = &args.folder {
        if let Some(file) = &mut certified.certificate {
            file.path = Some(folder.join(NAMES[1]).display().to_string());
        }
        certified.model.path = folder.join(NAMES[0]).display().to_string();
        let run = results::to_json(&certified)?;
        let report = jobs::report::run(&[(folder.join(NAMES[2]).display().to_string(), run.clone())])?;
        let documents = [model, certificate, run, report.document(DocumentKind::Html)?];
        for (target, bytes) in targets.into_iter().zip(documents) {
            target.write(&bytes)?;
        }
        output.hint(format_args!("open {}", folder.join(NAMES[3]).display()));
    }
    output.result(&certified)?;
    Ok(Status::of(certified.verdict, strict))
}
