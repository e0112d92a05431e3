//! The kernel of a convolution as float64 numbers with a bound of what they miss.
//!
//! A formula is evaluated entry by entry in interval arithmetic; the middles are the centre. The operator of the exact kernel differs from that of the
//! centre by at most `√(largest row sum · largest column sum)` of the radii (Schur), on every image and under zero or circular padding.

#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use std::borrow::Cow;

use super::directed::{add_up, max, mul_up, sqrt_up};
use super::gram::Gram;
use super::interval::Interval;
use super::least_norm::least_norm;
use crate::error::CheckError;
use crate::statement::{ConvFormula, Kernel, Layer, SkewDivisor, SkewExponential};

/// A kernel and how far the exact one is from it.
#[derive(Clone, Debug)]
pub struct KernelBall<'a> {
    kernel: Cow<'a, Kernel>,
    error: f64,
}

impl<'a> KernelBall<'a> {
    /// Encloses the kernel of a layer; nothing for a layer that is no convolution of one kernel.
    ///
    /// # Errors
    ///
    /// Those of [`Gram::lattice`]; [`CheckError::NotFinite`] if an entry cannot be enclosed; [`CheckError::NotSemidefinite`] if a norm cannot.
    pub fn of(layer: &'a Layer) -> Result<Option<Self>, CheckError> {
        match layer {
            Layer::Convolution { kernel, .. } => Ok(Some(Self {
                kernel: Cow::Borrowed(kernel),
                error: 0.0,
            })),
            Layer::ConvFormula { formula, .. } => Self::of_formula(formula).map(Some),
            Layer::SkewExponential(layer) => Self::skew(layer).map(Some),
            _ => Ok(None),
        }
    }

    fn of_formula(formula: &ConvFormula) -> Result<Self, CheckError> {
        let raw = formula.raw();
        let (channels, area) = (raw.channels(), raw.size() * raw.size());
        let entries = raw.data().iter().map(|value| Interval::point(*value));
        match formula {
            ConvFormula::Aol { epsilon, .. } => {
                let factors = aol_factors(raw, *epsilon)?;
                Self::around(
                    raw,
                    entries
                        .enumerate()
                        .map(|(flat, entry)| entry.mul(factors[flat / area % channels])),
                )
            }
            ConvFormula::LinearResidual { .. } => Self::around(
                raw,
                entries.enumerate().map(|(flat, entry)| {
                    let same = flat / area % channels == flat / area / channels;
                    if same && flat % area == area / 2 {
                        entry.add(Interval::ONE)
                    } else {
                        entry
                    }
                }),
            ),
            ConvFormula::Spectral { sigma, .. } => Self::around(raw, entries.map(|entry| entry.div(Interval::point(*sigma)))),
        }
    }

    /// `(M − Mᵀ) / (2σ)`. The centre is exactly skew: a rounded difference changes its sign with its operands.
    fn skew(layer: &SkewExponential) -> Result<Self, CheckError> {
        let raw = &layer.raw;
        let adjoint = raw.adjoint();
        let skew: Vec<Interval> = raw
            .data()
            .iter()
            .zip(adjoint.data())
            .map(|(a, b)| Interval::point(*a).sub(Interval::point(*b)).div(Interval::integer(2)))
            .collect();
        let divisor = match layer.divisor {
            SkewDivisor::Stored(divisor) => Interval::point(divisor),
            SkewDivisor::LeastNorm => {
                let Self { kernel, .. } = Self::around(raw, skew.iter().copied())?;
                let radii = skew
                    .iter()
                    .zip(kernel.data())
                    .map(|(exact, centre)| exact.distance_up(*centre));
                let frobenius = sqrt_up(radii.fold(0.0, |sum, radius| add_up(sum, mul_up(radius, radius))));
                least_norm(&kernel)?.add(Interval::between(-frobenius, frobenius))
            }
        };
        Self::around(raw, skew.into_iter().map(|entry| entry.div(divisor)))
    }

    /// The ball around the middles of `entries`, in the shape of `raw`.
    fn around(raw: &Kernel, entries: impl Iterator<Item = Interval>) -> Result<Self, CheckError> {
        let (inner, channels, size) = (raw.inner(), raw.channels(), raw.size());
        let (mut rows, mut cols) = (vec![0.0; inner], vec![0.0; channels]);
        let mut data = Vec::with_capacity(raw.data().len());
        for (flat, entry) in entries.enumerate() {
            let centre = entry.mid();
            let radius = entry.distance_up(centre);
            let (row, col) = (flat / (channels * size * size), flat / (size * size) % channels);
            rows[row] = add_up(rows[row], radius);
            cols[col] = add_up(cols[col], radius);
            data.push(centre);
        }
        let largest = |sums: Vec<f64>| sums.into_iter().fold(0.0, max);
        Ok(Self {
            kernel: Cow::Owned(Kernel::new("kernel", inner, channels, size, data)?),
            error: sqrt_up(mul_up(largest(rows), largest(cols))),
        })
    }

    /// The centre, `(out, in, k, k)`.
    #[must_use]
    pub fn approx(&self) -> &Kernel {
        &self.kernel
    }

    /// Upper bound of the norm of the difference between the exact convolution and that with the centre.
    #[must_use]
    pub const fn error_up(&self) -> f64 {
        self.error
    }
}

/// Encloses `d_c = (Σ |R_cc'(s)| + ε)^{−1/2}`, an input channel; 1 for a zero channel, where it does not matter.
fn aol_factors(raw: &Kernel, epsilon: f64) -> Result<Vec<Interval>, CheckError> {
    let gram = Gram::lattice(&raw.adjoint())?;
    let channels = gram.inner();
    let sums = gram.row_sums(&vec![Interval::ONE; channels], &vec![true; channels]);
    let factors = sums.into_iter().enumerate().map(|(channel, sum)| {
        if gram.is_zero_row(channel) {
            Interval::ONE
        } else {
            Interval::ONE.div(sum.add(Interval::point(epsilon)).sqrt())
        }
    });
    Ok(factors.collect())
}
