//! What a layer's rules share.

use std::sync::Arc;

use super::{GramClaim, GramWitness, ImageSize};
use crate::error::CheckError;
use crate::rounding::dense_formula::EnclosedWeight;
use crate::rounding::directed::div_up;
use crate::rounding::factor::{Factor, dominance_weights};
use crate::rounding::gram::Gram;
use crate::rounding::head::HeadRows;
use crate::rounding::interval::Interval;
use crate::rounding::iteration::squared_norm_up;
use crate::rounding::kernel_ball::KernelBall;
use crate::rounding::operator_norm::squared_norm;
use crate::rounding::sandwich::EnclosedSandwich;
use crate::rounding::small_gram::SmallGram;
use crate::rules;
use crate::statement::{Layer, Matrix, Padding, Scale, Shape};

/// A layer with the enclosures that several rules share, so that the large products are done once.
#[derive(Debug)]
pub struct Prepared<'a> {
    pub(super) layer: &'a Layer,
    pub(super) input: Shape,
    gram: Option<Gram>,
    /// The layer's own weights of diagonal dominance: `e^q`, or ones.
    weights: Vec<Interval>,
    pub(super) factor: Option<Factor>,
    pub(super) head: Option<HeadRows>,
    /// For a dense layer or a plain convolution the one number of `T`, see [`SmallGram`].
    pub(super) plain: Option<f64>,
    /// For a layer with a formula its weight.
    pub(super) enclosed: Option<Arc<EnclosedWeight>>,
    pub(super) sandwich: Option<Arc<EnclosedSandwich>>,
    pub(super) kernel: Option<KernelBall<'a>>,
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
            kernel: KernelBall::of(layer)?,
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
            Layer::Convolution { .. } | Layer::ConvFormula { .. } | Layer::SkewExponential(_) => prepared.set_kernel()?,
        }
        Ok(prepared)
    }

    fn set_kernel(&mut self) -> Result<(), CheckError> {
        if let Some(ball) = &self.kernel {
            let SmallGram { gram, scale } = SmallGram::lattice(ball.approx())?;
            self.weights = vec![Interval::ONE; gram.inner()];
            self.gram = Some(gram);
            self.plain = Some(scale);
        }
        Ok(())
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

    /// Upper bound of the distance between the exact weight or kernel and the one whose Gram matrix is checked.
    pub(super) fn radius_up(&self) -> f64 {
        match (&self.enclosed, &self.kernel) {
            (Some(weight), _) => weight.radius(),
            (None, Some(kernel)) => kernel.error_up(),
            (None, None) => 0.0,
        }
    }

    /// The weight that the layer's formula computes, where it has one.
    #[must_use]
    pub fn enclosed(&self) -> Option<&EnclosedWeight> {
        self.enclosed.as_deref()
    }

    /// The kernel of a plain convolution or of an exponential.
    #[must_use]
    pub const fn kernel(&self) -> Option<&KernelBall<'a>> {
        self.kernel.as_ref()
    }

    /// The smallest `λ` that [`rules::gram_iteration`] proves in so many steps, for a layer whose `T` is the identity.
    ///
    /// # Errors
    ///
    /// [`CheckError::RuleMismatch`] for other layers; [`CheckError::TooLarge`] if a kernel has grown too large.
    pub fn gram_iteration_up(&self, steps: usize) -> Result<f64, CheckError> {
        match (&self.gram, self.plain) {
            (Some(gram), Some(scale)) => Ok(div_up(squared_norm_up(gram, steps)?, scale).next_up()),
            _ => Err(CheckError::RuleMismatch {
                rule: "gram-iteration",
                kind: self.layer.kind(),
            }),
        }
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
                let covered = match self.layer.padding() {
                    Some(Padding::Zero) => true,
                    // All frequencies, so every torus too.
                    Some(Padding::Circular) => *image == ImageSize::Any,
                    None => false,
                };
                if !covered {
                    return Err(mismatch);
                }
                rules::circulant_grid::check(gram, self.input, &scale_down, &active, *grid, *image, claim.lambda)
            }
            GramWitness::GramIteration { steps } => match self.plain {
                Some(scale) => rules::gram_iteration::check(gram, scale, *steps, claim.lambda),
                None => Err(mismatch),
            },
            GramWitness::CircularSpectrum {} => {
                if self.layer.padding() != Some(Padding::Circular) {
                    return Err(mismatch);
                }
                rules::circular_spectrum::check(gram, self.input, &scale_down, &active, claim.lambda)
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
