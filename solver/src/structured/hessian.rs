//! The Hessian of the barrier, `2 [(AᵀZA)∘(BᵀZB) + (AᵀZB)∘(BᵀZA)]` over the neurons, in `O(n N²)`.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};

use super::problem::Problem;
use super::schur::Inverse;
use crate::chain::Sharing;

/// Memory for [`fill`]: the rows `a_lᵀ Z` and `b_lᵀ Z` of all later neurons, restricted to one block.
struct Rows {
    left: Mat<f64>,
    right: Mat<f64>,
}

impl Rows {
    fn zeros(rows: usize, cols: usize) -> Self {
        Self {
            left: Mat::zeros(rows, cols),
            right: Mat::zeros(rows, cols),
        }
    }
}

/// Writes the lower triangle of the Hessian of `−log det P`, and of the guards, to `target`: `(N + 1, N + 1)` or, with one multiplier a layer, `(h + 1, h + 1)`.
pub(super) fn fill(problem: &Problem, x: &[f64], inverse: &Inverse, sharing: Sharing, target: &mut Mat<f64>, par: Par) {
    let offsets = &problem.offsets;
    target.fill(0.0);
    columns(
        problem,
        x,
        inverse,
        problem.hidden(),
        par,
        &mut |i, first, column| match sharing {
            Sharing::Neuron => target.col_as_slice_mut(first)[first..].copy_from_slice(column),
            Sharing::Layer => {
                let next = offsets[i + 1] - first;
                target[(i, i)] += column[0] + 2.0 * column[1..next].iter().sum::<f64>();
                for j in i + 1..=problem.hidden() {
                    target[(j, i)] += column[offsets[j] - first..offsets[j + 1] - first].iter().sum::<f64>();
                }
            }
        },
    );
}

/// Hands out the columns of the lower triangle of the Hessian, last layer first and `ρ` at the end: the layer, the variable, and the entries from the diagonal
/// to the end of the layer `reach` layers later.
pub(super) fn columns(
    problem: &Problem,
    x: &[f64],
    inverse: &Inverse,
    reach: usize,
    par: Par,
    take: &mut dyn FnMut(usize, usize, &[f64]),
) {
    let mut column = vec![0.0; problem.variables()];
    let hidden = problem.hidden();
    let neurons = problem.variables() - 1;
    let widest = problem.widths.iter().copied().max().unwrap_or(0);
    let (mut here, mut before) = (Rows::zeros(neurons, widest), Rows::zeros(neurons, widest));
    let mut through = Rows::zeros(neurons, widest);
    for i in (1..=hidden).rev() {
        let (width, width_before) = (problem.widths[i], problem.widths[i - 1]);
        let (lo, hi) = problem.slopes[i - 1];
        let weight = problem.weight(i);
        let top = problem.offsets[i] - 1;
        let count = problem.offsets[(i + reach).min(hidden) + 1] - 1 - top;
        // The rows of this layer itself: e − α w and e − β w times Z, in block i.
        let crossed = inverse.below[i - 1].as_ref();
        for (rows, slope) in [(&mut here.left, lo), (&mut here.right, hi)] {
            let mut own = rows.as_mut().submatrix_mut(top, 0, width, width);
            own.copy_from(&inverse.diagonal[i]);
            if slope != 0.0 {
                matmul(own, Accum::Add, weight, crossed.transpose(), -slope, par);
            }
        }
        // The same rows in block i − 1.
        for (from, to) in [(&here.left, &mut before.left), (&here.right, &mut before.right)] {
            let to = to.as_mut().submatrix_mut(top, 0, count, width_before);
            let from = from.as_ref().submatrix(top, 0, count, width);
            matmul(to, Accum::Replace, from, &inverse.transfers[i - 1], -1.0, par);
        }
        let gain = &inverse.gains[i - 1];
        for (rows, slope) in [(&mut before.left, lo), (&mut before.right, hi)] {
            if slope != 0.0 {
                for j in 0..width_before {
                    for k in 0..width {
                        rows[(top + k, j)] -= slope * gain[(k, j)];
                    }
                }
            }
        }
        for (from, to) in [(&before.left, &mut through.left), (&before.right, &mut through.right)] {
            let to = to.as_mut().submatrix_mut(top, 0, count, width);
            let from = from.as_ref().submatrix(top, 0, count, width_before);
            matmul(to, Accum::Replace, from, weight.transpose(), 1.0, par);
        }
        for (k, multiplier) in problem.multipliers(x, i).iter().enumerate() {
            let first = top + 1 + k;
            let below = &mut column[first..=top + count];
            combine(&here, &through, (lo, hi), (top + k, k), below);
            if problem.guarded(i) {
                below[0] += multiplier.powi(-2);
            }
            take(i, first, below);
        }
        std::mem::swap(&mut here, &mut before);
    }
    column[0] = inverse.diagonal[0].squared_norm_l2();
    let end = problem.offsets[reach.min(hidden) + 1];
    for (row, value) in column[1..end].iter_mut().enumerate() {
        let dot: f64 = (0..problem.widths[0])
            .map(|c| here.left[(row, c)] * here.right[(row, c)])
            .sum();
        *value = 2.0 * dot;
    }
    take(0, 0, &column[..end]);
}

