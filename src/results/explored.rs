//! What `lipcert explore` answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::common::{Semantics, Tool, Verdict};
use super::lines::{bound, head_line};
use super::solved::Weight;
use crate::text::{Align, Direction, Table, printable, significant};

/// The schema of [`Explored`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExploreSchema {
    /// First version.
    #[default]
    #[serde(rename = "lipcert/explore/1")]
    V1,
}

/// What is known of a family after a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explored {
    /// `lipcert/explore/1`.
    pub schema: ExploreSchema,
    /// The program that wrote this.
    pub tool: Tool,
    /// Whether the condition is proved for the weight that was named; absent where none was. No search proves a family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// What was taken on trust.
    pub assumptions: Vec<String>,
    /// Which numbers are meant: the float64 of the weight and of the `T` that the script returns, exactly.
    pub semantics: Semantics,
    /// The command, as a shell reads it.
    pub command: String,
    /// Name of the family.
    pub family: String,
    /// SHA-256 of the script.
    pub script_sha256: String,
    /// Start of the random numbers.
    pub seed: u64,
    /// Largest number of rows and columns that were tried.
    pub size: usize,
    /// Weights that were tried.
    pub trials: usize,
    /// Whether the search was ended early.
    pub stopped: bool,
    /// About the largest `λmax(T^{-1/2} WᵀW T^{-1/2})` among the trials that are no counterexample; above 1 it is rounding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approx_worst: Option<f64>,
    /// A weight at which the family is wrong; absent if none was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterexample: Option<Counterexample>,
    /// What is proved for the weight that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightCheck>,
    /// How the family compares with others and with the optimum.
    pub tightness: Tightness,
    /// Wall-clock seconds of the whole command.
    pub seconds: f64,
}

/// Why a weight is a counterexample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CounterexampleKind {
    /// `WᵀW ⪯ T` is false, proved in exact arithmetic by `vector`.
    Violation,
    /// An entry of `T` is no finite number.
    Undefined,
}

/// How a script gave its `T`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The diagonal.
    Diagonal,
    /// The whole matrix.
    Full,
    /// `R` with `T = RᵀR`.
    Factor,
}

/// A weight at which a family is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counterexample {
    /// What is wrong.
    pub kind: CounterexampleKind,
    /// Trial in which its origin was found, from 0; absent if it is one of the weights of the comparison or the one that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<usize>,
    /// Rows of `W`.
    pub weight: Vec<Vec<f64>>,
    /// The positive vector of the trial.
    pub q: Vec<f64>,
    /// The free vector of the trial.
    pub z: Vec<f64>,
    /// How `t` is meant.
    pub form: Form,
    /// What the script returned, the rows of a matrix one after the other; `null` for what is no finite number.
    pub t: Vec<Option<f64>>,
    /// `v` with `vᵀWᵀWv > vᵀTv`, by more than `margin · |v|ᵀ|T||v|`; absent for `undefined`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vec<f64>>,
    /// The margin, which tells a false formula from rounding.
    pub margin: f64,
    /// Lower bound of `vᵀWᵀWv / vᵀTv`; absent where the denominator is not positive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

/// What is proved of a family's `T` for one weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightCheck {
    /// The matrix.
    #[serde(flatten)]
    pub record: Weight,
    /// The rule that proves `WᵀW ⪯ (1 + δ) T`.
    pub rule: Option<String>,
    /// The proved `δ`, rounded up; `null` if none is.
    pub delta: Option<f64>,
    /// Bound `1 + 2δ` of `x ↦ x − 2WT⁻¹σ(Wᵀx + b)`, rounded up.
    pub residual: Option<f64>,
    /// Bound `√(1 + δ)` of `x ↦ WT^{-1/2}x + b`, rounded up.
    pub plain: Option<f64>,
    /// Why nothing is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How `t` is meant.
    pub form: Form,
    /// What the script returned.
    pub t: Vec<Option<f64>>,
}

/// A comparison of families.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tightness {
    /// The weights of the comparison with their optima.
    pub weights: Vec<MeasuredWeight>,
    /// The families, the tightest first; those that are wrong on one of the weights last.
    pub families: Vec<MeasuredFamily>,
    /// The depths of the gains.
    pub depths: Vec<usize>,
}

