//! From a list of layers with sizes to an architecture and the tensors that it needs.
//!
//! A layer is what a [declaration](crate::architecture) says of it, and the sizes that a declaration reads off the tensors:
//!
//! | kinds | sizes |
//! |---|---|
//! | `sll-conv`, `sll-conv-weighted`, `cpl-conv` | `inner`, `kernel-size` (else 3) |
//! | `sll-dense`, `aol-dense`, `cpl-dense`, `cpl-frobenius` | `inner` |
//! | `aol`, `frobenius`, `spectral`, `bjorck`, `cayley`, `sandwich`, `dense` | `outputs` |
//! | `householder-product` | `vectors` |
//! | `convolution`, `aol-conv`, `spectral-conv` | `outputs`, `kernel-size` (else 3) |
//! | `linear-residual-conv`, `skew-exponential` | `kernel-size` (else 3) |
//! | `normalized-head` | none: as many outputs as the data has classes, or `classes` |
//!
//! A layer without a `name` is called by its place. `repeat = n` stands for `n` such layers. `average-pool` divides by `size` where there is no
//! `divisor`, `max-min` pairs the halves (`split`), `pixel-unshuffle` and `pixel-shuffle` take `channel-first`, `sandwich` takes `relu`.

use std::collections::BTreeMap;

use lipcert_proofs::statement::Shape;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::config::NetworkConfig;
use super::preset::{self, PresetError};
use crate::architecture::{Architecture, ArchitectureError, METADATA_KEY};
use crate::checkpoint::{Dtype, TensorInfo};
use crate::error::ModelError;
use crate::preprocess::Preprocess;

/// The name of an architecture that says none.
const NAME: &str = "trained";
/// Most layers of a network, repetitions counted.
const MAX_LAYERS: usize = 1024;

/// The kinds of layers that a description may have.
pub const KINDS: [&str; 49] = [
    "pad-channels",
    "sll-conv",
    "sll-conv-weighted",
    "sll-dense",
    "aol-dense",
    "cpl-conv",
    "cpl-dense",
    "cpl-frobenius",
    "average-pool",
    "flatten",
    "dense",
    "relu",
    "leaky-relu",
    "abs",
    "tanh",
    "sigmoid",
    "softplus",
    "elu",
    "prelu",
    "lprelu",
    "n-activation",
    "max-min",
    "group-sort",
    "full-sort",
    "crelu",
    "householder",
    "householder-2",
    "projection-pool",
    "pixel-unshuffle",
    "pixel-shuffle",
    "first-channels",
    "pad-features",
    "center",
    "max-pool",
    "norm-pool",
    "pair-max",
    "aol",
    "frobenius",
    "spectral",
    "bjorck",
    "cayley",
    "householder-product",
    "sandwich",
    "convolution",
    "aol-conv",
    "spectral-conv",
    "linear-residual-conv",
    "skew-exponential",
    "normalized-head",
];

/// An architecture and its tensors, without numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// With input shape and preprocessing.
    pub architecture: Architecture,
    /// Names and shapes, float32, in the order of the layers.
    pub tensors: Vec<TensorInfo>,
    /// Number of logits; at least the number of classes.
    pub outputs: usize,
}

/// Why a description is no network.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The preset.
    #[error(transparent)]
    Preset(#[from] PresetError),
    /// A layer.
    #[error("layer {index} (`{kind}`): {fault}")]
    Layer {
        /// Place in the list, repetitions not counted.
        index: usize,
        /// Its kind as given, or nothing.
        kind: String,
        /// Why.
        fault: LayerFault,
    },
    /// More layers than fit.
    #[error("more than {most} layers")]
    TooMany {
        /// The limit.
        most: usize,
    },
    /// Fewer outputs than classes, or none that are a vector.
    #[error("the output has shape {found:?}, the data have {classes} classes")]
    Output {
        /// Number of classes.
        classes: usize,
        /// Sizes.
        found: Vec<usize>,
    },
    /// The preprocessing.
    #[error("network.preprocess: {0}")]
    Preprocess(Box<ModelError>),
    /// What the declaration refuses.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
}

/// Why a layer is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayerFault {
    /// No text `kind`, or one that cannot be trained.
    #[error("no kind of layer that can be trained")]
    Kind,
    /// A size that is missing.
    #[error("the size `{field}` is missing")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A size that is not an integer in range.
    #[error("`{field}` is `{found}`, expected an integer from 1 to 65536")]
    Size {
        /// Its name.
        field: &'static str,
        /// What stands there.
        found: String,
    },
    /// A kernel without a centre.
    #[error("`kernel-size` is {found}, expected an odd number")]
    Even {
        /// What stands there.
        found: usize,
    },
    /// A vector where an image is needed, the other way round, or sizes that do not fit.
    #[error("the input has shape {found:?}, expected {expected}")]
    Input {
        /// In words.
        expected: &'static str,
        /// Sizes.
        found: Vec<usize>,
    },
}

