//! Convex potential layers (CPL): `x − 2 Aᵀ relu(A x + b) / ‖A‖²`.
//!
//! # Source
//!
//! Meunier et al., *A Dynamical System Perspective for Lipschitz Neural Networks*, ICML 2022, Theorem 3 (`W` there is `Aᵀ` here). The code approaches the norm by
//! a power iteration.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{LayerClaim, Witness};
use lipcert_proofs::statement::{Kernel, Layer, Matrix, Scale, Shape};

use super::{CONVERGENCE, Family, Parameterization, Realization, Standing};

const SOURCE: &str = "Meunier et al., ICML 2022, Theorem 3";

/// A dense layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// `A`, `(inner, n)`.
    pub weight: Matrix,
    /// `(inner,)`.
    pub bias: Vec<f64>,
}

/// A convolution, zero-padded; the norm is that on the layer's own images.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// `(inner, channels, k, k)`.
    pub kernel: Kernel,
    /// `(inner,)`.
    pub bias: Vec<f64>,
}

fn formula(layer: Layer, input: Shape) -> Result<Realization, CheckError> {
    layer.output_shape(input)?;
    let claim = LayerClaim {
        lipschitz: 1.0,
        witness: Witness::Formula { inside: None },
    };
    Ok(Realization::of(layer, claim))
}

impl Parameterization for Dense {
    const FAMILY: Family = Family {
        name: "cpl-dense",
        map: "x − 2 Aᵀ relu(A x + b) / ‖A‖²",
        rule: "formula",
        source: SOURCE,
        standing: Standing::Conditional(CONVERGENCE),
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let layer = Layer::ResidualDense {
            weight: self.weight.clone(),
            bias: self.bias.clone(),
            scale: Scale::Norm,
        };
        formula(layer, input)
    }
}

impl Parameterization for Conv {
    const FAMILY: Family = Family {
        name: "cpl-conv",
        map: "x − 2 Kᵀ relu(K x + b) / ‖K‖²",
        rule: "formula",
        source: SOURCE,
        standing: Standing::Conditional(CONVERGENCE),
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let layer = Layer::ResidualConv {
            kernel: self.kernel.clone(),
            bias: self.bias.clone(),
            scale: Scale::Norm,
        };
        formula(layer, input)
    }
}
