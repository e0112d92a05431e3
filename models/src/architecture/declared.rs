//! The declaration of an architecture in the metadata of a safetensors file; the format is described in the parent module.

use std::collections::{HashMap, HashSet};

use lipcert_proofs::statement::{
    Activation, Bjorck, BlockOrder, Decimal, Groupwise, Operation, Over, PairMap, Pairing, Resample, Shape,
};
use serde::{Deserialize, Serialize};

use super::{
    Architecture, ArchitectureError, ChannelKind, DENSE_RELU, DivisorPlan, FormulaPlan, Plan, PlannedLayer, ScaleKind, alias,
    formula,
};
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

/// One layer; the sizes of its parameters are those of its tensors.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Declared {
    PadChannels {
        name: String,
        channels: usize,
    },
    SllConv {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<String>,
    },
    SllConvWeighted {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<String>,
    },
    ResidualConv {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<String>,
    },
    AolDense {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<String>,
    },
    SllDense {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<String>,
    },
    ResidualDense {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<String>,
    },
    AveragePool {
        name: String,
        size: usize,
        divisor: u32,
    },
    Flatten {
        name: String,
    },
    Dense {
        name: String,
    },
    Relu {
        name: String,
    },
    LeakyRelu {
        name: String,
        slope: f64,
    },
    Add {
        name: String,
    },
    Subtract {
        name: String,
    },
    Multiply {
        name: String,
    },
    Divide {
        name: String,
    },
    NormalizedHead {
        name: String,
    },
    Abs {
        name: String,
    },
    Prelu {
        name: String,
    },
    Lprelu {
        name: String,
    },
    NActivation {
        name: String,
    },
    MaxMin {
        name: String,
        pairing: Pairing,
    },
    GroupSort {
        name: String,
        size: usize,
    },
    FullSort {
        name: String,
    },
    Crelu {
        name: String,
    },
    CplConv {
        name: String,
    },
    CplDense {
        name: String,
    },
    CplFrobenius {
        name: String,
    },
    Aol {
        name: String,
        #[serde(default)]
        epsilon: f64,
    },
    Frobenius {
        name: String,
        #[serde(default)]
        offset: f64,
    },
    Spectral {
        name: String,
        #[serde(default)]
        offset: f64,
    },
    Bjorck {
        name: String,
        #[serde(default)]
        offset: f64,
        #[serde(default = "half")]
        beta: f64,
        iterations: usize,
    },
    Cayley {
        name: String,
    },
    HouseholderProduct {
        name: String,
    },
    Householder {
        name: String,
    },
    #[serde(rename = "householder-2")]
    Householder2 {
        name: String,
    },
    ProjectionPool {
        name: String,
    },
    PixelUnshuffle {
        name: String,
        factor: usize,
        order: BlockOrder,
    },
    PixelShuffle {
        name: String,
        factor: usize,
        order: BlockOrder,
    },
    FirstChannels {
        name: String,
        channels: usize,
    },
    PadFeatures {
        name: String,
        features: usize,
    },
    Center {
        name: String,
        over: Over,
    },
    MaxPool {
        name: String,
        size: usize,
        stride: usize,
    },
    NormPool {
        name: String,
        size: usize,
    },
    PairMax {
        name: String,
    },
    Tanh {
        name: String,
    },
    Sigmoid {
        name: String,
    },
    Softplus {
        name: String,
        beta: f64,
    },
    Elu {
        name: String,
    },
    ResidualBlock {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slope: Option<f64>,
    },
    Sandwich {
        name: String,
        activation: Between,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slope: Option<f64>,
    },
}

/// The activation inside a sandwich layer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Between {
    Relu,
    LeakyRelu,
}

/// The usual `β` of Björck steps.
const fn half() -> f64 {
    0.5
}

