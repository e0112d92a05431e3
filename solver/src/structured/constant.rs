//! Multipliers for a map that does not depend on its input.
//!
//! Its neurons fall into two classes without a way from the first to the second: those that see the input, and those that the output may see. Tiny
//! multipliers for the first and large ones for the second prove a bound far below the usual scale.

use super::problem::scaled;
use super::start::scalar;
use crate::chain::{Candidate, Chain, Solution, Status};

/// The multipliers of neurons that see the input lie this many powers of two below what the others allow.
const BELOW: i32 = 60;

/// The least sizes of the Schur complements, and multipliers that reach them, of one class.
struct Scales {
    multipliers: Vec<f64>,
    /// One for block 0, then one a layer.
    complements: Vec<f64>,
    /// Squares of the Frobenius norms of the rows of the class.
    squares: Vec<f64>,
}

impl Scales {
    /// For the rows of `class`, with 1 for block 0.
    fn new(chain: &Chain, class: impl Fn(usize, usize) -> bool) -> Self {
        let (mut multipliers, mut complements, mut squares) = (Vec::new(), vec![1.0], Vec::new());
        for (i, (weight, slope)) in chain.weights().iter().zip(chain.slopes()).enumerate() {
            let before = complements[i];
            let square: f64 = (0..weight.nrows())
                .filter(|k| class(i, *k))
                .map(|k| (0..weight.ncols()).map(|j| weight[(k, j)].powi(2)).sum::<f64>())
                .sum();
            let size = slope.lo.abs().max(slope.hi.abs());
            let half = ((slope.hi - slope.lo) / 2.0).max(1e-3 * size);
            let middle = slope.lo / 2.0 + slope.hi / 2.0;
            let (multiplier, complement) = if square > 0.0 && size > 0.0 {
                let multiplier = 0.5 * scalar(middle - half, middle + half) * before / square;
                (multiplier, multiplier.min(0.25 * before / (size * size * square)))
            } else {
                (before, before)
            };
            multipliers.push(multiplier);
            complements.push(complement);
            squares.push(square * size.powi(2).max(size));
        }
        Self {
            multipliers,
            complements,
            squares,
        }
    }
}

/// A solution with a bound far below the scale of the weights; nothing if numbers overflow.
pub(super) fn solution(chain: &Chain) -> Option<Solution> {
    let widths = chain.widths();
    let mut seeing: Vec<Vec<bool>> = vec![vec![true; widths[0]]];
    for (weight, slope) in chain.weights().iter().zip(chain.slopes()) {
        let flat = slope.lo.abs().max(slope.hi.abs()) <= 0.0;
        let before = &seeing[seeing.len() - 1];
        let sees = |k: usize| !flat && (0..weight.ncols()).any(|j| before[j] && weight[(k, j)] != 0.0);
        seeing.push((0..weight.nrows()).map(sees).collect());
    }
    let low = Scales::new(chain, |i, k| seeing[i + 1][k]);
    let high = Scales::new(chain, |i, k| !seeing[i + 1][k]);
    let output = chain.output();
    let square: f64 = (0..output.ncols())
        .map(|j| (0..output.nrows()).map(|i| output[(i, j)].powi(2)).sum::<f64>())
        .sum();
    let hidden = chain.hidden();
    let large = if square > 0.0 {
        4.0 * square / high.complements[hidden]
    } else {
        1.0
    };
    let mut rho = f64::min(1.0, large);
    for i in 0..hidden {
        if low.squares[i] > 0.0 {
            rho = rho.min(large * high.complements[i] / (low.multipliers[i] * low.squares[i]));
        }
    }
    let rho = scaled(rho, -BELOW);
    let multipliers: Vec<Vec<f64>> = (0..hidden)
        .map(|i| {
            let pick = |sees: &bool| {
                if *sees {
                    rho * low.multipliers[i]
                } else {
                    large * high.multipliers[i]
                }
            };
            seeing[i + 1].iter().map(pick).collect()
        })
        .collect();
    let usable = |value: &f64| value.is_normal() && *value > 0.0;
    let fits = usable(&rho) && multipliers.iter().flatten().all(usable);
    fits.then(|| Solution {
        candidates: vec![Candidate {
            lipschitz: rho.sqrt(),
            multipliers,
        }],
        dual: None,
        approx_dual: 0.0,
        status: Status::Closed,
        iterations: 0,
    })
}
