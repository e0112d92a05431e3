//! The parts that several results share.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::printable;

/// Which program made a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// `lipcert`.
    pub name: String,
    /// Version of the crate.
    pub version: String,
}

impl Tool {
    /// This program.
    #[must_use]
    pub fn current() -> Self {
        Self {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// What became of a claim, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every rule was checked.
    Certified,
    /// Checked, but for the assumptions that the result lists.
    Conditional,
    /// The evidence does not prove the claim. The claim may be true.
    NotCertified,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certified => "certified",
            Self::Conditional => "conditional",
            Self::NotCertified => "not certified",
        })
    }
}

/// Which function is certified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Semantics {
    /// The map over the real numbers that the file's formulas define, with the weights as stored.
    Real,
}

impl fmt::Display for Semantics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Real => "real",
        })
    }
}

/// The network that a result speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Path as it was given.
    pub path: String,
    /// SHA-256 of all bytes of the file, lower-case hexadecimal.
    pub sha256: String,
    /// How the file is written, e.g. `torch-zip`.
    pub format: String,
    /// Which network the file holds, e.g. `sll`.
    pub architecture: String,
    /// Number of trained parameters.
    pub parameters: usize,
    /// Input shape, `[channels, height, width]`.
    pub input: Vec<usize>,
    /// What is done to the raw input; part of the certified function.
    pub preprocess: String,
    /// SHA-256 of the declaration of the architecture, where the file does not hold it; part of the certified function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declaration: Option<String>,
}

impl Model {
    /// The function that is meant, on one line: file, architecture, input and preprocessing.
    #[must_use]
    pub fn words(&self) -> String {
        let sizes: Vec<String> = self.input.iter().map(ToString::to_string).collect();
        format!(
            "{} · {} · input {} · preprocess {}",
            printable(&self.path),
            printable(&self.architecture_words()),
            sizes.join("x"),
            printable(&self.preprocess)
        )
    }

    /// The architecture, and what its name stands for.
    #[must_use]
    pub fn architecture_words(&self) -> String {
        match self.architecture.as_str() {
            "sll" => "sll (as deployed: q cancels in the convolutions)".to_owned(),
            "dense-relu" => "dense-relu (relu between the layers)".to_owned(),
            other => other.to_owned(),
        }
    }
}

/// The samples that a count speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Name as it was given, e.g. `digits` or `cifar10:DIR`.
    pub name: String,
    /// `train` or `test`.
    pub split: String,
    /// SHA-256 of the data, lower-case hexadecimal.
    pub sha256: String,
    /// Number of samples that were looked at.
    pub samples: usize,
    /// Number of samples that the split has; more than `samples` under a limit or a shard.
    pub total: usize,
}

impl Data {
    /// `360 samples`, or `5 of 360 samples`.
    #[must_use]
    pub fn count_words(&self) -> String {
        if self.samples == self.total {
            format!("{} samples", self.samples)
        } else {
            format!("{} of {} samples", self.samples, self.total)
        }
    }
}

/// A file that belongs to a result, by its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileHash {
    /// Path as it was given; absent if the bytes were not written to a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// SHA-256 of the bytes, lower-case hexadecimal.
    pub sha256: String,
}

/// Proved Lipschitz bounds in the ℓ2 norm, per unit of the raw input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lipschitz {
    /// Which output `upper` speaks of: `all`, `features`, `class:i` or `pair:i,j`.
    pub output: String,
    /// Upper bound for that output, rounded up; `null` if none is proved.
    pub upper: Option<f64>,
    /// Upper bound for the input of the last affine layer, rounded up: what certification uses. Absent if none is proved.
    #[serde(default)]
    pub features: Option<f64>,
    /// A slope that the network really has somewhere, as floats see it: empirical, no bound. Absent where none was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    /// A proved lower bound of the optimum of the relaxation that was solved, rounded down: `upper / dual_bound − 1` is how far `upper` can be from
    /// the best of its kind. It is no lower bound of the Lipschitz constant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dual_bound: Option<f64>,
}

/// What a solver says of itself: a remark, never a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SolverRemark {
    /// Which solver.
    pub name: String,
    /// How it ended.
    pub status: String,
    /// Newton steps or the like.
    pub iterations: usize,
}

/// What was proved about one layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerResult {
    /// Zero-based position in the network.
    pub index: usize,
    /// Name in the file.
    pub name: String,
    /// Which map it is, e.g. `sll-conv`.
    pub kind: String,
    /// Rule that was checked; absent if none proved the layer.
    #[serde(default)]
    pub rule: Option<String>,
    /// Upper bound of the layer's Lipschitz constant, rounded up; absent if none is proved.
    #[serde(default)]
    pub bound: Option<f64>,
    /// How far inside its condition the layer lies, relative to it, rounded down; negative: missed by that much.
    #[serde(default)]
    pub slack: Option<f64>,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// A proved `λ` with `AAᵀ ⪯ λ T`, rounded up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gram_lambda: Option<f64>,
    /// A proved `δ` with `AAᵀ ⪯ (1 + δ) T̂`, rounded up, for the `T̂` that a float32 evaluation of the layer's formula gives. Other float32
    /// programs sum in another order and are off by about as much. It is no part of the verdict, which speaks of the exact `T`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub float32_delta: Option<f64>,
    /// Why no bound is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_interface() {
        let json = |verdict| serde_json::to_string(&verdict).unwrap();
        assert_eq!(json(Verdict::Certified), "\"certified\"");
        assert_eq!(json(Verdict::Conditional), "\"conditional\"");
        assert_eq!(json(Verdict::NotCertified), "\"not-certified\"");
        assert_eq!(serde_json::to_string(&Semantics::Real).unwrap(), "\"real\"");
        assert!(Verdict::Certified < Verdict::Conditional && Verdict::Conditional < Verdict::NotCertified);
    }
}
