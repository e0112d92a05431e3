//! Skew orthogonal convolutions (SOC): the beginning of the exponential of a skew convolution.
//!
//! # Source
//!
//! Singla and Feizi, *Skew Orthogonal Convolutions*, ICML 2021, and the authors' code: 6 terms in training, 15 in evaluation.

use lipcert_proofs::CheckError;
use lipcert_proofs::statement::{Layer, Shape, SkewExponential};

use super::conv_norm::by_norm;
use super::{Family, Parameterization, Realization, Standing};

/// The layer `Σ_{i < terms} Lⁱ x / i! + b`, `L = (M − Mᵀ) / (2σ)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv(pub SkewExponential);

impl Parameterization for Conv {
    const FAMILY: Family = Family {
        name: "soc",
        map: "Σ_{i < n} Lⁱ x / i! + b, L = (M − Mᵀ) / (2σ)",
        rule: "taylor-remainder",
        source: "Singla and Feizi, ICML 2021, Theorem 3",
        standing: Standing::Conditional(
            "where no divisor is stored, the power iteration of the deployed code has found the least of the four norms",
        ),
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        by_norm(Layer::SkewExponential(self.0.clone()), input)
    }
}
