//! Norms that training follows, and the files in which they are stored.

use std::path::Path;

use lipcert_models::checkpoint::Checkpoint;
use lipcert_models::network::{LoadOptions, Network as Plain, image};
use lipcert_proofs::certificate::{GramClaim, GramWitness, ImageSize, LayerCertificate, LayerClaim, Prepared, Witness};
use lipcert_proofs::rules::{circulant_grid, operator_norm, taylor_remainder};
use lipcert_proofs::statement::{Layer, Padding, Shape};
use lipcert_train::Network;
use tch::{Tensor, no_grad};

use crate::common::{self, Case};

/// The cases whose files are not as training leaves them.
fn followed() -> Vec<Case> {
    let norms =
        |kind: &str| kind.starts_with("cpl") || matches!(kind, "spectral" | "bjorck" | "spectral-conv" | "skew-exponential");
    common::cases().into_iter().filter(|case| case.kinds().any(norms)).collect()
}

/// Derives as a training does, until the norms have settled.
fn settle(network: &mut Network) {
    for _ in 0..60 {
        network.derive();
    }
}

/// The claim that a layer is 1-Lipschitz, or as near to it as the number of terms of an exponential allows.
fn claim(layer: &Layer, input: Shape) -> LayerClaim {
    let Shape::Image { .. } = input else {
        return dense_claim(layer);
    };
    let size = match layer {
        Layer::ResidualConv { kernel, .. } => kernel.size(),
        Layer::ConvFormula { formula, .. } => formula.raw().size(),
        Layer::SkewExponential(skew) => skew.raw.size(),
        _ => {
            return LayerClaim {
                lipschitz: 1.0,
                witness: Witness::Structural {},
            };
        }
    };
    let witness = match layer.padding() {
        Some(_) if size == 1 => GramWitness::Cholesky {},
        Some(Padding::Circular) => GramWitness::CircularSpectrum {},
        _ => GramWitness::CirculantGrid {
            grid: circulant_grid::least_grid(2 * size - 1, input, ImageSize::Stated),
            image: ImageSize::Stated,
        },
    };
    let inside = |lambda: f64| GramClaim { lambda, witness };
    match layer {
        Layer::SkewExponential(skew) => {
            let angle = angle(skew.terms);
            let bound = taylor_remainder::bound_up(angle, skew.terms);
            LayerClaim {
                lipschitz: bound,
                witness: Witness::TaylorRemainder {
                    inside: inside(angle * angle),
                },
            }
        }
        Layer::ConvFormula { .. } => LayerClaim {
            lipschitz: operator_norm::bound_up(1.0, 1e-12),
            witness: Witness::OperatorNorm { inside: inside(1.0) },
        },
        _ => LayerClaim {
            lipschitz: 1.0,
            witness: Witness::Tolerance { inside: inside(1.0) },
        },
    }
}

/// The claim about an exponential for the norm that Gram iteration gives.
fn by_iteration(prepared: &Prepared<'_>, terms: usize) -> LayerClaim {
    let steps = 2;
    let lambda = prepared.gram_iteration_up(steps).unwrap();
    LayerClaim {
        lipschitz: taylor_remainder::bound_up(operator_norm::bound_up(lambda, 1e-12), terms),
        witness: Witness::TaylorRemainder {
            inside: GramClaim {
                lambda,
                witness: GramWitness::GramIteration { steps },
            },
        },
    }
}

fn dense_claim(layer: &Layer) -> LayerClaim {
    let witness = match layer {
        Layer::ResidualDense { .. } => Witness::Tolerance {
            inside: GramClaim {
                lambda: 1.0,
                witness: GramWitness::Cholesky {},
            },
        },
        Layer::DenseFormula { .. } => Witness::Formula { inside: None },
        _ => Witness::Structural {},
    };
    LayerClaim { lipschitz: 1.0, witness }
}

/// The norm by which `sⁿ / n!` is `10⁻⁵`, at most `π`.
fn angle(terms: usize) -> f64 {
    let factorial: f64 = (1..=terms).map(|i| i as f64).product();
    (1e-5 * factorial).powf(1.0 / terms as f64).min(std::f64::consts::PI)
}

fn load(path: &Path, input: [usize; 3]) -> Plain {
    let options = LoadOptions {
        input: Some(image(input)),
        ..LoadOptions::default()
    };
    Plain::load(&Checkpoint::open(path).unwrap(), &options).unwrap()
}

