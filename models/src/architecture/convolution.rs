//! Plain convolutions in a declaration: their kinds, paddings and tensors.

use lipcert_proofs::statement::Padding;
use serde::{Deserialize, Serialize};

use super::declared::Parameters;
use super::{ArchitectureError, Plan};

/// Where the kernel of a convolution comes from; see [`lipcert_proofs::statement::ConvFormula`] and
/// [`lipcert_proofs::statement::SkewExponential`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KernelKind {
    /// The tensor `weight` itself.
    Plain,
    /// Almost-orthogonal, from `weight`.
    Aol {
        /// What is added to each sum.
        epsilon: f64,
    },
    /// The identity is added to `weight`.
    LinearResidual,
    /// `weight` divided by `sigma`.
    Spectral,
    /// The exponential of the skew part of `weight`.
    Skew {
        /// Number of terms, the identity included.
        terms: usize,
        /// Whether the divisor is the tensor `sigma`; else the least of four norms.
        stored: bool,
    },
}

/// The paddings that a declaration may name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DeclaredPadding {
    #[default]
    Zero,
    Circular,
    Reflect,
    Replicate,
}

impl DeclaredPadding {
    pub(super) const fn of(padding: Padding) -> Self {
        match padding {
            Padding::Zero => Self::Zero,
            Padding::Circular => Self::Circular,
        }
    }

    pub(super) const fn is_zero(&self) -> bool {
        matches!(self, Self::Zero)
    }

    fn padding(self, layer: &str) -> Result<Padding, ArchitectureError> {
        let refuse = |padding| {
            let layer = layer.to_owned();
            Err(ArchitectureError::Padding { layer, padding })
        };
        match self {
            Self::Zero => Ok(Padding::Zero),
            Self::Circular => Ok(Padding::Circular),
            Self::Reflect => refuse("reflect"),
            Self::Replicate => refuse("replicate"),
        }
    }
}

/// Takes the tensors of a convolution: `weight`, `bias` or none, and `sigma` where the kind has it.
pub(super) fn plan(
    parameters: &mut Parameters<'_, '_>,
    kernel: KernelKind,
    padding: DeclaredPadding,
) -> Result<Plan, ArchitectureError> {
    let layer = parameters.layer().to_owned();
    let padding = padding.padding(&layer)?;
    let weight = parameters.take("weight", &[&[0, 0, 0, 0]])?;
    let (outputs, channels, size) = (weight[0], weight[1], weight[2]);
    let square = matches!(kernel, KernelKind::LinearResidual | KernelKind::Skew { .. });
    if weight[3] != size || (square && outputs != channels) {
        let outputs = if square { channels } else { outputs };
        return Err(ArchitectureError::Shape {
            tensor: format!("{layer}.weight"),
            expected: vec![outputs, channels, size, size],
            found: weight,
        });
    }
    let bias = parameters.find("bias", &[&[outputs], &[1, outputs, 1, 1]])?.is_some();
    let number: &[&[usize]] = &[&[], &[1]];
    let kernel = match kernel {
        KernelKind::Spectral => {
            parameters.take("sigma", number)?;
            kernel
        }
        KernelKind::Skew { terms, .. } => {
            // The vectors of the deployed power iteration.
            for buffer in ["_u1", "_v1", "_u2", "_v2", "_u3", "_v3", "_u4", "_v4"] {
                parameters.pass_over(buffer);
            }
            KernelKind::Skew {
                terms,
                stored: parameters.find("sigma", number)?.is_some(),
            }
        }
        KernelKind::Plain | KernelKind::Aol { .. } | KernelKind::LinearResidual => kernel,
    };
    Ok(Plan::Convolution {
        kernel,
        outputs,
        channels,
        size,
        bias,
        padding,
    })
}