/// A weight of the comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredWeight {
    /// Which one.
    pub name: String,
    /// Rows and columns.
    pub shape: [usize; 2],
    /// The smallest trace of a diagonal `T` that was found and proved, rounded up.
    pub trace_upper: Option<f64>,
    /// No diagonal `T` that satisfies the condition has a smaller trace: proved.
    pub trace_dual_bound: f64,
    /// No diagonal `T` that satisfies the condition has a smaller largest entry: proved.
    pub max_dual_bound: f64,
}

/// A family in the comparison.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredFamily {
    /// Its name.
    pub name: String,
    /// Number of weights on which its condition is proved, if need be for a `T` enlarged by less than 1 %.
    pub proved: usize,
    /// Number of weights on which it is refuted.
    pub wrong: usize,
    /// Geometric mean over the weights of `trace`; absent unless all are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approx_trace: Option<f64>,
    /// Geometric mean over the weights of `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approx_max: Option<f64>,
    /// For each weight the proved trace over the dual bound, rounded up; `null` if nothing is proved.
    pub trace: Vec<Option<f64>>,
    /// For each weight the largest entry over its dual bound, rounded up.
    pub max: Vec<Option<f64>>,
    /// About the least and the largest `t_i / t*_i` with the best diagonal `t*` for the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approx_columns: Option<[f64; 2]>,
    /// About `‖x_k‖² / ‖x_0‖²` after so many layers `x ↦ WT^{-1/2}x` with random weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approx_plain_gain: Option<Vec<f64>>,
    /// The same for `x ↦ x − 2WT⁻¹relu(Wᵀx)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approx_residual_gain: Option<Vec<f64>>,
    /// Wall-clock seconds of one call of the script for a 16 x 16 weight, the least of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_per_call: Option<f64>,
}

/// Significant digits of the entries of a small matrix in text.
const DIGITS: usize = 6;

/// Largest matrix that is printed.
const PRINTED_MOST: usize = 8;

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = printable(&self.family);
        let searched = match (self.trials, self.stopped) {
            (trials, true) => format!("{trials} trials (stopped)"),
            (trials, false) => format!("{trials} trials"),
        };
        if let (Some(verdict), Some(weight)) = (self.verdict, &self.weight) {
            writeln!(f, "{}", head_line(verdict, &self.assumptions, &weight.words()))?;
            let tensor = weight
                .record
                .tensor
                .as_ref()
                .map(|name| format!("#{name}"))
                .unwrap_or_default();
            writeln!(
                f,
                "family {family} · {}{} · rule {}",
                printable(&weight.record.path),
                printable(&tensor),
                weight.rule.as_deref().unwrap_or("none")
            )?;
            if let Some(reason) = &weight.reason {
                writeln!(f, "{}", printable(reason))?;
            }
        } else {
            match &self.counterexample {
                None => writeln!(f, "no counterexample in {searched}: {family} (this proves nothing)")?,
                Some(counterexample) => writeln!(f, "{}: {family}", counterexample.words())?,
            }
            write!(
                f,
                "WᵀW ⪯ T · {searched} · weights up to {} x {} · seed {}",
                self.size, self.size, self.seed
            )?;
            if let (Some(worst), None) = (self.approx_worst, &self.counterexample) {
                write!(f, " · λmax(T⁻¹WᵀW) ≈ {} at most", bound(Some(worst)))?;
            }
            writeln!(f, " · {:.2} s", self.seconds)?;
        }
        if let Some(counterexample) = &self.counterexample {
            write!(f, "\n{counterexample}")?;
        }
        write!(f, "\n{}", self.tightness)
    }
}

impl WeightCheck {
    fn words(&self) -> String {
        match (self.delta, self.residual, self.plain) {
            (Some(delta), Some(residual), Some(plain)) => format!(
                "WᵀW ⪯ (1 + δ) T, δ = {} · x − 2WT⁻¹σ(Wᵀx + b) {} · WT^{{-1/2}}x {}",
                significant(delta, 3, Direction::Up),
                bound(Some(residual)),
                bound(Some(plain))
            ),
            _ => "WᵀW ⪯ T is not proved".to_owned(),
        }
    }
}

