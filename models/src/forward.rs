//! Plain evaluation of a network in float32 or float64, in the way the published PyTorch code evaluates it.
//!
//! Nothing here is a proof: rounding errors are made and not accounted for. It shares no arithmetic with the checker, so that
//! each can be tested against the other, and it says what the deployed program computes, up to the order of summation and the last
//! bit of `exp`.

mod activation;
mod block;
mod convolution;
mod factor;
mod float;
mod formula;
mod steps;
mod weightless;

use std::ops::Range;

use lipcert_proofs::statement::{NetworkMap, Shape};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use rayon::prelude::*;
use thiserror::Error;

use crate::data::{Dataset, PixelSlice};
pub use factor::{factor, float32_factor};
pub use float::Float;
use steps::Step;

/// Samples that one thread takes through the network together.
const SUB_BATCH: usize = 64;

/// Why a network could not be evaluated.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardError {
    /// The samples do not have the shape that the network takes.
    #[error("samples have shape {found:?}, the network takes {expected:?}")]
    Input {
        /// Shape of the network's input.
        expected: Vec<usize>,
        /// Shape of a sample.
        found: Vec<usize>,
    },
    /// There are no such samples.
    #[error("there are no samples {start}..{end} among {samples}")]
    Range {
        /// First sample.
        start: usize,
        /// Behind the last sample.
        end: usize,
        /// Number of samples.
        samples: usize,
    },
    /// There is no such layer.
    #[error("there is no layer {layer} among {layers}")]
    Layer {
        /// Which layer, from 0.
        layer: usize,
        /// Number of layers.
        layers: usize,
    },
}

/// The logits of the samples of `range`, `(samples, classes)`.
///
/// The diagonal `T` is computed anew at every call; see [`Prepared`] for many calls.
///
/// # Errors
///
/// See [`Prepared::logits`].
pub fn logits<T: Float>(map: &NetworkMap, dataset: &Dataset, range: Range<usize>) -> Result<Array2<T>, ForwardError> {
    Prepared::new(map).logits(dataset, range)
}

/// The samples of `range` as the network's raw input, `(samples, C·H·W)`, in the float type: a byte is divided after it has been
/// converted, as `ToTensor` does.
///
/// # Errors
///
/// [`ForwardError::Range`] if `range` does not lie within the data set.
///
/// # Panics
///
/// Never: a data set holds the values of all its samples.
pub fn inputs<T: Float>(dataset: &Dataset, range: Range<usize>) -> Result<Array2<T>, ForwardError> {
    if range.start > range.end || range.end > dataset.len() {
        return Err(ForwardError::Range {
            start: range.start,
            end: range.end,
            samples: dataset.len(),
        });
    }
    let values = match dataset.pixels_of(range.clone()) {
        PixelSlice::Bytes { values, divisor } => {
            let divisor = T::of(divisor.into());
            values.iter().map(|value| T::of((*value).into()) / divisor).collect()
        }
        PixelSlice::Floats(values) => values.iter().map(|value| T::of(*value)).collect(),
    };
    let shape = (range.len(), dataset.sample_len());
    Ok(Array2::from_shape_vec(shape, values).expect("a data set holds the values of its samples"))
}

/// A network whose weights are converted and whose diagonals `T` are computed once.
#[derive(Clone, Debug)]
pub struct Prepared<T> {
    input: Shape,
    steps: Vec<Step<T>>,
    /// Number of layers up to the features.
    body: usize,
}

impl<T: Float> Prepared<T> {
    /// Converts the weights, computes each residual layer's factor (see [`factor`]) and normalises the rows of the head.
    #[must_use]
    pub fn new(map: &NetworkMap) -> Self {
        let layers = map.layers().iter().zip(map.input_shapes());
        Self {
            input: map.input(),
            steps: layers.map(|(layer, shape)| Step::new(layer, shape)).collect(),
            body: map.body().len(),
        }
    }

    /// The logits of the samples of `range`, `(samples, classes)`.
    ///
    /// # Errors
    ///
    /// - [`ForwardError::Input`] if the shape of a sample is not the network's; a network on vectors takes images of as many values.
    /// - [`ForwardError::Range`] if `range` does not lie within the data set.
    pub fn logits(&self, dataset: &Dataset, range: Range<usize>) -> Result<Array2<T>, ForwardError> {
        let found = dataset.shape().to_vec();
        let fits = match self.input {
            Shape::Flat(length) => dataset.sample_len() == length,
            Shape::Image { .. } => self.input.sizes() == found,
        };
        if !fits {
            return Err(ForwardError::Input {
                expected: self.input.sizes(),
                found,
            });
        }
        self.evaluate(inputs(dataset, range)?.view())
    }

    /// The logits for raw inputs: `(samples, d)` to `(samples, classes)`. No samples give no logits.
    ///
    /// # Errors
    ///
    /// [`ForwardError::Input`] if `d` is not the size of the network's input.
    pub fn evaluate(&self, inputs: ArrayView2<'_, T>) -> Result<Array2<T>, ForwardError> {
        self.run(&self.steps, inputs)
    }

    /// What enters the head, or the logits where there is none: `(samples, d)` to `(samples, n)`.
    ///
    /// # Errors
    ///
    /// [`ForwardError::Input`] if `d` is not the size of the network's input.
    pub fn features(&self, inputs: ArrayView2<'_, T>) -> Result<Array2<T>, ForwardError> {
        self.run(&self.steps[..self.body], inputs)
    }

    /// One layer alone, from its inputs to its outputs.
    ///
    /// # Errors
    ///
    /// - [`ForwardError::Layer`] if there is no layer of that number.
    /// - [`ForwardError::Input`] if the inputs do not have the size that the layer takes.
    pub fn apply(&self, layer: usize, inputs: ArrayView2<'_, T>) -> Result<Array2<T>, ForwardError> {
        match self.steps.get(layer) {
            Some(step) => self.run(std::slice::from_ref(step), inputs),
            None => Err(ForwardError::Layer {
                layer,
                layers: self.steps.len(),
            }),
        }
    }

    /// Takes samples through consecutive layers, [`SUB_BATCH`] at a time on as many threads as rayon has.
    fn run(&self, steps: &[Step<T>], inputs: ArrayView2<'_, T>) -> Result<Array2<T>, ForwardError> {
        let width = |shape: Option<usize>| shape.unwrap_or_else(|| self.input.len());
        let expected = width(steps.first().map(Step::input_len));
        if inputs.ncols() != expected {
            return Err(ForwardError::Input {
                expected: vec![expected],
                found: vec![inputs.ncols()],
            });
        }
        let parts: Vec<Array2<T>> = inputs
            .axis_chunks_iter(Axis(0), SUB_BATCH)
            .into_par_iter()
            .map(|part| {
                let part = part.as_standard_layout().into_owned();
                steps.iter().fold(part, |values, step| step.apply(values))
            })
            .collect();
        if parts.is_empty() {
            return Ok(Array2::zeros((0, width(steps.last().map(Step::output_len)))));
        }
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        Ok(concatenate(Axis(0), &views).expect("parts of one batch are equally wide"))
    }
}
