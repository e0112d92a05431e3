//! The problem with all unknowns near one.

use faer::{Mat, MatRef};

use crate::error::SolveError;

/// Weights below the largest by this factor are raised to it; a change of the objective far below rounding.
const SMALLEST_WEIGHT: f64 = 1e-30;

/// `diag(t') ⪰ G'` with `G' = S^{-1/2} G S^{-1/2}`, `t = S t'`, `c' = S c / unit`; `S` and the unit are powers of two, so nothing is rounded.
///
/// `S` is near `t_i = Σ_j |G_ij| √(c_j / c_i)`, the best point that diagonal dominance proves; the optimum `t'` therefore lies below about 1.
#[derive(Debug)]
pub(super) struct Scaled {
    gram: Mat<f64>,
    weights: Vec<f64>,
    kept: Vec<usize>,
    roots: Vec<f64>,
    unit: f64,
    all: usize,
}

impl Scaled {
    pub(super) fn new(gram: MatRef<'_, f64>, weights: &[f64]) -> Result<Self, SolveError> {
        check(gram, weights)?;
        let all = gram.nrows();
        let kept: Vec<usize> = (0..all).filter(|i| gram[(*i, *i)] > 0.0).collect();
        let entry = |i: usize, j: usize| gram[(i.max(j), i.min(j))];
        let roots: Vec<f64> = kept
            .iter()
            .map(|&i| {
                let weighted = |&j: &usize| entry(i, j).abs() * (weights[j] / weights[i]).sqrt();
                let sum = kept.iter().map(weighted).sum::<f64>();
                // A weight ratio beyond all floats: the diagonal still is a sensible size.
                let size = if sum.is_finite() { sum } else { entry(i, i) };
                power_of_two(size.sqrt())
            })
            .collect();
        let scaled: Vec<f64> = kept.iter().zip(&roots).map(|(&i, root)| weights[i] * root * root).collect();
        let largest = scaled.iter().copied().fold(0.0, f64::max);
        if !largest.is_finite() {
            return Err(SolveError::NoCandidate {
                method: "the common condition",
            });
        }
        let unit = if largest > 0.0 { power_of_two(largest) } else { 1.0 };
        Ok(Self {
            gram: Mat::from_fn(kept.len(), kept.len(), |i, j| entry(kept[i], kept[j]) / roots[i] / roots[j]),
            weights: scaled.iter().map(|c| (c / unit).max(SMALLEST_WEIGHT)).collect(),
            kept,
            roots,
            unit,
            all,
        })
    }

    /// Number of columns that are not zero.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// `G'`, both triangles.
    pub(super) fn gram(&self) -> MatRef<'_, f64> {
        self.gram.as_ref()
    }

    /// `c'`.
    pub(super) fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// What a scaled objective is to be multiplied with.
    pub(super) const fn unit(&self) -> f64 {
        self.unit
    }

    pub(super) fn objective(&self, scale: &[f64]) -> f64 {
        scale.iter().zip(&self.weights).map(|(t, c)| t * c).sum()
    }

    /// `t` of `t'`.
    pub(super) fn unscale(&self, scale: &[f64]) -> Vec<f64> {
        let mut original = vec![0.0; self.all];
        for ((&i, root), t) in self.kept.iter().zip(&self.roots).zip(scale) {
            original[i] = t * root * root;
        }
        original
    }

    /// `V` of the transposed scaled vectors, its rows of the lengths that `weights` ask for.
    pub(super) fn unscale_dual(&self, vectors: MatRef<'_, f64>, weights: &[f64]) -> Mat<f64> {
        let mut dual = Mat::zeros(self.all, vectors.nrows());
        for (column, &i) in self.kept.iter().enumerate() {
            let length = vectors.col(column).norm_l2();
            if length > 0.0 {
                for k in 0..vectors.nrows() {
                    dual[(i, k)] = vectors[(k, column)] / length * weights[i].sqrt();
                }
            }
        }
        dual
    }
}

/// The power of two just below a positive number.
pub(crate) fn power_of_two(value: f64) -> f64 {
    2.0_f64.powf(value.log2().floor().clamp(-1000.0, 1000.0))
}

/// Whether `gram` and `weights` are a problem at all.
pub(super) fn check(gram: MatRef<'_, f64>, weights: &[f64]) -> Result<(), SolveError> {
    let n = gram.nrows();
    if n == 0 || gram.ncols() != n {
        return Err(SolveError::Shape {
            what: "gram",
            expected: vec![n.max(1), n.max(1)],
            found: vec![n, gram.ncols()],
        });
    }
    if weights.len() != n {
        return Err(SolveError::Shape {
            what: "weights",
            expected: vec![n],
            found: vec![weights.len()],
        });
    }
    if let Some(i) = weights.iter().position(|c| !(c.is_finite() && *c > 0.0)) {
        return Err(SolveError::NotFinite {
            what: "weights",
            index: vec![i],
        });
    }
    for j in 0..n {
        for i in j..n {
            let entry = gram[(i, j)];
            if !entry.is_finite() {
                return Err(SolveError::NotFinite {
                    what: "gram",
                    index: vec![i, j],
                });
            }
            let bare = gram[(i, i)] <= 0.0 || gram[(j, j)] <= 0.0;
            if bare && entry != 0.0 {
                return Err(SolveError::NotSemidefinite {
                    what: "gram",
                    row: i,
                    col: j,
                });
            }
        }
    }
    Ok(())
}
