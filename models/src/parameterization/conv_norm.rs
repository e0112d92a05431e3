//! Convolutions whose bound is the norm of their kernel, and spectral normalisation by a stored number.
//!
//! # Source
//!
//! Miyato et al., *Spectral Normalization for Generative Adversarial Networks*, ICLR 2018. The bound: Delattre et al., ICML 2023 (Gram iteration).

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{GramClaim, GramWitness, LayerClaim, Prepared, Witness};
use lipcert_proofs::rules::{operator_norm, taylor_remainder};
use lipcert_proofs::statement::{ConvFormula, Kernel, Layer, Padding, Shape};

use super::{Family, Parameterization, Realization, Standing};

/// Levels of Gram iteration that are tried; the kernel grows from `k` to `2k − 1` a level.
const STEPS: usize = 3;

/// A convolution with the kernel `P / σ`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// `P`, `(out, in, k, k)`.
    pub raw: Kernel,
    /// `σ`, positive: whatever a power iteration found.
    pub sigma: f64,
    /// `(out,)`.
    pub bias: Vec<f64>,
    /// What lies outside the image.
    pub padding: Padding,
}

impl Parameterization for Conv {
    const FAMILY: Family = Family {
        name: "spectral-conv",
        map: "(P / σ) ∗ x + b",
        rule: "operator-norm",
        source: "Miyato et al., ICLR 2018",
        standing: Standing::Certified,
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let layer = Layer::ConvFormula {
            formula: ConvFormula::Spectral {
                raw: self.raw.clone(),
                sigma: self.sigma,
            },
            bias: self.bias.clone(),
            padding: self.padding,
        };
        by_norm(layer, input)
    }
}

/// A convolution or an exponential of one with the claim that Gram iteration gives.
pub(super) fn by_norm(layer: Layer, input: Shape) -> Result<Realization, CheckError> {
    let claim = claim(&Prepared::new(&layer, input)?)?;
    Ok(Realization::of(layer, claim))
}

fn claim(prepared: &Prepared<'_>) -> Result<LayerClaim, CheckError> {
    let (mut steps, mut lambda) = (1, prepared.gram_iteration_up(1)?);
    for more in 2..=STEPS {
        match prepared.gram_iteration_up(more) {
            Ok(smaller) if smaller < lambda => (steps, lambda) = (more, smaller),
            // No gain, or a kernel that has grown too large.
            _ => break,
        }
    }
    let inside = GramClaim {
        lambda,
        witness: GramWitness::GramIteration { steps },
    };
    let error = prepared.kernel().map_or(0.0, |ball| ball.error_up());
    let norm = operator_norm::bound_up(lambda, error);
    Ok(match prepared.layer() {
        Layer::SkewExponential(exponential) => LayerClaim {
            lipschitz: taylor_remainder::bound_up(norm, exponential.terms),
            witness: Witness::TaylorRemainder { inside },
        },
        _ => LayerClaim {
            lipschitz: norm,
            witness: Witness::OperatorNorm { inside },
        },
    })
}
