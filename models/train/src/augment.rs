//! What is done to the training images, a batch at once and on its device.

use std::ops::Range;

use lipcert_models::training::config::{self, ConfigError};
use tch::{Device, Kind, Tensor};

pub mod colour;
pub mod geometry;

use crate::parameters::sizes;

/// Changes to images of one shape, drawn anew for each image.
#[derive(Clone, Debug)]
pub struct Augment {
    changes: config::Augment,
}

impl Augment {
    /// The changes of a configuration, for images of a shape (channels, height, width).
    ///
    /// # Errors
    ///
    /// [`ConfigError::Range`] if the border is as wide as the image, from where a reflection would need what lies outside.
    pub fn new(changes: &config::Augment, shape: [usize; 3]) -> Result<Self, ConfigError> {
        let [_, height, width] = shape;
        changes.fits(height.min(width))?;
        Ok(Self {
            changes: changes.clone(),
        })
    }

    /// Changes the images `(N, C, H, W)` in `[0, 1]` that are `part` of a batch of `batch` images: crop, mirror, rotation and shift, then brightness, contrast,
    /// saturation and hue, in this order.
    ///
    /// The numbers come from libtorch's generator on the CPU, and those of the whole batch are drawn: after the same seed, several parts see what the whole
    /// would. What does not change anything draws nothing. Saturation and hue are for images of three channels and leave others alone.
    ///
    /// # Panics
    ///
    /// If `part` does not have as many images or does not lie in the batch.
    pub fn apply(&self, images: &Tensor, part: Range<usize>, batch: usize) -> Tensor {
        assert_eq!(sizes(&[part.len()])[0], images.size()[0], "a part has its images");
        let draw = Draw { images, part, batch };
        let mut images = images.shallow_clone();
        let changes = &self.changes;
        if changes.crop > 0 {
            let border = sizes(&[changes.crop])[0];
            images = geometry::crop(&images, border, &draw.below(2 * border + 1), &draw.below(2 * border + 1));
        }
        if changes.flip {
            images = geometry::mirror(&images, &draw.below(2).to_kind(Kind::Bool));
        }
        if changes.rotate > 0.0 || changes.shift > 0.0 {
            let within = |largest: f64| draw.within([-largest, largest]);
            let (angle, right, down) = (
                within(changes.rotate.to_radians()),
                within(changes.shift),
                within(changes.shift),
            );
            images = geometry::turn(&images, &angle, &right, &down);
        }
        let Some(jitter) = changes.jitter else { return images };
        for ([low, high], change) in [
            (jitter.brightness, colour::brightness as fn(&Tensor, &Tensor) -> Tensor),
            (jitter.contrast, colour::contrast),
            (jitter.saturation, colour::saturation),
        ] {
            if low < 1.0 || high > 1.0 {
                images = change(&images, &draw.within([low, high]));
            }
        }
        if jitter.hue > 0.0 {
            images = colour::hue(&images, &draw.within([-jitter.hue, jitter.hue]));
        }
        images
    }
}

/// Draws numbers for the images of a part of a batch.
struct Draw<'a> {
    images: &'a Tensor,
    part: Range<usize>,
    batch: usize,
}

impl Draw<'_> {
    /// Uniform in `[0, 1)` in float64, on the CPU.
    fn fractions(&self) -> Tensor {
        let [start, length] = [self.part.start, self.part.len()].map(|size| sizes(&[size])[0]);
        Tensor::rand(sizes(&[self.batch]), (Kind::Double, Device::Cpu)).narrow(0, start, length)
    }

    /// Uniform in an interval, of the images' type and on their device.
    fn within(&self, [low, high]: [f64; 2]) -> Tensor {
        let numbers = self.fractions() * (high - low) + low;
        numbers.to_kind(self.images.kind()).to_device(self.images.device())
    }

    /// Uniform among the integers from 0 to less than `count`.
    #[expect(clippy::cast_precision_loss, reason = "counts of pixels")]
    fn below(&self, count: i64) -> Tensor {
        let numbers = (self.fractions() * count as f64).floor();
        numbers.to_kind(Kind::Int64).to_device(self.images.device())
    }
}
