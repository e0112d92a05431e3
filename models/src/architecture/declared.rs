//! The declaration of an architecture in the metadata of a safetensors file; the format is described in the parent module.

use std::collections::{HashMap, HashSet};

use lipcert_proofs::statement::{Activation, Bjorck, Decimal, Operation, Shape};
use serde::{Deserialize, Serialize};

use super::{
    Architecture, ArchitectureError, DENSE_RELU, DivisorPlan, FormulaPlan, Plan, PlannedLayer, ScaleKind, alias, formula,
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
    },
    SllConvWeighted {
        name: String,
    },
    ResidualConv {
        name: String,
    },
    AolDense {
        name: String,
    },
    SllDense {
        name: String,
    },
    ResidualDense {
        name: String,
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
    Householder {
        name: String,
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
            | Self::SllConv { name }
            | Self::SllConvWeighted { name }
            | Self::ResidualConv { name }
            | Self::AolDense { name }
            | Self::SllDense { name }
            | Self::ResidualDense { name }
            | Self::AveragePool { name, .. }
            | Self::Flatten { name }
            | Self::Dense { name }
            | Self::Relu { name }
            | Self::LeakyRelu { name, .. }
            | Self::Add { name }
            | Self::Subtract { name }
            | Self::Multiply { name }
            | Self::Divide { name }
            | Self::NormalizedHead { name }
            | Self::CplConv { name }
            | Self::CplDense { name }
            | Self::CplFrobenius { name }
            | Self::Aol { name, .. }
            | Self::Frobenius { name, .. }
            | Self::Spectral { name, .. }
            | Self::Bjorck { name, .. }
            | Self::Cayley { name }
            | Self::Householder { name }
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
            Self::Add { .. } => ("add", false, false),
            Self::Subtract { .. } => ("subtract", false, false),
            Self::Multiply { .. } => ("multiply", false, false),
            Self::Divide { .. } => ("divide", false, false),
            Self::NormalizedHead { .. } => ("normalized-head", true, true),
            Self::CplConv { .. } => ("cpl-conv", false, false),
            Self::CplDense { .. } => ("cpl-dense", false, false),
            Self::CplFrobenius { .. } => ("cpl-frobenius", false, false),
            Self::Aol { .. } => ("aol", false, false),
            Self::Frobenius { .. } => ("frobenius", false, false),
            Self::Spectral { .. } => ("spectral", false, false),
            Self::Bjorck { .. } => ("bjorck", false, false),
            Self::Cayley { .. } => ("cayley", false, false),
            Self::Householder { .. } => ("householder", false, false),
            Self::Sandwich { .. } => ("sandwich", false, false),
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
                ScaleKind::RowSum => Declared::SllConv { name },
                ScaleKind::Weighted => Declared::SllConvWeighted { name },
                ScaleKind::Stored => Declared::ResidualConv { name },
                ScaleKind::Norm | ScaleKind::Frobenius => Declared::CplConv { name },
            },
            Plan::Dense { scale, .. } => match scale {
                ScaleKind::RowSum => Declared::AolDense { name },
                ScaleKind::Weighted => Declared::SllDense { name },
                ScaleKind::Stored => Declared::ResidualDense { name },
                ScaleKind::Norm => Declared::CplDense { name },
                ScaleKind::Frobenius => Declared::CplFrobenius { name },
            },
            Plan::AveragePool { size, divisor } => Declared::AveragePool { name, size, divisor },
            Plan::Flatten => Declared::Flatten { name },
            Plan::Affine { .. } => Declared::Dense { name },
            Plan::Activation(Activation::Relu) => Declared::Relu { name },
            Plan::Activation(Activation::LeakyRelu { slope }) => Declared::LeakyRelu { name, slope },
            Plan::Elementwise { operation, .. } => match operation {
                Operation::Add => Declared::Add { name },
                Operation::Subtract => Declared::Subtract { name },
                Operation::Multiply => Declared::Multiply { name },
                Operation::Divide => Declared::Divide { name },
            },
            Plan::Head { .. } => Declared::NormalizedHead { name },
            Plan::Formula { formula, .. } => declare_formula(name, formula),
            Plan::Sandwich { activation, .. } => match activation {
                Activation::LeakyRelu { slope } => Declared::Sandwich {
                    name,
                    activation: Between::LeakyRelu,
                    slope: Some(slope),
                },
                Activation::Relu => Declared::Sandwich {
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
        FormulaPlan::Householder { .. } => Declared::Householder { name },
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
            .flatten()
            .chain(formula::torch_names(self.layer, field));
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
        Declared::Householder { .. } => FormulaPlan::Householder { vectors: 0 }.plan(&mut parameters)?,
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
    })
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
