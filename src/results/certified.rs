//! What `lipcert certify` and `lipcert demo` answer for one network.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::common::{Data, FileHash, LayerResult, Lipschitz, Model, Semantics, Tool, Verdict};
use super::curve::CurvePoint;
use super::epsilon::Epsilon;
use super::lines::{bound, head_line, layer_table, lipschitz_words, write_remarks};
use crate::text::{Align, Direction, Table, percent_down, printable, significant};

/// The schema of [`Certified`] and [`CertifiedModels`](super::CertifiedModels).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CertifySchema {
    /// First version, of `lipcert certify`.
    #[default]
    #[serde(rename = "lipcert/certify/1")]
    Certify1,
    /// The same keys, of `lipcert demo`.
    #[serde(rename = "lipcert/demo/1")]
    Demo1,
}

/// Certified accuracy of one network on a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certified {
    /// `lipcert/certify/1` or `lipcert/demo/1`.
    pub schema: CertifySchema,
    /// The program that wrote this.
    pub tool: Tool,
    /// Whether the counts are proved.
    pub verdict: Verdict,
    /// What was taken on trust; empty if `certified`.
    pub assumptions: Vec<String>,
    /// Which function is meant.
    pub semantics: Semantics,
    /// The command, as a shell reads it.
    pub command: String,
    /// The network.
    pub model: Model,
    /// The samples.
    pub data: Data,
    /// The bounds that the radii use.
    pub lipschitz: Lipschitz,
    /// The rule from logits to a radius.
    pub rule: String,
    /// How the Lipschitz bounds of the rule are proved: never `auto`.
    #[serde(default = "layers")]
    pub method: String,
    /// The proved bound of each difference of two logits that the radii use; of dense networks with up to 32 classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<PairBound>,
    /// Number of samples.
    pub samples: usize,
    /// Number of samples whose largest logit is proved to be that of the true class.
    pub correct: usize,
    /// `correct / samples`.
    pub accuracy: f64,
    /// A row for each ε, as asked for.
    pub certified: Vec<CertifiedAt>,
    /// Number of correct samples whose margin lies within its enclosure of the threshold at some ε.
    pub undecided: usize,
    /// Samples whose label is the top class of the computed logits, but not by more than their proved error; they are not counted as
    /// correct.
    #[serde(default)]
    pub unproved_class: usize,
    /// Largest proved error of a logit over all samples, rounded up; `null` if there is no proof.
    pub max_logit_error: Option<f64>,
    /// The certified-accuracy curve, see [`curve`](super::curve()).
    pub curve: Vec<CurvePoint>,
    /// Every layer, in the order of the network.
    pub layers: Vec<LayerResult>,
    /// The certificate of the Lipschitz bound; absent if none is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<FileHash>,
    /// Wall-clock seconds of the whole command.
    pub seconds: f64,
    /// Samples per wall-clock second of the evaluation.
    pub samples_per_second: f64,
}

/// A proved Lipschitz bound of the difference of two logits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairBound {
    /// The two classes, zero-based.
    pub pair: [usize; 2],
    /// The bound, rounded up, per unit of the raw input.
    pub upper: f64,
}

/// The method of files that do not name it.
fn layers() -> String {
    "layers".to_owned()
}

/// How many samples are certified at one ε.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifiedAt {
    /// ε as it was typed.
    pub epsilon: String,
    /// ε as a number, not below the typed one.
    pub radius: f64,
    /// Number of samples that are classified correctly **and** certified.
    pub count: usize,
    /// `count / samples`.
    pub accuracy: f64,
}

impl CertifiedAt {
    /// The row of `count` out of `samples` at `epsilon`.
    #[must_use]
    pub fn new(epsilon: &Epsilon, count: usize, samples: usize) -> Self {
        Self {
            epsilon: epsilon.text().to_owned(),
            radius: epsilon.radius(),
            count,
            accuracy: fraction(count, samples),
        }
    }
}

