//! Dense layers whose weight is computed from free parameters by a formula.

use super::activation::Activation;
use super::layer::{Q_LIMIT, check_length};
use super::tensor::Matrix;
use crate::error::{CheckError, limit_work};

/// A weight `Ŵ`, `(m, n)`, as a function of the parameters that a file stores. It is the exact real matrix; no float program's result.
///
/// # Source
///
/// | variant | formula | source |
/// |---|---|---|
/// | `Aol` | `Ŵ = P D`, `D_jj = (Σ_i abs(PᵀP)_ij + ε)^{-1/2}` | Prach and Lampert, *Almost-Orthogonal Layers*, ECCV 2022, Theorem 1 |
/// | `Normalized` | `W / (σ + offset)`, then Björck steps | Miyato et al., ICLR 2018; Anil, Lucas and Grosse, ICML 2019, section 4.2 |
/// | `Cayley` | `[(I + A)⁻¹(I − A); −2 V(I + A)⁻¹]`, `A = U − Uᵀ + VᵀV` | Trockman and Kolter, ICLR 2021, section 4 and appendix |
/// | `Householder` | `H_1 H_2 ⋯ H_k`, `H = I − 2 vvᵀ/vᵀv` | Mhammedi et al., ICML 2017 |
#[derive(Clone, Debug, PartialEq)]
pub enum DenseFormula {
    /// Columns divided by `√(Σ_i |PᵀP|_ij + ε)`; a zero column stays zero.
    Aol {
        /// `P`, `(m, n)`.
        raw: Matrix,
        /// `ε ≥ 0`.
        epsilon: f64,
    },
    /// `W / (σ + offset)`, on which Björck steps may follow.
    Normalized {
        /// `W`, `(m, n)`.
        raw: Matrix,
        /// `σ`.
        divisor: Divisor,
        /// Added to `σ`, not negative.
        offset: f64,
        /// The steps, if there are any.
        bjorck: Option<Bjorck>,
    },
    /// The Cayley map of `W = [U; V]`, `U` square; of the transpose where `W` has more columns than rows. With orthonormal columns or rows.
    Cayley {
        /// The parameters, `(m, n)`.
        raw: Matrix,
        /// `W` is `alpha · raw / ‖raw‖_F`; without it `W` is `raw`.
        alpha: Option<f64>,
    },
    /// A product of reflections, `(n, n)`.
    Householder {
        /// One vector a row, `(k, n)`, none of them zero; the first row is the leftmost factor.
        vectors: Matrix,
    },
}

/// What a weight is divided by.
#[derive(Clone, Debug, PartialEq)]
pub enum Divisor {
    /// `‖W‖_F`.
    Frobenius,
    /// `‖W‖₂`, the limit of a power iteration.
    Norm,
    /// A number in the file.
    Stored(f64),
    /// `uᵀ W v` with vectors in the file.
    Vectors {
        /// `u`, `(m,)`.
        left: Vec<f64>,
        /// `v`, `(n,)`.
        right: Vec<f64>,
    },
}

/// Steps `W ← (1 + β) W − β W Wᵀ W`: a finite number of them, so the result need not be orthogonal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bjorck {
    /// `β`, in `[0, 1]`.
    pub beta: f64,
    /// How many steps, at most [`Self::ITERATIONS_MOST`].
    pub iterations: usize,
}

impl Bjorck {
    /// The most steps that are enclosed.
    pub const ITERATIONS_MOST: usize = 1000;

    /// Checks the numbers, and that the steps of a weight `(rows, cols)` can be enclosed.
    ///
    /// # Errors
    ///
    /// [`CheckError::NotFinite`], [`CheckError::NotPositive`] or [`CheckError::OutOfRange`] for `β`, [`CheckError::TooLarge`] for the number of steps,
    /// [`CheckError::TooMuchWork`] for all of them together.
    pub fn check(self, rows: usize, cols: usize) -> Result<(), CheckError> {
        let (beta, iterations, most) = (self.beta, self.iterations, Self::ITERATIONS_MOST);
        not_negative("beta", beta)?;
        in_range("beta", beta, 1.0)?;
        if iterations > most {
            return Err(CheckError::TooLarge {
                what: "iterations",
                entries: iterations as u128,
                most: most as u128,
            });
        }
        limit_work("bjorck", 2 * iterations, [rows, cols, rows.min(cols)])
    }
}

