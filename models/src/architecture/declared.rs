//! The declaration of an architecture in the metadata of a safetensors file; the format is described in the parent module.

mod field;
mod kind;
mod tensors;

use std::collections::{HashMap, HashSet};

use lipcert_proofs::statement::{Activation, Bjorck, Decimal, Groupwise, Operation, PairMap, Resample, Shape};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use self::field::fault;
use self::kind::{Between, Declared};
pub(super) use self::tensors::Parameters;
use self::tensors::plan;
use super::convolution::{DeclaredPadding, KernelKind};
use super::{Architecture, ArchitectureError, ChannelKind, DENSE_RELU, DivisorPlan, FormulaPlan, Plan, PlannedLayer, ScaleKind};
use crate::checkpoint::{TensorInfo, shown};
use crate::preprocess::Preprocess;

/// The key of the declaration among the free text entries of a safetensors file.
pub const METADATA_KEY: &str = "lipcert.architecture";
/// The version of the declaration.
const SCHEMA: &str = "lipcert/architecture/1";
/// The most layers that are read.
const MAX_LAYERS: usize = 10_000;
/// The largest side of an image or number of channels that is read.
pub(crate) const MAX_SIDE: usize = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declaration {
    schema: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input: Option<Input>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preprocess: Option<Normalization>,
    layers: Vec<Declared>,
}

/// Channels, height and width; or the length of a vector.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Input {
    Image([usize; 3]),
    Vector([usize; 1]),
}

impl Input {
    const fn shape(self) -> Shape {
        match self {
            Self::Image([channels, height, width]) => Shape::Image { channels, height, width },
            Self::Vector([length]) => Shape::Flat(length),
        }
    }

