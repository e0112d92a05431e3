//! The diagonal `T` of a residual layer and the factor `1/T` that the forward pass multiplies with, enclosed.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::directed::{max, mul_up, sub_up};
use super::gram::Gram;
use super::interval::Interval;
use super::spectral::{SCALE_LEAST, SCALE_MOST};
use crate::error::CheckError;
use crate::statement::Scale;

/// `T` and `1/T` of one residual layer.
///
/// A channel is off where the row of `A` is zero (`T = 0` by formula) or the stored factor is exactly 0; it leaves the condition
/// and contributes nothing to the layer.
#[derive(Clone, Debug)]
pub struct Factor {
    scale: Vec<Interval>,
    approx: Vec<f64>,
    active: Vec<bool>,
    relative_error: f64,
}

impl Factor {
    /// Encloses `T` from the layer's own formula, or from the factor that the file stores. `weights` are those of the formula.
    ///
    /// # Errors
    ///
    /// - [`CheckError::NotPositive`] if `T` of a non-zero row could not be bounded away from zero.
    /// - [`CheckError::NotFinite`] if `T` lies outside the range for which the rules are stated, about 1e-200 to 1e200.
    pub fn new(gram: &Gram, scale: &Scale, weights: &[Interval]) -> Result<Self, CheckError> {
        let inner = gram.inner();
        match scale {
            Scale::RowSum { .. } | Scale::Weighted { .. } => {
                let active: Vec<bool> = (0..inner).map(|i| !gram.is_zero_row(i)).collect();
                let sums = gram.row_sums(weights, &active);
                Self::build("T", sums, active, None)
            }
            Scale::Stored { factor } => {
                let enclosed = factor
                    .iter()
                    .map(|value| Interval::ONE.div(Interval::point(*value)))
                    .collect();
                let active = factor.iter().map(|value| *value > 0.0).collect();
                Self::build("1 / factor", enclosed, active, Some(factor))
            }
            Scale::Norm | Scale::Frobenius => Err(CheckError::RuleMismatch {
                rule: "row-sum",
                kind: "cpl",
            }),
        }
    }

    /// Checks the range of `T` and rounds `1/T`, unless it is given.
    fn build(what: &'static str, enclosed: Vec<Interval>, active: Vec<bool>, stored: Option<&[f64]>) -> Result<Self, CheckError> {
        let inner = enclosed.len();
        let mut approx = vec![0.0; inner];
        let mut relative_error = 0.0;
        for index in (0..inner).filter(|index| active[*index]) {
            let value = enclosed[index];
            let positive = value.lo() > 0.0;
            if !positive {
                return Err(CheckError::NotPositive {
                    what,
                    index,
                    value: value.lo(),
                });
            }
            let in_range = value.lo() >= SCALE_LEAST && value.hi() <= SCALE_MOST;
            if !in_range {
                return Err(CheckError::NotFinite {
                    what,
                    index: vec![index],
                });
            }
            if let Some(factor) = stored {
                approx[index] = factor[index];
            } else {
                approx[index] = 1.0 / value.mid();
                let product = Interval::point(approx[index]).mul(value);
                let error = max(sub_up(product.hi(), 1.0), sub_up(1.0, product.lo()));
                relative_error = max(relative_error, error);
            }
        }
        Ok(Self {
            scale: enclosed,
            approx,
            active,
            relative_error,
        })
    }

    /// `T = square · I` on the rows that are not zero.
    ///
    /// # Errors
    ///
    /// Those of [`Factor::new`].
    pub(crate) fn uniform(gram: &Gram, square: Interval) -> Result<Self, CheckError> {
        let active = (0..gram.inner()).map(|i| !gram.is_zero_row(i)).collect();
        Self::build("T", vec![square; gram.inner()], active, None)
    }

    /// Enclosures of `T`, `(inner,)`; not meaningful where the channel is off.
    #[must_use]
    pub fn scale(&self) -> &[Interval] {
        &self.scale
    }

    /// Lower bounds of `T`, `(inner,)`.
    #[must_use]
    pub fn scale_down(&self) -> Vec<f64> {
        self.scale.iter().map(|value| value.lo()).collect()
    }

    /// The float64 factors `1/T` of the forward pass, 0 where the channel is off.
    #[must_use]
    pub fn approx(&self) -> &[f64] {
        &self.approx
    }

    /// Which channels are on.
    #[must_use]
    pub fn active(&self) -> &[bool] {
        &self.active
    }

    /// Upper bound of `|approx_i · T_i − 1|` over the channels that are on.
    #[must_use]
    pub const fn relative_error_up(&self) -> f64 {
        self.relative_error
    }

    /// The same layer with the factor that some program computes, `(inner,)`; for the excess of that factor.
    pub(crate) fn excess_up(gram: &Gram, weights: &[Interval], factor: &[f64]) -> Result<f64, CheckError> {
        let active: Vec<bool> = factor.iter().map(|value| *value > 0.0).collect();
        let sums = gram.row_sums(weights, &active);
        let mut largest = -1.0;
        for (index, value) in factor.iter().enumerate() {
            let valid = *value >= 0.0 && value.is_finite();
            if !valid {
                return Err(CheckError::NotPositive {
                    what: "factor",
                    index,
                    value: *value,
                });
            }
            if active[index] {
                largest = max(largest, sub_up(mul_up(sums[index].hi(), *value), 1.0));
            }
        }
        Ok(largest)
    }
}

/// The positive weights under which the layer's own `T` is a row sum: `e^{q}`, or ones.
pub(crate) fn dominance_weights(scale: &Scale, inner: usize) -> Vec<Interval> {
    match scale {
        Scale::Weighted { q } => q.iter().map(|value| Interval::point(*value).exp()).collect(),
        Scale::RowSum { .. } | Scale::Stored { .. } | Scale::Norm | Scale::Frobenius => vec![Interval::ONE; inner],
    }
}
