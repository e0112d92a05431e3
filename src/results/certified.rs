//! What `lipcert certify` and `lipcert demo` answer.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::common::{Data, FileHash, LayerResult, Lipschitz, Model, Semantics, Tool, Verdict};
use super::curve::CurvePoint;
use super::epsilon::Epsilon;
use super::lines::{head_line, layer_table, lipschitz_words, write_remarks};
use crate::text::{Align, Direction, Table, fixed, percent_down, significant};

/// The schema of [`Certified`] and [`CertifiedModels`].
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

/// Certified accuracy of several networks on one data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifiedModels {
    /// `lipcert/certify/1`.
    pub schema: CertifySchema,
    /// The program that wrote this.
    pub tool: Tool,
    /// The weakest verdict of the rows.
    pub verdict: Verdict,
    /// Everything that a row assumes.
    pub assumptions: Vec<String>,
    /// Which function is meant.
    pub semantics: Semantics,
    /// The command, as a shell reads it.
    pub command: String,
    /// The samples.
    pub data: Data,
    /// A row for each network: what the command answers for it alone.
    pub models: Vec<Certified>,
    /// Means over the rows.
    pub mean: Mean,
    /// Wall-clock seconds of the whole command.
    pub seconds: f64,
}

/// Means over several networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mean {
    /// Mean accuracy.
    pub accuracy: f64,
    /// Mean certified accuracy, a row for each ε.
    pub certified: Vec<MeanAt>,
}

/// The mean certified accuracy at one ε.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeanAt {
    /// ε as it was typed.
    pub epsilon: String,
    /// ε as a number, not below the typed one.
    pub radius: f64,
    /// Mean of `count / samples`.
    pub accuracy: f64,
}

impl CertifiedModels {
    /// Joins rows of the same data and the same ε; the caller has seen to that. `None` if there is no row.
    #[must_use]
    pub fn new(command: String, models: Vec<Certified>, seconds: f64) -> Option<Self> {
        let first = models.first()?;
        let mut assumptions: Vec<String> = Vec::new();
        for assumption in models.iter().flat_map(|model| &model.assumptions) {
            if !assumptions.contains(assumption) {
                assumptions.push(assumption.clone());
            }
        }
        Some(Self {
            schema: CertifySchema::Certify1,
            tool: Tool::current(),
            verdict: models.iter().map(|model| model.verdict).max()?,
            assumptions,
            semantics: first.semantics,
            command,
            data: first.data.clone(),
            mean: Mean::of(&models),
            models,
            seconds,
        })
    }
}

impl Mean {
    /// The means over `models`, which have the same ε; zeros if there is none.
    #[must_use]
    pub fn of(models: &[Certified]) -> Self {
        let mean = |values: &mut dyn Iterator<Item = f64>| match models.len() {
            0 => 0.0,
            n => values.sum::<f64>() / n as f64,
        };
        let rows = models.first().map_or(&[][..], |model| &model.certified[..]);
        Self {
            accuracy: mean(&mut models.iter().map(|model| model.accuracy)),
            certified: rows
                .iter()
                .enumerate()
                .map(|(i, row)| MeanAt {
                    epsilon: row.epsilon.clone(),
                    radius: row.radius,
                    accuracy: mean(&mut models.iter().filter_map(|model| Some(model.certified.get(i)?.accuracy))),
                })
                .collect(),
        }
    }
}

/// A run of `certify`: one network, or several. A file of either form is read by [`Run::read`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Run {
    /// One network.
    One(Box<Certified>),
    /// Several networks.
    Many(Box<CertifiedModels>),
}

impl Run {
    /// The networks of the run, a row each.
    #[must_use]
    pub fn models(&self) -> &[Certified] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => &many.models,
        }
    }

    /// The weakest verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::One(one) => one.verdict,
            Self::Many(many) => many.verdict,
        }
    }

    /// The command that made the run.
    #[must_use]
    pub fn command(&self) -> &str {
        match self {
            Self::One(one) => &one.command,
            Self::Many(many) => &many.command,
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(one) => one.fmt(f),
            Self::Many(many) => many.fmt(f),
        }
    }
}

