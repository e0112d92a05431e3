//! Convolutions of stride 1 that keep the size of the image, their padding, and formulas of kernels.

use super::layer::check_length;
use super::network::Shape;
use super::tensor::Kernel;
use crate::error::CheckError;

/// What a convolution reads outside the image.
///
/// Reflected and replicated borders are not here: they read some pixels several times, so the padding alone stretches distances, and no norm of the
/// kernel bounds the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Zeros.
    Zero,
    /// The image on a torus.
    Circular,
}

/// A kernel by a formula of stored numbers.
///
/// # Shapes
///
/// `raw` is `(out, in, k, k)`, and square where the formula says so.
#[derive(Clone, Debug, PartialEq)]
pub enum ConvFormula {
    /// `K = P diag(d)`, an input channel at a time: `d_c = (Σ_{c'} Σ_s |R_{cc'}(s)| + ε)^{−1/2}` with `R` the correlations of the input channels of `P`
    /// on the infinite lattice; a zero channel stays zero.
    ///
    /// # Source
    ///
    /// Prach and Lampert, *Almost-Orthogonal Layers for Efficient General-Purpose Lipschitz Networks*, ECCV 2022, Theorem 1 and Lemma 2.
    Aol {
        /// `P`.
        raw: Kernel,
        /// `ε ≥ 0`; the authors' torch code has `1e-6`.
        epsilon: f64,
    },
    /// `K = I + P`: the layer `x + P ∗ x`. Square.
    ///
    /// # Source
    ///
    /// Hu et al., *Unlocking Deterministic Robustness Certification on ImageNet*, NeurIPS 2023 (LiResNet).
    LinearResidual {
        /// `P`.
        raw: Kernel,
    },
    /// `K = P / σ` for a stored `σ > 0`, whatever program found it.
    ///
    /// # Source
    ///
    /// Miyato et al., *Spectral Normalization for Generative Adversarial Networks*, ICLR 2018.
    Spectral {
        /// `P`.
        raw: Kernel,
        /// `σ`.
        sigma: f64,
    },
}

impl ConvFormula {
    /// The stored kernel.
    #[must_use]
    pub const fn raw(&self) -> &Kernel {
        match self {
            Self::Aol { raw, .. } | Self::LinearResidual { raw } | Self::Spectral { raw, .. } => raw,
        }
    }

    /// Name of the layer's kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Aol { .. } => "aol-conv",
            Self::LinearResidual { .. } => "linear-residual-conv",
            Self::Spectral { .. } => "spectral-conv",
        }
    }

    /// Checks the numbers, and that the kernel is square where it must be.
    pub(super) fn validate(&self) -> Result<(), CheckError> {
        match self {
            Self::Aol { epsilon, .. } => {
                let usable = *epsilon >= 0.0 && epsilon.is_finite();
                if usable {
                    Ok(())
                } else {
                    Err(not_positive("epsilon", *epsilon))
                }
            }
            Self::LinearResidual { raw } => check_square(raw),
            Self::Spectral { sigma, .. } => check_divisor(*sigma),
        }
    }
}

/// What the skew kernel is divided by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SkewDivisor {
    /// A stored positive number; 1 for none.
    Stored(f64),
    /// The least of the spectral norms of the skew kernel `(out, in, row, column)` as a matrix: `(out row, in column)`, `(out column, in row)`,
    /// `(out, in row column)` and `(out row column, in)`.
    LeastNorm,
}

/// The layer `x ↦ Σ_{i < terms} Lⁱ x / i! + b` with `L = (M − Mᵀ) / (2σ)`: the beginning of an exponential.
///
/// `Mᵀ` is the adjoint: channels exchanged, both axes turned. Under zero and circular padding the convolution with `L` is an exactly skew-symmetric matrix.
///
/// # Source
///
/// Singla and Feizi, *Skew Orthogonal Convolutions*, ICML 2021, and the authors' code, which sums by Horner's scheme and counts the identity as a term.
#[derive(Clone, Debug, PartialEq)]
pub struct SkewExponential {
    /// `M`, `(c, c, k, k)`.
    pub raw: Kernel,
    /// `σ`.
    pub divisor: SkewDivisor,
    /// Number of terms, the identity included: 1 to [`TERMS_MOST`].
    pub terms: usize,
    /// `(c,)`.
    pub bias: Vec<f64>,
    /// What lies outside the image.
    pub padding: Padding,
}

/// The most terms of an exponential that are evaluated.
pub const TERMS_MOST: usize = 64;

impl SkewExponential {
    /// Checks the numbers and the shape.
    pub(super) fn validate(&self) -> Result<(), CheckError> {
        check_square(&self.raw)?;
        if let SkewDivisor::Stored(divisor) = self.divisor {
            check_divisor(divisor)?;
        }
        if (1..=TERMS_MOST).contains(&self.terms) {
            Ok(())
        } else {
            Err(CheckError::Shape {
                what: "terms",
                expected: vec![TERMS_MOST],
                found: vec![self.terms],
            })
        }
    }
}

/// The shape behind a convolution with a kernel `(out, in, k, k)` and a bias `(out,)`.
pub(super) fn convolved(input: Shape, kernel: &Kernel, bias: &[f64]) -> Result<Shape, CheckError> {
    let Shape::Image { channels, height, width } = input else {
        return Err(CheckError::Shape {
            what: "kernel",
            expected: vec![kernel.channels(), 0, 0],
            found: input.sizes(),
        });
    };
    if kernel.channels() != channels {
        return Err(CheckError::Shape {
            what: "kernel",
            expected: vec![channels],
            found: vec![kernel.channels()],
        });
    }
    check_length("bias", kernel.inner(), bias)?;
    Ok(Shape::Image {
        channels: kernel.inner(),
        height,
        width,
    })
}

fn check_square(kernel: &Kernel) -> Result<(), CheckError> {
    if kernel.inner() == kernel.channels() {
        Ok(())
    } else {
        Err(CheckError::Shape {
            what: "kernel",
            expected: vec![kernel.channels(), kernel.channels()],
            found: vec![kernel.inner(), kernel.channels()],
        })
    }
}

fn check_divisor(sigma: f64) -> Result<(), CheckError> {
    let usable = sigma > 0.0 && sigma.is_finite();
    if usable { Ok(()) } else { Err(not_positive("sigma", sigma)) }
}

const fn not_positive(what: &'static str, value: f64) -> CheckError {
    CheckError::NotPositive { what, index: 0, value }
}
