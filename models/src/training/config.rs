//! The file that says what is trained and how.
//!
//! It is TOML in the hands of a user and JSON on its way to the program that trains; unknown fields are refused. Every rate is a float64, every
//! fraction is one of the number of steps or of samples and lies in `[0, 1]`.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The value of the field `schema`.
pub const SCHEMA: &str = "lipcert/train/1";

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

/// What is minimised: the mean over the samples of a function of the logits `f` `(N, C)` and the labels `y`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", deny_unknown_fields, rename_all = "kebab-case")]
pub enum Loss {
    /// `t · CE((f − u · onehot(y)) / t, y)`.
    CrossEntropy {
        /// `u`.
        #[serde(default)]
        offset: f64,
        /// `t`.
        #[serde(default = "one")]
        temperature: f64,
    },
    /// `Σ_{j ≠ y} max(0, m − f_y + f_j) / C`.
    MultiMargin {
        /// `m`.
        margin: f64,
    },
    /// The sum of the two above.
    CrossEntropyMargin {
        /// `u`.
        #[serde(default)]
        offset: f64,
        /// `t`.
        #[serde(default = "one")]
        temperature: f64,
        /// `m`.
        margin: f64,
    },
    /// `CE(f, y) + Σ_{j ≠ y} −log softmax(−f)_j / (C (C − 1))`.
    MarginBoosting,
    /// `CE(τ f, y) / τ`.
    TauCrossEntropy {
        /// `τ`.
        tau: f64,
    },
    /// `max(0, m − f_y + max_{j ≠ y} f_j)`.
    CategoricalHinge {
        /// `m`.
        margin: f64,
    },
    /// Hinge and Kantorovich–Rubinstein, for two classes; `f₁ − f₀` is the score.
    Hkr {
        /// Weight of the hinge, in `[0, 1]`.
        alpha: f64,
        /// Margin of the hinge.
        margin: f64,
    },
    /// The same, one class against the others.
    HkrMulticlass {
        /// Weight of the hinge, in `[0, 1]`.
        alpha: f64,
        /// Margin of the hinge.
        margin: f64,
    },
    /// The same, the others weighted by a softmax.
    SoftHkr {
        /// Weight of the hinge, in `[0, 1]`.
        alpha: f64,
        /// Margin of the hinge.
        margin: f64,
        /// Of the running mean of `|f|`, in `[0, 1)`.
        #[serde(default = "decay")]
        decay: f64,
        /// Of the softmax, relative to that mean.
        #[serde(default = "one")]
        temperature: f64,
    },
    /// The same, the others joined by a logarithm of a sum of exponentials.
    LogSumExpHkr {
        /// Weight of the hinge, in `[0, 1]`.
        alpha: f64,
        /// Margin of the hinge.
        margin: f64,
        /// Divides the temperature.
        #[serde(default = "one")]
        penalty: f64,
        /// Multiplies the temperature.
        #[serde(default = "one")]
        temperature: f64,
    },
    /// Cross-entropy with every rival raised by what a perturbation of the size at hand can move it: `ε` follows the samples' own radii, class by class.
    Emma {
        /// Largest `ε`, in units of the raw input.
        epsilon: f64,
    },
}

/// What is added to the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Regularizer {
    /// `−γ · mean(max(0, r))` with the radius `r` of each sample, for features that are 1-Lipschitz.
    #[serde(default)]
    pub certificate: f64,
    /// `γ` times the mean over the classes of the bound on the curvature of a head with one hidden softplus layer.
    #[serde(default)]
    pub curvature: f64,
    /// `γ · Σ ‖WWᵀ − I‖²_F` over the plain dense weights and kernels, on the smaller side.
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
    /// Fraction of the steps over which the rate first rises from 0 in a line.
    #[serde(default)]
    pub warm_up: f64,
    /// Where a `multi-step` schedule divides, in fractions of the steps.
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
    /// Products in bfloat16, on CUDA only.
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
    pub eps: Vec<String>,
    /// Only the first so many test samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
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

