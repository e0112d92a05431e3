//! The matrix inequality of a residual block with enclosed entries.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

use super::directed::{add_up, div_up, gamma_up, mul_down, mul_up, sub_down};
use super::enclosed::Enclosed;
use super::interval::Interval;
use crate::error::CheckError;
use crate::statement::{Matrix, ResidualBlock};

/// Proves the inequality of [`crate::rules::residual_lmi`] for a bound and multipliers that are positive, one a hidden neuron.
///
/// Shown to be semidefinite is `[P₀ Fᵀ; F I]` with `F = [A 0 … 0 B]`, whose Schur complement at the last block is the inequality; so the path and the output enter linearly,
/// and no product of weights has to be formed unless `αβ ≠ 0`.
///
/// # Errors
///
/// [`CheckError::TooLarge`], [`CheckError::NotSemidefinite`].
pub(crate) fn prove(block: &ResidualBlock, multipliers: &[Vec<f64>], lipschitz: f64) -> Result<(), CheckError> {
    let inputs = block.inputs();
    let hidden: usize = block.hidden().iter().map(|layer| layer.weight.rows()).sum();
    let mut matrix = Enclosed::zeros(inputs + hidden + block.outputs())?;
    let rho = Interval::point(mul_down(lipschitz, lipschitz));
    for i in 0..inputs {
        matrix.add(i, i, rho);
    }
    let (lo, hi) = block.activation().slopes();
    let slopes = (Interval::point(lo), Interval::point(hi));
    let mut before = 0;
    for (layer, lambda) in block.hidden().iter().zip(multipliers) {
        add_layer(&mut matrix, before, &layer.weight, lambda, slopes);
        before += layer.weight.cols();
    }
    let first = inputs + hidden;
    for i in 0..block.outputs() {
        matrix.add(first + i, first + i, Interval::ONE);
        for (j, value) in block.output().row(i).iter().enumerate() {
            matrix.add(first + i, before + j, Interval::point(*value));
        }
        match block.path() {
            Some(path) => {
                for (j, value) in path.row(i).iter().enumerate() {
                    matrix.add(first + i, j, Interval::point(*value));
                }
            }
            None => matrix.add(first + i, i, Interval::ONE),
        }
    }
    matrix.prove_semidefinite()
}

/// Adds the matrix of `2 (z − α C w)ᵀ Λ (z − β C w)`, where `w` begins at `before` and `z` behind it.
fn add_layer(matrix: &mut Enclosed, before: usize, weight: &Matrix, multipliers: &[f64], (lo, hi): (Interval, Interval)) {
    let here = before + weight.cols();
    let two = Interval::integer(2);
    let sum = lo.add(hi);
    for (k, lambda) in multipliers.iter().enumerate() {
        let lambda = Interval::point(*lambda);
        matrix.add(here + k, here + k, two.mul(lambda));
        let cross = sum.mul(lambda).neg();
        for (j, value) in weight.row(k).iter().enumerate() {
            matrix.add(here + k, before + j, cross.mul(Interval::point(*value)));
        }
    }
    let curvature = two.mul(lo).mul(hi);
    if curvature != Interval::ZERO {
        add_curvature(matrix, before, weight, multipliers, curvature);
    }
}

/// Adds `c Cᵀ Λ C` at `before`.
///
/// With `M ± R` the enclosed entries of `c Λ C`, one conventional product `Cᵀ M` of `k` terms is off by at most `γ_k |C|ᵀ|M| + |C|ᵀ R`, up to underflow; a second product bounds that.
fn add_curvature(matrix: &mut Enclosed, before: usize, weight: &Matrix, multipliers: &[f64], curvature: Interval) {
    let (rows, cols) = (weight.rows(), weight.cols());
    let gamma = gamma_up(rows + 2);
    let plain = MatRef::from_row_major_slice(weight.data(), rows, cols);
    let mut mid = Mat::<f64>::zeros(rows, cols);
    let mut spread = Mat::<f64>::zeros(rows, cols);
    for (k, lambda) in multipliers.iter().enumerate() {
        let bent = curvature.mul(Interval::point(*lambda));
        for (j, value) in weight.row(k).iter().enumerate() {
            let entry = bent.mul(Interval::point(*value));
            mid[(k, j)] = entry.mid();
            spread[(k, j)] = add_up(mul_up(gamma, entry.mid().abs()), entry.distance_up(entry.mid()));
        }
    }
    let absolute = Mat::from_fn(rows, cols, |k, j| plain[(k, j)].abs());
    let product = |left: MatRef<'_, f64>, right: MatRef<'_, f64>| {
        let mut product = Mat::<f64>::zeros(cols, cols);
        matmul(product.as_mut(), Accum::Replace, left.transpose(), right, 1.0, Par::Seq);
        product
    };
    let (centre, errors) = (product(plain, mid.as_ref()), product(absolute.as_ref(), spread.as_ref()));
    let slack = sub_down(1.0, gamma);
    let lost = mul_up(rows as f64, f64::MIN_POSITIVE);
    for j in 0..cols {
        for l in 0..=j {
            let error = add_up(div_up(errors[(j, l)], slack), lost);
            let enclosed = Interval::between(sub_down(centre[(j, l)], error), add_up(centre[(j, l)], error));
            matrix.add(before + j, before + l, enclosed);
        }
    }
}
