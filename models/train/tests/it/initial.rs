//! The numbers that training starts from.

use lipcert_models::architecture::METADATA_KEY;
use lipcert_models::checkpoint::{PlainTensor, write_safetensors};
use lipcert_models::training::parameters;
use lipcert_train::{Network, initial};
use tch::{Kind, Tensor, no_grad};

use crate::common::{self, Alone, Case};

/// The network of a case with fresh numbers.
fn fresh(case: &Case, alone: &Alone) -> Network {
    alone.seed(1);
    let architecture = case.architecture();
    let tensors = parameters::of(&architecture).into_iter().map(|parameter| {
        let numbers = initial::draw(architecture.layers[parameter.layer].plan, &parameter);
        PlainTensor {
            name: parameter.name,
            shape: parameter.shape,
            values: Vec::try_from(numbers.flatten(0, -1)).unwrap(),
        }
    });
    let metadata = [(METADATA_KEY.to_owned(), architecture.declaration())].into();
    let bytes = write_safetensors(&metadata, &tensors.collect::<Vec<_>>()).unwrap();
    common::open(common::written(&bytes).path(), case.input())
}

fn length(batch: &Tensor) -> Tensor {
    let squares = batch.flatten(1, -1).square();
    squares.sum_dim_intlist([1].as_slice(), false, None::<Kind>).sqrt()
}

/// The least, the mean and the largest factor by which a network changes distances.
fn factors(network: &mut Network, case: &Case, alone: &Alone) -> [f64; 3] {
    // with the divisors of a training
    network.derive();
    let (first, second) = (case.images(alone, 20, 3), case.images(alone, 20, 4));
    let factors = no_grad(|| length(&(network.logits(&first) - network.logits(&second))) / length(&(&first - &second)));
    [factors.min(), factors.mean(None::<Kind>), factors.max()].map(|factor| factor.double_value(&[]))
}

/// No kind with a bound stretches distances when training begins, and none lets a signal vanish.
#[test]
fn distances_are_about_kept() {
    let alone = common::start();
    for case in common::cases().into_iter().filter(Case::described) {
        let [_, mean, most] = factors(&mut fresh(&case, &alone), &case, &alone);
        // plain weights, rows that are normalised one by one, and a slope above 1
        let free = case
            .kinds()
            .any(|kind| matches!(kind, "dense" | "linear-residual-conv" | "normalized-head" | "leaky-relu"));
        let limit = if free { 2.0 } else { 1.0 + 2e-5 };
        assert!(most <= limit, "{}: {most}", case.name);
        assert!(mean > 0.15, "{}: {mean}", case.name);
    }
}

/// Where there are as many outputs as inputs or more, a layer that can be an isometry starts as one.
#[test]
fn isometries() {
    let alone = common::start();
    for kind in ["aol", "spectral", "bjorck", "cayley"] {
        for outputs in [6, 9] {
            let case = common::dense(kind, outputs, 6);
            let [least, _, most] = factors(&mut fresh(&case, &alone), &case, &alone);
            // float32 numbers in a file
            assert!(
                (least - 1.0).abs() < 1e-5 && (most - 1.0).abs() < 1e-5,
                "{kind} {outputs}: {least} {most}"
            );
        }
    }
    for kind in ["aol-conv", "spectral-conv", "convolution"] {
        for outputs in [4, 7] {
            let case = common::convolution(kind, outputs, [4, 5, 6]);
            let [least, _, most] = factors(&mut fresh(&case, &alone), &case, &alone);
            assert!(
                (least - 1.0).abs() < 1e-5 && (most - 1.0).abs() < 1e-5,
                "{kind} {outputs}: {least} {most}"
            );
        }
    }
}

/// Fewer outputs than inputs: the scaling by row sums changes nothing, so that the rows are orthonormal.
#[test]
fn almost_orthogonal_columns_stand_in_turn() {
    let alone = common::start();
    let case = common::dense("aol", 4, 10);
    let mut network = fresh(&case, &alone);
    network.derive();
    let basis = Tensor::eye(10, (Kind::Double, tch::Device::Cpu)).view([10, 1, 1, 10]);
    let weight = no_grad(|| network.logits(&basis)).tr();
    assert!(common::difference(&weight, &network.parameters().get("0", "weight").detach()) < 1e-6);
    let identity = Tensor::eye(4, (Kind::Double, tch::Device::Cpu));
    assert!(common::difference(&weight.mm(&weight.tr()), &identity) < 1e-6);
}