impl fmt::Display for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let smallest = self
            .certified
            .iter()
            .filter(|row| row.radius > 0.0)
            .min_by(|a, b| a.radius.total_cmp(&b.radius));
        let number = match smallest {
            Some(row) => format!(
                "accuracy {} %, certified {} % at ε = {}",
                percent_down(self.correct, self.samples),
                percent_down(row.count, self.samples),
                row.epsilon
            ),
            None => format!("accuracy {} %", percent_down(self.correct, self.samples)),
        };
        writeln!(f, "{}", head_line(self.verdict, &self.assumptions, &number))?;
        let Data { name, split, .. } = &self.data;
        writeln!(
            f,
            "{} on {} ({split}, {} samples) · semantics {} · {:.2} s, {:.0} samples/s",
            self.model.path.escape_debug(),
            name.escape_debug(),
            self.samples,
            self.semantics,
            self.seconds,
            self.samples_per_second
        )?;
        writeln!(f, "{}\n", lipschitz_words(&self.lipschitz))?;
        let mut table = Table::new(&[
            ("ε", Align::Right),
            ("radius", Align::Right),
            ("certified", Align::Right),
            ("of", Align::Right),
            ("percent", Align::Right),
        ]);
        let mut row = |epsilon: &str, radius: f64, count: usize| {
            table.row([
                epsilon.to_owned(),
                significant(radius, 6, Direction::Up),
                count.to_string(),
                self.samples.to_string(),
                percent_down(count, self.samples),
            ]);
        };
        row("clean", 0.0, self.correct);
        for at in &self.certified {
            row(&at.epsilon, at.radius, at.count);
        }
        writeln!(f, "{table}")?;
        let error = self.max_logit_error.map_or_else(
            || "no proved bound of the logit error".to_owned(),
            |error| format!("largest proved logit error {}", significant(error, 3, Direction::Up)),
        );
        writeln!(f, "undecided {} · {error} · rule {}\n", self.undecided, self.rule)?;
        write!(f, "{}", layer_table(&self.layers))?;
        write_remarks(f, &self.layers, &self.assumptions)
    }
}

impl fmt::Display for CertifiedModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |accuracy: f64| fixed(accuracy * 100.0, 2, Direction::Down);
        let smallest = self
            .mean
            .certified
            .iter()
            .filter(|row| row.radius > 0.0)
            .min_by(|a, b| a.radius.total_cmp(&b.radius));
        let clean = percent(self.mean.accuracy);
        let number = match smallest {
            Some(row) => format!(
                "mean accuracy {clean} %, certified {} % at ε = {}",
                percent(row.accuracy),
                row.epsilon
            ),
            None => format!("mean accuracy {clean} %"),
        };
        writeln!(f, "{}", head_line(self.verdict, &self.assumptions, &number))?;
        let Data {
            name, split, samples, ..
        } = &self.data;
        writeln!(
            f,
            "{} models on {} ({split}, {samples} samples) · semantics {} · {:.2} s\n",
            self.models.len(),
            name.escape_debug(),
            self.semantics,
            self.seconds
        )?;
        let mut columns = vec![
            ("model", Align::Left),
            ("verdict", Align::Left),
            ("bound", Align::Right),
            ("clean", Align::Right),
        ];
        columns.extend(self.mean.certified.iter().map(|row| (row.epsilon.as_str(), Align::Right)));
        let mut table = Table::new(&columns);
        let mut rows: Vec<&Certified> = self.models.iter().collect();
        rows.sort_by_key(|model| (std::cmp::Reverse(model.verdict), model.certified.first().map(|row| row.count)));
        for model in rows {
            let mut cells = vec![
                model.model.path.clone(),
                model.verdict.to_string(),
                super::lines::bound(model.lipschitz.upper),
                percent_down(model.correct, model.samples),
            ];
            cells.extend(model.certified.iter().map(|row| percent_down(row.count, model.samples)));
            table.row(cells);
        }
        let mut cells = vec!["mean".to_owned(), String::new(), String::new(), clean];
        cells.extend(self.mean.certified.iter().map(|row| percent(row.accuracy)));
        table.row(cells);
        write!(f, "{table}")?;
        write_remarks(f, &[], &self.assumptions)
    }
}

/// `count / total`, 0 if `total` is 0.
pub(super) fn fraction(count: usize, total: usize) -> f64 {
    if total == 0 { 0.0 } else { count as f64 / total as f64 }
}
