//! The common condition `WᵀW ⪯ T` for one matrix: the best diagonal `T`, proved, beside the closed forms.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use lipcert_models::checkpoint::{Checkpoint, Format};
use lipcert_proofs::rules::common_condition::{Condition, Objective, inflate_up};
use lipcert_proofs::statement::Matrix;
use lipcert_solver::closed::diagonal;
use lipcert_solver::common::{self, CommonSolution};
use lipcert_solver::convert;

use super::{Onlooker, Progress};
use crate::results::{ClosedForm, Semantics, SolveSchema, Solved, SolvedObjective, SolverRemark, Tool, Verdict, Weight};

/// What is to be small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// `Σ t_i`.
    Trace,
    /// `max t_i`.
    Max,
    /// `Σ c_i t_i` with the `c` of a `.npy` file.
    Weighted(PathBuf),
}

/// Which Gram matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// `WᵀW`: one entry of `T` a column.
    #[default]
    Columns,
    /// `W Wᵀ`: one entry of `T` a row, as for the weights of SLL checkpoints.
    Rows,
}

/// What to solve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// A `.npy` file, or a model file, `#` and the name of a tensor.
    pub weight: String,
    /// What is to be small.
    pub goal: Goal,
    /// Which Gram matrix.
    pub side: Side,
    /// The command, for the record.
    pub command: String,
}

/// By how much a candidate is inflated, relative to it, until it is proved.
const INFLATIONS: [f64; 8] = [0.0, 1e-13, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2];