impl Recipe {
    /// Reads a description.
    ///
    /// # Errors
    ///
    /// [`RecipeError`], naming the layer and the field.
    pub fn new(config: &NetworkConfig, input: [usize; 3], classes: usize) -> Result<Self, RecipeError> {
        let (layers, name, preprocess) = match &config.preset {
            Some(name) => {
                let preset = preset::find(name, classes)?;
                (
                    preset.layers,
                    config.name.clone().or(Some(preset.architecture)),
                    config.preprocess.clone().or(preset.preprocess),
                )
            }
            None => (config.layers.clone(), config.name.clone(), config.preprocess.clone()),
        };
        let preprocess = match preprocess {
            None => None,
            Some(text) => {
                let parsed: Preprocess = text.parse().map_err(|cause| RecipeError::Preprocess(Box::new(cause)))?;
                parsed.normalization()
            }
        };
        let mut walk = Walk {
            shape: Shape::Image {
                channels: input[0],
                height: input[1],
                width: input[2],
            },
            classes,
            declared: Vec::new(),
            tensors: Vec::new(),
        };
        for (index, entry) in layers.iter().enumerate() {
            let kind = entry.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
            let refuse = |fault| RecipeError::Layer {
                index,
                kind: kind.clone(),
                fault,
            };
            let mut entry = entry.clone();
            let repeat = take(&mut entry, "repeat").map_err(refuse)?.unwrap_or(1);
            for _ in 0..repeat {
                if walk.declared.len() == MAX_LAYERS {
                    return Err(RecipeError::TooMany { most: MAX_LAYERS });
                }
                walk.layer(&kind, entry.clone()).map_err(refuse)?;
            }
        }
        let outputs = match walk.shape {
            Shape::Flat(outputs) if outputs >= classes => outputs,
            other => {
                return Err(RecipeError::Output {
                    classes,
                    found: other.sizes(),
                });
            }
        };
        let declaration = json!({
            "schema": "lipcert/architecture/1",
            "name": name.as_deref().unwrap_or(NAME),
            "input": input,
            "preprocess": preprocess.map(|(mean, std)| json!({ "mean": mean, "std": std })),
            "layers": walk.declared,
        });
        let metadata = BTreeMap::from([(METADATA_KEY.to_owned(), declaration.to_string())]);
        Ok(Self {
            architecture: Architecture::from_tensors(&walk.tensors, &metadata)?,
            tensors: walk.tensors,
            outputs,
        })
    }
}

/// Takes a size out of an entry.
fn take(entry: &mut Map<String, Value>, field: &'static str) -> Result<Option<usize>, LayerFault> {
    let Some(value) = entry.remove(field) else {
        return Ok(None);
    };
    match value.as_u64().and_then(|size| usize::try_from(size).ok()) {
        Some(size) if (1..=65536).contains(&size) => Ok(Some(size)),
        _ => Err(LayerFault::Size {
            field,
            found: value.to_string().chars().take(40).collect(),
        }),
    }
}

/// The side of a kernel that has a centre.
const fn odd(side: usize) -> Result<usize, LayerFault> {
    if side % 2 == 1 {
        Ok(side)
    } else {
        Err(LayerFault::Even { found: side })
    }
}

/// The layers so far.
struct Walk {
    shape: Shape,
    classes: usize,
    declared: Vec<Value>,
    tensors: Vec<TensorInfo>,
}

