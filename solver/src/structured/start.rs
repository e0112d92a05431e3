//! Strictly feasible starting points.

use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Mat, MatRef, Par};

use super::dense::{add_gram, largest_eigenvalue, product};
use super::hessian;
use super::problem::Problem;
use super::schur::{Factor, factor, gradient, invert};
use super::step::{Curvature, projective};
use crate::chain::Sharing;

/// The factor that one hidden layer `(lo, hi)` may take of `1 / λ_max(K)` with a scalar multiplier.
///
/// `2 t − (α + β)² t² / (1 + 2 α β t)` is largest at `1 / (max(|α|, |β|) (β − α))`.
pub(super) fn scalar(lo: f64, hi: f64) -> f64 {
    let best = 1.0 / (lo.abs().max(hi.abs()) * (hi - lo));
    // At α + β = 0 the denominator vanishes there.
    if 1.0 + 2.0 * lo * hi * best < 1e-2 {
        0.99 * best
    } else {
        best
    }
}

/// The chain up to one hidden layer, in which what comes before is a metric of the input.
struct Stage {
    /// `L⁻ᵀ` of the metric, applied to `W_i`.
    weight: Mat<f64>,
    slopes: (f64, f64),
}

impl Stage {
    fn new(problem: &Problem, i: usize, metric: MatRef<'_, f64>, par: Par) -> Self {
        let mut white = problem.weight(i).transpose().to_owned();
        solve_lower_triangular_in_place(metric, white.as_mut(), par);
        Self {
            weight: white.transpose().to_owned(),
            slopes: problem.slopes[i - 1],
        }
    }

    /// The scalar multiplier of ECLipsE-Fast.
    fn scalar(&self, par: Par) -> Option<f64> {
        let n = self.weight.nrows();
        let mut gram = Mat::zeros(n, n);
        add_gram(&mut gram, self.weight.as_ref(), 1.0, par);
        let top = largest_eigenvalue(gram.as_ref())?;
        let (lo, hi) = self.slopes;
        Some(if top > 0.0 { scalar(lo, hi) / top } else { 1.0 })
    }

    fn problem(self, output: Mat<f64>, par: Par) -> Problem {
        Problem::new(vec![self.weight], vec![self.slopes], output, par)
    }
}

/// `λ_max(C S⁻¹ Cᵀ)` with `S = L Lᵀ`.
fn demand(output: MatRef<'_, f64>, lower: MatRef<'_, f64>, par: Par) -> Option<f64> {
    let mut white = output.transpose().to_owned();
    solve_lower_triangular_in_place(lower, white.as_mut(), par);
    let (rows, cols) = (white.nrows(), white.ncols());
    let small = if rows < cols {
        let mut gram = Mat::zeros(rows, rows);
        add_gram(&mut gram, white.as_ref(), 1.0, par);
        gram
    } else {
        product(white.transpose(), white.as_ref(), 1.0, par)
    };
    largest_eigenvalue(small.as_ref())
}

/// What goes with the next layer in a stage: its weight, or the output.
fn next(problem: &Problem, i: usize) -> &Mat<f64> {
    problem.weights.get(i).unwrap_or(&problem.output)
}

/// ECLipsE-Fast: one scalar a layer, first to last; `ρ` is exactly what they allow.
pub(super) fn fast(problem: &Problem, par: Par) -> Option<Vec<f64>> {
    sweep(problem, par, |stage, next, _, par| {
        let value = stage.scalar(par)?;
        let n = stage.weight.nrows();
        let trial = stage.problem(next.clone(), par);
        Some((vec![value; n], trial))
    })
}

/// The layers one after the other, each with all its multipliers, for the largest `weight · log s + log det` that what comes behind may use.
/// At most `steps` Newton steps a layer.
pub(super) fn layerwise(problem: &Problem, (weight, steps): (f64, usize), par: Par) -> Option<Vec<f64>> {
    sweep(problem, par, |stage, next, behind, par| {
        let value = stage.scalar(par)?;
        let trial = stage.problem(next.clone(), par);
        let unforced = unforced(&trial, &vec![value; trial.widths[1]], par)?;
        let ask = demand(trial.output.as_ref(), unforced.as_ref(), par)?;
        if ask <= 0.0 {
            return None;
        }
        let mut x = vec![2.0 * ask];
        x.extend(std::iter::repeat_n(2.0 * ask * value, trial.widths[1]));
        let centred = centre(&trial, x, (weight + behind, 0.5, steps), par)?;
        let rho = centred[0];
        Some((centred[1..].iter().map(|multiplier| multiplier / rho).collect(), trial))
    })
}

