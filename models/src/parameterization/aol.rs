//! Almost-orthogonal layers (AOL): `P D x + b` with `D_jj = (Σ_i |PᵀP|_ij + ε)^{-1/2}`.
//!
//! # Source
//!
//! Prach and Lampert, *Almost-Orthogonal Layers for Efficient General-Purpose Lipschitz Networks*, ECCV 2022, Theorem 1 (`P`, `D` as there). The authors' dense
//! code stores `Pᵀ` and adds `ε = 1e-6` to the sums.

use lipcert_proofs::CheckError;
use lipcert_proofs::statement::{DenseFormula, Matrix, Shape};

use super::{Family, Parameterization, Realization, Standing};

/// A dense layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// `P`, `(m, n)`.
    pub raw: Matrix,
    /// `ε ≥ 0`.
    pub epsilon: f64,
    /// `(m,)`.
    pub bias: Vec<f64>,
}

impl Parameterization for Dense {
    const FAMILY: Family = Family {
        name: "aol",
        map: "P D x + b",
        rule: "formula",
        source: "Prach and Lampert, ECCV 2022, Theorem 1",
        standing: Standing::Certified,
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let (raw, epsilon) = (self.raw.clone(), self.epsilon);
        Realization::of_formula(DenseFormula::Aol { raw, epsilon }, &self.bias, input)
    }
}
