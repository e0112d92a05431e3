//! Newton steps of the barrier.
//!
//! Two kinds of coordinates: `x` itself with the objective `τ ρ`, and the projective ones `(Λ/ρ, s = 1/ρ)`, in which the barrier is convex too
//! and a weight `η log s` has no scale.

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::cholesky::llt::solve::solve_in_place;
use faer::{Mat, Par};

/// A Hessian as a solver of its systems.
pub(super) trait Solve {
    /// About `H⁻¹ vector`.
    fn solve(&self, vector: &[f64], par: Par) -> Vec<f64>;
}

/// The Hessian of the barrier, scaled to a unit diagonal and factored.
pub(super) struct Curvature {
    /// The Hessian below the diagonal and, after factoring, its factor.
    lower: Mat<f64>,
    roots: Vec<f64>,
    /// Where variables share a row of the Hessian: that of each.
    shared: Option<Vec<usize>>,
}

impl Curvature {
    /// Factors the lower triangle of a Hessian in place; nothing if even a little more diagonal does not make it positive definite.
    pub(super) fn factor(hessian: Mat<f64>, par: Par) -> Option<Self> {
        let n = hessian.nrows();
        let roots: Vec<f64> = (0..n).map(|k| hessian[(k, k)].sqrt().recip()).collect();
        if roots.iter().any(|root| !root.is_finite()) {
            return None;
        }
        let mut memory = MemBuffer::new(cholesky_in_place_scratch::<f64>(n, par, Default::default()));
        let mut lower = hessian;
        for j in 0..n {
            for (i, value) in lower.col_as_slice_mut(j).iter_mut().enumerate().skip(j) {
                *value *= roots[i] * roots[j];
            }
        }
        // The upper triangle keeps what the factor overwrites.
        super::dense::mirror(&mut lower);
        let mut ridge = 1e-14;
        while ridge < 1e-6 {
            (0..n).for_each(|k| lower[(k, k)] = 1.0 + ridge);
            let done = cholesky_in_place(
                lower.as_mut(),
                Default::default(),
                par,
                MemStack::new(&mut memory),
                Default::default(),
            );
            if done.is_ok() {
                return Some(Self {
                    lower,
                    roots,
                    shared: None,
                });
            }
            for j in 0..n {
                for i in j + 1..n {
                    lower[(i, j)] = lower[(j, i)];
                }
            }
            ridge *= 1e2;
        }
        None
    }

    /// The same for steps that are equal where `rows` is: the Hessian has a row for each of its values.
    pub(super) fn sharing(self, rows: Vec<usize>) -> Self {
        Self {
            shared: Some(rows),
            ..self
        }
    }

    fn solve_own(&self, vector: &[f64], par: Par) -> Vec<f64> {
        let n = vector.len();
        let mut rhs = Mat::from_fn(n, 1, |i, _| vector[i] * self.roots[i]);
        let mut memory = MemBuffer::new(StackReq::EMPTY);
        solve_in_place(self.lower.as_ref(), rhs.as_mut(), par, MemStack::new(&mut memory));
        (0..n).map(|i| rhs[(i, 0)] * self.roots[i]).collect()
    }
}

impl Solve for Curvature {
    /// With shared variables `E H⁻¹ Eᵀ vector`, `E` from rows of the Hessian to variables.
    fn solve(&self, vector: &[f64], par: Par) -> Vec<f64> {
        let Some(rows) = &self.shared else {
            return self.solve_own(vector, par);
        };
        let mut sums = vec![0.0; self.roots.len()];
        rows.iter().zip(vector).for_each(|(row, value)| sums[*row] += value);
        let steps = self.solve_own(&sums, par);
        rows.iter().map(|row| steps[*row]).collect()
    }
}

/// A direction in projective coordinates: `x` moves to `(x + α along) / (1 + α shrink)`.
pub(super) struct Projective {
    pub(super) along: Vec<f64>,
    pub(super) shrink: f64,
    /// The Newton decrement, squared.
    pub(super) decrement: f64,
}

/// The Newton step for `weight · log ρ + B(x)` in projective coordinates, in which the function is convex if `weight` is at least the parameter of the
/// barrier `B`. `slope` is the gradient of `B`.
pub(super) fn projective(curvature: &Curvature, x: &[f64], slope: &[f64], weight: f64, par: Par) -> Projective {
    // In q = p − x σ, with p the step of Λ/ρ and σ = −q₀/x₀ that of s, both relative to s, the Hessian is H + U M Uᵀ with U = [e, g], e = −e₀/x₀,
    // M = [[weight, −1], [−1, 0]].
    let mut unit = vec![0.0; x.len()];
    unit[0] = -1.0 / x[0];
    let from_unit = curvature.solve(&unit, par);
    let from_slope = curvature.solve(slope, par);
    let (ee, eg, gg) = (dot(&unit, &from_unit), dot(&unit, &from_slope), dot(slope, &from_slope));
    // The gradient is g − weight · e.
    let (rhs_e, rhs_g) = (-(eg - weight * ee), -(gg - weight * eg));
    let (m00, m01, m11) = (ee, eg - 1.0, gg - weight);
    let determinant = m00 * m11 - m01 * m01;
    let (c0, c1) = (
        (m11 * rhs_e - m01 * rhs_g) / determinant,
        (m00 * rhs_g - m01 * rhs_e) / determinant,
    );
    let q: Vec<f64> = (0..x.len())
        .map(|k| -(from_slope[k] - weight * from_unit[k]) - c0 * from_unit[k] - c1 * from_slope[k])
        .collect();
    let sigma = -q[0] / x[0];
    let decrement = -(dot(slope, &q) - weight * sigma);
    let along = q.iter().zip(x).map(|(step, value)| step + value * sigma).collect();
    Projective {
        along,
        shrink: sigma,
        decrement,
    }
}

/// The sum of products.
pub(super) fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}
