//! Networks of the literature, and small ones for a laptop, by name.
//!
//! | preset | data | layers |
//! |---|---|---|
//! | `sll-small`, `-medium`, `-large`, `-xlarge` | CIFAR-10, CIFAR-100, Tiny-ImageNet | 20, 30, 50, 70 `sll-conv` of 45, 60, 90, 120 channels with 5 inner ones, pooling by 4, 7, 10, 10, 15 `sll-dense` of 2048, `normalized-head` |
//! | `aol-small`, `-medium`, `-large` | CIFAR-10, CIFAR-100 | blocks of 4 × 4 pixels, `aol-conv` 1 × 1 to 192 channels, 12 of 3 × 3, one 1 × 1 of which 16, 32, 48 channels go on, 14 `aol`; MaxMin between them |
//! | `lipconvnet-N`, `N` = 5, 10, … 40 | CIFAR-10, CIFAR-100 | 5 blocks of `N/5` `skew-exponential` with MaxMin, from 32 channels, each block halving the side and doubling them, `normalized-head` |
//! | `digits-sll`, `digits-cpl` | digits | 2 `sll-conv` or `cpl-conv` of 2 channels with 8 inner ones, 3 `sll-dense` or `cpl-dense` of 128, `normalized-head` |
//! | `digits-aol` | digits | 4 `aol` of 128 with MaxMin between them, of the last 10 outputs |
//! | `mnist-sll`, `mnist-cpl`, `mnist-aol` | MNIST | the same with 512 |
//!
//! # Source
//!
//! Araujo et al., *A Unified Algebraic Perspective on Lipschitz Neural Networks*, ICLR 2023, and its code; Prach and Lampert, *Almost-Orthogonal Layers for
//! Efficient General-Purpose Lipschitz Networks*, ECCV 2022 (the model `Patchwise`); Singla and Feizi, *Skew Orthogonal Convolutions*, ICML 2021 (`LipConvnet`).

use serde_json::{Map, Value, json};
use thiserror::Error;

/// A network by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Name of the architecture.
    pub architecture: String,
    /// Preprocessing, as `--preprocess` takes it.
    pub preprocess: Option<String>,
    /// See [`super::recipe`].
    pub layers: Vec<Map<String, Value>>,
}

/// No such preset.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("there is no preset `{name}`; there are {}", NAMES.join(", "))]
pub struct PresetError {
    /// What was asked for.
    pub name: String,
}

/// All names; of `lipconvnet` the number of convolutions follows.
pub const NAMES: [&str; 14] = [
    "sll-small",
    "sll-medium",
    "sll-large",
    "sll-xlarge",
    "aol-small",
    "aol-medium",
    "aol-large",
    "lipconvnet-N",
    "digits-sll",
    "digits-aol",
    "digits-cpl",
    "mnist-sll",
    "mnist-aol",
    "mnist-cpl",
];

/// Finds a preset for data with so many classes.
///
/// # Errors
///
/// [`PresetError`] with the names that there are.
pub fn find(name: &str, classes: usize) -> Result<Preset, PresetError> {
    let cifar = || {
        Some(match classes {
            100 => "cifar100".to_owned(),
            200 => "mean=0.485,0.456,0.406".to_owned(),
            _ => "cifar10".to_owned(),
        })
    };
    let preset = |architecture: &str, preprocess, layers: Vec<Value>| {
        Ok(Preset {
            architecture: architecture.to_owned(),
            preprocess,
            layers: layers.into_iter().filter_map(|layer| layer.as_object().cloned()).collect(),
        })
    };
    match name {
        "sll-small" => preset("sll", cifar(), residual("sll", 20, 7, 45, 5, 2048)),
        "sll-medium" => preset("sll", cifar(), residual("sll", 30, 10, 60, 5, 2048)),
        "sll-large" => preset("sll", cifar(), residual("sll", 50, 10, 90, 5, 2048)),
        "sll-xlarge" => preset("sll", cifar(), residual("sll", 70, 15, 120, 5, 2048)),
        "aol-small" => preset("aol-patchwise", cifar(), patchwise(16, classes)),
        "aol-medium" => preset("aol-patchwise", cifar(), patchwise(32, classes)),
        "aol-large" => preset("aol-patchwise", cifar(), patchwise(48, classes)),
        "digits-sll" => preset("sll", Some("mean=0.3053".to_owned()), small("sll", 128)),
        "digits-cpl" => preset("cpl", Some("mean=0.3053".to_owned()), small("cpl", 128)),
        "digits-aol" => preset("aol", Some("mean=0.3053".to_owned()), sorted(128, classes)),
        "mnist-sll" => preset("sll", Some("mean=0.1307".to_owned()), small("sll", 512)),
        "mnist-cpl" => preset("cpl", Some("mean=0.1307".to_owned()), small("cpl", 512)),
        "mnist-aol" => preset("aol", Some("mean=0.1307".to_owned()), sorted(512, classes)),
        _ => {
            let depth = name.strip_prefix("lipconvnet-").and_then(|depth| depth.parse().ok());
            match depth {
                Some(depth @ 5..=40) if depth % 5 == 0 => preset("lipconvnet", cifar(), lipconvnet(depth)),
                _ => Err(PresetError {
                    name: name.chars().take(60).collect(),
                }),
            }
        }
    }
}

