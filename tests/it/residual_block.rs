//! Residual blocks on the command line: declared, proved, checked again.

use std::fs;
use std::path::Path;

use ndarray::{Array1, Array2};
use ndarray_npy::{NpzReader, NpzWriter};
use serde_json::Value;

use crate::cli::lipcert;
use crate::reference::root;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn matrix(value: &Value) -> Array2<f64> {
    let rows = value.as_array().unwrap();
    Array2::from_shape_fn((rows.len(), rows[0].as_array().unwrap().len()), |(i, j)| {
        rows[i][j].as_f64().unwrap()
    })
}

/// Writes the worked example as a block with a head that is the identity, and its declaration.
fn write(directory: &Path, path: bool, slope: &str) -> [String; 2] {
    let example: Value = serde_json::from_slice(&fs::read(root("tests/fixtures/vectors/residual_lmi.json")).unwrap()).unwrap();
    let [model, declaration] = ["model.npz", "model.toml"].map(|name| directory.join(name));
    let mut npz = NpzWriter::new(fs::File::create(&model).unwrap());
    npz.add_array("block.weight", &matrix(&example["W"]).reversed_axes().as_standard_layout())
        .unwrap();
    npz.add_array("block.bias", &Array1::from_elem(4, 0.1)).unwrap();
    npz.add_array("block.output", &matrix(&example["G"])).unwrap();
    if path {
        npz.add_array("block.path", &matrix(&example["H"])).unwrap();
        npz.add_array("block.output_bias", &Array1::from_elem(3, -0.5)).unwrap();
    }
    npz.add_array("head.weight", &Array2::<f64>::eye(3)).unwrap();
    npz.finish().unwrap();
    let lines = [
        "schema = \"lipcert/architecture/1\"",
        "name = \"residual\"",
        "layers = [",
        &format!("  {{ kind = \"residual-block\", name = \"block\"{slope} }},"),
        "  { kind = \"dense\", name = \"head\" },",
        "]",
    ];
    fs::write(&declaration, lines.join("\n")).unwrap();
    [model, declaration].map(|path| text(&path).to_owned())
}

#[test]
fn the_worked_example() {
    for path in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let [model, declaration] = write(directory.path(), path, "");
        let certificate = text(&directory.path().join("certificate.json")).to_owned();
        let ran = lipcert(["verify", &model, "--arch", &declaration, "--json", "-o", &certificate]);
        assert_eq!(ran.status, Some(0), "{} {}", ran.stdout, ran.stderr);
        let verified = ran.json();
        let upper = verified["lipschitz"]["upper"].as_f64().unwrap();
        // The largest norm over all masks of the relu, and 1e-6 above it.
        assert!((2.069_945_360_8..2.069_947_5).contains(&upper), "{upper}");
        assert!(ran.stdout.contains("residual-lmi"), "{}", ran.stdout);
        let checked = lipcert(["check", &certificate, &model, "--arch", &declaration]);
        assert_eq!(checked.status, Some(0), "{} {}", checked.stdout, checked.stderr);
        // A bound that the multipliers do not prove.
        let file = fs::read_to_string(&certificate).unwrap();
        let at = file.find("\"lipschitz\": 2.0699").expect("the bound of the block");
        let forged = format!(
            "{}\"lipschitz\": 2.0688{}",
            &file[..at],
            &file[at + "\"lipschitz\": 2.0699".len()..]
        );
        fs::write(&certificate, forged).unwrap();
        assert_ne!(
            lipcert(["check", &certificate, &model, "--arch", &declaration]).status,
            Some(0)
        );
    }
}

/// With slopes `[−1, 1]` the inequality is not tight: 4.07 where the largest Jacobian is 3.94.
#[test]
fn another_activation() {
    let directory = tempfile::tempdir().unwrap();
    let [model, declaration] = write(directory.path(), true, ", slope = -1.0");
    let ran = lipcert(["verify", &model, "--arch", &declaration, "--json"]);
    assert_eq!(ran.status, Some(0), "{} {}", ran.stdout, ran.stderr);
    let upper = ran.json()["lipschitz"]["upper"].as_f64().unwrap();
    let mut npz = NpzReader::new(fs::File::open(&model).unwrap()).unwrap();
    let weight: Array2<f64> = npz.by_name("block.weight").unwrap();
    let output: Array2<f64> = npz.by_name("block.output").unwrap();
    // ‖(I + G D C) v‖ for some masks and directions: a lower bound.
    let mut least = 0.0_f64;
    for mask in 0..16_u32 {
        let signs = Array1::from_shape_fn(4, |k| if mask >> k & 1 == 1 { 1.0 } else { -1.0 });
        let jacobian = Array2::<f64>::eye(3) + output.dot(&(&weight * &signs.insert_axis(ndarray::Axis(1))));
        let mut direction = Array1::from_elem(3, 1.0);
        for _ in 0..50 {
            direction = jacobian.t().dot(&jacobian.dot(&direction));
            direction /= direction.dot(&direction).sqrt();
        }
        let moved = jacobian.dot(&direction);
        least = least.max(moved.dot(&moved).sqrt());
    }
    assert!(upper >= least && upper <= least * 1.1, "{upper} {least}");
}
