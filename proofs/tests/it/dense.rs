//! Dense networks from end to end: the forward pass, the radii of pairs, the certificate file.

use lipcert_proofs::certificate::{ChainCertificate, ChainClaim, LayerCertificate, Prepared};
use lipcert_proofs::format::{ModelBytes, Tool};
use lipcert_proofs::rounding::forward::{Evaluator, Samples};
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::rules::margin::Margins;
use lipcert_proofs::statement::{Activation, Layer, Matrix, NetworkMap, Operation, Output, Shape};
use lipcert_proofs::{CertificateFile, CheckError, FormatError};
use num_rational::BigRational;
use proptest::prelude::*;

use crate::common::{abs, certify, certify_layers, exact, matrix, zero};
use crate::lipsdp::dense_network;

/// The exact values of a network of dense layers, activations and constants.
fn evaluate(map: &NetworkMap, input: &[f64]) -> Vec<BigRational> {
    let mut x: Vec<BigRational> = input.iter().map(|value| exact(*value)).collect();
    for layer in map.layers() {
        x = match layer {
            Layer::Dense { weight, bias } => (0..weight.rows())
                .map(|i| {
                    weight
                        .row(i)
                        .iter()
                        .zip(&x)
                        .fold(exact(bias[i]), |s, (w, x)| s + exact(*w) * x)
                })
                .collect(),
            Layer::Activation(activation) => {
                let slope = match activation {
                    Activation::Relu => zero(),
                    Activation::LeakyRelu { slope } => exact(*slope),
                    Activation::Abs => exact(-1.0),
                    smooth => unreachable!("{smooth:?} has no exact values"),
                };
                x.into_iter().map(|v| if v < zero() { v * &slope } else { v }).collect()
            }
            Layer::Elementwise { operation, operand } => {
                let pairs = x.into_iter().zip(operand.iter().map(|c| exact(*c)));
                pairs
                    .map(|(v, c)| match operation {
                        Operation::Add => v + c,
                        Operation::Subtract => v - c,
                        Operation::Multiply => v * c,
                        Operation::Divide => v / c,
                    })
                    .collect()
            }
            _ => unreachable!("dense layers, activations and constants"),
        };
    }
    x
}

/// Two constants in front, then two dense layers.
fn networks() -> impl Strategy<Value = (NetworkMap, Vec<f64>)> {
    let number = || prop_oneof![6 => -3.0..3.0f64, 1 => Just(0.0), 1 => -1e-7..1e-7f64, 1 => -1e6..1e6f64];
    let numbers = move |n: usize| prop::collection::vec(number(), n);
    (
        numbers(12),
        numbers(4),
        numbers(8),
        numbers(2),
        numbers(3),
        prop::collection::vec(0.1..9.0f64, 3),
        -1.5..1.5f64,
        numbers(3),
    )
        .prop_map(|(w1, b1, w2, b2, shift, divisor, slope, sample)| {
            let constant = |operation, operand| Layer::Elementwise { operation, operand };
            let layers = vec![
                constant(Operation::Subtract, shift),
                constant(Operation::Divide, divisor),
                Layer::Dense {
                    weight: matrix(4, 3, w1),
                    bias: b1,
                },
                Layer::Activation(Activation::LeakyRelu { slope }),
                Layer::Dense {
                    weight: matrix(2, 4, w2),
                    bias: b2,
                },
            ];
            (NetworkMap::new(Shape::Flat(3), layers).expect("a network"), sample)
        })
}

proptest! {
    /// The computed logits are as far from the exact ones as the bound says, at most.
    #[test]
    fn logits_are_enclosed((map, sample) in networks()) {
        let certificate = certify(&map);
        let evaluator = Evaluator::new(&certificate).expect("an evaluator");
        let logits = &evaluator.evaluate(Samples::Floats(&sample)).expect("logits")[0];
        let truth = evaluate(&map, &sample);
        for (class, exact_logit) in truth.iter().enumerate() {
            let off = abs(&(exact(logits.values()[class]) - exact_logit));
            prop_assert!(off <= exact(logits.error_up(class)), "class {class}");
            // The bound is of use: below 1e-9 of the largest numbers that meet.
            prop_assert!(logits.error_up(class) <= 1e-9 * 1e6 * 1e6 * 100.0);
        }
    }
}