/// Zero channels, residual convolutions, pooling, residual dense layers, head.
fn residual(family: &str, convolutions: usize, dense: usize, width: usize, inner: usize, hidden: usize) -> Vec<Value> {
    vec![
        json!({ "kind": "pad-channels", "channels": width }),
        json!({ "kind": format!("{family}-conv"), "inner": inner, "repeat": convolutions }),
        json!({ "kind": "average-pool", "size": 4 }),
        json!({ "kind": "flatten" }),
        json!({ "kind": format!("{family}-dense"), "inner": hidden, "repeat": dense }),
        json!({ "kind": "normalized-head" }),
    ]
}

/// The patchwise network of the AOL code.
fn patchwise(width: usize, classes: usize) -> Vec<Value> {
    let mut layers = vec![
        json!({ "kind": "pixel-unshuffle", "factor": 4, "order": "block-first" }),
        json!({ "kind": "aol-conv", "outputs": 192, "kernel-size": 1, "epsilon": 1e-6 }),
        json!({ "kind": "max-min" }),
    ];
    for _ in 0..12 {
        layers.push(json!({ "kind": "aol-conv", "outputs": 192, "epsilon": 1e-6 }));
        layers.push(json!({ "kind": "max-min" }));
    }
    layers.extend([
        json!({ "kind": "aol-conv", "outputs": 192, "kernel-size": 1, "epsilon": 1e-6 }),
        json!({ "kind": "first-channels", "channels": width }),
        json!({ "kind": "flatten" }),
    ]);
    let features = 64 * width;
    for _ in 0..13 {
        layers.push(json!({ "kind": "aol", "outputs": features, "epsilon": 1e-6 }));
        layers.push(json!({ "kind": "max-min" }));
    }
    layers.push(json!({ "kind": "aol", "outputs": features, "epsilon": 1e-6 }));
    layers.push(json!({ "kind": "first-channels", "channels": classes }));
    layers
}

/// Residual layers on an image that is not made smaller: pooling would cost more of the radii than it saves time.
fn small(family: &str, hidden: usize) -> Vec<Value> {
    vec![
        json!({ "kind": "pad-channels", "channels": 2 }),
        json!({ "kind": format!("{family}-conv"), "inner": 8, "repeat": 2 }),
        json!({ "kind": "flatten" }),
        json!({ "kind": format!("{family}-dense"), "inner": hidden, "repeat": 3 }),
        json!({ "kind": "normalized-head" }),
    ]
}

/// Dense layers with MaxMin between them; of the last one's outputs the first are the logits.
fn sorted(hidden: usize, classes: usize) -> Vec<Value> {
    let aol = || json!({ "kind": "aol", "outputs": hidden, "epsilon": 1e-6 });
    let mut layers = vec![json!({ "kind": "flatten" })];
    for _ in 0..3 {
        layers.push(aol());
        layers.push(json!({ "kind": "max-min" }));
    }
    layers.push(aol());
    layers.push(json!({ "kind": "first-channels", "channels": classes }));
    layers
}

/// Blocks of skew orthogonal convolutions. The last one of a block works on blocks of 2 × 2 pixels and keeps the first channels, twice those of its block; that of
/// the last block is 1 × 1.
fn lipconvnet(depth: usize) -> Vec<Value> {
    let soc = |side: usize| json!({ "kind": "skew-exponential", "terms": 13, "kernel-size": side });
    let mut layers = Vec::new();
    // of the image, and of the block
    let (mut channels, mut planes) = (3, 32);
    for block in 0..5 {
        for _ in 1..depth / 5 {
            if channels < planes {
                layers.push(json!({ "kind": "pad-channels", "channels": planes }));
            }
            layers.extend([soc(3), json!({ "kind": "max-min" })]);
            channels = planes;
        }
        layers.push(json!({ "kind": "pixel-unshuffle", "factor": 2 }));
        if 4 * channels < 2 * planes {
            layers.push(json!({ "kind": "pad-channels", "channels": 2 * planes }));
        }
        layers.push(soc(if block == 4 { 1 } else { 3 }));
        if 4 * channels > 2 * planes {
            layers.push(json!({ "kind": "first-channels", "channels": 2 * planes }));
        }
        layers.push(json!({ "kind": "max-min" }));
        planes *= 2;
        channels = planes;
    }
    layers.push(json!({ "kind": "flatten" }));
    layers.push(json!({ "kind": "normalized-head" }));
    layers
}
