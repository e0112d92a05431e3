//! The inequality with everything taken out that floats do not like: scales, dead neurons, a wide input.

use faer::{Mat, MatRef, Par};

use super::dense::product;
use crate::chain::{Candidate, Chain, DualVectors, Sharing};

/// Half the least width of an interval of slopes, relative to its larger end.
///
/// Slopes are widened about their middle: `(v − αu)(v − βu)` grows by a square then, so that multipliers for the wider ones serve the narrower.
const NARROW: f64 = 1e-6;

/// A multiplier that stands for zero or infinity is this many powers of two away from its neighbours.
const FAR: i32 = 60;

/// The inequality in the variables `x = (ρ, Λ_1, …, Λ_h)`.
///
/// The index `i` of a layer is that of the mathematics: block 0 is the input, `weights[i − 1]` leads into block `i`.
pub(super) struct Problem {
    /// `W_1, …, W_h`, `(n_i, n_{i−1})`.
    pub(super) weights: Vec<Mat<f64>>,
    /// Slopes behind each layer, the larger of their sizes in `[1, 2)`.
    pub(super) slopes: Vec<(f64, f64)>,
    /// `C`, `(m, n_h)`.
    pub(super) output: Mat<f64>,
    /// `CᵀC`.
    pub(super) gram: Mat<f64>,
    /// `W_1 W_1ᵀ`, if `P_00 = ρ I`: then the input is eliminated by hand.
    pub(super) first_gram: Option<Mat<f64>>,
    /// `n_0, …, n_h`.
    pub(super) widths: Vec<usize>,
    /// Where the multipliers of block `i` start in `x`; 0 for block 0; the number of variables at the end.
    pub(super) offsets: Vec<usize>,
}

impl Problem {
    pub(super) fn new(weights: Vec<Mat<f64>>, slopes: Vec<(f64, f64)>, output: Mat<f64>, par: Par) -> Self {
        let gram = product(output.transpose(), output.as_ref(), 1.0, par);
        let plain = slopes.first().is_some_and(|(lo, hi)| lo * hi == 0.0);
        let first_gram = weights
            .first()
            .filter(|_| plain)
            .map(|weight| product(weight.as_ref(), weight.transpose(), 1.0, par));
        let input = weights.first().map_or(output.ncols(), Mat::ncols);
        let widths: Vec<usize> = std::iter::once(input).chain(weights.iter().map(Mat::nrows)).collect();
        let mut offsets = vec![0, 1];
        for width in &widths[1..] {
            offsets.push(offsets[offsets.len() - 1] + width);
        }
        Self {
            weights,
            slopes,
            output,
            gram,
            first_gram,
            widths,
            offsets,
        }
    }

    /// Number of hidden layers.
    pub(super) const fn hidden(&self) -> usize {
        self.weights.len()
    }

    /// Number of variables, `1 + Σ n_i`.
    pub(super) fn variables(&self) -> usize {
        self.offsets[self.hidden() + 1]
    }

