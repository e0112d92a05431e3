//! Networks that end without an affine head, from a declared file to counts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lipcert_models::architecture::METADATA_KEY;
use lipcert_models::checkpoint::{PlainTensor, write_safetensors};

use crate::cli::lipcert;

/// An AOL network on digits: blocks of pixels as channels, sorted pairs, two dense layers, the first ten entries.
const DECLARATION: &str = r#"{"schema":"lipcert/architecture/1","name":"aol","input":[1,8,8],"layers":[
    {"kind":"pixel-unshuffle","name":"0","factor":4,"order":"channel-first"},{"kind":"max-min","name":"1","pairing":"split"},
    {"kind":"householder","name":"2"},{"kind":"flatten","name":"3"},{"kind":"aol-dense","name":"4"},
    {"kind":"max-min","name":"5","pairing":"adjacent"},{"kind":"aol-dense","name":"6"},{"kind":"first-channels","name":"7","channels":10}]}"#;

fn write(path: &Path) {
    let numbers = |count: usize, seed: usize| -> Vec<f32> {
        (0..count)
            .map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0)
            .collect()
    };
    let tensor = |name: &str, shape: &[usize], seed: usize| PlainTensor {
        name: name.to_owned(),
        shape: shape.to_vec(),
        values: numbers(shape.iter().product(), seed),
    };
    let mut tensors = vec![tensor("2.theta", &[8], 1)];
    for layer in ["4", "6"] {
        tensors.push(tensor(&format!("{layer}.weight"), &[32, 64], tensors.len()));
        tensors.push(tensor(&format!("{layer}.bias"), &[32], tensors.len()));
        tensors.push(tensor(&format!("{layer}.q"), &[32], tensors.len()));
    }
    let metadata = BTreeMap::from([(METADATA_KEY.to_owned(), DECLARATION.to_owned())]);
    fs::write(path, write_safetensors(&metadata, &tensors).unwrap()).unwrap();
}

#[test]
fn jointly_lipschitz_logits_from_file_to_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let model = path("aol.safetensors");
    write(Path::new(&model));

    let (cert, table) = (path("cert.json"), path("samples.csv"));
    let verified = lipcert(["verify", &model, "--json", "-o", &cert]);
    assert_eq!(verified.status, Some(0), "{verified:?}");
    let verified = verified.json();
    assert_eq!(verified["verdict"], "certified");
    for (output, expected) in [("all", 1.0), ("class:3", 1.0), ("pair:2,7", 2f64.sqrt())] {
        let ran = lipcert(["verify", &model, "--json", "--output", output]).json();
        let upper = ran["lipschitz"]["upper"].as_f64().unwrap();
        assert!(upper >= expected && upper <= expected.next_up(), "{output}: {upper}");
    }
    let checked = lipcert(["check", &cert, &model]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    assert_eq!(lipcert(["inspect", &model]).status, Some(0));

    let arguments = [
        "certify",
        &model,
        "--data",
        "digits",
        "--eps",
        "0.01",
        "--samples",
        &table,
        "--json",
    ];
    let certified = lipcert(arguments);
    assert_eq!(certified.status, Some(0), "{certified:?}");
    assert_eq!(certified.json()["samples"], 360);
    let rows = fs::read_to_string(&table).unwrap();
    let mut lines = rows.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    let (margin, radius) = (column("margin"), column("radius"));
    let mut positive = 0;
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let [margin, radius] = [margin, radius].map(|place| fields[place].parse::<f64>().unwrap());
        if margin > 0.0 {
            // Two roundings.
            let expected = margin / 2f64.sqrt();
            assert!(
                radius < expected * (1.0 + 1e-15) && radius > expected * (1.0 - 1e-14),
                "{line}"
            );
            positive += 1;
        }
    }
    assert!(positive > 300, "{positive}");
}
