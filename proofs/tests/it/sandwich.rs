//! Rule `formula` for sandwich layers, and their enclosed evaluation.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{LayerCertificate, LayerClaim, Prepared, Witness};
use lipcert_proofs::rounding::forward::{Evaluator, Samples};
use lipcert_proofs::statement::{Activation, Layer, NetworkMap, Sandwich, Shape};
use proptest::prelude::*;

use crate::common::{certify, flat, matrix, vector};

fn example() -> Sandwich {
    let v = vector("sandwich");
    Sandwich {
        weight: matrix(3, 7, flat(&v["weight"])),
        alpha: v["alpha"].as_f64(),
        psi: flat(&v["psi"]),
        bias: flat(&v["b"]),
        activation: Activation::Relu,
    }
}

fn judge(sandwich: &Sandwich, lipschitz: f64) -> Result<(), CheckError> {
    let layer = Layer::Sandwich(sandwich.clone());
    let prepared = Prepared::new(&layer, Shape::Flat(sandwich.inputs()))?;
    let witness = Witness::Formula { inside: None };
    LayerCertificate::check(&prepared, LayerClaim { lipschitz, witness }).map(|_| ())
}

/// The layer between an identity head.
fn network(sandwich: &Sandwich) -> NetworkMap {
    let q = sandwich.outputs();
    let identity = (0..q * q).map(|flat| f64::from(u8::from(flat / q == flat % q))).collect();
    let head = Layer::Dense {
        weight: matrix(q, q, identity),
        bias: vec![0.0; q],
    };
    NetworkMap::new(Shape::Flat(sandwich.inputs()), vec![Layer::Sandwich(sandwich.clone()), head]).expect("a network")
}

#[test]
fn accept_and_reject() {
    assert_eq!(judge(&example(), 1.0), Ok(()));
    assert!(matches!(
        judge(&example(), 1.0_f64.next_down()),
        Err(CheckError::BoundTooSmall { .. })
    ));
    let leaky = |slope: f64| Sandwich {
        activation: Activation::LeakyRelu { slope },
        ..example()
    };
    assert_eq!(judge(&leaky(0.25), 1.0), Ok(()));
    for slope in [-0.1, 1.5, -1.0] {
        assert!(
            matches!(judge(&leaky(slope), 1.0), Err(CheckError::RuleMismatch { .. })),
            "{slope}"
        );
    }
    assert!(judge(&leaky(f64::NAN), 1.0).is_err());
    let wild = Sandwich {
        psi: vec![0.0, -81.0, 0.0],
        ..example()
    };
    assert!(matches!(
        judge(&wild, 1.0),
        Err(CheckError::OutOfRange {
            what: "psi",
            index: 1,
            ..
        })
    ));
    let square = Sandwich {
        weight: matrix(3, 3, vec![1.0; 9]),
        ..example()
    };
    assert!(matches!(judge(&square, 1.0), Err(CheckError::Shape { what: "weight", .. })));
}

#[test]
fn the_published_example() {
    let v = vector("sandwich");
    let map = network(&example());
    let certificate = certify(&map);
    let evaluator = Evaluator::new(&certificate).expect("an evaluator");
    let mut batch = flat(&v["x"]);
    batch.extend(flat(&v["y"]));
    let logits = evaluator.evaluate(Samples::Floats(&batch)).expect("logits");
    for (found, expected) in logits.iter().zip([flat(&v["out"]), flat(&v["out_y"])]) {
        for (class, digits) in expected.iter().enumerate() {
            assert!((found.values()[class] - digits).abs() <= found.error_up(class) + 1e-14);
            assert!(found.error_up(class) < 1e-11, "{:e}", found.error_up(class));
        }
    }
}

proptest! {
    /// Two inputs are never further apart afterwards, the proved errors added; the errors are small.
    #[test]
    fn nothing_stretches(
        weight in prop::collection::vec(-2.0..2.0f64, 2 * 5), psi in prop::collection::vec(-3.0..3.0f64, 2), slope in 0.0..1.0f64,
        bias in prop::collection::vec(-2.0..2.0f64, 2), x in prop::collection::vec(-3.0..3.0f64, 3), y in prop::collection::vec(-3.0..3.0f64, 3),
    ) {
        prop_assume!(weight.iter().any(|value| value.abs() > 1e-3));
        let sandwich = Sandwich {
            weight: matrix(2, 5, weight),
            alpha: Some(1.25),
            psi,
            bias,
            activation: Activation::LeakyRelu { slope },
        };
        let map = network(&sandwich);
        let certificate = certify(&map);
        let evaluator = Evaluator::new(&certificate).expect("an evaluator");
        let batch: Vec<f64> = x.iter().chain(&y).copied().collect();
        let logits = evaluator.evaluate(Samples::Floats(&batch)).expect("logits");
        let (a, b) = (&logits[0], &logits[1]);
        let distance = |u: &[f64], v: &[f64]| u.iter().zip(v).map(|(u, v)| (u - v).powi(2)).sum::<f64>().sqrt();
        let room = 2.0 * (a.feature_error_up() + b.feature_error_up()) + 1e-13;
        prop_assert!(room < 1e-9);
        prop_assert!(distance(a.values(), b.values()) <= distance(&x, &y) + room);
    }
}
