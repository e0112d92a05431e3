//! The declaration of an architecture in the metadata of a safetensors file; the format is described in the parent module.

use std::collections::{HashMap, HashSet};

use lipcert_proofs::statement::Decimal;
use serde::{Deserialize, Serialize};

use super::{Architecture, ArchitectureError, Plan, PlannedLayer, ScaleKind};
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
    input: Option<[usize; 3]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preprocess: Option<Normalization>,
    layers: Vec<Declared>,
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
    PadChannels { name: String, channels: usize },
    SllConv { name: String },
    SllConvWeighted { name: String },
    ResidualConv { name: String },
    AolDense { name: String },
    SllDense { name: String },
    ResidualDense { name: String },
    AveragePool { name: String, size: usize, divisor: u32 },
    Flatten { name: String },
    NormalizedHead { name: String },
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
            | Self::NormalizedHead { name } => name,
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
            Self::NormalizedHead { .. } => ("normalized-head", true, true),
        }
    }

    const fn scale(&self) -> ScaleKind {
        match self {
            Self::SllConv { .. } | Self::AolDense { .. } => ScaleKind::RowSum,
            Self::ResidualConv { .. } | Self::ResidualDense { .. } => ScaleKind::Stored,
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
    for size in declaration.input.iter().flatten() {
        too_large("input size", *size, MAX_SIDE)?;
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
        if (name == "sll" && !in_sll) || (name == "sll-weighted" && !in_weighted) {
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
        input: declaration.input,
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
            },
            Plan::Dense { scale, .. } => match scale {
                ScaleKind::RowSum => Declared::AolDense { name },
                ScaleKind::Weighted => Declared::SllDense { name },
                ScaleKind::Stored => Declared::ResidualDense { name },
            },
            Plan::AveragePool { size, divisor } => Declared::AveragePool { name, size, divisor },
            Plan::Flatten => Declared::Flatten { name },
            Plan::Head { .. } => Declared::NormalizedHead { name },
        }
    });
    let normalization = architecture.preprocess.as_ref().and_then(Preprocess::normalization);
    let declaration = Declaration {
        schema: SCHEMA.to_owned(),
        name: architecture.name.clone(),
        input: architecture.input,
        preprocess: normalization.map(|(mean, std)| Normalization { mean, std }),
        layers: layers.collect(),
    };
    serde_json::to_string(&declaration).expect("texts and numbers")
}

/// Takes the tensors of a layer out of the map and reads its sizes off them.
fn plan(declared: &Declared, tensors: &mut HashMap<&str, &TensorInfo>) -> Result<Plan, ArchitectureError> {
    let name = declared.name();
    let scale = declared.scale();
    let mut take = |field: &str, expected: &[&[usize]]| {
        let full = format!("{name}.{field}");
        let Some(info) = tensors.remove(full.as_str()) else {
            return Err(ArchitectureError::Missing { tensor: full });
        };
        let fits = |expected: &&&[usize]| {
            let pairs = || expected.iter().zip(&info.shape);
            expected.len() == info.shape.len() && pairs().all(|(want, found)| *found > 0 && (*want == 0 || want == found))
        };
        match expected.iter().find(fits) {
            Some(_) => Ok(info.shape.clone()),
            None => Err(ArchitectureError::Shape {
                tensor: full,
                expected: expected[0].to_vec(),
                found: info.shape.clone(),
            }),
        }
    };
    Ok(match declared {
        Declared::PadChannels { channels, .. } => {
            too_large("number of channels", *channels, MAX_SIDE)?;
            Plan::PadChannels { channels: *channels }
        }
        Declared::SllConv { .. } | Declared::SllConvWeighted { .. } | Declared::ResidualConv { .. } => {
            let kernel = take("kernel", &[&[0, 0, 0, 0]])?;
            let (inner, channels, size) = (kernel[0], kernel[1], kernel[2]);
            if kernel[3] != size {
                return Err(ArchitectureError::Shape {
                    tensor: format!("{name}.kernel"),
                    expected: vec![inner, channels, size, size],
                    found: kernel,
                });
            }
            take("bias", &[&[inner], &[1, inner, 1, 1]])?;
            take(scale.tensor(), &[&[inner]])?;
            Plan::Conv {
                scale,
                inner,
                channels,
                size,
            }
        }
        Declared::SllDense { .. } | Declared::AolDense { .. } | Declared::ResidualDense { .. } => {
            let weight = take("weight", &[&[0, 0]])?;
            let (inner, features) = (weight[0], weight[1]);
            take("bias", &[&[inner], &[1, inner]])?;
            take(scale.tensor(), &[&[inner]])?;
            Plan::Dense { scale, inner, features }
        }
        Declared::AveragePool { size, divisor, .. } => Plan::AveragePool {
            size: *size,
            divisor: *divisor,
        },
        Declared::Flatten { .. } => Plan::Flatten,
        Declared::NormalizedHead { .. } => {
            let weight = take("weight", &[&[0, 0]])?;
            take("bias", &[&[weight[0]]])?;
            Plan::Head {
                classes: weight[0],
                features: weight[1],
            }
        }
    })
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
