//! The path from a starting point to the optimum.

use faer::{Mat, Par};

use super::dual::{Leading, first, shrink};
use super::goal::Goal;
use super::hessian;
use super::krylov::Implicit;
use super::problem::{Problem, Reduction};
use super::schur::{Factor, apply, factor, gradient, invert, solve};
use super::step::{Curvature, Solve, dot};
use super::{Options, start};
use crate::chain::{Sharing, Solution, Status, Watch};

/// This many candidates are kept.
const KEPT: usize = 8;

/// The gap, as a quotient, at which [`Best::inner`] is taken.
const INNER: f64 = 0.7;

/// Newton steps a layer for the starting point: more in deep chains, where a thin start costs many steps later.
const START_STEPS: (usize, usize) = (4, 10);

/// A chain with more hidden layers than this is deep.
const SHALLOW_MOST: usize = 4;

/// A step is taken for centred below this decrement.
const CENTRED: f64 = 0.9;

/// What is known so far.
struct Best<'a> {
    problem: &'a Problem,
    reduction: &'a Reduction<'a>,
    watch: &'a dyn Watch,
    tolerance: f64,
    par: Par,
    leading: Leading,
    /// Points with ever smaller `ρ`, the best last.
    points: Vec<Vec<f64>>,
    /// A point about the centre, far from the optimum: where a related problem may start.
    inner: Option<Vec<f64>>,
    /// The best vectors of the dual and their value, before any reduction of their number.
    dual: Option<(f64, Vec<Mat<f64>>)>,
    /// What centres say about the least `√ρ`, where that has no vectors.
    approx: f64,
}

impl Best<'_> {
    /// Takes the multipliers of a closed form, a little inside.
    fn closed(&mut self, x: &[f64]) {
        for slack in [1e-6, 1e-8] {
            let inside: Vec<f64> = x.iter().map(|value| value * (1.0 + slack)).collect();
            if factor(self.problem, &inside, self.par).is_some() {
                self.point(&inside);
            }
        }
    }

    fn point(&mut self, x: &[f64]) {
        if self.points.last().is_none_or(|last| x[0] < last[0]) {
            self.points.push(x.to_vec());
            if self.points.len() > KEPT {
                self.points.remove(0);
            }
        }
    }

    /// Takes the leading vectors of `P⁻¹` at `x`, moved along with the Newton step `toward`, `V − P⁻¹ Ṗ V / 2`.
    fn vectors(&mut self, x: &[f64], here: &Factor, toward: &[f64]) {
        let Some(mut blocks) = self.leading.refine(self.problem, x, here, self.par) else {
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

    /// Takes `ρ` near a centre and its distance from the value of the dual point `(Z − Z Ṗ Z) / τ`, with `Ṗ` along the Newton step.
    fn centre(&mut self, rho: f64, gap: f64) {
        self.approx = self.approx.max((rho - gap).max(0.0).sqrt());
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
        self.dual.as_ref().map_or(self.approx, |(value, _)| *value)
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
            .chain(&self.inner)
            .filter_map(|x| self.reduction.candidate(self.problem, x))
            .collect();
        if candidates.is_empty() {
            return None;
        }
        let few = self.few();
        Some(Solution {
            candidates,
            approx_dual: self.reduction.bound(few.as_ref().map_or(self.approx, |(value, _)| *value)),
            dual: few.map(|(_, blocks)| self.reduction.vectors(&blocks)),
            status,
            iterations,
        })
    }
}

/// The gradient and the factored Hessian of the barrier at a point.
struct Local<'a> {
    /// The gradient of the barrier.
    slope: Vec<f64>,
    curvature: Option<Box<dyn Solve + 'a>>,
}

