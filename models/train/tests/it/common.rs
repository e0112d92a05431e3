//! What the tests share.

use std::path::Path;

use lipcert_models::data::{DataOptions, Dataset};
use lipcert_models::training::job::Model;
use lipcert_train::{Network, device};
use tch::{Device, Kind, Tensor};

/// One thread, and libtorch opened the way the program opens it.
pub(crate) fn start() {
    let _ = device::open();
    tch::set_num_threads(1);
}

/// The test samples of the digits.
pub(crate) fn digits(limit: usize) -> Dataset {
    let options = DataOptions {
        limit: Some(limit),
        ..DataOptions::default()
    };
    Dataset::open("digits", &options).unwrap()
}

/// A model file for images of a shape, in float64.
pub(crate) fn open(path: &Path, input: [usize; 3]) -> Network {
    let model = Model {
        path: path.to_owned(),
        declaration: None,
        preprocess: None,
    };
    Network::open(&model, input, Kind::Double, Device::Cpu).unwrap()
}

/// The samples as raw images `(N, C, H, W)`.
pub(crate) fn images(dataset: &Dataset) -> Tensor {
    let values = lipcert_models::forward::inputs::<f64>(dataset, 0..dataset.len()).unwrap();
    let [channels, height, width] = dataset.shape().map(|size| i64::try_from(size).unwrap());
    Tensor::from_slice(values.as_slice().unwrap()).view([-1, channels, height, width])
}

/// Largest difference of two tensors.
pub(crate) fn difference(left: &Tensor, right: &Tensor) -> f64 {
    assert_eq!(left.size(), right.size());
    (left - right).abs().max().double_value(&[])
}
