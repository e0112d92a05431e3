//! Plans of dense layers whose weight is computed from free parameters.

use lipcert_proofs::statement::{Activation, Bjorck};

use super::declared::Parameters;
use super::{ArchitectureError, Plan};

/// Which formula, and which of its parameters are in the file; see [`lipcert_proofs::statement::DenseFormula`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FormulaPlan {
    /// Columns scaled by the row sums of the Gram matrix: `weight`.
    Aol {
        /// Added to the sums.
        epsilon: f64,
    },
    /// Divided, and perhaps followed by Björck steps: `weight`, and what belongs to the divisor.
    Normalized {
        /// By what.
        divisor: DivisorPlan,
        /// Added to the divisor.
        offset: f64,
        /// The steps.
        bjorck: Option<Bjorck>,
    },
    /// A Cayley map: `weight`, and `alpha` if it is there.
    Cayley {
        /// Whether there is a tensor `alpha`.
        alpha: bool,
    },
    /// A product of reflections: `vectors`.
    Householder {
        /// How many.
        vectors: usize,
    },
}

/// What a weight is divided by; see [`lipcert_proofs::statement::Divisor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DivisorPlan {
    /// Its Frobenius norm.
    Frobenius,
    /// Its operator norm; a tensor `u` without a `v` is where a power iteration starts, and is not read.
    Norm,
    /// The tensor `sigma`.
    Stored,
    /// `uᵀ W v` with the tensors `u` and `v`.
    Vectors,
}

impl FormulaPlan {
    /// Takes the tensors out of the map and reads the sizes off them.
    pub(super) fn plan(self, parameters: &mut Parameters<'_, '_>) -> Result<Plan, ArchitectureError> {
        let (formula, outputs, features) = match self {
            Self::Householder { .. } => {
                let shape = parameters.take("vectors", &[&[0, 0]])?;
                (Self::Householder { vectors: shape[0] }, shape[1], shape[1])
            }
            Self::Cayley { .. } => {
                let shape = parameters.take("weight", &[&[0, 0]])?;
                let alpha = parameters.find("alpha", &[&[], &[1]])?.is_some();
                (Self::Cayley { alpha }, shape[0], shape[1])
            }
            Self::Aol { .. } => {
                let shape = parameters.take("weight", &[&[0, 0]])?;
                (self, shape[0], shape[1])
            }
            Self::Normalized { divisor, offset, bjorck } => {
                let shape = parameters.take("weight", &[&[0, 0]])?;
                let divisor = match divisor {
                    DivisorPlan::Frobenius => divisor,
                    _ => found_divisor(parameters, shape[0], shape[1])?,
                };
                (Self::Normalized { divisor, offset, bjorck }, shape[0], shape[1])
            }
        };
        let bias = parameters.find("bias", &[&[outputs], &[1, outputs]])?.is_some();
        Ok(Plan::Formula {
            formula,
            outputs,
            features,
            bias,
        })
    }
}

/// The names under which PyTorch stores a parameter of a spectrally normalised layer: those of `torch.nn.utils.parametrizations.spectral_norm` and of
/// `torch.nn.utils.spectral_norm`. In evaluation both divide by `uᵀ W v` with the stored vectors.
pub(crate) fn torch_names(layer: &str, field: &str) -> Vec<String> {
    let fields = match field {
        "weight" => ["parametrizations.weight.original", "weight_orig"],
        "u" => ["parametrizations.weight.0._u", "weight_u"],
        "v" => ["parametrizations.weight.0._v", "weight_v"],
        _ => return Vec::new(),
    };
    fields.iter().map(|field| format!("{layer}.{field}")).collect()
}

/// Which divisor the tensors are for: `sigma`, or `u` and `v`, or none of them.
fn found_divisor(parameters: &mut Parameters<'_, '_>, outputs: usize, features: usize) -> Result<DivisorPlan, ArchitectureError> {
    if parameters.find("sigma", &[&[], &[1]])?.is_some() {
        return Ok(DivisorPlan::Stored);
    }
    let left = parameters.find("u", &[&[outputs]])?.is_some();
    let right = left && parameters.find("v", &[&[features]])?.is_some();
    Ok(if right { DivisorPlan::Vectors } else { DivisorPlan::Norm })
}

/// A sandwich layer: `weight`, `psi`, `bias`, and `alpha` if it is there.
pub(super) fn sandwich(activation: Activation, parameters: &mut Parameters<'_, '_>) -> Result<Plan, ArchitectureError> {
    let shape = parameters.take("weight", &[&[0, 0]])?;
    let (outputs, columns) = (shape[0], shape[1]);
    let Some(features) = columns.checked_sub(outputs).filter(|features| *features > 0) else {
        return Err(ArchitectureError::Shape {
            tensor: parameters.name("weight"),
            expected: vec![outputs, outputs + 1],
            found: shape,
        });
    };
    let alpha = parameters.find("alpha", &[&[], &[1]])?.is_some();
    parameters.take("psi", &[&[outputs]])?;
    parameters.take("bias", &[&[outputs], &[1, outputs]])?;
    Ok(Plan::Sandwich {
        activation,
        outputs,
        features,
        alpha,
    })
}