/// Solves and proves.
///
/// # Errors
///
/// If the file cannot be read, the tensor is no matrix or not finite, or the solver finds nothing.
pub fn run(options: &Options, progress: &dyn Progress) -> anyhow::Result<Solved> {
    let start = Instant::now();
    let Loaded {
        matrix,
        record,
        q,
        assumptions,
    } = load(&options.weight, options.side)?;
    let inner = matrix.rows();
    let (goal, word) = match &options.goal {
        Goal::Trace => (Objective::Weighted(vec![1.0; inner]), "trace".to_owned()),
        Goal::Max => (Objective::Max, "max".to_owned()),
        Goal::Weighted(file) => (
            Objective::Weighted(read_weights(file, inner)?),
            format!("weighted:{}", file.display()),
        ),
    };
    let named = || format!("`{}`", options.weight);
    let condition = Condition::new(&matrix).with_context(named)?;
    progress.begin("minimising", 0);
    let gram = convert::gram(condition.gram());
    let solver = common::Options {
        par: convert::threads(true),
        ..common::Options::default()
    };
    let watch = Onlooker {
        progress,
        factor: Some(1.0),
    };
    let solution = match &goal {
        Objective::Max => common::minimize_largest(gram, &solver),
        Objective::Weighted(weights) => common::minimize_weighted(gram, weights, &solver, &watch),
    }
    .with_context(named)?;
    let proved = prove(&condition, &goal, &solution.candidates);
    let vectors = convert::row_major(solution.dual.as_ref());
    let dual = condition
        .dual_down(&goal, solution.dual.ncols(), &vectors)
        .with_context(named)?;
    progress.begin("comparing closed forms", 0);
    // The deployed scaling, where the file has the vector that belongs to the matrix.
    let deployed = q.map(|q| diagonal::Named {
        name: "sll",
        scale: diagonal::weighted_row_sums(gram, &q.iter().map(|q| q.exp()).collect::<Vec<_>>()),
    });
    let forms = diagonal::all(gram)
        .into_iter()
        .chain(deployed)
        .map(|form| ClosedForm {
            name: form.name.to_owned(),
            objective: prove(&condition, &goal, &[form.scale]).map(|proved| proved.objective),
        })
        .collect();
    let remark = remark(&goal, &solution);
    let (t, upper, rule) = match proved {
        Some(Proved { t, objective, rule }) => (Some(t), Some(objective), Some(rule.to_owned())),
        None => (None, None, None),
    };
    Ok(Solved {
        schema: SolveSchema::V1,
        tool: Tool::current(),
        verdict: match (&t, assumptions.is_empty()) {
            (Some(_), true) => Verdict::Certified,
            (Some(_), false) => Verdict::Conditional,
            (None, _) => Verdict::NotCertified,
        },
        assumptions,
        semantics: Semantics::Real,
        command: options.command.clone(),
        weight: record,
        objective: SolvedObjective {
            name: word,
            upper,
            dual_bound: (dual > 0.0).then_some(dual),
        },
        rule,
        solver: remark,
        closed_forms: forms,
        t,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// A diagonal that satisfies the condition.
pub(super) struct Proved {
    pub(super) t: Vec<f64>,
    pub(super) objective: f64,
    pub(super) rule: &'static str,
}

/// Proves the candidate and the inflation of it that give the smallest objective.
pub(super) fn prove(condition: &Condition<'_>, goal: &Objective, candidates: &[Vec<f64>]) -> Option<Proved> {
    let mut attempts: Vec<(f64, Vec<f64>)> = candidates
        .iter()
        .flat_map(|t| INFLATIONS.map(|excess| inflate_up(t, excess)))
        .map(|t| (goal.value_up(&t), t))
        .collect();
    attempts.sort_by(|a, b| a.0.total_cmp(&b.0));
    attempts.into_iter().find_map(|(objective, t)| {
        let rule = condition.check(&t).ok()?;
        Some(Proved { t, objective, rule })
    })
}

fn remark(goal: &Objective, solution: &CommonSolution) -> SolverRemark {
    SolverRemark {
        name: match goal {
            Objective::Max => "eigenvalue",
            Objective::Weighted(_) => "structured",
        }
        .to_owned(),
        status: super::multipliers::status_word(solution.status).to_owned(),
        iterations: solution.iterations,
    }
}

/// The matrix whose rows have one entry of `T` each, and what is said of it.
pub(super) struct Loaded {
    pub(super) matrix: Matrix,
    pub(super) record: Weight,
    /// The vector of an SLL layer, for the rows of its weight.
    pub(super) q: Option<Vec<f64>>,
    pub(super) assumptions: Vec<String>,
}

/// Reads `FILE` or `FILE#TENSOR`.
pub(super) fn load(weight: &str, side: Side) -> anyhow::Result<Loaded> {
    let (path, tensor) = match weight.rsplit_once('#') {
        Some((path, tensor)) if !Path::new(weight).exists() => (Path::new(path), Some(tensor)),
        _ => (Path::new(weight), None),
    };
    let checkpoint = Checkpoint::open(path)?;
    let shown = path.display();
    let name = match (tensor, checkpoint.tensors()) {
        (Some(name), _) => name,
        (None, [only]) if checkpoint.format() == Format::Npy => only.name.as_str(),
        (None, tensors) => bail!(
            "`{shown}` is no single array: name one of its {} tensors behind `#`, such as `{shown}#{}`",
            tensors.len(),
            tensors.first().map_or("NAME", |info| info.name.as_str())
        ),
    };
    let Some(info) = checkpoint.tensor(name) else {
        bail!("`{shown}` has no tensor `{name}`");
    };
    let &[rows, cols] = info.shape.as_slice() else {
        bail!(
            "tensor `{name}` of `{shown}` has shape {:?}: the condition is solved for matrices",
            info.shape
        );
    };
    let values = checkpoint.read(name)?;
    let context = || format!("tensor `{name}` of `{shown}`");
    let matrix = match side {
        Side::Rows => Matrix::new("weight", rows, cols, values),
        Side::Columns => {
            // Checked for what is not finite in the orientation of the file.
            let stored = Matrix::new("weight", rows, cols, values).with_context(context)?;
            let turned = (0..rows * cols).map(|flat| stored.data()[flat % rows * cols + flat / rows]);
            Matrix::new("weight", cols, rows, turned.collect())
        }
    }
    .with_context(context)?;
    let sibling = name.strip_suffix("weight").map(|prefix| format!("{prefix}q"));
    let q = sibling
        .filter(|_| side == Side::Rows)
        .and_then(|sibling| checkpoint.read(&sibling).ok())
        .filter(|q| q.len() == rows && q.iter().all(|value| value.is_finite()));
    let computed = checkpoint.computed().iter().any(|other| other == name);
    let assumptions = computed.then(|| format!("`{name}` as the graph's arithmetic rounds it"));
    Ok(Loaded {
        assumptions: assumptions.into_iter().collect(),
        q,
        record: Weight {
            path: shown.to_string(),
            tensor: tensor.map(ToOwned::to_owned),
            sha256: checkpoint.sha256().to_owned(),
            shape: vec![rows, cols],
            side: match side {
                Side::Columns => "columns",
                Side::Rows => "rows",
            }
            .to_owned(),
        },
        matrix,
    })
}

/// The weights `c` of the objective.
fn read_weights(path: &Path, inner: usize) -> anyhow::Result<Vec<f64>> {
    let checkpoint = Checkpoint::open(path)?;
    let shown = path.display();
    let [only] = checkpoint.tensors() else {
        bail!("`{shown}` is no single array of weights");
    };
    if only.count() != inner {
        bail!("`{shown}` has {} weights, the matrix needs {inner}", only.count());
    }
    let values = checkpoint.read(&only.name)?;
    match values.iter().position(|value| !(value.is_finite() && *value > 0.0)) {
        Some(index) => bail!(
            "weight {index} of `{shown}` is {:e}, expected a positive number",
            values[index]
        ),
        None => Ok(values),
    }
}
