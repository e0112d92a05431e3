//! The path from a starting point to the optimum.

use faer::{Mat, Par};

use super::dual::{first, leading, shrink};
use super::hessian;
use super::problem::{Problem, Reduction};
use super::schur::{Factor, Inverse, apply, factor, gradient, invert, solve};
use super::step::{Curvature, dot, projective};
use super::{Options, start};
use crate::chain::{Solution, Status, Watch};

/// This many candidates are kept.
const KEPT: usize = 8;

/// The weight of the objective grows by at most this factor a step.
const LEAP: f64 = 60.0;

/// The weight of `log s` grows by this factor once the point is centred.
const GROW: f64 = 3.0;

/// A step is taken for centred below this decrement.
const CENTRED: f64 = 0.6;

/// What is known so far.
struct Best<'a> {
    problem: &'a Problem,
    reduction: &'a Reduction<'a>,
    watch: &'a dyn Watch,
    tolerance: f64,
    par: Par,
    /// Points with ever smaller `ρ`, the best last.
    points: Vec<Vec<f64>>,
    /// The best vectors of the dual and their value, before any reduction of their number.
    dual: Option<(f64, Vec<Mat<f64>>)>,
}

impl Best<'_> {
    fn point(&mut self, x: &[f64]) {
        if self.points.last().is_none_or(|last| x[0] < last[0]) {
            self.points.push(x.to_vec());
            if self.points.len() > KEPT {
                self.points.remove(0);
            }
        }
    }

    /// Takes the leading vectors of `P⁻¹` at `x`, moved along with the Newton step `toward`, `V − P⁻¹ Ṗ V / 2`.
    fn vectors(&mut self, x: &[f64], here: &Factor, inverse: &Inverse, toward: &[f64]) {
        let Some(mut blocks) = leading(self.problem, inverse, self.par) else {
            return;
        };
        let mut change = apply(self.problem, toward, &blocks, self.par);
        solve(self.problem, x, here, &mut change, self.par);
        for (block, change) in blocks.iter_mut().zip(&change) {
            *block -= change * faer::Scale(0.5);
        }
        let value = self.value(&blocks);
        if self.dual.as_ref().is_none_or(|(most, _)| value > *most) {
            self.dual = Some((value, blocks));
        }
    }

    fn value(&self, blocks: &[Mat<f64>]) -> f64 {
        let mut copy = blocks.to_vec();
        shrink(
            &self.problem.weights,
            &self.problem.slopes,
            self.problem.output.as_ref(),
            &mut copy,
            self.par,
        )
    }

    fn upper(&self) -> f64 {
        self.points.last().map_or(f64::INFINITY, |x| x[0].sqrt())
    }

    fn lower(&self) -> f64 {
        self.dual.as_ref().map_or(0.0, |(value, _)| *value)
    }

    fn done(&self) -> bool {
        self.watch
            .interval(self.reduction.bound(self.lower()), self.reduction.bound(self.upper()));
        self.upper() - self.lower() <= self.tolerance * self.upper()
    }

    /// The fewest vectors that show nearly as much, after the shrink.
    fn few(&self) -> Option<(f64, Vec<Mat<f64>>)> {
        let (value, blocks) = self.dual.as_ref()?;
        let allowed = (value - 0.1 * (self.upper() - value).max(0.0)).min(value * (1.0 - 1e-10));
        let rank = (1..blocks[0].ncols())
            .find(|rank| self.value(&first(blocks, *rank)) >= allowed)
            .unwrap_or(blocks[0].ncols());
        let mut few = first(blocks, rank);
        let value = shrink(
            &self.problem.weights,
            &self.problem.slopes,
            self.problem.output.as_ref(),
            &mut few,
            self.par,
        );
        Some((value, few))
    }

    fn solution(self, status: Status, iterations: usize) -> Option<Solution> {
        let candidates: Vec<_> = self
            .points
            .iter()
            .rev()
            .filter_map(|x| self.reduction.candidate(self.problem, x))
            .collect();
        if candidates.is_empty() {
            return None;
        }
        let few = self.few();
        Some(Solution {
            candidates,
            approx_dual: few.as_ref().map_or(0.0, |(value, _)| self.reduction.bound(*value)),
            dual: few.map(|(_, blocks)| self.reduction.vectors(&blocks)),
            status,
            iterations,
        })
    }
}

/// The gradient and the factored Hessian of the barrier at a point.
struct Local {
    inverse: Inverse,
    /// The gradient of the barrier.
    slope: Vec<f64>,
    curvature: Option<Curvature>,
}

impl Local {
    fn new(problem: &Problem, x: &[f64], here: &Factor, par: Par) -> Self {
        let inverse = invert(problem, x, here, par);
        let slope = gradient(problem, x, &inverse, par).iter().map(|value| -value).collect();
        let mut target = Mat::zeros(x.len(), x.len());
        hessian::fill(problem, x, &inverse, &mut target, par);
        Self {
            inverse,
            slope,
            curvature: Curvature::factor(target, par),
        }
    }
}

