//! Looks for arguments at which a family's `T` does not hold.

use std::sync::atomic::{AtomicBool, Ordering};

use lipcert_proofs::rules::refutation::Refutation;
use lipcert_solver::violation::{self, Violation};
use rayon::prelude::*;

use super::script::{Answer, Arguments, Limits, Script, ScriptError, Source};
use super::weights;
use crate::jobs::Progress;

/// A violation is one of the family, and not of the rounding of its `T`, from here on: relative to `|v|ᵀ|T||v|`.
pub(super) const MARGIN: f64 = 1e-6;

/// Trials that belong together: first independent weights, then a climb from the worst of them.
const BLOCK: usize = 256;
const STARTS: usize = 192;

/// Blocks between two looks at what was found.
const WAVE: usize = 32;

/// What is wrong at some arguments.
#[derive(Clone, Debug)]
pub(super) enum Wrong {
    /// `WᵀW ⪯ T` is false, proved.
    Refuted(Refutation),
    /// `T` has an entry that is no finite number.
    Undefined,
}

/// Arguments at which the family is wrong.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) arguments: Arguments,
    pub(super) answer: Answer,
    pub(super) wrong: Wrong,
    /// Which trial it was, from 0; none if it was one of the weights that everything is measured on.
    pub(super) trial: Option<usize>,
}

/// How a search ended.
#[derive(Clone, Debug)]
pub(super) struct Searched {
    pub(super) trials: usize,
    /// About the largest `λmax(T^{-1/2} WᵀW T^{-1/2})` that is no counterexample.
    pub(super) worst: f64,
    pub(super) found: Option<Found>,
    pub(super) stopped: bool,
}

/// What the floats say at some arguments, proved where it is bad news.
pub(super) struct Judged {
    pub(super) ratio: f64,
    pub(super) wrong: Option<Wrong>,
}

/// Compares an answer with its weight.
pub(super) fn judge(arguments: &Arguments, gram: &[f64], answer: &Answer) -> Judged {
    let n = arguments.cols;
    let holds = |ratio| Judged { ratio, wrong: None };
    if gram.iter().any(|value| !value.is_finite()) {
        return holds(0.0);
    }
    let undefined = Judged {
        ratio: f64::INFINITY,
        wrong: Some(Wrong::Undefined),
    };
    let Some(candidate) = answer.candidate(n) else {
        return undefined;
    };
    let shown = match answer {
        Answer::Diagonal(t) => violation::diagonal(gram, t),
        Answer::Full(t) => violation::full(gram, t, n),
        Answer::Factor(r) => {
            let factor = Arguments {
                rows: n,
                cols: n,
                weight: r.clone(),
                q: Vec::new(),
                z: Vec::new(),
            };
            violation::full(gram, &factor.gram(), n)
        }
    };
    let Some(Violation { ratio, vector }) = shown else {
        return holds(0.0);
    };
    if ratio <= 1.0 + MARGIN {
        return holds(ratio);
    }
    let refuted = arguments
        .turned()
        .and_then(|weight| Refutation::check(&weight, &candidate, vector, MARGIN).ok());
    match refuted {
        Some(refutation) => Judged {
            ratio,
            wrong: Some(Wrong::Refuted(refutation)),
        },
        // What floats took for a violation is none, or none above rounding.
        None => holds(1.0),
    }
}

/// Tries so many weights.
///
/// The outcome depends on the seed, the sizes and the script, not on the number of threads; unless it is stopped.
pub(super) fn run(
    source: &Source,
    seed: u64,
    trials: usize,
    size: usize,
    progress: &dyn Progress,
) -> Result<Searched, ScriptError> {
    progress.begin("trying weights", trials);
    let mut searched = Searched {
        trials: 0,
        worst: 0.0,
        found: None,
        stopped: false,
    };
    let blocks = trials.div_ceil(BLOCK);
    let stopped = AtomicBool::new(false);
    for wave in 0..blocks.div_ceil(WAVE) {
        let range = wave * WAVE..((wave + 1) * WAVE).min(blocks);
        let outcomes: Vec<Option<Result<Searched, ScriptError>>> = range
            .into_par_iter()
            .map(|index| {
                if progress.stopped() {
                    stopped.store(true, Ordering::Relaxed);
                    return None;
                }
                let count = BLOCK.min(trials - index * BLOCK);
                let outcome = block(source, seed, index, count, size);
                progress.advance(count);
                Some(outcome)
            })
            .collect();
        for outcome in outcomes.into_iter().flatten() {
            let outcome = outcome?;
            searched.trials += outcome.trials;
            searched.worst = searched.worst.max(outcome.worst);
            searched.found = outcome.found;
            if searched.found.is_some() {
                return Ok(searched);
            }
        }
        if stopped.load(Ordering::Relaxed) {
            searched.stopped = true;
            break;
        }
    }
    Ok(searched)
}

/// The trials of one block.
fn block(source: &Source, seed: u64, index: usize, count: usize, size: usize) -> Result<Searched, ScriptError> {
    let script = Script::new(source, Limits::of(size, size))?;
    let mut random = weights::generator(seed, index as u64);
    let mut searched = Searched {
        trials: 0,
        worst: 0.0,
        found: None,
        stopped: false,
    };
    let mut best: Option<(f64, Arguments)> = None;
    let mut step = 0.5;
    for trial in 0..count {
        let arguments = match &best {
            Some((_, arguments)) if trial >= STARTS => weights::disturbed(&mut random, arguments, step),
            _ => weights::draw(&mut random, (index * BLOCK + trial) as u64, size),
        };
        let gram = arguments.gram();
        let answer = script.call(&arguments, &gram)?;
        searched.trials += 1;
        let Judged { ratio, wrong } = judge(&arguments, &gram, &answer);
        if let Some(wrong) = wrong {
            searched.found = Some(Found {
                arguments,
                answer,
                wrong,
                trial: Some(index * BLOCK + trial),
            });
            return Ok(searched);
        }
        searched.worst = searched.worst.max(ratio);
        let better = best.as_ref().is_none_or(|best| ratio > best.0);
        if better {
            best = Some((ratio, arguments));
        } else if trial >= STARTS {
            step = (step * 0.97).max(1e-3);
        }
    }
    Ok(searched)
}
