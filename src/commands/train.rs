//! `lipcert train` and `lipcert finetune`

use std::path::Path;

use lipcert::jobs::report::DocumentKind;
use lipcert::jobs::train::{CERTIFICATE, Options, Outcome, REPORT, RESULT, RUN};
use lipcert::{jobs, results};

use crate::cli::train::{FinetuneArgs, RunArgs, TrainArgs};
use crate::files::Target;
use crate::output::Output;
use crate::status::Status;

/// Trains a fresh network.
pub(super) fn run(args: &TrainArgs, threads: Option<u16>, strict: bool, output: &Output) -> anyhow::Result<Status> {
    let options = options(&args.config, &args.run, threads);
    job(&options, strict, output)
}

/// Goes on with an existing one.
pub(super) fn finetune(args: &FinetuneArgs, threads: Option<u16>, strict: bool, output: &Output) -> anyhow::Result<Status> {
    let options = Options {
        start: Some((args.model.clone(), super::model_options(&args.read))),
        ..options(&args.config, &args.run, threads)
    };
    job(&options, strict, output)
}

fn options(config: &Path, run: &RunArgs, threads: Option<u16>) -> Options {
    Options {
        config: config.to_owned(),
        start: None,
        folder: run.folder.clone(),
        data: run.data.clone(),
        test_data: run.test_data.clone(),
        device: run.device,
        resume: run.resume,
        force: run.force,
        threads,
        command: super::typed(),
    }
}

fn job(options: &Options, strict: bool, output: &Output) -> anyhow::Result<Status> {
    output.stop_on_interrupt()?;
    output.stop_on_termination()?;
    let Some(Outcome {
        trained,
        folder,
        certificate,
        held: _held,
    }) = jobs::train::run(options, output)?
    else {
        // The first of several processes writes the files and says what is proved.
        return Ok(Status::Proved);
    };
    let write = |name: &str, bytes: &[u8]| Target::reserve(&folder.join(name), true)?.write(bytes);
    if let Some(certificate) = &certificate {
        write(CERTIFICATE, certificate)?;
    }
    if let Some(certified) = &trained.certify {
        let run = results::to_json(certified)?;
        write(RUN, &run)?;
        let report = jobs::report::run(&[(folder.join(RUN).display().to_string(), run)])?;
        write(REPORT, &report.document(DocumentKind::Html)?)?;
        output.hint(format_args!("open {}", folder.join(REPORT).display()));
    }
    write(RESULT, &results::to_json(&trained)?)?;
    if trained.stopped {
        output.hint(format_args!("go on with --resume -o {}", folder.display()));
    }
    output.result(&trained)?;
    Ok(Status::of(trained.verdict, strict))
}
