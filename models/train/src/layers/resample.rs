//! Maps that move, drop, add or pool entries.

use lipcert_proofs::statement::Shape;
use tch::Tensor;

use super::Layer;
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
