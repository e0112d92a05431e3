//! Rule `margin`.

use lipcert_proofs::CheckError;
use lipcert_proofs::rounding::forward::{Evaluator, Samples};
use lipcert_proofs::rounding::interval::Interval;
use lipcert_proofs::rules::margin::{Judgement, Margins};
use lipcert_proofs::statement::{Decimal, Layer, NetworkMap, Shape};

use crate::common::{certify, flat, head_network, matrix, vector};

fn judge(map: &NetworkMap, sample: &[f64]) -> Result<Judgement, CheckError> {
    let certificate = certify(map);
    let evaluator = Evaluator::new(&certificate).expect("an evaluator");
    let logits = evaluator.evaluate(Samples::Floats(sample))?;
    Margins::new(&certificate).expect("margins").judge(&logits[0])
}

#[test]
fn the_vectors_radius() {
    let v = vector("lln_radius");
    let map = head_network(4, 5, flat(&v["W"]), flat(&v["b"]));
    let judgement = judge(&map, &flat(&v["phi"])).expect("a judgement");
    assert_eq!(judgement.predicted, 3);
    let expected = flat(&v["radius"])[0];
    let radius = judgement.radius.value();
    assert!(
        radius <= expected * (1.0 + 1e-15) && radius >= expected * (1.0 - 1e-13),
        "{radius}"
    );
    assert!(judgement.radius_limit >= radius && judgement.radius_limit <= expected * (1.0 + 1e-13));
    // The √2 rule would say 1.415 although rows are further apart than √2; it is not offered.
}

/// The nearest rival is not among the top logits: every class is looked at.
#[test]
fn every_rival_counts() {
    let n = 12;
    // Class 0 is e_0; the classes 1 … 10 have larger logits than class 11 but rows as far away as can be.
    let mut weight = vec![0.0; n * 2];
    weight[0] = 1.0;
    for class in 1..n - 1 {
        weight[class * 2] = -1.0;
    }
    (weight[(n - 1) * 2], weight[(n - 1) * 2 + 1]) = (1.0, 0.01);
    let mut bias = vec![0.0; n];
    bias[0] = 1.0;
    for (class, b) in bias.iter_mut().enumerate().take(n - 1).skip(1) {
        *b = 1.9 + class as f64 * 1e-3;
    }
    bias[n - 1] = 0.99;
    let map = head_network(n, 2, weight, bias);
    let judgement = judge(&map, &[2.0, 0.0]).expect("a judgement");
    assert_eq!(judgement.predicted, 0);
    // Pairs with 1 … 10: margin 3 + 2 − 1.91 over 2, about 1.545; with class 11: about 0.01 over 0.01, about 1.
    let radius = judgement.radius.value();
    assert!(radius < 1.1, "{radius}");
    let last = (3.0 - (2.0 / 1.00005_f64 + 0.99)) / 0.01;
    let others = (3.0 + 2.0 - 1.91) / 2.0;
    assert!(radius <= last.min(others) + 1e-3);
}

#[test]
fn a_tie_has_radius_zero() {
    let v = vector("margin_eval_hazard");
    let map = head_network(4, 2, flat(&v["W"]), flat(&v["b"]));
    let rows = v["rows"].as_array().expect("rows");
    for (phi, row) in v["phi"].as_array().expect("samples").iter().zip(rows) {
        let judgement = judge(&map, &flat(phi)).expect("a judgement");
        // All three samples tie at the top: the official sort certifies two of them, nothing here does.
        assert!(judgement.radius.value() <= flat(&row["true_radius"])[0]);
        assert!(!judgement.decided());
        assert!(!judgement.radius.covers(Interval::point(0.0)));
    }
}

#[test]
fn identical_rows_with_a_larger_bias_impose_nothing() {
    let map = head_network(3, 2, vec![0.0, 2.0, 0.0, 2.0, 1.0, 0.0], vec![0.1, 0.0, 0.0]);
    let judgement = judge(&map, &[0.0, 1.0]).expect("a judgement");
    assert_eq!(judgement.predicted, 0);
    let expected = 1.1 / 2f64.sqrt();
    assert!((judgement.radius.value() - expected).abs() < 1e-12);
    assert!((judgement.margin - 0.1).abs() < 1e-12, "the margin still sees the twin");
    // The same with the smaller bias on the predicted class is a loss, not a tie.
    let map = head_network(2, 1, vec![1.0, 1.0], vec![0.0, 0.5]);
    assert_eq!(judge(&map, &[0.0]).expect("a judgement").predicted, 1);
}

/// Proportional rows are the same after normalisation; rounding must not make a margin out of nothing.
#[test]
fn proportional_rows_are_a_tie_within_the_error() {
    let map = head_network(2, 2, vec![0.1, 0.3, 0.2, 0.6], vec![0.0, 0.0]);
    let judgement = judge(&map, &[0.7, 0.9]).expect("a judgement");
    assert!(judgement.radius.value() <= 0.0);
}

