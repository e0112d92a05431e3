//! Evidence, and the claims that it was found to prove.
//!
//! A [`LayerClaim`] or [`ChainClaim`] comes from a file, a search or a person and is trusted by nobody. [`LayerCertificate::check`] is the only way to make
//! a [`LayerCertificate`], and [`ChainCertificate::check`] a [`ChainCertificate`], so holding one is the proof.

mod chain;
mod prepared;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::CheckError;
use crate::rounding::dense_formula::EnclosedWeight;
use crate::rounding::directed::{min, sqrt_up};
use crate::rounding::factor::Factor;
use crate::rounding::head::HeadRows;
use crate::rounding::kernel_ball::KernelBall;
use crate::rounding::sandwich::EnclosedSandwich;
use crate::rules;
pub use crate::rules::circulant_grid::ImageSize;
use crate::statement::{Layer, Output, Shape};

pub use chain::{ChainCertificate, ChainClaim, DualVectors};
pub use prepared::Prepared;

/// How an inequality `A Aᵀ ⪯ λ diag(T)` is shown. Untrusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case", deny_unknown_fields)]
pub enum GramWitness {
    /// [`rules::diagonal_dominance`] with the layer's own weights (`e^q`, or ones), or with weights given here.
    DiagonalDominance {
        /// Positive, `(inner,)`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weights: Option<Vec<f64>>,
    },
    /// [`rules::cholesky`], dense only.
    Cholesky {},
    /// [`rules::circulant_grid`], convolutions only.
    CirculantGrid {
        /// Frequencies an axis, a power of two.
        grid: usize,
        /// For which images.
        image: ImageSize,
    },
    /// [`rules::gram_iteration`], where `T` is the identity.
    GramIteration {
        /// Number of squarings, from 1.
        steps: usize,
    },
    /// [`rules::circular_spectrum`], circular convolutions only.
    CircularSpectrum {},
}

impl GramWitness {
    /// Name of the rule, as certificates and reports write it.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::DiagonalDominance { .. } => "diagonal-dominance",
            Self::Cholesky {} => "cholesky",
            Self::CirculantGrid { .. } => "circulant-grid",
            Self::GramIteration { .. } => "gram-iteration",
            Self::CircularSpectrum {} => "circular-spectrum",
        }
    }
}

/// The claim `A Aᵀ ⪯ λ diag(T)` with its evidence. Untrusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GramClaim {
    /// `λ`; `1 − λ` is how far inside the condition the layer lies.
    pub lambda: f64,
    /// How it is shown.
    pub witness: GramWitness,
}

/// Why a layer has its Lipschitz bound. Untrusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Witness {
    /// [`rules::structural`].
    Structural {},
    /// [`rules::formula`]; beside it, how far inside the condition the layer lies.
    Formula {
        /// Not needed for the bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inside: Option<GramClaim>,
    },
    /// [`rules::tolerance`].
    Tolerance {
        /// What the bound follows from.
        inside: GramClaim,
    },
    /// [`rules::operator_norm`]: `W Wᵀ ⪯ λ I`, or `Wᵀ W ⪯ λ I` where `W` has more rows than columns.
    OperatorNorm {
        /// `λ` bounds the square of the norm.
        inside: GramClaim,
    },
    /// [`rules::last_layer`]: `W Wᵀ ⪯ λ diag(max(‖w_i‖, 1e-12)²)`.
    NormalizedRows {
        /// `λ` bounds the square of the norm of the joint map.
        inside: GramClaim,
    },
    /// [`rules::residual_lmi`], for the claimed bound.
    ResidualLmi {
        /// The diagonals `Λ_1, …, Λ_h`, one vector a hidden layer.
        multipliers: Vec<Vec<f64>>,
    },
    /// [`rules::taylor_remainder`]: `L Lᵀ ⪯ λ I` for the skew kernel.
    TaylorRemainder {
        /// `λ` bounds the square of the norm of the skew convolution.
        inside: GramClaim,
    },
}

impl Witness {
    /// Name of the rule, as certificates and reports write it.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Structural {} => "structural",
            Self::Formula { .. } => "formula",
            Self::Tolerance { .. } => "tolerance",
            Self::OperatorNorm { .. } => "operator-norm",
            Self::NormalizedRows { .. } => "normalized-rows",
            Self::ResidualLmi { .. } => "residual-lmi",
            Self::TaylorRemainder { .. } => "taylor-remainder",
        }
    }

    /// The inequality inside, if there is one.
    #[must_use]
    pub const fn inside(&self) -> Option<&GramClaim> {
        match self {
            Self::Structural {} | Self::ResidualLmi { .. } => None,
            Self::Formula { inside } => inside.as_ref(),
            Self::Tolerance { inside } | Self::OperatorNorm { inside } | Self::NormalizedRows { inside } => Some(inside),
            Self::TaylorRemainder { inside } => Some(inside),
        }
    }
}

/// A claimed Lipschitz bound of one layer with its evidence. Untrusted.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerClaim {
    /// The bound.
    pub lipschitz: f64,
    /// Why.
    pub witness: Witness,
}

