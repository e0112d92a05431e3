//! The forward pass in float64 with a proved bound of its error.

use super::directed::{add_up, max, mul_up};
use super::error_bound::{ErrorBound, HeadBound, input_error_up};
use super::interval::Interval;
use super::kernels::conv::ResidualConv;
use super::kernels::dense::{ResidualDense, Scratch, affine};
use super::kernels::entrywise::{activate, combine};
use super::kernels::image::Image;
use super::kernels::norm::norm_up;
use super::kernels::plain_conv::{ConvScratch, Exponential, PlainConv};
use super::kernels::pool::average_pool;
use super::kernels::residual::residual_block;
use super::residual_error;
use super::sandwich::EnclosedSandwich;
use super::smooth::apply_up;
use super::weightless::SampleMap;
use crate::certificate::LayerCertificate;
use crate::error::CheckError;
use crate::rules::compose::NetworkCertificate;
use crate::rules::curvature::Curvature;
use crate::rules::operator_norm;
use crate::statement::{Activation, Decimal, Layer, Matrix, Operation, ResidualBlock, Sandwich, Shape};

/// Raw inputs of a batch, sample after sample in the order of the input shape.
#[derive(Clone, Copy, Debug)]
pub enum Samples<'a> {
    /// The real numbers `value / divisor`.
    Bytes {
        /// One byte an entry.
        values: &'a [u8],
        /// 255 for images of 8 bits.
        divisor: u32,
    },
    /// The real numbers that the float64 stand for.
    Floats(&'a [f64]),
}

impl Samples<'_> {
    /// Number of entries of the whole batch.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Bytes { values, .. } => values.len(),
            Self::Floats(values) => values.len(),
        }
    }

    /// Whether there is no entry.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The logits of one sample with their errors.
#[derive(Clone, Debug, PartialEq)]
pub struct EnclosedLogits {
    values: Vec<f64>,
    local: Vec<f64>,
    feature_error: f64,
    errors: Vec<f64>,
    before: Option<EnclosedVector>,
}

/// A computed vector with its error.
#[derive(Clone, Debug, PartialEq)]
pub struct EnclosedVector {
    /// The computed entries.
    pub values: Vec<f64>,
    /// Upper bound of the Euclidean distance to the exact vector.
    pub error: f64,
}

impl EnclosedLogits {
    /// The computed logits, `(classes,)`.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Upper bound of `|computed − exact|` for one logit.
    #[must_use]
    pub fn error_up(&self, class: usize) -> f64 {
        self.errors[class]
    }

    /// Upper bound of `‖computed − exact‖₂` for the features.
    #[must_use]
    pub const fn feature_error_up(&self) -> f64 {
        self.feature_error
    }

    /// The input of the last three layers, if they are dense, softplus, dense.
    #[must_use]
    pub const fn before_mlp_head(&self) -> Option<&EnclosedVector> {
        self.before.as_ref()
    }

    /// Upper bound of the part of a logit's error that arises in the head.
    pub(crate) fn local_error_up(&self, class: usize) -> f64 {
        self.local[class]
    }
}

