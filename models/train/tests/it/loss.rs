//! The losses against reference values, and what they carry.

use std::path::Path;

use lipcert_models::training::config::{ConfigError, Loss};
use lipcert_train::TrainError;
use lipcert_train::loss::{Criterion, transport};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use crate::common;

fn vectors() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/vectors/losses.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn vector(value: &Value) -> Tensor {
    let values: Vec<f64> = value
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap())
        .collect();
    Tensor::from_slice(&values)
}

fn matrix(value: &Value) -> Tensor {
    let rows: Vec<Tensor> = value.as_array().unwrap().iter().map(vector).collect();
    Tensor::stack(&rows, 0)
}

fn labels(values: &[i64]) -> Tensor {
    Tensor::from_slice(values)
}

/// The loss that a file's table `[loss]` names.
fn loss(table: Value) -> Loss {
    serde_json::from_value(table).unwrap()
}

/// The value of a loss for the logits of the vectors.
fn value(table: Value) -> f64 {
    let _alone = common::start();
    let vectors = vectors();
    let mut criterion = Criterion::new(&loss(table), 3).unwrap();
    let labels = Tensor::from_slice(&[0i64, 1, 2, 1]);
    assert_eq!(vectors["labels"], json!([0, 1, 2, 1]));
    let distances = Tensor::zeros([3, 3], (Kind::Double, tch::Device::Cpu));
    criterion
        .value(&matrix(&vectors["logits"]), &labels, &distances, 1.0)
        .double_value(&[])
}

fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
}

fn mean(key: &str) -> f64 {
    vector(&vectors()[key]).mean(None::<Kind>).double_value(&[])
}

/// Scores, which of them are positive, and the mask of one sample each of several classes.
fn scores(several: bool) -> (Tensor, Tensor) {
    let _alone = common::start();
    let vectors = vectors();
    if several {
        (
            matrix(&vectors["logits"]),
            labels(&[0, 1, 2, 1]).one_hot(3).to_kind(Kind::Bool),
        )
    } else {
        (matrix(&vectors["bin_pred"]), matrix(&vectors["bin_target"]).gt(0.0))
    }
}

#[test]
fn one_score() {
    let (score, positive) = scores(false);
    let vectors = vectors();
    let kr = transport::kantorovich_rubinstein(&score, &positive);
    assert!(common::difference(&kr, &vector(&vectors["kr"])) < 1e-12);
    assert_close(kr.mean(None::<Kind>).double_value(&[]), vectors["kr_mean"].as_f64().unwrap());
    let hinge = transport::hinge(&score, &positive, 1.0);
    assert!(common::difference(&hinge, &vector(&vectors["hinge_m1"])) < 1e-12);
    let hkr = transport::hkr(&score, &positive, 0.9, 1.0);
    assert!(common::difference(&hkr, &vector(&vectors["hkr_a0.9_m1"])) < 1e-12);
}

#[test]
fn two_logits_are_one_score() {
    let (score, positive) = scores(false);
    let logits = Tensor::cat(&[score.full_like(0.25), score + 0.25], 1);
    let mut criterion = Criterion::new(&loss(json!({"kind": "hkr", "alpha": 0.9, "margin": 1.0})), 2).unwrap();
    let labels = positive.squeeze_dim(1).to_kind(Kind::Int64);
    let value = criterion.value(&logits, &labels, &logits, 1.0).double_value(&[]);
    assert_close(value, vectors()["hkr_mean"].as_f64().unwrap());
}

#[test]
fn several_scores() {
    let (scores, positive) = scores(true);
    let vectors = vectors();
    let of = |key: &str| vector(&vectors[key]);
    let kr = transport::kantorovich_rubinstein(&scores, &positive);
    assert!(common::difference(&kr, &of("kr_mc")) < 1e-12);
    let hinge = transport::hinge_multiclass(&scores, &positive, 1.0);
    assert!(common::difference(&hinge, &of("hinge_mc_m1")) < 1e-12);
    let hkr = transport::hkr_multiclass(&scores, &positive, 0.9, 1.0);
    assert!(common::difference(&hkr, &of("hkr_mc_a0.9_m1")) < 1e-12);
    let joined = transport::log_sum_exp_hkr(&scores, &positive, 0.9, 1.0, 1.0);
    assert!(common::difference(&joined, &of("lse_hkr_a0.9_t1_p1_m1")) < 1e-12);
}

