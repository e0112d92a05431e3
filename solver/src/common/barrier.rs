//! The log-det barrier method: slow and sure, for what the ascent leaves open.
//!
//! Minimises `τ c·t − log det(diag(t) − G)` for growing `τ`. With `Z = (diag(t) − G)⁻¹` the gradient is `τ c − diag Z` and the Hessian `Z ∘ Z`; on the
//! central path `diag Z = τ c`, so `Z / τ` is feasible for the dual and the gap is `n / τ`. Near the path `(Z − Z diag(y) Z) / τ` is, with the Newton step
//! `y`: its diagonal is `c`, and it is positive semidefinite while the Newton decrement is below one.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::{inverse, solve};
use faer::linalg::triangular_solve;
use faer::{Mat, Par, Side};

use super::Options;
use super::feasible::{Feasible, factorize, fill};
use super::scaled::Scaled;
use crate::chain::Watch;
use crate::random::Random;

/// Where the barrier method ended.
pub(super) struct Central {
    pub(super) best: Feasible,
    /// Vectors of about the dual, transposed; absent if the gap stayed open.
    pub(super) dual: Option<Mat<f64>>,
    pub(super) iterations: usize,
}

/// A point with its factor: `L Lᵀ = diag(t) − G` in the lower triangle.
struct Point {
    scale: Vec<f64>,
    factor: Mat<f64>,
    log_det: f64,
}

impl Point {
    fn new(problem: &Scaled, scale: Vec<f64>, par: Par) -> Option<Self> {
        let n = problem.len();
        let mut factor = Mat::zeros(n, n);
        fill(&mut factor, problem, |i| scale[i]);
        factorize(factor.as_mut(), par).then_some(())?;
        let log_det: f64 = (0..n).map(|i| 2.0 * factor[(i, i)].ln()).sum();
        log_det.is_finite().then_some(Self { scale, factor, log_det })
    }

    /// `Z`, in the lower triangle.
    fn inverse(&self, par: Par) -> Mat<f64> {
        let n = self.scale.len();
        let mut memory = MemBuffer::new(inverse::inverse_scratch::<f64>(n, par));
        let mut result = Mat::zeros(n, n);
        inverse::inverse(result.as_mut(), self.factor.as_ref(), par, MemStack::new(&mut memory));
        result
    }
}

/// Newton steps along the central path from a feasible start.
pub(super) fn minimize(problem: &Scaled, start: &Feasible, dual: f64, options: &Options, watch: &dyn Watch) -> Central {
    let (n, par) = (problem.len(), options.par);
    let mut best = start.clone();
    let mut bound = dual;
    let mut iterations = 0;
    // Some way inside, so that the first step is not along the boundary.
    let part = ((start.objective - dual) / start.objective).clamp(1e-12, 1.0);
    let inside = start.scale.iter().map(|t| t * (1.0 + part)).collect();
    let Some(mut point) = Point::new(problem, inside, par) else {
        return Central {
            best,
            dual: None,
            iterations,
        };
    };
    let mut tau = n as f64 / (2.0 * part * start.objective);
    let mut dual = None;
    while iterations < options.newton_most && !watch.stop() {
        iterations += 1;
        let z = point.inverse(par);
        let Some((newton, tangent, decrement)) = directions(problem, &z, tau, par) else {
            break;
        };
        if decrement < 1.0 {
            // ⟨G, Z − Z diag(y) Z⟩ / τ, by way of G = diag(t) − Z⁻¹.
            let inner: f64 = newton.iter().enumerate().map(|(i, y)| y * z[(i, i)]).sum();
            bound = f64::max(bound, problem.objective(&point.scale) - (n as f64 - inner) / tau);
        }
        watch.interval(bound * problem.unit(), best.objective * problem.unit());
        if (best.objective - bound) / best.objective <= options.tolerance {
            dual = leading_vectors(&point, &newton, par);
            break;
        }
        let Some(next) = center(problem, &point, &newton, tau, decrement, par) else {
            break;
        };
        point = next;
        if decrement < 0.6 {
            match predict(problem, &point, &tangent, tau, par) {
                Some((next, part)) => {
                    point = next;
                    tau /= 1.0 - part;
                }
                None => tau *= 2.0,
            }
        }
        let objective = problem.objective(&point.scale);
        if objective < best.objective {
            best = Feasible {
                scale: point.scale.clone(),
                objective,
                slack: (n as f64 / tau / objective).min(1.0),
            };
        }
    }
    Central { best, dual, iterations }
}

