//! What is minimised: functions of the logits and the labels.

use lipcert_models::training::config::{ConfigError, Loss};
use tch::{Kind, Reduction, Tensor};

use crate::TrainError;

pub mod transport;

use transport::RunningMean;

/// Name of the running mean in a saved state.
const MEAN: &str = "loss.mean";

/// Bounds of the factor on the distances: EMMA asks for no less than this fraction of the perturbation.
const LEAST_FRACTION: f64 = 0.01;

/// A loss, with the state that it carries from one batch to the next.
#[derive(Debug)]
pub struct Criterion {
    loss: Loss,
    /// Of [`Loss::SoftHkr`] alone.
    mean: RunningMean,
}

impl Criterion {
    /// A loss before the first step.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Classes`] if the loss is for another number of classes.
    pub fn new(loss: &Loss, classes: usize) -> Result<Self, ConfigError> {
        loss.fits(classes)?;
        let mean = match *loss {
            Loss::SoftHkr { margin, .. } => RunningMean::new(margin),
            _ => RunningMean::new(1.0),
        };
        Ok(Self { loss: *loss, mean })
    }

    /// The mean of the loss over the samples of a batch, a tensor without dimensions that can be differentiated.
    ///
    /// `logits` is `(N, C)` and `labels` `(N)`, of int64. `distances` `(C, C)` holds how far a unit step of the features can move the difference of two
    /// logits, `‖w_i − w_j‖₂` for an affine head, and `gain` is the Lipschitz constant of the map from the raw input to the features; only
    /// [`Loss::Emma`] looks at both. The losses by Kantorovich and Rubinstein weigh a class by its part in this very batch, and [`Loss::SoftHkr`] moves its
    /// running mean at each call: of a batch in parts, the value depends on the parts.
    pub fn value(&mut self, logits: &Tensor, labels: &Tensor, distances: &Tensor, gain: f64) -> Tensor {
        match self.loss {
            Loss::CrossEntropy { offset, temperature } => offset_cross_entropy(logits, labels, offset, temperature),
            Loss::MultiMargin { margin } => multi_margin(logits, labels, margin),
            Loss::CrossEntropyMargin {
                offset,
                temperature,
                margin,
            } => offset_cross_entropy(logits, labels, offset, temperature) + multi_margin(logits, labels, margin),
            Loss::MarginBoosting {} => margin_boosting(logits, labels),
            Loss::TauCrossEntropy { tau } => cross_entropy(&(logits * tau), labels) / tau,
            Loss::CategoricalHinge { margin } => categorical_hinge(logits, labels, margin),
            Loss::Emma { epsilon } => emma(logits, labels, &(distances * (epsilon * gain))),
            Loss::Hkr { alpha, margin } => {
                let score = logits.select(1, 1) - logits.select(1, 0);
                transport::hkr(&score.unsqueeze(1), &labels.eq(1).unsqueeze(1), alpha, margin)
            }
            Loss::HkrMulticlass { alpha, margin } => transport::hkr_multiclass(logits, &own(logits, labels), alpha, margin),
            Loss::SoftHkr {
                alpha,
                margin,
                decay,
                temperature,
            } => {
                let temperature = temperature * margin / self.mean.follow(logits, decay).clamp(margin, 20_000.0);
                let temperature = temperature.clamp(0.005, 250.0).to_kind(logits.kind());
                transport::soft_hkr(logits, &own(logits, labels), alpha, margin, &temperature)
            }
            Loss::LogSumExpHkr {
                alpha,
                margin,
                penalty,
                temperature,
            } => transport::log_sum_exp_hkr(&(logits * temperature), &own(logits, labels), alpha, margin, penalty),
        }
        .mean(None::<Kind>)
    }

    /// The same without a trace: the running mean stays where it is.
    pub fn observe(&mut self, logits: &Tensor, labels: &Tensor, distances: &Tensor, gain: f64) -> Tensor {
        let kept = self.mean.value().copy();
        let value = self.value(logits, labels, distances, gain);
        self.mean.set(&kept);
        value
    }

