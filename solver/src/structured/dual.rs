//! Low-rank points of the dual.

use faer::{Mat, MatRef, Par};

use super::dense::product;
use super::problem::{Problem, exponent, largest, scaled};
use super::schur::{Factor, solve};
use crate::chain::{Chain, DualVectors};

/// The most vectors that are tried.
const RANK_MOST: usize = 32;

/// Steps of subspace iteration.
const SWEEPS: usize = 3;

/// Scales the rows of each hidden block, first to last, until `⟨v − αu, v − βu⟩ ≤ 0` with `u` the same row of `W_i V_{i−1}`.
///
/// Where `α β ≤ 0` a row goes to the border, otherwise only as far as it must; one that no scale brings there moves towards `(α + β) u / 2`. Returns `‖C V_h‖_F / ‖V_0‖_F`, 0 if that is not a number.
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
            let root = |sign: f64| (sum * uv + sign * discriminant.sqrt()) / (2.0 * vv);
            // Without a linear part no scale is too small, and the largest is the border whatever the scale of the block.
            let scale = if square <= 0.0 {
                root(1.0).max(0.0)
            } else {
                1.0f64.max(root(-1.0)).min(root(1.0))
            };
            if discriminant >= 0.0 && scale.is_finite() {
                (0..block.ncols()).for_each(|c| block[(k, c)] *= scale);
                continue;
            }
            // Rows with no scale inside the ball around its middle move towards that.
            let away = (vv - sum * uv + 0.25 * sum * sum * uu).max(0.0).sqrt();
            let part = if away > 0.0 {
                (0.5 * (hi - lo) * uu.sqrt() / away).min(1.0)
            } else {
                0.0
            };
            for c in 0..block.ncols() {
                block[(k, c)] = 0.5 * sum * (1.0 - part) * arriving[(k, c)] + part * block[(k, c)];
            }
        }
    }
    let last = blocks[blocks.len() - 1].as_ref();
    let value = product(output, last, 1.0, par).norm_l2() / blocks[0].norm_l2();
    if value.is_finite() { value } else { 0.0 }
}

/// About the lower bound of `√ρ` that the vectors show after a shrink, see [`DualVectors`]; 0 where they show none.
///
/// Where `α β > 0` the scale of a block counts, elsewhere it does not. Scales of layers and of vectors cannot overflow.
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
    let level =
        |matrix: MatRef<'_, f64>, shift: i32| Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| scaled(matrix[(i, j)], -shift));
    let own = |matrix: MatRef<'_, f64>| exponent(largest(matrix)).unwrap_or(0);
    let slopes: Vec<(f64, f64)> = chain.slopes().iter().map(|slope| (slope.lo, slope.hi)).collect();
    let mut shift = own(vectors.blocks[0].as_ref());
    let mut blocks = vec![level(vectors.blocks[0].as_ref(), shift)];
    let (mut weights, mut total) = (Vec::new(), 0);
    for (i, weight) in chain.weights().iter().enumerate() {
        let of_weight = own(weight.as_ref());
        weights.push(level(weight.as_ref(), of_weight));
        (total, shift) = (total + of_weight, shift + of_weight);
        let block = vectors.blocks[i + 1].as_ref();
        let free = slopes[i].0 * slopes[i].1 <= 0.0;
        blocks.push(level(block, if free { own(block) } else { shift }));
    }
    let of_output = own(chain.output());
    let output = level(chain.output(), of_output);
    scaled(
        shrink(&weights, &slopes, output.as_ref(), &mut blocks, Par::Seq),
        total + of_output,
    )
}

/// The leading vectors of `Z = P⁻¹`, each block in the scale of its own diagonal of `P`; most important first.
pub(super) struct Leading {
    /// Orthonormal columns in that scale, all blocks one below the other.
    basis: Mat<f64>,
    /// Where blocks start.
    offsets: Vec<usize>,
}

impl Leading {
    /// Starts with what the output sees, filled up with a fixed sequence.
    pub(super) fn new(problem: &Problem) -> Self {
        let mut offsets = vec![0];
        for width in &problem.widths {
            offsets.push(offsets[offsets.len() - 1] + width);
        }
        let total = offsets[offsets.len() - 1];
        let rank = RANK_MOST.min(total);
        let last = offsets[offsets.len() - 2];
        let basis = Mat::from_fn(total, rank, |i, j| {
            let seen = if i >= last && j < problem.output.nrows() {
                problem.output[(j, i - last)]
            } else {
                0.0
            };
            seen + 0.1 * (((i * 31 + j * 17 + i * j) as f64 * 0.618_033_988_749_895).fract() - 0.5)
        });
        Self { basis, offsets }
    }

    /// Some steps of subspace iteration at `x`, from where the last call ended; the blocks of the vectors.
    pub(super) fn refine(&mut self, problem: &Problem, x: &[f64], factor: &Factor, par: Par) -> Option<Vec<Mat<f64>>> {
        let (total, rank) = (self.basis.nrows(), self.basis.ncols());
        let mut scales = vec![x[0].sqrt(); problem.widths[0]];
        for i in 1..=problem.hidden() {
            scales.extend(problem.multipliers(x, i).iter().map(|value| (2.0 * value).sqrt()));
        }
        let apply = |basis: &Mat<f64>| -> Mat<f64> {
            let mut blocks = self.split(basis, |row| scales[row]);
            solve(problem, x, factor, &mut blocks, par);
            let mut image = Mat::zeros(total, rank);
            for (block, window) in blocks.iter().zip(self.offsets.windows(2)) {
                for j in 0..rank {
                    for i in window[0]..window[1] {
                        image[(i, j)] = block[(i - window[0], j)] * scales[i];
                    }
                }
            }
            image
        };
        let mut basis = self.basis.clone();
        for _ in 0..SWEEPS {
            basis = apply(&basis);
            for j in 0..rank {
                let norm = basis.col(j).norm_max();
                if norm > 0.0 {
                    (0..total).for_each(|i| basis[(i, j)] /= norm);
                }
            }
            basis = basis.qr().compute_thin_Q();
        }
        let small = product(basis.transpose(), apply(&basis).as_ref(), 1.0, par);
        let decomposition = small.self_adjoint_eigen(faer::Side::Lower).ok()?;
        let values = decomposition.S().column_vector();
        let top = values[rank - 1];
        if !top.is_finite() || top <= 0.0 {
            return None;
        }
        let directions = product(basis.as_ref(), decomposition.U(), 1.0, par);
        self.basis = Mat::from_fn(total, rank, |i, j| directions[(i, rank - 1 - j)]);
        let weighted = Mat::from_fn(total, rank, |i, j| {
            self.basis[(i, j)] * (values[rank - 1 - j] / top).max(0.0).sqrt()
        });
        Some(self.split(&weighted, |row| scales[row].recip()))
    }

    /// The blocks of a tall matrix with scaled rows.
    fn split(&self, tall: &Mat<f64>, scale: impl Fn(usize) -> f64) -> Vec<Mat<f64>> {
        self.offsets
            .windows(2)
            .map(|window| {
                Mat::from_fn(window[1] - window[0], tall.ncols(), |i, j| {
                    tall[(window[0] + i, j)] * scale(window[0] + i)
                })
            })
            .collect()
    }
}

/// The first `rank` vectors of each block.
pub(super) fn first(blocks: &[Mat<f64>], rank: usize) -> Vec<Mat<f64>> {
    blocks
        .iter()
        .map(|block| block.subcols(0, rank.min(block.ncols())).to_owned())
        .collect()
}