impl Declared {
    const fn name(&self) -> &String {
        match self {
            Self::PadChannels { name, .. }
            | Self::SllConv { name, .. }
            | Self::SllConvWeighted { name, .. }
            | Self::ResidualConv { name, .. }
            | Self::AolDense { name, .. }
            | Self::SllDense { name, .. }
            | Self::ResidualDense { name, .. }
            | Self::AveragePool { name, .. }
            | Self::Flatten { name }
            | Self::Dense { name }
            | Self::Relu { name }
            | Self::LeakyRelu { name, .. }
            | Self::Tanh { name }
            | Self::Sigmoid { name }
            | Self::Softplus { name, .. }
            | Self::Elu { name }
            | Self::Add { name }
            | Self::Subtract { name }
            | Self::Multiply { name }
            | Self::Divide { name }
            | Self::NormalizedHead { name }
            | Self::Abs { name }
            | Self::Prelu { name }
            | Self::Lprelu { name }
            | Self::NActivation { name }
            | Self::MaxMin { name, .. }
            | Self::GroupSort { name, .. }
            | Self::FullSort { name }
            | Self::Crelu { name }
            | Self::Householder { name }
            | Self::Householder2 { name }
            | Self::ProjectionPool { name }
            | Self::PixelUnshuffle { name, .. }
            | Self::PixelShuffle { name, .. }
            | Self::FirstChannels { name, .. }
            | Self::PadFeatures { name, .. }
            | Self::Center { name, .. }
            | Self::MaxPool { name, .. }
            | Self::NormPool { name, .. }
            | Self::PairMax { name }
            | Self::ResidualBlock { name, .. }
            | Self::CplConv { name }
            | Self::CplDense { name }
            | Self::CplFrobenius { name }
            | Self::Aol { name, .. }
            | Self::Frobenius { name, .. }
            | Self::Spectral { name, .. }
            | Self::Bjorck { name, .. }
            | Self::Cayley { name }
            | Self::HouseholderProduct { name }
            | Self::Sandwich { name, .. } => name,
        }
    }

    /// Kind as in [`lipcert_proofs::statement::Layer::kind`], and whether `sll` and `sll-weighted` have it.
    const fn kind(&self) -> (&'static str, bool, bool) {
        match self {
            Self::PadChannels { .. } => ("pad-channels", true, true),
            Self::SllConv { .. } => ("sll-conv", true, false),
            Self::SllConvWeighted { .. } => ("sll-conv-weighted", false, true),
            Self::ResidualConv { .. } => ("residual-conv", false, false),
            Self::AolDense { .. } => ("aol-dense", false, false),
            Self::SllDense { .. } => ("sll-dense", true, true),
            Self::ResidualDense { .. } => ("residual-dense", false, false),
            Self::AveragePool { .. } => ("average-pool", true, true),
            Self::Flatten { .. } => ("flatten", true, true),
            Self::Dense { .. } => ("dense", false, false),
            Self::Relu { .. } => ("relu", false, false),
            Self::LeakyRelu { .. } => ("leaky-relu", false, false),
            Self::Tanh { .. } => ("tanh", false, false),
            Self::Sigmoid { .. } => ("sigmoid", false, false),
            Self::Softplus { .. } => ("softplus", false, false),
            Self::Elu { .. } => ("elu", false, false),
            Self::Add { .. } => ("add", false, false),
            Self::Subtract { .. } => ("subtract", false, false),
            Self::Multiply { .. } => ("multiply", false, false),
            Self::Divide { .. } => ("divide", false, false),
            Self::NormalizedHead { .. } => ("normalized-head", true, true),
            Self::Abs { .. } => ("abs", false, false),
            Self::Prelu { .. } => ("prelu", false, false),
            Self::Lprelu { .. } => ("lprelu", false, false),
            Self::NActivation { .. } => ("n-activation", false, false),
            Self::MaxMin { .. } => ("max-min", false, false),
            Self::GroupSort { .. } => ("group-sort", false, false),
            Self::FullSort { .. } => ("full-sort", false, false),
            Self::Crelu { .. } => ("crelu", false, false),
            Self::Householder { .. } => ("householder", false, false),
            Self::Householder2 { .. } => ("householder-2", false, false),
            Self::ProjectionPool { .. } => ("projection-pool", false, false),
            Self::PixelUnshuffle { .. } => ("pixel-unshuffle", false, false),
            Self::PixelShuffle { .. } => ("pixel-shuffle", false, false),
            Self::FirstChannels { .. } => ("first-channels", false, false),
            Self::PadFeatures { .. } => ("pad-features", false, false),
            Self::Center { .. } => ("center", false, false),
            Self::MaxPool { .. } => ("max-pool", false, false),
            Self::NormPool { .. } => ("norm-pool", false, false),
            Self::PairMax { .. } => ("pair-max", false, false),
            Self::ResidualBlock { .. } => ("residual-block", false, false),
            Self::CplConv { .. } => ("cpl-conv", false, false),
            Self::CplDense { .. } => ("cpl-dense", false, false),
            Self::CplFrobenius { .. } => ("cpl-frobenius", false, false),
            Self::Aol { .. } => ("aol", false, false),
            Self::Frobenius { .. } => ("frobenius", false, false),
            Self::Spectral { .. } => ("spectral", false, false),
            Self::Bjorck { .. } => ("bjorck", false, false),
            Self::Cayley { .. } => ("cayley", false, false),
            Self::HouseholderProduct { .. } => ("householder-product", false, false),
            Self::Sandwich { .. } => ("sandwich", false, false),
        }
    }

