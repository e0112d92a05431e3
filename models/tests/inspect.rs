//! What is odd about a file.

mod common;

use common::{file, repository, safetensors, shared, small};
use lipcert_models::checkpoint::Checkpoint;
use lipcert_models::inspect::{Finding, Inspection, Oddity, Severity, inspect};
use lipcert_models::network::LoadOptions;

fn of_file(path: &str) -> Inspection {
    let checkpoint = Checkpoint::open(&repository(path)).expect(path);
    inspect(&checkpoint, &LoadOptions::default())
}

/// The findings on the small network after a change.
fn changed(change: impl Fn(&mut Vec<(&'static str, &'static [usize], Vec<f32>)>), options: &LoadOptions) -> Vec<Finding> {
    let mut tensors = small();
    change(&mut tensors);
    let place = file(&safetensors(&[], &tensors));
    inspect(&Checkpoint::open(place.path()).expect("well formed"), options).findings
}

#[test]
fn the_digits_network_has_inert_exponents_and_an_optimizer() {
    let inspection = of_file("tests/fixtures/sll_digits/digits.pth");
    println!("{:#?}", inspection.findings);
    let expected = [
        Oddity::InertQ { layers: 4 },
        Oddity::OptimizerState {
            key: "optimizer_state_dict".to_owned(),
        },
    ];
    for oddity in expected {
        assert!(inspection.findings.iter().any(|finding| finding.oddity == oddity), "{oddity}");
    }
    assert!(inspection.findings.iter().all(|finding| finding.severity == Severity::Note));
    assert_eq!(inspection.model.architecture.as_deref(), Some("sll"));
    assert_eq!(
        (
            inspection.model.parameters,
            inspection.model.convolutions,
            inspection.model.dense
        ),
        (34_442, 4, 2)
    );
    let json = serde_json::to_value(&inspection).expect("JSON");
    assert_eq!(json["model"]["format"], "torch-zip");
    assert_eq!(json["tensors"][0]["dtype"], "float32");
    assert_eq!(json["findings"][0]["kind"], "inert-q");
    assert_eq!(json["findings"][0]["severity"], "note");
}

#[test]
fn numbers_that_are_none_are_a_finding_with_their_place() {
    let inspection = of_file("tests/hostile/ev_nan.pth");
    assert!(inspection.has_non_finite());
    assert_eq!(inspection.findings[0].tensor.as_deref(), Some("w"));
    let expected = Oddity::NotFinite {
        nan: 1,
        infinite: 1,
        first: vec![0],
    };
    assert_eq!(inspection.findings[0].oddity, expected);
    let unknown = &inspection.findings[1];
    assert!(
        matches!(unknown.oddity, Oddity::UnknownArchitecture { .. }),
        "{}",
        unknown.message
    );
    assert_eq!(inspection.model.architecture, None);
}

#[test]
fn other_element_types_are_findings() {
    let inspection = of_file("tests/hostile/odd.pth");
    let integers = inspection
        .findings
        .iter()
        .filter(|finding| matches!(finding.oddity, Oddity::NotFloat { .. }));
    assert_eq!(integers.count(), 2);
    assert!(!inspection.has_non_finite());
}

#[test]
fn every_oddity_of_the_numbers_is_found() {
    let options = LoadOptions::default();
    let clean = changed(|_| {}, &options);
    assert_eq!(clean.len(), 1, "only the exponents of the convolution: {clean:?}");
    for (position, tensor, edit, expected) in [
        (2, "1.q", (1, 81.0), "1 entries with |q| > 80, the first at 1 is `8.1e1`"),
        (
            0,
            "1.kernel",
            (5, 1e-40),
            "1 entries below the normal range of float32, the first at [0, 0, 1, 2]",
        ),
    ] {
        let findings = changed(|tensors| tensors[position].2[edit.0] = edit.1, &options);
        let found = findings
            .iter()
            .find(|finding| finding.tensor.as_deref() == Some(tensor))
            .expect(tensor);
        assert_eq!(found.message, expected);
    }
    let message = |change: &dyn Fn(&mut Vec<f32>), position: usize| {
        let findings = changed(|tensors| change(&mut tensors[position].2), &options);
        findings
            .into_iter()
            .filter(|finding| finding.tensor.is_some())
            .map(|finding| finding.message)
            .collect::<Vec<_>>()
    };
    assert_eq!(message(&|values| values.fill(0.0), 3), ["all entries are zero"]);
    assert_eq!(
        message(&|values| values[16..32].fill(0.0), 3),
        ["1 rows are zero, the first is 1: their channels are off"]
    );
    assert_eq!(
        message(&|values| values.copy_within(0..16, 16), 6),
        ["rows 0 and 1 are identical: only the biases tell these classes apart"]
    );
    let double = |values: &mut Vec<f32>| (0..16).for_each(|i| values[16 + i] = 2.0 * values[i]);
    assert_eq!(
        message(&double, 6),
        ["rows 0 and 1 are parallel: only the biases tell these classes apart"]
    );
    let tiny = |values: &mut Vec<f32>| values[16..32].iter_mut().for_each(|value| *value *= 1e-9);
    assert!(
        message(&tiny, 6)[0].starts_with("row 1 has a norm of about"),
        "{:?}",
        message(&tiny, 6)
    );
    let scaled = LoadOptions {
        input: None,
        preprocess: "mean=0;std=0.25".parse().expect("a std"),
    };
    let findings = changed(|_| {}, &scaled);
    assert!(
        findings
            .iter()
            .any(|finding| matches!(finding.oddity, Oddity::Scaling { approx_factor: 4.0, .. }))
    );
}

#[test]
fn the_cifar_network_is_inspected() {
    let Some(path) = shared("sll/model.ckpt-1202.pth") else {
        return;
    };
    let checkpoint = Checkpoint::open(&path).expect("a checkpoint");
    let options = LoadOptions {
        input: None,
        preprocess: "cifar10".parse().expect("a name"),
    };
    let inspection = inspect(&checkpoint, &options);
    println!("{:?} {:#?}", inspection.model, inspection.findings);
    assert_eq!(inspection.model.input, Some(vec![3, 32, 32]));
    assert!(inspection.findings.iter().all(|finding| finding.severity == Severity::Note));
}