    /// `W_i`, `i` from 1.
    pub(super) fn weight(&self, i: usize) -> MatRef<'_, f64> {
        self.weights[i - 1].as_ref()
    }

    /// Number of unknowns: the variables, or one a layer and `ρ`.
    pub(super) fn unknowns(&self, sharing: Sharing) -> usize {
        match sharing {
            Sharing::Neuron => self.variables(),
            Sharing::Layer => self.hidden() + 1,
        }
    }

    /// The layer of each variable, 0 for `ρ`.
    pub(super) fn layers(&self) -> Vec<usize> {
        let rows = (0..=self.hidden()).map(|i| std::iter::repeat_n(i, self.offsets[i + 1] - self.offsets[i]));
        rows.flatten().collect()
    }

    /// Whether the multipliers of each layer are equal.
    pub(super) fn is_even(&self, x: &[f64]) -> bool {
        (1..=self.hidden()).all(|i| {
            self.multipliers(x, i)
                .windows(2)
                .all(|pair| pair[0].total_cmp(&pair[1]).is_eq())
        })
    }

    /// The multipliers of block `i` within `x`, `i` from 1.
    pub(super) fn multipliers<'a>(&self, x: &'a [f64], i: usize) -> &'a [f64] {
        &x[self.offsets[i]..self.offsets[i + 1]]
    }

    /// `α + β` of the slopes behind `W_i`, `i` from 1.
    pub(super) fn slope_sum(&self, i: usize) -> f64 {
        self.slopes[i - 1].0 + self.slopes[i - 1].1
    }

    /// `α β` of the slopes behind `W_i`, `i` from 1; 0 past the end.
    pub(super) fn slope_product(&self, i: usize) -> f64 {
        self.slopes.get(i - 1).map_or(0.0, |(lo, hi)| lo * hi)
    }

    /// Whether `Λ_i > 0` needs a barrier of its own; otherwise it follows from `P ≻ 0`.
    pub(super) fn guarded(&self, i: usize) -> bool {
        i >= 1 && i < self.hidden() && self.slope_product(i + 1) > 0.0
    }

    /// The parameter of the barrier: the gap at the centre is this divided by the weight of the objective.
    pub(super) fn barrier_parameter(&self) -> f64 {
        let guarded: usize = (1..=self.hidden()).filter(|i| self.guarded(*i)).map(|i| self.widths[i]).sum();
        (self.widths.iter().sum::<usize>() + guarded) as f64
    }
}

/// How to come back from a [`Problem`] to the chain it was made of.
pub(super) struct Reduction<'a> {
    chain: &'a Chain,
    /// `W_i = 2^{exponents[i − 1]} Ŵ_i` with slopes taken in; the last one belongs to `C`.
    exponents: Vec<i32>,
    /// Rows that are left in each hidden layer.
    kept: Vec<Vec<usize>>,
    /// Orthonormal columns that span the rows of `W_1`, `(n_0, n_1)`, if the input is wider.
    basis: Option<Mat<f64>>,
}

/// Takes out scales, dead neurons and a wide input. Nothing is left, and none returned, if the map is constant.
pub(super) fn reduce(chain: &Chain, par: Par) -> Option<(Problem, Reduction<'_>)> {
    let hidden = chain.hidden();
    let mut exponents = Vec::with_capacity(hidden + 1);
    let mut of_weights = Vec::with_capacity(hidden);
    // Rounded together, so that the errors of many layers do not add up.
    let mut wanted = 0.0;
    let mut slopes = Vec::with_capacity(hidden);
    for (weight, slope) in chain.weights().iter().zip(chain.slopes()) {
        let size = slope.lo.abs().max(slope.hi.abs());
        let of_slope = exponent(size)?;
        wanted += approx_gain(weight.as_ref())?;
        let of_weight = (wanted - of_weights.iter().sum::<i32>() as f64).round() as i32;
        of_weights.push(of_weight);
        exponents.push(of_weight + of_slope);
        let middle = scaled(slope.lo, -of_slope) / 2.0 + scaled(slope.hi, -of_slope) / 2.0;
        let half = (scaled(slope.hi, -of_slope) - scaled(slope.lo, -of_slope)) / 2.0;
        slopes.push(if half < NARROW {
            (middle - NARROW, middle + NARROW)
        } else {
            (scaled(slope.lo, -of_slope), scaled(slope.hi, -of_slope))
        });
    }
    exponents.push(exponent(largest(chain.output()))?);
    let kept = living(chain);
    if kept.iter().any(Vec::is_empty) {
        return None;
    }
    let take = |matrix: MatRef<'_, f64>, rows: Option<&Vec<usize>>, cols: Option<&Vec<usize>>, shift: i32| {
        Mat::from_fn(
            rows.map_or(matrix.nrows(), Vec::len),
            cols.map_or(matrix.ncols(), Vec::len),
            |i, j| scaled(matrix[(rows.map_or(i, |r| r[i]), cols.map_or(j, |c| c[j]))], -shift),
        )
    };
    let mut weights: Vec<Mat<f64>> = (0..hidden)
        .map(|i| {
            let cols = i.checked_sub(1).map(|before| &kept[before]);
            take(chain.weights()[i].as_ref(), Some(&kept[i]), cols, of_weights[i])
        })
        .collect();
    let output = take(chain.output(), None, kept.last(), exponents[hidden]);
    let basis = weights.first().filter(|first| first.ncols() > first.nrows()).map(|first| {
        let qr = first.transpose().qr();
        (qr.compute_thin_Q(), qr.thin_R().transpose().to_owned())
    });
    let basis = basis.map(|(orthonormal, square)| {
        weights[0] = square;
        orthonormal
    });
    let reduction = Reduction {
        chain,
        exponents,
        kept,
        basis,
    };
    Some((Problem::new(weights, slopes, output, par), reduction))
}

