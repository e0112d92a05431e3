//! Declared convolutions on the command line: proved, written down, checked again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lipcert_models::architecture::METADATA_KEY;
use lipcert_models::checkpoint::{PlainTensor, write_safetensors};

use crate::cli::lipcert;

/// Every kind of plain convolution on images of `1 × 6 × 5`, under a `skew-exponential` whose divisor is stored.
fn write_model(path: &Path) {
    let declaration = r#"{ "schema": "lipcert/architecture/1", "name": "convolutions", "input": [1, 6, 5], "layers": [
        { "kind": "pad-channels", "name": "p", "channels": 2 },
        { "kind": "convolution", "name": "a", "padding": "circular" },
        { "kind": "convolution", "name": "z" },
        { "kind": "relu", "name": "r" },
        { "kind": "aol-conv", "name": "b", "epsilon": 1e-6 },
        { "kind": "linear-residual-conv", "name": "c" },
        { "kind": "spectral-conv", "name": "d" },
        { "kind": "skew-exponential", "name": "e", "terms": 12, "padding": "circular" },
        { "kind": "flatten", "name": "g" },
        { "kind": "dense", "name": "h" }
    ] }"#;
    let tensors: Vec<PlainTensor> = [
        ("a.weight", vec![3, 2, 3, 3]),
        ("a.bias", vec![3]),
        ("z.weight", vec![2, 3, 3, 3]),
        ("b.weight", vec![3, 2, 3, 3]),
        ("c.weight", vec![3, 3, 1, 1]),
        ("d.weight", vec![2, 3, 5, 5]),
        ("d.sigma", vec![1]),
        ("e.weight", vec![2, 2, 3, 3]),
        ("h.weight", vec![3, 60]),
    ]
    .into_iter()
    .map(|(name, shape): (&str, Vec<usize>)| {
        let count: usize = shape.iter().product();
        let value = |i: usize| ((i * i * 31 + i * 7 + name.len()) % 41) as f32 / 100.0 - 0.18;
        PlainTensor {
            name: name.to_owned(),
            shape,
            values: if name == "d.sigma" {
                vec![2.0]
            } else {
                (0..count).map(value).collect()
            },
        }
    })
    .collect();
    let metadata = BTreeMap::from([(METADATA_KEY.to_owned(), declaration.to_owned())]);
    fs::write(path, write_safetensors(&metadata, &tensors).unwrap()).unwrap();
}

#[test]
fn every_kind_is_certified_and_checked_again() {
    let folder = tempfile::tempdir().unwrap();
    let (model, certificate) = (
        folder.path().join("model.safetensors"),
        folder.path().join("certificate.json"),
    );
    write_model(&model);
    let (model, certificate) = (model.to_str().unwrap(), certificate.to_str().unwrap());
    let ran = lipcert(["verify", model, "--preprocess", "none", "--json", "-o", certificate]);
    assert_eq!(ran.status, Some(0), "{} {}", ran.stdout, ran.stderr);
    let verified = ran.json();
    // The divisor of one exponential is the limit of a power iteration.
    assert_eq!(verified["verdict"], "conditional");
    let assumptions = verified["assumptions"].as_array().unwrap();
    assert_eq!(assumptions.len(), 1, "{assumptions:?}");
    assert!(
        assumptions[0].as_str().unwrap().contains("power iteration"),
        "{assumptions:?}"
    );
    let layers = verified["layers"].as_array().unwrap();
    let rule = |index: usize| layers[index]["rule"].as_str().unwrap();
    assert_eq!(rule(1), "operator-norm + circular-spectrum");
    assert_eq!(rule(2), "operator-norm + circulant-grid");
    assert_eq!(rule(4), "operator-norm + circulant-grid");
    assert_eq!(rule(5), "operator-norm + cholesky");
    assert_eq!(rule(7), "taylor-remainder + circular-spectrum");
    let bound = |index: usize| layers[index]["bound"].as_f64().unwrap();
    assert!(bound(4) < 1.0, "an almost-orthogonal kernel is not orthogonal: {}", bound(4));
    assert!(bound(7) > 1.0 && bound(7) < 1.1, "a cut exponential is never 1: {}", bound(7));

    let checked = lipcert(["check", certificate, model]);
    assert_eq!(checked.status, Some(0), "{} {}", checked.stdout, checked.stderr);
    // A certificate that claims less for a convolution is refused.
    let text = fs::read_to_string(certificate).unwrap();
    let mut claims: serde_json::Value = serde_json::from_str(&text).unwrap();
    claims["layers"][2]["witness"]["inside"]["lambda"] = serde_json::json!(1e-3);
    fs::write(certificate, serde_json::to_string_pretty(&claims).unwrap() + "\n").unwrap();
    assert_ne!(lipcert(["check", certificate, model]).status, Some(0));
}
