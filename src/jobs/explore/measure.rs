//! How tight a family is: against the best diagonal `T`, against other families, through depth, and in time.

use std::time::Instant;

use anyhow::Context;
use lipcert_proofs::rules::common_condition::{Condition, Objective, inflate_up, relative_gap_up};
use lipcert_proofs::rules::refutation::{Candidate, Refutation};
use lipcert_proofs::statement::Matrix;
use lipcert_solver::{common, convert};

use super::script::{Answer, Arguments, Limits, Script, Source};
use super::search::{Found, MARGIN, Wrong, judge};
use super::weights;
use crate::jobs::solve::prove;
use crate::jobs::{Onlooker, Progress};
use crate::results::{MeasuredFamily, MeasuredWeight, Tightness};

/// Columns of the fixed weights, and width of the layers of the gains.
const WIDTH: usize = 16;

/// Layers after which the activations are looked at.
const DEPTHS: [usize; 3] = [1, 10, 50];

/// Inputs of the gains.
const INPUTS: usize = 32;

/// Calls that are timed.
const TIMED: usize = 50;

/// Starts of the generators: the comparison is the same in every run.
const SEED: u64 = 2023;

/// A weight of the comparison.
pub(super) struct Bench {
    pub(super) name: String,
    pub(super) arguments: Arguments,
}

/// The fixed weights.
pub(super) fn benches() -> Vec<Bench> {
    let kinds = [
        ("gaussian", WIDTH),
        ("tall", 4 * WIDTH),
        ("wide", WIDTH / 2),
        ("nearly orthogonal", WIDTH),
        ("coherent", WIDTH),
        ("positive", WIDTH),
        ("columns of many sizes", WIDTH),
        ("sparse", WIDTH),
    ];
    let draw = |(index, (name, rows)): (usize, (&str, usize))| {
        let mut random = weights::generator(SEED, index as u64);
        let mut weight = match name {
            "nearly orthogonal" => weights::orthogonal(&mut random, rows, WIDTH, 0.02),
            "coherent" => weights::coherent(&mut random, rows, WIDTH),
            _ => weights::normals(&mut random, rows * WIDTH),
        };
        match name {
            "positive" => weight.iter_mut().for_each(|v| *v = v.abs()),
            "columns of many sizes" => {
                let sizes: Vec<f64> = (0..WIDTH).map(|_| 10_f64.powf(2.0 * random.uniform() - 1.0)).collect();
                weight.iter_mut().enumerate().for_each(|(k, v)| *v *= sizes[k % WIDTH]);
            }
            "sparse" => weight.iter_mut().for_each(|v| {
                if random.uniform() < 0.75 {
                    *v = 0.0;
                }
            }),
            _ => {}
        }
        Bench {
            name: name.to_owned(),
            arguments: with_vectors(&mut random, rows, weight),
        }
    };
    kinds.into_iter().enumerate().map(draw).collect()
}

/// The weight with free vectors of moderate size.
fn with_vectors(random: &mut lipcert_solver::random::Random, rows: usize, weight: Vec<f64>) -> Arguments {
    let cols = weight.len() / rows;
    Arguments {
        rows,
        cols,
        weight,
        q: (0..cols).map(|_| (0.5 * random.normal()).exp()).collect(),
        z: weights::normals(random, cols),
    }
}

/// A weight with its best diagonals.
struct Solved {
    matrix: Matrix,
    ones: Objective,
    /// The best diagonal for the trace, about.
    best: Vec<f64>,
    /// Vectors of the dual for the trace, `(inner, rank)`.
    dual: Vec<f64>,
    rank: usize,
    record: MeasuredWeight,
}

/// Compares the families of `sources` on `benches`; gains and times only for the fixed weights. The first source is the one that is explored: for it a
/// counterexample is handed back.
pub(super) fn run(
    sources: &[Source],
    benches: &[Bench],
    fixed: bool,
    progress: &dyn Progress,
) -> anyhow::Result<(Tightness, Option<Found>)> {
    progress.begin("comparing with the optimum", sources.len() + benches.len());
    let mut solved = Vec::with_capacity(benches.len());
    for bench in benches {
        solved.push(solve(bench, progress).with_context(|| format!("weight `{}`", bench.name))?);
        progress.advance(1);
    }
    let mut families = Vec::with_capacity(sources.len() + 1);
    let mut found = None;
    for (index, source) in sources.iter().enumerate() {
        let (family, wrong) = family(source, benches, &solved, fixed)?;
        if index == 0 {
            found = wrong;
        }
        families.push(family);
        progress.advance(1);
    }
    families.push(optimum(&solved));
    let key = |family: &MeasuredFamily| (family.wrong > 0, family.approx_trace.unwrap_or(f64::INFINITY));
    families.sort_by(|a, b| {
        let ((a_wrong, a), (b_wrong, b)) = (key(a), key(b));
        a_wrong.cmp(&b_wrong).then(a.total_cmp(&b))
    });
    let tightness = Tightness {
        weights: solved.into_iter().map(|solved| solved.record).collect(),
        families,
        depths: if fixed { DEPTHS.to_vec() } else { Vec::new() },
    };
    Ok((tightness, found))
}