/// The neurons of each hidden layer that see the input and are seen by the output.
fn living(chain: &Chain) -> Vec<Vec<usize>> {
    let widths = chain.widths();
    let mut kept: Vec<Vec<usize>> = widths[1..].iter().map(|n| (0..*n).collect()).collect();
    for i in 0..kept.len() {
        let weight = &chain.weights()[i];
        let sources: Vec<usize> = if i == 0 {
            (0..widths[0]).collect()
        } else {
            kept[i - 1].clone()
        };
        kept[i].retain(|k| sources.iter().any(|j| weight[(*k, *j)] != 0.0));
    }
    for i in (0..kept.len()).rev() {
        let next = chain.weights().get(i + 1).map_or(chain.output(), Mat::as_ref);
        let targets: Vec<usize> = kept.get(i + 1).cloned().unwrap_or_else(|| (0..next.nrows()).collect());
        kept[i].retain(|k| targets.iter().any(|j| next[(*j, *k)] != 0.0));
    }
    kept
}

impl Reduction<'_> {
    /// The bound `√ρ` of the chain that belongs to `√ρ` of the problem.
    pub(super) fn bound(&self, root: f64) -> f64 {
        scaled(root, self.exponents.iter().sum())
    }

    /// The candidate that belongs to `x`; nothing if a number leaves the range of floats.
    pub(super) fn candidate(&self, problem: &Problem, x: &[f64]) -> Option<Candidate> {
        let lipschitz = self.bound(x[0].sqrt());
        let widths = self.chain.widths();
        let mut multipliers: Vec<Vec<f64>> = widths[1..].iter().map(|n| vec![0.0; *n]).collect();
        let mut shift = 0;
        for i in (1..=problem.hidden()).rev() {
            shift += 2 * self.exponents[i];
            for (k, value) in self.kept[i - 1].iter().zip(problem.multipliers(x, i)) {
                multipliers[i - 1][*k] = scaled(*value, shift);
            }
        }
        self.fill_dead(&mut multipliers);
        let usable = |value: &f64| value.is_normal() && *value > 0.0;
        (usable(&lipschitz) && multipliers.iter().flatten().all(usable)).then_some(Candidate { lipschitz, multipliers })
    }

    /// Gives neurons that were left out a multiplier: a huge one to those that see nothing, a tiny one to those that nobody sees.
    fn fill_dead(&self, multipliers: &mut [Vec<f64>]) {
        let weights = self.chain.weights();
        for i in (0..multipliers.len()).rev() {
            let next = weights.get(i + 1).map_or(self.chain.output(), Mat::as_ref);
            let targets: Vec<f64> = multipliers.get(i + 1).cloned().unwrap_or_else(|| vec![1.0; next.nrows()]);
            for k in 0..multipliers[i].len() {
                if multipliers[i][k] > 0.0 {
                    continue;
                }
                let seen = (0..next.nrows())
                    .map(|j| targets[j].max(0.0) * next[(j, k)].powi(2))
                    .sum::<f64>();
                multipliers[i][k] = if seen > 0.0 { scaled(seen, FAR) } else { f64::NAN };
            }
        }
        for i in 0..multipliers.len() {
            let sources: Vec<f64> = if i == 0 {
                vec![f64::MAX.sqrt(); weights[0].ncols()]
            } else {
                multipliers[i - 1].clone()
            };
            let usual = multipliers[i].iter().copied().filter(|v| *v > 0.0).fold(1.0, f64::min);
            for k in 0..multipliers[i].len() {
                if multipliers[i][k] > 0.0 {
                    continue;
                }
                let least = (0..sources.len())
                    .filter(|j| weights[i][(k, *j)] != 0.0)
                    .map(|j| sources[j] / weights[i][(k, j)].powi(2))
                    .fold(usual, f64::min);
                multipliers[i][k] = scaled(least, -FAR);
            }
        }
    }

    /// The vectors of the chain that belong to vectors of the problem.
    pub(super) fn vectors(&self, blocks: &[Mat<f64>]) -> DualVectors {
        let rank = blocks[0].ncols();
        let mut result = Vec::with_capacity(blocks.len());
        result.push(
            self.basis
                .as_ref()
                .map_or_else(|| blocks[0].clone(), |basis| basis * &blocks[0]),
        );
        let mut shift = 0;
        for (i, block) in blocks.iter().enumerate().skip(1) {
            shift += self.exponents[i - 1];
            let mut full = Mat::zeros(self.chain.weights()[i - 1].nrows(), rank);
            for (row, k) in self.kept[i - 1].iter().enumerate() {
                for col in 0..rank {
                    full[(*k, col)] = scaled(block[(row, col)], shift.clamp(-900, 900));
                }
            }
            result.push(full);
        }
        DualVectors { blocks: result }
    }

    /// Multipliers of the chain in the variables of the problem.
    pub(super) fn variables(&self, problem: &Problem, candidate: &Candidate) -> Option<Vec<f64>> {
        let fits = candidate.multipliers.len() == problem.hidden()
            && candidate
                .multipliers
                .iter()
                .zip(self.chain.weights())
                .all(|(m, w)| m.len() == w.nrows());
        if !fits {
            return None;
        }
        let mut x = vec![0.0; problem.variables()];
        x[0] = scaled(candidate.lipschitz, -self.exponents.iter().sum::<i32>()).powi(2);
        let mut shift = 0;
        for i in (1..=problem.hidden()).rev() {
            shift += 2 * self.exponents[i];
            for (row, k) in self.kept[i - 1].iter().enumerate() {
                x[problem.offsets[i] + row] = scaled(candidate.multipliers[i - 1][*k], -shift);
            }
        }
        x.iter().all(|value| value.is_normal() && *value > 0.0).then_some(x)
    }
}