/// A checked Lipschitz bound of one layer.
#[derive(Clone, Debug)]
pub struct LayerCertificate<'a> {
    layer: &'a Layer,
    input: Shape,
    lipschitz: f64,
    witness: Witness,
    factor: Option<Factor>,
    head: Option<HeadRows>,
    enclosed: Option<Arc<EnclosedWeight>>,
    sandwich: Option<Arc<EnclosedSandwich>>,
    kernel: Option<KernelBall<'a>>,
}

impl<'a> LayerCertificate<'a> {
    /// Checks `claim` for the prepared layer; rounding errors are accounted for.
    ///
    /// # Errors
    ///
    /// The first failure found; see [`CheckError`]. [`CheckError::BoundTooSmall`] if the claimed bound is below what the evidence proves,
    /// NaN included.
    pub fn check(prepared: &Prepared<'a>, claim: LayerClaim) -> Result<Self, CheckError> {
        let mismatch = || CheckError::RuleMismatch {
            rule: claim.witness.rule(),
            kind: prepared.layer.kind(),
        };
        let proved = match &claim.witness {
            Witness::Structural {} => rules::structural::bound_up(prepared.layer)?,
            Witness::Formula { .. } => match (prepared.layer, &prepared.enclosed) {
                (Layer::DenseFormula { formula, .. }, Some(enclosed)) => {
                    rules::dense_formula::bound_up(formula, enclosed.reach())
                }
                _ => rules::formula::bound_up(prepared.layer)?,
            },
            Witness::Tolerance { inside } if prepared.factor.is_some() => rules::tolerance::bound_up(inside.lambda),
            Witness::OperatorNorm { inside } => match (prepared.layer, prepared.plain) {
                (Layer::SkewExponential(_), _) | (_, None) => return Err(mismatch()),
                (_, Some(_)) => rules::operator_norm::bound_up(inside.lambda, prepared.radius_up()),
            },
            Witness::TaylorRemainder { inside } => match (prepared.layer, &prepared.kernel) {
                (Layer::SkewExponential(layer), Some(ball)) => {
                    let norm = rules::operator_norm::bound_up(inside.lambda, ball.error_up());
                    rules::taylor_remainder::bound_up(norm, layer.terms)
                }
                _ => return Err(mismatch()),
            },
            Witness::NormalizedRows { inside } => match &prepared.head {
                Some(head) => rules::last_layer::bound_up(1.0, head, inside.lambda, Output::All)?,
                None => return Err(mismatch()),
            },
            Witness::ResidualLmi { multipliers } => match prepared.layer {
                Layer::ResidualBlock(block) => rules::residual_lmi::bound_up(block, multipliers, claim.lipschitz)?,
                _ => return Err(mismatch()),
            },
            Witness::Tolerance { .. } => return Err(mismatch()),
        };
        if let Some(inside) = claim.witness.inside() {
            prepared.check_gram(inside)?;
        }
        let enough = proved <= claim.lipschitz && claim.lipschitz.is_finite();
        if !enough {
            return Err(CheckError::BoundTooSmall {
                what: "lipschitz",
                claimed: claim.lipschitz,
                proved,
            });
        }
        Ok(Self {
            layer: prepared.layer,
            input: prepared.input,
            lipschitz: claim.lipschitz,
            witness: claim.witness,
            factor: prepared.factor.clone(),
            head: prepared.head.clone(),
            enclosed: prepared.enclosed.clone(),
            sandwich: prepared.sandwich.clone(),
            kernel: prepared.kernel.clone(),
        })
    }

    /// The layer.
    #[must_use]
    pub const fn layer(&self) -> &'a Layer {
        self.layer
    }

    /// The shape that enters the layer.
    #[must_use]
    pub const fn input(&self) -> Shape {
        self.input
    }

    /// Proved upper bound of the Lipschitz constant of the layer, for a head that of the joint map.
    #[must_use]
    pub const fn lipschitz(&self) -> f64 {
        self.lipschitz
    }

    /// Upper bound of `‖T^{-1/2} A‖₂` for a residual layer: 1 by the theorem, or less where the evidence shows it.
    pub(crate) fn condition_norm_up(&self) -> f64 {
        let shown = self.witness.inside().map(|inside| sqrt_up(inside.lambda));
        match (&self.witness, shown) {
            (Witness::Formula { .. }, Some(shown)) => min(shown, 1.0),
            (Witness::Formula { .. }, None) => 1.0,
            (_, Some(shown)) => shown,
            (_, None) => f64::INFINITY,
        }
    }

    /// The evidence.
    #[must_use]
    pub const fn witness(&self) -> &Witness {
        &self.witness
    }

    /// `T` and `1/T`, where the layer has one.
    #[must_use]
    pub const fn factor(&self) -> Option<&Factor> {
        self.factor.as_ref()
    }

    /// The weight that the layer's formula computes, where it has one.
    #[must_use]
    pub fn enclosed(&self) -> Option<&EnclosedWeight> {
        self.enclosed.as_deref()
    }

    /// The weights of a sandwich layer.
    #[must_use]
    pub fn sandwich(&self) -> Option<&EnclosedSandwich> {
        self.sandwich.as_deref()
    }

    /// The kernel of a plain convolution or of an exponential.
    #[must_use]
    pub const fn kernel(&self) -> Option<&KernelBall<'a>> {
        self.kernel.as_ref()
    }

    /// The enclosed rows, for a normalised head.
    #[must_use]
    pub const fn head(&self) -> Option<&HeadRows> {
        self.head.as_ref()
    }
}