/// Writes a column from its diagonal on: that of neuron `k` of a layer, whose rows in `here` start at `first`; `through` is their share in the block
/// before, times `Wᵀ`.
fn combine(here: &Rows, through: &Rows, (lo, hi): (f64, f64), (first, k): (usize, usize), column: &mut [f64]) {
    let (left, right) = (&here.left.col_as_slice(k)[first..], &here.right.col_as_slice(k)[first..]);
    let (left_through, right_through) = (
        &through.left.col_as_slice(k)[first..],
        &through.right.col_as_slice(k)[first..],
    );
    for (((value, (a, b)), a_through), b_through) in column
        .iter_mut()
        .zip(left.iter().zip(right))
        .zip(left_through)
        .zip(right_through)
    {
        let same = (a - lo * a_through) * (b - hi * b_through);
        let mixed = (a - hi * a_through) * (b - lo * b_through);
        *value = 2.0 * (same + mixed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structured::product;
    use crate::structured::schur::{factor, gradient, invert};

    fn problem(slopes: (f64, f64)) -> (Problem, Vec<f64>) {
        let entry =
            |i: usize, j: usize, salt: usize| ((i * 7 + j * 13 + salt * 5 + i * j) as f64 * 0.618_033_988_7).fract() - 0.45;
        let weights = vec![
            Mat::from_fn(4, 3, |i, j| entry(i, j, 1)),
            Mat::from_fn(3, 4, |i, j| entry(i, j, 2)),
            Mat::from_fn(4, 3, |i, j| entry(i, j, 3)),
        ];
        let problem = Problem::new(
            weights,
            vec![slopes; 3],
            Mat::from_fn(2, 4, |i, j| 0.3 * entry(i, j, 4)),
            Par::Seq,
        );
        let mut x = vec![20.0];
        x.extend((0..4).map(|k| 4.0 + 0.3 * k as f64));
        x.extend((0..3).map(|k| 1.5 + 0.2 * k as f64));
        x.extend((0..4).map(|k| 0.5 + 0.1 * k as f64));
        (problem, x)
    }

    /// Gradient against differences of the barrier, Hessian against differences of the gradient.
    #[test]
    fn derivatives_agree_with_differences() {
        for slopes in [(0.0, 1.0), (-1.0, 1.0), (0.2, 0.8), (-0.3, 0.5), (-0.9, -0.1)] {
            let (problem, x) = problem(slopes);
            let slope_at = |x: &[f64]| {
                let here = factor(&problem, x, Par::Seq).expect("inside");
                gradient(&problem, x, &invert(&problem, x, &here, Par::Seq), Par::Seq)
            };
            let barrier_at = |x: &[f64]| factor(&problem, x, Par::Seq).expect("inside").barrier;
            let here = factor(&problem, &x, Par::Seq).expect("inside");
            let inverse = invert(&problem, &x, &here, Par::Seq);
            let slope = gradient(&problem, &x, &inverse, Par::Seq);
            let mut hessian = Mat::zeros(x.len(), x.len());
            fill(&problem, &x, &inverse, Sharing::Neuron, &mut hessian, Par::Seq);
            let mut of_layers = Mat::zeros(4, 4);
            fill(&problem, &x, &inverse, Sharing::Layer, &mut of_layers, Par::Seq);
            let layer = |k: usize| (0..4).find(|i| k < problem.offsets[i + 1]).expect("a layer");
            for k in 0..x.len() {
                for row in 0..x.len() {
                    if layer(row) >= layer(k) {
                        of_layers[(layer(row), layer(k))] -= hessian[(row.max(k), row.min(k))];
                    }
                }
            }
            let product_of = |v: &[f64]| product::hessian(&problem, &x, &inverse, v, Par::Seq);
            let unit: Vec<f64> = (0..x.len()).map(|k| (k as f64 + 1.0).sin()).collect();
            for (row, value) in product_of(&unit).into_iter().enumerate() {
                let expected: f64 = (0..x.len()).map(|k| hessian[(row.max(k), row.min(k))] * unit[k]).sum();
                assert!((value - expected).abs() < 1e-9 * hessian.norm_max(), "{slopes:?} {row}");
            }
            assert!(of_layers.norm_max() < 1e-12 * hessian.norm_max(), "{slopes:?}");
            for k in 0..x.len() {
                let step = 1e-5 * x[k];
                let (mut above, mut below) = (x.clone(), x.clone());
                above[k] += step;
                below[k] -= step;
                let difference = (barrier_at(&above) - barrier_at(&below)) / (2.0 * step);
                assert!(
                    (difference - slope[k]).abs() < 1e-6 * (1.0 + slope[k].abs()),
                    "{slopes:?} {k}"
                );
                let (above, below) = (slope_at(&above), slope_at(&below));
                for row in k..x.len() {
                    let difference = -(above[row] - below[row]) / (2.0 * step);
                    let value = hessian[(row, k)];
                    let size = (hessian[(row, row)] * hessian[(k, k)]).sqrt();
                    assert!(
                        (difference - value).abs() < 1e-6 * size,
                        "{slopes:?} {row} {k} {difference} {value}"
                    );
                }
            }
        }
    }
}