#[test]
fn an_error_larger_than_the_margin_gives_radius_zero() {
    // Features near 1e8 have an error of 1e-8; a margin of 1e-9 in exact arithmetic proves nothing.
    let map = head_network(2, 2, vec![1.0, 0.0, 0.0, 1.0], vec![1e-9, 0.0]);
    let judgement = judge(&map, &[1e8 / 3.0, 1e8 / 3.0]).expect("a judgement");
    assert!(judgement.radius.value() <= 0.0 && !judgement.decided());
    assert!(judgement.radius_limit > 0.0);
}

/// A radius is in units of the raw input: a std of 1/2 halves it.
#[test]
fn the_std_counts() {
    let std = |text: &str| {
        let normalize = Layer::Normalize {
            mean: vec![Decimal::ZERO],
            std: vec![text.parse().expect("a decimal")],
        };
        let head = Layer::NormalizedHead {
            weight: matrix(2, 1, vec![1.0, -1.0]),
            bias: vec![0.0, 0.0],
        };
        NetworkMap::new(Shape::Flat(1), vec![normalize, head]).expect("a network")
    };
    let whole = judge(&std("1"), &[0.25]).expect("a judgement");
    let half = judge(&std("0.5"), &[0.25]).expect("a judgement");
    assert!((whole.radius.value() - 0.25).abs() < 1e-12);
    // The logits double and the bound doubles: the distance to the boundary is the same.
    assert!((half.radius.value() - 0.25).abs() < 1e-12);
    assert!(half.margin > 0.99);
}

#[test]
fn overflow_and_nan_are_refused() {
    let map = head_network(2, 2, vec![1.0, 1.0, 0.0, 1.0], vec![0.0, 0.0]);
    assert!(matches!(
        judge(&map, &[f64::MAX, f64::MAX]),
        Err(CheckError::NotFinite { .. })
    ));
    assert!(matches!(
        judge(&map, &[f64::NAN, 0.0]),
        Err(CheckError::NotFinite { what: "samples", .. })
    ));
    assert!(matches!(judge(&map, &[1.0]), Err(CheckError::Shape { .. })));
}

#[test]
fn closed_ball_and_thresholds() {
    let map = head_network(2, 1, vec![1.0, -1.0], vec![0.0, 0.0]);
    let judgement = judge(&map, &[0.5]).expect("a judgement");
    let radius = judgement.radius;
    assert!(
        radius.value() < 0.5,
        "the open ball has radius 0.5: the closed one is smaller"
    );
    assert!(radius.covers(Interval::point(0.499)) && !radius.covers(Interval::point(0.5)));
    assert!(!radius.covers(Interval::point(f64::NAN)) && !radius.covers(Interval::point(-1.0)));
}

fn beaten(map: &NetworkMap, sample: &[f64], class: usize) -> Result<bool, CheckError> {
    let certificate = certify(map);
    let evaluator = Evaluator::new(&certificate).expect("an evaluator");
    let logits = evaluator.evaluate(Samples::Floats(sample))?;
    Margins::new(&certificate).expect("margins").is_beaten(&logits[0], class)
}

#[test]
fn a_class_is_beaten_only_beyond_the_error() {
    let map = head_network(2, 2, vec![1.0, 0.0, 0.0, 1.0], vec![1e-9, 0.0]);
    // 1e-9 apart in exact arithmetic, and at 1e8 the error is larger than that
    for (features, expected) in [([0.0, 0.0], true), ([1e8 / 3.0, 1e8 / 3.0], false), ([0.0, 1.0], false)] {
        assert_eq!(beaten(&map, &features, 1), Ok(expected), "{features:?}");
    }
    assert_eq!(beaten(&map, &[0.0, 1.0], 0), Ok(true));
    // A tie beats nobody, by the biases alone.
    let map = head_network(2, 1, vec![1.0, 1.0], vec![0.5, 0.5]);
    assert_eq!((beaten(&map, &[1e9], 0), beaten(&map, &[1e9], 1)), (Ok(false), Ok(false)));
}

/// Two rivals that tie above the class: which of them is on top is open, that the class is not is proved.
#[test]
fn any_rival_beats() {
    let map = head_network(3, 2, vec![1.0, 0.0, 0.0, 1.0, 0.0, 1.0], vec![0.0, 0.0, 0.0]);
    assert_eq!(beaten(&map, &[0.0, 1.0], 0), Ok(true));
    assert!(!judge(&map, &[0.0, 1.0]).expect("a judgement").decided());
    let map = head_network(3, 2, vec![1.0, 0.0, -1.0, 0.0, 0.0, 1.0], vec![0.0, 0.0, 0.0]);
    assert_eq!(beaten(&map, &[0.5, 1.0], 0), Ok(true), "the last class alone");
    assert!(matches!(
        beaten(&map, &[0.5, 1.0], 3),
        Err(CheckError::Shape { what: "class", .. })
    ));
    assert!(matches!(
        beaten(&map, &[f64::MAX, f64::MAX], 0),
        Err(CheckError::NotFinite { .. })
    ));
}
