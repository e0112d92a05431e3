//! Feed-forward networks whose activations act on groups of neighbouring neurons.

use super::system::require;
use super::tensor::{Matrix, check_finite};
use crate::error::CheckError;

/// What a 1-Lipschitz activation of groups keeps.
#[derive(Clone, Debug, PartialEq)]
pub enum Groups {
    /// Sorting within groups of `size` neighbours (GroupSort; MaxMin for 2, in either order): the sum of each group is kept.
    Sorted {
        /// Neurons a group.
        size: usize,
    },
    /// `x` where `uᵀx ≥ 0`, else `x − 2 u uᵀx / ‖u‖²` (Householder): the part across `u` is kept. The groups stand one after the other.
    Reflected {
        /// The vector `u` of each group, not zero, of the length of the group.
        normals: Vec<Vec<f64>>,
    },
}

impl Groups {
    /// The sizes of the groups of a layer with `width` neurons.
    ///
    /// # Errors
    ///
    /// [`CheckError::Shape`] if the layer is no whole number of groups; [`CheckError::NotFinite`], [`CheckError::NotPositive`] for an unusable normal.
    pub fn sizes(&self, width: usize) -> Result<Vec<usize>, CheckError> {
        let shape = |expected, found| CheckError::Shape {
            what: "groups",
            expected: vec![expected],
            found: vec![found],
        };
        match self {
            Self::Sorted { size } if *size > 0 && width.is_multiple_of(*size) => Ok(vec![*size; width / size]),
            Self::Sorted { size } => Err(shape(*size, width)),
            Self::Reflected { normals } => {
                let total = normals.iter().map(Vec::len).sum();
                if total != width {
                    return Err(shape(width, total));
                }
                for (index, normal) in normals.iter().enumerate() {
                    check_finite("normal", &[normal.len()], normal)?;
                    if normal.iter().all(|value| *value == 0.0) {
                        return Err(CheckError::NotPositive {
                            what: "length of a normal",
                            index,
                            value: 0.0,
                        });
                    }
                }
                Ok(normals.iter().map(Vec::len).collect())
            }
        }
    }
}

/// The network `x ↦ C σ_h(W_h … σ_1(W_1 x + b_1) … + b_h) + c` with activations of groups, for any biases.
///
/// # Shapes
///
/// | symbol | method | shape |
/// |---|---|---|
/// | `W_k` | [`GroupedChain::weights`] | `(n_k, n_{k−1})`, `k = 1 … h` |
/// | `σ_k` | [`GroupedChain::groups`] | groups of `n_k` neurons |
/// | `C` | [`GroupedChain::output`] | `(m, n_h)` |
#[derive(Clone, Debug, PartialEq)]
pub struct GroupedChain {
    weights: Vec<Matrix>,
    groups: Vec<Groups>,
    output: Matrix,
}

impl GroupedChain {
    /// Checks that the parts fit together.
    ///
    /// # Errors
    ///
    /// - [`CheckError::Shape`] if there is no hidden layer or the sizes do not fit.
    /// - Those of [`Groups::sizes`].
    pub fn new(weights: Vec<Matrix>, groups: Vec<Groups>, output: Matrix) -> Result<Self, CheckError> {
        if weights.is_empty() || weights.len() != groups.len() {
            return Err(CheckError::Shape {
                what: "hidden layers",
                expected: vec![weights.len().max(1)],
                found: vec![groups.len()],
            });
        }
        let mut width = weights[0].cols();
        for (weight, groups) in weights.iter().zip(&groups) {
            require("weight", (weight.rows(), width), weight)?;
            width = weight.rows();
            groups.sizes(width)?;
        }
        require("output", (output.rows(), width), &output)?;
        Ok(Self { weights, groups, output })
    }

    /// The weights of the hidden layers, first to last; at least one.
    #[must_use]
    pub fn weights(&self) -> &[Matrix] {
        &self.weights
    }

    /// The activation behind each hidden layer.
    #[must_use]
    pub fn groups(&self) -> &[Groups] {
        &self.groups
    }

    /// `C`.
    #[must_use]
    pub const fn output(&self) -> &Matrix {
        &self.output
    }
}
