//! The steps on images.

use super::Evaluator;
use super::step::Step;
use crate::rounding::directed::add_up;
use crate::rounding::error_bound::ErrorBound;
use crate::rounding::kernels::image::Image;
use crate::rounding::kernels::norm::norm_up;
use crate::rounding::kernels::plain_conv::ConvScratch;
use crate::rounding::kernels::pool::average_pool;
use crate::statement::Shape;

/// The steps on images for one sample after the other; the buffers are kept.
pub(super) struct ImagePass<'e, 'a> {
    evaluator: &'e Evaluator<'a>,
    steps: usize,
    pub(super) sample: Vec<f64>,
    spare: Vec<f64>,
    image: Option<Image>,
    inner: Image,
    scratch: ConvScratch,
    output: Vec<f64>,
    /// Margins that suit every convolution, so that none asks for another buffer while the sample lies in this one.
    radius: usize,
}

impl<'e, 'a> ImagePass<'e, 'a> {
    pub(super) fn new(evaluator: &'e Evaluator<'a>, steps: usize) -> Self {
        Self {
            evaluator,
            steps,
            sample: Vec::new(),
            spare: Vec::new(),
            image: None,
            inner: Image::new(1, 1, 1, 0),
            scratch: ConvScratch::default(),
            output: Vec::new(),
            radius: evaluator.steps[..steps].iter().map(Step::radius).max().unwrap_or(0),
        }
    }

    /// Leaves the result in `self.sample` and returns the bound of its error.
    pub(super) fn run(&mut self, sample: &[f64], error: f64) -> f64 {
        self.sample.clear();
        self.sample.extend_from_slice(sample);
        let mut error = error;
        // Set while the sample lies in `self.image`, with the norm of its pixels.
        let mut loaded: Option<f64> = None;
        for (step, shape) in self.evaluator.steps[..self.steps].iter().zip(&self.evaluator.shapes) {
            let Shape::Image { height, width, .. } = *shape else {
                return f64::NAN;
            };
            match step {
                Step::Conv(layer, bound) => {
                    let image = place(&mut self.image, layer.channels(), height, width, self.radius);
                    let before = loaded.unwrap_or_else(|| {
                        image.load(&self.sample);
                        norm_up(image.padded())
                    });
                    layer.apply(image, &mut self.inner);
                    let after = norm_up(image.padded());
                    error = bound.carry_up(error, before, after);
                    loaded = Some(after);
                }
                Step::Pad(channels) => {
                    self.unload(&mut loaded, shape.len());
                    self.sample.resize(channels * height * width, 0.0);
                }
                Step::Pool { size, divisor, bound } => {
                    self.unload(&mut loaded, shape.len());
                    let image = place(&mut self.image, shape.channels(), height, width, self.radius);
                    image.load(&self.sample);
                    let before = norm_up(&self.sample);
                    self.sample.resize(shape.len() / (size * size), 0.0);
                    average_pool(image, *size, *divisor, &mut self.sample);
                    error = bound.carry_up(error, before, norm_up(&self.sample));
                }
                Step::Flatten => self.unload(&mut loaded, shape.len()),
                Step::Entrywise(entrywise, bound) => {
                    self.unload(&mut loaded, shape.len());
                    let before = norm_up(&self.sample);
                    let new = entrywise.apply(&mut self.sample);
                    error = add_up(bound.carry_up(error, before, norm_up(&self.sample)), new);
                }
                Step::Sample(map, bound) => {
                    self.unload(&mut loaded, shape.len());
                    let before = norm_up(&self.sample);
                    self.spare.resize(map.output(), 0.0);
                    map.apply(&self.sample, &mut self.spare);
                    std::mem::swap(&mut self.sample, &mut self.spare);
                    error = bound.carry_up(error, before, norm_up(&self.sample));
                }
                Step::PlainConv(layer, bound) => {
                    self.unload(&mut loaded, shape.len());
                    layer.apply(&self.sample, (height, width), &mut self.scratch, &mut self.output);
                    error = self.take_output(error, bound);
                }
                Step::Exponential(layer, bound) => {
                    self.unload(&mut loaded, shape.len());
                    layer.apply(&self.sample, (height, width), &mut self.scratch, &mut self.output);
                    error = self.take_output(error, bound);
                }
                Step::Dense(..) | Step::Affine { .. } | Step::Block(..) | Step::Sandwich { .. } => return f64::NAN,
            }
        }
        if let Some(image) = self.image.as_ref().filter(|_| loaded.is_some()) {
            self.sample.resize(image.channels() * image.height() * image.width(), 0.0);
            image.store(&mut self.sample);
        }
        error
    }

    /// Makes the output of a layer the sample and returns the bound of its error.
    fn take_output(&mut self, error: f64, bound: &ErrorBound) -> f64 {
        let error = bound.carry_up(error, norm_up(&self.sample), norm_up(&self.output));
        std::mem::swap(&mut self.sample, &mut self.output);
        error
    }

    /// Brings the sample back from the image.
    fn unload(&mut self, loaded: &mut Option<f64>, length: usize) {
        if let (Some(image), Some(_)) = (&self.image, loaded.take()) {
            self.sample.resize(length, 0.0);
            image.store(&mut self.sample);
        }
    }
}

/// The image buffer for a shape, made anew where the shape changed. Between two convolutions the shape does not change and `radius` is that of
/// the whole pass, so a loaded sample stays where it is.
fn place(slot: &mut Option<Image>, channels: usize, height: usize, width: usize, radius: usize) -> &mut Image {
    let fits = |image: &Image| {
        (image.channels(), image.height(), image.width()) == (channels, height, width) && image.radius() == radius
    };
    if !slot.as_ref().is_some_and(fits) {
        *slot = None;
    }
    slot.get_or_insert_with(|| Image::new(channels, height, width, radius))
}
