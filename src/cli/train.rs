//! The arguments of the commands that need the program that trains.

use std::path::PathBuf;

use clap::Args;
use lipcert::results::Epsilon;
use lipcert_models::training::job::{Device, MOST_QUERIES, MOST_RESTARTS, MOST_STEPS};

use super::{ModelArgs, Split, parse};

/// Train a network, then prove what can be proved of it
///
/// The configuration says what is trained and how; docs/training.md lists its fields. The folder gets the model, its certificate, the run of `certify`
/// on the test samples, a report of it and the result with all epochs. Ctrl-C (or SIGTERM) saves and stops; `--resume` goes on
/// from there.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lipcert train examples/digits.toml
  lipcert train examples/digits.toml -o runs/second --device cpu
  lipcert train cifar.toml --data cifar10:DIR --device cuda:0 --resume

Exit status: as that of `lipcert certify` on the result")]
pub(crate) struct TrainArgs {
    /// What is trained and how
    #[arg(value_name = "CONFIG.toml")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Go on training a model, then prove what has changed
///
/// As `lipcert train`, from the weights of a model; the configuration has no network then. The model is certified before and after, on the same samples.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lipcert finetune model.pth finetune.toml --preprocess cifar10
  lipcert finetune runs/digits/model.safetensors finetune.toml -o runs/tuned

Exit status: as that of `lipcert certify` on the result")]
pub(crate) struct FinetuneArgs {
    /// Model file to go on from
    pub(crate) model: PathBuf,
    /// What is trained and how
    #[arg(value_name = "CONFIG.toml")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) read: ModelArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// How a training is run.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Folder for the files [default: runs/CONFIG]
    #[arg(short = 'o', value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// Train on this data set instead of that of the configuration
    #[arg(long)]
    pub(crate) data: Option<String>,
    /// Certify on the test samples of this data set [default: that of the configuration, else that of the training]
    #[arg(long, value_name = "DATA")]
    pub(crate) test_data: Option<String>,
    /// Where to compute: `auto`, `cpu`, `cuda` or `cuda:N`
    #[arg(long, default_value = "auto", value_parser = parse::device)]
    pub(crate) device: Device,
    /// Go on with the training in the folder
    #[arg(long)]
    pub(crate) resume: bool,
    /// Overwrite existing files
    #[arg(long, conflicts_with = "resume")]
    pub(crate) force: bool,
}

/// Look for inputs that change the class, beside what is certified
///
/// Another program looks; every input that it finds is judged here by proof: its distance is rounded up and its logits are enclosed. So the robust
/// accuracy is an upper bound of the true one, as the certified accuracy is a lower one. An input within the certified radius of its sample would be a
/// fault of lipcert: exit status 2.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lipcert attack runs/digits/model.safetensors --data digits --eps 0.1,0.5,1
  lipcert attack model.pth --data cifar10:DIR --preprocess cifar10 --limit 500 --samples samples.csv")]
pub(crate) struct AttackArgs {
    /// Model file
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) read: ModelArgs,
    /// `digits`, `mnist:DIR`, `fashion-mnist:DIR`, `cifar10:DIR`, `cifar100:DIR` or `npz:FILE`
    #[arg(long)]
    pub(crate) data: String,
    /// Which part of the data
    #[arg(long, value_enum, default_value_t = Split::Test)]
    pub(crate) split: Split,
    /// Only the first N samples
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    pub(crate) limit: Option<usize>,
    /// Perturbation sizes in the ℓ2 norm, in units of the raw input
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "36/255,72/255,108/255,1")]
    pub(crate) eps: Vec<Epsilon>,
    /// Steps of each ascent
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = parse::positive_up_to(MOST_STEPS))]
    pub(crate) steps: usize,
    /// Ascents from different starts, for each loss
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = parse::positive_up_to(MOST_RESTARTS))]
    pub(crate) restarts: usize,
    /// Queries a sample of a second attack, which sees decisions only
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = parse::up_to(MOST_QUERIES))]
    pub(crate) queries: usize,
    /// Of the random starts
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Where to compute: `auto`, `cpu`, `cuda` or `cuda:N`
    #[arg(long, default_value = "auto", value_parser = parse::device)]
    pub(crate) device: Device,
    /// Write the result to this file
    #[arg(short = 'o', value_name = "FILE.json")]
    pub(crate) file: Option<PathBuf>,
    /// Write a row for each sample: index, label, predicted, certified radius, distance of the nearest input of another class
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) samples: Option<PathBuf>,
    /// Keep the inputs that were found
    #[arg(long, value_name = "FILE.safetensors")]
    pub(crate) inputs: Option<PathBuf>,
    /// Overwrite existing files
    #[arg(long)]
    pub(crate) force: bool,
}
