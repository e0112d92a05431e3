//! What is no network or no matrix, and what must not be lost.

use std::fs;
use std::path::PathBuf;

use ndarray::{Array1, Array2};
use ndarray_npy::{NpzWriter, write_npy};

use super::{small, text, weight, write_net};
use crate::cli::lipcert;

#[test]
fn bad_networks() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, weights: &[Array2<f64>]| -> PathBuf {
        let path = folder.path().join(name);
        write_net(&path, weights);
        path
    };
    let mut nan = small();
    nan[1][(2, 3)] = f64::NAN;
    for (path, word) in [
        (write("nan.npz", &nan), "W1"),
        (write("shapes.npz", &[weight(3, 2, 1), weight(2, 4, 2)]), "W1"),
        (
            write("large.npz", &[weight(2, 2, 1).mapv(|w| w * 1e200), weight(2, 2, 2)]),
            "e200",
        ),
    ] {
        let ran = lipcert(["verify", text(&path)]);
        assert!(ran.status != Some(0), "{}", ran.stdout);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            !said.contains("panicked") && (said.contains(word) || word == "e200"),
            "{said}"
        );
    }
    let sll = lipcert([
        "verify",
        "tests/fixtures/sll_digits/digits.pth",
        "--input",
        "1x8x8",
        "--method",
        "lipsdp-neuron",
    ]);
    assert_eq!(sll.status, Some(2), "{}", sll.stdout);
    assert!(sll.stderr.contains("dense layers"), "{}", sll.stderr);
}

#[test]
fn bad_matrices() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.npy");
    let mut matrix = weight(3, 2, 6);
    matrix[(1, 1)] = f64::INFINITY;
    write_npy(&path, &matrix).unwrap();
    let model = folder.path().join("net.npz");
    write_net(&model, &small());
    let weights = folder.path().join("c.npy");
    write_npy(&weights, &Array1::from_elem(7, -1.0)).unwrap();
    let weighted = format!("weighted:{}", weights.display());
    let named = |tensor: &str| format!("{}#{tensor}", model.display());
    for (arguments, word) in [
        (vec![text(&path).to_owned()], "not finite"),
        (vec![text(&model).to_owned()], "name one"),
        (vec![named("W9")], "no tensor `W9`"),
        (vec![named("b0")], "[7]"),
        (vec![named("W1"), "--objective".to_owned(), weighted], "weight 0"),
        (vec!["missing.npy".to_owned()], "missing.npy"),
    ] {
        let ran = lipcert(["solve".to_owned()].into_iter().chain(arguments));
        assert_eq!(ran.status, Some(2), "{}", ran.stdout);
        assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
    }
    let ran = lipcert(["solve", &named("W1"), "--side", "rows", "--json"]);
    assert_eq!(ran.json()["t"].as_array().unwrap().len(), 6);
}

/// A result is never written over what it was made from.
#[test]
fn inputs_stay() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("net.npz");
    write_net(&model, &small());
    let before = fs::read(&model).unwrap();
    let ran = lipcert(["verify", text(&model), "-o", text(&model), "--force"]);
    assert_eq!(ran.status, Some(2), "{}", ran.stdout);
    let named = format!("{}#W0", model.display());
    assert_eq!(lipcert(["solve", &named, "-o", text(&model), "--force"]).status, Some(2));
    assert_eq!(fs::read(&model).unwrap(), before);
}

/// A weight that is missing between two others is no network of fewer layers.
#[test]
fn a_missing_weight() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.npz");
    let mut npz = NpzWriter::new(fs::File::create(&path).unwrap());
    for index in [0, 2] {
        npz.add_array(format!("W{index}"), &weight(3, 3, index)).unwrap();
    }
    npz.finish().unwrap();
    let ran = lipcert(["verify", text(&path)]);
    assert_eq!(ran.status, Some(2));
    assert!(ran.stderr.contains("W1"), "{}", ran.stderr);
}