#[test]
fn a_sealed_file_is_proved() {
    let alone = common::start();
    for case in followed() {
        // the least of four norms is none of the operator, and the angle what it may be
        let least = !case.described() && case.kinds().any(|kind| kind == "skew-exponential");
        let mut network = case.network(&alone);
        settle(&mut network);
        let file = common::written(&network.seal().unwrap().file().unwrap());
        let plain = load(file.path(), case.input());
        for (layer, input) in plain.map.layers().iter().zip(plain.map.input_shapes()) {
            let prepared = Prepared::new(layer, input).unwrap();
            let claim = match layer {
                Layer::SkewExponential(skew) if least => by_iteration(&prepared, skew.terms),
                _ => claim(layer, input),
            };
            let checked = LayerCertificate::check(&prepared, claim);
            assert!(checked.is_ok(), "{}: {:?}", case.name, checked.err());
        }
    }
}

#[test]
fn a_sealed_network_is_the_trained_one() {
    let alone = common::start();
    for case in followed() {
        let mut network = case.network(&alone);
        settle(&mut network);
        let images = case.images(&alone, 3, 2);
        let trained = no_grad(|| network.logits(&images));
        let mut sealed = network.seal().unwrap();
        let outputs = no_grad(|| {
            sealed.derive();
            sealed.logits(&images)
        });
        // the room above a norm is 1e-6, and counts once for each of at most six terms
        let difference = common::difference(&outputs, &trained) / (1.0 + trained.abs().max().double_value(&[]));
        assert!(difference < 2e-5, "{}: {difference:e}", case.name);
    }
}

/// A residual layer of zeros is the identity, and its file is one.
#[test]
fn zeros_are_sealed() {
    let alone = common::start();
    for case in followed() {
        if !case.kinds().any(|kind| kind.starts_with("cpl")) {
            continue;
        }
        let mut network = case.network(&alone);
        for (_, tensor) in network.parameters().iter() {
            let _ = no_grad(|| tensor.shallow_clone().zero_());
        }
        network.derive();
        let file = common::written(&network.seal().unwrap().file().unwrap());
        let mut sealed = common::open(file.path(), case.input());
        let images = case.images(&alone, 2, 2);
        let outputs = no_grad(|| {
            sealed.derive();
            sealed.logits(&images)
        });
        assert!(outputs.equal(&images.flatten(1, -1)), "{}", case.name);
    }
}

/// What training writes into `sigma` is what it divides by.
#[test]
fn a_followed_norm_is_stored() {
    let alone = common::start();
    for case in followed().into_iter().filter(Case::stores_a_norm) {
        let mut network = case.network(&alone);
        settle(&mut network);
        let images = case.images(&alone, 3, 2);
        let trained = no_grad(|| network.logits(&images));
        let evaluated = no_grad(|| {
            network.derive();
            network.logits(&images)
        });
        // the same number, divided by
        assert!(common::difference(&evaluated, &trained) < 1e-12, "{}", case.name);
    }
}

#[test]
fn other_networks_stay_as_they_are() {
    let _alone = common::start();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/sll_digits/digits.safetensors");
    let network = common::open(&path, [1, 8, 8]);
    assert_eq!(network.seal().unwrap().file().unwrap(), network.file().unwrap());
    assert!(network.state().is_empty());
}

/// Some steps of gradient descent.
fn descend(network: &mut Network, images: &Tensor, steps: usize) {
    for _ in 0..steps {
        network.derive();
        network.logits(images).square().mean(None::<tch::Kind>).backward();
        network.pull();
        no_grad(|| {
            for (_, tensor) in network.parameters().iter().filter(|(_, tensor)| tensor.requires_grad()) {
                let mut gradient = tensor.grad();
                let _ = tensor.shallow_clone().g_sub_(&(&gradient * 0.05));
                let _ = gradient.zero_();
            }
        });
    }
}

#[test]
fn a_training_goes_on_from_its_state() {
    let alone = common::start();
    for case in followed() {
        if case.name.contains("\"terms\":1}") {
            continue;
        }
        let images = case.images(&alone, 4, 9);
        let mut straight = case.network(&alone);
        descend(&mut straight, &images, 3);
        let mut resumed = case.network(&alone);
        for (from, to) in [(straight.state(), resumed.state())] {
            assert!(from.iter().map(|(name, _)| name).eq(to.iter().map(|(name, _)| name)));
            for ((_, from), (_, to)) in from.iter().zip(to) {
                to.shallow_clone().copy_(from);
            }
        }
        for ((_, from), (_, to)) in straight.parameters().iter().zip(resumed.parameters().iter()) {
            no_grad(|| to.shallow_clone().copy_(from));
        }
        descend(&mut straight, &images, 3);
        descend(&mut resumed, &images, 3);
        for ((parameter, first), (_, second)) in straight.parameters().iter().zip(resumed.parameters().iter()) {
            assert!(first.equal(second), "{}: {}", case.name, parameter.name);
        }
    }
}
