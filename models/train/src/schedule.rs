//! How the rate changes over the steps.

use std::f64::consts::PI;

use lipcert_models::training::config::{Schedule, ScheduleKind};

/// Where the one-cycle schedule begins, relative to its largest rate.
const ONE_CYCLE_START: f64 = 1.0 / 25.0;
/// Where it ends, relative to where it begins.
const ONE_CYCLE_END: f64 = 1e-4;
/// The part of the steps in which it rises.
const ONE_CYCLE_RISE: f64 = 0.3;

/// The corners of the triangular schedule: part of the steps, factor.
const TRIANGLE: [(f64, f64); 4] = [(0.0, 0.0), (0.4, 1.0), (0.8, 0.05), (1.0, 0.0)];

/// The factor on the largest rate for update `step` of `steps`, counted from 0.
///
/// - `triangular` is a broken line over `step / steps`: as in the authors' code of SLL the first update has rate 0, and 0 at the end is never reached.
/// - `one-cycle` is PyTorch's `OneCycleLR` with its defaults, but the momentum stays: update `0.3 · steps − 1` has the largest rate and the last one,
///   `steps − 1`, the smallest.
/// - `cosine` is `(1 + cos(π · step / steps)) / 2`: 1 at the first update.
/// - `multi-step` multiplies by the factor once for every milestone `m` with `step ≥ m · steps`.
///
/// A warm-up over the part `w` of the steps multiplies all of them by `step / (w · steps)` as long as that is below 1.
#[must_use]
pub fn rate(schedule: &Schedule, step: usize, steps: usize) -> f64 {
    let (step, steps) = (count(step), count(steps.max(1)));
    let warm_up = schedule.warm_up * steps;
    let rise = if step < warm_up { step / warm_up } else { 1.0 };
    let factor = match schedule.kind {
        ScheduleKind::Constant => 1.0,
        ScheduleKind::Triangular => broken_line(step / steps),
        ScheduleKind::OneCycle => one_cycle(step, steps),
        ScheduleKind::Cosine => cosine(1.0, 0.0, step / steps),
        ScheduleKind::MultiStep => {
            let passed = schedule.milestones.iter().filter(|milestone| step >= **milestone * steps);
            passed.fold(1.0, |factor, _| factor * schedule.factor)
        }
    };
    rise * factor
}

/// The triangular schedule at a part of the steps.
fn broken_line(part: f64) -> f64 {
    for [(left, from), (right, to)] in TRIANGLE.array_windows() {
        if part <= *right {
            return from + (to - from) * (part - left) / (right - left);
        }
    }
    0.0
}

/// PyTorch's two phases; the first ends one update before the part of the steps that is named.
fn one_cycle(step: f64, steps: f64) -> f64 {
    let top = ONE_CYCLE_RISE * steps - 1.0;
    if step <= top {
        return cosine(ONE_CYCLE_START, 1.0, step / top);
    }
    cosine(1.0, ONE_CYCLE_START * ONE_CYCLE_END, (step - top) / (steps - 1.0 - top))
}

/// From one factor to another along half a wave; at the second for a part above 1.
fn cosine(from: f64, to: f64, part: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * part.min(1.0)).cos()) / 2.0
}

#[expect(clippy::cast_precision_loss, reason = "steps are far fewer than 2^53")]
const fn count(steps: usize) -> f64 {
    steps as f64
}
