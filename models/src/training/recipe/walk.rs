//! One layer after the other: its sizes become tensors, the rest its declaration.

use std::collections::HashSet;

use lipcert_proofs::statement::Shape;
use serde_json::{Map, Value};

use super::{KINDS, LayerFault, check};
use crate::architecture::{ArchitectureError, read_layer};
use crate::checkpoint::{Dtype, TensorInfo};

/// Takes a size out of an entry.
pub(super) fn take(entry: &mut Map<String, Value>, field: &'static str) -> Result<Option<usize>, LayerFault> {
    let Some(value) = entry.remove(field) else {
        return Ok(None);
    };
    match value.as_u64().and_then(|size| usize::try_from(size).ok()) {
        Some(size) if (1..=65536).contains(&size) => Ok(Some(size)),
        _ => Err(LayerFault::Size {
            field,
            found: check::shown(&value),
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
pub(super) struct Walk {
    pub(super) shape: Shape,
    classes: usize,
    pub(super) declared: Vec<Value>,
    pub(super) tensors: Vec<TensorInfo>,
    names: HashSet<String>,
}

impl Walk {
    pub(super) fn new(shape: Shape, classes: usize) -> Self {
        Self {
            shape,
            classes,
            declared: Vec::new(),
            tensors: Vec::new(),
            names: HashSet::new(),
        }
    }

    /// Adds a layer: its tensors, and the entry without its sizes.
    pub(super) fn layer(&mut self, kind: &str, mut entry: Map<String, Value>) -> Result<(), LayerFault> {
        if !KINDS.contains(&kind) {
            return Err(LayerFault::Kind);
        }
        check::fields(kind, &entry)?;
        let place = self.declared.len();
        if self.declared.last().is_some_and(|last| last["kind"] == "normalized-head") {
            return Err(LayerFault::BehindHead);
        }
        let name = match entry.get("name").and_then(Value::as_str) {
            Some(name) => name.to_owned(),
            None => place.to_string(),
        };
        entry.insert("name".to_owned(), Value::String(name.clone()));
        let input = self.shape;
        let mut size = |field| take(&mut entry, field);
        let missing = |field| LayerFault::Missing { field };
        let units = self.shape.units();
        let mut tensors: Vec<(&'static str, Vec<usize>)> = Vec::new();
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
            "flatten" => {
                self.image()?;
                self.shape = Shape::Flat(self.shape.len());
            }
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
            "relu" | "leaky-relu" | "abs" | "tanh" | "sigmoid" | "elu" | "full-sort" => {}
            "center" => {
                if entry.get("over").is_some_and(|over| over == "channel") {
                    self.image()?;
                }
            }
            _ => return Err(LayerFault::Kind),
        }
        let mut infos = Vec::with_capacity(tensors.len());
        for (field, shape) in tensors {
            check::tensor(field, &shape)?;
            infos.push(TensorInfo {
                name: format!("{name}.{field}"),
                dtype: Dtype::Float32,
                shape,
            });
        }
        let plan = read_layer(entry.clone(), &infos).map_err(|cause| {
            LayerFault::Declaration(match cause {
                ArchitectureError::Declaration(cause) => cause.to_string(),
                cause => cause.to_string(),
            })
        })?;
        check::output(self.shape)?;
        check::constants(plan, input)?;
        if !self.names.insert(name.clone()) {
            return Err(LayerFault::Name { name });
        }
        self.tensors.append(&mut infos);
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