fn solve(bench: &Bench, progress: &dyn Progress) -> anyhow::Result<Solved> {
    let arguments = &bench.arguments;
    let matrix = arguments.turned().context("the weight is not finite")?;
    let condition = Condition::new(&matrix)?;
    let gram = convert::gram(condition.gram());
    let ones = Objective::Weighted(vec![1.0; arguments.cols]);
    let options = common::Options {
        par: convert::threads(true),
        ..common::Options::default()
    };
    let watch = Onlooker { progress, factor: None };
    let trace = common::minimize_trace(gram, &options, &watch)?;
    let largest = common::minimize_largest(gram, &options)?;
    let dual = convert::row_major(trace.dual.as_ref());
    let rank = trace.dual.ncols();
    let top = convert::row_major(largest.dual.as_ref());
    let record = MeasuredWeight {
        name: bench.name.clone(),
        shape: [arguments.rows, arguments.cols],
        trace_upper: prove(&condition, &ones, &trace.candidates).map(|proved| proved.objective),
        trace_dual_bound: condition.dual_down(&ones, rank, &dual)?,
        max_dual_bound: condition.dual_down(&Objective::Max, largest.dual.ncols(), &top)?,
    };
    let best = trace.candidates.into_iter().next().unwrap_or_default();
    Ok(Solved {
        matrix,
        ones,
        best,
        dual,
        rank,
        record,
    })
}

/// The row of the optimum itself.
fn optimum(solved: &[Solved]) -> MeasuredFamily {
    let over = |solved: &Solved| {
        let upper = solved.record.trace_upper?;
        Some(1.0 + relative_gap_up(upper, solved.record.trace_dual_bound))
    };
    let trace: Vec<Option<f64>> = solved.iter().map(over).collect();
    MeasuredFamily {
        name: "(optimum for the trace)".to_owned(),
        proved: trace.iter().flatten().count(),
        approx_trace: mean(&trace),
        max: vec![None; trace.len()],
        trace,
        ..MeasuredFamily::default()
    }
}

fn family(source: &Source, benches: &[Bench], solved: &[Solved], fixed: bool) -> anyhow::Result<(MeasuredFamily, Option<Found>)> {
    let mut measured = MeasuredFamily {
        name: source.name.clone(),
        ..MeasuredFamily::default()
    };
    let mut first = None;
    let mut columns: Option<[f64; 2]> = None;
    for (bench, solved) in benches.iter().zip(solved) {
        let arguments = &bench.arguments;
        let script = Script::new(source, Limits::of(arguments.rows, arguments.cols))?;
        let gram = arguments.gram();
        let answer = script
            .call(arguments, &gram)
            .with_context(|| format!("weight `{}`", bench.name))?;
        let proved = match &answer {
            Answer::Diagonal(t) if t.iter().all(|t| t.is_finite()) => {
                for (t, best) in t.iter().zip(&solved.best).filter(|(_, best)| **best > 0.0) {
                    let [least, most] = columns.unwrap_or([f64::INFINITY, 0.0]);
                    columns = Some([least.min(t / best), most.max(t / best)]);
                }
                ratios(solved, t)?
            }
            _ => None,
        };
        measured.trace.push(proved.map(|(trace, _)| trace));
        measured.max.push(proved.map(|(_, max)| max));
        if proved.is_some() {
            measured.proved += 1;
            continue;
        }
        let wrong = judge(arguments, &gram, &answer)
            .wrong
            .or_else(|| below_the_dual(solved, &answer).map(Wrong::Refuted));
        if let Some(wrong) = wrong {
            measured.wrong += 1;
            first.get_or_insert(Found {
                arguments: arguments.clone(),
                answer,
                wrong,
                trial: None,
            });
        }
    }
    measured.approx_trace = mean(&measured.trace);
    measured.approx_max = mean(&measured.max);
    measured.approx_columns = columns;
    if fixed {
        measured.seconds_per_call = Some(time(source)?);
        if let Some((plain, residual)) = gains(source)? {
            measured.approx_plain_gain = Some(plain);
            measured.approx_residual_gain = Some(residual);
        }
    }
    Ok((measured, first))
}

