//! A search for the point where a difference of logits changes its sign, and for the multiplier of that constraint. Whatever comes out is a hint.
//!
//! For `0 ≤ η < 1/m` the function `φ(v) = ‖v‖² + 2η g(z + v)` is strongly convex; its minimiser is `v = W₁ᵀ p` with `p + η (w ∘ s') = 0`. Newton's method
//! runs in `p`, where a product with `K = W₁ W₁ᵀ` is all that a step of conjugate gradients needs. Outside, Newton's method with a bracket looks for the
//! `η` with `g(z + v(η)) = 0`; where there is none below `1/m`, the largest `η` is taken.
#![expect(
    clippy::float_arithmetic,
    clippy::disallowed_methods,
    reason = "the room that may round; nothing here is believed"
)]

use super::curvature::{AtPoint, MlpHead, dot};
use super::smooth::{softplus_slope, value};
use crate::statement::Activation;

/// Up to this many hidden neurons `K` is kept.
const HIDDEN_MOST: usize = 1024;
/// Steps of the search for `η`, of Newton's method, of conjugate gradients.
const OUTER: usize = 24;
const NEWTON: usize = 30;
const GRADIENTS: usize = 60;
/// The largest growth of the multiplier in one step.
const GROWTH: f64 = 8.0;
/// How near `1/m` the multiplier may come: the residual is divided by `1 − ηm`.
const NEAREST: f64 = 1.0 - 1e-5;

/// A multiplier and a point. Untrusted.
#[derive(Clone, Debug)]
pub(crate) struct Hint {
    pub(crate) eta: f64,
    pub(crate) point: Vec<f64>,
}

/// What the searches for all pairs share.
#[derive(Clone, Debug)]
pub(crate) struct Search<'a> {
    head: MlpHead<'a>,
    /// `K`, row-major.
    gram: Vec<f64>,
}

/// The state for one pair.
struct Pair<'s> {
    search: &'s Search<'s>,
    centre: &'s [f64],
    weights: Vec<f64>,
    bias: f64,
}

/// The function at one `p`.
struct State {
    p: Vec<f64>,
    /// `K p`.
    kp: Vec<f64>,
    difference: f64,
    /// `w ∘ s'` and `w ∘ s''`.
    slopes: Vec<f64>,
    bends: Vec<f64>,
}

impl<'a> Search<'a> {
    /// Nothing for a head that is too wide.
    pub(crate) fn new(head: &MlpHead<'a>) -> Option<Self> {
        let rows = head.first.rows();
        (rows <= HIDDEN_MOST).then(|| Self {
            head: head.clone(),
            gram: (0..rows * rows)
                .map(|flat| dot(head.first.row(flat / rows), head.first.row(flat % rows)))
                .collect(),
        })
    }

    /// Looks for the nearest point with `f_top = f_rival`, from `at`, where `f_top − f_rival = difference > 0` with slope `steepness`.
    pub(crate) fn run(&self, at: &AtPoint, pair: (usize, usize), difference: f64, steepness: f64, curvature: f64) -> Hint {
        let weights = self.head.approx_weights(pair.0, pair.1);
        let mut problem = Pair {
            search: self,
            centre: &at.sums,
            weights,
            bias: 0.0,
        };
        let hidden = self.head.first.rows();
        let start = problem.state(vec![0.0; hidden], vec![0.0; hidden]);
        problem.bias = difference - start.difference;
        let most = if curvature > 0.0 { NEAREST / curvature } else { f64::MAX };
        let (mut low, mut high) = (0.0, most);
        let mut eta = (difference / (steepness * steepness)).min(most);
        let mut state = State { difference, ..start };
        for _ in 0..OUTER {
            state = problem.minimise(state, eta);
            let gap = state.difference;
            if gap.abs() <= 1e-8 * difference || (gap > 0.0 && eta >= most) {
                break;
            }
            if gap > 0.0 {
                low = eta;
            } else {
                high = eta;
            }
            // dp/dη solves (I + η D K) p' = −u, and g' = u · K p'.
            let target: Vec<f64> = state.slopes.iter().map(|slope| -slope).collect();
            let (direction, product) = problem.solve(&state, eta, target, 1e-4);
            let rate = dot(&state.slopes, &product);
            let newton = eta - gap / rate;
            let next = if gap > 0.0 && high >= most {
                // No boundary so far: at most this far, as the slope may vanish.
                newton.clamp(eta, GROWTH * eta).min(most)
            } else if newton > low && newton < high {
                newton
            } else {
                0.5 * (low + high)
            };
            if !next.is_finite() {
                break;
            }
            let change = next - eta;
            let moved = |values: &[f64], by: &[f64]| values.iter().zip(by).map(|(a, b)| a + change * b).collect();
            state = problem.state(moved(&state.p, &direction), moved(&state.kp, &product));
            eta = next;
        }
        let mut point = at.point.clone();
        for (factor, row) in state.p.iter().zip(0..hidden) {
            for (entry, coefficient) in point.iter_mut().zip(self.head.first.row(row)) {
                *entry += factor * coefficient;
            }
        }
        Hint { eta, point }
    }

