//! Residual blocks `A x + B σ(C x + b) + c` with free weights, and multipliers that somebody found: the "common SDP" of which SLL layers are the case `A = I`, `B = −2 Cᵀ T⁻¹`, `Λ = 2 T⁻¹`.
//!
//! # Source
//!
//! Wang and Manchester, ICML 2023, equation 13; Araujo et al., ICLR 2023.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{LayerClaim, Witness};
use lipcert_proofs::statement::{Layer, ResidualBlock, Shape};

use super::{Family, Parameterization, Realization, Standing};

/// A block with its evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The map.
    pub block: ResidualBlock,
    /// `Λ_1, …, Λ_h`, one vector a hidden layer.
    pub multipliers: Vec<Vec<f64>>,
    /// The bound that they should prove.
    pub lipschitz: f64,
}

impl Parameterization for Block {
    const FAMILY: Family = Family {
        name: "residual-block",
        map: "A x + B σ(C x + b) + c",
        rule: "residual-lmi",
        source: "Wang and Manchester, ICML 2023, equation 13",
        standing: Standing::Certified,
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let layer = Layer::ResidualBlock(self.block.clone());
        layer.output_shape(input)?;
        let claim = LayerClaim {
            lipschitz: self.lipschitz,
            witness: Witness::ResidualLmi {
                multipliers: self.multipliers.clone(),
            },
        };
        Ok(Realization::of(layer, claim))
    }
}
