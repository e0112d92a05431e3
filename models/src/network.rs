//! A checkpoint and an architecture as one map over the reals.

mod convolution;
mod formula;

use lipcert_proofs::CheckError;
use lipcert_proofs::statement::{
    ChannelActivation, Hidden, Kernel, Layer, Matrix, NetworkMap, PairMap, Paired, ResidualBlock, Scale, Shape,
};

use crate::architecture::{
    Architecture, ArchitectureError, ChannelKind, MAX_SIDE, Plan, PlannedLayer, ScaleKind, angle_fields, too_large,
};
use crate::checkpoint::Checkpoint;
use crate::error::ModelError;
use crate::parameterization::activation;
use crate::preprocess::Preprocess;
use crate::training::parameters;

/// What the caller knows beyond the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadOptions {
    /// Shape of one raw input. Without it the file's declaration counts; without that a network whose first layer is dense takes a vector,
    /// and the side of an image follows from the number of features (see [`Architecture::input_shape`]), its channels from the number of
    /// means of the preprocessing. A network that takes a vector takes an image of as many numbers too: it is flattened first.
    pub input: Option<Shape>,
    /// The preprocessing. [`Preprocess::File`] takes what the file declares, else none.
    pub preprocess: Preprocess,
}

/// The shape of an image with these channels, rows and columns.
#[must_use]
pub const fn image([channels, height, width]: [usize; 3]) -> Shape {
    Shape::Image { channels, height, width }
}

/// A network that was read from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Name of the architecture: `sll`, `sll-weighted`, `dense-relu`, `onnx`, or what the file declares.
    pub architecture: String,
    /// One name a layer of `map`; `normalize` for the preprocessing, `flatten` for an image that becomes a vector before the first layer, else the prefix of the layer's tensors in the file.
    pub names: Vec<String>,
    /// The map, weights widened exactly.
    pub map: NetworkMap,
    /// Number of parameters in the file that belong to the network, `q` included.
    pub parameters: usize,
}

impl Network {
    /// Reads all layers of the file, one tensor at a time.
    ///
    /// # Errors
    ///
    /// - [`ModelError::Architecture`] if the tensors are not those of a known architecture, the input shape cannot be told, or the options
    ///   contradict what the file declares.
    /// - [`ModelError::File`] with [`TensorError::NotFinite`](crate::checkpoint::TensorError::NotFinite) (tensor, position, value) if a weight is NaN or infinite, and if the
    ///   file cannot be read.
    /// - [`ModelError::Layer`] if a layer does not fit the one before, or a number is out of range (`|q| > 80`).
    pub fn load(checkpoint: &Checkpoint, options: &LoadOptions) -> Result<Self, ModelError> {
        let architecture = Architecture::detect(checkpoint)?;
        let refuse = |cause| ModelError::Architecture {
            path: checkpoint.path().to_owned(),
            cause: Box::new(cause),
        };
        require_agreement(&architecture, options).map_err(refuse)?;
        let preprocess = effective_preprocess(&architecture, options);
        let shape = match options.input {
            Some(input) => input,
            None => architecture.input_shape(preprocess.channels()).map_err(refuse)?,
        };
        for size in shape.sizes() {
            too_large("input size", size, MAX_SIDE).map_err(refuse)?;
        }
        let mut builder = Builder {
            checkpoint,
            shape,
            names: Vec::new(),
            layers: Vec::new(),
        };
        if let Some((mean, std)) = preprocess.normalization() {
            builder.push("normalize", Layer::Normalize { mean, std })?;
        }
        if architecture.vector().is_some() && matches!(shape, Shape::Image { .. }) {
            builder.push("flatten", Layer::Flatten)?;
        }
        for layer in &architecture.layers {
            builder.push(&layer.name, builder.layer(layer)?)?;
        }
        let Builder { names, layers, .. } = builder;
        let last = names.len().saturating_sub(1);
        let map = NetworkMap::new(shape, layers).map_err(|cause| {
            // the shapes have been walked, so this is about the place of the head
            let index = match cause {
                CheckError::Order { index, .. } => index,
                _ => last,
            };
            ModelError::Layer {
                path: checkpoint.path().to_owned(),
                index,
                layer: names.get(index).cloned().unwrap_or_default(),
                cause: Box::new(cause),
            }
        })?;
        Ok(Self {
            parameters: architecture.parameters(),
            architecture: architecture.name,
            names,
            map,
        })
    }
}

