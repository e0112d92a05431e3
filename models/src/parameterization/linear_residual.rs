//! Linear residual convolutions: `x + P ∗ x + b`, no activation inside.
//!
//! # Source
//!
//! Hu et al., *Unlocking Deterministic Robustness Certification on ImageNet*, NeurIPS 2023 (LiResNet), and the authors' code, which estimates the norm by one step of
//! power iteration.

use lipcert_proofs::CheckError;
use lipcert_proofs::statement::{ConvFormula, Kernel, Layer, Padding, Shape};

use super::conv_norm::by_norm;
use super::{Family, Parameterization, Realization, Standing};

/// The layer `x + P ∗ x + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// `P`, `(c, c, k, k)`.
    pub raw: Kernel,
    /// `(c,)`.
    pub bias: Vec<f64>,
    /// What lies outside the image.
    pub padding: Padding,
}

impl Parameterization for Conv {
    const FAMILY: Family = Family {
        name: "linear-residual-conv",
        map: "x + P ∗ x + b",
        rule: "operator-norm",
        source: "Hu et al., NeurIPS 2023",
        standing: Standing::Certified,
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let layer = Layer::ConvFormula {
            formula: ConvFormula::LinearResidual { raw: self.raw.clone() },
            bias: self.bias.clone(),
            padding: self.padding,
        };
        by_norm(layer, input)
    }
}
