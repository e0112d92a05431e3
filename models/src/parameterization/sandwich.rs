//! Sandwich layers: `√2 Aᵀ Ψ σ(√2 Ψ⁻¹ B x + b)` with `A Aᵀ + B Bᵀ = I`.
//!
//! # Source
//!
//! Wang and Manchester, *Direct Parameterization of Lipschitz-Bounded Deep Networks*, ICML 2023, section 3.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{LayerClaim, Witness};
use lipcert_proofs::statement::{Layer, Sandwich, Shape};

use super::{Family, Parameterization, Realization, Standing};

/// A dense layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// All of its parameters.
    pub layer: Sandwich,
}

impl Parameterization for Dense {
    const FAMILY: Family = Family {
        name: "sandwich",
        map: "√2 Aᵀ Ψ σ(√2 Ψ⁻¹ B x + b)",
        rule: "formula",
        source: "Wang and Manchester, ICML 2023, Theorem 3.2",
        standing: Standing::Certified,
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let layer = Layer::Sandwich(self.layer.clone());
        layer.output_shape(input)?;
        let claim = LayerClaim {
            lipschitz: 1.0,
            witness: Witness::Formula { inside: None },
        };
        Ok(Realization::of(layer, claim))
    }
}
