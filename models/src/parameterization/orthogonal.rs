//! Orthogonal weights, and weights that a finite iteration brings near orthogonal ones.
//!
//! # Source
//!
//! Cayley: Trockman and Kolter, *Orthogonalizing Convolutional Layers with the Cayley Transform*, ICLR 2021. Björck: Anil, Lucas and Grosse, *Sorting out
//! Lipschitz function approximation*, ICML 2019, section 4.2. Householder: Mhammedi et al., *Efficient Orthogonal Parametrisation of Recurrent Neural Networks
//! Using Householder Reflections*, ICML 2017.

use lipcert_proofs::CheckError;
use lipcert_proofs::statement::{self, DenseFormula, Divisor, Matrix, Shape};

use super::{CONVERGENCE, Family, Parameterization, Realization, Standing};

/// The Cayley map of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Cayley {
    /// The parameters, `(m, n)`.
    pub raw: Matrix,
    /// With it the map is that of `alpha · raw / ‖raw‖_F`.
    pub alpha: Option<f64>,
    /// `(m,)`.
    pub bias: Vec<f64>,
}

/// Björck steps after a division by an approximation of the operator norm. Not orthogonal.
#[derive(Clone, Debug, PartialEq)]
pub struct Bjorck {
    /// `W`, `(m, n)`.
    pub raw: Matrix,
    /// By what it is divided first.
    pub divisor: Divisor,
    /// Added to the divisor, not negative.
    pub offset: f64,
    /// The steps.
    pub steps: statement::Bjorck,
    /// `(m,)`.
    pub bias: Vec<f64>,
}

/// A product of reflections.
#[derive(Clone, Debug, PartialEq)]
pub struct Householder {
    /// One vector a row, `(k, n)`, none of them zero.
    pub vectors: Matrix,
    /// `(n,)`.
    pub bias: Vec<f64>,
}

impl Parameterization for Cayley {
    const FAMILY: Family = Family {
        name: "cayley",
        map: "Q x + b, Q = cayley(W)",
        rule: "formula",
        source: "Trockman and Kolter, ICLR 2021",
        standing: Standing::Certified,
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let (raw, alpha) = (self.raw.clone(), self.alpha);
        Realization::of_formula(DenseFormula::Cayley { raw, alpha }, &self.bias, input)
    }
}

impl Parameterization for Bjorck {
    const FAMILY: Family = Family {
        name: "bjorck",
        map: "W_k x + b, W_0 = W / (σ + offset), W_{i+1} = (1 + β) W_i − β W_i W_iᵀ W_i",
        rule: "formula",
        source: "Anil, Lucas and Grosse, ICML 2019, section 4.2",
        standing: Standing::Conditional(CONVERGENCE),
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let formula = DenseFormula::Normalized {
            raw: self.raw.clone(),
            divisor: self.divisor.clone(),
            offset: self.offset,
            bjorck: Some(self.steps),
        };
        Realization::of_formula(formula, &self.bias, input)
    }
}

impl Parameterization for Householder {
    const FAMILY: Family = Family {
        name: "householder-product",
        map: "H_1 ⋯ H_k x + b",
        rule: "formula",
        source: "Mhammedi et al., ICML 2017",
        standing: Standing::Certified,
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let vectors = self.vectors.clone();
        Realization::of_formula(DenseFormula::Householder { vectors }, &self.bias, input)
    }
}