    /// What a resumed training needs, by name; nothing for most losses.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        match self.loss {
            Loss::SoftHkr { .. } => vec![(MEAN.to_owned(), self.mean.value().copy())],
            _ => Vec::new(),
        }
    }

    /// Takes over a saved state; other names are passed over.
    ///
    /// # Errors
    ///
    /// [`TrainError::State`] if the state lacks a number that the loss carries.
    pub fn restore(&mut self, state: &[(String, Tensor)]) -> Result<(), TrainError> {
        if !matches!(self.loss, Loss::SoftHkr { .. }) {
            return Ok(());
        }
        let saved = state.iter().find(|(name, tensor)| name == MEAN && tensor.numel() == 1);
        let (_, tensor) = saved.ok_or_else(|| TrainError::State { name: MEAN.to_owned() })?;
        self.mean.set(tensor);
        Ok(())
    }
}

/// Where a logit is that of the label, `(N, C)` of booleans.
fn own(logits: &Tensor, labels: &Tensor) -> Tensor {
    labels.one_hot(logits.size()[1]).to_kind(Kind::Bool)
}

/// The logit of the label, `(N, 1)`.
fn labelled(logits: &Tensor, labels: &Tensor) -> Tensor {
    logits.gather(1, &labels.unsqueeze(1), false)
}

/// Cross-entropy, its mean over the samples.
fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    logits.cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, 0.0)
}

/// `t · CE((f − u · onehot(y)) / t, y)`.
fn offset_cross_entropy(logits: &Tensor, labels: &Tensor, offset: f64, temperature: f64) -> Tensor {
    let shifted = logits - own(logits, labels).to_kind(logits.kind()) * offset;
    cross_entropy(&(shifted / temperature), labels) * temperature
}

/// `Σ_{j ≠ y} max(0, m − f_y + f_j) / C`, `(N)`.
fn multi_margin(logits: &Tensor, labels: &Tensor, margin: f64) -> Tensor {
    let short = (logits - labelled(logits, labels) + margin).relu();
    let rivals = short.masked_fill(&own(logits, labels), 0.0);
    rivals.mean_dim(1, false, None::<Kind>)
}

/// Cross-entropy, and that of the rivals for the logits with the other sign; the sum over the rivals is divided by `C (C − 1)`, as in the authors' code
/// of SLL.
fn margin_boosting(logits: &Tensor, labels: &Tensor) -> Tensor {
    let classes = logits.size()[1];
    let rivals = -(-logits).log_softmax(1, None::<Kind>);
    let rivals = rivals.masked_fill(&own(logits, labels), 0.0).mean_dim(1, false, None::<Kind>);
    cross_entropy(logits, labels) + rivals / (classes - 1)
}

/// `max(0, m − f_y + max_{j ≠ y} f_j)`, `(N)`.
fn categorical_hinge(logits: &Tensor, labels: &Tensor, margin: f64) -> Tensor {
    let rival = logits.masked_fill(&own(logits, labels), f64::NEG_INFINITY).amax([1], false);
    (rival - labelled(logits, labels).squeeze_dim(1) + margin).relu()
}

/// EMMA of Hu et al., "Unlocking Deterministic Robustness Certification on ImageNet" (2023), as in its code: every rival is raised by the part of
/// `reach` `(C, C)` at which it would draw level, between 1/100 of it and the whole; that part is taken for a constant.
fn emma(logits: &Tensor, labels: &Tensor, reach: &Tensor) -> Tensor {
    let lead = logits - labelled(logits, labels);
    let reach = reach.index_select(0, labels);
    let part = (-&lead / reach.clamp_min(1e-8)).clamp(LEAST_FRACTION, 1.0).detach();
    cross_entropy(&(lead + part * reach), labels)
}
