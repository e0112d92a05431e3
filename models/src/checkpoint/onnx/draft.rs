//! From the nodes of a graph to layers with names and tensors.

use std::collections::{HashMap, HashSet};

use lipcert_proofs::statement::{Activation, Operation, Shape};

use super::super::TensorInfo;
use super::super::dtype::Dtype;
use super::super::error::shown;
use super::super::place::Place;
use super::constant::Constant;
use super::error::GraphError;
use super::graph::Walk;
use crate::architecture::{Architecture, ONNX, Plan, PlannedLayer};

/// What a graph is.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) architecture: Architecture,
    pub(super) tensors: Vec<(TensorInfo, Place)>,
    /// Names of the tensors that were computed with rounding.
    pub(super) computed: Vec<String>,
}

/// A layer before it has all its parameters.
#[derive(Debug)]
pub(super) enum Draft {
    Flatten,
    /// Weight `(m, n)`, bias `(m,)`.
    Dense {
        weight: Constant,
        bias: Option<Constant>,
    },
    Activation(Activation),
    /// One operand an entry.
    Elementwise(Operation, Constant),
}

/// The layers with their names and tensors; a graph that does not end in an affine layer gets an identity behind it.
///
/// # Errors
///
/// [`GraphError::Empty`] without layers, [`GraphError::Identity`] if the identity is larger than the file.
pub(super) fn finish(walk: Walk<'_, '_, '_>, input: Shape) -> Result<Walked, GraphError> {
    let Walk {
        desk, live, mut layers, ..
    } = walk;
    if !matches!(layers.last(), Some((_, Draft::Dense { .. }))) {
        if layers.is_empty() {
            return Err(GraphError::Empty);
        }
        let outputs = live.sizes.iter().product::<usize>();
        let identity = desk.take(outputs * outputs).and_then(|()| {
            let values = (0..outputs * outputs).map(|flat| if flat / outputs == flat % outputs { 1.0 } else { 0.0 });
            Constant::floats(Dtype::Float64, vec![outputs, outputs], values.collect(), false)
        });
        let weight = identity.map_err(|_| GraphError::Identity { outputs })?;
        if live.image {
            layers.push(("flatten".to_owned(), Draft::Flatten));
        }
        layers.push(("identity".to_owned(), Draft::Dense { weight, bias: None }));
    }
    Ok(write(layers, input))
}

/// Gives every layer a name of its own and every parameter the name of its layer.
fn write(layers: Vec<(String, Draft)>, input: Shape) -> Walked {
    let mut walked = Walked {
        architecture: Architecture {
            name: ONNX.to_owned(),
            input: Some(input),
            preprocess: None,
            layers: Vec::new(),
        },
        tensors: Vec::new(),
        computed: Vec::new(),
    };
    let mut names = HashSet::new();
    // how often a name was asked for
    let mut asked: HashMap<String, usize> = HashMap::new();
    for (wanted, draft) in layers {
        let wanted = shown(wanted.as_bytes());
        let mut name = wanted.clone();
        while !names.insert(name.clone()) {
            let count = asked.entry(wanted.clone()).or_insert(1);
            *count += 1;
            name = format!("{wanted} ({count})");
        }
        let mut tensor = |field: &str, constant: Constant| {
            let info = TensorInfo {
                name: format!("{name}.{field}"),
                dtype: constant.dtype,
                shape: constant.shape().to_vec(),
            };
            if constant.computed {
                walked.computed.push(info.name.clone());
            }
            walked.tensors.push((info, constant.place));
        };
        let plan = match draft {
            Draft::Flatten => Plan::Flatten,
            Draft::Activation(activation) => Plan::Activation(activation),
            Draft::Elementwise(operation, operand) => {
                let entries = operand.shape()[0];
                tensor("operand", operand);
                Plan::Elementwise { operation, entries }
            }
            Draft::Dense { weight, bias } => {
                let (outputs, features) = (weight.shape()[0], weight.shape()[1]);
                tensor("weight", weight);
                let has_bias = bias.is_some();
                if let Some(bias) = bias {
                    tensor("bias", bias);
                }
                Plan::Affine {
                    outputs,
                    features,
                    bias: has_bias,
                }
            }
        };
        walked.architecture.layers.push(PlannedLayer { name, plan });
    }
    walked
}
