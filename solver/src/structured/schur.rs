//! The block Cholesky recursion of `P`, and the blocks of `Z = P⁻¹` next to its diagonal.
//!
//! With `S_i` the Schur complement of the blocks before `i`, `S_i = P_ii − P_{i,i−1} S_{i−1}⁻¹ P_{i,i−1}ᵀ` and `P_{i,i−1} = −(α + β) Λ_i W_i`.

use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Accum, Mat, Par};

use super::dense::{add_gram, cholesky, inverse_from, lower_inverse, product};
use super::problem::Problem;

/// `S_i = L_i L_iᵀ`.
pub(super) struct Factor {
    /// `L_i`, lower triangles.
    pub(super) lowers: Vec<Mat<f64>>,
    /// `L_{i−1}⁻¹ W_iᵀ`, `(n_{i−1}, n_i)`, at `i − 1`; absent where `L_{i−1} = √ρ I`.
    whitened: Vec<Option<Mat<f64>>>,
    /// The barrier without its sign: `log det P`, and `Σ log λ` where that is guarded.
    pub(super) barrier: f64,
}

/// Factors `P(x)`; nothing unless `x` lies strictly inside.
pub(super) fn factor(problem: &Problem, x: &[f64], par: Par) -> Option<Factor> {
    if x.iter().any(|value| value.is_nan() || *value <= 0.0 || value.is_infinite()) {
        return None;
    }
    let hidden = problem.hidden();
    let mut barrier = 0.0;
    let mut lowers: Vec<Mat<f64>> = Vec::with_capacity(hidden + 1);
    let mut whitened: Vec<Option<Mat<f64>>> = Vec::with_capacity(hidden);
    for i in 0..=hidden {
        let width = problem.widths[i];
        let mut schur = Mat::<f64>::zeros(width, width);
        if i == hidden {
            schur -= &problem.gram;
        }
        if i == 0 {
            (0..width).for_each(|k| schur[(k, k)] += x[0]);
        } else {
            let multipliers = problem.multipliers(x, i);
            let sum = problem.slope_sum(i);
            if let Some(gram) = problem.first_gram.as_ref().filter(|_| i == 1) {
                let scale = -sum * sum / x[0];
                for l in 0..width {
                    for k in l..width {
                        schur[(k, l)] += scale * multipliers[k] * multipliers[l] * gram[(k, l)];
                    }
                }
                whitened.push(None);
            } else {
                let mut white: Mat<f64> = problem.weight(i).transpose().to_owned();
                solve_lower_triangular_in_place(lowers[i - 1].as_ref(), white.as_mut(), par);
                let coupled = Mat::from_fn(width, white.nrows(), |k, j| sum * multipliers[k] * white[(j, k)]);
                add_gram(&mut schur, coupled.as_ref(), -1.0, par);
                whitened.push(Some(white));
            }
            for (k, value) in multipliers.iter().enumerate() {
                schur[(k, k)] += 2.0 * value;
            }
            if problem.guarded(i) {
                barrier += multipliers.iter().map(|value| value.ln()).sum::<f64>();
            }
        }
        let forward = if i < hidden { problem.slope_product(i + 1) } else { 0.0 };
        if forward != 0.0 {
            let multipliers = problem.multipliers(x, i + 1);
            let weight = problem.weight(i + 1);
            let rooted = Mat::from_fn(width, multipliers.len(), |j, k| weight[(k, j)] * multipliers[k].sqrt());
            add_gram(&mut schur, rooted.as_ref(), 2.0 * forward, par);
        }
        barrier += cholesky(&mut schur, par)?;
        lowers.push(schur);
    }
    barrier.is_finite().then_some(Factor {
        lowers,
        whitened,
        barrier,
    })
}

/// Blocks of `Z = P⁻¹`.
pub(super) struct Inverse {
    /// `S_i⁻¹`.
    pub(super) schur: Vec<Mat<f64>>,
    /// `Z_ii`.
    pub(super) diagonal: Vec<Mat<f64>>,
    /// `Z_{i,i−1}`, at `i − 1`.
    pub(super) below: Vec<Mat<f64>>,
    /// `W_i S_{i−1}⁻¹`, at `i − 1`.
    pub(super) gains: Vec<Mat<f64>>,
    /// `T_i = P_{i,i−1} S_{i−1}⁻¹`, at `i − 1`; `Z_{j,i−1} = −Z_{j,i} T_i` for `j ≥ i`.
    pub(super) transfers: Vec<Mat<f64>>,
}

/// The blocks of `Z` that the gradient needs, and what the others follow from.
pub(super) fn invert(problem: &Problem, x: &[f64], factor: &Factor, par: Par) -> Inverse {
    let hidden = problem.hidden();
    let inverses: Vec<Mat<f64>> = factor.lowers.iter().map(|lower| lower_inverse(lower.as_ref(), par)).collect();
    let gains: Vec<Mat<f64>> = (0..hidden)
        .map(|i| match &factor.whitened[i] {
            Some(white) => product(white.transpose(), inverses[i].as_ref(), 1.0, par),
            None => problem.weight(i + 1) * faer::Scale(x[0].recip()),
        })
        .collect();
    let transfers: Vec<Mat<f64>> = (1..=hidden)
        .map(|i| {
            let (multipliers, sum, gain) = (problem.multipliers(x, i), problem.slope_sum(i), &gains[i - 1]);
            Mat::from_fn(gain.nrows(), gain.ncols(), |k, j| -sum * multipliers[k] * gain[(k, j)])
        })
        .collect();
    let schur: Vec<Mat<f64>> = inverses.iter().map(|lower| inverse_from(lower.as_ref(), par)).collect();
    let mut diagonal = vec![schur[hidden].clone()];
    let mut below = Vec::with_capacity(hidden);
    for i in (0..hidden).rev() {
        let transfer = &transfers[i];
        let under = product(diagonal[diagonal.len() - 1].as_ref(), transfer.as_ref(), -1.0, par);
        let mut block = schur[i].clone();
        let correction = product(transfer.transpose(), under.as_ref(), -1.0, par);
        for col in 0..block.ncols() {
            for row in 0..block.nrows() {
                block[(row, col)] += 0.5 * (correction[(row, col)] + correction[(col, row)]);
            }
        }
        below.push(under);
        diagonal.push(block);
    }
    diagonal.reverse();
    below.reverse();
    Inverse {
        schur,
        diagonal,
        below,
        gains,
        transfers,
    }
}