    /// The activation that a residual layer asks for, if it says so.
    fn activation(&self) -> Option<&str> {
        match self {
            Self::SllConv { activation, .. }
            | Self::SllConvWeighted { activation, .. }
            | Self::ResidualConv { activation, .. }
            | Self::AolDense { activation, .. }
            | Self::SllDense { activation, .. }
            | Self::ResidualDense { activation, .. } => activation.as_deref(),
            _ => None,
        }
    }

    const fn scale(&self) -> ScaleKind {
        match self {
            Self::SllConv { .. } | Self::AolDense { .. } => ScaleKind::RowSum,
            Self::ResidualConv { .. } | Self::ResidualDense { .. } => ScaleKind::Stored,
            Self::CplConv { .. } | Self::CplDense { .. } => ScaleKind::Norm,
            Self::CplFrobenius { .. } => ScaleKind::Frobenius,
            _ => ScaleKind::Weighted,
        }
    }
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
        return Err(refuse_name("an architecture", &name));
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
        if layer.is_empty() || layer.len() > 200 || layer.chars().any(char::is_control) || !names.insert(layer.clone()) {
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
        if let Some(activation) = declared.activation().filter(|activation| *activation != "relu") {
            let activation = shown(activation.as_bytes());
            return Err(ArchitectureError::ResidualActivation { layer, kind, activation });
        }
        let plan = plan(&declared, &mut tensors)?;
        layers.push(PlannedLayer { name: layer, plan });
    }
    if let Some(tensor) = tensors.keys().min() {
        let tensor = (*tensor).to_owned();
        return Err(ArchitectureError::Extra { tensor });
    }
    Ok(Architecture {
        name,
        input,
        preprocess,
        layers,
    })
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

/// The tensors that no layer has taken yet, for one layer.
pub(super) struct Parameters<'m, 't> {
    layer: &'m str,
    tensors: &'m mut HashMap<&'t str, &'t TensorInfo>,
}

impl Parameters<'_, '_> {
    /// The shape of a parameter, if it is there; 0 stands for any size.
    pub(super) fn find(&mut self, field: &str, expected: &[&[usize]]) -> Result<Option<Vec<usize>>, ArchitectureError> {
        let mut names = [Some(format!("{}.{field}", self.layer)), alias(self.layer, field)]
            .into_iter()
            .flatten();
        let Some(info) = names.find_map(|name| self.tensors.remove(name.as_str())) else {
            return Ok(None);
        };
        let fits = |expected: &&&[usize]| {
            let pairs = || expected.iter().zip(&info.shape);
            expected.len() == info.shape.len() && pairs().all(|(want, found)| *found > 0 && (*want == 0 || want == found))
        };
        match expected.iter().find(fits) {
            Some(_) => Ok(Some(info.shape.clone())),
            None => Err(ArchitectureError::Shape {
                tensor: info.name.clone(),
                expected: expected[0].to_vec(),
                found: info.shape.clone(),
            }),
        }
    }

    /// The shape of a parameter that must be there.
    pub(super) fn take(&mut self, field: &str, expected: &[&[usize]]) -> Result<Vec<usize>, ArchitectureError> {
        self.find(field, expected)?.ok_or_else(|| ArchitectureError::Missing {
            tensor: format!("{}.{field}", self.layer),
        })
    }

    fn channelwise(&mut self, kind: ChannelKind) -> Result<Plan, ArchitectureError> {
        let units = match kind {
            ChannelKind::Prelu | ChannelKind::LipschitzPrelu => self.take("weight", &[&[0]])?[0],
            ChannelKind::N => self.take("theta", &[&[0, 2]])?[0],
        };
        Ok(Plan::ChannelActivation { kind, units })
    }

    /// A bare vector, or the shape of the authors' code.
    fn paired(&mut self, map: PairMap) -> Result<Plan, ArchitectureError> {
        let mut pairs = 0;
        for field in angle_fields(map) {
            let shape = self.take(field, &[&[pairs], &[1, pairs, 1, 1]])?;
            pairs = shape.iter().product();
        }
        Ok(Plan::Paired { map, pairs })
    }

    /// The name of the tensor of a parameter.
    pub(super) fn name(&self, field: &str) -> String {
        format!("{}.{field}", self.layer)
    }

