//! Maps without parameters that move, drop, add or pool entries.

use serde::{Deserialize, Serialize};

use super::groupwise::whole;
use super::network::Shape;
use crate::error::CheckError;

/// In which order the channels of a pixel-unshuffled image stand; `r` is the factor, `(i, j)` the row and column inside a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockOrder {
    /// Channel `c·r² + i·r + j`: `PixelUnshuffle` of PyTorch, and `"b c (w k1) (h k2) -> b (c k1 k2) w h"` in the code of Singla et al., whose first
    /// spatial axis is the row.
    ChannelFirst,
    /// Channel `(i·r + j)·C + c`: the concatenation pooling of Prach and Lampert's code (`extract_patches` of TensorFlow).
    BlockFirst,
}

/// What a mean is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// All entries of a sample.
    All,
    /// The pixels of each channel, the default of the layer centring of deel-torchlip.
    Channel,
}

/// A map without parameters.
///
/// # Shapes
///
/// | variant | input | output |
/// |---|---|---|
/// | `PixelUnshuffle` | `(C, H, W)` | `(C r², H/r, W/r)` |
/// | `PixelShuffle` | `(C r², H, W)` | `(C, H r, W r)` |
/// | `First` | `units` | the first `units` channels or entries |
/// | `PadFeatures` | `(n,)` | `(features,)`, zeros behind |
/// | `Center` | any | same |
/// | `MaxPool` | `(C, H, W)` | `(C, (H − size) / stride + 1, …)`, rounded down |
/// | `NormPool` | `(C, H, W)` | `(C, H / size, W / size)` |
/// | `PairMax` | `units` | half as many |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resample {
    /// Each `factor × factor` block of pixels becomes one pixel with as many times the channels.
    PixelUnshuffle {
        /// Side of a block.
        factor: usize,
        /// In which order.
        order: BlockOrder,
    },
    /// The inverse of [`Resample::PixelUnshuffle`].
    PixelShuffle {
        /// Side of a block.
        factor: usize,
        /// In which order.
        order: BlockOrder,
    },
    /// The first channels of an image or entries of a vector; the others are dropped.
    First {
        /// How many are kept.
        units: usize,
    },
    /// Zeros behind a vector.
    PadFeatures {
        /// Length afterwards.
        features: usize,
    },
    /// `x` minus its mean.
    Center(Over),
    /// The largest of each `size × size` window; no padding.
    MaxPool {
        /// Side of the window.
        size: usize,
        /// Distance of two windows.
        stride: usize,
    },
    /// The Euclidean norm of each of the disjoint `size × size` windows.
    NormPool {
        /// Side of the window and stride.
        size: usize,
    },
    /// The larger of unit `i` and unit `i + units/2`.
    PairMax,
}

impl Resample {
    /// Name of the kind, as certificates and reports write it.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::PixelUnshuffle { .. } => "pixel-unshuffle",
            Self::PixelShuffle { .. } => "pixel-shuffle",
            Self::First { .. } => "first-channels",
            Self::PadFeatures { .. } => "pad-features",
            Self::Center(_) => "center",
            Self::MaxPool { .. } => "max-pool",
            Self::NormPool { .. } => "norm-pool",
            Self::PairMax => "pair-max",
        }
    }

    /// The shape of the output.
    ///
    /// # Errors
    ///
    /// [`CheckError::Shape`] where the map does not fit the input.
    pub(crate) fn output_shape(self, input: Shape) -> Result<Shape, CheckError> {
        let refuse = |expected| {
            Err(CheckError::Shape {
                what: self.kind(),
                expected,
                found: input.sizes(),
            })
        };
        let blocks = |size: usize, what: usize| size > 0 && what.is_multiple_of(size);
        match (self, input) {
            (Self::PixelUnshuffle { factor, .. }, Shape::Image { channels, height, width })
                if blocks(factor, height) && blocks(factor, width) =>
            {
                Ok(Shape::Image {
                    channels: channels.saturating_mul(factor).saturating_mul(factor),
                    height: height / factor,
                    width: width / factor,
                })
            }
            (Self::PixelShuffle { factor, .. }, Shape::Image { channels, height, width })
                if blocks(factor.saturating_mul(factor), channels) =>
            {
                Ok(Shape::Image {
                    channels: channels / factor / factor,
                    height: height.saturating_mul(factor),
                    width: width.saturating_mul(factor),
                })
            }
            (Self::First { units }, _) if units > 0 && units <= input.units() => Ok(input.with_units(units)),
            (Self::PadFeatures { features }, Shape::Flat(n)) if features >= n => Ok(Shape::Flat(features)),
            (Self::Center(Over::All), _) | (Self::Center(Over::Channel), Shape::Image { .. }) => Ok(input),
            (Self::MaxPool { size, stride }, Shape::Image { channels, height, width })
                if size > 0 && stride > 0 && size <= height && size <= width =>
            {
                Ok(Shape::Image {
                    channels,
                    height: (height - size) / stride + 1,
                    width: (width - size) / stride + 1,
                })
            }
            (Self::NormPool { size }, Shape::Image { channels, height, width })
                if blocks(size, height) && blocks(size, width) =>
            {
                Ok(Shape::Image {
                    channels,
                    height: height / size,
                    width: width / size,
                })
            }
            (Self::PairMax, _) => whole(self.kind(), input, 2).map(|_| input.with_units(input.units() / 2)),
            (Self::PixelUnshuffle { factor, .. }, _) => refuse(vec![0, factor, factor]),
            (Self::PixelShuffle { factor, .. }, _) => refuse(vec![factor.saturating_mul(factor), 0, 0]),
            (Self::First { units }, _) => refuse(vec![units]),
            (Self::PadFeatures { features }, _) => refuse(vec![features]),
            (Self::Center(Over::Channel), Shape::Flat(_)) => refuse(vec![0, 0, 0]),
            (Self::MaxPool { size, .. } | Self::NormPool { size }, _) => refuse(vec![0, size, size]),
        }
    }
}
