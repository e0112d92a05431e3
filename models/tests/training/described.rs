//! Descriptions, and the networks that they describe.

use lipcert_models::architecture::{Architecture, METADATA_KEY};
use lipcert_models::checkpoint::{Checkpoint, PlainTensor, write_safetensors};
use lipcert_models::network::{LoadOptions, Network, image};
use lipcert_models::training::config::NetworkConfig;
use lipcert_models::training::parameters;
use serde_json::Value;

use crate::common::file;

/// Layers without a preprocessing.
pub(crate) fn config(layers: &Value) -> NetworkConfig {
    let layers = layers.as_array().expect("a list");
    NetworkConfig {
        preset: None,
        name: None,
        preprocess: None,
        layers: layers
            .iter()
            .map(|layer| layer.as_object().expect("an object").clone())
            .collect(),
    }
}

/// A preset as it is.
pub(crate) fn by_preset(name: &str) -> NetworkConfig {
    NetworkConfig {
        preset: Some(name.to_owned()),
        name: None,
        preprocess: None,
        layers: Vec::new(),
    }
}

/// A file of an architecture; all numbers are the same.
pub(crate) fn network(architecture: &Architecture, input: [usize; 3]) -> Network {
    let tensors = parameters::of(architecture).into_iter().map(|parameter| PlainTensor {
        name: parameter.name,
        values: vec![0.25; parameter.shape.iter().product()],
        shape: parameter.shape,
    });
    let metadata = [(METADATA_KEY.to_owned(), architecture.declaration())].into();
    let bytes = write_safetensors(&metadata, &tensors.collect::<Vec<_>>()).expect("agreeing shapes");
    let file = file(&bytes);
    let options = LoadOptions {
        input: Some(image(input)),
        ..LoadOptions::default()
    };
    Network::load(&Checkpoint::open(file.path()).expect("a file"), &options).expect("a network")
}