/// `(Z∘Z)⁻¹ (diag Z − τ c)`, `(Z∘Z)⁻¹ c` and the Newton decrement.
fn directions(problem: &Scaled, z: &Mat<f64>, tau: f64, par: Par) -> Option<(Vec<f64>, Vec<f64>, f64)> {
    let (n, weights) = (problem.len(), problem.weights());
    let mut hessian = Mat::zeros(n, n);
    for j in 0..n {
        for i in j..n {
            hessian[(i, j)] = z[(i, j)] * z[(i, j)];
        }
    }
    factorize(hessian.as_mut(), par).then_some(())?;
    let gradient: Vec<f64> = (0..n).map(|i| z[(i, i)] - tau * weights[i]).collect();
    let mut sides = Mat::from_fn(n, 2, |i, j| if j == 0 { gradient[i] } else { weights[i] });
    let mut memory = MemBuffer::new(solve::solve_in_place_scratch::<f64>(n, 2, par));
    solve::solve_in_place(hessian.as_ref(), sides.as_mut(), par, MemStack::new(&mut memory));
    let newton: Vec<f64> = sides.col(0).iter().copied().collect();
    let tangent: Vec<f64> = sides.col(1).iter().copied().collect();
    let square: f64 = gradient.iter().zip(&newton).map(|(g, y)| g * y).sum();
    let finite = square.is_finite() && tangent.iter().all(|y| y.is_finite());
    finite.then_some((newton, tangent, square.max(0.0).sqrt()))
}

/// A Newton step, shortened until the barrier function falls as it should.
fn center(problem: &Scaled, point: &Point, newton: &[f64], tau: f64, decrement: f64, par: Par) -> Option<Point> {
    // Within this length the step needs no test: the barrier is self-concordant.
    let safe = 0.9 / (1.0 + decrement);
    let mut length = 1.0;
    let slope: f64 = newton.iter().zip(problem.weights()).map(|(y, c)| tau * y * c).sum();
    while length > 1e-8 {
        let scale = moved(&point.scale, newton, length);
        if let Some(next) = Point::new(problem, scale, par) {
            let change = length * slope - (next.log_det - point.log_det);
            if length <= safe || change <= -0.1 * length * decrement * decrement {
                return Some(next);
            }
        }
        let half = 0.5 * length;
        length = if length > safe && half < safe { safe } else { half };
    }
    None
}

/// A step along the central path, as far as it stays inside; with it the part by which `1/τ` falls.
fn predict(problem: &Scaled, point: &Point, tangent: &[f64], tau: f64, par: Par) -> Option<(Point, f64)> {
    let full = 1.0 - 1.0 / 30.0;
    let mut part = 1.0;
    for _ in 0..8 {
        if Point::new(problem, moved(&point.scale, tangent, -part * full * tau), par).is_some() {
            break;
        }
        part *= 0.75;
    }
    let part = 0.85 * part * full;
    Point::new(problem, moved(&point.scale, tangent, -part * tau), par).map(|next| (next, part))
}

fn moved(scale: &[f64], direction: &[f64], length: f64) -> Vec<f64> {
    scale.iter().zip(direction).map(|(t, y)| t + length * y).collect()
}

/// Transposed vectors of about the largest eigenvalues of `Z − Z diag(y) Z`, as long as their roots: two steps of subspace iteration with the factor.
fn leading_vectors(point: &Point, newton: &[f64], par: Par) -> Option<Mat<f64>> {
    let n = point.scale.len();
    let rank = ((2.0 * n as f64).sqrt().ceil() as usize + 8).min(n);
    let mut random = Random::new(2);
    let mut basis = Mat::zeros(n, rank);
    for k in 0..rank {
        for i in 0..n {
            basis[(i, k)] = random.normal();
        }
    }
    let apply = |block: &mut Mat<f64>| {
        triangular_solve::solve_lower_triangular_in_place(point.factor.as_ref(), block.as_mut(), par);
        triangular_solve::solve_upper_triangular_in_place(point.factor.transpose(), block.as_mut(), par);
    };
    for _ in 0..2 {
        apply(&mut basis);
        basis = basis.qr().compute_thin_Q();
    }
    let mut applied = basis.clone();
    apply(&mut applied);
    let moved = Mat::from_fn(n, rank, |i, k| newton[i] * applied[(i, k)]);
    let small = basis.transpose() * &applied - applied.transpose() * &moved;
    let eigen = small.self_adjoint_eigen(Side::Lower).ok()?;
    let turned = &basis * eigen.U();
    let finite = (0..rank).all(|k| eigen.S()[k].is_finite());
    finite.then(|| Mat::from_fn(rank, n, |k, i| turned[(i, k)] * eigen.S()[k].max(0.0).sqrt()))
}
