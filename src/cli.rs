//! The command line: structs and help texts only.

use std::path::PathBuf;

use self::train::{AttackArgs, FinetuneArgs, TrainArgs};
use clap::{Args, Parser, Subcommand, ValueEnum};
use lipcert::jobs::solve::Goal;
use lipcert::results::Epsilon;
use lipcert_proofs::statement::{Output, Shape};

mod parse;
pub(crate) mod train;

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
#[command(next_help_heading = "Options of every command")]
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
    Solve(SolveArgs),
    Explore(ExploreArgs),
    Train(TrainArgs),
    Finetune(FinetuneArgs),
    Attack(AttackArgs),
    Report(ReportArgs),
    Demo(DemoArgs),
    /// Say what this build and this machine can do
    #[command(after_long_help = "\
Examples:
  lipcert doctor
  lipcert doctor --json")]
    Doctor,
}

/// Say what is in a model file and what is odd about it
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lipcert inspect model.pth
  lipcert inspect model.pth --json")]
pub(crate) struct InspectArgs {
    /// Model file (.pth, .pt, .safetensors, .onnx, .npz, .mat, text); the format is found from its bytes
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) read: ModelArgs,
}

/// How to read a model file.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// Input shape, channels × height × width [default: that of the data or of the file]
    #[arg(long, value_name = "CxHxW|N", value_parser = parse::input_shape)]
    pub(crate) input: Option<Shape>,
    /// What is done to the raw input, a part of the certified function: `mean=a,b,c;std=d,e,f` (without std: 1) or a name [default: what the file
    /// declares, else none]
    ///
    /// Names: `none`; `cifar10` = mean 0.4913,0.4821,0.4465 and `cifar100` = mean 0.5071,0.4865,0.4409, std 1, as in the SLL authors' code (not
    /// torchvision's); `mnist` = mean 0.1307, std 0.3081.
    #[arg(long, value_name = "NAME")]
    pub(crate) preprocess: Option<String>,
    /// Which network the file holds: `auto` finds out from names and shapes, a TOML file declares it
    #[arg(long, value_name = "auto|FILE.toml", default_value = "auto")]
    pub(crate) arch: Arch,
}

/// How the architecture is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arch {
    /// From the file.
    Auto,
    /// From a declaration.
    File(PathBuf),
}

impl Arch {
    /// The declaration, if there is one.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match self {
            Self::Auto => None,
            Self::File(path) => Some(path.clone()),
        }
    }
}

impl std::str::FromStr for Arch {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "auto" { Self::Auto } else { Self::File(text.into()) })
    }
}

/// Prove a Lipschitz bound of a network
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lipcert verify net.onnx
  lipcert verify net.npz --method product --output class:3
  lipcert verify model.pth --input 3x32x32 --preprocess cifar10
  lipcert verify model.pth --input 3x32x32 -o certificate.json
  lipcert verify model.pth --input 3x32x32 --output pair:3,5 --json")]
pub(crate) struct VerifyArgs {
    /// Model file (.pth, .pt, .safetensors, .onnx, .npz, .mat, text); the format is found from its bytes
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) read: ModelArgs,
    /// How the bound is proved
    #[arg(long, value_enum, default_value_t = Method::Auto)]
    pub(crate) method: Method,
    /// Who looks for the multipliers of lipsdp-neuron; nobody trusts them
    #[arg(long, value_enum, default_value_t = SolverArg::Structured)]
    pub(crate) solver: SolverArg,
    /// Bounded output: `all`, `features`, `class:i` or `pair:i,j` (zero-based)
    #[arg(long, value_name = "OUTPUT", default_value = "all", value_parser = parse::output)]
    pub(crate) output: Output,
    /// Write the certificate to this file
    #[arg(short = 'o', value_name = "CERT.json")]
    pub(crate) file: Option<PathBuf>,
    /// Overwrite existing files
    #[arg(long)]
    pub(crate) force: bool,
}

/// How a bound is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// The best one for the architecture
    Auto,
    /// One rule for each layer; the bounds of the layers are multiplied
    Layers,
    /// The product of the norms of the weights of a dense network
    Product,
    /// LipSDP, one multiplier a layer by the closed form ECLipsE-Fast
    EclipseFast,
    /// LipSDP, the best of a family of closed forms
    Recursion,
    /// LipSDP, the best single multiplier a layer
    LipsdpLayer,
    /// LipSDP, the best multiplier for each neuron
    LipsdpNeuron,
}

/// Who looks for the multipliers of LipSDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SolverArg {
    /// The barrier method for chains of layers
    Structured,
    /// The general interior-point solver
    Clarabel,
}

/// Check a certificate again, from its evidence alone
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lipcert check certificate.json model.pth
  lipcert check certificate.json model.pth --json")]
pub(crate) struct CheckArgs {
    /// Certificate file that `lipcert verify -o` wrote
    pub(crate) certificate: PathBuf,
    /// Model file that the certificate speaks of
    pub(crate) model: PathBuf,
    /// The declaration that the certificate was made with: `auto` or a TOML file
    #[arg(long, value_name = "auto|FILE.toml", default_value = "auto")]
    pub(crate) arch: Arch,
}

/// Prove how many samples no perturbation can change
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lipcert certify model.pth --data cifar10:DIR --preprocess cifar10
  lipcert certify digits.pth --data digits --eps 0.1,0.5,1 --samples samples.csv
  lipcert certify a.pth b.pth --data cifar10:DIR --preprocess cifar10 -o run.json")]