impl Walk {
    /// Adds a layer: its tensors, and the entry without its sizes.
    fn layer(&mut self, kind: &str, mut entry: Map<String, Value>) -> Result<(), LayerFault> {
        let place = self.declared.len();
        let name = match entry.get("name").and_then(Value::as_str) {
            Some(name) => name.to_owned(),
            None => place.to_string(),
        };
        entry.insert("name".to_owned(), Value::String(name.clone()));
        if !KINDS.contains(&kind) {
            return Err(LayerFault::Kind);
        }
        let mut size = |field| take(&mut entry, field);
        let missing = |field| LayerFault::Missing { field };
        let units = self.shape.units();
        let mut tensors: Vec<(&str, Vec<usize>)> = Vec::new();
        match kind {
            "sll-conv" | "sll-conv-weighted" | "cpl-conv" => {
                let [channels, ..] = self.image()?;
                let inner = size("inner")?.ok_or(missing("inner"))?;
                let side = odd(size("kernel-size")?.unwrap_or(3))?;
                tensors.extend([("kernel", vec![inner, channels, side, side]), ("bias", vec![inner])]);
                if kind != "cpl-conv" {
                    tensors.push(("q", vec![inner]));
                }
            }
            "sll-dense" | "aol-dense" | "cpl-dense" | "cpl-frobenius" => {
                let features = self.vector()?;
                let inner = size("inner")?.ok_or(missing("inner"))?;
                tensors.extend([("weight", vec![inner, features]), ("bias", vec![inner])]);
                if !kind.starts_with("cpl") {
                    tensors.push(("q", vec![inner]));
                }
            }
            "aol" | "frobenius" | "spectral" | "bjorck" | "cayley" | "dense" => {
                let features = self.vector()?;
                let outputs = size("outputs")?.ok_or(missing("outputs"))?;
                tensors.extend([("weight", vec![outputs, features]), ("bias", vec![outputs])]);
                match kind {
                    "spectral" | "bjorck" => tensors.push(("sigma", vec![1])),
                    "cayley" => tensors.push(("alpha", vec![1])),
                    _ => {}
                }
                self.shape = Shape::Flat(outputs);
            }
            "householder-product" => {
                let features = self.vector()?;
                let vectors = size("vectors")?.ok_or(missing("vectors"))?;
                tensors.extend([("vectors", vec![vectors, features]), ("bias", vec![features])]);
            }
            "sandwich" => {
                let features = self.vector()?;
                let outputs = size("outputs")?.ok_or(missing("outputs"))?;
                entry.entry("activation").or_insert_with(|| "relu".into());
                tensors.extend([
                    ("weight", vec![outputs, outputs + features]),
                    ("psi", vec![outputs]),
                    ("bias", vec![outputs]),
                    ("alpha", vec![1]),
                ]);
                self.shape = Shape::Flat(outputs);
            }
            "normalized-head" => {
                let features = self.vector()?;
                let classes = size("classes")?.unwrap_or(self.classes);
                tensors.extend([("weight", vec![classes, features]), ("bias", vec![classes])]);
                self.shape = Shape::Flat(classes);
            }
            "convolution" | "aol-conv" | "spectral-conv" | "linear-residual-conv" | "skew-exponential" => {
                let [channels, height, width] = self.image()?;
                let square = matches!(kind, "linear-residual-conv" | "skew-exponential");
                let outputs = if square {
                    channels
                } else {
                    size("outputs")?.ok_or(missing("outputs"))?
                };
                let side = odd(size("kernel-size")?.unwrap_or(3))?;
                tensors.extend([("weight", vec![outputs, channels, side, side]), ("bias", vec![outputs])]);
                if matches!(kind, "spectral-conv" | "skew-exponential") {
                    tensors.push(("sigma", vec![1]));
                }
                self.shape = Shape::Image {
                    channels: outputs,
                    height,
                    width,
                };
            }
            "prelu" | "lprelu" => tensors.push(("weight", vec![units])),
            "n-activation" => tensors.push(("theta", vec![units, 2])),
            "householder" => tensors.push(("theta", vec![self.pairs()?])),
            "householder-2" => {
                let pairs = self.pairs()?;
                tensors.extend(["theta0", "theta1", "theta2"].map(|field| (field, vec![pairs])));
            }
            "projection-pool" => {
                let pairs = self.pairs()?;
                tensors.push(("theta", vec![pairs]));
                self.shape = self.with_units(pairs);
            }
            "pad-channels" => {
                let [present, height, width] = self.image()?;
                let channels = size("channels")?.ok_or(missing("channels"))?;
                self.require(channels >= present, "at most as many channels as afterwards")?;
                entry.insert("channels".to_owned(), channels.into());
                self.shape = Shape::Image { channels, height, width };
            }
            "first-channels" => {
                let channels = size("channels")?.ok_or(missing("channels"))?;
                self.require(channels <= units, "at least as many channels or entries as are kept")?;
                entry.insert("channels".to_owned(), channels.into());
                self.shape = self.with_units(channels);
            }
            "pad-features" => {
                let present = self.vector()?;
                let features = size("features")?.ok_or(missing("features"))?;
                self.require(features >= present, "at most as many entries as afterwards")?;
                entry.insert("features".to_owned(), features.into());
                self.shape = Shape::Flat(features);
            }
            "flatten" => self.shape = Shape::Flat(self.shape.len()),
            "average-pool" | "norm-pool" | "max-pool" => {
                let [channels, height, width] = self.image()?;
                let side = size("size")?.ok_or(missing("size"))?;
                let stride = if kind == "max-pool" { size("stride")? } else { None };
                entry.insert("size".to_owned(), side.into());
                let step = match kind {
                    "max-pool" => {
                        let stride = stride.unwrap_or(side);
                        entry.insert("stride".to_owned(), stride.into());
                        stride
                    }
                    "average-pool" => {
                        entry.entry("divisor").or_insert_with(|| side.into());
                        side
                    }
                    _ => side,
                };
                if kind == "max-pool" {
                    self.require(height >= side && width >= side, "an image at least as large as the window")?;
                } else {
                    self.require(
                        height.is_multiple_of(side) && width.is_multiple_of(side),
                        "sides that the window divides",
                    )?;
                }
                let pooled = |length: usize| (length - side) / step + 1;
                self.shape = Shape::Image {
                    channels,
                    height: pooled(height),
                    width: pooled(width),
                };
            }
            "pixel-unshuffle" | "pixel-shuffle" => {
                let [channels, height, width] = self.image()?;
                let factor = size("factor")?.ok_or(missing("factor"))?;
                entry.insert("factor".to_owned(), factor.into());
                entry.entry("order").or_insert_with(|| "channel-first".into());
                let area = factor * factor;
                let (fits, shape) = if kind == "pixel-unshuffle" {
                    let fits = height % factor == 0 && width % factor == 0;
                    (
                        fits,
                        Shape::Image {
                            channels: channels * area,
                            height: height / factor,
                            width: width / factor,
                        },
                    )
                } else {
                    let shape = Shape::Image {
                        channels: channels / area,
                        height: height * factor,
                        width: width * factor,
                    };
                    (channels % area == 0, shape)
                };
                self.require(fits, "sizes that the factor divides")?;
                self.shape = shape;
            }
            "max-min" => {
                self.pairs()?;
                entry.entry("pairing").or_insert_with(|| "split".into());
            }
            "crelu" => self.shape = self.with_units(2 * units),
            "pair-max" => self.shape = self.with_units(self.pairs()?),
            "group-sort" => {
                let group = size("size")?.ok_or(missing("size"))?;
                self.require(units.is_multiple_of(group), "channels or entries in whole groups")?;
                entry.insert("size".to_owned(), group.into());
            }
            "softplus" => {
                entry.entry("beta").or_insert_with(|| 1.0.into());
            }
            "relu" | "leaky-relu" | "abs" | "tanh" | "sigmoid" | "elu" | "full-sort" | "center" => {}
            _ => return Err(LayerFault::Kind),
        }
        for (field, shape) in tensors {
            self.tensors.push(TensorInfo {
                name: format!("{name}.{field}"),
                dtype: Dtype::Float32,
                shape,
            });
        }
        self.declared.push(Value::Object(entry));
        Ok(())
    }