/// Why a configuration is refused. Every variant names the field.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// Another schema, or none of ours.
    #[error("schema is `{found}`, expected `{SCHEMA}`")]
    Schema {
        /// The text in the file.
        found: String,
    },
    /// A number that is out of range.
    #[error("`{field}` is {value}, expected {expected}")]
    Range {
        /// Path of the field, with points.
        field: &'static str,
        /// The number.
        value: f64,
        /// The range, in words.
        expected: &'static str,
    },
    /// A part that is missing.
    #[error("`{field}` is missing: {why}")]
    Missing {
        /// Path of the field.
        field: &'static str,
        /// When it may be.
        why: &'static str,
    },
    /// Two fields of which only one may be there.
    #[error("both `{first}` and `{second}` are given")]
    Both {
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A loss for another number of classes.
    #[error("`loss.kind` is for {expected}, and the network has {classes}")]
    Classes {
        /// The number of classes.
        classes: usize,
        /// The number that it is for, in words.
        expected: &'static str,
    },
}

/// Refuses a number outside a range; NaN is outside every one.
fn require(field: &'static str, value: f64, inside: bool, expected: &'static str) -> Result<(), ConfigError> {
    if inside && value.is_finite() {
        Ok(())
    } else {
        Err(ConfigError::Range { field, value, expected })
    }
}

#[expect(clippy::cast_precision_loss, reason = "for a message")]
fn require_positive(field: &'static str, value: usize) -> Result<(), ConfigError> {
    require(field, value as f64, value > 0, "at least 1")
}

impl Config {
    /// Checks every number.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the first field that is out of range, missing or there without reason.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.schema != SCHEMA {
            let found = self.schema.chars().take(60).collect();
            return Err(ConfigError::Schema { found });
        }
        let fraction = |field, value: f64| require(field, value, (0.0..=1.0).contains(&value), "a number from 0 to 1");
        let some = |field, value: Option<usize>| value.map_or(Ok(()), |value| require_positive(field, value));
        require(
            "data.validation",
            self.data.validation,
            (0.0..1.0).contains(&self.data.validation),
            "a number from 0 to less than 1",
        )?;
        some("data.limit", self.data.limit)?;
        some("certify.limit", self.certify.limit)?;
        require_positive("train.epochs", self.train.epochs)?;
        require_positive("train.batch", self.train.batch)?;
        require_positive("train.accumulate", self.train.accumulate)?;
        require_positive("train.save-every", self.train.save_every)?;
        let positive = |field, value: f64| require(field, value, value > 0.0, "a positive number");
        let natural = |field, value: f64| require(field, value, value >= 0.0, "zero or a positive number");
        positive("train.radius", self.train.radius)?;
        for (field, value) in [
            ("train.clip-norm", self.train.clip_norm),
            ("train.clip-value", self.train.clip_value),
        ] {
            value.map_or(Ok(()), |value| positive(field, value))?;
        }
        fraction("schedule.warm-up", self.schedule.warm_up)?;
        for milestone in &self.schedule.milestones {
            fraction("schedule.milestones", *milestone)?;
        }
        positive("schedule.factor", self.schedule.factor)?;
        let Regularizer {
            certificate,
            curvature,
            orthogonality,
        } = self.regularizer;
        natural("regularizer.certificate", certificate)?;
        natural("regularizer.curvature", curvature)?;
        natural("regularizer.orthogonality", orthogonality)?;
        self.optimizer.check()?;
        self.loss.check()?;
        self.augment.check()?;
        match &self.network {
            Some(NetworkConfig {
                preset: Some(_), layers, ..
            }) if !layers.is_empty() => Err(ConfigError::Both {
                first: "network.preset",
                second: "network.layers",
            }),
            Some(NetworkConfig {
                preset: None, layers, ..
            }) if layers.is_empty() => Err(ConfigError::Missing {
                field: "network.layers",
                why: "a network is a preset or a list of layers",
            }),
            _ => Ok(()),
        }
    }
}

