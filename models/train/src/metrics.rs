//! How a network does on samples, in float arithmetic: to choose an epoch by, and to look at.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Counts over samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Samples.
    pub samples: usize,
    /// Sum of the losses.
    pub loss: f64,
    /// Classified correctly.
    pub correct: usize,
    /// And with a radius of at least the one that was asked for.
    pub certified: usize,
}

#[expect(clippy::cast_precision_loss, reason = "numbers of samples are far below 2^53")]
impl Counts {
    /// Adds a batch with a mean loss.
    pub fn add(&mut self, loss: f64, samples: usize, correct: usize, certified: usize) {
        self.samples += samples;
        self.loss += loss * samples as f64;
        self.correct += correct;
        self.certified += certified;
    }

    /// Adds other counts.
    pub fn join(&mut self, other: &Self) {
        self.samples += other.samples;
        self.loss += other.loss;
        self.correct += other.correct;
        self.certified += other.certified;
    }

    /// Mean loss; NaN without samples.
    #[must_use]
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.samples as f64
    }

    /// Fraction that is correct; NaN without samples.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.samples as f64
    }

    /// Fraction that is correct with a radius; NaN without samples.
    #[must_use]
    pub fn approx_certified(&self) -> f64 {
        self.certified as f64 / self.samples as f64
    }
}

/// The radius of each sample `(N,)`: the least of `(f_y − f_j) / (gain · d_yj)` over the other classes `j`; negative where the sample is misclassified.
///
/// `logits` are `(N, C)`, `labels` `(N,)`, `distances` `(C, C)`. A class at distance 0 counts as infinitely far on its side.
pub fn approx_radii(logits: &Tensor, labels: &Tensor, distances: &Tensor, gain: f64) -> Tensor {
    let labels = labels.unsqueeze(1);
    let margins = logits.gather(1, &labels, false) - logits;
    let own = distances.index_select(0, &labels.squeeze_dim(1)) * gain;
    let far = margins.sign() * f64::INFINITY;
    let touching = own.eq(0.0);
    let radii = (&margins / own.where_self(&touching.logical_not(), &own.ones_like())).where_self(&touching.logical_not(), &far);
    let same = radii.zeros_like().to_kind(Kind::Bool).scatter_value(1, &labels, 1);
    radii.masked_fill(&same, f64::INFINITY).amin([1].as_slice(), false)
}

/// How many of a batch are correct, and how many with a radius.
///
/// # Panics
///
/// Never: a number of samples is not negative.
#[must_use]
pub fn count(logits: &Tensor, labels: &Tensor, distances: &Tensor, gain: f64, radius: f64) -> (usize, usize) {
    let correct = logits.argmax(1, false).eq_tensor(labels);
    let certified = approx_radii(logits, labels, distances, gain).ge(radius).logical_and(&correct);
    let number = |mask: &Tensor| usize::try_from(mask.sum(Kind::Int64).int64_value(&[])).expect("a number of samples");
    (number(&correct), number(&certified))
}
