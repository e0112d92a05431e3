//! What `lipcert solve` answers.

use std::fmt;

use lipcert_proofs::rules::common_condition::relative_gap_up;
use serde::{Deserialize, Serialize};

use super::common::{Semantics, SolverRemark, Tool, Verdict};
use super::lines::{bound, head_line};
use crate::text::{Align, Direction, Table, printable, significant};

/// The schema of [`Solved`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SolveSchema {
    /// First version.
    #[default]
    #[serde(rename = "lipcert/solve/1")]
    V1,
}

/// The matrix of the condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weight {
    /// Path as it was given.
    pub path: String,
    /// Name of the tensor in the file, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensor: Option<String>,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Shape of `W` as stored.
    pub shape: Vec<usize>,
    /// `columns` for `WᵀW`, `rows` for `W Wᵀ`.
    pub side: String,
}

/// The objective at the proved `t`, and what it cannot fall below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SolvedObjective {
    /// `trace`, `max` or `weighted:FILE`.
    pub name: String,
    /// At `t`, rounded up; `null` if no `t` is proved.
    pub upper: Option<f64>,
    /// Proved lower bound of the objective at every `t` that satisfies the condition.
    pub dual_bound: Option<f64>,
}

/// A closed form beside the optimum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClosedForm {
    /// Its name.
    pub name: String,
    /// The objective, rounded up, at its diagonal, enlarged until it is proved; `null` if it could not be.
    pub objective: Option<f64>,
}

/// The best diagonal of the common condition for one matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Solved {
    /// `lipcert/solve/1`.
    pub schema: SolveSchema,
    /// The program that wrote this.
    pub tool: Tool,
    /// Whether `t` is proved to satisfy the condition.
    pub verdict: Verdict,
    /// What was taken on trust; empty if `certified`.
    pub assumptions: Vec<String>,
    /// Which matrix is meant: the stored one, exactly.
    pub semantics: Semantics,
    /// The command, as a shell reads it.
    pub command: String,
    /// The matrix.
    pub weight: Weight,
    /// What was minimised.
    pub objective: SolvedObjective,
    /// The rule that proves the condition.
    pub rule: Option<String>,
    /// What the solver says of itself.
    pub solver: SolverRemark,
    /// Closed forms for comparison.
    pub closed_forms: Vec<ClosedForm>,
    /// The diagonal; `null` if none is proved.
    pub t: Option<Vec<f64>>,
    /// Wall-clock seconds of the whole command.
    pub seconds: f64,
}

/// Significant digits of an objective in text.
const DIGITS: usize = 9;

impl fmt::Display for Solved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objective = &self.objective;
        let number = match (objective.upper, objective.dual_bound) {
            (Some(upper), Some(dual)) => format!(
                "{} {} (at least {}, gap {})",
                printable(&objective.name),
                significant(upper, DIGITS, Direction::Up),
                significant(dual, DIGITS, Direction::Down),
                significant(relative_gap_up(upper, dual), 2, Direction::Up)
            ),
            (Some(upper), None) => format!("{} {}", printable(&objective.name), significant(upper, DIGITS, Direction::Up)),
            (None, _) => format!("no diagonal is proved ({})", printable(&objective.name)),
        };
        writeln!(f, "{}", head_line(self.verdict, &self.assumptions, &number))?;
        let weight = &self.weight;
        let sizes: Vec<String> = weight.shape.iter().map(ToString::to_string).collect();
        let tensor = weight.tensor.as_ref().map(|name| format!("#{name}")).unwrap_or_default();
        let condition = if weight.side == "rows" {
            "W Wᵀ ⪯ T"
        } else {
            "WᵀW ⪯ T"
        };
        writeln!(
            f,
            "{}{} · {} · {condition} · rule {}",
            printable(&weight.path),
            printable(&tensor),
            sizes.join("x"),
            self.rule.as_deref().unwrap_or("none")
        )?;
        writeln!(
            f,
            "solver {}, {}, {} iterations · {:.2} s\n",
            self.solver.name, self.solver.status, self.solver.iterations, self.seconds
        )?;
        let mut table = Table::new(&[
            ("T", Align::Left),
            ("objective", Align::Right),
            ("times the lower bound", Align::Right),
        ]);
        let mut row = |name: &str, value: Option<f64>| {
            let ratio = value
                .zip(objective.dual_bound)
                .map(|(value, dual)| 1.0 + relative_gap_up(value, dual));
            let show = |value: Option<f64>, digits| {
                value.map_or_else(|| "unproved".to_owned(), |value| significant(value, digits, Direction::Up))
            };
            table.row(vec![
                name.to_owned(),
                show(value, DIGITS),
                ratio.map_or_else(String::new, |ratio| bound(Some(ratio))),
            ]);
        };
        row("found", objective.upper);
        for form in &self.closed_forms {
            row(&form.name, form.objective);
        }
        write!(f, "{table}")
    }
}
