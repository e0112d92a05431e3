//! `lipcert explore`

use std::path::Path;

use anyhow::bail;
use lipcert::jobs;
use lipcert::results::{self, Verdict};

use crate::cli::{ExploreArgs, SideArg};
use crate::files::{refuse_input, reserve_all};
use crate::output::Output;
use crate::status::Status;

/// Tries a family.
pub(super) fn run(args: &ExploreArgs, strict: bool, output: &Output) -> anyhow::Result<Status> {
    let ends = |path: &Path, ending: &str| path.extension().is_some_and(|found| found == ending);
    if let Some(path) = args.files.iter().find(|path| !ends(path, "npy") && !ends(path, "json")) {
        bail!("cannot write `{}`: its name must end in `.npy` or `.json`", path.display());
    }
    let paths: Vec<&Path> = args.files.iter().chain(&args.plot).map(|path| path.as_path()).collect();
    let weight = args.weight.as_deref().map(|weight| {
        let model = weight.rsplit_once('#').map_or(weight, |(model, _)| model);
        [Path::new(weight), Path::new(model)]
    });
    for path in &paths {
        refuse_input(
            path,
            std::iter::once(Path::new(&args.family)).chain(weight.into_iter().flatten()),
        )?;
    }
    let targets = reserve_all(&paths, args.force)?;
    let options = jobs::explore::Options {
        family: args.family.clone(),
        trials: args.trials,
        size: args.size.into(),
        seed: args.seed,
        weight: args.weight.clone(),
        side: match args.side {
            SideArg::Columns => jobs::solve::Side::Columns,
            SideArg::Rows => jobs::solve::Side::Rows,
        },
        command: super::typed(),
    };
    output.stop_on_interrupt()?;
    let explored = jobs::explore::run(&options, output)?;
    for (path, target) in paths.iter().zip(targets) {
        if ends(path, "json") {
            target.write(&results::to_json(&explored)?)?;
        } else if ends(path, "npy") {
            match &explored.counterexample {
                Some(counterexample) => target.write(&jobs::explore::to_npy(counterexample))?,
                None => output.warning(format_args!(
                    "there is no counterexample, so `{}` was not written",
                    path.display()
                )),
            }
        } else {
            target.write(jobs::explore::svg(&explored).as_bytes())?;
        }
    }
    output.result(&explored)?;
    Ok(match (&explored.counterexample, explored.verdict) {
        (Some(_), _) => Status::NotProved,
        (None, verdict) => Status::of(verdict.unwrap_or(Verdict::Certified), strict),
    })
}
