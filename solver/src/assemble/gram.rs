//! The common condition `WᵀW ⪯ diag(t)` with `t` unknown.
//!
//! # Source
//!
//! Araujo et al., *A unified algebraic perspective on Lipschitz neural networks*, ICLR 2023, Theorem 1 (`T` there, `diag(t)` here).

use nalgebra::DMatrix;

use crate::error::SolveError;
use crate::problem::{Pencil, SdpProblem};

/// What is minimised.
#[derive(Clone, Debug, PartialEq)]
pub enum Objective {
    /// `Σ_i t_i`.
    Trace,
    /// `Σ_i c_i t_i`, all `c_i > 0`.
    Weighted(Vec<f64>),
    /// `max_i t_i`. Its optimum is `‖W‖²` with all `t_i` equal, for which no solver is needed; offered for comparison.
    Largest,
}

/// The problem for one weight, scaled: `t_i` in units of the row sums `Σ_j |WᵀW|_ij` of AOL, which satisfy the condition; so every optimum is at most 1.
#[derive(Clone, Debug)]
pub struct GramProblem {
    problem: SdpProblem,
    units: Vec<f64>,
    objective_unit: f64,
}

impl GramProblem {
    /// Builds the problem. `weight` is `W`, `(m, n)`, and `t` has `n` entries; a zero column of `W` gets `t_i` about 0.
    ///
    /// # Errors
    ///
    /// - [`SolveError::Shape`] if `W` has no column, or there is not one coefficient a column.
    /// - [`SolveError::NotFinite`] if `WᵀW` has an entry that is not, or a coefficient is not a positive number.
    pub fn new(weight: &DMatrix<f64>, objective: &Objective) -> Result<Self, SolveError> {
        let gram = weight.tr_mul(weight);
        let n = gram.ncols();
        let coefficients = match objective {
            Objective::Trace | Objective::Largest => vec![1.0; n],
            Objective::Weighted(coefficients) => coefficients.clone(),
        };
        if coefficients.len() != n || n == 0 {
            return Err(SolveError::Shape {
                what: "coefficients",
                expected: vec![n.max(1)],
                found: vec![coefficients.len()],
            });
        }
        if let Some(index) = coefficients.iter().position(|value| *value <= 0.0 || !value.is_finite()) {
            return Err(SolveError::NotFinite {
                what: "coefficients",
                index: vec![index],
            });
        }
        let sums: Vec<f64> = gram.row_iter().map(|row| row.iter().map(|entry| entry.abs()).sum()).collect();
        if let Some(index) = sums.iter().position(|sum: &f64| !sum.is_finite()) {
            return Err(SolveError::NotFinite {
                what: "weight",
                index: vec![index],
            });
        }
        let largest = super::positive_or_one(sums.iter().copied().fold(0.0, f64::max));
        let units: Vec<f64> = match objective {
            Objective::Largest => vec![largest; n],
            Objective::Trace | Objective::Weighted(_) => sums.iter().map(|sum| if *sum > 0.0 { *sum } else { largest }).collect(),
        };
        let mut pencil = Pencil::new(n);
        for i in 0..n {
            let variable = if *objective == Objective::Largest { 0 } else { i };
            pencil.add(variable, i, i, 1.0);
        }
        let scaled = DMatrix::from_fn(n, n, |i, j| -gram[(i, j)] / (units[i] * units[j]).sqrt());
        pencil.add_constant_symmetric(0, &scaled);
        let (costs, objective_unit) = if *objective == Objective::Largest {
            (vec![1.0], largest)
        } else {
            let costs: Vec<f64> = coefficients.iter().zip(&units).map(|(c, unit)| c * unit).collect();
            let total = costs.iter().sum::<f64>();
            (costs.iter().map(|cost| cost / total).collect(), total)
        };
        Ok(Self {
            problem: SdpProblem::new(costs, Vec::new(), vec![pencil])?,
            units,
            objective_unit,
        })
    }

    /// The scaled problem.
    #[must_use]
    pub const fn problem(&self) -> &SdpProblem {
        &self.problem
    }

    /// `t` in the units of the weight. `inward` is added to every scaled variable: the row sums dominate, so that it leads inward.
    ///
    /// # Panics
    ///
    /// If `x` is empty.
    #[must_use]
    pub fn read(&self, x: &[f64], inward: f64) -> Vec<f64> {
        let value = |i: usize| x[i.min(x.len() - 1)];
        self.units
            .iter()
            .enumerate()
            .map(|(i, unit)| unit * (value(i) + inward))
            .collect()
    }

    /// The objective in the units of the weight, from the scaled one.
    #[must_use]
    pub fn read_objective(&self, scaled: f64) -> f64 {
        self.objective_unit * scaled
    }
}
