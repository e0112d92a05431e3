//! The layers with converted weights.

use lipcert_proofs::statement::{Activation, Kernel, Layer, Operation as Arithmetic, Padding, Shape};
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};

use super::Float;
use super::activation::activate;
use super::block::Block;
use super::convolution::Convolution;
use super::factor::factor;
use super::float::{matrix, vector};
use super::formula::{norm_factor, sandwich, weight};
use super::kernel::entries;
use super::weightless::Weightless;

/// The smallest norm that a row of the head is divided by.
const SMALLEST_NORM: f64 = 1e-12;

/// One layer on a fixed shape of input. A sample is a row, in the order `(C, H, W)`.
#[derive(Clone, Debug)]
pub(super) struct Step<T> {
    input: usize,
    output: usize,
    operation: Operation<T>,
}

/// What a layer does.
#[derive(Clone, Debug)]
enum Operation<T> {
    /// `(x − mean) / std`.
    Normalize { mean: Vec<T>, std: Vec<T> },
    /// Zeros behind; the channel is the slowest index.
    Pad,
    /// `x − 2 Kᵀ(factor · relu(K x + bias))`.
    Conv {
        convolution: Convolution<T>,
        bias: Array1<T>,
        factor: Array1<T>,
    },
    /// `x − 2 Aᵀ(factor · relu(A x + bias))`.
    Dense {
        weight: Array2<T>,
        bias: Array1<T>,
        factor: Array1<T>,
    },
    /// Window sums over a divisor.
    Pool {
        channels: usize,
        height: usize,
        width: usize,
        size: usize,
        divisor: T,
    },
    /// Nothing: samples are rows already.
    Flatten,
    /// `W x + bias`, or `Ŵ x + bias`.
    Affine { weight: Array2<T>, bias: Array1<T> },
    /// An activation at every entry.
    Activation(Activation),
    /// Arithmetic with a constant at every entry.
    Elementwise { operation: Arithmetic, operand: Array1<T> },
    /// Activations with parameters or groups, and maps without weights.
    Weightless(Weightless<T>),
    /// A path of its own beside hidden layers.
    Block(Block<T>),
    /// `second · σ(first · x + bias)`.
    Sandwich {
        first: Array2<T>,
        bias: Array1<T>,
        activation: Activation,
        second: Array2<T>,
    },
    /// `Σ_{i < terms} Kⁱ x / i! + bias`; `K x + bias` without a number of terms.
    Convolution {
        convolution: Convolution<T>,
        bias: Array1<T>,
        terms: Option<usize>,
    },
}

impl<T: Float> Step<T> {
    /// Converts a layer that takes `shape`.
    pub(super) fn new(layer: &Layer, shape: Shape) -> Self {
        let output = layer.output_shape(shape).expect("checked when the map was built").len();
        let (channels, height, width) = match shape {
            Shape::Image { channels, height, width } => (channels, height, width),
            Shape::Flat(length) => (1, 1, length),
        };
        let operation = match layer {
            Layer::Normalize { mean, std } => Operation::Normalize {
                mean: mean.iter().map(|value| T::of_decimal(*value)).collect(),
                std: std.iter().map(|value| T::of_decimal(*value)).collect(),
            },
            Layer::PadChannels { .. } => Operation::Pad,
            Layer::ResidualConv { kernel, bias, .. } => Operation::Conv {
                convolution: Convolution::new(kernel, height, width),
                bias: vector(bias),
                factor: norm_factor(layer, height, width).unwrap_or_else(|| factor(layer)).into(),
            },
            Layer::ResidualDense { weight, bias, .. } => Operation::Dense {
                weight: matrix(weight),
                bias: vector(bias),
                factor: norm_factor(layer, height, width).unwrap_or_else(|| factor(layer)).into(),
            },
            Layer::AveragePool { size, divisor } => Operation::Pool {
                channels,
                height,
                width,
                size: *size,
                divisor: T::of((*divisor).into()),
            },
            Layer::Flatten => Operation::Flatten,
            Layer::NormalizedHead { weight, bias } => Operation::Affine {
                weight: normalized(matrix(weight)),
                bias: vector(bias),
            },
            Layer::Dense { weight, bias } => Operation::Affine {
                weight: matrix(weight),
                bias: vector(bias),
            },
            Layer::Activation(activation) => Operation::Activation(*activation),
            Layer::Elementwise { operation, operand } => Operation::Elementwise {
                operation: *operation,
                operand: vector(operand),
            },
            Layer::ChannelActivation(_) | Layer::Groupwise(_) | Layer::Paired(_) | Layer::Resample(_) => {
                Operation::Weightless(Weightless::new(layer, shape))
            }
            Layer::ResidualBlock(block) => Operation::Block(Block::new(block)),
            Layer::DenseFormula { formula, bias } => Operation::Affine {
                weight: weight(formula),
                bias: vector(bias),
            },
            Layer::Sandwich(layer) => {
                let (first, second) = sandwich(layer);
                Operation::Sandwich {
                    first,
                    bias: vector(&layer.bias),
                    activation: layer.activation,
                    second,
                }
            }
            Layer::Convolution { kernel, bias, padding } => convolution(layer, kernel, bias, *padding, shape),
            Layer::ConvFormula { formula, bias, padding } => convolution(layer, formula.raw(), bias, *padding, shape),
            Layer::SkewExponential(skew) => convolution(layer, &skew.raw, &skew.bias, skew.padding, shape),
        };
        Self {
            input: shape.len(),
            output,
            operation,
        }
    }

    /// Size of one sample before the layer.
    pub(super) const fn input_len(&self) -> usize {
        self.input
    }

    /// Size of one sample after the layer.
    pub(super) const fn output_len(&self) -> usize {
        self.output
    }