    const fn of(shape: Shape) -> Self {
        match shape {
            Shape::Image { channels, height, width } => Self::Image([channels, height, width]),
            Shape::Flat(length) => Self::Vector([length]),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Normalization {
    mean: Vec<Decimal>,
    std: Vec<Decimal>,
}

/// Reads a declaration and finds the tensors of its layers.
pub(super) fn read(text: &str, tensors: &[TensorInfo]) -> Result<Architecture, ArchitectureError> {
    let declaration: Declaration = serde_json::from_str(text).map_err(ArchitectureError::Declaration)?;
    if declaration.schema != SCHEMA {
        return Err(ArchitectureError::Schema {
            expected: SCHEMA,
            found: shown(declaration.schema.as_bytes()),
        });
    }
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let name = declaration.name;
    if name.is_empty() || name.len() > 40 || !name.bytes().all(plain) {
        return Err(refuse_name("an architecture (a-z, 0-9 and -, at most 40)", &name));
    }
    too_large("number of layers", declaration.layers.len(), MAX_LAYERS)?;
    let input = declaration.input.map(Input::shape);
    for size in input.iter().flat_map(|input| input.sizes()) {
        too_large("input size", size, MAX_SIDE)?;
    }
    let preprocess = match declaration.preprocess {
        Some(Normalization { mean, std }) => Some(Preprocess::explicit(mean, std).map_err(ArchitectureError::Preprocess)?),
        None => None,
    };
    let mut names = HashSet::new();
    let mut tensors: HashMap<&str, &TensorInfo> = tensors.iter().map(|info| (info.name.as_str(), info)).collect();
    let mut layers = Vec::new();
    for declared in declaration.layers {
        let layer = declared.name().clone();
        if !is_name(&layer) || !names.insert(layer.clone()) {
            return Err(refuse_name("a layer", &layer));
        }
        let (kind, in_sll, in_weighted) = declared.kind();
        let in_dense = !in_sll && !in_weighted && matches!(kind, "dense" | "relu" | "subtract" | "divide");
        if (name == "sll" && !in_sll) || (name == "sll-weighted" && !in_weighted) || (name == DENSE_RELU && !in_dense) {
            let architecture = name;
            return Err(ArchitectureError::Kind {
                layer,
                kind,
                architecture,
            });
        }
        let plan = covered(&declared, &mut tensors)?;
        layers.push(PlannedLayer { name: layer, plan });
    }
    require_none(&tensors)?;
    Ok(Architecture {
        name,
        input,
        preprocess,
        layers,
    })
}

/// Reads the declaration of one layer whose tensors are exactly these.
pub(crate) fn read_layer(entry: Map<String, Value>, tensors: &[TensorInfo]) -> Result<Plan, ArchitectureError> {
    let declared: Declared = serde_json::from_value(Value::Object(entry)).map_err(ArchitectureError::Declaration)?;
    if !is_name(declared.name()) {
        return Err(refuse_name("a layer", declared.name()));
    }
    let mut tensors = tensors.iter().map(|info| (info.name.as_str(), info)).collect();
    let plan = covered(&declared, &mut tensors)?;
    require_none(&tensors)?;
    Ok(plan)
}

/// The plan of a layer, unless it asks for an activation that is not covered.
fn covered<'t>(declared: &Declared, tensors: &mut HashMap<&'t str, &'t TensorInfo>) -> Result<Plan, ArchitectureError> {
    if let Some(activation) = declared.activation().filter(|activation| *activation != "relu") {
        return Err(ArchitectureError::ResidualActivation {
            layer: declared.name().clone(),
            kind: declared.kind().0,
            activation: shown(activation.as_bytes()),
        });
    }
    plan(declared, tensors)
}

/// Refuses a tensor that no layer has taken.
fn require_none(tensors: &HashMap<&str, &TensorInfo>) -> Result<(), ArchitectureError> {
    match tensors.keys().min() {
        Some(tensor) => Err(ArchitectureError::Extra {
            tensor: (*tensor).to_owned(),
        }),
        None => Ok(()),
    }
}

/// Whether a layer may be called so.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 200 && !name.chars().any(char::is_control)
}

/// Writes the declaration of an architecture.
pub(super) fn write(architecture: &Architecture) -> String {
    let layers = architecture.layers.iter().map(|layer| {
        let name = layer.name.clone();
        match layer.plan {
            Plan::PadChannels { channels } => Declared::PadChannels { name, channels },
            Plan::Conv { scale, .. } => match scale {
                ScaleKind::RowSum => Declared::SllConv { name, activation: None },
                ScaleKind::Weighted => Declared::SllConvWeighted { name, activation: None },
                ScaleKind::Stored => Declared::ResidualConv { name, activation: None },
                ScaleKind::Norm | ScaleKind::Frobenius => Declared::CplConv { name },
            },
            Plan::Dense { scale, .. } => match scale {
                ScaleKind::RowSum => Declared::AolDense { name, activation: None },
                ScaleKind::Weighted => Declared::SllDense { name, activation: None },
                ScaleKind::Stored => Declared::ResidualDense { name, activation: None },
                ScaleKind::Norm => Declared::CplDense { name },
                ScaleKind::Frobenius => Declared::CplFrobenius { name },
            },
            Plan::AveragePool { size, divisor } => Declared::AveragePool { name, size, divisor },
            Plan::Flatten => Declared::Flatten { name },
            Plan::Affine { .. } => Declared::Dense { name },
            Plan::Activation(Activation::Relu) => Declared::Relu { name },
            Plan::Activation(Activation::LeakyRelu { slope }) => Declared::LeakyRelu { name, slope },
            Plan::Activation(Activation::Tanh) => Declared::Tanh { name },
            Plan::Activation(Activation::Sigmoid) => Declared::Sigmoid { name },
            Plan::Activation(Activation::Softplus { beta }) => Declared::Softplus { name, beta },
            Plan::Activation(Activation::Elu) => Declared::Elu { name },
            Plan::Elementwise { operation, .. } => match operation {
                Operation::Add => Declared::Add { name },
                Operation::Subtract => Declared::Subtract { name },
                Operation::Multiply => Declared::Multiply { name },
                Operation::Divide => Declared::Divide { name },
            },
            Plan::Head { .. } => Declared::NormalizedHead { name },
            Plan::Activation(Activation::Abs) => Declared::Abs { name },
            Plan::ChannelActivation { kind, .. } => match kind {
                ChannelKind::Prelu => Declared::Prelu { name },
                ChannelKind::LipschitzPrelu => Declared::Lprelu { name },
                ChannelKind::N => Declared::NActivation { name },
            },
            Plan::Groupwise(map) => match map {
                Groupwise::MaxMin(pairing) => Declared::MaxMin { name, pairing },
                Groupwise::GroupSort { size } => Declared::GroupSort { name, size },
                Groupwise::FullSort => Declared::FullSort { name },
                Groupwise::Crelu => Declared::Crelu { name },
            },
            Plan::Paired { map, .. } => match map {
                PairMap::Householder => Declared::Householder { name },
                PairMap::Householder2 => Declared::Householder2 { name },
                PairMap::Projection => Declared::ProjectionPool { name },
            },
            Plan::Resample(map) => match map {
                Resample::PixelUnshuffle { factor, order } => Declared::PixelUnshuffle { name, factor, order },
                Resample::PixelShuffle { factor, order } => Declared::PixelShuffle { name, factor, order },
                Resample::First { units } => Declared::FirstChannels { name, channels: units },
                Resample::PadFeatures { features } => Declared::PadFeatures { name, features },
                Resample::Center(over) => Declared::Center { name, over },
                Resample::MaxPool { size, stride } => Declared::MaxPool { name, size, stride },
                Resample::NormPool { size } => Declared::NormPool { name, size },
                Resample::PairMax => Declared::PairMax { name },
            },
            Plan::Block { activation, .. } => Declared::ResidualBlock {
                name,
                slope: match activation {
                    Activation::Relu => None,
                    Activation::LeakyRelu { slope } => Some(slope),
                    _ => None,
                },
            },
            Plan::Formula { formula, .. } => declare_formula(name, formula),
            Plan::Sandwich { activation, .. } => match activation {
                Activation::LeakyRelu { slope } => Declared::Sandwich {
                    name,
                    activation: Between::LeakyRelu,
                    slope: Some(slope),
                },
                _ => Declared::Sandwich {
                    name,
                    activation: Between::Relu,
                    slope: None,
                },
            },
            Plan::Convolution { kernel, padding, .. } => {
                let padding = DeclaredPadding::of(padding);
                match kernel {
                    KernelKind::Plain => Declared::Convolution { name, padding },
                    KernelKind::Aol { epsilon } => Declared::AolConv { name, padding, epsilon },
                    KernelKind::LinearResidual => Declared::LinearResidualConv { name, padding },
                    KernelKind::Spectral => Declared::SpectralConv { name, padding },
                    KernelKind::Skew { terms, .. } => Declared::SkewExponential { name, padding, terms },
                }
            }
        }
    });
    let normalization = architecture.preprocess.as_ref().and_then(Preprocess::normalization);
    let declaration = Declaration {
        schema: SCHEMA.to_owned(),
        name: architecture.name.clone(),
        input: architecture.input.map(Input::of),
        preprocess: normalization.map(|(mean, std)| Normalization { mean, std }),
        layers: layers.collect(),
    };
    serde_json::to_string(&declaration).expect("texts and numbers")
}

/// The tensors that hold the angles of a pair map, in their order.
pub(crate) const fn angle_fields(map: PairMap) -> &'static [&'static str] {
    match map {
        PairMap::Householder | PairMap::Projection => &["theta"],
        PairMap::Householder2 => &["theta0", "theta1", "theta2"],
    }
}

