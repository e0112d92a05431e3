//! Weights divided by their Frobenius norm: `W x / ‖W‖_F + b`.
//!
//! # Source
//!
//! The layers `FrobeniusLinear` of deel-torchlip; `‖W‖₂ ≤ ‖W‖_F`.

use lipcert_proofs::CheckError;
use lipcert_proofs::statement::{DenseFormula, Divisor, Matrix, Shape};

use super::{Family, Parameterization, Realization, Standing};

/// A dense layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// `W`, `(m, n)`, not all zero.
    pub raw: Matrix,
    /// `(m,)`.
    pub bias: Vec<f64>,
}

impl Parameterization for Dense {
    const FAMILY: Family = Family {
        name: "frobenius",
        map: "W x / ‖W‖_F + b",
        rule: "formula",
        source: "deel-torchlip, FrobeniusLinear",
        standing: Standing::Certified,
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let formula = DenseFormula::Normalized {
            raw: self.raw.clone(),
            divisor: Divisor::Frobenius,
            offset: 0.0,
            bjorck: None,
        };
        Realization::of_formula(formula, &self.bias, input)
    }
}