impl Optimizer {
    fn check(&self) -> Result<(), ConfigError> {
        let rate = self.rate();
        require("optimizer.rate", rate, rate > 0.0, "a positive number")?;
        let natural = |field, value: f64| require(field, value, value >= 0.0, "zero or a positive number");
        let below_one = |field, value: f64| require(field, value, (0.0..1.0).contains(&value), "a number from 0 to less than 1");
        match *self {
            Self::Sgd { momentum, decay, .. } => {
                below_one("optimizer.momentum", momentum)?;
                natural("optimizer.decay", decay)
            }
            Self::Adam {
                betas, epsilon, decay, ..
            }
            | Self::AdamW {
                betas, epsilon, decay, ..
            }
            | Self::Nadam {
                betas, epsilon, decay, ..
            } => {
                below_one("optimizer.betas", betas[0])?;
                below_one("optimizer.betas", betas[1])?;
                require("optimizer.epsilon", epsilon, epsilon > 0.0, "a positive number")?;
                if let Self::Nadam { follow, .. } = *self {
                    require(
                        "optimizer.follow",
                        follow,
                        (0.0..=1.0).contains(&follow),
                        "a number from 0 to 1",
                    )?;
                }
                natural("optimizer.decay", decay)
            }
        }
    }
}

impl Loss {
    /// Checks the loss against a number of classes.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Classes`].
    pub const fn fits(&self, classes: usize) -> Result<(), ConfigError> {
        match self {
            Self::Hkr { .. } if classes != 2 => Err(ConfigError::Classes {
                classes,
                expected: "two classes",
            }),
            _ if classes < 2 => Err(ConfigError::Classes {
                classes,
                expected: "two classes or more",
            }),
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let positive = |field, value: f64| require(field, value, value > 0.0, "a positive number");
        let fraction = |field, value: f64| require(field, value, (0.0..=1.0).contains(&value), "a number from 0 to 1");
        let finite = |field, value: f64| require(field, value, true, "a finite number");
        match *self {
            Self::CrossEntropy { offset, temperature } => {
                finite("loss.offset", offset)?;
                positive("loss.temperature", temperature)
            }
            Self::MultiMargin { margin } | Self::CategoricalHinge { margin } => positive("loss.margin", margin),
            Self::CrossEntropyMargin {
                offset,
                temperature,
                margin,
            } => {
                finite("loss.offset", offset)?;
                positive("loss.temperature", temperature)?;
                positive("loss.margin", margin)
            }
            Self::MarginBoosting => Ok(()),
            Self::TauCrossEntropy { tau } => positive("loss.tau", tau),
            Self::Emma { epsilon } => positive("loss.epsilon", epsilon),
            Self::Hkr { alpha, margin } | Self::HkrMulticlass { alpha, margin } => {
                fraction("loss.alpha", alpha)?;
                positive("loss.margin", margin)
            }
            Self::SoftHkr {
                alpha,
                margin,
                decay,
                temperature,
            } => {
                fraction("loss.alpha", alpha)?;
                positive("loss.margin", margin)?;
                positive("loss.temperature", temperature)?;
                require(
                    "loss.decay",
                    decay,
                    (0.0..1.0).contains(&decay),
                    "a number from 0 to less than 1",
                )
            }
            Self::LogSumExpHkr {
                alpha,
                margin,
                penalty,
                temperature,
            } => {
                fraction("loss.alpha", alpha)?;
                positive("loss.margin", margin)?;
                positive("loss.penalty", penalty)?;
                positive("loss.temperature", temperature)
            }
        }
    }
}

impl Augment {
    /// Checks the border against the smaller side of the images.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Range`].
    #[expect(clippy::cast_precision_loss, reason = "for a message")]
    pub fn fits(&self, side: usize) -> Result<(), ConfigError> {
        require(
            "augment.crop",
            self.crop as f64,
            self.crop == 0 || self.crop < side,
            "fewer pixels than the image has on a side",
        )
    }

    fn check(&self) -> Result<(), ConfigError> {
        require(
            "augment.rotate",
            self.rotate,
            (0.0..=180.0).contains(&self.rotate),
            "degrees from 0 to 180",
        )?;
        require(
            "augment.shift",
            self.shift,
            (0.0..=1.0).contains(&self.shift),
            "a number from 0 to 1",
        )?;
        let Some(jitter) = &self.jitter else { return Ok(()) };
        for (field, [low, high]) in [
            ("augment.jitter.brightness", jitter.brightness),
            ("augment.jitter.contrast", jitter.contrast),
            ("augment.jitter.saturation", jitter.saturation),
        ] {
            require(field, low, low >= 0.0, "zero or a positive number")?;
            require(field, high, high >= low, "an interval with the smaller number first")?;
        }
        require(
            "augment.jitter.hue",
            jitter.hue,
            (0.0..=0.5).contains(&jitter.hue),
            "a number from 0 to 0.5",
        )
    }
}