/// The last Schur factor of a stage with `ρ = 1` and no output.
fn unforced(trial: &Problem, multipliers: &[f64], par: Par) -> Option<Mat<f64>> {
    let free = Problem::new(
        trial.weights.clone(),
        trial.slopes.clone(),
        Mat::zeros(1, trial.widths[1]),
        par,
    );
    let x: Vec<f64> = std::iter::once(1.0).chain(multipliers.iter().copied()).collect();
    factor(&free, &x, par)?.lowers.pop()
}

/// Goes through the layers with `ρ = 1`, then scales by what the output asks for.
fn sweep(
    problem: &Problem,
    par: Par,
    choose: impl Fn(Stage, &Mat<f64>, f64, Par) -> Option<(Vec<f64>, Problem)>,
) -> Option<Vec<f64>> {
    let mut metric = Mat::<f64>::identity(problem.widths[0], problem.widths[0]);
    let mut x = vec![1.0];
    for i in 1..=problem.hidden() {
        let behind: usize = problem.widths[i + 1..].iter().sum();
        let stage = Stage::new(problem, i, metric.as_ref(), par);
        let (multipliers, trial) = choose(stage, next(problem, i), behind as f64, par)?;
        metric = unforced(&trial, &multipliers, par)?;
        x.extend(multipliers);
    }
    let rho = demand(problem.output.as_ref(), metric.as_ref(), par)?;
    x.iter_mut().for_each(|value| *value *= rho);
    x.iter().all(|value| value.is_normal() && *value > 0.0).then_some(x)
}

/// Minimises `(weight + ν) log ρ + B(x)` in projective coordinates from a feasible point until the squared Newton decrement is below `enough`.
pub(super) fn centre(
    problem: &Problem,
    start: Vec<f64>,
    (weight, enough, most): (f64, f64, usize),
    par: Par,
) -> Option<Vec<f64>> {
    let total = weight + problem.barrier_parameter();
    let mut x = start;
    let mut here = factor(problem, &x, par)?;
    let mut target = Mat::zeros(problem.variables(), problem.variables());
    for _ in 0..most {
        let inverse = invert(problem, &x, &here, par);
        let slope: Vec<f64> = gradient(problem, &x, &inverse, par).iter().map(|value| -value).collect();
        hessian::fill(problem, &x, &inverse, Sharing::Neuron, &mut target, par);
        let Some(curvature) = Curvature::factor(target.clone(), par) else {
            break;
        };
        let step = projective(&curvature, &x, &slope, total, par);
        if step.decrement.is_nan() || step.decrement < enough {
            break;
        }
        let Some((moved, factored)) = search(problem, &x, &here, (&step.along, step.shrink, step.decrement), total, par) else {
            break;
        };
        x = moved;
        here = factored;
    }
    Some(x)
}

/// A line search along a projective direction: doubles the step while that helps, halves it until it does.
pub(super) fn search(
    problem: &Problem,
    x: &[f64],
    here: &Factor,
    (along, shrink, decrement): (&[f64], f64, f64),
    total: f64,
    par: Par,
) -> Option<(Vec<f64>, Factor)> {
    let at = |length: f64| -> Option<(Vec<f64>, Factor, f64)> {
        let below = 1.0 + length * shrink;
        if below <= 0.0 {
            return None;
        }
        let moved: Vec<f64> = x
            .iter()
            .zip(along)
            .map(|(value, step)| (value + length * step) / below)
            .collect();
        let factored = factor(problem, &moved, par)?;
        let change = total * (moved[0] / x[0]).ln() - (factored.barrier - here.barrier);
        change.is_finite().then_some((moved, factored, change))
    };
    let mut length = 1.0;
    let mut best = loop {
        match at(length) {
            Some(found) if found.2 <= -0.1 * length * decrement => break found,
            _ => length *= 0.5,
        }
        if length < 1e-10 {
            return None;
        }
    };
    // Not the first that is good enough but about the best: a step that ends close to the border makes all later ones short.
    loop {
        length *= 0.7;
        match at(length) {
            Some(shorter) if shorter.2 < best.2 => best = shorter,
            _ => break,
        }
    }
    Some((best.0, best.1))
}