/// The logarithm to base 2 of about what a layer multiplies distances by: 0.7 times its norm, by a few steps of the power method; nothing for zero.
fn approx_gain(weight: MatRef<'_, f64>) -> Option<f64> {
    let shift = exponent(largest(weight))?;
    let level = Mat::from_fn(weight.nrows(), weight.ncols(), |i, j| scaled(weight[(i, j)], -shift));
    let mut vector = Mat::from_fn(weight.ncols(), 1, |j, _| 1.0 + (j as f64 * 0.618_033_988_749_895).fract());
    let mut norm = 1.0;
    for _ in 0..8 {
        let image = product(level.as_ref(), vector.as_ref(), vector.norm_l2().recip(), Par::Seq);
        norm = image.norm_l2();
        vector = product(level.transpose(), image.as_ref(), 1.0, Par::Seq);
        if norm.is_nan() || norm < 1e-100 {
            return Some(f64::from(shift));
        }
    }
    Some(f64::from(shift) + (0.7 * norm).log2())
}

/// The largest size of an entry.
pub(super) fn largest(matrix: MatRef<'_, f64>) -> f64 {
    (0..matrix.ncols())
        .flat_map(|j| (0..matrix.nrows()).map(move |i| (i, j)))
        .fold(0.0, |most, (i, j)| f64::max(most, matrix[(i, j)].abs()))
}

/// `e` with `2^e ≤ value < 2^{e+1}`, roughly; nothing for zero.
pub(super) fn exponent(value: f64) -> Option<i32> {
    (value > 0.0).then(|| value.log2().floor() as i32)
}

/// `value · 2^shift`, exact where the result is a normal number, without overflow on the way.
pub(super) fn scaled(value: f64, shift: i32) -> f64 {
    let (mut value, mut left) = (value, shift);
    while left != 0 {
        let step = left.clamp(-1000, 1000);
        value *= 2f64.powi(step);
        left -= step;
        if value == 0.0 || value.is_infinite() {
            break;
        }
    }
    value
}
