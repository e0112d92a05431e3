//! Low-rank points of the dual.

use faer::{Mat, MatRef, Par};

use super::dense::product;
use super::problem::{Problem, exponent, largest, scaled};
use super::schur::Inverse;
use crate::chain::{Chain, DualVectors};

/// The most vectors that are tried.
const RANK_MOST: usize = 32;

/// Steps of subspace iteration.
const SWEEPS: usize = 3;

/// Scales the rows of each hidden block, first to last, onto the border of `⟨v − αu, v − βu⟩ ≤ 0` with `u` a row of `W_i V_{i−1}`.
///
/// A row that no scale brings there is moved towards the middle `(α + β) u / 2`. Returns `‖C V_h‖_F / ‖V_0‖_F`, 0 if that is not a number.
pub(super) fn shrink(
    weights: &[Mat<f64>],
    slopes: &[(f64, f64)],
    output: MatRef<'_, f64>,
    blocks: &mut [Mat<f64>],
    par: Par,
) -> f64 {
    for (i, weight) in weights.iter().enumerate() {
        let (lo, hi) = slopes[i];
        let arriving = product(weight.as_ref(), blocks[i].as_ref(), 1.0, par);
        let block = &mut blocks[i + 1];
        for k in 0..block.nrows() {
            let (mut uu, mut uv, mut vv) = (0.0, 0.0, 0.0);
            for c in 0..block.ncols() {
                let (u, v) = (arriving[(k, c)], block[(k, c)]);
                uu += u * u;
                uv += u * v;
                vv += v * v;
            }
            let (sum, square) = (lo + hi, lo * hi);
            let discriminant = (sum * uv).powi(2) - 4.0 * square * uu * vv;
            let scale = (sum * uv + discriminant.sqrt()) / (2.0 * vv);
            if discriminant >= 0.0 && scale > 0.0 && scale.is_finite() {
                (0..block.ncols()).for_each(|c| block[(k, c)] *= scale);
                continue;
            }
            let away = (vv - sum * uv + 0.25 * sum * sum * uu).max(0.0).sqrt();
            let part = if square <= 0.0 || away == 0.0 {
                0.0
            } else {
                (0.5 * (hi - lo) * uu.sqrt() / away).min(1.0)
            };
            let keep_middle = if square <= 0.0 && vv > 0.0 {
                0.0
            } else {
                0.5 * sum * (1.0 - part)
            };
            for c in 0..block.ncols() {
                block[(k, c)] = keep_middle * arriving[(k, c)] + part * block[(k, c)];
            }
        }
    }
    let last = blocks[blocks.len() - 1].as_ref();
    let value = product(output, last, 1.0, par).norm_l2() / blocks[0].norm_l2();
    if value.is_finite() { value } else { 0.0 }
}

/// About the lower bound of `√ρ` that the vectors show after a shrink, see [`DualVectors`]; 0 where they show none.
///
/// Scales of layers and of vectors cannot overflow.
#[must_use]
pub fn approx_dual_bound(chain: &Chain, vectors: &DualVectors) -> f64 {
    let widths = chain.widths();
    let rank = vectors.blocks.first().map_or(0, Mat::ncols);
    let fits = vectors.blocks.len() == widths.len()
        && vectors
            .blocks
            .iter()
            .zip(&widths)
            .all(|(block, n)| block.nrows() == *n && block.ncols() == rank);
    if !fits || rank == 0 {
        return 0.0;
    }
    let mut total = 0;
    let mut level = |matrix: MatRef<'_, f64>| {
        let shift = exponent(largest(matrix)).unwrap_or(0);
        total += shift;
        Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| scaled(matrix[(i, j)], -shift))
    };
    let weights: Vec<Mat<f64>> = chain.weights().iter().map(|weight| level(weight.as_ref())).collect();
    let output = level(chain.output());
    let slopes: Vec<(f64, f64)> = chain.slopes().iter().map(|slope| (slope.lo, slope.hi)).collect();
    let mut blocks: Vec<Mat<f64>> = vectors.blocks.iter().map(balanced).collect();
    scaled(shrink(&weights, &slopes, output.as_ref(), &mut blocks, Par::Seq), total)
}

/// The block times a power of two, with entries around one.
fn balanced(block: &Mat<f64>) -> Mat<f64> {
    let shift = exponent(largest(block.as_ref())).unwrap_or(0);
    Mat::from_fn(block.nrows(), block.ncols(), |i, j| scaled(block[(i, j)], -shift))
}

/// The leading vectors of `Z`: those of its last block, and `V_{i−1} = −T_iᵀ V_i`. Most important first.
pub(super) fn leading(problem: &Problem, inverse: &Inverse, par: Par) -> Option<Vec<Mat<f64>>> {
    let hidden = problem.hidden();
    let last = &inverse.diagonal[hidden];
    let n = last.nrows();
    let rank = RANK_MOST.min(n);
    // The optimum moves what the output sees: a start from the rows of C, filled up with a fixed sequence.
    let mut basis = Mat::from_fn(n, rank, |i, j| {
        if j < problem.output.nrows().min(rank / 2) {
            problem.output[(j, i)]
        } else {
            ((i * 31 + j * 17) as f64 * 0.618_033_988_749_895).fract() - 0.5 + if i % rank == j { 1.0 } else { 0.0 }
        }
    });
    for _ in 0..SWEEPS {
        basis = product(last.as_ref(), basis.as_ref(), 1.0, par);
        for j in 0..rank {
            let norm = basis.col(j).norm_l2();
            if norm > 0.0 {
                (0..n).for_each(|i| basis[(i, j)] /= norm);
            }
        }
        basis = basis.qr().compute_thin_Q();
    }
    let image = product(last.as_ref(), basis.as_ref(), 1.0, par);
    let small = product(basis.transpose(), image.as_ref(), 1.0, par);
    let decomposition = small.self_adjoint_eigen(faer::Side::Lower).ok()?;
    let values = decomposition.S().column_vector();
    let top = values[rank - 1];
    if top.is_nan() || top <= 0.0 {
        return None;
    }
    let directions = product(basis.as_ref(), decomposition.U(), 1.0, par);
    let mut blocks = vec![Mat::from_fn(n, rank, |i, j| {
        directions[(i, rank - 1 - j)] * (values[rank - 1 - j] / top).max(0.0).sqrt()
    })];
    for i in (0..hidden).rev() {
        let next = product(inverse.transfers[i].transpose(), blocks[blocks.len() - 1].as_ref(), -1.0, par);
        blocks.push(next);
    }
    blocks.reverse();
    Some(blocks)
}

/// The first `rank` vectors of each block.
pub(super) fn first(blocks: &[Mat<f64>], rank: usize) -> Vec<Mat<f64>> {
    blocks
        .iter()
        .map(|block| block.subcols(0, rank.min(block.ncols())).to_owned())
        .collect()
}
