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

    /// Number of units, the parts that an activation treats alike: the channels of an image, the entries of a vector.
    #[must_use]
    pub const fn units(self) -> usize {
        match self {
            Self::Image { channels, .. } => channels,
            Self::Flat(n) => n,
        }
    }

    /// The shape with another number of units.
    pub(crate) const fn with_units(self, units: usize) -> Self {
        match self {
            Self::Image { height, width, .. } => Self::Image {
                channels: units,
                height,
                width,
            },
            Self::Flat(_) => Self::Flat(units),
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
    /// The input of the head; without a head all classes jointly.
    Features,
    /// One logit.
    Class(usize),
    /// The difference of two logits.
    Pair(usize, usize),
}

/// A network: the composition of its layers on a stated input shape, into a vector of one logit a class.
///
/// A [`Layer::NormalizedHead`] or a [`Layer::Dense`] in the last place is the head. Behind any other layer the head is the identity: the logits are the features,
/// whose joint bound every difference of two logits inherits with the factor `√2`.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkMap {
    input: Shape,
    layers: Vec<Layer>,
    classes: usize,
}

/// The most numbers that one sample may have between two layers: 128 MiB of float64.
pub const ENTRIES_MOST: usize = 1 << 24;

/// Refuses a sample with more numbers than any check holds.
pub(super) fn require_size(what: &'static str, shape: Shape) -> Result<(), CheckError> {
    let sizes = shape.sizes();
    let entries = sizes
        .iter()
        .fold(1u128, |product, size| product.saturating_mul(*size as u128));
    let most = ENTRIES_MOST as u128;
    if entries > most {
        return Err(CheckError::TooLarge { what, entries, most });
    }
    Ok(())
}

impl NetworkMap {
    /// Builds the map after checking that every layer accepts the output of the one before, that the last one gives a vector, and
    /// that nothing but the first layer normalises.
    ///
    /// # Errors
    ///
    /// - [`CheckError::Shape`] and the other errors of [`Layer::output_shape`].
    /// - [`CheckError::TooLarge`] if a sample has more than 2²⁴ numbers somewhere.
    /// - [`CheckError::Order`] if the last layer gives no vector, or a normalised head stands anywhere else.
    pub fn new(input: Shape, layers: Vec<Layer>) -> Result<Self, CheckError> {
        require_size("input", input)?;
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
                _ => false,
            };
            if misplaced {
                return Err(CheckError::Order {
                    index,
                    kind: layer.kind(),
                });
            }
            shape = layer.output_shape(shape)?;
        }
        let Some(last) = layers.last() else {
            return Err(CheckError::Order { index: 0, kind: "none" });
        };
        if matches!(shape, Shape::Image { .. }) {
            return Err(CheckError::Order {
                index: layers.len() - 1,
                kind: last.kind(),
            });
        }
        let classes = shape.len();
        Ok(Self { input, layers, classes })
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

    /// Number of classes: the length of the output.
    #[must_use]
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// The weight `(classes, n)` and the bias `(classes,)` of the head, as stored; nothing where the logits are the features.
    #[must_use]
    pub fn head(&self) -> Option<(&Matrix, &[f64])> {
        match self.layers.last() {
            Some(Layer::NormalizedHead { weight, bias } | Layer::Dense { weight, bias }) => Some((weight, bias)),
            _ => None,
        }
    }

    /// The layers up to the features: all but the head, if there is one.
    #[must_use]
    pub fn body(&self) -> &[Layer] {
        let heads = usize::from(self.head().is_some());
        &self.layers[..self.layers.len() - heads]
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
