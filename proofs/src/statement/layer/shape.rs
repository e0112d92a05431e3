//! The shape behind a layer, and whether its numbers are those of such a layer.

use super::{Layer, Operation, Scale};
use crate::error::CheckError;
use crate::statement::convolution::convolved;
use crate::statement::network::{Shape, require_size};
use crate::statement::tensor::check_finite;

impl Layer {
    /// Checks the layer's own numbers and returns the shape of its output.
    ///
    /// # Errors
    ///
    /// [`CheckError::Shape`], [`CheckError::NotFinite`], [`CheckError::NotPositive`], [`CheckError::NotOrdered`] or [`CheckError::OutOfRange`], naming the
    /// field; [`CheckError::TooLarge`] if the output has more than 2²⁴ numbers.
    pub fn output_shape(&self, input: Shape) -> Result<Shape, CheckError> {
        let output = self.shape_behind(input)?;
        require_size("sample", output)?;
        Ok(output)
    }

    fn shape_behind(&self, input: Shape) -> Result<Shape, CheckError> {
        let image = |what| match input {
            Shape::Image { channels, height, width } => Ok((channels, height, width)),
            Shape::Flat(n) => Err(CheckError::Shape {
                what,
                expected: vec![0, 0, 0],
                found: vec![n],
            }),
        };
        let flat = |what, n| match input {
            Shape::Flat(found) if found == n => Ok(()),
            other => Err(CheckError::Shape {
                what,
                expected: vec![n],
                found: other.sizes(),
            }),
        };
        match self {
            Self::Normalize { mean, std } => {
                let channels = input.channels();
                for (what, values) in [("mean", mean), ("std", std)] {
                    if values.len() != channels {
                        return Err(CheckError::Shape {
                            what,
                            expected: vec![channels],
                            found: vec![values.len()],
                        });
                    }
                }
                match std.iter().position(|value| !value.is_positive()) {
                    Some(index) => Err(CheckError::NotPositive {
                        what: "std",
                        index,
                        value: std[index].enclosure().lo(),
                    }),
                    None => Ok(input),
                }
            }
            Self::PadChannels { channels } => {
                let (found, height, width) = image("pad-channels")?;
                if *channels < found {
                    return Err(CheckError::Shape {
                        what: "channels",
                        expected: vec![found],
                        found: vec![*channels],
                    });
                }
                Ok(Shape::Image {
                    channels: *channels,
                    height,
                    width,
                })
            }
            Self::ResidualConv { kernel, bias, scale } => {
                let (channels, ..) = image("kernel")?;
                if kernel.channels() != channels {
                    return Err(CheckError::Shape {
                        what: "kernel",
                        expected: vec![channels],
                        found: vec![kernel.channels()],
                    });
                }
                check_length("bias", kernel.inner(), bias)?;
                if *scale == Scale::Frobenius {
                    let (rule, kind) = ("frobenius", self.kind());
                    return Err(CheckError::RuleMismatch { rule, kind });
                }
                scale.validate(kernel.inner())?;
                Ok(input)
            }
            Self::ResidualDense { weight, bias, scale } => {
                flat("input", weight.cols())?;
                check_length("bias", weight.rows(), bias)?;
                scale.validate(weight.rows())?;
                Ok(input)
            }
            Self::AveragePool { size, divisor } => {
                let (channels, height, width) = image("average-pool")?;
                if *size == 0 || !height.is_multiple_of(*size) || !width.is_multiple_of(*size) {
                    return Err(CheckError::Shape {
                        what: "average-pool",
                        expected: vec![*size, *size],
                        found: vec![height, width],
                    });
                }
                if *divisor == 0 {
                    return Err(CheckError::NotPositive {
                        what: "divisor",
                        index: 0,
                        value: 0.0,
                    });
                }
                Ok(Shape::Image {
                    channels,
                    height: height / size,
                    width: width / size,
                })
            }
            Self::Flatten => {
                image("flatten")?;
                Ok(Shape::Flat(input.len()))
            }
            Self::Activation(activation) => activation.validate().map(|()| input),
            Self::Elementwise { operation, operand } => {
                check_length("operand", input.len(), operand)?;
                let zero = |value: &f64| *value == 0.0 && *operation == Operation::Divide;
                match operand.iter().position(zero) {
                    Some(index) => Err(CheckError::NotPositive {
                        what: "magnitude of a divisor",
                        index,
                        value: 0.0,
                    }),
                    None => Ok(input),
                }
            }
            Self::Dense { weight, bias } | Self::NormalizedHead { weight, bias } => {
                flat("input", weight.cols())?;
                check_length("bias", weight.rows(), bias)?;
                Ok(Shape::Flat(weight.rows()))
            }
            Self::ChannelActivation(activation) => activation.output_shape(input),
            Self::Groupwise(groupwise) => groupwise.output_shape(input),
            Self::Paired(paired) => paired.output_shape(input),
            Self::Resample(resample) => resample.output_shape(input),
            Self::ResidualBlock(block) => flat("input", block.inputs()).map(|()| Shape::Flat(block.outputs())),
            Self::DenseFormula { formula, bias } => {
                flat("input", formula.cols())?;
                formula.validate()?;
                check_length("bias", formula.rows(), bias)?;
                Ok(Shape::Flat(formula.rows()))
            }
            Self::Sandwich(sandwich) => {
                flat("input", sandwich.inputs())?;
                sandwich.validate()?;
                Ok(Shape::Flat(sandwich.outputs()))
            }
            Self::Convolution { kernel, bias, .. } => convolved(input, kernel, bias),
            Self::ConvFormula { formula, bias, .. } => formula.validate().and_then(|()| convolved(input, formula.raw(), bias)),
            Self::SkewExponential(layer) => layer.validate().and_then(|()| convolved(input, &layer.raw, &layer.bias)),
        }
    }
}

/// Checks that `values` holds `expected` finite numbers.
pub(in crate::statement) fn check_length(what: &'static str, expected: usize, values: &[f64]) -> Result<(), CheckError> {
    if values.len() != expected {
        return Err(CheckError::Shape {
            what,
            expected: vec![expected],
            found: vec![values.len()],
        });
    }
    check_finite(what, &[expected], values)
}