pub(crate) struct CertifyArgs {
    /// Model files, or folders of them; of several models the mean is given too
    #[arg(required = true, value_name = "MODEL")]
    pub(crate) models: Vec<PathBuf>,
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
    /// Only part i of n equal parts, zero-based
    #[arg(long, value_name = "i/n", value_parser = parse::shard)]
    pub(crate) shard: Option<Shard>,
    /// Perturbation sizes in the ℓ2 norm, in units of the raw input
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "36/255,72/255,108/255,1")]
    pub(crate) eps: Vec<Epsilon>,
    /// Which function is certified
    #[arg(long, value_enum, default_value_t = SemanticsArg::Real)]
    pub(crate) semantics: SemanticsArg,
    /// How the Lipschitz bound is proved
    #[arg(long, value_enum, default_value_t = Method::Auto)]
    pub(crate) method: Method,
    /// Write a row for each sample: index, label, predicted, margin, radius
    ///
    /// No input within the radius changes the predicted class, right or wrong. A sample counts as certified at ε if predicted = label and
    /// radius ≥ ε.
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) samples: Option<PathBuf>,
    /// Write the run to this file, for `lipcert report`
    #[arg(short = 'o', value_name = "RUN.json")]
    pub(crate) file: Option<PathBuf>,
    /// Overwrite existing files
    #[arg(long)]
    pub(crate) force: bool,
}

/// Part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Split {
    /// The test samples
    Test,
    /// The training samples
    Train,
}

/// Part `index` of `count` equal parts, zero-based.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) index: usize,
    pub(crate) count: usize,
}

/// Which function is certified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SemanticsArg {
    /// The map over the real numbers, with the weights as stored
    Real,
}

/// Find the best diagonal T of the common condition for one matrix
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lipcert solve weight.npy
  lipcert solve weight.npy --objective max --json
  lipcert solve model.pth#module.model.model.4.weight --side rows")]
pub(crate) struct SolveArgs {
    /// A `.npy` file, or a model file, `#` and the name of a tensor
    #[arg(value_name = "WEIGHT")]
    pub(crate) weight: String,
    /// What is minimised: `trace`, `max`, or `weighted:FILE.npy` with a positive weight for each entry of T
    #[arg(long, default_value = "trace", value_parser = parse::goal)]
    pub(crate) objective: Goal,
    /// `columns` for WᵀW ⪯ T; `rows` for W Wᵀ ⪯ T, the condition of the weights of SLL checkpoints
    #[arg(long, value_enum, default_value_t = SideArg::Columns)]
    pub(crate) side: SideArg,
    /// Write the result, T included, to this file
    #[arg(short = 'o', value_name = "FILE.json")]
    pub(crate) file: Option<PathBuf>,
    /// Overwrite existing files
    #[arg(long)]
    pub(crate) force: bool,
}

/// Which Gram matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SideArg {
    /// One entry of T a column
    Columns,
    /// One entry of T a row
    Rows,
}

/// Try a formula for T in WᵀW ⪯ T: break it, or measure how tight it is
///
/// A family is a script that computes T from a weight W. The search tries random and structured weights and climbs from the worst ones; a weight
/// at which WᵀW ⪯ T is false is made small and the falsehood is proved in exact arithmetic. A search that finds nothing proves nothing.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Families: aol, sll, perron, spectral, frobenius, gram-2, signed-row-sums (wrong on purpose)

Examples:
  lipcert explore signed-row-sums
  lipcert explore idea.lua --trials 100000 --plot idea.svg
  lipcert explore idea.lua -o counterexample.npy -o result.json
  lipcert explore sll --weight model.pth#module.model.model.4.weight --side rows

Exit status:
  0  no counterexample in so many trials, or the condition is certified for --weight
  1  a counterexample was found, or the condition is not certified for --weight
  2  the script is wrong or used too much, or anything else is unreadable")]
pub(crate) struct ExploreArgs {
    /// Name of a family, or a file with a script
    #[arg(value_name = "FAMILY|FILE")]
    pub(crate) family: String,
    /// How many weights are tried
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = parse::positive, conflicts_with = "weight")]
    pub(crate) trials: usize,
    /// Largest number of rows and columns of a weight
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256), conflicts_with = "weight")]
    pub(crate) size: u16,
    /// Start of the random numbers: the same seed gives the same result for any number of threads
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "weight")]
    pub(crate) seed: u64,
    /// Check the family for this weight instead: a `.npy` file, or a model file, `#` and the name of a tensor
    #[arg(long, value_name = "WEIGHT")]
    pub(crate) weight: Option<String>,
    /// `columns` for WᵀW ⪯ T; `rows` for W Wᵀ ⪯ T, the condition of the weights of SLL checkpoints
    #[arg(long, value_enum, default_value_t = SideArg::Columns, requires = "weight")]
    pub(crate) side: SideArg,
    /// Write the counterexample's W (`.npy`) or the whole result (`.json`); may be given twice
    #[arg(short = 'o', value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Draw the comparison
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    /// Overwrite existing files
    #[arg(long)]
    pub(crate) force: bool,
}

/// Put runs into a document that anyone can read
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lipcert report run.json -o report.html
  lipcert report a.json b.json -o report.md -o report.json
  lipcert report run.json")]
pub(crate) struct ReportArgs {
    /// Files that `lipcert certify -o` wrote
    #[arg(required = true, value_name = "RUN.json")]
    pub(crate) runs: Vec<PathBuf>,
    /// Document to write, `.html`, `.md` or `.json`; may be given several times
    #[arg(short = 'o', value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Overwrite existing files
    #[arg(long)]
    pub(crate) force: bool,
}

/// Run the whole job on a network and data that are built in
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lipcert demo
  lipcert demo -o demo-files")]
pub(crate) struct DemoArgs {
    /// Write the certificate, the run and the report into this folder
    #[arg(short = 'o', value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// Overwrite existing files
    #[arg(long)]
    pub(crate) force: bool,
}
