//! What `lipcert attack` answers.

use std::fmt;
use std::fmt::Write as _;

use serde::Serialize;

use super::common::{Data, Model, Semantics, Tool, Verdict};
use super::lines::head_line;
use crate::text::{Align, Table, percent_down, percent_up, printable};

/// The schema of [`Attacked`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum AttackSchema {
    /// First version.
    #[default]
    #[serde(rename = "lipcert/attack/1")]
    V1,
}

/// Robust accuracy against an attack, beside the certified one.
///
/// A sample counts as broken at ε if an input is known whose distance is proved to be at most ε and whose class is proved to be another one than the
/// label; the sample itself may be that input. What the attack itself believed is not used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attacked {
    /// `lipcert/attack/1`.
    pub schema: AttackSchema,
    /// The program that wrote this.
    pub tool: Tool,
    /// Of the certified counts; `not-certified` where no bound is proved, so that nothing is attacked, and where an input contradicts them.
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
    /// Number of samples.
    pub samples: usize,
    /// Number of samples whose largest logit is proved to be that of the true class.
    pub correct: usize,
    /// `correct / samples`.
    pub accuracy: f64,
    /// A row for each ε, as asked for.
    pub attacked: Vec<AttackedAt>,
    /// Number of inputs that the attack handed over.
    pub candidates: usize,
    /// Number of those whose class is proved to be another one than the label.
    pub proved: usize,
    /// Number of those of which that could not be proved.
    pub undecided: usize,
    /// Inputs that the certificate says do not exist: a fault of this program, or of an assumption.
    pub contradictions: Vec<Contradiction>,
    /// Where the inputs are, if they were kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
    /// Where it was computed: `cpu`, `cuda:0`; absent if nothing was attacked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Whether the attack was stopped before its end.
    pub stopped: bool,
    /// Wall-clock seconds of the whole command.
    pub seconds: f64,
}

/// What is left of the accuracy at one ε.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttackedAt {
    /// ε as it was typed.
    pub epsilon: String,
    /// ε as a number, not below the typed one.
    pub radius: f64,
    /// Number of samples that are broken, those of a wrong class included.
    pub broken: usize,
    /// Number of samples that are not, those whose class is not proved included.
    pub count: usize,
    /// `count / samples`, rounded up: the true robust accuracy is not higher.
    pub robust_accuracy: f64,
    /// Number of samples that are classified correctly **and** certified.
    pub certified: usize,
    /// `certified / samples`: the true robust accuracy is not lower.
    pub certified_accuracy: f64,
    /// What was tried.
    pub method: String,
    /// Steps of each ascent.
    pub steps: usize,
}

/// An input that a certificate says does not exist.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contradiction {
    /// Zero-based position of the sample in the split.
    pub index: usize,
    /// Its class, which the input is proved not to have.
    pub label: usize,
    /// Distance of the input, rounded up.
    pub distance: f64,
    /// Certified radius of the sample, rounded down.
    pub radius: f64,
    /// Row of the input in the file `inputs`.
    pub row: usize,
}

/// What was found for one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttackedSample {
    /// Zero-based position in the split.
    pub index: usize,
    /// True class, zero-based.
    pub label: usize,
    /// Class of the largest logit, zero-based.
    pub predicted: usize,
    /// Certified radius, rounded down.
    pub radius: f64,
    /// Least distance, rounded up, of an input that is proved to have another class than the label; 0 for a sample of a wrong class.
    pub broken: Option<f64>,
}

/// The samples as comma-separated values with a heading; floats read back bit for bit, nothing stands where none was found.
#[must_use]
pub fn attacked_csv(samples: &[AttackedSample]) -> String {
    let mut text = String::from("index,label,predicted,radius,broken\n");
    for sample in samples {
        let AttackedSample {
            index,
            label,
            predicted,
            radius,
            broken,
        } = sample;
        let broken = broken.map_or_else(String::new, |distance| format!("{distance:?}"));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{index},{label},{predicted},{radius:?},{broken}");
    }
    text
}

impl Attacked {
    fn table(&self) -> Table {
        let mut table = Table::new(&[
            ("ε", Align::Right),
            ("not broken", Align::Right),
            ("certified", Align::Right),
            ("open", Align::Right),
            ("broken", Align::Right),
        ]);
        let percent = |count| format!("{} %", percent_down(count, self.samples));
        table.row(["correct".to_owned(), percent(self.correct)]);
        for row in &self.attacked {
            table.row([
                row.epsilon.clone(),
                format!("{} %", percent_up(row.count, self.samples)),
                percent(row.certified),
                row.count.saturating_sub(row.certified).to_string(),
                row.broken.to_string(),
            ]);
        }
        table
    }
}

impl fmt::Display for Attacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |count| percent_down(count, self.samples);
        let number = match self.attacked.first() {
            _ if self.device.is_none() => {
                "no Lipschitz bound is proved, so that nothing that is found could be judged".to_owned()
            }
            Some(row) => format!(
                "robust accuracy between {} % (certified) and {} % (attacked) at ε = {}",
                percent(row.certified),
                percent_up(row.count, self.samples),
                printable(&row.epsilon)
            ),
            None => format!("accuracy {} %", percent(self.correct)),
        };
        writeln!(f, "{}", head_line(self.verdict, &self.assumptions, &number))?;
        for found in &self.contradictions {
            writeln!(
                f,
                "CONTRADICTION: sample {} of class {} is certified at {} and has another class at distance {}, row {} of {}",
                found.index,
                found.label,
                found.radius,
                found.distance,
                found.row,
                printable(self.inputs.as_deref().unwrap_or("the inputs"))
            )?;
        }
        writeln!(
            f,
            "{}\n{}, {} split, {} · semantics {} · {} · {:.1} s{}\n",
            self.model.words(),
            printable(&self.data.name),
            printable(&self.data.split),
            self.data.count_words(),
            self.semantics,
            printable(self.device.as_deref().unwrap_or("nothing was attacked")),
            self.seconds,
            if self.stopped { " · stopped before the end" } else { "" }
        )?;
        writeln!(f, "{}", self.table())?;
        let method = self.attacked.first().map_or("nothing", |row| row.method.as_str());
        writeln!(
            f,
            "{} inputs found by {}, {} proved to have another class, {} undecided",
            self.candidates,
            printable(method),
            self.proved,
            self.undecided
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_found_is_left_empty() {
        let sample = AttackedSample {
            index: 3,
            label: 1,
            predicted: 1,
            radius: 0.1 + 0.2,
            broken: None,
        };
        let broken = AttackedSample {
            broken: Some(0.5),
            ..sample
        };
        assert_eq!(
            attacked_csv(&[sample, broken]),
            "index,label,predicted,radius,broken\n3,1,1,0.30000000000000004,\n3,1,1,0.30000000000000004,0.5\n"
        );
    }
}
