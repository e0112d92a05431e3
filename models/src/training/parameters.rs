//! The tensors of an architecture: their names and shapes, and their numbers from a file.

use crate::architecture::{
    Architecture, ChannelKind, DivisorPlan, FormulaPlan, KernelKind, Plan, PlannedLayer, alias, angle_fields, torch_names,
};
use crate::checkpoint::{Checkpoint, FileError, TensorError, position};
use crate::error::ModelError;

/// A tensor of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Which layer it belongs to, from 0.
    pub layer: usize,
    /// What it is called in its layer: `weight`, `bias`, `q` …
    pub field: &'static str,
    /// `LAYER.FIELD`.
    pub name: String,
    /// Sizes, without leading ones: a bias is a vector.
    pub shape: Vec<usize>,
}

/// The parameters of a layer, by field, with their shapes.
///
/// What a tensor stores that no map depends on, such as the vectors of a power iteration beside a norm, is not among them.
#[must_use]
pub fn fields(plan: Plan) -> Vec<(&'static str, Vec<usize>)> {
    match plan {
        Plan::Conv {
            scale,
            inner,
            channels,
            size,
        } => {
            let mut found = vec![("kernel", vec![inner, channels, size, size]), ("bias", vec![inner])];
            found.extend(scale.tensor().map(|tensor| (tensor, vec![inner])));
            found
        }
        Plan::Dense { scale, inner, features } => {
            let mut found = vec![("weight", vec![inner, features]), ("bias", vec![inner])];
            found.extend(scale.tensor().map(|tensor| (tensor, vec![inner])));
            found
        }
        Plan::Affine { outputs, features, bias } => with_bias(("weight", vec![outputs, features]), bias, outputs),
        Plan::Elementwise { entries, .. } => vec![("operand", vec![entries])],
        Plan::Head { classes, features } => with_bias(("weight", vec![classes, features]), true, classes),
        Plan::ChannelActivation { kind, units } => match kind {
            ChannelKind::N => vec![("theta", vec![units, 2])],
            ChannelKind::Prelu | ChannelKind::LipschitzPrelu => vec![("weight", vec![units])],
        },
        Plan::Paired { map, pairs } => angle_fields(map).iter().map(|field| (*field, vec![pairs])).collect(),
        Plan::Block {
            features,
            inner,
            outputs,
            path,
            bias,
            ..
        } => {
            let mut found = vec![
                ("weight", vec![inner, features]),
                ("bias", vec![inner]),
                ("output", vec![outputs, inner]),
            ];
            found.extend(path.then(|| ("path", vec![outputs, features])));
            found.extend(bias.then(|| ("output_bias", vec![outputs])));
            found
        }
        Plan::Formula {
            formula,
            outputs,
            features,
            bias,
        } => {
            let first = match formula {
                FormulaPlan::Householder { vectors } => ("vectors", vec![vectors, features]),
                _ => ("weight", vec![outputs, features]),
            };
            let mut found = with_bias(first, bias, outputs);
            match formula {
                FormulaPlan::Cayley { alpha: true } => found.push(("alpha", vec![])),
                FormulaPlan::Normalized { divisor, .. } => match divisor {
                    DivisorPlan::Stored => found.push(("sigma", vec![])),
                    DivisorPlan::Vectors => found.extend([("u", vec![outputs]), ("v", vec![features])]),
                    DivisorPlan::Frobenius | DivisorPlan::Norm => {}
                },
                _ => {}
            }
            found
        }
        Plan::Sandwich {
            outputs,
            features,
            alpha,
            ..
        } => {
            let mut found = with_bias(("weight", vec![outputs, outputs + features]), true, outputs);
            found.push(("psi", vec![outputs]));
            found.extend(alpha.then(|| ("alpha", vec![])));
            found
        }
        Plan::Convolution {
            kernel,
            outputs,
            channels,
            size,
            bias,
            ..
        } => {
            let mut found = with_bias(("weight", vec![outputs, channels, size, size]), bias, outputs);
            if matches!(kernel, KernelKind::Spectral | KernelKind::Skew { stored: true, .. }) {
                found.push(("sigma", vec![]));
            }
            found
        }
        Plan::PadChannels { .. }
        | Plan::AveragePool { .. }
        | Plan::Flatten
        | Plan::Activation(_)
        | Plan::Groupwise(_)
        | Plan::Resample(_) => Vec::new(),
    }
}

/// A tensor, and a bias behind it.
fn with_bias(first: (&'static str, Vec<usize>), bias: bool, outputs: usize) -> Vec<(&'static str, Vec<usize>)> {
    let mut found = vec![first];
    found.extend(bias.then(|| ("bias", vec![outputs])));
    found
}

/// The tensors of an architecture, layer by layer.
#[must_use]
pub fn of(architecture: &Architecture) -> Vec<Parameter> {
    let layers = architecture.layers.iter().enumerate();
    layers
        .flat_map(|(layer, PlannedLayer { name, plan })| {
            fields(*plan).into_iter().map(move |(field, shape)| Parameter {
                layer,
                field,
                name: format!("{name}.{field}"),
                shape,
            })
        })
        .collect()
}

/// Reads the numbers of a parameter, whatever the file calls it.
///
/// # Errors
///
/// [`ModelError::File`], with [`TensorError::NotFinite`] if a number is NaN or infinite.
pub fn read(checkpoint: &Checkpoint, layer: &str, field: &str) -> Result<Vec<f64>, ModelError> {
    let mut tensor = format!("{layer}.{field}");
    if checkpoint.tensor(&tensor).is_none() {
        let mut others = alias(layer, field).into_iter().chain(torch_names(layer, field));
        if let Some(other) = others.find(|other| checkpoint.tensor(other).is_some()) {
            tensor = other;
        }
    }
    let values = checkpoint.read(&tensor)?;
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(flat) => {
            let shape = checkpoint.tensor(&tensor).map_or(&[] as &[usize], |info| &info.shape);
            Err(ModelError::File {
                path: checkpoint.path().to_owned(),
                cause: Box::new(FileError::Tensor {
                    tensor,
                    cause: TensorError::NotFinite {
                        index: position(shape, flat),
                        value: values[flat],
                    },
                }),
            })
        }
    }
}
