//! `lipcert verify`

use std::path::PathBuf;

use lipcert::jobs;

use crate::cli::{SolverArg, VerifyArgs};
use crate::files::{Target, refuse_input};
use crate::output::Output;
use crate::status::Status;

/// Proves a Lipschitz bound and writes its certificate.
pub(super) fn run(args: &VerifyArgs, strict: bool, output: &Output) -> anyhow::Result<Status> {
    if let Some(path) = &args.file {
        refuse_input(
            path,
            [Some(&args.model), args.read.arch.file().as_ref()]
                .into_iter()
                .flatten()
                .map(PathBuf::as_path),
        )?;
    }
    let target = args
        .file
        .as_deref()
        .map(|path| Target::reserve(path, args.force))
        .transpose()?;
    let options = jobs::verify::Options {
        model: args.model.clone(),
        read: super::model_options(&args.read),
        method: args.method.into(),
        solver: match args.solver {
            SolverArg::Structured => jobs::verify::Solver::Structured,
            SolverArg::Clarabel => jobs::verify::Solver::Clarabel,
        },
        output: args.output,
        command: super::typed(),
    };
    output.stop_on_interrupt()?;
    let jobs::verify::Outcome {
        mut verified,
        certificate,
    } = jobs::verify::run(&options, output)?;
    if let (Some(target), Some(path)) = (target, &args.file) {
        match &certificate {
            Some(bytes) => {
                target.write(bytes)?;
                if let Some(file) = &mut verified.certificate {
                    file.path = Some(path.display().to_string());
                }
            }
            None => output.warning(format_args!("nothing is proved, so `{}` was not written", path.display())),
        }
    }
    if args.read.input.is_none() {
        let shape: Vec<String> = verified.model.input.iter().map(ToString::to_string).collect();
        output.hint(format_args!(
            "the input shape {} was found from the file and the preprocessing; --input states it",
            shape.join("x")
        ));
    }
    super::warn_of_raw_input(&args.read, [&verified.model], output);
    output.result(&verified)?;
    Ok(Status::of(verified.verdict, strict))
}
