//! SDP-based Lipschitz layers (SLL): `x − 2 Aᵀ T⁻¹ relu(A x + b)` with `T_i = Σ_j |G_ij| e^{q_j − q_i}`, `G = A Aᵀ`.
//!
//! # Source
//!
//! Araujo et al., *A Unified Algebraic Perspective on Lipschitz Neural Networks*, ICLR 2023, Theorem 3 (`W` there is `Aᵀ` here, `q_i` there `e^{q_i}` here),
//! and the authors' code, in whose convolution `q` cancels.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{LayerClaim, Witness};
use lipcert_proofs::statement::{Kernel, Layer, Matrix, Scale, Shape};

use super::{Family, Parameterization, Realization, Standing};

const SOURCE: &str = "Araujo et al., ICLR 2023, Theorem 3";

/// A dense layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// `A`, `(inner, n)`.
    pub weight: Matrix,
    /// `(inner,)`.
    pub bias: Vec<f64>,
    /// `(inner,)`, at most 80 in absolute value.
    pub q: Vec<f64>,
}

/// A convolution, zero-padded.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// `(inner, channels, k, k)`.
    pub kernel: Kernel,
    /// `(inner,)`.
    pub bias: Vec<f64>,
    /// `(inner,)`, at most 80 in absolute value.
    pub q: Vec<f64>,
    /// Whether `q` acts, as in the paper; in the authors' code it cancels.
    pub weighted: bool,
}

fn formula() -> LayerClaim {
    LayerClaim {
        lipschitz: 1.0,
        witness: Witness::Formula { inside: None },
    }
}

impl Parameterization for Dense {
    const FAMILY: Family = Family {
        name: "sll-dense",
        map: "x − 2 Aᵀ T⁻¹ relu(A x + b)",
        rule: "formula",
        source: SOURCE,
        standing: Standing::Certified,
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let layer = Layer::ResidualDense {
            weight: self.weight.clone(),
            bias: self.bias.clone(),
            scale: Scale::Weighted { q: self.q.clone() },
        };
        layer.output_shape(input)?;
        Ok(Realization::of(layer, formula()))
    }
}

impl Parameterization for Conv {
    const FAMILY: Family = Family {
        name: "sll-conv",
        map: "x − 2 Kᵀ T⁻¹ relu(K x + b)",
        rule: "formula",
        source: SOURCE,
        standing: Standing::Certified,
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let q = self.q.clone();
        let layer = Layer::ResidualConv {
            kernel: self.kernel.clone(),
            bias: self.bias.clone(),
            scale: if self.weighted {
                Scale::Weighted { q }
            } else {
                Scale::RowSum { q }
            },
        };
        layer.output_shape(input)?;
        Ok(Realization::of(layer, formula()))
    }
}
