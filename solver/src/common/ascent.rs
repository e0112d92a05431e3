//! The dual at low rank, climbed row by row.

use faer::linalg::matmul::matmul;
use faer::prelude::ReborrowMut;
use faer::{Accum, Mat, MatRef, Par, Side};

use super::scaled::Scaled;
use crate::chain::Watch;
use crate::random::Random;

/// Rows that share one matrix product.
const BLOCK: usize = 64;

/// `V` of the scaled problem, transposed: column `i` holds `v_i`, of length `√c_i`.
pub(super) struct Ascent<'a> {
    problem: &'a Scaled,
    vectors: Mat<f64>,
    product: Mat<f64>,
    value: f64,
    sweeps: usize,
    par: Par,
}

impl<'a> Ascent<'a> {
    /// A random start with as many columns as no local optimum survives.
    pub(super) fn new(problem: &'a Scaled, par: Par) -> Self {
        let n = problem.len();
        let rank = ((2.0 * n as f64).sqrt().ceil() as usize + 1).min(n);
        let mut random = Random::new(1);
        let mut vectors = Mat::zeros(rank, n);
        for i in 0..n {
            for k in 0..rank {
                vectors[(k, i)] = random.normal();
            }
        }
        let mut ascent = Self {
            problem,
            vectors,
            product: Mat::zeros(rank, BLOCK.min(n)),
            value: 0.0,
            sweeps: 0,
            par,
        };
        ascent.normalize();
        ascent.value = ascent.evaluate(ascent.vectors.as_ref());
        ascent
    }

    pub(super) const fn value(&self) -> f64 {
        self.value
    }

    pub(super) const fn sweeps(&self) -> usize {
        self.sweeps
    }

