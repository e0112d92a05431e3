//! The commands, one file each: arguments, then a job, then its result on the terminal, then a status.

mod attack;
mod certify;
mod check;
mod demo;
mod doctor;
mod explore;
mod inspect;
mod report;
mod solve;
mod train;
mod verify;

use std::path::PathBuf;

use anyhow::Context;
use lipcert::jobs;
use lipcert::results::Model;
use lipcert::text::command_line;

use crate::cli::{Cli, Command, Method, ModelArgs, Split};
use crate::output::Output;
use crate::status::Status;

/// Runs the command that was asked for.
pub(crate) fn run(cli: &Cli, output: &Output) -> anyhow::Result<Status> {
    if let Some(threads) = cli.global.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads));
        pool.build_global().context("cannot start the threads")?;
    }
    let (strict, threads) = (cli.global.strict, cli.global.threads);
    match &cli.command {
        Command::Inspect(args) => inspect::run(args, output),
        Command::Verify(args) => verify::run(args, strict, output),
        Command::Check(args) => check::run(args, strict, output),
        Command::Certify(args) => certify::run(args, strict, output),
        Command::Solve(args) => solve::run(args, strict, output),
        Command::Explore(args) => explore::run(args, strict, output),
        Command::Train(args) => train::run(args, threads, strict, output),
        Command::Finetune(args) => train::finetune(args, threads, strict, output),
        Command::Attack(args) => attack::run(args, threads, strict, output),
        Command::Report(args) => report::run(args, output),
        Command::Demo(args) => demo::run(args, strict, output),
        Command::Doctor => doctor::run(output),
    }
}

/// The command as it was typed, for the record.
fn typed() -> String {
    let arguments = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned());
    command_line(std::iter::once("lipcert".to_owned()).chain(arguments))
}

/// How to read the model.
fn model_options(args: &ModelArgs) -> jobs::ModelOptions {
    let ModelArgs { input, preprocess, arch } = args;
    jobs::ModelOptions {
        architecture: arch.file(),
        input: *input,
        preprocess: preprocess.clone(),
    }
}

/// Where the data lies, if its name has a place in it.
fn data_place(name: &str) -> Option<PathBuf> {
    name.split_once(':').map(|(_, place)| PathBuf::from(place))
}

/// Which part of the data is asked for.
const fn split(asked: Split) -> jobs::certify::Split {
    match asked {
        Split::Test => jobs::certify::Split::Test,
        Split::Train => jobs::certify::Split::Train,
    }
}

/// Says that the certified function takes the raw input where nobody named a preprocessing.
fn warn_of_raw_input<'m>(read: &ModelArgs, models: impl IntoIterator<Item = &'m Model>, output: &Output) {
    if read.preprocess.is_none() && models.into_iter().any(|model| model.preprocess == "none") {
        output.warning("no preprocessing is declared, so the certified function takes the raw input");
        output.hint("if the network was trained on normalised input, give --preprocess");
    }
}

impl From<Method> for jobs::verify::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Auto => Self::Auto,
            Method::Layers => Self::Layers,
            Method::Product => Self::Product,
            Method::EclipseFast => Self::EclipseFast,
            Method::Recursion => Self::Recursion,
            Method::LipsdpLayer => Self::LipsdpLayer,
            Method::LipsdpNeuron => Self::LipsdpNeuron,
        }
    }
}