/// Refuses options that contradict what the file declares: a file that names its function is that function.
fn require_agreement(architecture: &Architecture, options: &LoadOptions) -> Result<(), ArchitectureError> {
    let declared = architecture.input.or_else(|| architecture.vector().map(Shape::Flat));
    // sizes beyond the limit are refused later
    let count = |shape: Shape| shape.sizes().into_iter().fold(1usize, usize::saturating_mul);
    let flattened = |declared, asked| matches!(declared, Shape::Flat(length) if count(asked) == length);
    if let (Some(declared), Some(asked)) = (declared, options.input)
        && declared != asked
        && !flattened(declared, asked)
    {
        let (declared, asked) = (format!("{:?}", declared.sizes()), format!("{:?}", asked.sizes()));
        return Err(ArchitectureError::Contradicts {
            what: "input",
            declared,
            asked,
        });
    }
    match (&architecture.preprocess, &options.preprocess) {
        (Some(declared), asked) if *asked != Preprocess::File && declared.normalization() != asked.normalization() => {
            let (declared, asked) = (declared.to_string(), asked.to_string());
            Err(ArchitectureError::Contradicts {
                what: "preprocessing",
                declared,
                asked,
            })
        }
        _ => Ok(()),
    }
}

/// The preprocessing that counts: the caller's, else the file's, else none.
pub(crate) fn effective_preprocess(architecture: &Architecture, options: &LoadOptions) -> Preprocess {
    match &options.preprocess {
        Preprocess::File => architecture.preprocess.clone().unwrap_or(Preprocess::None),
        explicit => explicit.clone(),
    }
}

/// The layers so far.
struct Builder<'c> {
    checkpoint: &'c Checkpoint,
    shape: Shape,
    names: Vec<String>,
    layers: Vec<Layer>,
}