/// The declaration of a formula.
fn declare_formula(name: String, formula: FormulaPlan) -> Declared {
    match formula {
        FormulaPlan::Aol { epsilon } => Declared::Aol { name, epsilon },
        FormulaPlan::Normalized {
            offset,
            bjorck: Some(Bjorck { beta, iterations }),
            ..
        } => Declared::Bjorck {
            name,
            offset,
            beta,
            iterations,
        },
        FormulaPlan::Normalized {
            divisor: DivisorPlan::Frobenius,
            offset,
            ..
        } => Declared::Frobenius { name, offset },
        FormulaPlan::Normalized { offset, .. } => Declared::Spectral { name, offset },
        FormulaPlan::Cayley { .. } => Declared::Cayley { name },
        FormulaPlan::Householder { .. } => Declared::HouseholderProduct { name },
    }
}

fn refuse_name(what: &'static str, name: &str) -> ArchitectureError {
    let name = shown(name.as_bytes());
    ArchitectureError::Name { what, name }
}

/// Refuses a size beyond a limit.
pub(crate) const fn too_large(what: &'static str, size: usize, most: usize) -> Result<(), ArchitectureError> {
    if size > most {
        Err(ArchitectureError::TooLarge { what, size, most })
    } else {
        Ok(())
    }
}