    fn times(&self, vector: &[f64]) -> Vec<f64> {
        self.gram.chunks_exact(vector.len()).map(|row| dot(row, vector)).collect()
    }
}

impl Pair<'_> {
    fn state(&self, p: Vec<f64>, kp: Vec<f64>) -> State {
        let beta = self.search.head.beta;
        let mut state = State {
            p,
            kp,
            difference: self.bias,
            slopes: Vec::with_capacity(self.weights.len()),
            bends: Vec::with_capacity(self.weights.len()),
        };
        for ((weight, sum), shift) in self.weights.iter().zip(self.centre).zip(&state.kp) {
            let x = sum + shift;
            let slope = softplus_slope(beta, x).value;
            state.difference += weight * value(Activation::Softplus { beta }, x).map_or(f64::NAN, |ball| ball.value);
            state.slopes.push(weight * slope);
            state.bends.push(weight * beta * slope * (1.0 - slope));
        }
        state
    }

    /// Newton's method with halved steps from a warm start.
    fn minimise(&self, mut state: State, eta: f64) -> State {
        let merit = |state: &State| dot(&state.p, &state.kp) + 2.0 * eta * state.difference;
        for _ in 0..NEWTON {
            let rest: Vec<f64> = state.p.iter().zip(&state.slopes).map(|(p, u)| -(p + eta * u)).collect();
            let product = self.search.times(&rest);
            let (residual, size) = (dot(&rest, &product), dot(&state.p, &state.kp));
            if residual <= 1e-24 * size || !residual.is_finite() {
                break;
            }
            let (direction, product) = self.solve(&state, eta, rest, 1e-3);
            let before = merit(&state);
            let mut length = 1.0;
            let next = loop {
                let moved = |values: &[f64], by: &[f64]| values.iter().zip(by).map(|(a, b)| a + length * b).collect();
                let next = self.state(moved(&state.p, &direction), moved(&state.kp, &product));
                // At the end the merit no longer changes in its digits.
                if merit(&next) <= before + 1e-13 * before.abs() || length < 1e-3 {
                    break next;
                }
                length *= 0.5;
            };
            state = next;
        }
        state
    }

    /// Conjugate gradients for `(I + η D K) x = target` in the inner product of `K`; returns `x` and `K x`.
    fn solve(&self, state: &State, eta: f64, target: Vec<f64>, tolerance: f64) -> (Vec<f64>, Vec<f64>) {
        let n = target.len();
        let (mut x, mut kx) = (vec![0.0; n], vec![0.0; n]);
        let mut rest = target;
        let mut product = self.search.times(&rest);
        let mut size = dot(&rest, &product);
        let (mut direction, mut image) = (rest.clone(), product.clone());
        let enough = tolerance * tolerance * size;
        for _ in 0..GRADIENTS {
            let applied: Vec<f64> = direction
                .iter()
                .zip(&image)
                .zip(&state.bends)
                .map(|((s, ks), bend)| s + eta * bend * ks)
                .collect();
            let length = size / dot(&image, &applied);
            if !length.is_finite() {
                break;
            }
            for i in 0..n {
                x[i] += length * direction[i];
                kx[i] += length * image[i];
                rest[i] -= length * applied[i];
            }
            product = self.search.times(&rest);
            let fresh = dot(&rest, &product);
            if fresh <= enough {
                break;
            }
            let ratio = fresh / size;
            for i in 0..n {
                direction[i] = rest[i] + ratio * direction[i];
                image[i] = product[i] + ratio * image[i];
            }
            size = fresh;
        }
        (x, kx)
    }
}
