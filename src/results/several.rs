//! What `lipcert certify` answers for several networks.

use std::cmp::Reverse;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::certified::{Certified, CertifySchema, smallest};
use super::common::{Data, Semantics, Tool, Verdict};
use super::lines::{bound, head_line, write_remarks};
use crate::text::{Align, Table, percent_down, printable};

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

impl CertifiedModels {
    /// The mean of counts in percent, from the whole numbers, rounded down; all networks have the same samples.
    fn mean_percent(&self, count: impl Fn(&Certified) -> Option<usize>) -> String {
        let sum = self.models.iter().filter_map(count).sum();
        percent_down(sum, self.models.iter().map(|model| model.samples).sum())
    }

    /// The weakest verdict and the mean numbers, on one line.
    #[must_use]
    pub fn headline(&self) -> String {
        let clean = self.mean_percent(|model| Some(model.correct));
        let number = match smallest(&self.mean.certified, |row| row.radius) {
            Some(row) => {
                let certified = self.mean_percent(|model| count_at(model, &row.epsilon));
                format!(
                    "mean accuracy {clean} %, certified {certified} % at ε = {}",
                    printable(&row.epsilon)
                )
            }
            None => format!("mean accuracy {clean} %"),
        };
        head_line(self.verdict, &self.assumptions, &number)
    }

    /// Certified accuracy in percent, a row for each network, worst first, and their mean.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut columns = vec![
            ("model", Align::Left),
            ("verdict", Align::Left),
            ("bound", Align::Right),
            ("clean", Align::Right),
        ];
        columns.extend(self.mean.certified.iter().map(|row| (row.epsilon.as_str(), Align::Right)));
        let mut table = Table::new(&columns);
        let mut rows: Vec<&Certified> = self.models.iter().collect();
        rows.sort_by_key(|model| (Reverse(model.verdict), model.certified.first().map(|row| row.count)));
        for model in rows {
            let mut cells = vec![
                model.model.path.clone(),
                model.verdict.to_string(),
                bound(model.lipschitz.upper),
                percent_down(model.correct, model.samples),
            ];
            cells.extend(model.certified.iter().map(|row| percent_down(row.count, model.samples)));
            table.row(cells);
        }
        let mut cells = vec![
            "mean".to_owned(),
            String::new(),
            String::new(),
            self.mean_percent(|model| Some(model.correct)),
        ];
        cells.extend(
            self.mean
                .certified
                .iter()
                .map(|row| self.mean_percent(|model| count_at(model, &row.epsilon))),
        );
        table.row(cells);
        table
    }
}

impl fmt::Display for CertifiedModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.headline())?;
        writeln!(
            f,
            "{} models on {}, {} split, {} · semantics {} · {:.2} s\n",
            self.models.len(),
            printable(&self.data.name),
            printable(&self.data.split),
            self.data.count_words(),
            self.semantics,
            self.seconds
        )?;
        write!(f, "{}", self.table())?;
        write_remarks(f, &[], &self.assumptions)
    }
}

/// The certified count of a network at an ε.
fn count_at(model: &Certified, epsilon: &str) -> Option<usize> {
    model.certified.iter().find(|row| row.epsilon == epsilon).map(|row| row.count)
}
