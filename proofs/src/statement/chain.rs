//! The part of a network that a LipSDP inequality speaks of.

use super::layer::Layer;
use super::network::{NetworkMap, Output};
use super::tensor::Matrix;
use crate::error::CheckError;

/// Dense layers with a scalar activation between each two, up to one output of the network:
/// `x ↦ C σ_h(W_h … σ_1(W_1 x + b_1) … + b_h)` up to a constant.
///
/// # Shapes
///
/// | symbol | method | shape |
/// |---|---|---|
/// | `W_i` | [`Chain::weights`] | `(n_i, n_{i−1})`, `i = 1 … h` |
/// | `[α_i, β_i]` | [`Chain::slopes`] | one pair a hidden layer |
/// | `C` | [`Chain::head`] and [`Chain::output`] | `(m, n_h)` |
///
/// `C` is the weight of the head, one of its rows, the exact difference of two of its rows, or the identity for the features.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain<'a> {
    first: usize,
    weights: Vec<&'a Matrix>,
    slopes: Vec<(f64, f64)>,
    head: &'a Matrix,
    output: Output,
}

impl<'a> Chain<'a> {
    /// Finds the chain that ends in the head of `map`: the longest run of layers dense, activation, dense, …, dense.
    ///
    /// A head alone is a chain without hidden layers.
    ///
    /// # Errors
    ///
    /// - [`CheckError::Order`] with the first layer, from the head backwards, that is neither a part of such a run nor free of weights: a residual
    ///   layer, a normalised head, or two dense layers or two activations in a row.
    /// - [`CheckError::NoSuchClass`] if `output` names a class that does not exist.
    pub fn of(map: &'a NetworkMap, output: Output) -> Result<Self, CheckError> {
        let layers = map.layers();
        let refuse = |index: usize| CheckError::Order {
            index,
            kind: layers[index].kind(),
        };
        let last = layers.len() - 1;
        let Layer::Dense { weight: head, .. } = &layers[last] else {
            return Err(refuse(last));
        };
        let named = match output {
            Output::All | Output::Features => None,
            Output::Class(class) => Some(class),
            Output::Pair(a, b) => Some(if a > b { a } else { b }),
        };
        if let Some(class) = named.filter(|class| *class >= head.rows()) {
            return Err(CheckError::NoSuchClass {
                class,
                classes: head.rows(),
            });
        }
        let (mut weights, mut slopes, mut first) = (Vec::new(), Vec::new(), last);
        while first > 0 {
            let pair = (first.checked_sub(2).map(|index| &layers[index]), &layers[first - 1]);
            match pair {
                (Some(Layer::Dense { weight, .. }), Layer::Activation(activation)) => {
                    weights.push(weight);
                    slopes.push(activation.slopes());
                    first -= 2;
                }
                // Maps without weights that stand before the run.
                (_, before) if before.is_structural() => break,
                _ => return Err(refuse(first - 1)),
            }
        }
        if let Some(index) = (0..first).find(|index| !layers[*index].is_structural()) {
            return Err(refuse(index));
        }
        weights.reverse();
        slopes.reverse();
        Ok(Self {
            first,
            weights,
            slopes,
            head,
            output,
        })
    }

    /// Index of the first layer of the run.
    #[must_use]
    pub const fn first(&self) -> usize {
        self.first
    }

    /// The weights of the hidden layers, first to last.
    #[must_use]
    pub fn weights(&self) -> &[&'a Matrix] {
        &self.weights
    }

    /// The smallest and the largest slope behind each hidden layer.
    #[must_use]
    pub fn slopes(&self) -> &[(f64, f64)] {
        &self.slopes
    }

    /// The weight of the head, as stored.
    #[must_use]
    pub const fn head(&self) -> &'a Matrix {
        self.head
    }

    /// Which rows of the head are meant.
    #[must_use]
    pub const fn output(&self) -> Output {
        self.output
    }

    /// The widths `n_0, n_1, …, n_h`.
    #[must_use]
    pub fn widths(&self) -> Vec<usize> {
        let input = self.weights.first().map_or(self.head.cols(), |weight| weight.cols());
        std::iter::once(input)
            .chain(self.weights.iter().map(|weight| weight.rows()))
            .collect()
    }
}