/// One step of the pass.
enum Step<'a> {
    /// The image gets its zero channels.
    Pad(usize),
    Conv(ResidualConv, ErrorBound),
    Dense(ResidualDense<'a>, ErrorBound),
    Pool {
        size: usize,
        divisor: u32,
        bound: ErrorBound,
    },
    Flatten,
    Affine {
        weight: &'a Matrix,
        bias: &'a [f64],
        bound: ErrorBound,
    },
    Entrywise(Entrywise<'a>, ErrorBound),
    Sample(SampleMap<'a>, ErrorBound),
    Block(&'a ResidualBlock, ErrorBound),
    Sandwich {
        layer: &'a Sandwich,
        weights: &'a EnclosedSandwich,
        bound: ErrorBound,
    },
    PlainConv(PlainConv, ErrorBound),
    Exponential(Exponential, ErrorBound),
}

/// A step that treats every entry alone, on images and vectors.
enum Entrywise<'a> {
    Activation(Activation),
    Constant(Operation, &'a [f64]),
}

impl Entrywise<'_> {
    /// Changes one sample and returns a bound of the error that is new beside that of the step's [`ErrorBound`].
    fn apply(&self, values: &mut [f64]) -> f64 {
        match self {
            Self::Activation(activation) => apply_up(*activation, values).unwrap_or_else(|| {
                activate(*activation, values);
                0.0
            }),
            Self::Constant(operation, operand) => {
                combine(*operation, operand, values);
                0.0
            }
        }
    }
}

impl Step<'_> {
    /// Width of the margins that the step needs.
    const fn radius(&self) -> usize {
        match self {
            Self::Conv(layer, _) => layer.radius(),
            Self::Pad(_)
            | Self::Dense(..)
            | Self::Pool { .. }
            | Self::Flatten
            | Self::Affine { .. }
            | Self::Entrywise(..)
            | Self::Sample(..)
            | Self::Block(..)
            | Self::Sandwich { .. }
            | Self::PlainConv(..)
            | Self::Exponential(..) => 0,
        }
    }
}

/// Evaluates a certified network with enclosed errors.
pub struct Evaluator<'a> {
    input: Shape,
    preprocess: Option<(&'a [Decimal], &'a [Decimal])>,
    steps: Vec<Step<'a>>,
    shapes: Vec<Shape>,
    /// Nothing where the logits are the features.
    head: Option<Head<'a>>,
    classes: usize,
    /// The step whose input is kept: the first of an MLP head.
    kept: Option<usize>,
}

/// The affine layer in the last place.
struct Head<'a> {
    weight: Matrix,
    bias: &'a [f64],
    bound: HeadBound,
    norms: Vec<f64>,
}

impl Head<'_> {
    /// The logits of features and the new errors.
    fn apply(&self, features: &[f64], errors: &[f64]) -> Vec<EnclosedLogits> {
        let (classes, width) = (self.weight.rows(), self.weight.cols());
        let mut logits = vec![0.0; errors.len() * classes];
        affine(&self.weight, self.bias, features, &mut logits);
        let samples = logits.chunks_exact(classes).zip(features.chunks_exact(width)).zip(errors);
        samples
            .map(|((values, features), &feature_error)| {
                let norm = norm_up(features);
                let local: Vec<f64> = (0..classes).map(|class| self.bound.local_up(class, norm)).collect();
                let carried = self.norms.iter().map(|gain| mul_up(*gain, feature_error));
                let errors = local.iter().zip(carried).map(|(a, b)| add_up(*a, b)).collect();
                EnclosedLogits {
                    values: values.to_vec(),
                    local,
                    feature_error,
                    errors,
                    before: None,
                }
            })
            .collect()
    }
}

impl<'a> Evaluator<'a> {
    /// Packs the weights and computes the error constants of every layer.
    ///
    /// # Errors
    ///
    /// [`CheckError::RuleMismatch`] if a layer has no enclosed evaluation where it stands.
    pub fn new(certificate: &'a NetworkCertificate<'a>) -> Result<Self, CheckError> {
        let map = certificate.map();
        let (mut preprocess, mut steps, mut shapes) = (None, Vec::new(), Vec::new());
        let hidden = map.body().len();
        for layer in &certificate.layers()[..hidden] {
            if let Layer::Normalize { mean, std } = layer.layer() {
                preprocess = Some((mean.as_slice(), std.as_slice()));
            } else {
                steps.push(step(layer)?);
                shapes.push(layer.input());
            }
        }
        let kept = Curvature::applies(map).then(|| steps.len() - 2);
        let rows = certificate.head();
        let head = match map.head() {
            None => None,
            Some((weight, bias)) => {
                let features = weight.cols();
                Some(Head {
                    weight: Matrix::new("head", rows.classes(), features, rows.approx().to_vec())?,
                    bias,
                    bound: HeadBound::new(rows, bias, features),
                    norms: (0..rows.classes()).map(|class| rows.norm_up(class)).collect(),
                })
            }
        };
        Ok(Self {
            input: map.input(),
            preprocess,
            steps,
            shapes,
            head,
            classes: map.classes(),
            kept,
        })
    }

