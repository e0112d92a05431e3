//! Lower bounds of the Lipschitz constant of an actual network, by search for a point with a large Jacobian.
//!
//! The activations are `σ(u) = β u` for `u > 0` and `α u` for `u < 0`, with the slopes `[α, β]` of the chain: ReLU, leaky ReLU. At a point where no
//! preactivation is zero the network is differentiable, and the norm of its Jacobian `C D_h W_h … D_1 W_1` is no more than the Lipschitz constant. So the
//! result is a true lower bound up to rounding, both of the norm and of the signs of the preactivations: points with a preactivation near zero are left out.

use faer::{Mat, MatRef};

use crate::chain::Chain;
use crate::error::SolveError;
use crate::random::Random;

/// A preactivation below this part of the sum that it comes from may have the wrong sign.
const MARGIN: f64 = 1e-12;

/// How hard to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Starting points.
    pub starts: usize,
    /// Moves from each.
    pub moves: usize,
    /// Multiply-adds after which no further move begins.
    pub work: u64,
    /// Seed of the starting points.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            starts: 200,
            moves: 60,
            work: 2_000_000_000,
            seed: 1,
        }
    }
}

/// A point with a large Jacobian.
#[derive(Clone, Debug, PartialEq)]
pub struct LowerBound {
    /// The norm of the Jacobian there, from below; 0 if no point was usable.
    pub approx_lipschitz: f64,
    /// The point, `(n_0,)`.
    pub point: Vec<f64>,
}

/// Searches for a point with a large Jacobian. The same arguments give the same result.
///
/// `biases` holds one vector a hidden layer, `(n_i,)`.
///
/// # Errors
///
/// - [`SolveError::Shape`] if the biases do not fit the chain.
/// - [`SolveError::NotFinite`] if one is NaN or infinite.
pub fn approx_lower_bound(chain: &Chain, biases: &[Vec<f64>], options: &Options) -> Result<LowerBound, SolveError> {
    let widths = chain.widths();
    let found: Vec<usize> = biases.iter().map(Vec::len).collect();
    if found != widths[1..] {
        return Err(SolveError::Shape {
            what: "biases",
            expected: widths[1..].to_vec(),
            found,
        });
    }
    for (layer, bias) in biases.iter().enumerate() {
        if let Some(i) = bias.iter().position(|b| !b.is_finite()) {
            return Err(SolveError::NotFinite {
                what: "biases",
                index: vec![layer, i],
            });
        }
    }
    let mut search = Search { chain, biases, work: 0 };
    let mut random = Random::new(options.seed);
    let mut best = LowerBound {
        approx_lipschitz: 0.0,
        point: vec![0.0; widths[0]],
    };
    for start in 0..options.starts.max(1) {
        let point = search.start(start, &mut random);
        let Some(state) = search.climb(point, options) else {
            continue;
        };
        if state.norm > best.approx_lipschitz {
            best = LowerBound {
                approx_lipschitz: state.norm,
                point: state.point,
            };
        }
        if search.work > options.work {
            break;
        }
    }
    Ok(best)
}

/// A usable point: the slopes there, and about the top singular vectors of the Jacobian.
#[derive(Clone, Debug)]
struct State {
    point: Vec<f64>,
    preactivations: Vec<Vec<f64>>,
    slopes: Vec<Vec<f64>>,
    right: Vec<f64>,
    norm: f64,
}

struct Search<'a> {
    chain: &'a Chain,
    biases: &'a [Vec<f64>],
    work: u64,
}

