//! The file that says what is trained and how.
//!
//! It is TOML in the hands of a user and JSON on its way to the program that trains; unknown fields are refused. Every rate is a float64, every
//! fraction is one of the number of steps or of samples and lies in `[0, 1]`.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

mod check;
mod loss;

pub use check::ConfigError;
pub use loss::Loss;

/// The value of the field `schema`.
pub const SCHEMA: &str = "lipcert/train-config/1";

/// A whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// [`SCHEMA`].
    pub schema: String,
    /// Of all random numbers: the same seed gives the same weights on the same CPU with the same number of threads.
    #[serde(default)]
    pub seed: u64,
    /// The samples.
    pub data: Data,
    /// The network; absent where one is fine-tuned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkConfig>,
    /// What is minimised.
    pub loss: Loss,
    /// What is added to the loss.
    #[serde(default)]
    pub regularizer: Regularizer,
    /// How the weights move.
    pub optimizer: Optimizer,
    /// How the rate changes.
    #[serde(default)]
    pub schedule: Schedule,
    /// What is done to the training images.
    #[serde(default)]
    pub augment: Augment,
    /// Epochs, batches, precision.
    pub train: Run,
    /// Which layers of an existing network move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finetune: Option<Finetune>,
    /// What is certified afterwards.
    #[serde(default)]
    pub certify: Certify,
}

/// The samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Data {
    /// As `--data` of the command line: `digits`, `mnist:DIR`, `cifar10:DIR`, `npz:FILE` …; relative to the current folder.
    pub train: String,
    /// The same for certification, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// Fraction of the training samples, its last ones, that are never trained on and choose the best epoch; 0 keeps the last epoch.
    #[serde(default)]
    pub validation: f64,
    /// Only the first so many training samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A network: one of the [presets](super::preset), or layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NetworkConfig {
    /// Name of a preset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Name of the architecture that the checkpoint declares; lower-case letters, digits, hyphens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// As `--preprocess` of the command line; a part of the certified function. Nothing by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocess: Option<String>,
    /// The layers, see [`super::recipe`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// What is added to the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Regularizer {
    /// `−γ · mean(max(0, r))` with the radius `r` of each sample, for features that are 1-Lipschitz.
    #[serde(default)]
    pub certificate: f64,
    /// `γ` times the mean, over the ordered pairs of classes, of the bound on the curvature of a head with one hidden softplus layer.
    #[serde(default)]
    pub curvature: f64,
    /// `γ · Σ ‖WWᵀ − I‖²_F` over the plain dense weights and kernels, these as matrices of their rows, on the smaller side.
    #[serde(default)]
    pub orthogonality: f64,
}

/// How the weights move.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", deny_unknown_fields, rename_all = "kebab-case")]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd {
        /// Largest rate.
        rate: f64,
        /// Momentum.
        #[serde(default)]
        momentum: f64,
        /// Whether Nesterov's.
        #[serde(default)]
        nesterov: bool,
        /// `ℓ2` penalty on the weights, added to the gradient.
        #[serde(default)]
        decay: f64,
    },
    /// Adam; the decay is added to the gradient.
    Adam {
        /// Largest rate.
        rate: f64,
        /// Both decay rates.
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// Added to the denominator.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// `ℓ2` penalty.
        #[serde(default)]
        decay: f64,
    },
    /// Adam whose decay shrinks the weights themselves.
    AdamW {
        /// Largest rate.
        rate: f64,
        /// Both decay rates.
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// Added to the denominator.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// Decay of the weights.
        #[serde(default)]
        decay: f64,
    },
    /// Adam with Nesterov's momentum, and slow weights behind the fast ones.
    Nadam {
        /// Largest rate.
        rate: f64,
        /// Both decay rates.
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// Added to the denominator.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// `ℓ2` penalty.
        #[serde(default)]
        decay: f64,
        /// Every so many steps the slow weights follow; 0 for none.
        #[serde(default)]
        lookahead: usize,
        /// How far they follow, in `[0, 1]`.
        #[serde(default = "half")]
        follow: f64,
    },
}

impl Optimizer {
    /// The largest rate.
    #[must_use]
    pub const fn rate(&self) -> f64 {
        match self {
            Self::Sgd { rate, .. } | Self::Adam { rate, .. } | Self::AdamW { rate, .. } | Self::Nadam { rate, .. } => *rate,
        }
    }
}