/// What a smooth activation rounds is part of the error of the features, on vectors and on images.
#[test]
fn smooth_activations_round() {
    let image = Shape::Image {
        channels: 1,
        height: 1,
        width: 1,
    };
    for (input, flatten) in [(Shape::Flat(1), vec![]), (image, vec![Layer::Flatten])] {
        let head = Layer::Dense {
            weight: matrix(1, 1, vec![1.0]),
            bias: vec![0.0],
        };
        let layers = [vec![Layer::Activation(Activation::Tanh)], flatten, vec![head]].concat();
        let map = NetworkMap::new(input, layers).expect("a network");
        let certificate = certify(&map);
        let evaluator = Evaluator::new(&certificate).expect("an evaluator");
        // Two samples: each has its own error. tanh 1/2 by mpmath.
        let logits = evaluator.evaluate(Samples::Floats(&[0.5, -40.0])).expect("logits");
        for (logits, expected) in logits.iter().zip([0.462_117_157_260_009_76, -1.0]) {
            let error = logits.feature_error_up();
            assert!(error > 0.0 && error < 1e-14 && logits.error_up(0) >= error, "{error:e}");
            assert!((logits.values()[0] - expected).abs() <= error + 1e-16);
        }
        assert!(logits[0].feature_error_up() > logits[1].feature_error_up());
    }
}

#[test]
fn an_overflow_certifies_nothing() {
    let map = dense_network(&[matrix(1, 1, vec![1e140]), matrix(2, 1, vec![1.0, -1.0])], Activation::Relu);
    let certificate = certify(&map);
    let evaluator = Evaluator::new(&certificate).expect("an evaluator");
    // −1e200 · 1e140 overflows to −∞, which the relu would turn into an innocent 0.
    let logits = evaluator.evaluate(Samples::Floats(&[-1e200])).expect("logits");
    let refused = Margins::new(&certificate).expect("margins").judge(&logits[0]);
    assert!(
        matches!(refused, Err(CheckError::NotFinite { what: "logits", .. })),
        "{refused:?}"
    );
}

/// `x ↦ (relu(x), −relu(x))`: the pair has the bound 2, by the product and by LipSDP alike; with cancelling heads LipSDP is the better.
fn two_classes() -> NetworkMap {
    dense_network(
        &[matrix(2, 1, vec![1.0, -1.0]), matrix(2, 2, vec![1.0, 1.0, -1.0, -1.0])],
        Activation::Relu,
    )
}

fn pair_chain(map: &NetworkMap, output: Output) -> ChainCertificate<'_> {
    // f₀ − f₁ = 2 |x| + const: slope 2; the product of norms gives 2 √2 · √2 = 4. P needs 2λ > 8 for λ = (λ, λ), C = (2, 2).
    let claim = ChainClaim {
        output,
        lipschitz: 2.9,
        multipliers: vec![vec![8.2, 8.2]],
        dual: None,
    };
    ChainCertificate::check(map, claim).expect("a certificate")
}

#[test]
fn the_bound_of_a_pair_makes_its_radius() {
    let map = two_classes();
    let compose = |chains| NetworkCertificate::compose(&map, certify_layers(&map), chains, Output::All).expect("a certificate");
    let radius = |certificate: &NetworkCertificate<'_>| {
        let evaluator = Evaluator::new(certificate).expect("an evaluator");
        let logits = evaluator.evaluate(Samples::Floats(&[1.5])).expect("logits");
        let judged = Margins::new(certificate).expect("margins").judge(&logits[0]);
        judged.expect("a judgement").radius.value()
    };
    let product = compose(Vec::new());
    for output in [Output::Pair(0, 1), Output::Pair(1, 0)] {
        let better = compose(vec![pair_chain(&map, output)]);
        // Whichever way round the pair was proved.
        assert!(better.bound_up(Output::Pair(0, 1)).expect("a bound") <= 2.9);
        assert!(better.bound_up(Output::Pair(1, 0)).expect("a bound") <= 2.9);
        assert!(radius(&better) > 1.2 * radius(&product));
        // The pair says nothing of other outputs.
        assert_eq!(
            better.bound_up(Output::Class(0)).expect("a bound").to_bits(),
            product.bound_up(Output::Class(0)).expect("a bound").to_bits()
        );
        assert_eq!(better.features().to_bits(), product.features().to_bits());
    }
}

#[test]
fn a_chain_of_another_network_is_refused() {
    let (map, twin) = (two_classes(), two_classes());
    let chains = vec![pair_chain(&twin, Output::Pair(0, 1))];
    let refused = NetworkCertificate::compose(&map, certify_layers(&map), chains, Output::All).map(|_| ());
    assert_eq!(refused, Err(CheckError::ForeignCertificate { index: 0 }));
}

