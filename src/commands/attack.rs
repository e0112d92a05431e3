//! `lipcert attack`

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use lipcert::jobs::attack::{Options, Outcome};
use lipcert::jobs::certify::DataChoice;
use lipcert::results::attacked_csv;
use lipcert::{jobs, results};

use crate::cli::train::AttackArgs;
use crate::files::{refuse_input, reserve_all};
use crate::output::Output;
use crate::status::Status;

/// Attacks a model on samples.
pub(super) fn run(args: &AttackArgs, threads: Option<u16>, strict: bool, output: &Output) -> anyhow::Result<Status> {
    let data = super::data_place(&args.data);
    let arch = args.read.arch.file();
    let paths: Vec<&Path> = [&args.file, &args.samples, &args.inputs]
        .into_iter()
        .flatten()
        .map(PathBuf::as_path)
        .collect();
    for path in &paths {
        let inputs = [Some(&args.model), data.as_ref(), arch.as_ref()];
        refuse_input(path, inputs.into_iter().flatten().map(PathBuf::as_path))?;
    }
    let mut targets = reserve_all(&paths, args.force)?.into_iter();
    let mut target = |asked: &Option<PathBuf>| asked.as_ref().and_then(|_| targets.next());
    let (file, samples_file, inputs_file) = (target(&args.file), target(&args.samples), target(&args.inputs));
    let options = Options {
        model: args.model.clone(),
        read: super::model_options(&args.read),
        data: DataChoice {
            name: args.data.clone(),
            split: super::split(args.split),
            limit: args.limit,
            shard: None,
        },
        epsilons: args.eps.clone(),
        steps: args.steps,
        restarts: args.restarts,
        queries: args.queries,
        seed: args.seed,
        device: args.device,
        threads,
        keep: args.inputs.is_some(),
        command: super::typed(),
    };
    output.stop_on_interrupt()?;
    let Outcome {
        mut attacked,
        samples,
        inputs,
    } = jobs::attack::run(&options, output)?;
    match inputs_file {
        Some(target) if attacked.device.is_some() => {
            target.write(&inputs)?;
            attacked.inputs = args.inputs.as_ref().map(|path| path.display().to_string());
        }
        None if !attacked.contradictions.is_empty() => {
            attacked.inputs = Some(keep(&inputs)?.display().to_string());
        }
        _ => {}
    }
    if let Some(target) = samples_file {
        target.write(attacked_csv(&samples).as_bytes())?;
    }
    if let Some(target) = file {
        target.write(&results::to_json(&attacked)?)?;
    }
    super::warn_of_raw_input(&args.read, [&attacked.model], output);
    output.result(&attacked)?;
    let Some(found) = attacked.contradictions.first() else {
        return Ok(Status::of(attacked.verdict, strict));
    };
    output.error(&anyhow!(
        "an input contradicts a certificate: sample {} of class {} is certified at {} and has another class at distance {} (row {} of `{}`); this is a \
         fault of lipcert, or an assumption is false: please report it",
        found.index,
        found.label,
        found.radius,
        found.distance,
        found.row,
        attacked.inputs.as_deref().unwrap_or_default()
    ));
    Ok(Status::Fault)
}

/// Keeps the inputs that show a fault, although nobody named a file for them.
fn keep(inputs: &[u8]) -> anyhow::Result<PathBuf> {
    let context = "cannot keep the inputs that were found";
    let mut builder = tempfile::Builder::new();
    let mut file = builder
        .prefix("lipcert-inputs-")
        .suffix(".safetensors")
        .tempfile()
        .context(context)?;
    std::io::Write::write_all(&mut file, inputs).context(context)?;
    let (_, path) = file.keep().context(context)?;
    Ok(path)
}
