//! Evidence, and the claims that it was found to prove.
//!
//! A [`LayerClaim`] or [`ChainClaim`] comes from a file, a search or a person and is trusted by nobody. [`LayerCertificate::check`] is the only way to make
//! a [`LayerCertificate`], and [`ChainCertificate::check`] a [`ChainCertificate`], so holding one is the proof.

mod chain;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::CheckError;
use crate::rounding::dense_formula::EnclosedWeight;
use crate::rounding::directed::{min, sqrt_up};
use crate::rounding::factor::{Factor, dominance_weights};
use crate::rounding::gram::{Gram, SmallGram};
use crate::rounding::head::HeadRows;
use crate::rounding::interval::Interval;
use crate::rounding::operator_norm::squared_norm;
use crate::rounding::sandwich::EnclosedSandwich;
use crate::rules;
pub use crate::rules::circulant_grid::ImageSize;
use crate::statement::{Layer, Matrix, Output, Scale, Shape};

pub use chain::{ChainCertificate, ChainClaim, DualVectors};

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
}

impl GramWitness {
    /// Name of the rule, as certificates and reports write it.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::DiagonalDominance { .. } => "diagonal-dominance",
            Self::Cholesky {} => "cholesky",
            Self::CirculantGrid { .. } => "circulant-grid",
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
        }
    }

    /// The inequality inside, if there is one.
    #[must_use]
    pub const fn inside(&self) -> Option<&GramClaim> {
        match self {
            Self::Structural {} | Self::ResidualLmi { .. } => None,
            Self::Formula { inside } => inside.as_ref(),
            Self::Tolerance { inside } | Self::OperatorNorm { inside } | Self::NormalizedRows { inside } => Some(inside),
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

/// A layer with the enclosures that several rules share, so that the large products are done once.
#[derive(Debug)]
pub struct Prepared<'a> {
    layer: &'a Layer,
    input: Shape,
    gram: Option<Gram>,
    /// The layer's own weights of diagonal dominance: `e^q`, or ones.
    weights: Vec<Interval>,
    factor: Option<Factor>,
    head: Option<HeadRows>,
    /// For a dense layer the one number of `T`, see [`SmallGram`].
    plain: Option<f64>,
    /// For a layer with a formula its weight.
    enclosed: Option<Arc<EnclosedWeight>>,
    sandwich: Option<Arc<EnclosedSandwich>>,
}

impl<'a> Prepared<'a> {
    /// Encloses what the rules for this layer need.
    ///
    /// # Errors
    ///
    /// The errors of [`Layer::output_shape`], [`Gram::dense`], [`Gram::lattice`] and [`Factor::new`].
    pub fn new(layer: &'a Layer, input: Shape) -> Result<Self, CheckError> {
        layer.output_shape(input)?;
        let mut prepared = Self {
            layer,
            input,
            gram: None,
            weights: Vec::new(),
            factor: None,
            head: None,
            plain: None,
            enclosed: None,
            sandwich: None,
        };
        match layer {
            Layer::ResidualConv { kernel, scale, .. } => prepared.set(Gram::lattice(kernel)?, scale)?,
            Layer::ResidualDense { weight, scale, .. } => prepared.set(Gram::dense(weight)?, scale)?,
            Layer::NormalizedHead { weight, .. } => {
                prepared.gram = Some(Gram::dense(weight)?);
                prepared.weights = vec![Interval::ONE; weight.rows()];
                prepared.head = Some(HeadRows::new(weight));
            }
            Layer::Dense { weight, .. } => prepared.set_plain(weight)?,
            Layer::DenseFormula { formula, .. } => {
                let enclosed = EnclosedWeight::new(formula)?;
                prepared.set_plain(enclosed.centre())?;
                prepared.enclosed = Some(Arc::new(enclosed));
            }
            Layer::Sandwich(sandwich) => prepared.sandwich = Some(Arc::new(EnclosedSandwich::new(sandwich)?)),
            Layer::Normalize { .. }
            | Layer::PadChannels { .. }
            | Layer::AveragePool { .. }
            | Layer::Flatten
            | Layer::Activation(_)
            | Layer::Elementwise { .. }
            | Layer::ChannelActivation(_)
            | Layer::Groupwise(_)
            | Layer::Paired(_)
            | Layer::Resample(_)
            | Layer::ResidualBlock(_) => {}
        }
        Ok(prepared)
    }

    fn set(&mut self, gram: Gram, scale: &Scale) -> Result<(), CheckError> {
        self.weights = dominance_weights(scale, gram.inner());
        self.factor = Some(match squared_norm(self.layer, self.input)? {
            Some(square) => Factor::uniform(&gram, square)?,
            None => Factor::new(&gram, scale, &self.weights)?,
        });
        self.gram = Some(gram);
        Ok(())
    }

    fn set_plain(&mut self, weight: &Matrix) -> Result<(), CheckError> {
        let SmallGram { gram, scale } = SmallGram::new(weight)?;
        self.weights = vec![Interval::ONE; gram.inner()];
        self.gram = Some(gram);
        self.plain = Some(scale);
        Ok(())
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

    /// The Gram matrix or self-correlation, where the layer has one.
    #[must_use]
    pub const fn gram(&self) -> Option<&Gram> {
        self.gram.as_ref()
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

    /// The diagonal for which the inequality inside is stated, from below, and the active rows.
    fn condition(&self) -> Option<(&Gram, Vec<f64>, Vec<bool>)> {
        let gram = self.gram.as_ref()?;
        match (&self.factor, &self.head, self.plain) {
            (Some(factor), ..) => Some((gram, factor.scale_down(), factor.active().to_vec())),
            (None, Some(head), _) => Some((gram, head.scale_down(), head.active())),
            (None, None, Some(scale)) => {
                let active = (0..gram.inner()).map(|i| !gram.is_zero_row(i));
                Some((gram, vec![scale; gram.inner()], active.collect()))
            }
            (None, None, None) => None,
        }
    }

    /// Approximations of the diagonal `T` of the inequality, `(inner,)`, 0 where a row is off: for whoever looks for `λ`.
    #[must_use]
    pub fn approx_condition(&self) -> Option<(&Gram, Vec<f64>)> {
        let (gram, mut scale, active) = self.condition()?;
        scale
            .iter_mut()
            .zip(&active)
            .filter(|(_, on)| !**on)
            .for_each(|(value, _)| *value = 0.0);
        Some((gram, scale))
    }

    /// Checks an inequality `A Aᵀ ⪯ λ diag(T)` for this layer's own `A` and `T`.
    ///
    /// # Errors
    ///
    /// The first failure found, see [`CheckError`]; [`CheckError::RuleMismatch`] where the layer has no such inequality.
    pub fn check_gram(&self, claim: &GramClaim) -> Result<(), CheckError> {
        let rule = claim.witness.rule();
        let mismatch = CheckError::RuleMismatch {
            rule,
            kind: self.layer.kind(),
        };
        let (gram, scale_down, active) = self.condition().ok_or(mismatch.clone())?;
        let usable = claim.lambda > 0.0 && claim.lambda.is_finite();
        if !usable {
            return Err(CheckError::NotPositive {
                what: "lambda",
                index: 0,
                value: claim.lambda,
            });
        }
        match &claim.witness {
            GramWitness::DiagonalDominance { weights } => {
                let weights = match weights {
                    Some(given) => given.iter().map(|value| Interval::point(*value)).collect(),
                    None => self.weights.clone(),
                };
                rules::diagonal_dominance::check(gram, &weights, &scale_down, &active, claim.lambda)
            }
            GramWitness::Cholesky {} => rules::cholesky::check(gram, &scale_down, &active, claim.lambda),
            GramWitness::CirculantGrid { grid, image } => {
                if !matches!(self.layer, Layer::ResidualConv { .. }) {
                    return Err(mismatch);
                }
                rules::circulant_grid::check(gram, self.input, &scale_down, &active, *grid, *image, claim.lambda)
            }
        }
    }

    /// Proves `A Aᵀ ⪯ (1 + δ) diag(1 / factor)` by diagonal dominance for a factor that some program computed, and returns `δ`.
    ///
    /// `δ` may be negative; only `max(δ, 0)` means something for a Lipschitz bound. Channels with a factor of 0 are off.
    ///
    /// # Errors
    ///
    /// [`CheckError::Shape`], [`CheckError::NotPositive`] for an unusable factor; [`CheckError::RuleMismatch`] for a layer without one.
    pub fn excess_up(&self, factor: &[f64]) -> Result<f64, CheckError> {
        let (Some(gram), Some(_)) = (&self.gram, &self.factor) else {
            return Err(CheckError::RuleMismatch {
                rule: "diagonal-dominance",
                kind: self.layer.kind(),
            });
        };
        if factor.len() != gram.inner() {
            return Err(CheckError::Shape {
                what: "factor",
                expected: vec![gram.inner()],
                found: vec![factor.len()],
            });
        }
        Factor::excess_up(gram, &self.weights, factor)
    }
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
            Witness::OperatorNorm { inside } if prepared.plain.is_some() => {
                let radius = prepared.enclosed().map_or(0.0, EnclosedWeight::radius);
                rules::operator_norm::bound_up(inside.lambda, radius)
            }
            Witness::NormalizedRows { inside } => match &prepared.head {
                Some(head) => rules::last_layer::bound_up(1.0, head, inside.lambda, Output::All)?,
                None => return Err(mismatch()),
            },
            Witness::ResidualLmi { multipliers } => match prepared.layer {
                Layer::ResidualBlock(block) => rules::residual_lmi::bound_up(block, multipliers, claim.lipschitz)?,
                _ => return Err(mismatch()),
            },
            Witness::Tolerance { .. } | Witness::OperatorNorm { .. } => return Err(mismatch()),
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

    /// The enclosed rows, for a normalised head.
    #[must_use]
    pub const fn head(&self) -> Option<&HeadRows> {
        self.head.as_ref()
    }
}