const NAMES: [&str; 3] = ["0", "relu", "1"];

fn names() -> Vec<String> {
    NAMES.map(str::to_owned).to_vec()
}

fn model() -> ModelBytes {
    ModelBytes {
        sha256: "ab".repeat(32),
        bytes: 7,
        declaration: None,
    }
}

fn file(map: &NetworkMap) -> CertificateFile {
    let chains = vec![pair_chain(map, Output::Pair(0, 1))];
    let certificate = NetworkCertificate::compose(map, certify_layers(map), chains, Output::Pair(0, 1)).expect("a certificate");
    let tool = Tool {
        name: "lipcert".to_owned(),
        version: "0".to_owned(),
    };
    CertificateFile::record(&certificate, &names(), model(), tool).expect("a file")
}

/// What a checker does with a file.
fn accepts(file: &CertificateFile, map: &NetworkMap) -> Result<f64, String> {
    let words = |error: CheckError| error.to_string();
    let claims = file.claims(&model(), map, &names()).map_err(|e| e.to_string())?;
    let layers: Result<Vec<_>, CheckError> = map
        .layers()
        .iter()
        .zip(map.input_shapes())
        .zip(claims)
        .map(|((layer, input), claim)| LayerCertificate::check(&Prepared::new(layer, input)?, claim))
        .collect();
    let chains: Result<Vec<_>, CheckError> = file
        .chain_claims(map)
        .map_err(|e| e.to_string())?
        .into_iter()
        .map(|claim| ChainCertificate::check(map, claim))
        .collect();
    let composed = NetworkCertificate::compose(map, layers.map_err(words)?, chains.map_err(words)?, file.output);
    let certificate = composed.map_err(words)?;
    file.confirm(&certificate).map_err(|e| e.to_string())?;
    Ok(certificate.upper())
}

#[test]
fn a_file_with_chains_is_read_back_and_accepted() {
    let map = two_classes();
    let honest = file(&map);
    let read = CertificateFile::read(&honest.to_bytes()).expect("a file");
    assert_eq!(read, honest);
    assert!(accepts(&read, &map).expect("accepted") <= 2.9);
}

#[test]
fn forged_chains_are_refused() {
    let map = two_classes();
    type Change = Box<dyn Fn(&mut CertificateFile)>;
    let changes: Vec<(&str, Change)> = vec![
        ("a lower bound", Box::new(|f| f.chains[0].lipschitz = 1.9)),
        ("a lower upper", Box::new(|f| f.upper = 1.0)),
        ("a chain for another output", Box::new(|f| f.chains[0].output = Output::All)),
        (
            "a class that does not exist",
            Box::new(|f| f.chains[0].output = Output::Pair(0, 9)),
        ),
        ("a later first layer", Box::new(|f| f.chains[0].first = 2)),
        ("a multiplier less", Box::new(|f| f.chains[0].multipliers[0].truncate(1))),
        ("a negative multiplier", Box::new(|f| f.chains[0].multipliers[0][0] = -8.2)),
        ("a smaller multiplier", Box::new(|f| f.chains[0].multipliers[0][0] = 1.0)),
        ("a record twice", Box::new(|f| f.chains.push(f.chains[0].clone()))),
        ("no chain", Box::new(|f| f.chains.clear())),
        ("the output of another claim", Box::new(|f| f.output = Output::Class(0))),
    ];
    for (what, change) in changes {
        let mut forged = file(&map);
        change(&mut forged);
        assert!(accepts(&forged, &map).is_err(), "{what}");
    }
}

#[test]
fn a_network_without_a_run_has_no_chain_records() {
    let map = NetworkMap::new(
        Shape::Flat(1),
        vec![
            Layer::Dense {
                weight: matrix(2, 1, vec![1.0, -1.0]),
                bias: vec![0.0; 2],
            },
            Layer::Dense {
                weight: Matrix::new("head", 2, 2, vec![1.0, 1.0, -1.0, -1.0]).expect("a matrix"),
                bias: vec![0.0; 2],
            },
        ],
    )
    .expect("a network");
    let refused = file(&two_classes()).chain_claims(&map);
    assert!(
        matches!(refused, Err(FormatError::Layer { what: "chain", .. })),
        "{refused:?}"
    );
}
