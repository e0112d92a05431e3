//! What is minimised together with the barrier, and how it changes along the path.

use faer::Par;

use super::step::{Solve, dot};

/// The weight of the objective grows by at most this factor a step.
const LEAP: f64 = 60.0;

/// The linear term `τ ρ − left ⟨start, x⟩` that is minimised together with the barrier.
///
/// `start` is chosen so that the first point is a centre; the path from there to `left = 0` stays away from the border, and so does the one that follows,
/// along which `τ` grows.
pub(super) struct Goal {
    pub(super) tau: f64,
    /// The share of the start that is left.
    pub(super) left: f64,
    start: Vec<f64>,
}

impl Goal {
    /// The goal whose centre is `x`, with the `τ` that makes `start` smallest.
    pub(super) fn through(x: &[f64], slope: &[f64], curvature: &dyn Solve, parameter: f64, par: Par) -> Self {
        let mut unit = vec![0.0; x.len()];
        unit[0] = 1.0;
        let from_unit = curvature.solve(&unit, par);
        let tau = (-dot(&from_unit, slope) / from_unit[0]).max(0.1 * parameter / x[0]);
        let mut start = slope.to_vec();
        start[0] += tau;
        Self { tau, left: 1.0, start }
    }

    /// The gradient of the whole, `slope` that of the barrier.
    pub(super) fn gradient(&self, slope: &[f64]) -> Vec<f64> {
        let mut result: Vec<f64> = slope.iter().zip(&self.start).map(|(a, b)| a - self.left * b).collect();
        result[0] += self.tau;
        result
    }

    /// The change of the linear term between two points.
    pub(super) fn change(&self, from: &[f64], to: &[f64]) -> f64 {
        let start: f64 = self
            .start
            .iter()
            .zip(from.iter().zip(to))
            .map(|(weight, (a, b))| weight * (b - a))
            .sum();
        self.tau * (to[0] - from[0]) - self.left * start
    }

    /// Minus `H` times this is the change of the centre with the length of [`Goal::advance`], to first order.
    pub(super) fn tangent(&self) -> Vec<f64> {
        if self.left > 0.0 {
            return self.start.iter().map(|value| self.left * value).collect();
        }
        let mut unit = vec![0.0; self.start.len()];
        unit[0] = self.tau;
        unit
    }

    /// Whether the gap at the centre is below the tolerance, at `ρ` nearby: only the centre is missing.
    pub(super) fn is_enough(&self, rho: f64, parameter: f64, tolerance: f64) -> bool {
        self.left == 0.0 && parameter <= 0.5 * tolerance * self.tau * rho
    }

    pub(super) fn longest(&self) -> f64 {
        if self.left > 0.0 { 0.9 } else { 1.0 - 1.0 / LEAP }
    }

    /// `left` or `1 / τ` shrinks by `1 − length`.
    pub(super) fn advance(&mut self, length: f64) {
        if self.left > 0.0 {
            self.left *= 1.0 - length;
        } else {
            self.tau /= 1.0 - length;
        }
    }
}
