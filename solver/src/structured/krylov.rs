//! Newton systems without the Hessian: conjugate gradients with two preconditioners.
//!
//! The part of the Hessian near its diagonal knows about neighbours. What it does not see are steps that scale whole layers: for these, one a layer, the
//! Hessian is summed up and inverted exactly.
//!
//! # Source
//!
//! Tang, Nabben, Vuik and Erlangga, *Comparison of two-level preconditioners derived from deflation, domain decomposition and multigrid methods*, Journal of
//! Scientific Computing 2009 (the variant A-DEF2).

use faer::{Mat, Par};

use super::band::Band;
use super::hessian::columns;
use super::problem::Problem;
use super::product;
use super::schur::Inverse;
use super::step::{Curvature, Solve, dot};

/// About this many neurons later the band ends.
const BAND_NEURONS: usize = 120;

/// The energy of the error of a solution, relative to its own.
const ENERGY: f64 = 0.01;

/// The same where the centre decides how good the dual is.
const ENERGY_FINE: f64 = 1e-6;

/// The most steps of conjugate gradients.
const STEPS_MOST: usize = 100;

/// The Hessian at a point, as products with vectors.
pub(super) struct Implicit<'a> {
    problem: &'a Problem,
    x: &'a [f64],
    inverse: Inverse,
    band: Band,
    /// The Hessian times the multipliers of one layer, and 0 elsewhere, a column a layer; first that of `ρ`.
    images: Mat<f64>,
    /// The same again times the multipliers of one layer.
    coarse: Curvature,
    /// The layer of each variable.
    layers: Vec<usize>,
    energy: f64,
}

impl<'a> Implicit<'a> {
    /// For one multiplier a neuron, in `O(n N²)` with memory for `h` vectors besides the band; nothing if rounding makes the Hessian indefinite.
    pub(super) fn new(problem: &'a Problem, x: &'a [f64], inverse: Inverse, fine: bool, par: Par) -> Option<Self> {
        let hidden = problem.hidden();
        let layers = problem.layers();
        let widest = problem.widths[1..].iter().copied().max().unwrap_or(1);
        let reach = (BAND_NEURONS / widest).clamp(1, hidden.max(1));
        let mut band = Band::zeros(problem, reach);
        let mut images = Mat::zeros(x.len(), hidden + 1);
        columns(problem, x, &inverse, hidden, par, &mut |i, first, column| {
            if i > 0 {
                band.put(problem, i, first, column);
            }
            images[(first, i)] += x[first] * column[0];
            for (value, row) in column[1..].iter().zip(first + 1..) {
                images[(row, i)] += x[first] * value;
                images[(first, layers[row])] += x[row] * value;
            }
        });
        let mut small = Mat::zeros(hidden + 1, hidden + 1);
        for i in 0..=hidden {
            for (row, layer) in layers.iter().enumerate() {
                small[(*layer, i)] += x[row] * images[(row, i)];
            }
        }
        Some(Self {
            problem,
            x,
            inverse,
            band: band.factor(par)?,
            images,
            coarse: Curvature::factor(small, par)?,
            layers,
            energy: if fine { ENERGY_FINE } else { ENERGY },
        })
    }

    /// The step that scales layers and is best for a right-hand side less `images · vector`.
    fn scales(&self, rhs: &[f64], vector: Option<&[f64]>, par: Par) -> Vec<f64> {
        let mut sums = vec![0.0; self.images.ncols()];
        for ((layer, value), scale) in self.layers.iter().zip(rhs).zip(self.x) {
            sums[*layer] += scale * value;
        }
        if let Some(vector) = vector {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum -= dot(self.images.col_as_slice(i), vector);
            }
        }
        let steps = self.coarse.solve(&sums, par);
        self.layers
            .iter()
            .zip(self.x)
            .map(|(layer, scale)| scale * steps[*layer])
            .collect()
    }

    fn precondition(&self, residual: &[f64], par: Par) -> Vec<f64> {
        let mut near = residual.to_vec();
        near[0] = 0.0;
        self.band.solve(self.problem, &mut near, par);
        let far = self.scales(residual, Some(&near), par);
        near.iter().zip(&far).map(|(a, b)| a + b).collect()
    }
}

impl Solve for Implicit<'_> {
    fn solve(&self, vector: &[f64], par: Par) -> Vec<f64> {
        let times = |v: &[f64]| product::hessian(self.problem, self.x, &self.inverse, v, par);
        let mut result = self.scales(vector, None, par);
        let mut residual: Vec<f64> = vector.iter().zip(times(&result)).map(|(a, b)| a - b).collect();
        let mut along: Vec<f64> = Vec::new();
        let mut before = 0.0;
        for step in 0..STEPS_MOST {
            let improved = self.precondition(&residual, par);
            let energy = dot(&residual, &improved);
            if energy.is_nan() || energy <= self.energy * dot(vector, &result) {
                break;
            }
            let share = if step == 0 { 0.0 } else { energy / before };
            before = energy;
            along = if step == 0 {
                improved
            } else {
                improved.iter().zip(&along).map(|(a, b)| a + share * b).collect()
            };
            let image = times(&along);
            let curvature = dot(&along, &image);
            if curvature.is_nan() || curvature <= 0.0 {
                break;
            }
            let length = energy / curvature;
            for k in 0..result.len() {
                result[k] += length * along[k];
                residual[k] -= length * image[k];
            }
        }
        result
    }
}