#[test]
fn means_of_several_scores() {
    let table = |kind: &str| json!({"kind": kind, "alpha": 0.9, "margin": 1.0});
    assert_close(value(table("hkr-multiclass")), vectors()["hkr_mc_mean"].as_f64().unwrap());
    assert_close(value(table("soft-hkr")), mean("soft_hkr_a0.9_m1_am0.99_t1_firstcall"));
    assert_close(value(table("log-sum-exp-hkr")), mean("lse_hkr_a0.9_t1_p1_m1"));
}

#[test]
fn soft_scores() {
    let (scores, positive) = scores(true);
    // the mean starts at the margin 1 and takes in 1/100 of that of |f|, which is below it
    let temperature = Tensor::from(1.0);
    let soft = transport::soft_hkr(&scores, &positive, 0.9, 1.0, &temperature);
    assert!(common::difference(&soft, &vector(&vectors()["soft_hkr_a0.9_m1_am0.99_t1_firstcall"])) < 1e-12);
}

#[test]
fn cross_entropies() {
    let vectors = vectors();
    let of = |key: &str| vectors[key].as_f64().unwrap();
    let offset = |offset: f64| json!({"kind": "cross-entropy", "offset": offset, "temperature": 0.25});
    let root = 2f64.sqrt();
    assert_close(value(offset(1.5 * root)), of("xent_offset_u1.5sqrt2_t0.25"));
    assert_close(value(offset(root)), of("xent_offset_usqrt2_t0.25"));
    assert_close(value(json!({"kind": "cross-entropy"})), of("xent_plain"));
    assert_close(value(json!({"kind": "tau-cross-entropy", "tau": 10.0})), of("tau_ce_tau10"));
}

#[test]
fn margins() {
    let margin = vectors()["multi_margin_0.7"].as_f64().unwrap();
    assert_close(value(json!({"kind": "multi-margin", "margin": 0.7})), margin);
    let both = json!({"kind": "cross-entropy-margin", "margin": 0.7});
    assert_close(value(both), margin + vectors()["xent_plain"].as_f64().unwrap());
    let hinge = json!({"kind": "categorical-hinge", "margin": 1.0});
    assert_close(value(hinge), mean("categorical_hinge_m1"));
}

#[test]
fn margin_boosting_by_hand() {
    let rows: Vec<Vec<f64>> = serde_json::from_value(vectors()["logits"].clone()).unwrap();
    let mut expected = 0.0;
    for (row, label) in rows.iter().zip([0usize, 1, 2, 1]) {
        let positive: f64 = row.iter().map(|logit| logit.exp()).sum();
        let negative: f64 = row.iter().map(|logit| (-logit).exp()).sum();
        expected += positive.ln() - row[label];
        for (class, logit) in row.iter().enumerate().filter(|(class, _)| *class != label) {
            assert_ne!(class, label);
            expected += (negative.ln() + logit) / 6.0;
        }
    }
    assert_close(value(json!({"kind": "margin-boosting"})), expected / 4.0);
}

#[test]
fn log_sum_exp_with_one_rival() {
    let _alone = common::start();
    let logits = Tensor::from_slice(&[0.3, -0.1]).view([1, 2]);
    let mut criterion = Criterion::new(&loss(json!({"kind": "log-sum-exp-hkr", "alpha": 0.0, "margin": 1.0})), 2).unwrap();
    assert_close(criterion.value(&logits, &labels(&[0]), &logits, 1.0).double_value(&[]), -0.4);
}

/// Of one sample with lead 0.3 and 5 over two rivals that a step of 1 moves by 2 and 3.
fn emma(epsilon: f64, gain: f64) -> (f64, Vec<f64>) {
    let _alone = common::start();
    let logits = Tensor::from_slice(&[1.0, 0.7, -4.0]).view([1, 3]).set_requires_grad(true);
    let distances = Tensor::from_slice(&[0.0, 2.0, 3.0, 2.0, 0.0, 1.0, 3.0, 1.0, 0.0]).view([3, 3]);
    let mut criterion = Criterion::new(&loss(json!({"kind": "emma", "epsilon": epsilon})), 3).unwrap();
    let value = criterion.value(&logits, &labels(&[0]), &distances, gain);
    value.backward();
    (value.double_value(&[]), Vec::try_from(logits.grad().view(-1)).unwrap())
}