/// Proved trace and largest entry over their dual bounds; nothing if the condition is not proved.
fn ratios(solved: &Solved, t: &[f64]) -> anyhow::Result<Option<(f64, f64)>> {
    let condition = Condition::new(&solved.matrix)?;
    let record = &solved.record;
    Ok(prove(&condition, &solved.ones, &[t.to_vec()]).map(|proved| {
        let over = |value, bound| 1.0 + relative_gap_up(value, bound);
        let max = Objective::Max.value_up(&proved.t);
        (
            over(proved.objective, record.trace_dual_bound),
            over(max, record.max_dual_bound),
        )
    }))
}

/// A diagonal with a trace below the proved bound is wrong, and one of the vectors of the bound shows it.
fn below_the_dual(solved: &Solved, answer: &Answer) -> Option<Refutation> {
    let Answer::Diagonal(t) = answer else { return None };
    if solved.ones.value_up(&inflate_up(t, MARGIN)) >= solved.record.trace_dual_bound {
        return None;
    }
    (0..solved.rank).find_map(|column| {
        let vector = solved.dual.chunks_exact(solved.rank).map(|row| row[column]).collect();
        Refutation::check(&solved.matrix, &Candidate::Diagonal(t.clone()), vector, MARGIN).ok()
    })
}

/// The geometric mean, if all are there.
fn mean(values: &[Option<f64>]) -> Option<f64> {
    let logs: Option<Vec<f64>> = values.iter().map(|value| value.map(f64::ln)).collect();
    logs.filter(|logs| !logs.is_empty())
        .map(|logs| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

/// Seconds of the fastest call.
fn time(source: &Source) -> anyhow::Result<f64> {
    let mut random = weights::generator(SEED, 100);
    let weight = weights::normals(&mut random, WIDTH * WIDTH);
    let arguments = with_vectors(&mut random, WIDTH, weight);
    let gram = arguments.gram();
    let script = Script::new(source, Limits::of(WIDTH, WIDTH))?;
    let mut least = f64::INFINITY;
    for _ in 0..TIMED {
        let start = Instant::now();
        script.call(&arguments, &gram)?;
        least = least.min(start.elapsed().as_secs_f64());
    }
    Ok(least)
}

/// Mean squares that are left of random inputs after random layers: `WT^{-1/2}x`, and `x − 2WT⁻¹relu(Wᵀx)`. Nothing for a `T` that is not diagonal
/// and positive.
fn gains(source: &Source) -> anyhow::Result<Option<(Vec<f64>, Vec<f64>)>> {
    let mut random = weights::generator(SEED, 200);
    let script = Script::new(source, Limits::of(WIDTH, WIDTH))?;
    let mut plain: Vec<Vec<f64>> = (0..INPUTS).map(|_| weights::normals(&mut random, WIDTH)).collect();
    let mut residual = plain.clone();
    let square = |inputs: &[Vec<f64>]| inputs.iter().flatten().map(|v| v * v).sum::<f64>();
    let start = square(&plain);
    let (mut of_plain, mut of_residual) = (Vec::new(), Vec::new());
    for depth in 1..=DEPTHS[DEPTHS.len() - 1] {
        let weight: Vec<f64> = weights::normals(&mut random, WIDTH * WIDTH)
            .iter()
            .map(|v| v / (WIDTH as f64).sqrt())
            .collect();
        let arguments = Arguments {
            rows: WIDTH,
            cols: WIDTH,
            weight,
            q: vec![1.0; WIDTH],
            z: vec![0.0; WIDTH],
        };
        let answer = script.call(&arguments, &arguments.gram())?;
        let t = match answer {
            Answer::Diagonal(t) if t.iter().all(|t| *t > 0.0 && t.is_finite()) => t,
            _ => return Ok(None),
        };
        let w = &arguments.weight;
        let times = |x: &[f64]| -> Vec<f64> {
            w.chunks_exact(WIDTH)
                .map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum())
                .collect()
        };
        for x in &mut plain {
            let scaled: Vec<f64> = x.iter().zip(&t).map(|(x, t)| x / t.sqrt()).collect();
            *x = times(&scaled);
        }
        for x in &mut residual {
            let active: Vec<f64> = (0..WIDTH)
                .map(|j| (0..WIDTH).map(|i| w[i * WIDTH + j] * x[i]).sum::<f64>().max(0.0) / t[j])
                .collect();
            let step = times(&active);
            x.iter_mut().zip(&step).for_each(|(x, step)| *x -= 2.0 * step);
        }
        if DEPTHS.contains(&depth) {
            of_plain.push(square(&plain) / start);
            of_residual.push(square(&residual) / start);
        }
    }
    Ok(Some((of_plain, of_residual)))
}
