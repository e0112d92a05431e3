//! The command line: structs and help texts only.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lipcert::results::Epsilon;

/// Formally verifies Lipschitz-bounded neural networks
#[derive(Debug, Parser)]
#[command(name = "lipcert", version, propagate_version = true, arg_required_else_help = true, after_help = STATUS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the exit status says.
const STATUS: &str = "\
Exit status:
  0  the claim is certified, or the job is done
  1  the tool worked and a claim is not proved (with --strict: or is conditional)
  2  bad usage, unreadable or malformed input, non-finite weights, or a fault";

/// Flags of every command.
#[derive(Debug, Args)]
pub(crate) struct GlobalArgs {
    /// Print exactly one JSON object on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress, no warnings, no hints
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more about what is done
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// Number of threads [default: one for each core]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// A conditional verdict is exit status 1
    #[arg(long, global = true)]
    pub(crate) strict: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Inspect(InspectArgs),
    Verify(VerifyArgs),
    Check(CheckArgs),
    Certify(CertifyArgs),
    Report(ReportArgs),
    Demo(DemoArgs),
}

/// Say what is in a model file and what is odd about it
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lipcert inspect model.pth
  lipcert inspect model.pth --json")]
pub(crate) struct InspectArgs {
    /// Model file (.pth, .pt, .safetensors); the format is found from its bytes
    pub(crate) model: PathBuf,
}

/// How to read a model file.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// Input shape, channels × height × width [default: that of the data or of the file]
    #[arg(long, value_name = "CxHxW", value_parser = input_shape)]
    pub(crate) input: Option<[usize; 3]>,
    /// What is done to the raw input, a part of the certified function: `cifar10`, `mnist`, `none` or `mean=a,b,c;std=d,e,f`
    #[arg(long, value_name = "NAME", default_value = "none")]
    pub(crate) preprocess: String,
    /// Which network the file holds; `auto` finds out from names and shapes
    #[arg(long, value_enum, default_value_t = Arch::Auto)]
    pub(crate) arch: Arch,
}

/// Where the architecture comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    /// Names and shapes of the tensors, or the metadata of our own files
    Auto,
}

/// Where to write, and whether over something.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Write to this file as well; never over an existing one without --force
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Overwrite existing files
    #[arg(long)]
    pub(crate) force: bool,
}

/// Prove a Lipschitz bound of a network
#[derive(Debug, Args)]
#[command(after_help = STATUS, after_long_help = "\
Examples:
  lipcert verify model.pth --input 3x32x32 --preprocess cifar10
  lipcert verify model.pth --input 3x32x32 -o certificate.json
  lipcert verify model.pth --input 3x32x32 --bound pair:3,5 --json

Exit status:
  0  certified    1  not proved (with --strict: or conditional)    2  bad usage, bad input, fault")]
pub(crate) struct VerifyArgs {
    /// Model file (.pth, .pt, .safetensors)
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) read: ModelArgs,
    /// How the bound is proved
    #[arg(long, value_enum, default_value_t = Method::Auto)]
    pub(crate) method: Method,
}

/// How a bound is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// The best one for the architecture
    Auto,
    /// One rule a layer, and the product of the layers' bounds
    Layers,
}
