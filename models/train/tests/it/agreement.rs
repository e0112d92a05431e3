//! The layers of libtorch and those of `lipcert_models` agree.

use std::path::Path;

use lipcert_models::checkpoint::Checkpoint;
use lipcert_models::forward::{self, Prepared};
use lipcert_models::network::{LoadOptions, Network as Plain, image};
use lipcert_models::training::recipe::KINDS;
use ndarray::Array2;
use tch::{Kind, Tensor, no_grad};

use crate::common;

/// The logits of a file by the plain pass in float64, `(N, classes)`.
pub(crate) fn plain(path: &Path, dataset: &lipcert_models::data::Dataset) -> Tensor {
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
    let _alone = common::start();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/sll_digits/digits.safetensors");
    let dataset = common::digits(40);
    let mut network = common::open(&path, dataset.shape());
    network.derive();
    let logits = network.logits(&common::images(&dataset));
    assert!(common::difference(&logits.detach(), &plain(&path, &dataset)) < 1e-12);
}

/// The outputs of a file by the plain pass in float64, for images of a shape.
fn by_models(path: &Path, input: [usize; 3], images: &Tensor) -> Tensor {
    let options = LoadOptions {
        input: Some(image(input)),
        ..LoadOptions::default()
    };
    let network = Plain::load(&Checkpoint::open(path).unwrap(), &options).unwrap();
    let values: Vec<f64> = Vec::try_from(images.flatten(0, -1)).unwrap();
    let samples = Array2::from_shape_vec((usize::try_from(images.size()[0]).unwrap(), input.iter().product()), values).unwrap();
    let outputs = Prepared::<f64>::new(&network.map).evaluate(samples.view()).unwrap();
    let columns = i64::try_from(outputs.ncols()).unwrap();
    Tensor::from_slice(outputs.as_standard_layout().as_slice().unwrap()).view([-1, columns])
}

#[test]
fn every_kind() {
    let alone = common::start();
    for case in common::cases() {
        let file = case.file(&alone);
        let mut network = common::open(file.path(), case.input());
        let images = case.images(&alone, 3, 11);
        let outputs = no_grad(|| {
            network.derive();
            network.logits(&images)
        });
        let expected = by_models(file.path(), case.input(), &images);
        // where a norm is found by iterations, the plain pass stops when it grows by less than 64 units in the last place; else the same operations
        // in another order
        let iterated = case.kinds().any(|kind| kind.starts_with("cpl")) || !case.described();
        let most = if iterated { 1e-9 } else { 1e-12 };
        let difference = common::difference(&outputs, &expected) / (1.0 + expected.abs().max().double_value(&[]));
        assert!(difference < most, "{}: {difference:e}", case.name);
    }
}

/// In float32 a norm is found less closely, and the outputs are still those of float64 to a few digits.
#[test]
fn norms_in_float32() {
    let alone = common::start();
    for case in common::cases() {
        if !case.kinds().any(|kind| kind.starts_with("cpl")) {
            continue;
        }
        let file = case.file(&alone);
        let images = case.images(&alone, 3, 11);
        let outputs = [Kind::Float, Kind::Double].map(|kind| {
            let mut network = common::open_as(file.path(), case.input(), kind);
            no_grad(|| {
                network.derive();
                network.logits(&images.to_kind(kind)).to_kind(Kind::Double)
            })
        });
        assert!(common::difference(&outputs[0], &outputs[1]) < 1e-4, "{}", case.name);
    }
}

/// Which of the four it is depends on the kernel.
#[test]
fn the_least_of_four_norms() {
    let alone = common::start();
    let least = |case: &common::Case| !case.described() && case.kinds().any(|kind| kind == "skew-exponential");
    let case = common::cases().into_iter().find(least).unwrap();
    let images = case.images(&alone, 2, 5);
    for seed in 0..6 {
        let file = case.seeded(&alone, seed);
        let mut network = common::open(file.path(), case.input());
        let expected = by_models(file.path(), case.input(), &images);
        let settled = no_grad(|| {
            network.derive();
            network.logits(&images)
        });
        // the plain pass ends after a fixed number of steps
        assert!(common::difference(&settled, &expected) < 1e-8, "{seed}");
        for _ in 0..300 {
            network.derive();
        }
        let followed = no_grad(|| network.logits(&images));
        assert!(common::difference(&followed, &expected) < 1e-3, "{seed}");
    }
}

#[test]
fn no_kind_is_left_out() {
    let cases = common::cases();
    let left: Vec<_> = KINDS
        .iter()
        .filter(|kind| {
            !cases
                .iter()
                .any(|case| case.described() && case.kinds().any(|found| found == **kind))
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
