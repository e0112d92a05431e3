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

mod check;
mod error;
mod walk;

use std::collections::BTreeMap;

use lipcert_proofs::statement::{ENTRIES_MOST, Shape};
use serde_json::{Value, json};

use self::check::entries;
use self::walk::{Walk, take};
use super::config::NetworkConfig;
use super::preset;
use crate::architecture::{Architecture, METADATA_KEY};
use crate::checkpoint::{TensorInfo, shown};
use crate::error::ModelError;
use crate::network::image;
use crate::preprocess::{Preprocess, PreprocessError};

pub use self::error::{LayerFault, RecipeError};

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
        if entries(&input).is_none_or(|entries| entries > ENTRIES_MOST) {
            return Err(RecipeError::Input {
                found: input,
                most: ENTRIES_MOST,
            });
        }
        let preprocess = preprocess.map_or(Ok(Preprocess::None), |text| preprocessing(&text, input[0]));
        let normalization = preprocess
            .map_err(|cause| RecipeError::Preprocess(Box::new(cause)))?
            .normalization();
        let mut walk = Walk::new(image(input), classes);
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
            "preprocess": normalization.map(|(mean, std)| json!({ "mean": mean, "std": std })),
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

/// The preprocessing of a text, if it is for images with so many channels.
fn preprocessing(text: &str, channels: usize) -> Result<Preprocess, ModelError> {
    let preprocess: Preprocess = text.parse()?;
    match preprocess.channels() {
        Some(found) if found != channels => Err(ModelError::Preprocess {
            text: shown(text.as_bytes()),
            cause: PreprocessError::Channels { found, channels },
        }),
        _ => Ok(preprocess),
    }
}