/// How the rate changes over the steps, relative to the largest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Schedule {
    /// Which.
    #[serde(default)]
    pub kind: ScheduleKind,
    /// Fraction of the steps over which the rate is first multiplied by a line from 0 to 1.
    #[serde(default)]
    pub warm_up: f64,
    /// Where a `multi-step` schedule changes, in fractions of the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub milestones: Vec<f64>,
    /// By what a `multi-step` schedule multiplies there.
    #[serde(default = "tenth")]
    pub factor: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::default(),
            warm_up: 0.0,
            milestones: Vec::new(),
            factor: tenth(),
        }
    }
}

/// Which schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// No change.
    #[default]
    Constant,
    /// From 0 to 1 at 2/5 of the steps, to 1/20 at 4/5, to 0 at the end.
    Triangular,
    /// From 1/25 to 1 at 3/10 of the steps, to 1/250,000 at the end, along cosines.
    OneCycle,
    /// From 1 to 0 along a cosine.
    Cosine,
    /// Multiplied by `factor` at every milestone.
    MultiStep,
}

/// What is done to the training images, on the device, a batch at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Augment {
    /// Pixels of reflected border from which a crop of the original size is taken.
    #[serde(default)]
    pub crop: usize,
    /// Whether every second image is mirrored.
    #[serde(default)]
    pub flip: bool,
    /// Changes of colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Jitter>,
    /// Largest angle, in degrees.
    #[serde(default)]
    pub rotate: f64,
    /// Largest shift, in fractions of the side.
    #[serde(default)]
    pub shift: f64,
}

/// Changes of colour: factors are drawn from the intervals, the hue from `[−hue, hue]` turns of the circle.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Jitter {
    /// Interval of the factor of the brightness.
    #[serde(default = "unchanged")]
    pub brightness: [f64; 2],
    /// Of the contrast.
    #[serde(default = "unchanged")]
    pub contrast: [f64; 2],
    /// Of the saturation.
    #[serde(default = "unchanged")]
    pub saturation: [f64; 2],
    /// Of the hue, at most 0.5.
    #[serde(default)]
    pub hue: f64,
}

/// Epochs, batches, precision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Run {
    /// How often every sample is seen.
    pub epochs: usize,
    /// Samples of a step, of all processes and of all accumulated parts together.
    pub batch: usize,
    /// Number of parts of a batch that are computed one after the other.
    #[serde(default = "once")]
    pub accumulate: usize,
    /// Largest `ℓ2` norm of the gradient of all weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Largest magnitude of an entry of the gradient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_value: Option<f64>,
    /// In what the layers compute; weights are float32 always.
    #[serde(default)]
    pub precision: Precision,
    /// Largest radius at which the approximate certified accuracy is shown, in units of the raw input.
    #[serde(default = "shown_radius")]
    pub radius: f64,
    /// Write the state every so many epochs.
    #[serde(default = "once")]
    pub save_every: usize,
}

/// In what the layers compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// float32 throughout.
    #[default]
    Float32,
    /// Matrix products and convolutions of the passes in bfloat16; what is derived from the weights, such as `T`, in float32.
    Bfloat16,
}

/// Which parameters of an existing network move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Finetune {
    /// Which.
    #[serde(default)]
    pub parameters: Moving,
}

/// Which parameters move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moving {
    /// All.
    #[default]
    All,
    /// Those of the last layer that has any.
    Head,
    /// The tensors `bias` and `q`.
    BiasesAndScales,
}

/// What is certified afterwards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Certify {
    /// Perturbation sizes as `--eps` takes them: `"36/255"`, `"0.25"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eps: Vec<Size>,
    /// Only the first so many test samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A size as `--eps` takes it: the text, since a number would not be the one that was typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Size(pub String);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"a size in quotes, such as "0.25" or "36/255""#)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                Ok(Size(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

const fn one() -> f64 {
    1.0
}

const fn half() -> f64 {
    0.5
}

const fn tenth() -> f64 {
    0.1
}

const fn decay() -> f64 {
    0.99
}

const fn epsilon() -> f64 {
    1e-8
}

const fn betas() -> [f64; 2] {
    [0.9, 0.999]
}

const fn unchanged() -> [f64; 2] {
    [1.0, 1.0]
}

const fn once() -> usize {
    1
}

const fn shown_radius() -> f64 {
    36.0 / 255.0
}