impl Builder<'_> {
    /// Adds a layer that must accept the shape so far.
    fn push(&mut self, name: &str, layer: Layer) -> Result<(), ModelError> {
        self.shape = layer.output_shape(self.shape).map_err(|cause| self.refuse(name, cause))?;
        self.names.push(name.to_owned());
        self.layers.push(layer);
        Ok(())
    }

    fn refuse(&self, name: &str, cause: CheckError) -> ModelError {
        ModelError::Layer {
            path: self.checkpoint.path().to_owned(),
            index: self.layers.len(),
            layer: name.to_owned(),
            cause: Box::new(cause),
        }
    }

    /// Reads one tensor, finite numbers only.
    fn read(&self, layer: &str, field: &str) -> Result<Vec<f64>, ModelError> {
        parameters::read(self.checkpoint, layer, field)
    }

    fn scale(&self, layer: &str, kind: ScaleKind) -> Result<Scale, ModelError> {
        let values = kind.tensor().map_or(Ok(Vec::new()), |tensor| self.read(layer, tensor))?;
        Ok(match kind {
            ScaleKind::RowSum => Scale::RowSum { q: values },
            ScaleKind::Weighted => Scale::Weighted { q: values },
            ScaleKind::Stored => Scale::Stored { factor: values },
            ScaleKind::Norm => Scale::Norm,
            ScaleKind::Frobenius => Scale::Frobenius,
        })
    }

    fn layer(&self, layer: &PlannedLayer) -> Result<Layer, ModelError> {
        let name = layer.name.as_str();
        let refuse = |cause| self.refuse(name, cause);
        Ok(match layer.plan {
            Plan::PadChannels { channels } => Layer::PadChannels { channels },
            Plan::AveragePool { size, divisor } => Layer::AveragePool { size, divisor },
            Plan::Flatten => Layer::Flatten,
            Plan::Conv {
                scale,
                inner,
                channels,
                size,
            } => Layer::ResidualConv {
                kernel: Kernel::new("kernel", inner, channels, size, self.read(name, "kernel")?).map_err(refuse)?,
                bias: self.read(name, "bias")?,
                scale: self.scale(name, scale)?,
            },
            Plan::Dense { scale, inner, features } => Layer::ResidualDense {
                weight: Matrix::new("weight", inner, features, self.read(name, "weight")?).map_err(refuse)?,
                bias: self.read(name, "bias")?,
                scale: self.scale(name, scale)?,
            },
            Plan::Affine { outputs, features, bias } => Layer::Dense {
                weight: Matrix::new("weight", outputs, features, self.read(name, "weight")?).map_err(refuse)?,
                bias: if bias { self.read(name, "bias")? } else { vec![0.0; outputs] },
            },
            Plan::Activation(activation) => Layer::Activation(activation),
            Plan::Elementwise { operation, .. } => Layer::Elementwise {
                operation,
                operand: self.read(name, "operand")?,
            },
            Plan::Formula {
                formula,
                outputs,
                features,
                bias,
            } => self.formula(name, formula, [outputs, features], bias)?,
            Plan::Sandwich {
                activation,
                outputs,
                features,
                alpha,
            } => self.sandwich(name, activation, [outputs, features], alpha)?,
            Plan::Head { classes, features } => Layer::NormalizedHead {
                weight: Matrix::new("head", classes, features, self.read(name, "weight")?).map_err(refuse)?,
                bias: self.read(name, "bias")?,
            },
            Plan::ChannelActivation { kind, units } => self.channelwise(name, kind, units)?,
            Plan::Groupwise(map) => Layer::Groupwise(map),
            Plan::Paired { map, .. } => {
                let mut angles = Vec::new();
                for field in angle_fields(map) {
                    angles.append(&mut self.read(name, field)?);
                }
                Layer::Paired(match map {
                    PairMap::Householder => Paired { map, angles },
                    PairMap::Householder2 | PairMap::Projection => activation::clamped(map, angles),
                })
            }
            Plan::Resample(map) => Layer::Resample(map),
            Plan::Block {
                activation,
                features,
                inner,
                outputs,
                path,
                bias,
            } => {
                let matrix = |field, rows, cols| Matrix::new(field, rows, cols, self.read(name, field)?).map_err(refuse);
                let hidden = Hidden {
                    weight: matrix("weight", inner, features)?,
                    bias: self.read(name, "bias")?,
                };
                let path = if path {
                    Some(matrix("path", outputs, features)?)
                } else {
                    None
                };
                let bias = if bias {
                    self.read(name, "output_bias")?
                } else {
                    vec![0.0; outputs]
                };
                let block = ResidualBlock::new(path, vec![hidden], activation, matrix("output", outputs, inner)?, bias);
                Layer::ResidualBlock(block.map_err(refuse)?)
            }
            Plan::Convolution {
                kernel,
                outputs,
                channels,
                size,
                bias,
                padding,
            } => self.convolution(name, kernel, [outputs, channels, size], bias, padding)?,
        })
    }

    /// One parameter for each unit of the shape so far; a single one is shared by all.
    fn channelwise(&self, name: &str, kind: ChannelKind, units: usize) -> Result<Layer, ModelError> {
        let field = if kind == ChannelKind::N { "theta" } else { "weight" };
        let mut values = self.read(name, field)?;
        if units == 1 {
            values = values.repeat(self.shape.units());
        }
        Ok(Layer::ChannelActivation(match kind {
            ChannelKind::Prelu => ChannelActivation::Prelu { slope: values },
            ChannelKind::LipschitzPrelu => activation::clamped_slopes(&values),
            ChannelKind::N => activation::sorted(&values),
        }))
    }
}
