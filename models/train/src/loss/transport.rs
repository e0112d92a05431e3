//! Losses of the dual of optimal transport by Kantorovich and Rubinstein, with a hinge.
//!
//! The numbers are those of deel-torchlip: Serrurier et al., "Achieving robustness in classification using optimal transport with hinge regularization"
//! (2021), and for the softmax "On the explainable properties of 1-Lipschitz Neural Networks: An Optimal Transport Perspective" (2023). A hinge of margin `m`
//! asks every score for a distance of `m / 2` from 0. All functions return one number a sample, `(N)`.

use tch::{Kind, Tensor};

/// Of every score: its product with `1 / p` where it is `positive` and with `−1 / (1 − p)` elsewhere, `p` the part of the samples of the batch that are
/// positive; the mean over the scores of a sample. `scores` and `positive` are `(N, K)`.
pub fn kantorovich_rubinstein(scores: &Tensor, positive: &Tensor) -> Tensor {
    let part = positive.to_kind(scores.kind()).mean_dim(0, true, None::<Kind>);
    let weight = part.reciprocal().where_self(positive, &(&part - 1.0).reciprocal());
    (scores * weight).mean_dim(1, false, None::<Kind>)
}

/// `max(0, m / 2 ∓ f)`, the mean over the scores of a sample.
pub fn hinge(scores: &Tensor, positive: &Tensor, margin: f64) -> Tensor {
    short(&signed(scores, positive), margin).mean_dim(1, false, None::<Kind>)
}

/// The same with `K − 1` times the weight on the positive score.
pub fn hinge_multiclass(scores: &Tensor, positive: &Tensor, margin: f64) -> Tensor {
    let short = short(&signed(scores, positive), margin);
    let weighted = &short * (scores.size()[1] - 1);
    weighted.where_self(positive, &short).mean_dim(1, false, None::<Kind>)
}

/// `α · hinge − (1 − α) · KR`.
pub fn hkr(scores: &Tensor, positive: &Tensor, alpha: f64, margin: f64) -> Tensor {
    hinge(scores, positive, margin) * alpha - kantorovich_rubinstein(scores, positive) * (1.0 - alpha)
}

/// The same with the hinge for several classes.
pub fn hkr_multiclass(scores: &Tensor, positive: &Tensor, alpha: f64, margin: f64) -> Tensor {
    hinge_multiclass(scores, positive, margin) * alpha - kantorovich_rubinstein(scores, positive) * (1.0 - alpha)
}

/// Sums in which the positive score has weight 1 and the others that of a softmax of their own, sharpened by `temperature`.
pub fn soft_hkr(scores: &Tensor, positive: &Tensor, alpha: f64, margin: f64, temperature: &Tensor) -> Tensor {
    let rivals = (scores * temperature).masked_fill(positive, f64::NEG_INFINITY);
    let weight = rivals.softmax(1, None::<Kind>).masked_fill(positive, 1.0);
    let signed = signed(scores, positive);
    let term = short(&signed, margin) * alpha - signed * (1.0 - alpha);
    (term * weight).sum_dim_intlist(1, false, None::<Kind>)
}

/// The others are joined to `log(Σ exp(t f)) / t` with `t = 2 log(C − 1) / (m · penalty)`, which lies above their largest by at most `m · penalty / 2`.
pub fn log_sum_exp_hkr(scores: &Tensor, positive: &Tensor, alpha: f64, margin: f64, penalty: f64) -> Tensor {
    let rivals = scores.size()[1] - 1;
    let others = scores.masked_fill(positive, f64::NEG_INFINITY);
    let joined = if rivals == 1 {
        others.amax([1], false)
    } else {
        let sharpness = 2.0 * count(rivals).ln() / (margin * penalty);
        (others * sharpness).logsumexp([1], false) / sharpness
    };
    let own = scores
        .masked_fill(&positive.logical_not(), 0.0)
        .sum_dim_intlist(1, false, None::<Kind>);
    let hinge = short(&own, margin) + short(&-&joined, margin);
    hinge * alpha - (own - joined) * (1.0 - alpha)
}

#[expect(clippy::cast_precision_loss, reason = "classes are far fewer than 2^53")]
const fn count(classes: i64) -> f64 {
    classes as f64
}

/// The scores with the sign that makes large ones right.
fn signed(scores: &Tensor, positive: &Tensor) -> Tensor {
    scores.where_self(positive, &-scores)
}

/// By how much scores fall short of half the margin.
fn short(signed: &Tensor, margin: f64) -> Tensor {
    (margin / 2.0 - signed).relu()
}

/// A mean that follows the magnitude of the scores from batch to batch, in float64.
#[derive(Debug)]
pub struct RunningMean {
    value: Tensor,
}

impl RunningMean {
    /// Starts from the margin.
    #[must_use]
    pub fn new(margin: f64) -> Self {
        Self {
            value: Tensor::from(margin),
        }
    }

    /// Its value, without dimensions.
    pub const fn value(&self) -> &Tensor {
        &self.value
    }

    /// Replaces it by a tensor of one number.
    pub fn set(&mut self, value: &Tensor) {
        self.value = value.detach().to_kind(Kind::Double).reshape([0i64; 0]).copy();
    }

    /// Takes in a batch of scores: the old value has the weight `decay`. What is kept lies in `[0.005, 1000]`; what is returned is the value before that.
    pub fn follow(&mut self, scores: &Tensor, decay: f64) -> Tensor {
        let fresh = scores.detach().abs().mean(Kind::Double);
        let value = self.value.to_device(scores.device()) * decay + fresh * (1.0 - decay);
        self.value = value.clamp(0.005, 1000.0);
        value
    }
}