impl Certified {
    /// The verdict and the numbers that a reader came for, on one line.
    #[must_use]
    pub fn headline(&self) -> String {
        let clean = percent_down(self.correct, self.samples);
        let number = match smallest(&self.certified, |row| row.radius) {
            Some(row) => {
                let certified = percent_down(row.count, self.samples);
                format!(
                    "accuracy {clean} %, certified {certified} % at ε = {}",
                    printable(&row.epsilon)
                )
            }
            None => format!("accuracy {clean} %"),
        };
        head_line(self.verdict, &self.assumptions, &number)
    }

    /// The proved Lipschitz bounds, on one line.
    #[must_use]
    pub fn lipschitz_line(&self) -> String {
        lipschitz_words(&self.lipschitz)
    }

    /// Certified accuracy: a row for the clean samples and one for each ε.
    #[must_use]
    pub fn accuracy_table(&self) -> Table {
        let mut table = Table::new(&[
            ("ε", Align::Right),
            ("samples", Align::Right),
            ("of", Align::Right),
            ("percent", Align::Right),
        ]);
        let clean = ("correct", self.correct);
        let rows = self.certified.iter().map(|row| (row.epsilon.as_str(), row.count));
        for (epsilon, count) in std::iter::once(clean).chain(rows) {
            table.row([
                epsilon.to_owned(),
                count.to_string(),
                self.samples.to_string(),
                percent_down(count, self.samples),
            ]);
        }
        table
    }

    /// What was proved about each layer, worst first.
    #[must_use]
    pub fn layer_table(&self) -> Table {
        layer_table(&self.layers)
    }

    /// What remains open, on one line.
    #[must_use]
    pub fn open_line(&self) -> String {
        let error = self.max_logit_error.map_or_else(
            || "no proved bound of the logit error".to_owned(),
            |error| format!("largest proved logit error {}", significant(error, 3, Direction::Up)),
        );
        let unproved = match self.unproved_class {
            0 => String::new(),
            count => format!(" · {count} with the right class not proved, so not counted"),
        };
        format!(
            "undecided {}{unproved} · {error} · rule {} · method {}{}",
            self.undecided,
            printable(&self.rule),
            printable(&self.method),
            self.pair_words()
        )
    }
}

impl Certified {
    /// The range of the bounds of pairs, where they are listed.
    fn pair_words(&self) -> String {
        let bounds = || self.pairs.iter().map(|pair| pair.upper);
        let least = bounds().min_by(f64::total_cmp);
        match (least, bounds().max_by(f64::total_cmp)) {
            (Some(least), Some(most)) => format!(", pairs {} to {}", bound(Some(least)), bound(Some(most))),
            _ => String::new(),
        }
    }
}

impl fmt::Display for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.headline())?;
        writeln!(
            f,
            "{}\n{}, {} split, {} · semantics {} · {:.2} s, {:.0} samples/s",
            self.model.words(),
            printable(&self.data.name),
            printable(&self.data.split),
            self.data.count_words(),
            self.semantics,
            self.seconds,
            self.samples_per_second
        )?;
        writeln!(f, "{}\n", self.lipschitz_line())?;
        writeln!(f, "{}", self.accuracy_table())?;
        writeln!(f, "{}\n", self.open_line())?;
        write!(f, "{}", self.layer_table())?;
        write_remarks(f, &self.layers, &self.assumptions)
    }
}

/// The row with the smallest positive radius.
pub(super) fn smallest<T>(rows: &[T], radius: impl Fn(&T) -> f64) -> Option<&T> {
    let positive = rows.iter().filter(|row| radius(row) > 0.0);
    positive.min_by(|a, b| radius(a).total_cmp(&radius(b)))
}

/// `count / total`, 0 if `total` is 0.
pub(super) fn fraction(count: usize, total: usize) -> f64 {
    if total == 0 { 0.0 } else { count as f64 / total as f64 }
}
