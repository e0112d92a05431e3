//! The head with one hidden softplus layer whose radius is certified by its curvature: `W₂ softplus_β(W₁ z + b₁) + b₂`.
//!
//! The claims of the two dense layers are their Frobenius norms, which any network needs to be composed; the radius is the business of the rule
//! `curvature`, which needs nothing but these weights and the bound of the layers before.
//!
//! # Source
//!
//! Singla, Singla and Feizi, *Improved deterministic l2 robustness on CIFAR-10 and CIFAR-100*, ICLR 2022 (curvature-based robustness certificate).

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{GramClaim, GramWitness, LayerClaim, Witness};
use lipcert_proofs::rounding::directed::{mul_up, norm_up};
use lipcert_proofs::rules::{operator_norm, structural};
use lipcert_proofs::statement::{Activation, Layer, Matrix, Shape};

use super::{Family, Parameterization, Realization, Standing};

/// How far above the square of the Frobenius norm the claim lies, so that a matrix of rank one can be shown to be below.
const ROOM: f64 = 1.0 + 1e-6;

/// The last three layers of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// `W₁`, `(hidden, n)`.
    pub first: Matrix,
    /// `b₁`, `(hidden,)`.
    pub first_bias: Vec<f64>,
    /// `β`, positive; 1 in the authors' code.
    pub beta: f64,
    /// `W₂`, `(classes, hidden)`.
    pub last: Matrix,
    /// `b₂`, `(classes,)`.
    pub last_bias: Vec<f64>,
}

fn dense(weight: &Matrix, bias: &[f64]) -> (Layer, LayerClaim) {
    let norm = norm_up(weight.data());
    let lambda = mul_up(mul_up(norm, norm), ROOM);
    let claim = LayerClaim {
        lipschitz: operator_norm::bound_up(lambda, 0.0),
        witness: Witness::OperatorNorm {
            inside: GramClaim {
                lambda,
                witness: GramWitness::Cholesky {},
            },
        },
    };
    let layer = Layer::Dense {
        weight: weight.clone(),
        bias: bias.to_vec(),
    };
    (layer, claim)
}

impl Parameterization for Head {
    const FAMILY: Family = Family {
        name: "crc-head",
        map: "W₂ softplus_β(W₁ x + b₁) + b₂, last in a network",
        rule: "curvature",
        source: "Singla, Singla and Feizi, ICLR 2022",
        standing: Standing::Certified,
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let activation = Layer::Activation(Activation::Softplus { beta: self.beta });
        let claim = LayerClaim {
            lipschitz: structural::bound_up(&activation)?,
            witness: Witness::Structural {},
        };
        let (layers, claims): (Vec<_>, Vec<_>) = [
            dense(&self.first, &self.first_bias),
            (activation, claim),
            dense(&self.last, &self.last_bias),
        ]
        .into_iter()
        .unzip();
        layers.iter().try_fold(input, |shape, layer| layer.output_shape(shape))?;
        Ok(Realization {
            layers,
            claims,
            chain: None,
        })
    }
}
