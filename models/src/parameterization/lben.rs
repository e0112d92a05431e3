//! Lipschitz-bounded equilibrium networks: `z = relu(W z + U x + b)`, `y = G z`. Such a network is no layer here: its bound is proved, its evaluation is not offered.
//!
//! ```text
//! W = I − Λ⁻¹ ((GᵀG + Λ U Uᵀ Λ) / (2γ) + VᵀV + ε I + S − Sᵀ),   Λ = diag(e^d)
//! ```
//!
//! gives `2Λ − ΛW − WᵀΛ = (GᵀG + Λ U Uᵀ Λ) / γ + 2 VᵀV + 2 ε I`.
//!
//! # Source
//!
//! Revay, Wang and Manchester, *Lipschitz bounded equilibrium networks*, 2020, section 4 (`Ψ` there is `Λ` here).

use faer::Mat;
use lipcert_proofs::CheckError;
use lipcert_proofs::rules::equilibrium::EquilibriumClaim;
use lipcert_proofs::statement::{Equilibrium, Matrix};

use super::algebra::{require, to_faer, to_matrix};
use super::{COMPUTED, Family, Standing};

/// A network with one equilibrium layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// `d`, `(n,)`.
    pub logarithms: Vec<f64>,
    /// `V`, `(any, n)`.
    pub root: Matrix,
    /// `S`, `(n, n)`.
    pub skew: Matrix,
    /// `U`, `(n, d)`.
    pub input: Matrix,
    /// `G`, `(m, n)`.
    pub output: Matrix,
    /// `ε > 0`.
    pub epsilon: f64,
    /// The Lipschitz bound.
    pub gamma: f64,
}

impl Network {
    /// The family's row in the table.
    pub const FAMILY: Family = Family {
        name: "lben",
        map: "G z, z = relu(W z + U x + b); not evaluated",
        rule: "equilibrium",
        source: "Revay, Wang and Manchester, 2020, section 4",
        standing: Standing::Conditional(COMPUTED),
    };

    /// The equation and the claim for it, for [`lipcert_proofs::rules::equilibrium::check`].
    ///
    /// # Errors
    ///
    /// [`CheckError::Shape`] if the sizes do not fit, [`CheckError::NotPositive`] unless `ε` and `γ` are, [`CheckError::NotFinite`] if a weight overflows.
    pub fn realize(&self) -> Result<(Equilibrium, EquilibriumClaim), CheckError> {
        let n = self.logarithms.len();
        require("root", &self.root, (self.root.rows(), n))?;
        require("skew", &self.skew, (n, n))?;
        require("input", &self.input, (n, self.input.cols()))?;
        require("output", &self.output, (self.output.rows(), n))?;
        for (what, value) in [("epsilon", self.epsilon), ("gamma", self.gamma)] {
            let positive = value > 0.0;
            if !positive {
                return Err(CheckError::NotPositive { what, index: 0, value });
            }
        }
        let multipliers: Vec<f64> = self.logarithms.iter().map(|d| d.exp()).collect();
        let (input, output) = (to_faer(&self.input), to_faer(&self.output));
        let (root, skew) = (to_faer(&self.root), to_faer(&self.skew));
        let scaled = Mat::from_fn(n, input.ncols(), |i, j| multipliers[i] * input[(i, j)]);
        let both = output.transpose() * &output + &scaled * scaled.transpose();
        let free = root.transpose() * &root;
        let recurrent = Mat::from_fn(n, n, |i, j| {
            let identity = if i == j { 1.0 } else { 0.0 };
            let sum = both[(i, j)] / (2.0 * self.gamma) + free[(i, j)] + self.epsilon * identity;
            identity - (sum + skew[(i, j)] - skew[(j, i)]) / multipliers[i]
        });
        let system = Equilibrium::new(
            to_matrix("recurrent", recurrent.as_ref())?,
            self.input.clone(),
            self.output.clone(),
        )?;
        let claim = EquilibriumClaim {
            lipschitz: self.gamma * (1.0 + 1e-9),
            multipliers,
        };
        Ok((system, claim))
    }
}
