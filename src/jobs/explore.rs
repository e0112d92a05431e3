//! A parameterization of `T` in `WᵀW ⪯ T`, written as a script: tries to break it, proves where it breaks, measures how tight it is.
//!
//! A search that finds nothing proves nothing. What is proved: a counterexample, in exact arithmetic; and the condition for one weight, by the same rules
//! as everything else.

mod array;
mod families;
mod measure;
mod npy;
mod plot;
mod primitives;
mod script;
mod search;
mod shrink;
mod weights;

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use lipcert_proofs::rounding::directed::{add_up, max, sqrt_up};
use lipcert_proofs::rules::common_condition::{Condition, inflate_up, relative_gap_up};
use lipcert_proofs::rules::tolerance;
use lipcert_proofs::statement::Matrix;
use sha2::{Digest, Sha256};

use super::Progress;
use super::solve::{Loaded, Side, load};
use crate::results::{Counterexample, CounterexampleKind, ExploreSchema, Explored, Form, Semantics, Tool, Verdict, WeightCheck};
use measure::Bench;
use script::{Answer, Arguments, Limits, Script, Source};
use search::{Found, MARGIN, Wrong};

pub use npy::to_npy;
pub use plot::svg;

/// What to explore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The name of a family, or a file.
    pub family: String,
    /// Weights to try.
    pub trials: usize,
    /// Largest number of rows and columns of a weight.
    pub size: usize,
    /// Start of the random numbers.
    pub seed: u64,
    /// Instead of a search: the weight that the family is checked for, `FILE` or `FILE#TENSOR`.
    pub weight: Option<String>,
    /// Which Gram matrix of that weight.
    pub side: Side,
    /// The command, for the record.
    pub command: String,
}

/// Largest script file.
const FILE_MOST: u64 = 1 << 20;

/// Largest weight whose counterexample is made small.
const SHRUNK_MOST: usize = 64;

/// By how much `T` is enlarged until its condition is proved, above what the floats say.
const EXCESSES: [f64; 9] = [0.0, 1e-14, 1e-13, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2];

/// The names of the families that come with the program.
pub fn families() -> impl Iterator<Item = &'static str> {
    families::names()
}

