//! Scalar activations: one function for all entries, or one for each unit.

use super::network::Shape;
use super::tensor::check_finite;
use crate::error::CheckError;

/// A scalar activation with a known range of slopes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `max(v, 0)`: slopes in `[0, 1]`.
    Relu,
    /// `v` for `v ≥ 0`, else `slope · v`: slopes between `slope` and 1, in either order.
    LeakyRelu {
        /// The factor of negative arguments, any finite number.
        slope: f64,
    },
    /// `|v|`: slopes in `[−1, 1]`.
    Abs,
    /// `(eᵛ − e⁻ᵛ) / (eᵛ + e⁻ᵛ)`: slopes in `[0, 1]`.
    Tanh,
    /// `1 / (1 + e⁻ᵛ)`: slopes in `[0, 1/4]`.
    Sigmoid,
    /// `ln(1 + e^{βv}) / β` for every `v`: slopes in `[0, 1]`.
    Softplus {
        /// `β`, positive.
        beta: f64,
    },
    /// `v` for `v ≥ 0`, else `eᵛ − 1`: slopes in `[0, 1]`.
    Elu,
}

impl Activation {
    /// The smallest and the largest slope `(σ(u) − σ(v)) / (u − v)`.
    #[must_use]
    pub fn slopes(self) -> (f64, f64) {
        match self {
            Self::Relu => (0.0, 1.0),
            Self::LeakyRelu { slope } if slope <= 1.0 => (slope, 1.0),
            Self::LeakyRelu { slope } => (1.0, slope),
            Self::Abs => (-1.0, 1.0),
            Self::Sigmoid => (0.0, 0.25),
            Self::Tanh | Self::Softplus { .. } | Self::Elu => (0.0, 1.0),
        }
    }

    /// Name of the kind, as certificates and reports write it.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::LeakyRelu { .. } => "leaky-relu",
            Self::Abs => "abs",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Softplus { .. } => "softplus",
            Self::Elu => "elu",
        }
    }

    /// Checks the activation's own numbers.
    ///
    /// # Errors
    ///
    /// [`CheckError::NotFinite`] for a slope that is no number, [`CheckError::NotPositive`] for a `β` that is not a positive one.
    pub(crate) fn validate(self) -> Result<(), CheckError> {
        match self {
            Self::LeakyRelu { slope } if !slope.is_finite() => Err(CheckError::NotFinite {
                what: "slope",
                index: Vec::new(),
            }),
            Self::Softplus { beta } => {
                let usable = beta > 0.0 && beta.is_finite();
                usable.then_some(()).ok_or(CheckError::NotPositive {
                    what: "beta",
                    index: 0,
                    value: beta,
                })
            }
            Self::Relu | Self::LeakyRelu { .. } | Self::Abs | Self::Tanh | Self::Sigmoid | Self::Elu => Ok(()),
        }
    }
}

/// A scalar activation with numbers of its own for each unit: a channel of an image, an entry of a vector.
#[derive(Clone, Debug, PartialEq)]
pub enum ChannelActivation {
    /// `v` for `v ≥ 0`, else `slope_c · v`.
    ///
    /// # Source
    ///
    /// He et al., *Delving Deep into Rectifiers*, ICCV 2015. The `LPReLU` of deel-torchlip first clamps the slope to `[−1, 1]`; the slope here is the
    /// clamped one.
    Prelu {
        /// `(units,)`.
        slope: Vec<f64>,
    },
    /// `v − 2 lower_c` below `lower_c`, `v − 2 upper_c` from `upper_c` on, and `−v` between: slopes 1, −1, 1.
    ///
    /// # Source
    ///
    /// Prach and Lampert, *1-Lipschitz Neural Networks are more expressive with N-Activations*, 2023, and the authors' code (`theta` there, sorted).
    N {
        /// `θ₁`, `(units,)`.
        lower: Vec<f64>,
        /// `θ₂ ≥ θ₁`, `(units,)`.
        upper: Vec<f64>,
    },
}

impl ChannelActivation {
    /// Name of the kind, as certificates and reports write it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Prelu { .. } => "prelu",
            Self::N { .. } => "n-activation",
        }
    }

    /// Checks the numbers against the units of the input.
    pub(crate) fn output_shape(&self, input: Shape) -> Result<Shape, CheckError> {
        let check = |what, values: &[f64]| {
            if values.len() == input.units() {
                return check_finite(what, &[values.len()], values);
            }
            Err(CheckError::Shape {
                what,
                expected: vec![input.units()],
                found: vec![values.len()],
            })
        };
        match self {
            Self::Prelu { slope } => check("slope", slope)?,
            Self::N { lower, upper } => {
                check("theta", lower)?;
                check("theta", upper)?;
                if let Some(index) = lower.iter().zip(upper).position(|(lower, upper)| lower > upper) {
                    return Err(CheckError::NotOrdered {
                        what: "theta",
                        index,
                        first: lower[index],
                        second: upper[index],
                    });
                }
            }
        }
        Ok(input)
    }
}
