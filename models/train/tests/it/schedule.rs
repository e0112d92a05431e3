//! The schedules, value by value.

use std::path::Path;

use lipcert_models::training::config::Schedule;
use lipcert_train::schedule::rate;
use serde_json::{Value, json};

fn fixture(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn schedule(table: Value) -> Schedule {
    serde_json::from_value(table).unwrap()
}

fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-15, "{found} is not {expected}");
}

#[test]
fn triangular() {
    let vector = fixture("../../tests/fixtures/vectors/triangular_lr.json");
    let steps: Vec<usize> = serde_json::from_value(vector["t"].clone()).unwrap();
    let values: Vec<f64> = serde_json::from_value(vector["value"].clone()).unwrap();
    let largest = vector["lr"].as_f64().unwrap();
    let schedule = schedule(json!({"kind": "triangular"}));
    for (step, value) in steps.iter().zip(&values) {
        assert_close(largest * rate(&schedule, *step, 1000), *value);
    }
    assert_eq!(steps.len(), 7);
}

#[test]
fn one_cycle() {
    let reference = fixture("tests/fixtures/optimizer.json");
    let values: Vec<f64> = serde_json::from_value(reference["one_cycle"].clone()).unwrap();
    let schedule = schedule(json!({"kind": "one-cycle"}));
    for (step, value) in values.iter().enumerate() {
        assert_close(rate(&schedule, step, values.len()), *value);
    }
    assert_eq!(values.len(), 20);
}

#[test]
fn few_steps() {
    for kind in ["constant", "triangular", "one-cycle", "cosine", "multi-step"] {
        let schedule = schedule(json!({"kind": kind, "milestones": [0.5], "warm-up": 0.1}));
        for steps in 0..5 {
            for step in 0..=steps {
                let rate = rate(&schedule, step, steps);
                assert!((0.0..=1.0).contains(&rate), "{kind}, {step} of {steps}: {rate}");
            }
        }
    }
}

#[test]
fn cosine() {
    let schedule = schedule(json!({"kind": "cosine"}));
    for (step, value) in [(0, 1.0), (25, (2.0 + 2f64.sqrt()) / 4.0), (50, 0.5), (100, 0.0)] {
        assert_close(rate(&schedule, step, 100), value);
    }
}

#[test]
fn multi_step() {
    let schedule = schedule(json!({"kind": "multi-step", "milestones": [0.85, 0.1, 0.5], "factor": 0.5}));
    let expected = [1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125];
    for (step, value) in expected.iter().enumerate() {
        assert_close(rate(&schedule, step, 10), *value);
    }
}

#[test]
fn warm_up() {
    let constant = schedule(json!({"warm-up": 0.25}));
    for (step, value) in [(0, 0.0), (5, 0.25), (19, 0.95), (20, 1.0), (79, 1.0)] {
        assert_close(rate(&constant, step, 80), value);
    }
    let cosine = schedule(json!({"kind": "cosine", "warm-up": 0.5}));
    assert_close(rate(&cosine, 25, 100), 0.5 * (2.0 + 2f64.sqrt()) / 4.0);
    assert_close(rate(&cosine, 50, 100), 0.5);
}