impl Counterexample {
    fn words(&self) -> &'static str {
        match self.kind {
            CounterexampleKind::Violation => "counterexample, proved",
            CounterexampleKind::Undefined => "counterexample, T is not defined",
        }
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cols = self.weight.first().map_or(0, Vec::len);
        let number = |value: f64| significant(value, DIGITS, Direction::Down);
        let list = |values: &[f64]| values.iter().map(|v| number(*v)).collect::<Vec<_>>().join("  ");
        let maybe = |values: &[Option<f64>]| {
            let words = values.iter().map(|v| v.map_or_else(|| "NaN".to_owned(), number));
            words.collect::<Vec<_>>().join("  ")
        };
        if self.weight.len() > PRINTED_MOST || cols > PRINTED_MOST {
            writeln!(f, "W is {} x {cols}: see the JSON", self.weight.len())?;
        } else {
            let mut table = Table::new(&vec![("", Align::Right); cols]);
            for row in &self.weight {
                table.row(row.iter().map(|v| number(*v)));
            }
            // The line of empty headings is of no use.
            let table = table.to_string();
            writeln!(f, "W =\n{}", table.split_once('\n').map_or("", |(_, rows)| rows).trim_end())?;
            if self.q.iter().any(|q| (q - 1.0).abs() > 0.0) {
                writeln!(f, "q = {}", list(&self.q))?;
            }
            if self.z.iter().any(|z| z.abs() > 0.0) {
                writeln!(f, "z = {}", list(&self.z))?;
            }
            match self.form {
                Form::Diagonal => writeln!(f, "T = diag  {}", maybe(&self.t))?,
                Form::Full => writeln!(f, "T =")?,
                Form::Factor => writeln!(f, "T = RᵀR, R =")?,
            }
            if self.form != Form::Diagonal {
                for row in self.t.chunks(cols.max(1)) {
                    writeln!(f, "  {}", maybe(row))?;
                }
            }
            if let Some(vector) = &self.vector {
                writeln!(f, "v = {}", list(vector))?;
            }
        }
        match (self.kind, self.ratio) {
            (CounterexampleKind::Violation, Some(ratio)) => writeln!(
                f,
                "‖Wv‖² ≥ {} · vᵀTv, in exact arithmetic on the float64 of W, T and v (digits above are cut)",
                number(ratio)
            ),
            (CounterexampleKind::Violation, None) => writeln!(
                f,
                "‖Wv‖² > vᵀTv ≤ 0, in exact arithmetic on the float64 of W, T and v (digits above are cut)"
            ),
            (CounterexampleKind::Undefined, _) => writeln!(f, "T has an entry that is no finite number"),
        }
    }
}

impl fmt::Display for Tightness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let depths: Vec<String> = self.depths.iter().map(ToString::to_string).collect();
        let plain = format!("plain {}", depths.join("/"));
        let residual = format!("residual {}", depths.join("/"));
        let mut columns = vec![
            ("T", Align::Left),
            ("trace", Align::Right),
            ("max", Align::Right),
            ("t/t*", Align::Right),
            ("proved", Align::Right),
        ];
        let gains = self.families.iter().any(|family| family.approx_plain_gain.is_some());
        if gains {
            columns.extend([(plain.as_str(), Align::Right), (residual.as_str(), Align::Right)]);
        }
        columns.push(("µs", Align::Right));
        let mut table = Table::new(&columns);
        let ratio = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
        let gain = |gains: &Option<Vec<f64>>| match gains {
            Some(gains) => gains.iter().map(|g| short(*g)).collect::<Vec<_>>().join("/"),
            None => "-".to_owned(),
        };
        for family in &self.families {
            let mut cells = vec![family.name.clone()];
            if family.wrong > 0 {
                cells.push(format!("wrong on {}", family.wrong));
            } else {
                cells.push(ratio(family.approx_trace));
            }
            cells.push(ratio(family.approx_max));
            cells.push(
                family
                    .approx_columns
                    .map_or_else(|| "-".to_owned(), |[least, most]| format!("{least:.2}–{most:.2}")),
            );
            cells.push(format!("{}/{}", family.proved, self.weights.len()));
            if gains {
                cells.extend([gain(&family.approx_plain_gain), gain(&family.approx_residual_gain)]);
            }
            cells.push(
                family
                    .seconds_per_call
                    .map_or_else(|| "-".to_owned(), |seconds| format!("{:.1}", seconds * 1e6)),
            );
            table.row(cells);
        }
        writeln!(
            f,
            "{} weights · trace and max: times the proved lower bound of every diagonal T, geometric mean",
            self.weights.len()
        )?;
        if gains {
            writeln!(
                f,
                "plain, residual: mean square of the activations kept after so many random layers"
            )?;
        }
        write!(f, "{table}")
    }
}

/// Two digits of a gain.
fn short(value: f64) -> String {
    if value >= 0.01 || value <= 0.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0e}")
    }
}
