//! `lipcert doctor`

use lipcert::jobs;

use crate::output::Output;
use crate::status::Status;

/// Says what can be done here.
pub(super) fn run(output: &Output) -> anyhow::Result<Status> {
    output.result(&jobs::doctor::run(output))?;
    Ok(Status::Proved)
}
