//! The forward pass in float64 with a proved bound of its error.

mod image_pass;
mod step;

use self::image_pass::ImagePass;
use self::step::{Step, step};
use super::directed::{add_up, max, mul_up};
use super::error_bound::{HeadBound, input_error_up};
use super::interval::Interval;
use super::kernels::dense::{Scratch, affine};
use super::kernels::norm::norm_up;
use super::kernels::residual::residual_block;
use crate::error::CheckError;
use crate::rules::compose::NetworkCertificate;
use crate::rules::curvature::Curvature;
use crate::statement::{Decimal, Layer, Matrix, Shape};

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
