//! `lipcert inspect`

use lipcert::jobs;
use lipcert::results::Severity;

use crate::cli::InspectArgs;
use crate::output::Output;
use crate::status::Status;

/// Says what is in a model file.
pub(super) fn run(args: &InspectArgs, output: &Output) -> anyhow::Result<Status> {
    let inspected = jobs::inspect::run(&args.model, &super::model_options(&args.read))?;
    output.result(&inspected)?;
    if inspected.is_faulty() {
        let fault = inspected.findings.iter().find(|finding| finding.severity == Severity::Fault);
        if let Some(fault) = fault {
            let tensor = fault.tensor.as_deref().unwrap_or("the file");
            output.error(&anyhow::anyhow!("`{}`: `{tensor}`: {}", args.model.display(), fault.message));
        }
        return Ok(Status::Fault);
    }
    Ok(Status::Proved)
}