#[test]
fn emma_raises_rivals_to_a_draw_and_no_further_than_the_perturbation() {
    // ε · gain · distance is 1 and 1.5: the first rival draws level, the second lacks 5 and gets 1.5
    let (value, gradient) = emma(1.0, 0.5);
    let weights = [1.0, 1.0, (-3.5f64).exp()];
    let total: f64 = weights.iter().sum();
    assert_close(value, total.ln());
    // the part is a constant: the gradient is that of cross-entropy
    for (found, weight) in gradient.iter().skip(1).zip(&weights[1..]) {
        assert_close(*found, weight / total);
    }
    let (same, _) = emma(0.5, 1.0);
    assert_close(same, value);
}

#[test]
fn emma_of_a_wrong_sample_keeps_a_hundredth() {
    let _alone = common::start();
    let logits = Tensor::from_slice(&[0.0, 2.0]).view([1, 2]);
    let distances = Tensor::from_slice(&[0.0, 4.0, 4.0, 0.0]).view([2, 2]);
    let mut criterion = Criterion::new(&loss(json!({"kind": "emma", "epsilon": 1.0})), 2).unwrap();
    let value = criterion.value(&logits, &labels(&[0]), &distances, 1.0).double_value(&[]);
    assert_close(value, (1.0 + 2.04f64.exp()).ln());
}

#[test]
fn a_class_that_the_batch_lacks_gives_finite_gradients() {
    let _alone = common::start();
    for kind in ["hkr-multiclass", "soft-hkr", "log-sum-exp-hkr"] {
        let logits = Tensor::from_slice(&[0.2, -0.3, 0.1]).view([1, 3]).set_requires_grad(true);
        let table = json!({"kind": kind, "alpha": 0.5, "margin": 1.0});
        let mut criterion = Criterion::new(&loss(table), 3).unwrap();
        criterion.value(&logits, &labels(&[1]), &logits, 1.0).backward();
        assert_eq!(logits.grad().isfinite().all().int64_value(&[]), 1, "{kind}");
    }
}

#[test]
fn the_running_mean_goes_on_after_a_restart() {
    let _alone = common::start();
    let table = json!({"kind": "soft-hkr", "alpha": 0.5, "margin": 1.0, "decay": 0.5});
    let logits = |scale: f64| matrix(&vectors()["logits"]) * scale;
    let labels = labels(&[0, 1, 2, 1]);
    let step = |criterion: &mut Criterion, scale| criterion.value(&logits(scale), &labels, &labels, 1.0).double_value(&[]);
    let mut whole = Criterion::new(&loss(table.clone()), 3).unwrap();
    step(&mut whole, 30.0);
    let state = whole.state();
    let mut resumed = Criterion::new(&loss(table.clone()), 3).unwrap();
    resumed.restore(&state).unwrap();
    let next = step(&mut whole, 20.0);
    assert_eq!(step(&mut resumed, 20.0).to_bits(), next.to_bits());
    assert_eq!(whole.state(), resumed.state());
    let mut fresh = Criterion::new(&loss(table), 3).unwrap();
    assert!((step(&mut fresh, 20.0) - next).abs() > 1e-3);
    assert!(matches!(fresh.restore(&[]), Err(TrainError::State { .. })));
    // 0.5 + 0.5 · mean |f|
    let mut first = Criterion::new(
        &loss(json!({"kind": "soft-hkr", "alpha": 0.5, "margin": 1.0, "decay": 0.5})),
        3,
    )
    .unwrap();
    step(&mut first, 30.0);
    let expected = 0.5 + 0.5 * 30.0 * 5.6 / 12.0;
    assert_close(first.state()[0].1.double_value(&[]), expected);
}

#[test]
fn a_loss_without_state_has_none() {
    let _alone = common::start();
    let mut criterion = Criterion::new(&loss(json!({"kind": "margin-boosting"})), 3).unwrap();
    assert!(criterion.state().is_empty());
    criterion.restore(&[]).unwrap();
}

#[test]
fn numbers_of_classes() {
    let of = |table, classes| Criterion::new(&loss(table), classes).map(|_| ());
    let hkr = json!({"kind": "hkr", "alpha": 0.9, "margin": 1.0});
    assert!(matches!(of(hkr, 3), Err(ConfigError::Classes { classes: 3, .. })));
    assert!(matches!(
        of(json!({"kind": "cross-entropy"}), 1),
        Err(ConfigError::Classes { classes: 1, .. })
    ));
}