    pub(super) fn vectors(&self) -> MatRef<'_, f64> {
        self.vectors.as_ref()
    }

    /// Sweeps until there have been `target` in all, or one gains less than the part `least`; says whether the latter.
    pub(super) fn climb(&mut self, target: usize, least: f64, watch: &dyn Watch) -> bool {
        while self.sweeps < target && !watch.stop() {
            self.sweeps += 1;
            let gain = self.sweep();
            self.value += gain;
            if gain.is_nan() || gain <= least * self.value {
                self.value = self.evaluate(self.vectors.as_ref());
                return true;
            }
        }
        self.value = self.evaluate(self.vectors.as_ref());
        false
    }

    /// Each row to its optimum given the others; returns what the objective gained.
    fn sweep(&mut self) -> f64 {
        let (gram, weights) = (self.problem.gram(), self.problem.weights());
        let n = weights.len();
        let mut gain = 0.0;
        let mut step = vec![0.0; self.vectors.nrows()];
        for start in (0..n).step_by(BLOCK) {
            let width = BLOCK.min(n - start);
            let mut product = self.product.as_mut().subcols_mut(0, width);
            matmul(
                product.rb_mut(),
                Accum::Replace,
                self.vectors.as_ref(),
                gram.subcols(start, width),
                1.0,
                self.par,
            );
            for column in 0..width {
                let i = start + column;
                let pull = slice_mut(product.rb_mut(), column);
                let own = slice_mut(self.vectors.as_mut(), i);
                let (mut square, mut inner) = (0.0, 0.0);
                for (pull, own) in pull.iter_mut().zip(&*own) {
                    *pull -= gram[(i, i)] * own;
                    square += *pull * *pull;
                    inner += *pull * own;
                }
                let length = square.sqrt();
                // Orthogonal to all others: nothing to gain.
                if length.is_nan() || length < f64::MIN_POSITIVE {
                    continue;
                }
                let radius = weights[i].sqrt();
                gain += 2.0 * (length * radius - inner);
                for ((step, pull), own) in step.iter_mut().zip(&*pull).zip(own.iter_mut()) {
                    let new = pull / length * radius;
                    *step = new - *own;
                    *own = new;
                }
                for later in column + 1..width {
                    let coupling = gram[(start + later, i)];
                    let pull = slice_mut(product.rb_mut(), later);
                    pull.iter_mut().zip(&step).for_each(|(pull, step)| *pull += coupling * step);
                }
            }
        }
        gain
    }

    /// `t_i = ‖(G V)_i‖ / √c_i` with the own part `G_ii` kept apart: feasible at the optimum, nearly so nearby.
    pub(super) fn scale(&self) -> Vec<f64> {
        let (gram, weights) = (self.problem.gram(), self.problem.weights());
        let product = self.multiplied(self.vectors.as_ref());
        let scale = |i: usize| {
            let rest = product.col(i) - faer::Scale(gram[(i, i)]) * self.vectors.col(i);
            gram[(i, i)] + rest.norm_l2() / weights[i].sqrt()
        };
        (0..weights.len()).map(scale).collect()
    }

    /// Takes another start (transposed, any row lengths) if some sweeps from it lead higher.
    pub(super) fn improve_with(&mut self, vectors: Mat<f64>) {
        let (before, value) = (std::mem::replace(&mut self.vectors, vectors), self.value);
        let product = std::mem::replace(
            &mut self.product,
            Mat::zeros(self.vectors.nrows(), BLOCK.min(self.problem.len())),
        );
        self.normalize();
        for _ in 0..10 {
            self.sweep();
        }
        self.sweeps += 10;
        self.value = self.evaluate(self.vectors.as_ref());
        let higher = self.value > value;
        if !higher {
            (self.vectors, self.product, self.value) = (before, product, value);
        }
    }

    /// Turns the columns of `V` to their principal axes and drops the last ones, as long as no more than the part `loss` of the value goes.
    pub(super) fn trim(&mut self, loss: f64) {
        let rank = self.vectors.nrows();
        let Ok(eigen) = (self.vectors.as_ref() * self.vectors.transpose()).self_adjoint_eigen(Side::Lower) else {
            return;
        };
        let turned = eigen.U().transpose() * &self.vectors;
        let cut = |count: usize| {
            let mut vectors = turned.subrows(rank - count, count).to_owned();
            normalize(&mut vectors, self.problem.weights());
            let value = self.evaluate(vectors.as_ref());
            (vectors, value)
        };
        let (mut too_few, mut enough) = (0, rank);
        let mut best = None;
        while enough - too_few > 1 {
            let middle = usize::midpoint(too_few, enough);
            let (vectors, value) = cut(middle);
            if value >= self.value * (1.0 - loss) {
                enough = middle;
                best = Some((vectors, value));
            } else {
                too_few = middle;
            }
        }
        if let Some((vectors, value)) = best {
            self.product = Mat::zeros(vectors.nrows(), BLOCK.min(self.problem.len()));
            (self.vectors, self.value) = (vectors, value);
            // What was lost is mostly won back.
            let before = self.vectors.clone();
            for _ in 0..10 {
                self.sweep();
            }
            let polished = self.evaluate(self.vectors.as_ref());
            if polished > self.value {
                self.value = polished;
            } else {
                self.vectors = before;
            }
        }
    }

    fn normalize(&mut self) {
        normalize(&mut self.vectors, self.problem.weights());
    }

    fn multiplied(&self, vectors: MatRef<'_, f64>) -> Mat<f64> {
        let mut product = Mat::zeros(vectors.nrows(), vectors.ncols());
        matmul(product.as_mut(), Accum::Replace, vectors, self.problem.gram(), 1.0, self.par);
        product
    }

    fn evaluate(&self, vectors: MatRef<'_, f64>) -> f64 {
        let product = self.multiplied(vectors);
        (0..vectors.ncols())
            .map(|i| product.col(i).transpose() * vectors.col(i))
            .sum()
    }
}

/// Gives each column its length `√c_i`; a zero column becomes an axis.
fn normalize(vectors: &mut Mat<f64>, weights: &[f64]) {
    for (i, weight) in weights.iter().enumerate() {
        let length = vectors.col(i).norm_l2();
        let column = slice_mut(vectors.as_mut(), i);
        if length > 0.0 {
            column.iter_mut().for_each(|v| *v = *v / length * weight.sqrt());
        } else {
            column[0] = weight.sqrt();
        }
    }
}

/// A column of a matrix whose columns are contiguous.
fn slice_mut(matrix: faer::MatMut<'_, f64>, column: usize) -> &mut [f64] {
    let column = matrix
        .col_mut(column)
        .try_as_col_major_mut()
        .expect("columns of an owned matrix");
    column.as_slice_mut()
}
