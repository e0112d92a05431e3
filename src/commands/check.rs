//! `lipcert check`

use lipcert::jobs;

use crate::cli::CheckArgs;
use crate::output::Output;
use crate::status::Status;

/// Checks a certificate again.
pub(super) fn run(args: &CheckArgs, strict: bool, output: &Output) -> anyhow::Result<Status> {
    let options = jobs::check::Options {
        certificate: args.certificate.clone(),
        model: args.model.clone(),
        architecture: args.arch.file(),
        command: super::typed(),
    };
    let checked = jobs::check::run(&options, output)?;
    output.result(&checked)?;
    Ok(Status::of(checked.verdict, strict))
}
