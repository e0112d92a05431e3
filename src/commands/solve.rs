//! `lipcert solve`

use std::path::Path;

use lipcert::jobs;
use lipcert::jobs::solve::Goal;
use lipcert::results;

use crate::cli::{SideArg, SolveArgs};
use crate::files::{Target, refuse_input};
use crate::output::Output;
use crate::status::Status;

/// Solves the common condition for one matrix.
pub(super) fn run(args: &SolveArgs, strict: bool, output: &Output) -> anyhow::Result<Status> {
    if let Some(path) = &args.file {
        let whole = Path::new(&args.weight);
        let model = args.weight.rsplit_once('#').map_or(whole, |(model, _)| Path::new(model));
        let weights = match &args.objective {
            Goal::Weighted(file) => Some(file.as_path()),
            Goal::Trace | Goal::Max => None,
        };
        refuse_input(path, [whole, model].into_iter().chain(weights))?;
    }
    let reserve = |path: &std::path::PathBuf| Target::reserve(path, args.force);
    let target = args.file.as_ref().map(reserve).transpose()?;
    let options = jobs::solve::Options {
        weight: args.weight.clone(),
        goal: args.objective.clone(),
        side: match args.side {
            SideArg::Columns => jobs::solve::Side::Columns,
            SideArg::Rows => jobs::solve::Side::Rows,
        },
        command: super::typed(),
    };
    output.stop_on_interrupt()?;
    let solved = jobs::solve::run(&options, output)?;
    if let Some(target) = target {
        target.write(&results::to_json(&solved)?)?;
    }
    output.result(&solved)?;
    Ok(Status::of(solved.verdict, strict))
}
