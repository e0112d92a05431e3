//! The optimisers against PyTorch's.

use std::path::Path;

use lipcert_models::training::config;
use lipcert_train::TrainError;
use lipcert_train::optimizer::Optimizer;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::common;

const FACTORS: [f64; 5] = [0.5, 1.0, 0.0, 0.75, 0.25];

fn reference() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/optimizer.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The optimisers of the reference, by name.
fn cases() -> Vec<(&'static str, Value)> {
    vec![
        ("sgd", json!({"kind": "sgd"})),
        ("sgd-momentum", json!({"kind": "sgd", "momentum": 0.9, "decay": 0.01})),
        (
            "sgd-nesterov",
            json!({"kind": "sgd", "momentum": 0.9, "nesterov": true, "decay": 0.01}),
        ),
        ("adam", json!({"kind": "adam", "betas": [0.5, 0.9], "epsilon": 1e-6})),
        ("adam-decay", json!({"kind": "adam", "decay": 0.02})),
        ("adam-w", json!({"kind": "adam-w", "decay": 0.02})),
        ("nadam", json!({"kind": "nadam", "decay": 0.02})),
        ("nadam-lookahead", json!({"kind": "nadam", "lookahead": 2, "follow": 0.3})),
    ]
}

fn optimizer(table: &Value, parameters: Vec<(String, Tensor)>) -> Optimizer {
    let mut table = table.clone();
    table["rate"] = json!(0.1);
    let config: config::Optimizer = serde_json::from_value(table).unwrap();
    Optimizer::new(&config, parameters)
}

fn start() -> Tensor {
    let _alone = common::start();
    Tensor::from_slice(&[0.7, -0.4, 1.1]).set_requires_grad(true)
}

/// The gradient of the reference's quadratic, added to that of `x`.
fn pull(x: &Tensor) {
    let matrix = Tensor::from_slice(&[3.0, 0.5, -0.2, 0.5, 1.0, 0.3, -0.2, 0.3, 0.1]).view([3, 3]);
    let vector = Tensor::from_slice(&[1.0, -2.0, 0.5]);
    (matrix.mv(x).dot(x) * 0.5 - vector.dot(x)).backward();
}

fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().view(-1)).unwrap()
}

#[test]
fn five_steps() {
    for (name, table) in cases() {
        let points: Vec<Vec<f64>> = serde_json::from_value(reference()["points"][name].clone()).unwrap();
        let x = start();
        let mut optimizer = optimizer(&table, vec![("x".to_owned(), x.shallow_clone())]);
        for (point, factor) in points.iter().zip(FACTORS) {
            optimizer.zero();
            pull(&x);
            optimizer.step(factor);
            for (found, expected) in values(&x).iter().zip(point) {
                assert!((found - expected).abs() < 1e-12, "{name}: {found} is not {expected}");
            }
        }
        assert_eq!(points.len(), 5);
    }
}

#[test]
fn parts_are_one() {
    let _alone = common::start();
    for (name, table) in cases() {
        // more numbers than are updated at once, against the same numbers as many small parameters
        let numbers = Tensor::arange(300_007, (Kind::Double, Device::Cpu)).sin();
        let gradient = Tensor::arange(300_007, (Kind::Double, Device::Cpu)).cos();
        let whole = numbers.view([1, 300_007]).copy().set_requires_grad(true);
        let pieces: Vec<Tensor> = numbers
            .chunk(7, 0)
            .iter()
            .map(|piece| piece.copy().set_requires_grad(true))
            .collect();
        let mut parameters = vec![("whole".to_owned(), whole.shallow_clone())];
        parameters.extend(
            pieces
                .iter()
                .enumerate()
                .map(|(index, piece)| (index.to_string(), piece.shallow_clone())),
        );
        let mut optimizer = optimizer(&table, parameters);
        for factor in FACTORS {
            (whole.view(-1) * &gradient).sum(None::<Kind>).backward();
            for (piece, gradient) in pieces.iter().zip(gradient.chunk(7, 0)) {
                (piece * gradient).sum(None::<Kind>).backward();
            }
            optimizer.step(factor);
        }
        assert_eq!(whole.detach().view(-1), Tensor::cat(&pieces, 0).detach(), "{name}");
        assert_ne!(whole.detach().view(-1), numbers, "{name}");
    }
}