    /// Takes samples `(N, input)` to `(N, output)`.
    pub(super) fn apply(&self, mut x: Array2<T>) -> Array2<T> {
        match &self.operation {
            Operation::Normalize { mean, std } => {
                for mut sample in x.outer_iter_mut() {
                    let channels = sample.exact_chunks_mut(self.input / mean.len());
                    for (mut channel, (mean, std)) in channels.into_iter().zip(mean.iter().zip(std)) {
                        channel.mapv_inplace(|value| (value - *mean) / *std);
                    }
                }
                x
            }
            Operation::Pad => {
                let mut padded = Array2::zeros((x.nrows(), self.output));
                padded.slice_mut(s![.., ..self.input]).assign(&x);
                padded
            }
            Operation::Conv {
                convolution,
                bias,
                factor,
            } => {
                for mut sample in x.outer_iter_mut() {
                    let channels = convolution.channels();
                    let mut image = sample
                        .view_mut()
                        .into_shape_with_order((channels, self.input / channels))
                        .expect("a row in standard layout");
                    let mut inner = convolution.apply(image.view());
                    let columns = Zip::from(inner.rows_mut()).and(bias).and(factor);
                    columns.for_each(|mut row, bias, factor| row.mapv_inplace(|value| active(value, *bias, *factor)));
                    image.scaled_add(-T::of(2.0), &convolution.adjoint(inner.view()));
                }
                x
            }
            Operation::Dense { weight, bias, factor } => {
                let mut inner = x.dot(&weight.t());
                for row in inner.rows_mut() {
                    Zip::from(row)
                        .and(bias)
                        .and(factor)
                        .for_each(|value, bias, factor| *value = active(*value, *bias, *factor));
                }
                x.scaled_add(-T::of(2.0), &inner.dot(weight));
                x
            }
            Operation::Pool {
                channels,
                height,
                width,
                size,
                divisor,
            } => {
                let rows = channels * height;
                let mut pooled = Array2::zeros((x.nrows(), self.output));
                for (sample, mut target) in x.outer_iter().zip(pooled.outer_iter_mut()) {
                    let image = sample
                        .into_shape_with_order((rows, *width))
                        .expect("a row in standard layout");
                    // rows / size: windows do not cross channels, because `size` divides the height
                    let windows = image.exact_chunks((*size, *size));
                    for (target, window) in target.iter_mut().zip(windows) {
                        *target = sum(window) / *divisor;
                    }
                }
                pooled
            }
            Operation::Flatten => x,
            Operation::Affine { weight, bias } => x.dot(&weight.t()) + bias,
            Operation::Activation(activation) => {
                x.mapv_inplace(|value| activate(*activation, value));
                x
            }
            Operation::Sandwich {
                first,
                bias,
                activation,
                second,
            } => {
                let inner = x.dot(&first.t()) + bias;
                let activated = inner.mapv_into(|value| activate(*activation, value));
                activated.dot(&second.t())
            }
            Operation::Elementwise { operation, operand } => match operation {
                Arithmetic::Add => x + operand,
                Arithmetic::Subtract => x - operand,
                Arithmetic::Multiply => x * operand,
                Arithmetic::Divide => x / operand,
            },
            Operation::Weightless(map) => map.apply(&x, self.output),
            Operation::Block(block) => block.apply(&x),
            Operation::Convolution {
                convolution,
                bias,
                terms,
            } => {
                let channels = convolution.channels();
                let mut output = Array2::zeros((x.nrows(), self.output));
                for (sample, mut target) in x.outer_iter().zip(output.outer_iter_mut()) {
                    let image = sample
                        .into_shape_with_order((channels, self.input / channels))
                        .expect("a row in standard layout");
                    let mut result = match terms {
                        None => convolution.apply(image),
                        // Horner's scheme, as the authors' code
                        Some(terms) => (1..*terms).rev().fold(image.to_owned(), |sum, i| {
                            convolution.apply(sum.view()) / T::of(i as f64) + image
                        }),
                    };
                    result += &bias.view().insert_axis(Axis(1));
                    target.assign(&result.flatten());
                }
                output
            }
        }
    }
}

/// A convolution of one kernel, or the exponential of one.
fn convolution<T: Float>(layer: &Layer, kernel: &Kernel, bias: &[f64], padding: Padding, input: Shape) -> Operation<T> {
    let size = match input {
        Shape::Image { height, width, .. } => (height, width),
        Shape::Flat(length) => (1, length),
    };
    Operation::Convolution {
        convolution: Convolution::with_entries(&entries(layer), kernel, size, padding),
        bias: vector(bias),
        terms: match layer {
            Layer::SkewExponential(skew) => Some(skew.terms),
            _ => None,
        },
    }
}

/// `factor · relu(value + bias)`.
fn active<T: Float>(value: T, bias: T, factor: T) -> T {
    let shifted = value + bias;
    // as PyTorch's, this relu lets NaN through
    let rectified = if shifted < T::zero() { T::zero() } else { shifted };
    factor * rectified
}

/// The sum, row by row.
fn sum<T: Float>(window: ArrayView2<'_, T>) -> T {
    window.iter().fold(T::zero(), |sum, value| sum + *value)
}

/// Rows `w / max(‖w‖₂, 1e-12)`.
fn normalized<T: Float>(mut weight: Array2<T>) -> Array2<T> {
    for mut row in weight.axis_iter_mut(Axis(0)) {
        let squares = row.iter().fold(T::zero(), |sum, value| sum + *value * *value);
        let norm = squares.sqrt().max(T::of(SMALLEST_NORM));
        row.mapv_inplace(|value| value / norm);
    }
    weight
}