    /// Number of entries of one sample.
    #[must_use]
    pub const fn sample_len(&self) -> usize {
        self.input.len()
    }

    /// Evaluates a batch; one result a sample.
    ///
    /// An overflow shows as NaN or an infinity in the results, which [`crate::rules::margin`] refuses.
    ///
    /// # Errors
    ///
    /// - [`CheckError::Shape`] if the batch is not a whole number of samples.
    /// - [`CheckError::NotFinite`] if a raw value is NaN or infinite.
    pub fn evaluate(&self, samples: Samples<'_>) -> Result<Vec<EnclosedLogits>, CheckError> {
        let length = self.sample_len();
        if !samples.len().is_multiple_of(length) {
            return Err(CheckError::Shape {
                what: "samples",
                expected: vec![length],
                found: vec![samples.len()],
            });
        }
        let (mut values, first_error) = self.read(samples)?;
        let count = samples.len() / length;
        let mut errors = vec![first_error; count];

        // The steps on images, one sample at a time while it is in cache.
        let images = self
            .steps
            .iter()
            .zip(&self.shapes)
            .take_while(|(_, shape)| matches!(shape, Shape::Image { .. }))
            .count();
        if images > 0 {
            let mut flat = Vec::new();
            let mut pass = ImagePass::new(self, images);
            for (sample, error) in values.chunks_exact(length).zip(&mut errors) {
                *error = pass.run(sample, *error);
                flat.extend_from_slice(&pass.sample);
            }
            values = flat;
        }
        let mut scratch = Scratch::default();
        let norms = |values: &[f64]| -> Vec<f64> {
            values
                .chunks_exact((values.len() / count.max(1)).max(1))
                .map(norm_up)
                .collect()
        };
        let mut kept = None;
        for (index, step) in self.steps.iter().enumerate().skip(images) {
            if self.kept == Some(index) {
                kept = Some((values.clone(), errors.clone()));
            }
            let before = norms(&values);
            let mut new = vec![0.0; count];
            let bound = match step {
                Step::Dense(layer, bound) => {
                    layer.apply(&mut values, &mut scratch);
                    bound
                }
                Step::Affine { weight, bias, bound } => {
                    let mut outputs = vec![0.0; count * weight.rows()];
                    affine(weight, bias, &values, &mut outputs);
                    values = outputs;
                    bound
                }
                Step::Entrywise(entrywise, bound) => {
                    let width = values.len() / count.max(1);
                    for (sample, fresh) in values.chunks_exact_mut(width.max(1)).zip(&mut new) {
                        *fresh = entrywise.apply(sample);
                    }
                    bound
                }
                Step::Sample(map, bound) => {
                    let mut outputs = vec![0.0; count * map.output()];
                    let pairs = values
                        .chunks_exact((values.len() / count.max(1)).max(1))
                        .zip(outputs.chunks_exact_mut(map.output()));
                    pairs.for_each(|(sample, output)| map.apply(sample, output));
                    values = outputs;
                    bound
                }
                Step::Block(block, bound) => {
                    values = residual_block(block, &values);
                    bound
                }
                Step::Sandwich { layer, weights, bound } => {
                    let mut outputs = Vec::new();
                    weights.apply(layer, &values, &mut outputs);
                    values = outputs;
                    bound
                }
                // Steps on images: none of them accepts a vector.
                Step::Pad(_)
                | Step::Conv(..)
                | Step::Pool { .. }
                | Step::Flatten
                | Step::PlainConv(..)
                | Step::Exponential(..) => {
                    errors.fill(f64::NAN);
                    continue;
                }
            };
            for (((error, before), after), new) in errors.iter_mut().zip(before).zip(norms(&values)).zip(new) {
                *error = add_up(bound.carry_up(*error, before, after), new);
            }
        }
        let mut logits = self.logits(&values, &errors);
        if let Some((values, errors)) = kept {
            let samples = values.chunks_exact((values.len() / count.max(1)).max(1)).zip(errors);
            for (logits, (values, error)) in logits.iter_mut().zip(samples) {
                logits.before = Some(EnclosedVector {
                    values: values.to_vec(),
                    error,
                });
            }
        }
        Ok(logits)
    }

