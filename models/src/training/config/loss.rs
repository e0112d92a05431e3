//! What is minimised.

use serde::{Deserialize, Serialize};

use super::{decay, one};

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
    MarginBoosting {},
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
        /// Divides the sharpness of the sum.
        #[serde(default = "one")]
        penalty: f64,
        /// Multiplies the logits.
        #[serde(default = "one")]
        temperature: f64,
    },
    /// Cross-entropy with every rival raised by what a perturbation of the size at hand can move it: `ε` follows the samples' own radii, class by class.
    Emma {
        /// Largest `ε`, in units of the raw input.
        epsilon: f64,
    },
}
