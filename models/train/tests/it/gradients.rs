//! Gradients by every parameter and by the input against differences.

use lipcert_train::Network;
use tch::{Kind, Tensor, no_grad};

use crate::common::{self, Alone, Case};

/// Distance of the two points of a difference; its error is of the order of its square.
const STEP: f64 = 1e-5;
/// Relative error that a difference may have: `STEP²`, and rounding by `STEP` in float64.
const MOST: f64 = 1e-6;

/// A number that depends on all outputs for two batches, the second counted twice.
fn value(network: &Network, batches: &[Tensor; 2], which: usize) -> Tensor {
    let outputs = network.logits(&batches[which]);
    let weights = Tensor::arange(outputs.numel() as i64, (Kind::Double, tch::Device::Cpu)).sin();
    outputs.flatten(0, -1).dot(&weights) * (which as f64 + 1.0)
}

/// Derives so often, or once where nothing is followed from step to step.
fn settle(network: &mut Network, steps: usize) {
    let follows = !network.state().is_empty() || network.parameters().list().iter().any(|parameter| parameter.field == "u");
    for _ in 0..if follows { steps } else { 1 } {
        network.derive();
    }
}

fn total(network: &mut Network, batches: &[Tensor; 2]) -> f64 {
    settle(network, 3);
    no_grad(|| (value(network, batches, 0) + value(network, batches, 1)).double_value(&[]))
}

/// Compares the gradients after two passes and one pull with differences.
fn check(case: &Case, alone: &Alone) {
    let mut network = case.network(alone);
    let batches = [case.images(alone, 2, 3), case.images(alone, 3, 4)].map(|images| images.set_requires_grad(true));
    // some of the power iterations have two singular values close together
    settle(&mut network, 400);
    for which in 0..2 {
        value(&network, &batches, which).backward();
    }
    network.pull();
    let parameters = network.parameters().iter().filter(|(_, tensor)| tensor.requires_grad());
    let mut leaves: Vec<(String, Tensor)> = parameters
        .map(|(parameter, tensor)| (parameter.name.clone(), tensor.shallow_clone()))
        .collect();
    leaves.push(("input".to_owned(), batches[1].shallow_clone()));
    for (name, tensor) in leaves {
        let gradient = tensor.grad();
        // a weight of which a layer of one term makes no use has none
        let gradient = if gradient.defined() {
            gradient.copy()
        } else {
            tensor.zeros_like()
        };
        let gradient = gradient.flatten(0, -1);
        let size = 1.0 + gradient.abs().max().double_value(&[]);
        let flat = tensor.detach().flatten(0, -1);
        let entries = flat.size()[0];
        // three entries spread over the tensor
        for place in [0, entries / 2, entries - 1] {
            let before = flat.double_value(&[place]);
            let mut at = |offset: f64| {
                let _ = flat.narrow(0, place, 1).fill_(before + offset);
                total(&mut network, &batches)
            };
            let difference = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            at(0.0);
            let found = gradient.double_value(&[place]);
            let error = (found - difference).abs() / size;
            assert!(error < MOST, "{}: {name}[{place}] {found} {difference}", case.name);
        }
    }
}

#[test]
fn every_kind() {
    let alone = common::start();
    common::cases().iter().for_each(|case| check(case, &alone));
}

#[test]
fn what_is_computed_does_not_move() {
    let alone = common::start();
    for case in common::cases() {
        let network = case.network(&alone);
        let still: Vec<String> = network
            .parameters()
            .iter()
            .filter(|(_, tensor)| !tensor.requires_grad())
            .map(|(parameter, _)| parameter.field.to_owned())
            .collect();
        let stored = case.kinds().any(|kind| matches!(kind, "residual-conv" | "residual-dense"));
        let cancels = case.kinds().any(|kind| matches!(kind, "sll-conv" | "aol-dense"));
        let expected = |field: &str| match field {
            "q" => cancels,
            "weight" | "kernel" => stored,
            "sigma" | "factor" | "u" | "v" | "operand" => true,
            _ => false,
        };
        for (parameter, _) in network.parameters().iter() {
            let found = still.contains(&parameter.field.to_owned());
            assert_eq!(found, expected(parameter.field), "{}: {}", case.name, parameter.name);
        }
    }
}

/// A root has no slope at zero, but the layers have one there, or take 0 for it.
#[test]
fn zeros_have_finite_gradients() {
    let alone = common::start();
    for case in common::cases() {
        let roots = |kind: &str| {
            matches!(
                kind,
                "norm-pool" | "projection-pool" | "aol" | "aol-conv" | "sll-dense" | "sll-conv-weighted"
            )
        };
        if !case.kinds().any(roots) {
            continue;
        }
        let mut network = case.network(&alone);
        for (parameter, tensor) in network.parameters().iter() {
            if matches!(parameter.field, "weight" | "kernel") {
                // the first row and the first column
                no_grad(|| {
                    let _ = tensor.select(0, 0).fill_(0.0);
                    let _ = tensor.select(1, 0).fill_(0.0);
                });
            }
        }
        let images = case.images(&alone, 2, 3);
        let images = images.zeros_like().set_requires_grad(true);
        network.derive();
        network.logits(&images).square().sum(None::<Kind>).backward();
        network.pull();
        let learnt = network.parameters().iter().filter(|(_, tensor)| tensor.requires_grad());
        for tensor in learnt.map(|(_, tensor)| tensor).chain([&images]) {
            let gradient = tensor.grad();
            let finite = !gradient.defined() || gradient.isfinite().all().int64_value(&[]) == 1;
            assert!(finite, "{}", case.name);
        }
    }
}

/// The closed form of the row sums in blocks: more rows than one block has.
#[test]
fn row_sums_of_many_rows() {
    let alone = common::start();
    alone.seed(5);
    let options = (Kind::Double, tch::Device::Cpu);
    let case = common::wide(700, 3);
    let mut network = case.network(&alone);
    network.derive();
    let images = case.images(&alone, 2, 3);
    let outputs = network.logits(&images);
    let direction = Tensor::randn(outputs.size(), options);
    (outputs * &direction).sum(None::<Kind>).backward();
    network.pull();
    let get = |field: &str| network.parameters().get("0", field);
    let gradients = ["weight", "q"].map(|field| get(field).grad().copy());
    // the same by libtorch alone
    let [weight, q, bias] = ["weight", "q", "bias"].map(|field| get(field).detach().copy());
    let (weight, q) = (weight.set_requires_grad(true), q.set_requires_grad(true));
    let factor = (weight.mm(&weight.tr()).abs().mv(&q.exp()) * (-&q).exp()).reciprocal();
    let x = images.flatten(1, -1);
    let plain = &x - (x.linear(&weight, Some(&bias)).relu() * factor).mm(&weight) * 2.0;
    (plain * direction).sum(None::<Kind>).backward();
    for (ours, theirs) in gradients.iter().zip([weight.grad(), q.grad()]) {
        // sums of 700 terms in another order
        let most = 1e-12 * (1.0 + theirs.abs().max().double_value(&[]));
        assert!(common::difference(ours, &theirs) < most);
    }
}