    /// The head; without one a logit is off by no more than all of them together.
    fn logits(&self, features: &[f64], errors: &[f64]) -> Vec<EnclosedLogits> {
        if let Some(head) = &self.head {
            return head.apply(features, errors);
        }
        let samples = features.chunks_exact(self.classes).zip(errors);
        samples
            .map(|(values, &feature_error)| EnclosedLogits {
                values: values.to_vec(),
                local: vec![0.0; self.classes],
                feature_error,
                errors: vec![feature_error; self.classes],
                before: None,
            })
            .collect()
    }

    /// The preprocessed samples rounded to float64, and a bound of the norm of the rounding of one sample.
    fn read(&self, samples: Samples<'_>) -> Result<(Vec<f64>, f64), CheckError> {
        let length = self.sample_len();
        let plane = length / self.input.channels();
        let transform = |raw: Interval, channel: usize| match self.preprocess {
            Some((mean, std)) => raw.sub(mean[channel].enclosure()).div(std[channel].enclosure()),
            None => raw,
        };
        let mut largest = 0.0;
        let mut round = |exact: Interval| {
            let value = exact.mid();
            largest = max(largest, exact.distance_up(value));
            value
        };
        let values = match samples {
            Samples::Bytes { values, divisor } => {
                if divisor == 0 {
                    return Err(CheckError::NotPositive {
                        what: "divisor",
                        index: 0,
                        value: 0.0,
                    });
                }
                let divisor = Interval::integer(i64::from(divisor));
                let table: Vec<f64> = (0..self.input.channels() * 256)
                    .map(|slot| {
                        let raw = Interval::integer((slot % 256) as i64).div(divisor);
                        round(transform(raw, slot / 256))
                    })
                    .collect();
                let channels = values.chunks_exact(plane).enumerate();
                channels
                    .flat_map(|(index, bytes)| {
                        let start = index % self.input.channels() * 256;
                        let row = &table[start..start + 256];
                        bytes.iter().map(|byte| row[usize::from(*byte)])
                    })
                    .collect()
            }
            Samples::Floats(values) => {
                if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                    return Err(CheckError::NotFinite {
                        what: "samples",
                        index: vec![index / length, index % length],
                    });
                }
                let entries = values.iter().enumerate();
                entries
                    .map(|(index, value)| round(transform(Interval::point(*value), index % length / plane)))
                    .collect()
            }
        };
        Ok((values, input_error_up(largest, length)))
    }
}

/// The steps on images for one sample after the other; the buffers are kept.
struct ImagePass<'e, 'a> {
    evaluator: &'e Evaluator<'a>,
    steps: usize,
    sample: Vec<f64>,
    spare: Vec<f64>,
    image: Option<Image>,
    inner: Image,
    scratch: ConvScratch,
    output: Vec<f64>,
    /// Margins that suit every convolution, so that none asks for another buffer while the sample lies in this one.
    radius: usize,
}

