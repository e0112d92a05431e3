//! A certificate for every layer of a network: hints from the solver, checks by the proofs.

mod convolution;

use std::time::Instant;

use lipcert_models::forward::float32_factor;
use lipcert_models::network::Network;
use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{
    ChainCertificate, GramClaim, GramWitness, ImageSize, LayerCertificate, LayerClaim, Prepared, Witness,
};
use lipcert_proofs::rounding::dense_formula::EnclosedWeight;
use lipcert_proofs::rounding::directed::{div_up, sqrt_up};
use lipcert_proofs::rounding::interval::Interval;
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::rules::{circulant_grid, dense_formula, formula, operator_norm, structural, tolerance};
use lipcert_proofs::statement::{Chain, DenseFormula, Layer, NetworkMap, Output, Scale};
use lipcert_solver::eigenvalue::{SYMBOL_MOST, approx_dense, approx_on_grid};
use rayon::prelude::*;

use super::{Progress, residual};
use crate::results::LayerResult;

/// How far above an approximate eigenvalue a proof is tried, one after the other, relative to it.
const MARGINS: [f64; 5] = [1e-9, 5e-8, 1e-6, 1e-4, 1e-2];

/// What became of the layers.
#[derive(Debug)]
pub(crate) struct Layers<'a> {
    /// A row each.
    pub(crate) results: Vec<LayerResult>,
    /// Their certificates, if every one is proved.
    certificates: Option<Vec<LayerCertificate<'a>>>,
}

impl<'a> Layers<'a> {
    /// About the product of the bounds before the run of layers that a chain covers; for showing progress in the unit of the answer.
    pub(crate) fn approx_before(&self, map: &NetworkMap, output: Output) -> Option<f64> {
        let first = Chain::of(map, output).ok()?.first();
        self.results[..first].iter().map(|layer| layer.bound).product()
    }

    /// The rows, and the certificate of the network if every layer is proved and the bound is a number. `chains` are those of runs of its layers.
    ///
    /// # Errors
    ///
    /// If the network has no such output.
    pub(crate) fn compose(
        self,
        network: &'a Network,
        chains: Vec<ChainCertificate<'a>>,
        output: Output,
    ) -> Result<(Vec<LayerResult>, Option<NetworkCertificate<'a>>), CheckError> {
        let composed = match self.certificates {
            None => None,
            Some(layers) => match NetworkCertificate::compose(&network.map, layers, chains, output) {
                Ok(certificate) => Some(certificate),
                // The product overflows: nothing is bounded.
                Err(CheckError::NotFinite { .. }) => None,
                Err(other) => return Err(other),
            },
        };
        Ok((self.results, composed))
    }
}

/// Proves all layers, in parallel; beside the bounds, how far the factor that float32 code computes misses the condition.
pub(crate) fn prove_layers<'a>(network: &'a Network, progress: &dyn Progress) -> Layers<'a> {
    check_layers(network, progress, |_, prepared| find_claim(prepared), deployed_excess)
}

