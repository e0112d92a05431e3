//! LDLT networks: dense layers with ReLU between them whose LipSDP inequality holds with all multipliers 1, block pivot by block pivot.
//!
//! With `D_0 = γ² I` and `R_k` upper triangular, `R_kᵀ R_k = D_k`,
//!
//! ```text
//! C_k = √2 N_k R_{k−1},   D_k = 2 (I − N_k N_kᵀ)   for the hidden layers,   C = N R   for the last,
//! ```
//!
//! where `‖N_k‖ < 1`. The pivots of the block LDLᵀ of the inequality are `γ² I`, `2 I − C_k D_{k−1}⁻¹ C_kᵀ = D_k` and `D_h − CᵀC = Rᵀ (I − NᵀN) R`, all positive definite.
//!
//! # Source
//!
//! Juston et al., *LDLT L-Lipschitz network*, 2025 (arXiv 2512.05915), feed-forward case. The released code divides by `L` in its sequential class, which certifies `1/L`; here `γ` multiplies
//! the first weight. Its residual case misses a cross term; see [`super::deep_residual`].

use faer::Mat;
use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{ChainClaim, GramClaim, GramWitness, LayerClaim, Witness};
use lipcert_proofs::statement::{Activation, Layer, Matrix, Output, Shape};

use super::algebra::{cholesky, contraction, require, to_matrix, twice_complement};
use super::{COMPUTED, Family, Parameterization, Realization, Standing};

/// By how much multipliers and `γ²` are enlarged, relative to them, for the rounding of the weights.
pub(super) const ROOM: f64 = 2e-9;

/// One dense layer before its `γ` and multipliers.
#[derive(Clone, Debug, PartialEq)]
pub struct Free {
    /// `V`, `(outputs, inputs)`.
    pub weight: Matrix,
    /// `α > 0`; small values come close to the bound.
    pub alpha: f64,
    /// `(outputs,)`.
    pub bias: Vec<f64>,
}

/// A whole network: all layers but the last have a ReLU behind them.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// At least one.
    pub layers: Vec<Free>,
    /// The Lipschitz bound.
    pub gamma: f64,
}

impl Network {
    /// The weights `C_1, …, C_h, C`.
    ///
    /// # Errors
    ///
    /// As [`Parameterization::realize`].
    pub fn weights(&self) -> Result<Vec<Matrix>, CheckError> {
        let inputs = self.layers.first().map_or(0, |layer| layer.weight.cols());
        let mut root = Mat::from_fn(inputs, inputs, |i, j| if i == j { self.gamma } else { 0.0 });
        let mut weights = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            require("weight", &layer.weight, (layer.weight.rows(), root.nrows()))?;
            let small = contraction(&layer.weight, layer.alpha)?;
            let mut weight = &small * &root;
            if index + 1 < self.layers.len() {
                weight *= faer::Scale(std::f64::consts::SQRT_2);
                root = cholesky(twice_complement(small.as_ref()).as_ref())?.transpose().to_owned();
            }
            weights.push(to_matrix("weight", weight.as_ref())?);
        }
        Ok(weights)
    }
}

impl Parameterization for Network {
    const FAMILY: Family = Family {
        name: "ldlt",
        map: "C relu(C_h … relu(C_1 x + b_1) … + b_h) + b, C_k = √2 N_k D_{k−1}^{1/2}",
        rule: "lipsdp",
        source: "Juston et al., 2025 (arXiv 2512.05915), feed-forward",
        standing: Standing::Conditional(COMPUTED),
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let weights = self.weights()?;
        let count = weights.len();
        let multipliers = weights.iter().take(count.saturating_sub(1));
        let multipliers = multipliers.map(|weight| vec![1.0 + ROOM; weight.rows()]).collect();
        let (mut layers, mut claims) = (Vec::new(), Vec::new());
        let mut shape = input;
        for (index, (weight, free)) in weights.into_iter().zip(&self.layers).enumerate() {
            // ‖N‖ < 1 and D_k ⪯ 2 I.
            let before = if index == 0 { self.gamma } else { std::f64::consts::SQRT_2 };
            let behind = if index + 1 == count { 1.0 } else { std::f64::consts::SQRT_2 };
            let norm = before * behind * (1.0 + ROOM);
            let layer = Layer::Dense {
                weight,
                bias: free.bias.clone(),
            };
            shape = layer.output_shape(shape)?;
            layers.push(layer);
            claims.push(LayerClaim {
                lipschitz: norm * (1.0 + 1e-12),
                witness: Witness::OperatorNorm {
                    inside: GramClaim {
                        lambda: norm * norm,
                        witness: GramWitness::Cholesky {},
                    },
                },
            });
            if index + 1 < count {
                layers.push(Layer::Activation(Activation::Relu));
                claims.push(LayerClaim {
                    lipschitz: 1.0,
                    witness: Witness::Structural {},
                });
            }
        }
        Ok(Realization {
            layers,
            claims,
            chain: Some(ChainClaim {
                output: Output::All,
                lipschitz: self.gamma * (1.0 + ROOM / 2.0),
                multipliers,
                dual: None,
            }),
        })
    }
}
