//! Networks without an affine head: the rule of √2, and nothing else.

use lipcert_proofs::CheckError;
use lipcert_proofs::rounding::forward::{Evaluator, Samples};
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::rules::margin::{Judgement, Margins};
use lipcert_proofs::statement::{Layer, NetworkMap, Operation, Output, Resample, Scale, Shape};

use crate::common::{certify, certify_layers, dense, exact, head_network, matrix};

/// Two AOL layers on five numbers, of which the first `classes` are the logits; before them a factor.
fn aol(classes: usize, factor: f64) -> NetworkMap {
    let weight = |shift: u32| {
        let entries = (0..25).map(|k| f64::from((k * 7 + shift) % 11) / 5.0 - 1.0).collect();
        dense(matrix(5, 5, entries), Scale::RowSum { q: vec![0.0; 5] })
    };
    let layers = vec![
        Layer::Elementwise {
            operation: Operation::Multiply,
            operand: vec![factor; 5],
        },
        weight(0),
        weight(3),
        Layer::Resample(Resample::First { units: classes }),
    ];
    NetworkMap::new(Shape::Flat(5), layers).expect("a network")
}

fn judge(map: &NetworkMap, sample: &[f64]) -> Judgement {
    let certificate = certify(map);
    let evaluator = Evaluator::new(&certificate).expect("an evaluator");
    let logits = evaluator.evaluate(Samples::Floats(sample)).expect("logits");
    Margins::new(&certificate)
        .expect("margins")
        .judge(&logits[0])
        .expect("a judgement")
}

/// Whatever the number of classes, every pair gets `√2` times the bound of all layers: neither 1 nor 2, and not a rival left out.
#[test]
fn every_pair_has_the_factor_root_two() {
    for (classes, factor) in [(2, 1.0), (3, 0.5), (5, 4.0)] {
        let map = aol(classes, factor);
        assert_eq!((map.classes(), map.head()), (classes, None));
        let certificate = certify(&map);
        assert!((certificate.features() - factor).abs() <= 0.0);
        assert!((certificate.upper() - factor).abs() <= 0.0, "jointly as far as the features");
        let two = exact(2.0) * exact(factor) * exact(factor);
        for a in 0..classes {
            assert!((certificate.bound_up(Output::Class(a)).expect("a class") - factor).abs() <= 0.0);
            for b in (0..classes).filter(|b| *b != a) {
                let bound = certificate.bound_up(Output::Pair(a, b)).expect("a pair");
                assert!(exact(bound) * exact(bound) >= two, "rounded up");
                assert!(bound <= (2f64.sqrt() * factor).next_up(), "{bound}");
            }
        }
        let beyond = certificate.bound_up(Output::Pair(0, classes));
        assert_eq!(beyond, Err(CheckError::NoSuchClass { class: classes, classes }));
    }
}

#[test]
fn the_radius_is_the_margin_by_root_two() {
    let sample = [0.9, -0.3, 0.2, 0.4, -0.8];
    for classes in [2, 3, 5] {
        let map = aol(classes, 1.0);
        let certificate = certify(&map);
        let evaluator = Evaluator::new(&certificate).expect("an evaluator");
        let logits = evaluator.evaluate(Samples::Floats(&sample)).expect("logits");
        let mut sorted = logits[0].values().to_vec();
        sorted.sort_by(f64::total_cmp);
        let margin = sorted[classes - 1] - sorted[classes - 2];
        let radius = judge(&map, &sample).radius.value();
        let expected = margin / 2f64.sqrt();
        assert!(
            radius <= expected && radius >= expected * (1.0 - 1e-9) - 1e-12,
            "{radius} {expected}"
        );
    }
}

/// The identity written as a dense head is the same network, and gives the same radius up to rounding.
#[test]
fn the_identity_as_a_head_says_the_same() {
    let sample = [0.9, -0.3, 0.2, 0.4, -0.8];
    let bare = aol(5, 1.0);
    let mut layers = bare.layers().to_vec();
    let identity = (0..25).map(|k| f64::from(u8::from(k % 6 == 0))).collect();
    layers.push(Layer::Dense {
        weight: matrix(5, 5, identity),
        bias: vec![0.0; 5],
    });
    let headed = NetworkMap::new(Shape::Flat(5), layers).expect("a network");
    let (bare, headed) = (judge(&bare, &sample), judge(&headed, &sample));
    assert_eq!(bare.predicted, headed.predicted);
    assert!((bare.radius.value() - headed.radius.value()).abs() < 1e-12);
}

/// Rows that are normalised one by one are each 1-Lipschitz and not jointly so: two of them may be 2 apart, and then √2 would be wrong.
#[test]
fn disjoint_logits_never_get_root_two() {
    let map = head_network(2, 3, vec![1.0, 2.0, -2.0, -1.0, -2.0, 2.0], vec![0.0, 0.0]);
    let certificate = certify(&map);
    let bound = certificate.bound_up(Output::Pair(0, 1)).expect("a pair");
    assert!(bound >= 2.0 - 1e-15, "{bound}");
    let sample = [0.1, 0.2, -0.2];
    let judgement = judge(&map, &sample);
    // The margin is 0.6, the other side 0.3 away.
    assert!(judgement.radius.value() <= 0.3 && judgement.radius.value() > 0.3 - 1e-12);
}

/// The last layer is a part of the product, and its certificate must be there.
#[test]
fn the_last_layer_counts() {
    let layers = vec![Layer::Elementwise {
        operation: Operation::Multiply,
        operand: vec![3.0, -1.0],
    }];
    let map = NetworkMap::new(Shape::Flat(2), layers).expect("a network");
    assert!((certify(&map).upper() - 3.0).abs() <= 0.0);
    let mut certificates = certify_layers(&map);
    certificates.clear();
    let missing = NetworkCertificate::compose(&map, certificates, Vec::new(), Output::All);
    assert!(matches!(missing, Err(CheckError::Shape { what: "layers", .. })));
}
