//! Networks defined by an equilibrium, `z = σ(W z + U x + b)`, `y = G z`, slopes in `[0, 1]`.
//!
//! The equilibrium exists, is unique, and `x ↦ y` is `γ`-Lipschitz if a diagonal `Λ > 0` satisfies `2Λ − ΛW − WᵀΛ ⪰ (GᵀG + Λ U Uᵀ Λ) / γ`. By two
//! Schur complements that is linear in `Λ` and `γ`:
//!
//! ```text
//! [ 2Λ − ΛW − WᵀΛ   Gᵀ     ΛU  ]
//! [ G               γ I    0   ]  ⪰ 0
//! [ UᵀΛ             0      γ I ]
//! ```
//!
//! # Source
//!
//! Revay et al., *Lipschitz bounded equilibrium networks*, 2020, Theorem 1; Havens et al., *Exploiting connections between Lipschitz structures for certifiably
//! robust deep equilibrium models*, NeurIPS 2023.

use nalgebra::DMatrix;

use super::approx_norm;
use crate::chain::Candidate;
use crate::error::SolveError;
use crate::problem::{Pencil, SdpProblem};

/// The problem `min γ`, scaled: `γ` in units of `‖G‖ ‖U‖` and `Λ` in units of `‖G‖ / ‖U‖`.
#[derive(Clone, Debug)]
pub struct EquilibriumProblem {
    problem: SdpProblem,
    bound_unit: f64,
    multiplier_unit: f64,
}

impl EquilibriumProblem {
    /// Builds the problem.
    ///
    /// # Shapes
    ///
    /// | argument | symbol | shape |
    /// |---|---|---|
    /// | `recurrent` | `W` | `(n, n)` |
    /// | `input` | `U` | `(n, d)` |
    /// | `output` | `G` | `(m, n)` |
    ///
    /// # Errors
    ///
    /// - [`SolveError::Shape`] if the sizes do not fit or one is zero.
    /// - [`SolveError::NotFinite`] if an entry is NaN or infinite.
    pub fn new(recurrent: &DMatrix<f64>, input: &DMatrix<f64>, output: &DMatrix<f64>) -> Result<Self, SolveError> {
        let (n, d, m) = (recurrent.ncols(), input.ncols(), output.nrows());
        for (what, matrix, expected) in [
            ("recurrent", recurrent, (n.max(1), n.max(1))),
            ("input", input, (n, d.max(1))),
            ("output", output, (m.max(1), n)),
        ] {
            if matrix.shape() != expected {
                return Err(SolveError::Shape {
                    what,
                    expected: vec![expected.0, expected.1],
                    found: vec![matrix.nrows(), matrix.ncols()],
                });
            }
            if let Some(place) = matrix.iter().position(|entry| !entry.is_finite()) {
                return Err(SolveError::NotFinite {
                    what,
                    index: vec![place % matrix.nrows(), place / matrix.nrows()],
                });
            }
        }
        let (norm_in, norm_out) = (approx_norm(input), approx_norm(output));
        let (input, output) = (input / norm_in, output / norm_out);
        let mut pencil = Pencil::new(n + m + d);
        for i in n..n + m + d {
            pencil.add(0, i, i, 1.0);
        }
        for k in 0..n {
            pencil.add(k + 1, k, k, 2.0 - 2.0 * recurrent[(k, k)]);
            for j in (0..n).filter(|j| *j != k) {
                pencil.add(k + 1, k, j, -recurrent[(k, j)]);
            }
            for j in 0..d {
                pencil.add(k + 1, k, n + m + j, input[(k, j)]);
            }
        }
        pencil.add_constant_block(n, 0, &output);
        let mut objective = vec![0.0; n + 1];
        objective[0] = 1.0;
        Ok(Self {
            problem: SdpProblem::new(objective, (1..=n).collect(), vec![pencil])?,
            bound_unit: norm_in * norm_out,
            multiplier_unit: norm_out / norm_in,
        })
    }

    /// The scaled problem: variable 0 is `γ`, the others are the multipliers.
    #[must_use]
    pub const fn problem(&self) -> &SdpProblem {
        &self.problem
    }

    /// `γ` and `Λ` (one layer) in the units of the network.
    ///
    /// # Panics
    ///
    /// If `x` is empty.
    #[must_use]
    pub fn read(&self, x: &[f64]) -> Candidate {
        Candidate {
            lipschitz: self.bound_unit * x[0].max(0.0),
            multipliers: vec![x[1..].iter().map(|value| value.max(0.0) * self.multiplier_unit).collect()],
        }
    }
}
