//! Maps that move, drop, add or pool entries.

use lipcert_proofs::statement::{BlockOrder, Over, Resample, Shape};
use tch::{Kind, Tensor};

use super::Layer;
use super::sums::root;
use super::unitwise::larger_half;
use crate::parameters::sizes;

/// Zero channels behind the image's own.
#[derive(Debug)]
pub(crate) struct PadChannels {
    missing: i64,
}

impl PadChannels {
    pub(crate) fn new(input: Shape, channels: usize) -> Self {
        Self {
            missing: sizes(&[channels.saturating_sub(input.units())])[0],
        }
    }
}

impl Layer for PadChannels {
    fn forward(&self, input: &Tensor) -> Tensor {
        input.constant_pad_nd([0, 0, 0, 0, 0, self.missing].as_slice())
    }
}

/// Sums over windows, divided.
#[derive(Debug)]
pub(crate) struct AveragePool {
    pub(crate) size: usize,
    pub(crate) divisor: u32,
}

impl Layer for AveragePool {
    fn forward(&self, input: &Tensor) -> Tensor {
        let size = sizes(&[self.size, self.size]);
        input.avg_pool2d(&size, &size, [0, 0].as_slice(), false, true, i64::from(self.divisor))
    }
}

/// An image as a vector.
#[derive(Debug)]
pub(crate) struct Flatten;

impl Layer for Flatten {
    fn forward(&self, input: &Tensor) -> Tensor {
        input.flatten(1, -1)
    }
}

/// Entries moved, dropped, added or pooled.
#[derive(Debug)]
pub(crate) struct Moved(pub(crate) Resample);

impl Layer for Moved {
    fn forward(&self, input: &Tensor) -> Tensor {
        let one = |size: usize| sizes(&[size])[0];
        match self.0 {
            Resample::PixelUnshuffle { factor, order } => unshuffled(input, one(factor), order),
            Resample::PixelShuffle { factor, order } => shuffled(input, one(factor), order),
            Resample::First { units } => input.narrow(1, 0, one(units)),
            Resample::PadFeatures { features } => input.constant_pad_nd([0, one(features) - input.size()[1]].as_slice()),
            Resample::Center(over) => {
                let first = match over {
                    Over::All => 1,
                    Over::Channel => 2,
                };
                let dimensions: Vec<i64> = (first..sizes(&[input.dim()])[0]).collect();
                input - input.mean_dim(dimensions.as_slice(), true, None::<Kind>)
            }
            Resample::MaxPool { size, stride } => {
                let (size, stride) = (one(size), one(stride));
                input.max_pool2d(
                    [size, size].as_slice(),
                    [stride, stride].as_slice(),
                    [0, 0].as_slice(),
                    [1, 1].as_slice(),
                    false,
                )
            }
            Resample::NormPool { size } => {
                let window = [one(size), one(size)];
                let squares = input * input;
                root(&squares.avg_pool2d(window.as_slice(), window.as_slice(), [0, 0].as_slice(), false, true, 1))
            }
            Resample::PairMax => larger_half(input),
        }
    }
}

/// Each block of pixels becomes one pixel.
fn unshuffled(input: &Tensor, factor: i64, order: BlockOrder) -> Tensor {
    let size = input.size();
    let (channels, rows, columns) = (size[1], size[2] / factor, size[3] / factor);
    let blocks = input.reshape([-1, channels, rows, factor, columns, factor].as_slice());
    let order = match order {
        BlockOrder::ChannelFirst => [0, 1, 3, 5, 2, 4],
        BlockOrder::BlockFirst => [0, 3, 5, 1, 2, 4],
    };
    blocks
        .permute(order.as_slice())
        .reshape([-1, channels * factor * factor, rows, columns].as_slice())
}

/// The inverse of [`unshuffled`].
fn shuffled(input: &Tensor, factor: i64, order: BlockOrder) -> Tensor {
    let size = input.size();
    let (channels, height, width) = (size[1] / (factor * factor), size[2], size[3]);
    let (shape, order) = match order {
        BlockOrder::ChannelFirst => ([-1, channels, factor, factor, height, width], [0, 1, 4, 2, 5, 3]),
        BlockOrder::BlockFirst => ([-1, factor, factor, channels, height, width], [0, 3, 4, 1, 5, 2]),
    };
    input
        .reshape(shape.as_slice())
        .permute(order.as_slice())
        .reshape([-1, channels, height * factor, width * factor].as_slice())
}
