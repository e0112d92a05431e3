//! Residual blocks: a linear path beside hidden layers.

use super::activation::Activation;
use super::tensor::{Matrix, check_finite};
use crate::error::CheckError;

/// A hidden layer `w ↦ σ(C w + b)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Hidden {
    /// `C`, `(inner, inner of the layer before)`.
    pub weight: Matrix,
    /// `b`, `(inner,)`.
    pub bias: Vec<f64>,
}

/// The map `x ↦ A x + B w_h + c` with `w_k = σ(C_k w_{k−1} + b_k)`, `w_0 = x`.
///
/// With one hidden layer it is `h(x) = H x + G σ(Wᵀ x + b)`, `A = H`, `B = G`, `C_1 = Wᵀ`.
///
/// # Shapes
///
/// | symbol | method | shape |
/// |---|---|---|
/// | `A` | [`ResidualBlock::path`] | `(m, n)`, the identity where there is none |
/// | `C_k`, `b_k` | [`ResidualBlock::hidden`] | `(n_k, n_{k−1})`, `(n_k,)`, `k = 1 … h`, `n_0 = n` |
/// | `B` | [`ResidualBlock::output`] | `(m, n_h)` |
/// | `c` | [`ResidualBlock::bias`] | `(m,)` |
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualBlock {
    path: Option<Matrix>,
    hidden: Vec<Hidden>,
    activation: Activation,
    output: Matrix,
    bias: Vec<f64>,
}

impl ResidualBlock {
    /// Checks that the parts fit together.
    ///
    /// # Errors
    ///
    /// - [`CheckError::Shape`] if there is no hidden layer, or two sizes that must agree do not; without a path the output has the size of the input.
    /// - [`CheckError::RuleMismatch`] for a smooth activation.
    /// - [`CheckError::NotFinite`] if a bias or a slope is NaN or infinite.
    pub fn new(
        path: Option<Matrix>,
        hidden: Vec<Hidden>,
        activation: Activation,
        output: Matrix,
        bias: Vec<f64>,
    ) -> Result<Self, CheckError> {
        let shape = |what, expected: &[usize], found: &[usize]| {
            if expected == found {
                Ok(())
            } else {
                Err(CheckError::Shape {
                    what,
                    expected: expected.to_vec(),
                    found: found.to_vec(),
                })
            }
        };
        let Some(first) = hidden.first() else {
            return Err(CheckError::Shape {
                what: "hidden layers",
                expected: vec![1],
                found: vec![0],
            });
        };
        let input = first.weight.cols();
        let mut width = input;
        for Hidden { weight, bias } in &hidden {
            shape("weight", &[weight.rows(), width], &[weight.rows(), weight.cols()])?;
            width = weight.rows();
            shape("bias", &[width], &[bias.len()])?;
            check_finite("bias", &[width], bias)?;
        }
        shape("output", &[output.rows(), width], &[output.rows(), output.cols()])?;
        match &path {
            Some(path) => shape("path", &[output.rows(), input], &[path.rows(), path.cols()])?,
            None => shape("output", &[input, width], &[output.rows(), output.cols()])?,
        }
        shape("output bias", &[output.rows()], &[bias.len()])?;
        check_finite("output bias", &[bias.len()], &bias)?;
        // Their rounding is more than that of one multiplication, which the enclosed evaluation of a block allows for.
        if let Activation::Tanh | Activation::Sigmoid | Activation::Softplus { .. } | Activation::Elu = activation {
            return Err(CheckError::RuleMismatch {
                rule: "residual-lmi",
                kind: activation.kind(),
            });
        }
        let (lo, hi) = activation.slopes();
        check_finite("slope", &[2], &[lo, hi])?;
        Ok(Self {
            path,
            hidden,
            activation,
            output,
            bias,
        })
    }

    /// Length of the input.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.hidden[0].weight.cols()
    }

    /// Length of the output.
    #[must_use]
    pub const fn outputs(&self) -> usize {
        self.output.rows()
    }

    /// `A`; nothing stands for the identity.
    #[must_use]
    pub const fn path(&self) -> Option<&Matrix> {
        self.path.as_ref()
    }

    /// The hidden layers, first to last; at least one.
    #[must_use]
    pub fn hidden(&self) -> &[Hidden] {
        &self.hidden
    }

    /// `σ`, the same behind every hidden layer.
    #[must_use]
    pub const fn activation(&self) -> Activation {
        self.activation
    }

    /// `B`.
    #[must_use]
    pub const fn output(&self) -> &Matrix {
        &self.output
    }

    /// `c`.
    #[must_use]
    pub fn bias(&self) -> &[f64] {
        &self.bias
    }
}