/// Explores.
///
/// # Errors
///
/// If there is no such family or file, if the script fails or uses too much, or if the weight cannot be read.
pub fn run(options: &Options, progress: &dyn Progress) -> anyhow::Result<Explored> {
    let start = Instant::now();
    let source = read(&options.family)?;
    let mut explored = Explored {
        schema: ExploreSchema::V1,
        tool: Tool::current(),
        verdict: None,
        assumptions: Vec::new(),
        semantics: Semantics::Real,
        command: options.command.clone(),
        family: source.name.clone(),
        script_sha256: Sha256::digest(&source.text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        seed: options.seed,
        size: options.size,
        trials: 0,
        stopped: false,
        approx_worst: None,
        counterexample: None,
        weight: None,
        tightness: crate::results::Tightness {
            weights: Vec::new(),
            families: Vec::new(),
            depths: Vec::new(),
        },
        seconds: 0.0,
    };
    let mut found = None;
    let mut benches = None;
    if let Some(weight) = &options.weight {
        let loaded = load(weight, options.side)?;
        let bench = bench(weight, &loaded);
        explored.assumptions.clone_from(&loaded.assumptions);
        let (check, wrong) = check_weight(&source, &bench.arguments, loaded)?;
        explored.verdict = Some(match (check.delta, &wrong, explored.assumptions.is_empty()) {
            (Some(_), None, true) => Verdict::Certified,
            (Some(_), None, false) => Verdict::Conditional,
            _ => Verdict::NotCertified,
        });
        explored.weight = Some(check);
        found = wrong;
        benches = Some(vec![bench]);
    } else {
        let searched = search::run(&source, options.seed, options.trials, options.size, progress)?;
        explored.trials = searched.trials;
        explored.stopped = searched.stopped;
        explored.approx_worst = Some(searched.worst);
        found = searched.found.or(found);
    }
    let fixed = benches.is_none();
    let sources: Vec<Source> = std::iter::once(source.clone())
        .chain(families::sound().filter(|other| other.name != source.name))
        .collect();
    let (tightness, wrong) = measure::run(&sources, &benches.unwrap_or_else(measure::benches), fixed, progress)?;
    explored.tightness = tightness;
    if let Some(found) = found.or(wrong) {
        let small = found.arguments.cols.max(found.arguments.rows) <= SHRUNK_MOST.max(options.size);
        let found = if small {
            let script = Script::new(&source, Limits::of(found.arguments.rows, found.arguments.cols))?;
            shrink::shrink(&script, found)
        } else {
            found
        };
        explored.counterexample = Some(record(found));
    }
    explored.seconds = start.elapsed().as_secs_f64();
    Ok(explored)
}

/// A family by its name, or a script by its file.
fn read(family: &str) -> anyhow::Result<Source> {
    if let Some(source) = families::named(family) {
        return Ok(source);
    }
    let path = Path::new(family);
    let names: Vec<&str> = families::names().collect();
    if !path.exists() {
        bail!("`{family}` is neither a file nor one of the families {}", names.join(", "));
    }
    let context = || format!("cannot read script `{family}`");
    let size = fs::metadata(path).with_context(context)?;
    if !size.is_file() || size.len() > FILE_MOST {
        bail!("script `{family}` is no regular file of at most {FILE_MOST} bytes");
    }
    let bytes = fs::read(path).with_context(context)?;
    let text = String::from_utf8(bytes)
        .ok()
        .with_context(|| format!("script `{family}` is no UTF-8 text"))?;
    Ok(Source {
        name: path
            .file_stem()
            .map_or_else(|| family.to_owned(), |stem| stem.to_string_lossy().into_owned()),
        file: family.to_owned(),
        text,
    })
}

/// The named weight as a family sees it. `q` is that of an SLL layer where there is one, else ones.
fn bench(name: &str, loaded: &Loaded) -> Bench {
    let turned: &Matrix = &loaded.matrix;
    let (cols, rows) = (turned.rows(), turned.cols());
    let ones = || vec![1.0; cols];
    Bench {
        name: name.to_owned(),
        arguments: Arguments {
            rows,
            cols,
            weight: (0..rows * cols).map(|k| turned.data()[k % cols * rows + k / cols]).collect(),
            q: loaded.q.as_ref().map_or_else(ones, |q| q.iter().map(|q| q.exp()).collect()),
            z: vec![0.0; cols],
        },
    }
}

/// Proves `WᵀW ⪯ (1 + δ) T` for one weight, or that the family is wrong there.
fn check_weight(source: &Source, arguments: &Arguments, loaded: Loaded) -> anyhow::Result<(WeightCheck, Option<Found>)> {
    let script = Script::new(source, Limits::of(arguments.rows, arguments.cols))?;
    let gram = arguments.gram();
    let answer = script.call(arguments, &gram)?;
    let (form, t) = numbers(&answer);
    let mut check = WeightCheck {
        record: loaded.record,
        rule: None,
        delta: None,
        residual: None,
        plain: None,
        reason: None,
        form,
        t,
    };
    let mut wrong = None;
    let mut base = 0.0;
    for attempt in 0..2 {
        if let Answer::Diagonal(t) = &answer
            && let Some((rule, delta)) = least_delta(&loaded.matrix, t, base)?
        {
            check.rule = Some(rule.to_owned());
            check.delta = Some(delta);
            check.residual = Some(tolerance::bound_up(add_up(1.0, delta)));
            check.plain = Some(sqrt_up(add_up(1.0, delta)));
            break;
        }
        if attempt > 0 {
            break;
        }
        // Not within the smallest excesses: the floats say whether it is wrong, and by how much.
        let judged = search::judge(arguments, &gram, &answer);
        wrong = judged.wrong.map(|wrong| Found {
            arguments: arguments.clone(),
            answer: answer.clone(),
            wrong,
            trial: None,
        });
        base = judged.ratio - 1.0;
        let usable = base > 0.0 && base.is_finite();
        if !usable {
            break;
        }
    }
    if check.delta.is_none() {
        check.reason = Some(match (&answer, &wrong) {
            (_, Some(_)) => "T is wrong for this weight".to_owned(),
            (Answer::Diagonal(_), None) => "the rules do not show it; it may be true".to_owned(),
            _ => "the rules prove diagonal T only".to_owned(),
        });
    }
    Ok((check, wrong))
}

/// The rule and the `δ` of the smallest enlargement that is proved.
fn least_delta(matrix: &Matrix, t: &[f64], base: f64) -> anyhow::Result<Option<(&'static str, f64)>> {
    let condition = Condition::new(matrix)?;
    for excess in EXCESSES {
        let enlarged = inflate_up(t, add_up(base, excess));
        if let Ok(rule) = condition.check(&enlarged) {
            let delta = enlarged
                .iter()
                .zip(t)
                .filter(|(_, t)| **t > 0.0)
                .fold(0.0, |most, (enlarged, t)| max(most, relative_gap_up(*enlarged, *t)));
            return Ok(Some((rule, delta)));
        }
    }
    Ok(None)
}

/// The numbers of an answer, for a record.
fn numbers(answer: &Answer) -> (Form, Vec<Option<f64>>) {
    let (form, values) = match answer {
        Answer::Diagonal(t) => (Form::Diagonal, t),
        Answer::Full(t) => (Form::Full, t),
        Answer::Factor(r) => (Form::Factor, r),
    };
    (form, values.iter().map(|v| v.is_finite().then_some(*v)).collect())
}

fn record(found: Found) -> Counterexample {
    let (form, t) = numbers(&found.answer);
    let arguments = found.arguments;
    let (kind, vector, ratio) = match &found.wrong {
        Wrong::Refuted(refutation) => (
            CounterexampleKind::Violation,
            Some(refutation.vector().to_vec()),
            refutation.ratio_down(),
        ),
        Wrong::Undefined => (CounterexampleKind::Undefined, None, None),
    };
    Counterexample {
        kind,
        trial: found.trial,
        weight: arguments.weight.chunks_exact(arguments.cols).map(<[f64]>::to_vec).collect(),
        q: arguments.q,
        z: arguments.z,
        form,
        t,
        vector,
        margin: MARGIN,
        ratio,
    }
}