impl<'e, 'a> ImagePass<'e, 'a> {
    fn new(evaluator: &'e Evaluator<'a>, steps: usize) -> Self {
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
    fn run(&mut self, sample: &[f64], error: f64) -> f64 {
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

/// The step of one layer before the head.
fn step<'a>(certificate: &'a LayerCertificate<'a>) -> Result<Step<'a>, CheckError> {
    let lipschitz = certificate.lipschitz();
    let layer = certificate.layer();
    let mismatch = CheckError::RuleMismatch {
        rule: "enclosed-evaluation",
        kind: layer.kind(),
    };
    Ok(match layer {
        Layer::Normalize { .. } | Layer::NormalizedHead { .. } => return Err(mismatch),
        Layer::PadChannels { channels } => Step::Pad(*channels),
        Layer::Flatten => Step::Flatten,
        Layer::AveragePool { size, divisor } => {
            let bound = ErrorBound::average_pool(lipschitz, *size, certificate.input());
            Step::Pool {
                size: *size,
                divisor: *divisor,
                bound,
            }
        }
        Layer::ResidualConv { kernel, bias, .. } => {
            let factor = certificate.factor().ok_or(mismatch)?;
            let norm = certificate.condition_norm_up();
            let bound = ErrorBound::residual_conv(lipschitz, norm, kernel, bias, factor, certificate.input());
            Step::Conv(ResidualConv::new(kernel, bias, factor.approx()), bound)
        }
        Layer::ResidualDense { weight, bias, .. } => {
            let factor = certificate.factor().ok_or(mismatch)?;
            let norm = certificate.condition_norm_up();
            let bound = ErrorBound::residual_dense(lipschitz, norm, weight, bias, factor);
            Step::Dense(ResidualDense::new(weight, bias, factor.approx()), bound)
        }
        Layer::Dense { weight, bias } => Step::Affine {
            weight,
            bias,
            bound: ErrorBound::affine(lipschitz, weight, bias),
        },
        Layer::Activation(activation) => {
            let rounds = matches!(activation, Activation::LeakyRelu { .. });
            let bound = ErrorBound::entrywise(lipschitz, rounds, certificate.input());
            Step::Entrywise(Entrywise::Activation(*activation), bound)
        }
        Layer::Elementwise { operation, operand } => {
            let bound = ErrorBound::entrywise(lipschitz, true, certificate.input());
            Step::Entrywise(Entrywise::Constant(*operation, operand), bound)
        }
        Layer::ChannelActivation(_) | Layer::Groupwise(_) | Layer::Paired(_) | Layer::Resample(_) => {
            let (map, bound) = SampleMap::new(layer, certificate.input(), lipschitz).ok_or(mismatch)?;
            Step::Sample(map, bound)
        }
        Layer::ResidualBlock(block) => Step::Block(block, residual_error::residual_block(lipschitz, block)),
        Layer::DenseFormula { bias, .. } => {
            let weight = certificate.enclosed().ok_or(mismatch)?;
            Step::Affine {
                weight: weight.centre(),
                bias,
                bound: ErrorBound::enclosed(lipschitz, weight, bias),
            }
        }
        Layer::Sandwich(layer) => {
            let weights = certificate.sandwich().ok_or(mismatch)?;
            let bound = weights.error_bound(layer, lipschitz);
            Step::Sandwich { layer, weights, bound }
        }
        Layer::Convolution { bias, padding, .. } | Layer::ConvFormula { bias, padding, .. } => {
            let ball = certificate.kernel().ok_or(mismatch)?;
            let bound = ErrorBound::convolution(lipschitz, ball, bias, certificate.input());
            Step::PlainConv(PlainConv::new(ball.approx(), bias, *padding), bound)
        }
        Layer::SkewExponential(exponential) => {
            let (ball, inside) = certificate.kernel().zip(certificate.witness().inside()).ok_or(mismatch)?;
            let norm = operator_norm::bound_up(inside.lambda, ball.error_up());
            let (terms, bias) = (exponential.terms, &exponential.bias);
            let bound = ErrorBound::exponential(lipschitz, norm, ball, terms, bias, certificate.input());
            Step::Exponential(Exponential::new(ball.approx(), bias, exponential.padding, terms), bound)
        }
    })
}
