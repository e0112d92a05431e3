//! A network as one map over the reals.

use serde::{Deserialize, Serialize};

use super::layer::Layer;
use super::tensor::Matrix;
use crate::error::CheckError;

/// Shape of one sample between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `(channels, height, width)`.
    Image {
        /// Channels.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// A vector.
    Flat(usize),
}

impl Shape {
    /// Number of entries.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a shape is never empty")]
    pub const fn len(self) -> usize {
        match self {
            Self::Image { channels, height, width } => channels * height * width,
            Self::Flat(n) => n,
        }
    }

    /// Number of channels: that of an image, and 1 for a vector.
    #[must_use]
    pub const fn channels(self) -> usize {
        match self {
            Self::Image { channels, .. } => channels,
            Self::Flat(_) => 1,
        }
    }

    /// The sizes as a list.
    #[must_use]
    pub fn sizes(self) -> Vec<usize> {
        match self {
            Self::Image { channels, height, width } => vec![channels, height, width],
            Self::Flat(n) => vec![n],
        }
    }
}

/// Which part of the network a bound speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Output {
    /// The joint map into all classes.
    All,
    /// The input of the last affine layer.
    Features,
    /// One logit.
    Class(usize),
    /// The difference of two logits.
    Pair(usize, usize),
}

/// A network: the composition of its layers on a stated input shape. The last one is affine, the head: a
/// [`Layer::NormalizedHead`] or a [`Layer::Dense`].
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkMap {
    input: Shape,
    layers: Vec<Layer>,
}

/// The most numbers that one sample may have between two layers: 128 MiB of float64.
const ENTRIES_MOST: usize = 1 << 24;

/// Number of entries of a shape, without overflow.
fn entries(shape: Shape) -> u128 {
    shape
        .sizes()
        .iter()
        .fold(1u128, |product, size| product.saturating_mul(*size as u128))
}

impl NetworkMap {
    /// Builds the map after checking that every layer accepts the output of the one before, that a head stands
    /// last, and that nothing but the first layer normalises.
    ///
    /// # Errors
    ///
    /// - [`CheckError::Shape`] and the other errors of [`Layer::output_shape`].
    /// - [`CheckError::TooLarge`] if a sample has more than 2²⁴ numbers somewhere.
    /// - [`CheckError::Order`] if the last layer is no head, or a normalised head stands anywhere else.
    pub fn new(input: Shape, layers: Vec<Layer>) -> Result<Self, CheckError> {
        if entries(input) > ENTRIES_MOST as u128 {
            return Err(CheckError::TooLarge {
                what: "input",
                entries: entries(input),
                most: ENTRIES_MOST as u128,
            });
        }
        if input.len() == 0 {
            return Err(CheckError::Shape {
                what: "input",
                expected: vec![1],
                found: input.sizes(),
            });
        }
        let mut shape = input;
        for (index, layer) in layers.iter().enumerate() {
            let last = index + 1 == layers.len();
            let misplaced = match layer {
                Layer::Normalize { .. } => index > 0 || last,
                Layer::NormalizedHead { .. } => !last,
                other => last && !matches!(other, Layer::Dense { .. }),
            };
            if misplaced {
                return Err(CheckError::Order {
                    index,
                    kind: layer.kind(),
                });
            }
            shape = layer.output_shape(shape)?;
            if entries(shape) > ENTRIES_MOST as u128 {
                return Err(CheckError::TooLarge {
                    what: "sample",
                    entries: entries(shape),
                    most: ENTRIES_MOST as u128,
                });
            }
        }
        if layers.is_empty() {
            return Err(CheckError::Order { index: 0, kind: "none" });
        }
        Ok(Self { input, layers })
    }

    /// Shape of one sample.
    #[must_use]
    pub const fn input(&self) -> Shape {
        self.input
    }

    /// The layers in order.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Number of classes: the rows of the head.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.head().0.rows()
    }

    /// The weight `(classes, n)` and the bias `(classes,)` of the head, as stored.
    ///
    /// # Panics
    ///
    /// Never: [`NetworkMap::new`] has seen the head.
    #[must_use]
    pub fn head(&self) -> (&Matrix, &[f64]) {
        match self.layers.last() {
            Some(Layer::NormalizedHead { weight, bias } | Layer::Dense { weight, bias }) => (weight, bias),
            _ => unreachable!("a network ends in a head"),
        }
    }

    /// The shapes that enter each layer, one a layer.
    ///
    /// # Panics
    ///
    /// Never: [`NetworkMap::new`] has walked the same shapes.
    #[must_use]
    pub fn input_shapes(&self) -> Vec<Shape> {
        let mut shape = self.input;
        self.layers
            .iter()
            .map(|layer| {
                let input = shape;
                shape = layer.output_shape(shape).expect("checked when the map was built");
                input
            })
            .collect()
    }
}
