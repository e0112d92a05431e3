//! The Hessian of the barrier times a vector, in `O(Σ n³)`: the change of the blocks of `Z` next to its diagonal, by the same recursion.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};

use super::dense::product;
use super::problem::Problem;
use super::schur::{Inverse, forms};

/// `H v`, `H` the Hessian of `−log det P` and of the guards.
pub(super) fn hessian(problem: &Problem, x: &[f64], inverse: &Inverse, v: &[f64], par: Par) -> Vec<f64> {
    let hidden = problem.hidden();
    // Ṡ_i, and Ṗ_{i,i−1} − T_i Ṡ_{i−1}.
    let mut schur: Vec<Mat<f64>> = Vec::with_capacity(hidden + 1);
    let mut rests: Vec<Mat<f64>> = Vec::with_capacity(hidden);
    for i in 0..=hidden {
        let width = problem.widths[i];
        let mut change = Mat::zeros(width, width);
        if i == 0 {
            (0..width).for_each(|k| change[(k, k)] = v[0]);
        } else {
            let transfer = inverse.transfers[i - 1].as_ref();
            let (steps, sum, weight) = (problem.multipliers(v, i), problem.slope_sum(i), problem.weight(i));
            let mut rest = product(transfer, schur[i - 1].as_ref(), -1.0, par);
            let half = Mat::from_fn(width, weight.ncols(), |k, j| {
                0.5 * rest[(k, j)] - sum * steps[k] * weight[(k, j)]
            });
            let correction = product(half.as_ref(), transfer.transpose(), -1.0, par);
            for j in 0..width {
                for k in 0..width {
                    change[(k, j)] = correction[(k, j)] + correction[(j, k)];
                }
                change[(j, j)] += 2.0 * steps[j];
            }
            for j in 0..weight.ncols() {
                for (k, step) in steps.iter().enumerate() {
                    rest[(k, j)] -= sum * step * weight[(k, j)];
                }
            }
            rests.push(rest);
        }
        let forward = problem.slope_product(i + 1);
        if forward != 0.0 {
            let (steps, weight) = (problem.multipliers(v, i + 1), problem.weight(i + 1));
            let weighted = Mat::from_fn(weight.nrows(), width, |k, j| steps[k] * weight[(k, j)]);
            matmul(
                change.as_mut(),
                Accum::Add,
                weight.transpose(),
                weighted.as_ref(),
                2.0 * forward,
                par,
            );
        }
        schur.push(change);
    }
    let own = |i: usize| {
        let left = product(inverse.schur[i].as_ref(), schur[i].as_ref(), -1.0, par);
        product(left.as_ref(), inverse.schur[i].as_ref(), 1.0, par)
    };
    // From here on the changes of Z, last block first.
    let mut diagonal = vec![own(hidden)];
    let mut below = Vec::with_capacity(hidden);
    for i in (0..hidden).rev() {
        let transfer = inverse.transfers[i].as_ref();
        let turned = product(rests[i].as_ref(), inverse.schur[i].as_ref(), 1.0, par);
        let last = diagonal[diagonal.len() - 1].as_ref();
        let mut under = product(last, transfer, -1.0, par);
        matmul(
            under.as_mut(),
            Accum::Add,
            inverse.diagonal[i + 1].as_ref(),
            turned.as_ref(),
            -1.0,
            par,
        );
        let mut block = own(i);
        for (left, right) in [(turned.as_ref(), inverse.below[i].as_ref()), (transfer, under.as_ref())] {
            matmul(block.as_mut(), Accum::Add, left.transpose(), right, -1.0, par);
        }
        below.push(under);
        diagonal.push(block);
    }
    diagonal.reverse();
    below.reverse();
    let mut result: Vec<f64> = forms(problem, &diagonal, &below, par).iter().map(|value| -value).collect();
    for i in (1..=hidden).filter(|i| problem.guarded(*i)) {
        let range = problem.offsets[i]..problem.offsets[i + 1];
        range.for_each(|k| result[k] += v[k] / (x[k] * x[k]));
    }
    result
}
