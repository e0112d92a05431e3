//! The layers of libtorch and those of `lipcert_models` agree.

use std::path::Path;

use lipcert_models::checkpoint::Checkpoint;
use lipcert_models::forward;
use lipcert_models::network::{LoadOptions, Network as Plain, image};
use tch::Tensor;

use crate::common;

/// The logits of a file by the plain pass in float64, `(N, classes)`.
fn plain(path: &Path, dataset: &lipcert_models::data::Dataset) -> Tensor {
    let checkpoint = Checkpoint::open(path).unwrap();
    let options = LoadOptions {
        input: Some(image(dataset.shape())),
        ..LoadOptions::default()
    };
    let network = Plain::load(&checkpoint, &options).unwrap();
    let logits = forward::logits::<f64>(&network.map, dataset, 0..dataset.len()).unwrap();
    let (rows, columns) = (i64::try_from(logits.nrows()).unwrap(), i64::try_from(logits.ncols()).unwrap());
    Tensor::from_slice(logits.as_slice().unwrap()).view([rows, columns])
}

#[test]
fn the_digits_network() {
    common::start();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/digits.safetensors");
    let dataset = common::digits(40);
    let mut network = common::open(&path, dataset.shape());
    network.derive();
    let logits = network.logits(&common::images(&dataset));
    assert!(common::difference(&logits.detach(), &plain(&path, &dataset)) < 1e-12);
}
