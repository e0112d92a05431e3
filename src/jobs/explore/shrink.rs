//! Makes a counterexample small: fewer rows and columns, rounder numbers, still proved.

use lipcert_proofs::rules::refutation::Refutation;

use super::script::{Arguments, Script};
use super::search::{Found, Judged, MARGIN, Wrong, judge};

/// At most so many calls of the script.
const CALLS: usize = 20_000;

/// A violation this large is not given up for a smaller matrix.
const CLEAR: f64 = 0.05;

/// Makes it small.
pub(super) fn shrink(script: &Script, found: Found) -> Found {
    let mut shrinker = Shrinker {
        script,
        calls: 0,
        least: match &found.wrong {
            Wrong::Undefined => None,
            Wrong::Refuted(refutation) => {
                let excess = refutation.ratio_down().map_or(CLEAR, |ratio| 0.5 * (ratio - 1.0));
                Some(1.0 + excess.clamp(2.0 * MARGIN, CLEAR))
            }
        },
        best: found,
    };
    loop {
        let before = shrinker.best.arguments.clone();
        shrinker.sizes();
        shrinker.numbers();
        if shrinker.best.arguments == before || shrinker.calls >= CALLS {
            break;
        }
    }
    shrinker.vector();
    shrinker.best
}

struct Shrinker<'s> {
    script: &'s Script,
    calls: usize,
    /// The ratio that has to stay; nothing where `T` is undefined.
    least: Option<f64>,
    best: Found,
}

impl Shrinker<'_> {
    /// Takes the arguments if the family is still wrong there.
    fn accept(&mut self, arguments: Arguments) -> bool {
        if arguments == self.best.arguments || self.calls >= CALLS {
            return false;
        }
        self.calls += 1;
        let gram = arguments.gram();
        let Ok(answer) = self.script.call(&arguments, &gram) else {
            return false;
        };
        let Judged { ratio, wrong } = judge(&arguments, &gram, &answer);
        let wrong = match (wrong, self.least) {
            (Some(wrong @ Wrong::Undefined), None) => wrong,
            (Some(wrong @ Wrong::Refuted(_)), Some(least)) if ratio >= least => wrong,
            _ => return false,
        };
        self.best = Found {
            arguments,
            answer,
            wrong,
            trial: self.best.trial,
        };
        true
    }

    /// Drops rows and columns.
    fn sizes(&mut self) {
        let mut index = 0;
        while index < self.best.arguments.rows {
            let from = &self.best.arguments;
            if from.rows == 1 || !self.accept(without_row(from, index)) {
                index += 1;
            }
        }
        let mut index = 0;
        while index < self.best.arguments.cols {
            let from = &self.best.arguments;
            if from.cols == 1 || !self.accept(without_column(from, index)) {
                index += 1;
            }
        }
    }

    /// Makes numbers rounder, from the roundest on.
    fn numbers(&mut self) {
        let from = &self.best.arguments;
        let ones = Arguments {
            q: vec![1.0; from.cols],
            ..from.clone()
        };
        let zeros = Arguments {
            z: vec![0.0; from.cols],
            ..from.clone()
        };
        self.accept(ones);
        let zeros = Arguments {
            q: self.best.arguments.q.clone(),
            ..zeros
        };
        self.accept(zeros);
        let largest = self.best.arguments.weight.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
        if largest > 0.0 && !(0.5..=8.0).contains(&largest) {
            let mut scaled = self.best.arguments.clone();
            scaled.weight.iter_mut().for_each(|v| *v /= largest);
            self.accept(scaled);
        }
        for place in 0..self.best.arguments.weight.len() {
            let value = self.best.arguments.weight[place];
            if value.abs() <= 0.0 {
                continue;
            }
            for rounder in rounder(value, true) {
                let mut next = self.best.arguments.clone();
                next.weight[place] = rounder;
                if self.accept(next) {
                    break;
                }
            }
        }
        for place in 0..self.best.arguments.cols {
            for rounder in rounder(self.best.arguments.q[place], false) {
                let mut next = self.best.arguments.clone();
                next.q[place] = rounder;
                if self.accept(next) {
                    break;
                }
            }
            for rounder in rounder(self.best.arguments.z[place], true) {
                let mut next = self.best.arguments.clone();
                next.z[place] = rounder;
                if self.accept(next) {
                    break;
                }
            }
        }
    }

    /// Makes the vector rounder.
    fn vector(&mut self) {
        let Wrong::Refuted(refutation) = &self.best.wrong else {
            return;
        };
        let arguments = &self.best.arguments;
        let (Some(weight), Some(candidate)) = (arguments.turned(), self.best.answer.candidate(arguments.cols)) else {
            return;
        };
        let rounder = [1.0, 2.0, 10.0, 100.0, 1000.0].iter().find_map(|unit| {
            let vector = refutation.vector().iter().map(|v| (v * unit).round() / unit).collect();
            let checked = Refutation::check(&weight, &candidate, vector, MARGIN).ok()?;
            let keeps = match (checked.ratio_down(), refutation.ratio_down()) {
                (Some(ratio), Some(before)) => ratio - 1.0 >= 0.9 * (before - 1.0),
                (None, _) => true,
                (Some(_), None) => false,
            };
            keeps.then_some(checked)
        });
        if let Some(rounder) = rounder {
            self.best.wrong = Wrong::Refuted(rounder);
        }
    }
}

/// Rounder numbers near `value`, the roundest first; none that is as long as it.
fn rounder(value: f64, zero: bool) -> Vec<f64> {
    let mut list = Vec::new();
    if zero {
        list.push(0.0);
    }
    list.push(value.signum());
    list.extend([1.0, 2.0, 10.0, 100.0, 1000.0].map(|unit| (value * unit).round() / unit));
    list.retain(|other| zero || *other > 0.0);
    // From the value itself on, nothing is gained.
    let end = list.iter().position(|other| other.to_bits() == value.to_bits());
    list.truncate(end.unwrap_or(list.len()));
    list
}

fn without_row(from: &Arguments, index: usize) -> Arguments {
    let mut next = from.clone();
    next.weight.drain(index * from.cols..(index + 1) * from.cols);
    next.rows -= 1;
    next
}

fn without_column(from: &Arguments, index: usize) -> Arguments {
    let kept = |k: &usize| k % from.cols != index;
    let mut next = from.clone();
    next.weight = (0..from.weight.len()).filter(kept).map(|k| from.weight[k]).collect();
    next.q.remove(index);
    next.z.remove(index);
    next.cols -= 1;
    next
}