/// From a starting point to the optimum; nothing if there is no starting point.
pub(super) fn follow(problem: &Problem, reduction: &Reduction<'_>, options: &Options<'_>, watch: &dyn Watch) -> Option<Solution> {
    let par = options.parallel;
    let parameter = problem.barrier_parameter();
    let mut best = Best {
        problem,
        reduction,
        watch,
        tolerance: options.tolerance,
        par,
        points: Vec::new(),
        dual: None,
    };
    let mut weight = problem.output.nrows().min(problem.widths[problem.hidden()]) as f64;
    let begin = options
        .start
        .and_then(|candidate| reduction.variables(problem, candidate))
        .or_else(|| start::layerwise(problem, weight, par))
        .or_else(|| start::fast(problem, par))?;
    let (mut x, mut here) = enlarge(problem, begin, par)?;
    let mut iterations = 0;
    best.point(&x);
    // First to the centre, where the objective has no scale.
    loop {
        if watch.stop() || iterations >= options.iterations {
            let status = if iterations >= options.iterations {
                Status::Iterations
            } else {
                Status::Stopped
            };
            return best.solution(status, iterations);
        }
        iterations += 1;
        let local = Local::new(problem, &x, &here, par);
        let Some(curvature) = &local.curvature else {
            break;
        };
        let mut step = projective(curvature, &x, &local.slope, weight + parameter, par);
        if step.decrement < 0.5 {
            if weight > parameter {
                break;
            }
            weight *= GROW;
            step = projective(curvature, &x, &local.slope, weight + parameter, par);
        }
        let total = weight + parameter;
        let found = start::search(problem, &x, &here, (&step.along, step.shrink, step.decrement), total, par);
        let Some((moved, factored)) = found else {
            break;
        };
        x = moved;
        here = factored;
        best.point(&x);
    }
    let mut tau = (weight + parameter) / x[0];
    let (mut failures, mut extra) = (0, 0);
    let status = loop {
        if watch.stop() {
            break Status::Stopped;
        }
        if iterations >= options.iterations {
            break Status::Iterations;
        }
        iterations += 1;
        let local = Local::new(problem, &x, &here, par);
        let Some(curvature) = &local.curvature else {
            break Status::Stalled;
        };
        let mut unit = vec![0.0; x.len()];
        unit[0] = 1.0;
        let from_unit = curvature.solve(&unit, par);
        let from_slope = curvature.solve(&local.slope, par);
        let toward: Vec<f64> = from_slope.iter().zip(&from_unit).map(|(a, b)| -a - tau * b).collect();
        let decrement = -(dot(&local.slope, &toward) + tau * toward[0]);
        let root = decrement.max(0.0).sqrt();
        if root < 1.0 {
            best.vectors(&x, &here, &local.inverse, &toward);
            if best.done() {
                break Status::Converged;
            }
        }
        let Some((moved, factored)) = newton(problem, &x, &here, (&toward, tau, decrement), par) else {
            failures += 1;
            if failures > 2 {
                break Status::Stalled;
            }
            tau *= 2.0;
            continue;
        };
        x = moved;
        here = factored;
        best.point(&x);
        // The gap at the centre is below the tolerance: only the centre is missing.
        let far_enough = parameter <= 0.5 * options.tolerance * tau * x[0];
        if far_enough {
            extra += 1;
            if extra > 12 {
                break Status::Stalled;
            }
        } else if root < CENTRED {
            if let Some((moved, factored, grown)) = predict(problem, &x, (&from_unit, tau), par) {
                x = moved;
                here = factored;
                tau *= grown;
                best.point(&x);
            } else {
                tau *= 2.0;
            }
        }
    };
    best.solution(status, iterations)
}

/// Makes a point strictly feasible by making all of it larger against the output.
fn enlarge(problem: &Problem, start: Vec<f64>, par: Par) -> Option<(Vec<f64>, Factor)> {
    let mut x = start;
    for _ in 0..60 {
        x.iter_mut().for_each(|value| *value *= 1.5);
        if let Some(here) = factor(problem, &x, par) {
            return Some((x, here));
        }
    }
    None
}

/// A step of Newton's method for `τ ρ − barrier` with a line search.
fn newton(
    problem: &Problem,
    x: &[f64],
    here: &Factor,
    (toward, tau, decrement): (&[f64], f64, f64),
    par: Par,
) -> Option<(Vec<f64>, Factor)> {
    let damped = 0.9 / (1.0 + decrement.max(0.0).sqrt());
    let mut length = 1.0;
    while length > 1e-6 * damped {
        let moved: Vec<f64> = x.iter().zip(toward).map(|(value, step)| value + length * step).collect();
        if let Some(factored) = factor(problem, &moved, par) {
            let change = tau * (moved[0] - x[0]) - (factored.barrier - here.barrier);
            if length <= damped || change <= -0.1 * length * decrement {
                return Some((moved, factored));
            }
        }
        length = if length > damped && 0.5 * length < damped {
            damped
        } else {
            0.5 * length
        };
    }
    None
}

/// A step along the tangent of the path: the point and by how much the weight of the objective grows.
fn predict(problem: &Problem, x: &[f64], (from_unit, tau): (&[f64], f64), par: Par) -> Option<(Vec<f64>, Factor, f64)> {
    // x(μ) with τ = 1/μ has dx/dμ = τ² H⁻¹ e₀, so that μ → (1 − a) μ moves x by −a τ H⁻¹ e₀.
    let at = |length: f64| -> Option<(Vec<f64>, Factor)> {
        let moved: Vec<f64> = x
            .iter()
            .zip(from_unit)
            .map(|(value, step)| value - length * tau * step)
            .collect();
        let factored = factor(problem, &moved, par)?;
        Some((moved, factored))
    };
    let mut length = 1.0 - 1.0 / LEAP;
    let reach = (0..8).find_map(|_| {
        let fits = at(length).is_some();
        let reached = length;
        length *= 0.75;
        fits.then_some(reached)
    })?;
    let back = if reach > 0.95 { 0.95 * reach } else { 0.85 * reach };
    let (moved, factored) = at(back)?;
    Some((moved, factored, 1.0 / (1.0 - back)))
}
