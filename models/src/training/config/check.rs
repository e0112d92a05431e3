//! The ranges of the numbers.

use thiserror::Error;

use super::{Augment, Config, Loss, NetworkConfig, Optimizer, Regularizer, SCHEMA, ScheduleKind};

/// The most epochs: all of their steps can be counted.
const MOST_EPOCHS: usize = 1_000_000;
/// The most classes: there is room for the distances between all of them.
const MOST_CLASSES: usize = 10_000;

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
    #[error("`loss.kind` is for {expected}, and the data have {classes}")]
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
fn require_count(field: &'static str, value: usize, inside: bool, expected: &'static str) -> Result<(), ConfigError> {
    require(field, value as f64, inside, expected)
}

fn require_positive(field: &'static str, value: usize) -> Result<(), ConfigError> {
    require_count(field, value, value > 0, "at least 1")
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
        require_count(
            "train.epochs",
            self.train.epochs,
            self.train.epochs <= MOST_EPOCHS,
            "at most 1,000,000",
        )?;
        require_positive("train.batch", self.train.batch)?;
        require_count(
            "train.accumulate",
            self.train.accumulate,
            (1..=self.train.batch).contains(&self.train.accumulate),
            "from 1 to the size of a batch",
        )?;
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
        if self.schedule.kind == ScheduleKind::MultiStep && self.schedule.milestones.is_empty() {
            return Err(ConfigError::Missing {
                field: "schedule.milestones",
                why: "a multi-step schedule changes there",
            });
        }
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
            Self::Sgd {
                momentum,
                nesterov,
                decay,
                ..
            } => {
                below_one("optimizer.momentum", momentum)?;
                if nesterov && momentum == 0.0 {
                    return Err(ConfigError::Missing {
                        field: "optimizer.momentum",
                        why: "Nesterov's rule is about one",
                    });
                }
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
            _ if classes < 2 || classes > MOST_CLASSES => Err(ConfigError::Classes {
                classes,
                expected: "two to 10,000 classes",
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
            Self::MarginBoosting {} => Ok(()),
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
    pub fn fits(&self, side: usize) -> Result<(), ConfigError> {
        require_count(
            "augment.crop",
            self.crop,
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
