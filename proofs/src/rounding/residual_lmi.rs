//! The matrix inequality of a residual block with enclosed entries.

use super::directed::mul_down;
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
    let curvature = two.mul(lo).mul(hi);
    let flat = curvature == Interval::ZERO;
    for (k, lambda) in multipliers.iter().enumerate() {
        let lambda = Interval::point(*lambda);
        matrix.add(here + k, here + k, two.mul(lambda));
        let row = weight.row(k);
        let cross = sum.mul(lambda).neg();
        for (j, value) in row.iter().enumerate() {
            matrix.add(here + k, before + j, cross.mul(Interval::point(*value)));
        }
        if flat {
            continue;
        }
        let bent = curvature.mul(lambda);
        for (j, value) in row.iter().enumerate() {
            let left = bent.mul(Interval::point(*value));
            for (l, other) in row[..=j].iter().enumerate() {
                matrix.add(before + j, before + l, left.mul(Interval::point(*other)));
            }
        }
    }
}