/// Checks a claim for every layer, in parallel.
///
/// `claim` gives the claim of the layer with that index; `excess` what is to be said of its float32 factor.
pub(crate) fn check_layers<'a>(
    network: &'a Network,
    progress: &dyn Progress,
    claim: impl Fn(usize, &Prepared<'a>) -> Result<LayerClaim, CheckError> + Sync,
    excess: impl Fn(&Prepared<'_>) -> Result<Option<f64>, CheckError> + Sync,
) -> Layers<'a> {
    let map = &network.map;
    let work: Vec<_> = map
        .layers()
        .iter()
        .zip(map.input_shapes())
        .zip(&network.names)
        .enumerate()
        .collect();
    progress.begin("proving layers", work.len());
    let outcomes: Vec<(LayerResult, Option<LayerCertificate<'a>>)> = work
        .into_par_iter()
        .map(|(index, ((layer, input), name))| {
            let start = Instant::now();
            let mut result = LayerResult {
                index,
                name: name.clone(),
                kind: layer.kind().to_owned(),
                ..LayerResult::default()
            };
            let checked = Prepared::new(layer, input).and_then(|prepared| {
                let certificate = LayerCertificate::check(&prepared, claim(index, &prepared)?)?;
                result.float32_delta = excess(&prepared)?;
                Ok(certificate)
            });
            let certificate = match checked {
                Ok(certificate) => {
                    describe(&certificate, &mut result);
                    Some(certificate)
                }
                Err(cause) => {
                    result.error = Some(cause.to_string());
                    None
                }
            };
            result.seconds = start.elapsed().as_secs_f64();
            progress.advance(1);
            (result, certificate)
        })
        .collect();
    let (results, certificates): (Vec<_>, Vec<_>) = outcomes.into_iter().unzip();
    Layers {
        results,
        certificates: certificates.into_iter().collect(),
    }
}

/// What a certificate says, for the table of layers.
fn describe(certificate: &LayerCertificate<'_>, result: &mut LayerResult) {
    let witness = certificate.witness();
    result.bound = Some(certificate.lipschitz());
    result.rule = Some(match witness.inside() {
        Some(inside) => format!("{} + {}", witness.rule(), inside.witness.rule()),
        None => witness.rule().to_owned(),
    });
    if let Some(inside) = witness.inside() {
        result.gram_lambda = Some(inside.lambda);
        // Only a residual layer has a condition to lie inside of.
        if certificate.factor().is_some() {
            result.slack = Some(lipcert_proofs::rounding::directed::sub_down(1.0, inside.lambda));
        }
    }
}

/// The proved excess `δ` of the factor that float32 code of the layer computes; nothing for a layer without a formula.
fn deployed_excess(prepared: &Prepared<'_>) -> Result<Option<f64>, CheckError> {
    match prepared.layer() {
        Layer::ResidualConv {
            scale: Scale::RowSum { .. } | Scale::Weighted { .. },
            ..
        }
        | Layer::ResidualDense {
            scale: Scale::RowSum { .. } | Scale::Weighted { .. },
            ..
        } => {
            let factor: Vec<f64> = float32_factor(prepared.layer()).into_iter().map(f64::from).collect();
            // An error is a float32 overflow: the deployed program is broken there, the real function is not.
            Ok(prepared.excess_up(&factor).ok())
        }
        _ => Ok(None),
    }
}

/// Looks for a claim that the check will accept.
fn find_claim(prepared: &Prepared<'_>) -> Result<LayerClaim, CheckError> {
    let layer = prepared.layer();
    match layer {
        Layer::ResidualConv { scale, .. } | Layer::ResidualDense { scale, .. } => {
            let inside = find_gram(prepared);
            match (scale, inside) {
                (Scale::RowSum { .. } | Scale::Weighted { .. } | Scale::Norm | Scale::Frobenius, inside) => Ok(LayerClaim {
                    lipschitz: formula::bound_up(layer)?,
                    witness: Witness::Formula { inside: inside.ok() },
                }),
                (Scale::Stored { .. }, inside) => {
                    let inside = inside?;
                    let lipschitz = tolerance::bound_up(inside.lambda);
                    Ok(LayerClaim {
                        lipschitz,
                        witness: Witness::Tolerance { inside },
                    })
                }
            }
        }
        Layer::NormalizedHead { .. } => {
            let inside = find_gram(prepared)?;
            Ok(LayerClaim {
                lipschitz: sqrt_up(inside.lambda),
                witness: Witness::NormalizedRows { inside },
            })
        }
        Layer::Dense { .. } => {
            let inside = find_gram(prepared)?;
            Ok(LayerClaim {
                lipschitz: operator_norm::bound_up(inside.lambda, 0.0),
                witness: Witness::OperatorNorm { inside },
            })
        }
        Layer::DenseFormula { formula, .. } => Ok(formula_claim(prepared, formula)),
        Layer::Sandwich(_) => Ok(LayerClaim {
            lipschitz: formula::bound_up(layer)?,
            witness: Witness::Formula { inside: None },
        }),
        Layer::Convolution { .. } | Layer::ConvFormula { .. } | Layer::SkewExponential(_) => convolution::find_claim(prepared),
        Layer::Normalize { .. }
        | Layer::PadChannels { .. }
        | Layer::AveragePool { .. }
        | Layer::Flatten
        | Layer::Activation(_)
        | Layer::Elementwise { .. }
        | Layer::ChannelActivation(_)
        | Layer::Groupwise(_)
        | Layer::Paired(_)
        | Layer::Resample(_) => Ok(LayerClaim {
            lipschitz: structural::bound_up(layer)?,
            witness: Witness::Structural {},
        }),
        Layer::ResidualBlock(block) => residual::find(block),
    }
}

/// The smaller of the bound by theorem and the norm of the enclosed weight; where they are about equal the theorem, which needs no numbers.
fn formula_claim(prepared: &Prepared<'_>, formula: &DenseFormula) -> LayerClaim {
    let enclosed = prepared.enclosed();
    let bound = enclosed.map_or(f64::NAN, |weight| dense_formula::bound_up(formula, weight.reach()));
    let lipschitz = dense_formula::with_room_up(bound);
    let by_theorem = LayerClaim {
        lipschitz,
        witness: Witness::Formula { inside: None },
    };
    let Ok(inside) = find_gram(prepared) else { return by_theorem };
    let radius = enclosed.map_or(f64::NAN, EnclosedWeight::radius);
    let norm = dense_formula::with_room_up(operator_norm::bound_up(inside.lambda, radius));
    if norm < lipschitz * (1.0 - 1e-6) {
        LayerClaim {
            lipschitz: norm,
            witness: Witness::OperatorNorm { inside },
        }
    } else {
        by_theorem
    }
}

/// Looks for the smallest provable `λ` with `A Aᵀ ⪯ λ diag(T)`: spectral first, then diagonal dominance.
fn find_gram(prepared: &Prepared<'_>) -> Result<GramClaim, CheckError> {
    let mut best = dominance(prepared);
    let Some((gram, scale)) = prepared.approx_condition() else {
        return best;
    };
    let (hint, witness) = if matches!(prepared.layer(), Layer::ResidualConv { .. }) {
        let image = ImageSize::Stated;
        let grid = circulant_grid::least_grid(gram.span(), prepared.input(), image);
        let hint = if grid <= circulant_grid::GRID_MOST && gram.inner() <= SYMBOL_MOST {
            approx_on_grid(gram, &scale, (grid, grid))
        } else {
            None
        };
        (hint, GramWitness::CirculantGrid { grid, image })
    } else {
        (approx_dense(gram, &scale), GramWitness::Cholesky {})
    };
    let Some(hint) = hint else { return best };
    for margin in MARGINS {
        let lambda = hint * (1.0 + margin) + f64::MIN_POSITIVE;
        if best.as_ref().is_ok_and(|found| found.lambda <= lambda) {
            break;
        }
        let claim = GramClaim {
            lambda,
            witness: witness.clone(),
        };
        if prepared.check_gram(&claim).is_ok() {
            best = Ok(claim);
            break;
        }
    }
    best
}

/// The `λ` of diagonal dominance with the layer's own weights, with room for another machine's last bits.
fn dominance(prepared: &Prepared<'_>) -> Result<GramClaim, CheckError> {
    let lambda = match prepared.layer() {
        Layer::ResidualConv {
            scale: Scale::Stored { factor },
            ..
        }
        | Layer::ResidualDense {
            scale: Scale::Stored { factor },
            ..
        } => {
            let lambda = 1.0 + prepared.excess_up(factor)?;
            lambda + 1e-12 * lambda.abs()
        }
        // The rows have norm 1, so no row sum of their Gram matrix is above their number.
        Layer::NormalizedHead { weight, .. } => weight.rows() as f64 + 1e-9,
        Layer::Dense { .. } | Layer::DenseFormula { .. } => plain_dominance(prepared),
        _ => 1.0 + 1e-9,
    };
    let claim = GramClaim {
        lambda,
        witness: GramWitness::DiagonalDominance { weights: None },
    };
    prepared.check_gram(&claim).map(|()| claim)
}

/// The largest row sum of the Gram matrix of a dense layer, in the unit of its `λ`.
fn plain_dominance(prepared: &Prepared<'_>) -> f64 {
    let Some((gram, scale)) = prepared.approx_condition() else {
        return f64::NAN;
    };
    let active: Vec<bool> = scale.iter().map(|value| *value > 0.0).collect();
    let sums = gram.row_sums(&vec![Interval::ONE; gram.inner()], &active);
    let on = sums.iter().zip(&scale).filter(|(_, scale)| **scale > 0.0);
    let largest = on.map(|(sum, scale)| div_up(sum.hi(), *scale)).fold(0.0, f64::max);
    largest * (1.0 + 1e-12) + f64::MIN_POSITIVE
}
