//! `lipcert certify`

use std::path::PathBuf;

use anyhow::bail;
use lipcert::jobs::certify::{DataChoice, Options, Outcome};
use lipcert::results::{Semantics, samples_csv};
use lipcert::{jobs, results};

use crate::cli::{self, CertifyArgs};
use crate::files::{Target, refuse_input};
use crate::output::Output;
use crate::status::Status;

/// Certifies models on samples.
pub(super) fn run(args: &CertifyArgs, strict: bool, output: &Output) -> anyhow::Result<Status> {
    if args.samples.is_some() && args.samples == args.file {
        bail!("-o and --samples name the same file");
    }
    let data = super::data_place(&args.data);
    for output in [&args.file, &args.samples].into_iter().flatten() {
        let arch = args.read.arch.file();
        refuse_input(output, args.models.iter().chain(&data).chain(&arch).map(PathBuf::as_path))?;
    }
    let reserve = |path: &PathBuf| Target::reserve(path, args.force);
    let run_file = args.file.as_ref().map(reserve).transpose()?;
    let samples_file = args.samples.as_ref().map(reserve).transpose()?;
    let options = Options {
        models: args.models.clone(),
        read: super::model_options(&args.read),
        data: DataChoice {
            name: args.data.clone(),
            split: super::split(args.split),
            limit: args.limit,
            shard: args.shard.map(|shard| (shard.index, shard.count)),
        },
        epsilons: args.eps.clone(),
        semantics: match args.semantics {
            cli::SemanticsArg::Real => Semantics::Real,
        },
        method: args.method.into(),
        one_model: args.samples.is_some(),
        command: super::typed(),
    };
    let Outcome { run, samples } = jobs::certify::run(&options, output)?;
    if let Some(file) = samples_file {
        file.write(samples_csv(&samples).as_bytes())?;
    }
    if let Some(file) = run_file {
        file.write(&results::to_json(&run)?)?;
    }
    super::warn_of_raw_input(&args.read, run.models().iter().map(|model| &model.model), output);
    output.result(&run)?;
    Ok(Status::of(run.verdict(), strict))
}