    /// The shape with another number of channels or entries.
    const fn with_units(&self, units: usize) -> Shape {
        match self.shape {
            Shape::Flat(_) => Shape::Flat(units),
            Shape::Image { height, width, .. } => Shape::Image {
                channels: units,
                height,
                width,
            },
        }
    }

    /// Refuses a shape that does not fit.
    fn require(&self, fits: bool, expected: &'static str) -> Result<(), LayerFault> {
        if fits {
            return Ok(());
        }
        Err(LayerFault::Input {
            expected,
            found: self.shape.sizes(),
        })
    }

    /// Half the channels or entries.
    fn pairs(&self) -> Result<usize, LayerFault> {
        let units = self.shape.units();
        self.require(units.is_multiple_of(2), "an even number of channels or entries")?;
        Ok(units / 2)
    }

    fn image(&self) -> Result<[usize; 3], LayerFault> {
        match self.shape {
            Shape::Image { channels, height, width } => Ok([channels, height, width]),
            Shape::Flat(length) => Err(LayerFault::Input {
                expected: "an image",
                found: vec![length],
            }),
        }
    }

    fn vector(&self) -> Result<usize, LayerFault> {
        match self.shape {
            Shape::Flat(length) => Ok(length),
            Shape::Image { channels, height, width } => Err(LayerFault::Input {
                expected: "a vector (`flatten` before it)",
                found: vec![channels, height, width],
            }),
        }
    }
}