impl Search<'_> {
    /// The starts: about both directions in which the network without activations is steepest, all ones, then random points of several sizes.
    fn start(&mut self, index: usize, random: &mut Random) -> Vec<f64> {
        let inputs = self.chain.widths()[0];
        if index < 2 {
            let steepest: Vec<Vec<f64>> = self
                .chain
                .weights()
                .iter()
                .zip(self.chain.slopes())
                .map(|(weight, slope)| vec![slope.hi; weight.nrows()])
                .collect();
            let (right, _) = self.norm(&steepest, vec![1.0; inputs], 30);
            let sign = if index == 0 { 1.0 } else { -1.0 };
            return right.iter().map(|v| sign * v).collect();
        }
        if index == 2 {
            return vec![1.0; inputs];
        }
        let size = [1.0, 0.1, 10.0][index % 3];
        (0..inputs).map(|_| size * random.normal()).collect()
    }

    /// Moves on as long as the Jacobian grows.
    fn climb(&mut self, point: Vec<f64>, options: &Options) -> Option<State> {
        let inputs = point.len();
        let begin: Vec<f64> = (0..inputs)
            .map(|i| 1.0 + (i as f64 * 0.618_033_988_749_895).fract())
            .collect();
        let mut state = self.visit(point, &begin, 12)?;
        for _ in 0..options.moves {
            if self.work > options.work {
                break;
            }
            let push = self.push(&state);
            let size = length(&state.point).max(1e-3);
            let mut better: Option<State> = None;
            for direction in [&push, &state.right] {
                let long = length(direction);
                if long.is_nan() || long <= 0.0 {
                    continue;
                }
                for step in [0.003, 0.03, 0.1, 0.3, 1.0, 4.0, -0.1, -1.0] {
                    let moved = state.point.iter().zip(direction.iter());
                    let moved = moved.map(|(x, d)| x + step * size / long * d).collect();
                    if let Some(next) = self.visit(moved, &state.right, 3)
                        && next.norm > better.as_ref().unwrap_or(&state).norm * (1.0 + 1e-9)
                    {
                        better = Some(next);
                    }
                }
            }
            let Some(next) = better else { break };
            state = next;
        }
        // The last digits of the norm.
        let (right, norm) = self.norm(&state.slopes, state.right.clone(), 100);
        norm.is_finite().then_some(State { right, norm, ..state })
    }

    /// The slopes at a point and about the norm of its Jacobian; nothing if a preactivation is too near zero.
    fn visit(&mut self, point: Vec<f64>, guess: &[f64], steps: usize) -> Option<State> {
        let (mut preactivations, mut slopes) = (Vec::new(), Vec::new());
        let mut values = point.clone();
        for ((weight, slope), bias) in self.chain.weights().iter().zip(self.chain.slopes()).zip(self.biases) {
            let mut sums = bias.clone();
            let mut sizes: Vec<f64> = bias.iter().map(|b| b.abs()).collect();
            for (j, value) in values.iter().enumerate() {
                for (i, entry) in weight.col(j).iter().enumerate() {
                    sums[i] += entry * value;
                    sizes[i] += (entry * value).abs();
                }
            }
            self.work += 2 * (weight.nrows() * weight.ncols()) as u64;
            let first = slopes.is_empty();
            for (sum, size) in sums.iter().zip(&sizes) {
                // A sum of nothing but zeros behind the first layer does not depend on the point.
                let clear = sum.abs() > MARGIN * size || (*size <= 0.0 && !first);
                clear.then_some(())?;
            }
            let at: Vec<f64> = sums.iter().map(|sum| if *sum > 0.0 { slope.hi } else { slope.lo }).collect();
            values = sums.iter().zip(&at).map(|(sum, slope)| sum * slope).collect();
            preactivations.push(sums);
            slopes.push(at);
        }
        let (right, norm) = self.norm(&slopes, guess.to_vec(), steps);
        norm.is_finite().then_some(State {
            point,
            preactivations,
            slopes,
            right,
            norm,
        })
    }

    /// Power iteration on `JᵀJ`: a unit vector `v`, and `‖J v‖`.
    fn norm(&mut self, slopes: &[Vec<f64>], mut right: Vec<f64>, steps: usize) -> (Vec<f64>, f64) {
        let mut norm = 0.0;
        normalize(&mut right);
        for step in 0..=steps {
            let tangents = self.forward(slopes, &right);
            let output = tangents.last().map_or(&right, |last| last);
            let new = length(&times(self.chain.output(), output));
            let settled = new - norm <= 1e-14 * new;
            norm = new;
            if step == steps || (settled && step > 2) || norm.is_nan() || norm <= 0.0 {
                break;
            }
            let pulled = self.backward(slopes, output);
            let mut next = pulled.into_iter().next().unwrap_or_default();
            normalize(&mut next);
            right = next;
        }
        (right, norm)
    }

    /// `D_i W_i … D_1 W_1 v` for `i = 1 … h`.
    fn forward(&mut self, slopes: &[Vec<f64>], right: &[f64]) -> Vec<Vec<f64>> {
        let mut tangents: Vec<Vec<f64>> = Vec::with_capacity(slopes.len());
        for (weight, slopes) in self.chain.weights().iter().zip(slopes) {
            let mut tangent = times(weight.as_ref(), tangents.last().map_or(right, |last| last));
            tangent.iter_mut().zip(slopes).for_each(|(value, slope)| *value *= slope);
            self.work += (weight.nrows() * weight.ncols()) as u64;
            tangents.push(tangent);
        }
        tangents
    }

    /// `(C D_h W_h … W_{i+1})ᵀ C w`, for `i = 0 … h`; `w` is a value of the last hidden layer.
    fn backward(&mut self, slopes: &[Vec<f64>], last: &[f64]) -> Vec<Vec<f64>> {
        let output = self.chain.output();
        let mut pulled = vec![times_transposed(output, &times(output, last))];
        for (weight, slopes) in self.chain.weights().iter().zip(slopes).rev() {
            let behind = pulled.last().expect("one is there from the start");
            let masked: Vec<f64> = behind.iter().zip(slopes).map(|(value, slope)| value * slope).collect();
            pulled.push(times_transposed(weight.as_ref(), &masked));
            self.work += (weight.nrows() * weight.ncols()) as u64;
        }
        pulled.reverse();
        pulled
    }

    /// A direction that turns neurons to the side on which they would make the Jacobian larger, those near zero first.
    fn push(&mut self, state: &State) -> Vec<f64> {
        let tangents = self.forward(&state.slopes, &state.right);
        let last = tangents.last().map_or(&state.right, |last| last).clone();
        let pulled = self.backward(&state.slopes, &last);
        let mut carried: Vec<f64> = Vec::new();
        for layer in (0..self.chain.hidden()).rev() {
            let (weight, sums) = (&self.chain.weights()[layer], &state.preactivations[layer]);
            let before = if layer == 0 { &state.right } else { &tangents[layer - 1] };
            let incoming = times(weight.as_ref(), before);
            let typical = sums.iter().map(|sum| sum.abs()).sum::<f64>() / sums.len() as f64 + f64::MIN_POSITIVE;
            let wish = |k: usize| {
                // What the objective gains when this neuron switches from the lower to the upper slope, spread over a neighbourhood of zero.
                let near = 1.0 / (1.0 + (sums[k] / typical).powi(2));
                let through = carried.get(k).map_or(0.0, |value| value * state.slopes[layer][k]);
                incoming[k] * pulled[layer + 1][k] * near / typical + through
            };
            let wishes: Vec<f64> = (0..sums.len()).map(wish).collect();
            carried = times_transposed(weight.as_ref(), &wishes);
        }
        carried
    }
}

fn times(matrix: MatRef<'_, f64>, vector: &[f64]) -> Vec<f64> {
    let product: Mat<f64> = matrix * MatRef::from_column_major_slice(vector, vector.len(), 1);
    product.col(0).iter().copied().collect()
}

fn times_transposed(matrix: MatRef<'_, f64>, vector: &[f64]) -> Vec<f64> {
    times(matrix.transpose(), vector)
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn normalize(vector: &mut [f64]) {
    let long = length(vector);
    if long > 0.0 {
        vector.iter_mut().for_each(|v| *v /= long);
    }
}
