//! Weights divided by an approximation of their operator norm: `W x / (σ + offset) + b`.
//!
//! # Source
//!
//! Miyato et al., *Spectral Normalization for Generative Adversarial Networks*, ICLR 2018. PyTorch's parametrization evaluates with the stored `σ = uᵀ W v`;
//! deel-torchlip adds `offset = 1e-3`.

use lipcert_proofs::CheckError;
use lipcert_proofs::statement::{DenseFormula, Divisor, Matrix, Shape};

use super::{CONVERGENCE, Family, Parameterization, Realization, Standing};

/// A dense layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// `W`, `(m, n)`.
    pub raw: Matrix,
    /// `σ`.
    pub divisor: Divisor,
    /// Added to `σ`, not negative.
    pub offset: f64,
    /// `(m,)`.
    pub bias: Vec<f64>,
}

impl Parameterization for Dense {
    const FAMILY: Family = Family {
        name: "spectral",
        map: "W x / (σ + offset) + b",
        rule: "formula",
        source: "Miyato et al., ICLR 2018",
        standing: Standing::Conditional(CONVERGENCE),
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let formula = DenseFormula::Normalized {
            raw: self.raw.clone(),
            divisor: self.divisor.clone(),
            offset: self.offset,
            bjorck: None,
        };
        Realization::of_formula(formula, &self.bias, input)
    }
}
