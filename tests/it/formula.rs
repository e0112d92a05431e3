//! Layers with weights by formula, from the file to the verdict and back through the certificate.

use std::fs;
use std::path::Path;

use lipcert_models::checkpoint::{PlainTensor, write_safetensors};

use crate::cli::lipcert;

fn tensor(name: &str, shape: &[usize], seed: usize) -> PlainTensor {
    let count = shape.iter().product();
    PlainTensor {
        name: name.to_owned(),
        shape: shape.to_vec(),
        values: (0..count)
            .map(|i: usize| (((i + seed) * 7919 % 101) as f32 - 50.0) / 40.0)
            .collect(),
    }
}

fn model(path: &Path, layers: &str, tensors: &[PlainTensor]) {
    let text = format!(r#"{{"schema":"lipcert/architecture/1","name":"formulas","layers":[{layers}]}}"#);
    let metadata = [("lipcert.architecture".to_owned(), text)].into();
    fs::write(path, write_safetensors(&metadata, tensors).unwrap()).unwrap();
}

const HEAD: &str = r#"{"kind":"dense","name":"head"}"#;

#[test]
fn certified_and_checked_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, certificate) = (folder.path().join("m.safetensors"), folder.path().join("c.json"));
    let layers = format!(
        r#"{{"kind":"aol","name":"a"}},{{"kind":"relu","name":"r"}},{{"kind":"bjorck","name":"b","iterations":3}},{{"kind":"cayley","name":"c"}},
        {{"kind":"sandwich","name":"w","activation":"relu"}},{HEAD}"#
    );
    let sigma = PlainTensor {
        name: "b.sigma".to_owned(),
        shape: vec![1],
        values: vec![1.5],
    };
    let tensors = [
        tensor("a.weight", &[6, 4], 1),
        tensor("b.weight", &[5, 6], 2),
        sigma,
        tensor("c.weight", &[5, 5], 3),
        tensor("w.weight", &[3, 8], 4),
        tensor("w.psi", &[3], 5),
        tensor("w.bias", &[3], 6),
        tensor("head.weight", &[2, 3], 7),
    ];
    model(&path, &layers, &tensors);
    let (path, certificate) = (path.to_str().unwrap(), certificate.to_str().unwrap());
    let ran = lipcert(["verify", path, "-o", certificate, "--json"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let json = ran.json();
    assert_eq!(json["verdict"], "certified");
    let rows = json["layers"].as_array().unwrap();
    // the norm of an AOL weight is below the 1 of its theorem, and is what counts
    assert_eq!(
        (&rows[0]["kind"], &rows[0]["rule"]),
        (&"aol".into(), &"operator-norm + cholesky".into())
    );
    assert!(rows[0]["bound"].as_f64().unwrap() < 0.999);
    // σ is too small and three steps too few: the bound says so, or the steps have brought it back below
    assert_eq!((&rows[3]["rule"], rows[3]["bound"].as_f64()), (&"formula".into(), Some(1.0)));
    assert_eq!((&rows[4]["rule"], rows[4]["bound"].as_f64()), (&"formula".into(), Some(1.0)));
    assert_eq!(lipcert(["check", certificate, path]).status, Some(0));
    // A claim below what the formula proves is refused.
    let text = fs::read_to_string(certificate).unwrap();
    let forged = text.replacen("\"lipschitz\": 1.0,", "\"lipschitz\": 0.5,", 1);
    assert_ne!(text, forged);
    fs::write(certificate, forged).unwrap();
    assert_eq!(lipcert(["check", certificate, path]).status, Some(2));
}

/// What divides by a norm that a power iteration only approaches is proved under that assumption, by name.
#[test]
fn conditional_on_the_power_iteration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let layers = format!(r#"{{"kind":"spectral","name":"s"}},{{"kind":"cpl-dense","name":"p"}},{HEAD}"#);
    let tensors = |sigma: bool| {
        let mut tensors = vec![
            tensor("s.weight", &[3, 4], 1),
            tensor("p.weight", &[5, 3], 2),
            tensor("p.bias", &[5], 3),
            tensor("head.weight", &[2, 3], 4),
        ];
        if sigma {
            tensors.push(PlainTensor {
                name: "s.sigma".to_owned(),
                shape: vec![],
                values: vec![0.75],
            });
        }
        tensors
    };
    model(&path, &layers, &tensors(false));
    let json = lipcert(["verify", path.to_str().unwrap(), "--json"]).json();
    assert_eq!(json["verdict"], "conditional");
    let assumptions: Vec<_> = json["assumptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a.as_str().unwrap())
        .collect();
    assert_eq!(
        assumptions,
        [
            "the power iteration of `s` has converged",
            "the power iteration of `p` has converged"
        ]
    );
    assert!((json["lipschitz"]["features"].as_f64().unwrap() - 1.0).abs() < 1e-6);
    // With a stored divisor the layer is what it is: no assumption, and a bound that says how far it stretches.
    model(&path, &layers, &tensors(true));
    let json = lipcert(["verify", path.to_str().unwrap(), "--json"]).json();
    assert_eq!(json["assumptions"].as_array().unwrap().len(), 1);
    assert!(json["layers"][0]["bound"].as_f64().unwrap() > 1.5, "{}", json["layers"][0]);
}
