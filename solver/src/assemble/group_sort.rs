//! Feed-forward networks whose activation sorts within groups (GroupSort; MaxMin for groups of two).
//!
//! Sorting is 1-Lipschitz and keeps the sum of a group, so that each group has a multiplier `λ I + γ 1 1ᵀ`, `λ ≥ 0` and `γ` free. With `T_i` the block diagonal matrix of
//! a layer, `x ↦ C σ(W_h … σ(W_1 x + b_1) …)` is `√ρ`-Lipschitz if
//!
//! ```text
//! ρ I − W_1ᵀ T_1 W_1 ⪰ 0,   T_i − W_{i+1}ᵀ T_{i+1} W_{i+1} ⪰ 0,   T_h − CᵀC ⪰ 0
//! ```
//!
//! # Source
//!
//! Pauli et al., *Novel quadratic constraints for extending LipSDP beyond slope-restricted activations*, ICLR 2024 (`T` there, with `P = S = 0`).

use faer::{Mat, MatRef};
use nalgebra::DMatrix;

use super::approx_norm;
use crate::chain::{Chain, Slope};
use crate::convert::to_nalgebra;
use crate::error::SolveError;
use crate::problem::{Pencil, SdpProblem};

/// Multipliers and the bound that belongs to them, as floats have it.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupCandidate {
    /// `√ρ`.
    pub lipschitz: f64,
    /// `λ` of each group, one vector a hidden layer.
    pub identity: Vec<Vec<f64>>,
    /// `γ` of each group, one vector a hidden layer.
    pub sum: Vec<Vec<f64>>,
}

/// The problem `min ρ`, scaled by the product of the norms, so that its optimum is at most 1.
#[derive(Clone, Debug)]
pub struct GroupSortProblem {
    problem: SdpProblem,
    /// Number of groups of each hidden layer.
    groups: Vec<usize>,
    /// Products of the norms of the layers `1 … i`.
    units: Vec<f64>,
    /// `ρ_0`.
    square: f64,
}

impl GroupSortProblem {
    /// Builds the problem; the groups are `group` neighbouring neurons. An input wider than the first layer is reduced to the span of its rows.
    ///
    /// # Shapes
    ///
    /// `weights[i]` is `(n_{i+1}, n_i)` and `output` `(m, n_h)`, as for [`Chain::new`]; at least one hidden layer.
    ///
    /// # Errors
    ///
    /// - [`SolveError::Shape`] if the sizes do not fit, there is no hidden layer, or a layer is no whole number of groups.
    /// - [`SolveError::NotFinite`] if an entry is NaN or infinite, or a product overflows.
    pub fn new(weights: &[Mat<f64>], output: MatRef<'_, f64>, group: usize) -> Result<Self, SolveError> {
        // The sizes and entries of a chain are checked there; slopes play no part.
        let chain = Chain::new(weights.to_vec(), vec![Slope::UNIT; weights.len()], output.to_owned())?;
        for width in chain.widths().into_iter().skip(1).chain(weights.is_empty().then_some(0)) {
            if group == 0 || width == 0 || width % group != 0 {
                return Err(SolveError::Shape {
                    what: "groups",
                    expected: vec![group],
                    found: vec![width],
                });
            }
        }
        let mut layers: Vec<DMatrix<f64>> = weights.iter().map(|weight| to_nalgebra(weight.as_ref())).collect();
        if layers[0].nrows() < layers[0].ncols() {
            layers[0] = layers[0].transpose().qr().r().transpose();
        }
        let mut units = Vec::with_capacity(layers.len());
        let mut unit = 1.0;
        for layer in &mut layers {
            let norm = approx_norm(layer);
            *layer /= norm;
            unit *= norm;
            units.push(unit);
        }
        let output = to_nalgebra(output);
        let norm = approx_norm(&output);
        let groups: Vec<usize> = layers.iter().map(|layer| layer.nrows() / group).collect();
        Ok(Self {
            problem: pencils(&layers, &(output / norm), group)?,
            groups,
            units,
            square: (unit * norm).powi(2),
        })
    }

    /// The scaled problem: variable 0 is `ρ`, then `λ` and `γ` of each group in turn.
    #[must_use]
    pub const fn problem(&self) -> &SdpProblem {
        &self.problem
    }

    /// The multipliers and the bound in the units of the network.
    ///
    /// # Panics
    ///
    /// If `x` has another length than the objective.
    #[must_use]
    pub fn read(&self, x: &[f64]) -> GroupCandidate {
        assert_eq!(x.len(), self.problem.objective().len(), "one number a variable");
        let mut pairs = x[1..].chunks_exact(2);
        let (mut identity, mut sum) = (Vec::new(), Vec::new());
        for (groups, unit) in self.groups.iter().zip(&self.units) {
            let factor = self.square / (unit * unit);
            let layer: Vec<&[f64]> = pairs.by_ref().take(*groups).collect();
            identity.push(layer.iter().map(|pair| pair[0].max(0.0) * factor).collect());
            sum.push(layer.iter().map(|pair| pair[1] * factor).collect());
        }
        GroupCandidate {
            lipschitz: (self.square * x[0].max(0.0)).sqrt(),
            identity,
            sum,
        }
    }
}

/// The inequalities of scaled layers.
fn pencils(layers: &[DMatrix<f64>], output: &DMatrix<f64>, group: usize) -> Result<SdpProblem, SolveError> {
    let mut first = Pencil::new(layers[0].ncols());
    for i in 0..first.size() {
        first.add(0, i, i, 1.0);
    }
    let mut pencils = vec![first];
    let (mut variable, mut nonnegative) = (1, Vec::new());
    for layer in layers {
        let mut next = Pencil::new(layer.nrows());
        let before = pencils.last_mut().expect("the first is there");
        for start in (0..layer.nrows()).step_by(group) {
            let (identity, sum) = (variable, variable + 1);
            nonnegative.push(identity);
            let rows = layer.rows(start, group);
            let total = rows.row_sum();
            before.add_symmetric(identity, 0, &(-rows.tr_mul(&rows)));
            before.add_symmetric(sum, 0, &(-total.tr_mul(&total)));
            for i in start..start + group {
                next.add(identity, i, i, 1.0);
                for j in start..=i {
                    next.add(sum, j, i, 1.0);
                }
            }
            variable += 2;
        }
        pencils.push(next);
    }
    let last = pencils.last_mut().expect("the first is there");
    last.add_constant_symmetric(0, &(-output.tr_mul(output)));
    let mut objective = vec![0.0; variable];
    objective[0] = 1.0;
    SdpProblem::new(objective, nonnegative, pencils)
}