    /// Leaves out a tensor on which the map does not depend, whatever its shape.
    fn pass_over(&mut self, field: &str) {
        let name = self.name(field);
        self.tensors.remove(name.as_str());
    }

    fn elementwise(&mut self, operation: Operation) -> Result<Plan, ArchitectureError> {
        let entries = self.take("operand", &[&[0]])?[0];
        Ok(Plan::Elementwise { operation, entries })
    }
}

/// Takes the tensors of a layer out of the map and reads its sizes off them.
fn plan<'t>(declared: &Declared, tensors: &mut HashMap<&'t str, &'t TensorInfo>) -> Result<Plan, ArchitectureError> {
    let name = declared.name();
    let scale = declared.scale();
    let mut parameters = Parameters { layer: name, tensors };
    Ok(match declared {
        Declared::Add { .. } => parameters.elementwise(Operation::Add)?,
        Declared::Subtract { .. } => parameters.elementwise(Operation::Subtract)?,
        Declared::Multiply { .. } => parameters.elementwise(Operation::Multiply)?,
        Declared::Divide { .. } => parameters.elementwise(Operation::Divide)?,
        Declared::Dense { .. } => {
            let weight = parameters.take("weight", &[&[0, 0]])?;
            let (outputs, features) = (weight[0], weight[1]);
            let bias = parameters.find("bias", &[&[outputs], &[1, outputs]])?.is_some();
            Plan::Affine { outputs, features, bias }
        }
        Declared::Relu { .. } => Plan::Activation(Activation::Relu),
        Declared::LeakyRelu { slope, .. } => Plan::Activation(Activation::LeakyRelu { slope: *slope }),
        Declared::Tanh { .. } => Plan::Activation(Activation::Tanh),
        Declared::Sigmoid { .. } => Plan::Activation(Activation::Sigmoid),
        Declared::Softplus { beta, .. } => Plan::Activation(Activation::Softplus { beta: *beta }),
        Declared::Elu { .. } => Plan::Activation(Activation::Elu),
        Declared::PadChannels { channels, .. } => {
            too_large("number of channels", *channels, MAX_SIDE)?;
            Plan::PadChannels { channels: *channels }
        }
        Declared::SllConv { .. }
        | Declared::SllConvWeighted { .. }
        | Declared::ResidualConv { .. }
        | Declared::CplConv { .. } => {
            let kernel = parameters.take("kernel", &[&[0, 0, 0, 0]])?;
            let (inner, channels, size) = (kernel[0], kernel[1], kernel[2]);
            if kernel[3] != size {
                return Err(ArchitectureError::Shape {
                    tensor: format!("{name}.kernel"),
                    expected: vec![inner, channels, size, size],
                    found: kernel,
                });
            }
            parameters.take("bias", &[&[inner], &[1, inner, 1, 1]])?;
            match scale.tensor() {
                Some(tensor) => drop(parameters.take(tensor, &[&[inner]])?),
                None => parameters.pass_over("u"),
            }
            Plan::Conv {
                scale,
                inner,
                channels,
                size,
            }
        }
        Declared::SllDense { .. }
        | Declared::AolDense { .. }
        | Declared::ResidualDense { .. }
        | Declared::CplDense { .. }
        | Declared::CplFrobenius { .. } => {
            let weight = parameters.take("weight", &[&[0, 0]])?;
            let (inner, features) = (weight[0], weight[1]);
            parameters.take("bias", &[&[inner], &[1, inner]])?;
            match scale.tensor() {
                Some(tensor) => drop(parameters.take(tensor, &[&[inner]])?),
                None => parameters.pass_over("u"),
            }
            Plan::Dense { scale, inner, features }
        }
        Declared::AveragePool { size, divisor, .. } => Plan::AveragePool {
            size: *size,
            divisor: *divisor,
        },
        Declared::Flatten { .. } => Plan::Flatten,
        Declared::Aol { epsilon, .. } => FormulaPlan::Aol { epsilon: *epsilon }.plan(&mut parameters)?,
        Declared::Frobenius { offset, .. } => normalized(DivisorPlan::Frobenius, *offset, None).plan(&mut parameters)?,
        Declared::Spectral { offset, .. } => normalized(DivisorPlan::Norm, *offset, None).plan(&mut parameters)?,
        Declared::Bjorck {
            offset,
            beta,
            iterations,
            ..
        } => {
            let (beta, iterations) = (*beta, *iterations);
            normalized(DivisorPlan::Norm, *offset, Some(Bjorck { beta, iterations })).plan(&mut parameters)?
        }
        Declared::Cayley { .. } => FormulaPlan::Cayley { alpha: false }.plan(&mut parameters)?,
        Declared::HouseholderProduct { .. } => FormulaPlan::Householder { vectors: 0 }.plan(&mut parameters)?,
        Declared::Sandwich { activation, slope, .. } => {
            let activation = match (activation, slope) {
                (Between::Relu, None) => Activation::Relu,
                (Between::LeakyRelu, Some(slope)) => Activation::LeakyRelu { slope: *slope },
                (Between::Relu, Some(_)) | (Between::LeakyRelu, None) => {
                    return Err(ArchitectureError::Slope { layer: name.clone() });
                }
            };
            formula::sandwich(activation, &mut parameters)?
        }
        Declared::NormalizedHead { .. } => {
            let weight = parameters.take("weight", &[&[0, 0]])?;
            parameters.take("bias", &[&[weight[0]]])?;
            Plan::Head {
                classes: weight[0],
                features: weight[1],
            }
        }
        Declared::Abs { .. } => Plan::Activation(Activation::Abs),
        Declared::Prelu { .. } => parameters.channelwise(ChannelKind::Prelu)?,
        Declared::Lprelu { .. } => parameters.channelwise(ChannelKind::LipschitzPrelu)?,
        Declared::NActivation { .. } => parameters.channelwise(ChannelKind::N)?,
        Declared::MaxMin { pairing, .. } => Plan::Groupwise(Groupwise::MaxMin(*pairing)),
        Declared::GroupSort { size, .. } => Plan::Groupwise(Groupwise::GroupSort { size: *size }),
        Declared::FullSort { .. } => Plan::Groupwise(Groupwise::FullSort),
        Declared::Crelu { .. } => Plan::Groupwise(Groupwise::Crelu),
        Declared::Householder { .. } => parameters.paired(PairMap::Householder)?,
        Declared::Householder2 { .. } => parameters.paired(PairMap::Householder2)?,
        Declared::ProjectionPool { .. } => parameters.paired(PairMap::Projection)?,
        Declared::PixelUnshuffle { factor, order, .. } => resample(Resample::PixelUnshuffle {
            factor: *factor,
            order: *order,
        })?,
        Declared::PixelShuffle { factor, order, .. } => resample(Resample::PixelShuffle {
            factor: *factor,
            order: *order,
        })?,
        Declared::FirstChannels { channels, .. } => resample(Resample::First { units: *channels })?,
        Declared::PadFeatures { features, .. } => resample(Resample::PadFeatures { features: *features })?,
        Declared::Center { over, .. } => resample(Resample::Center(*over))?,
        Declared::MaxPool { size, stride, .. } => resample(Resample::MaxPool {
            size: *size,
            stride: *stride,
        })?,
        Declared::NormPool { size, .. } => resample(Resample::NormPool { size: *size })?,
        Declared::PairMax { .. } => resample(Resample::PairMax)?,
        Declared::ResidualBlock { slope, .. } => {
            let weight = parameters.take("weight", &[&[0, 0]])?;
            let (inner, features) = (weight[0], weight[1]);
            parameters.take("bias", &[&[inner], &[1, inner]])?;
            let path = parameters.find("path", &[&[0, features]])?;
            // Without a path the output has the size of the input.
            let rows = path.as_ref().map_or(features, |path| path[0]);
            let outputs = parameters.take("output", &[&[rows, inner]])?[0];
            Plan::Block {
                activation: slope.map_or(Activation::Relu, |slope| Activation::LeakyRelu { slope }),
                features,
                inner,
                outputs,
                path: path.is_some(),
                bias: parameters.find("output_bias", &[&[outputs], &[1, outputs]])?.is_some(),
            }
        }
    })
}

/// The plan of a map without parameters whose sizes are not beyond the limit.
fn resample(map: Resample) -> Result<Plan, ArchitectureError> {
    match map {
        Resample::PixelUnshuffle { factor: size, .. }
        | Resample::PixelShuffle { factor: size, .. }
        | Resample::First { units: size }
        | Resample::PadFeatures { features: size }
        | Resample::MaxPool { size, .. }
        | Resample::NormPool { size } => too_large("size", size, MAX_SIDE)?,
        Resample::Center(_) | Resample::PairMax => {}
    }
    Ok(Plan::Resample(map))
}

const fn normalized(divisor: DivisorPlan, offset: f64, bjorck: Option<Bjorck>) -> FormulaPlan {
    FormulaPlan::Normalized { divisor, offset, bjorck }
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