impl<'a> Local<'a> {
    fn new(problem: &'a Problem, x: &'a [f64], here: &Factor, options: &Options<'_>, fine: bool) -> Self {
        let (sharing, par) = (options.sharing, options.parallel);
        let inverse = invert(problem, x, here, par);
        let slope = gradient(problem, x, &inverse, par).iter().map(|value| -value).collect();
        let unknowns = problem.unknowns(sharing);
        let curvature: Option<Box<dyn Solve + 'a>> = if unknowns > options.dense_most {
            Implicit::new(problem, x, inverse, fine, par).map(|found| Box::new(found) as _)
        } else {
            let mut target = Mat::zeros(unknowns, unknowns);
            hessian::fill(problem, x, &inverse, sharing, &mut target, par);
            Curvature::factor(target, par).map(|found| match sharing {
                Sharing::Neuron => Box::new(found) as _,
                Sharing::Layer => Box::new(found.sharing(problem.layers())) as _,
            })
        };
        Self { slope, curvature }
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
        leading: Leading::new(problem),
        points: Vec::new(),
        inner: None,
        dual: None,
        approx: 0.0,
    };
    let steps = if problem.hidden() > SHALLOW_MOST {
        START_STEPS.1
    } else {
        START_STEPS.0
    };
    let sharing = options.sharing;
    let given = options
        .start
        .and_then(|candidate| reduction.variables(problem, candidate))
        .filter(|x| sharing == Sharing::Neuron || problem.is_even(x));
    let swept = (given.is_none() && sharing == Sharing::Neuron)
        .then(|| start::layerwise(problem, (parameter, steps), par))
        .flatten();
    // Closed forms first: whoever stops early has these.
    let closed: Vec<Vec<f64>> = swept.into_iter().chain(start::fast(problem, par)).collect();
    closed.iter().for_each(|x| best.closed(x));
    let begin = given.or_else(|| closed.into_iter().next())?;
    let (mut x, mut here) = enlarge(problem, begin, par)?;
    best.point(&x);
    let mut goal: Option<Goal> = None;
    let (mut iterations, mut failures, mut extra, mut reach) = (0, 0, 0, 1.0);
    let status = loop {
        if watch.stop() {
            break Status::Stopped;
        }
        if iterations >= options.iterations {
            break Status::Iterations;
        }
        iterations += 1;
        let fine = goal
            .as_ref()
            .is_some_and(|goal| goal.is_enough(x[0], parameter, options.tolerance));
        let position = x.clone();
        let local = Local::new(problem, &position, &here, options, fine);
        let Some(curvature) = local.curvature.as_deref() else {
            break Status::Stalled;
        };
        let mut goal_here = goal
            .take()
            .unwrap_or_else(|| Goal::through(&x, &local.slope, curvature, parameter, par));
        let wish = goal_here.gradient(&local.slope);
        let toward: Vec<f64> = curvature.solve(&wish, par).iter().map(|step| -step).collect();
        let decrement = -dot(&wish, &toward);
        let root = decrement.max(0.0).sqrt();
        if goal_here.left == 0.0 && root < 1.0 {
            match sharing {
                Sharing::Neuron => best.vectors(&x, &here, &toward),
                Sharing::Layer => best.centre(x[0], (parameter + dot(&local.slope, &toward)) / goal_here.tau),
            }
            if best.inner.is_none() && best.lower() > INNER * x[0].sqrt() {
                best.inner = Some(x.clone());
            }
            if best.done() {
                break Status::Converged;
            }
        }
        if goal_here.left > 0.0 && root < CENTRED {
            let pull = goal_here.tangent();
            if dot(&pull, &curvature.solve(&pull, par)).sqrt() < CENTRED {
                goal_here.left = 0.0;
                goal = Some(goal_here);
                continue;
            }
        }
        if let Some((moved, factored)) = newton(problem, &x, &here, (&toward, &goal_here, decrement), par) {
            x = moved;
            here = factored;
            best.point(&x);
        } else {
            failures += 1;
            if failures > 2 {
                break Status::Stalled;
            }
        }
        if goal_here.is_enough(x[0], parameter, options.tolerance) {
            extra += 1;
            if extra > 12 {
                break Status::Stalled;
            }
        } else if root < CENTRED && (reach < 0.6 || root < 0.4) {
            let direction = curvature.solve(&goal_here.tangent(), par);
            if let Some((moved, factored, length)) = predict(problem, &x, &direction, (goal_here.longest(), &mut reach), par) {
                x = moved;
                here = factored;
                goal_here.advance(length);
                best.point(&x);
            }
        }
        goal = Some(goal_here);
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

/// A step of Newton's method with a line search.
fn newton(
    problem: &Problem,
    x: &[f64],
    here: &Factor,
    (toward, goal, decrement): (&[f64], &Goal, f64),
    par: Par,
) -> Option<(Vec<f64>, Factor)> {
    let damped = 0.9 / (1.0 + decrement.max(0.0).sqrt());
    let mut length = 1.0;
    while length > 1e-6 * damped {
        let moved: Vec<f64> = x.iter().zip(toward).map(|(value, step)| value + length * step).collect();
        if let Some(factored) = factor(problem, &moved, par) {
            let change = goal.change(x, &moved) - (factored.barrier - here.barrier);
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

/// A step along the tangent of the path: the point and the length.
fn predict(
    problem: &Problem,
    x: &[f64],
    direction: &[f64],
    (longest, reach): (f64, &mut f64),
    par: Par,
) -> Option<(Vec<f64>, Factor, f64)> {
    let at = |length: f64| -> Option<(Vec<f64>, Factor, f64)> {
        let moved: Vec<f64> = x.iter().zip(direction).map(|(value, step)| value - length * step).collect();
        let factored = factor(problem, &moved, par)?;
        Some((moved, factored, length))
    };
    // From a little more than the last time, up while it fits or down until it does.
    let mut length = f64::min(longest, *reach / 0.75);
    if at(length).is_some() {
        while length < longest {
            let further = longest.min(1.0 - 0.6 * (1.0 - length)).min(length / 0.6);
            if at(further).is_none() {
                break;
            }
            length = further;
        }
    } else {
        length *= 0.75;
        while at(length).is_none() {
            length *= 0.75;
            if length < 1e-3 {
                return None;
            }
        }
    }
    *reach = length;
    at(if length >= longest { 0.95 } else { 0.85 } * length)
}
