//! What the program that trains is asked, and what it answers: one JSON object in, one a line out.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Config;

/// What the program is asked, one object on its standard input. When the input ends, the program saves what it has and stops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "job", deny_unknown_fields, rename_all = "kebab-case")]
pub enum Job {
    /// What libtorch and CUDA say about themselves.
    Doctor,
    /// Train a network, fresh or existing.
    Train(Box<Train>),
    /// Look for inputs close by that are classified differently.
    Attack(Box<Attack>),
}

/// A training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Train {
    /// How.
    pub config: Config,
    /// Where the files go; it exists. `model.safetensors` is the result.
    pub folder: PathBuf,
    /// The network that training starts from, where it is none of the configuration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Model>,
    /// Whether the state in the folder is taken up again.
    #[serde(default)]
    pub resume: bool,
    /// Where it is computed.
    #[serde(default)]
    pub device: Device,
    /// Number of threads; those of libtorch's choice without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u16>,
}

/// A model file and what the caller knows beyond it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Model {
    /// The file.
    pub path: PathBuf,
    /// Declaration of its architecture, JSON; see [`crate::architecture`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declaration: Option<String>,
    /// As `--preprocess` of the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocess: Option<String>,
}

/// An attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Attack {
    /// The network.
    pub model: Model,
    /// As `--data` of the command line.
    pub data: String,
    /// Whether the test samples, else the training samples.
    pub test: bool,
    /// Only the first so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Sizes of the perturbations, in units of the raw input.
    pub epsilons: Vec<f64>,
    /// Steps of each ascent, at most [`MOST_STEPS`].
    pub steps: usize,
    /// Ascents from different starts, for each loss; at most [`MOST_RESTARTS`].
    pub restarts: usize,
    /// Queries a sample of the attack that sees decisions only; 0 for none, at most [`MOST_QUERIES`].
    pub queries: usize,
    /// Of the random starts.
    pub seed: u64,
    /// Where the inputs that were found go: safetensors, see [`ATTACK_INPUT`].
    pub output: PathBuf,
    /// Where it is computed.
    #[serde(default)]
    pub device: Device,
    /// Number of threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u16>,
}

/// The most steps of an ascent.
pub const MOST_STEPS: usize = 1_000_000;
/// The most ascents from different starts.
pub const MOST_RESTARTS: usize = 1_000;
/// The most queries a sample.
pub const MOST_QUERIES: usize = 1_000_000_000;

/// Tensor of the output of an attack: `(M, C·H·W)` float64, inputs that were classified as another class than the sample's label.
pub const ATTACK_INPUT: &str = "input";
/// `(M,)` int64: place of the sample among those that were attacked.
pub const ATTACK_SAMPLE: &str = "sample";
/// `(M,)` int64: place of the size among those that were asked for; −1 for the attack that has none.
pub const ATTACK_EPSILON: &str = "epsilon";

/// Where it is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// The first CUDA device if there is one (that of `LOCAL_RANK` with several processes), else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA device.
    Cuda(usize),
}

/// What the program says, one object a line on its standard output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The answer to [`Job::Doctor`].
    Doctor(Doctor),
    /// Training or attack begins.
    Started {
        /// Where: `cpu`, `cuda:0`.
        device: String,
        /// Number of parameters.
        parameters: usize,
        /// Number of those that are trained.
        moving: usize,
        /// Steps in all.
        steps: usize,
        /// Steps already done, where a state was taken up.
        done: usize,
        /// Samples that are trained on, or attacked.
        samples: usize,
    },
    /// Steps were made.
    Step(Step),
    /// An epoch ended.
    Epoch(Epoch),
    /// Something that the user should know.
    Warning {
        /// In a sentence.
        message: String,
    },
    /// An attack went on.
    Attack(AttackProgress),
    /// The end; the result is written.
    Finished {
        /// The model, or the inputs that an attack found.
        file: PathBuf,
        /// SHA-256 of the model, where there is one: nobody else's file is taken for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
        /// Whether the caller asked to stop before the end.
        stopped: bool,
        /// Which epoch the model is of, from 0: that with the highest approximate certified accuracy on the held-out samples, else the last. Nothing
        /// if it is of the last step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        best: Option<usize>,
    },
    /// The end; there is no result.
    Failed {
        /// In a sentence, with file, tensor or number.
        message: String,
    },
}

/// Progress within an epoch. None of these numbers is a claim.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// From 0.
    pub epoch: usize,
    /// Steps done in all.
    pub step: usize,
    /// Loss of the last batch.
    pub loss: f64,
    /// Fraction of the epoch's samples so far that were classified correctly.
    pub accuracy: f64,
    /// The same with a radius of at least the configuration's `train.radius`, in float arithmetic and for the layers' nominal bounds.
    pub approx_certified: f64,
    /// Samples a second.
    pub rate: f64,
}

/// An epoch. None of these numbers is a claim.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 0.
    pub epoch: usize,
    /// Mean loss.
    pub loss: f64,
    /// On the training samples as they were seen.
    pub accuracy: f64,
    /// The same with a radius, see [`Step`].
    pub approx_certified: f64,
    /// On the held-out samples, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<HeldOut>,
    /// Rate of the optimiser at the last step.
    pub learning_rate: f64,
    /// Wall-clock time.
    pub seconds: f64,
}

/// Fractions of the held-out samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// Mean loss.
    pub loss: f64,
    /// Classified correctly.
    pub accuracy: f64,
    /// And with a radius, see [`Step`].
    pub approx_certified: f64,
}

/// How far an attack is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttackProgress {
    /// Size of the perturbations; nothing for the attack that sees decisions only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Which ascent, from 0, over all sizes; the attack that sees decisions only comes last. `Started` says how many there are.
    pub step: usize,
    /// Samples that stood before it.
    pub samples: usize,
    /// Those of them that were tried so far.
    pub tried: usize,
    /// Those of them that were misled.
    pub misled: usize,
}

/// What libtorch and CUDA say about themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doctor {
    /// Version that the program was built for.
    pub libtorch: String,
    /// Threads that libtorch uses.
    pub threads: i32,
    /// Number of usable CUDA devices.
    pub cuda_devices: i64,
    /// Why the CUDA half of libtorch could not be opened, if so.
    pub cuda_error: Option<String>,
    /// Whether cuDNN is usable.
    pub cudnn: bool,
}
