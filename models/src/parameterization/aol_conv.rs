//! Almost-orthogonal convolutions: an input channel of the kernel at a time is divided by the root of a row sum.
//!
//! # Source
//!
//! Prach and Lampert, *Almost-Orthogonal Layers for Efficient General-Purpose Lipschitz Networks*, ECCV 2022, Theorem 1 and Lemma 2, and the authors' code.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{LayerClaim, Witness};
use lipcert_proofs::statement::{ConvFormula, Kernel, Layer, Padding, Shape};

use super::{Family, Parameterization, Realization, Standing};

/// A convolution with the kernel `P diag(d)`, `d_c = (Σ |R_cc'(s)| + ε)^{−1/2}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// `P`, `(out, in, k, k)`.
    pub raw: Kernel,
    /// `ε ≥ 0`.
    pub epsilon: f64,
    /// `(out,)`.
    pub bias: Vec<f64>,
    /// What lies outside the image.
    pub padding: Padding,
}

impl Parameterization for Conv {
    const FAMILY: Family = Family {
        name: "aol-conv",
        map: "(P diag(d)) ∗ x + b",
        rule: "formula",
        source: "Prach and Lampert, ECCV 2022, Lemma 2",
        standing: Standing::Certified,
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let layer = Layer::ConvFormula {
            formula: ConvFormula::Aol {
                raw: self.raw.clone(),
                epsilon: self.epsilon,
            },
            bias: self.bias.clone(),
            padding: self.padding,
        };
        layer.output_shape(input)?;
        let claim = LayerClaim {
            lipschitz: 1.0,
            witness: Witness::Formula { inside: None },
        };
        Ok(Realization::of(layer, claim))
    }
}
