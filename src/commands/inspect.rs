//! `lipcert inspect`

use lipcert::jobs;

use crate::cli::InspectArgs;
use crate::output::Output;
use crate::status::Status;

/// Says what is in a model file.
pub(super) fn run(args: &InspectArgs, output: &Output) -> anyhow::Result<Status> {
    let inspected = jobs::inspect::run(&args.model, &super::model_options(&args.read))?;
    output.result(&inspected)?;
    if inspected.is_faulty() {
        output.hint("nothing can be certified with this file");
        return Ok(Status::Fault);
    }
    Ok(Status::Proved)
}
