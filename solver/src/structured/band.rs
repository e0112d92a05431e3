//! The part of the Hessian near its diagonal, factored.

use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Accum, Mat, Par};

use super::dense::cholesky;
use super::problem::Problem;

/// Blocks of layers that are at most `reach` apart, of a matrix over the multipliers and, after [`Band::factor`], of its Cholesky factor.
pub(super) struct Band {
    /// At `[i − 1][d]` the rows of layer `i + d` and the columns of layer `i`; on the diagonal the lower triangle.
    blocks: Vec<Vec<Mat<f64>>>,
    reach: usize,
}

impl Band {
    pub(super) fn zeros(problem: &Problem, reach: usize) -> Self {
        let hidden = problem.hidden();
        let widths = &problem.widths;
        let blocks = (1..=hidden)
            .map(|i| {
                (i..=(i + reach).min(hidden))
                    .map(|j| Mat::zeros(widths[j], widths[i]))
                    .collect()
            })
            .collect();
        Self { blocks, reach }
    }

    /// Takes a column from its diagonal on, as far as the band reaches.
    pub(super) fn put(&mut self, problem: &Problem, i: usize, first: usize, column: &[f64]) {
        let k = first - problem.offsets[i];
        let mut rest = column;
        for (d, block) in self.blocks[i - 1].iter_mut().enumerate() {
            let skipped = if d == 0 { k } else { 0 };
            let (own, later) = rest.split_at(block.nrows() - skipped);
            block.col_as_slice_mut(k)[skipped..].copy_from_slice(own);
            rest = later;
        }
    }

    /// Factors the band; where what is left out makes it indefinite, with blocks further from the diagonal made smaller, which cannot fail but by rounding.
    pub(super) fn factor(self, par: Par) -> Option<Self> {
        let tapered = Self {
            blocks: self
                .blocks
                .iter()
                .map(|column| {
                    let share = |d: usize| 1.0 - d as f64 / (self.reach + 1) as f64;
                    column
                        .iter()
                        .enumerate()
                        .map(|(d, block)| block * faer::Scale(share(d)))
                        .collect()
                })
                .collect(),
            reach: self.reach,
        };
        self.try_factor(par).or_else(|| tapered.try_factor(par))
    }

    fn try_factor(mut self, par: Par) -> Option<Self> {
        for i in 0..self.blocks.len() {
            let (done, later) = self.blocks.split_at_mut(i + 1);
            let (pivot, under) = done[i].split_first_mut()?;
            for k in 0..pivot.nrows() {
                pivot[(k, k)] *= 1.0 + 1e-10;
            }
            cholesky(pivot, par)?;
            for block in under.iter_mut() {
                solve_lower_triangular_in_place(pivot.as_ref(), block.transpose_mut(), par);
            }
            for (d, right) in under.iter().enumerate() {
                for (e, left) in under.iter().enumerate().skip(d) {
                    let target = later[d][e - d].as_mut();
                    matmul(target, Accum::Add, left.as_ref(), right.transpose(), -1.0, par);
                }
            }
        }
        Some(self)
    }

    /// Solves with the factored band, in place, for the multipliers.
    pub(super) fn solve(&self, problem: &Problem, vector: &mut [f64], par: Par) {
        let mut parts: Vec<Mat<f64>> = (1..=problem.hidden())
            .map(|i| Mat::from_fn(problem.widths[i], 1, |k, _| vector[problem.offsets[i] + k]))
            .collect();
        for i in 0..parts.len() {
            let (before, later) = parts.split_at_mut(i + 1);
            solve_lower_triangular_in_place(self.blocks[i][0].as_ref(), before[i].as_mut(), par);
            for (block, part) in self.blocks[i][1..].iter().zip(later) {
                matmul(part.as_mut(), Accum::Add, block.as_ref(), before[i].as_ref(), -1.0, par);
            }
        }
        for i in (0..parts.len()).rev() {
            let (before, later) = parts.split_at_mut(i + 1);
            for (block, part) in self.blocks[i][1..].iter().zip(later) {
                matmul(before[i].as_mut(), Accum::Add, block.transpose(), part.as_ref(), -1.0, par);
            }
            solve_upper_triangular_in_place(self.blocks[i][0].transpose(), before[i].as_mut(), par);
        }
        for (i, part) in parts.iter().enumerate() {
            (0..part.nrows()).for_each(|k| vector[problem.offsets[i + 1] + k] = part[(k, 0)]);
        }
    }
}
