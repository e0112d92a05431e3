//! Layers whose weight is computed from free parameters.

use lipcert_proofs::statement::{Activation, DenseFormula, Divisor, Layer, Matrix, Sandwich};

use super::Builder;
use crate::architecture::{DivisorPlan, FormulaPlan};
use crate::error::ModelError;

impl Builder<'_> {
    /// The layer of a formula, for a weight of shape `(outputs, features)`.
    pub(super) fn formula(
        &self,
        name: &str,
        formula: FormulaPlan,
        [outputs, features]: [usize; 2],
        bias: bool,
    ) -> Result<Layer, ModelError> {
        Ok(Layer::DenseFormula {
            formula: self.parameters(name, formula, outputs, features)?,
            bias: if bias { self.read(name, "bias")? } else { vec![0.0; outputs] },
        })
    }

    /// A sandwich layer.
    pub(super) fn sandwich(
        &self,
        name: &str,
        activation: Activation,
        [outputs, features]: [usize; 2],
        alpha: bool,
    ) -> Result<Layer, ModelError> {
        Ok(Layer::Sandwich(Sandwich {
            weight: self.matrix(name, "weight", outputs, outputs + features)?,
            alpha: alpha.then(|| self.number(name, "alpha")).transpose()?,
            psi: self.read(name, "psi")?,
            bias: self.read(name, "bias")?,
            activation,
        }))
    }

    fn parameters(&self, name: &str, formula: FormulaPlan, outputs: usize, features: usize) -> Result<DenseFormula, ModelError> {
        let weight = || self.matrix(name, "weight", outputs, features);
        Ok(match formula {
            FormulaPlan::Aol { epsilon } => DenseFormula::Aol { raw: weight()?, epsilon },
            FormulaPlan::Normalized { divisor, offset, bjorck } => DenseFormula::Normalized {
                raw: weight()?,
                divisor: match divisor {
                    DivisorPlan::Frobenius => Divisor::Frobenius,
                    DivisorPlan::Norm => Divisor::Norm,
                    DivisorPlan::Stored => Divisor::Stored(self.number(name, "sigma")?),
                    DivisorPlan::Vectors => Divisor::Vectors {
                        left: self.read(name, "u")?,
                        right: self.read(name, "v")?,
                    },
                },
                offset,
                bjorck,
            },
            FormulaPlan::Cayley { alpha } => DenseFormula::Cayley {
                raw: weight()?,
                alpha: alpha.then(|| self.number(name, "alpha")).transpose()?,
            },
            FormulaPlan::Householder { vectors } => DenseFormula::Householder {
                vectors: self.matrix(name, "vectors", vectors, features)?,
            },
        })
    }

    fn matrix(&self, name: &str, field: &'static str, rows: usize, cols: usize) -> Result<Matrix, ModelError> {
        Matrix::new(field, rows, cols, self.read(name, field)?).map_err(|cause| self.refuse(name, cause))
    }

    /// A tensor of one number.
    fn number(&self, name: &str, field: &str) -> Result<f64, ModelError> {
        Ok(self.read(name, field)?[0])
    }
}