#[test]
fn a_restart_changes_no_bit() {
    for (name, table) in cases() {
        let x = start();
        let mut whole = optimizer(&table, vec![("x".to_owned(), x.shallow_clone())]);
        let step = |optimizer: &mut Optimizer, x: &Tensor, factor| {
            optimizer.zero();
            pull(x);
            optimizer.step(factor);
        };
        for factor in &FACTORS[..3] {
            step(&mut whole, &x, *factor);
        }
        let y = x.detach().copy().set_requires_grad(true);
        let mut resumed = optimizer(&table, vec![("x".to_owned(), y.shallow_clone())]);
        let copies: Vec<(String, Tensor)> = whole
            .state()
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.copy()))
            .collect();
        resumed.restore(&copies).unwrap();
        for factor in &FACTORS[3..] {
            step(&mut whole, &x, *factor);
            step(&mut resumed, &y, *factor);
        }
        assert_eq!(values(&x), values(&y), "{name}");
        assert_eq!(whole.state(), resumed.state(), "{name}");
        // the saved tensors have not moved
        let names: Vec<&String> = copies.iter().map(|(name, _)| name).collect();
        assert!(names.iter().all(|name| name.starts_with("x.")), "{names:?}");
    }
}

#[test]
fn a_restart_without_the_numbers_is_refused() {
    let x = start();
    let mut first = optimizer(&json!({"kind": "adam"}), vec![("x".to_owned(), x.shallow_clone())]);
    pull(&x);
    first.step(1.0);
    for field in ["x.mean", "x.square", "x.product"] {
        let mut state = first.state();
        state.retain(|(name, _)| name != field);
        let found = first.restore(&state);
        assert!(
            matches!(&found, Err(TrainError::State { name }) if name == field),
            "{found:?}"
        );
        first = optimizer(&json!({"kind": "adam"}), vec![("x".to_owned(), x.shallow_clone())]);
        first.step(1.0);
    }
    let mut state = first.state();
    let short = state.iter_mut().find(|(name, _)| name == "x.mean").unwrap();
    short.1 = short.1.narrow(0, 0, 2);
    assert!(matches!(first.restore(&state), Err(TrainError::State { name }) if name == "x.mean"));
}

#[test]
fn a_parameter_without_a_gradient_stays() {
    let (x, still) = (start(), start());
    let parameters = vec![
        ("x".to_owned(), x.shallow_clone()),
        ("still".to_owned(), still.shallow_clone()),
    ];
    let mut optimizer = optimizer(&json!({"kind": "adam-w", "decay": 0.5}), parameters);
    pull(&x);
    optimizer.clip_value(1.0);
    optimizer.step(1.0);
    optimizer.zero();
    assert_eq!(values(&still), [0.7, -0.4, 1.1]);
    assert!(optimizer.state().iter().all(|(name, _)| name.starts_with("x.")));
    assert_eq!(values(&x.grad()), [0.0; 3]);
}

/// Two parameters with the gradients of the reference.
fn clipped(clip: impl Fn(&mut Optimizer)) -> Vec<f64> {
    let _alone = common::start();
    let gradients = [[1.0, -2.0], [0.5, 0.75]].map(|row| Tensor::from_slice(&row));
    let parameters = gradients.each_ref().map(|gradient| {
        let parameter = gradient.zeros_like().set_requires_grad(true);
        (&parameter * gradient).sum(None::<Kind>).backward();
        parameter
    });
    let named = parameters.iter().enumerate();
    let named = named.map(|(index, parameter)| (index.to_string(), parameter.shallow_clone()));
    let mut optimizer = optimizer(&json!({"kind": "sgd"}), named.collect());
    clip(&mut optimizer);
    parameters.iter().flat_map(|parameter| values(&parameter.grad())).collect()
}

#[test]
fn clipping() {
    let reference = reference();
    let expected = |key: &str| -> Vec<f64> { serde_json::from_value(reference["clipped"][key].clone()).unwrap() };
    let norm = clipped(|optimizer| {
        let before = optimizer.clip_norm(1.5);
        assert!((before - (1.0 + 4.0 + 0.25 + 0.5625f64).sqrt()).abs() < 1e-12);
    });
    for (found, expected) in norm.iter().zip(expected("norm")) {
        assert!((found - expected).abs() < 1e-12);
    }
    assert_eq!(clipped(|optimizer| optimizer.clip_value(0.8)), expected("value"));
    let long = clipped(|optimizer| {
        optimizer.clip_norm(3.0);
    });
    assert_eq!(long, [1.0, -2.0, 0.5, 0.75]);
}

#[test]
fn the_norm_of_no_gradient_is_zero_and_that_of_no_number_is_none() {
    let x = start();
    let mut optimizer = optimizer(&json!({"kind": "sgd"}), vec![("x".to_owned(), x.shallow_clone())]);
    assert_eq!(optimizer.norm().to_bits(), 0);
    (&x * f64::INFINITY).sum(None::<Kind>).backward();
    assert!(!optimizer.clip_norm(1.0).is_finite());
}