/// The gradient of the barrier without its sign: that of `log det P`, and `1 / λ_k` where that is guarded.
pub(super) fn gradient(problem: &Problem, x: &[f64], inverse: &Inverse, par: Par) -> Vec<f64> {
    let mut result = forms(problem, &inverse.diagonal, &inverse.below, par);
    for i in (1..=problem.hidden()).filter(|i| problem.guarded(*i)) {
        let range = problem.offsets[i]..problem.offsets[i + 1];
        range.for_each(|k| result[k] += x[k].recip());
    }
    result
}

/// `tr Z` of block 0, then `2 a_kᵀ Z b_k`, from the blocks `Z_ii` and `Z_{i,i−1}` of any symmetric matrix.
pub(super) fn forms(problem: &Problem, on_diagonal: &[Mat<f64>], under: &[Mat<f64>], par: Par) -> Vec<f64> {
    let mut result = Vec::with_capacity(problem.variables());
    result.push((0..problem.widths[0]).map(|k| on_diagonal[0][(k, k)]).sum());
    for i in 1..=problem.hidden() {
        let weight = problem.weight(i);
        let (sum, square) = (problem.slope_sum(i), problem.slope_product(i));
        let through = (square != 0.0).then(|| product(weight, on_diagonal[i - 1].as_ref(), 1.0, par));
        let mut values: Vec<f64> = (0..problem.widths[i]).map(|k| on_diagonal[i][(k, k)]).collect();
        for j in 0..weight.ncols() {
            for (k, value) in values.iter_mut().enumerate() {
                *value -= sum * weight[(k, j)] * under[i - 1][(k, j)];
                if let Some(through) = &through {
                    *value += square * weight[(k, j)] * through[(k, j)];
                }
            }
        }
        result.extend(values.iter().map(|value| 2.0 * value));
    }
    result
}

/// `Ṗ V` with `Ṗ = Σ d_k ∂P/∂x_k`, blocks of vectors in and out.
pub(super) fn apply(problem: &Problem, direction: &[f64], blocks: &[Mat<f64>], par: Par) -> Vec<Mat<f64>> {
    let rank = blocks[0].ncols();
    let mut result: Vec<Mat<f64>> = blocks.iter().map(|block| Mat::zeros(block.nrows(), rank)).collect();
    result[0] = &blocks[0] * faer::Scale(direction[0]);
    for i in 1..=problem.hidden() {
        let (sum, square) = (problem.slope_sum(i), problem.slope_product(i));
        let steps = problem.multipliers(direction, i);
        let arriving = product(problem.weight(i), blocks[i - 1].as_ref(), 1.0, par);
        let mut back = Mat::zeros(steps.len(), rank);
        for c in 0..rank {
            for (k, step) in steps.iter().enumerate() {
                let (u, v) = (arriving[(k, c)], blocks[i][(k, c)]);
                result[i][(k, c)] += step * (2.0 * v - sum * u);
                back[(k, c)] = step * (2.0 * square * u - sum * v);
            }
        }
        matmul(
            result[i - 1].as_mut(),
            Accum::Add,
            problem.weight(i).transpose(),
            back.as_ref(),
            1.0,
            par,
        );
    }
    result
}

/// `P⁻¹ V`, in place.
pub(super) fn solve(problem: &Problem, x: &[f64], factor: &Factor, blocks: &mut [Mat<f64>], par: Par) {
    let hidden = problem.hidden();
    let coupled = |i: usize, block: &Mat<f64>| -> Mat<f64> {
        let (sum, multipliers) = (problem.slope_sum(i), problem.multipliers(x, i));
        Mat::from_fn(block.nrows(), block.ncols(), |k, c| sum * multipliers[k] * block[(k, c)])
    };
    for i in 0..=hidden {
        if i > 0 {
            let carried = match &factor.whitened[i - 1] {
                Some(white) => product(white.transpose(), blocks[i - 1].as_ref(), 1.0, par),
                None => product(problem.weight(i), blocks[i - 1].as_ref(), x[0].sqrt().recip(), par),
            };
            blocks[i] += coupled(i, &carried);
        }
        solve_lower_triangular_in_place(factor.lowers[i].as_ref(), blocks[i].as_mut(), par);
    }
    for i in (0..=hidden).rev() {
        if i < hidden {
            let weighted = coupled(i + 1, &blocks[i + 1]);
            blocks[i] += match &factor.whitened[i] {
                Some(white) => product(white.as_ref(), weighted.as_ref(), 1.0, par),
                None => product(problem.weight(i + 1).transpose(), weighted.as_ref(), x[0].sqrt().recip(), par),
            };
        }
        solve_upper_triangular_in_place(factor.lowers[i].transpose(), blocks[i].as_mut(), par);
    }
}
