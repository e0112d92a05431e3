//! Plain convolutions from their tensors.

use lipcert_proofs::statement::{ConvFormula, Kernel, Layer, Padding, SkewDivisor, SkewExponential};

use super::Builder;
use crate::architecture::KernelKind;
use crate::error::ModelError;

impl Builder<'_> {
    /// Reads the tensors of a convolution; without a bias it is zero.
    pub(super) fn convolution(
        &self,
        name: &str,
        kind: KernelKind,
        [outputs, channels, size]: [usize; 3],
        bias: bool,
        padding: Padding,
    ) -> Result<Layer, ModelError> {
        let raw = Kernel::new("weight", outputs, channels, size, self.read(name, "weight")?)
            .map_err(|cause| self.refuse(name, cause))?;
        let bias = if bias { self.read(name, "bias")? } else { vec![0.0; outputs] };
        let sigma = || self.read(name, "sigma").map(|values| values[0]);
        let formula = match kind {
            KernelKind::Plain => {
                return Ok(Layer::Convolution {
                    kernel: raw,
                    bias,
                    padding,
                });
            }
            KernelKind::Skew { terms, stored } => {
                let divisor = if stored {
                    SkewDivisor::Stored(sigma()?)
                } else {
                    SkewDivisor::LeastNorm
                };
                return Ok(Layer::SkewExponential(SkewExponential {
                    raw,
                    divisor,
                    terms,
                    bias,
                    padding,
                }));
            }
            KernelKind::Aol { epsilon } => ConvFormula::Aol { raw, epsilon },
            KernelKind::LinearResidual => ConvFormula::LinearResidual { raw },
            KernelKind::Spectral => ConvFormula::Spectral { raw, sigma: sigma()? },
        };
        Ok(Layer::ConvFormula { formula, bias, padding })
    }
}