impl DenseFormula {
    /// Name of the kind, as certificates and reports write it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Aol { .. } => "aol",
            Self::Normalized { bjorck: Some(_), .. } => "bjorck",
            Self::Normalized {
                divisor: Divisor::Frobenius,
                ..
            } => "frobenius",
            Self::Normalized { .. } => "spectral",
            Self::Cayley { .. } => "cayley",
            Self::Householder { .. } => "householder-product",
        }
    }

    /// The free parameters.
    #[must_use]
    pub const fn raw(&self) -> &Matrix {
        match self {
            Self::Aol { raw, .. } | Self::Normalized { raw, .. } | Self::Cayley { raw, .. } => raw,
            Self::Householder { vectors } => vectors,
        }
    }

    /// Number of outputs.
    #[must_use]
    pub const fn rows(&self) -> usize {
        match self {
            Self::Householder { vectors } => vectors.cols(),
            _ => self.raw().rows(),
        }
    }

    /// Number of inputs.
    #[must_use]
    pub const fn cols(&self) -> usize {
        self.raw().cols()
    }

    /// Whether the deployed program reaches the formula only in the limit of a power iteration.
    #[must_use]
    pub const fn assumes_convergence(&self) -> bool {
        matches!(
            self,
            Self::Normalized {
                divisor: Divisor::Norm,
                ..
            }
        )
    }

    /// Checks lengths, finiteness and ranges.
    pub(super) fn validate(&self) -> Result<(), CheckError> {
        match self {
            Self::Aol { epsilon, .. } => not_negative("epsilon", *epsilon),
            Self::Normalized {
                raw,
                divisor,
                offset,
                bjorck,
            } => {
                not_negative("offset", *offset)?;
                match divisor {
                    Divisor::Frobenius | Divisor::Norm => {}
                    Divisor::Stored(sigma) => positive("sigma", *sigma)?,
                    Divisor::Vectors { left, right } => {
                        check_length("u", raw.rows(), left)?;
                        check_length("v", raw.cols(), right)?;
                    }
                }
                bjorck.map_or(Ok(()), |steps| steps.check(raw.rows(), raw.cols()))
            }
            Self::Cayley { alpha, .. } => alpha.map_or(Ok(()), |alpha| finite("alpha", alpha)),
            Self::Householder { vectors } => {
                let zero = |i: &usize| vectors.row(*i).iter().all(|value| *value == 0.0);
                match (0..vectors.rows()).find(zero) {
                    Some(index) => Err(CheckError::NotPositive {
                        what: "norm of a vector",
                        index,
                        value: 0.0,
                    }),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The layer `x ↦ √2 Aᵀ Ψ σ(√2 Ψ⁻¹ B x + b)` with `[A B]` the Cayley map of the weight, `Ψ = diag(e^ψ)`.
///
/// # Source
///
/// Wang and Manchester, *Direct Parameterization of Lipschitz-Bounded Deep Networks*, ICML 2023, section 3 (`d` there is `ψ` here).
#[derive(Clone, Debug, PartialEq)]
pub struct Sandwich {
    /// `(q, q + p)`: `A` is made of the first `q` columns of its Cayley map, `B` of the others.
    pub weight: Matrix,
    /// As in [`DenseFormula::Cayley`].
    pub alpha: Option<f64>,
    /// `(q,)`, at most [`Q_LIMIT`] in magnitude.
    pub psi: Vec<f64>,
    /// `(q,)`.
    pub bias: Vec<f64>,
    /// Its slopes must lie in `[0, 1]`.
    pub activation: Activation,
}

impl Sandwich {
    /// Number of inputs, `p`.
    #[must_use]
    pub const fn inputs(&self) -> usize {
        self.weight.cols().saturating_sub(self.weight.rows())
    }

    /// Number of outputs, `q`.
    #[must_use]
    pub const fn outputs(&self) -> usize {
        self.weight.rows()
    }

    /// Checks lengths, finiteness, ranges and the slopes.
    pub(super) fn validate(&self) -> Result<(), CheckError> {
        let q = self.outputs();
        if self.inputs() == 0 {
            return Err(CheckError::Shape {
                what: "weight",
                expected: vec![q, q + 1],
                found: vec![q, self.weight.cols()],
            });
        }
        check_length("psi", q, &self.psi)?;
        check_length("bias", q, &self.bias)?;
        self.alpha.map_or(Ok(()), |alpha| finite("alpha", alpha))?;
        for (index, value) in self.psi.iter().enumerate() {
            in_range("psi", *value, Q_LIMIT).map_err(|cause| match cause {
                CheckError::OutOfRange { what, value, limit, .. } => CheckError::OutOfRange {
                    what,
                    index,
                    value,
                    limit,
                },
                other => other,
            })?;
        }
        let (least, most) = self.activation.slopes();
        let covered = least >= 0.0 && most <= 1.0 && matches!(self.activation, Activation::Relu | Activation::LeakyRelu { .. });
        if covered {
            Ok(())
        } else {
            Err(CheckError::RuleMismatch {
                rule: "sandwich",
                kind: "activation with slopes outside [0, 1]",
            })
        }
    }
}

fn finite(what: &'static str, value: f64) -> Result<(), CheckError> {
    if value.is_finite() {
        Ok(())
    } else {
        Err(CheckError::NotFinite { what, index: Vec::new() })
    }
}

fn not_negative(what: &'static str, value: f64) -> Result<(), CheckError> {
    finite(what, value)?;
    if value >= 0.0 {
        Ok(())
    } else {
        Err(CheckError::NotPositive { what, index: 0, value })
    }
}

fn positive(what: &'static str, value: f64) -> Result<(), CheckError> {
    finite(what, value)?;
    if value > 0.0 {
        Ok(())
    } else {
        Err(CheckError::NotPositive { what, index: 0, value })
    }
}

fn in_range(what: &'static str, value: f64, limit: f64) -> Result<(), CheckError> {
    if value.abs() <= limit {
        Ok(())
    } else {
        Err(CheckError::OutOfRange {
            what,
            index: 0,
            value,
            limit,
        })
    }
}
