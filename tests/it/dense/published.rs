//! Networks and bounds that others have published.

use std::fs;

use ndarray::Array2;
use ndarray_npy::NpzReader;

use super::{text, upper, verify, write_net};
use crate::cli::lipcert;
use crate::reference::shared;

/// An interval that is known, for a network that is at hand elsewhere.
fn known(net: &str, more: &[&str], least: f64, most: f64) {
    let Some(model) = shared(&format!("nets_npz/{net}.npz")) else {
        return;
    };
    let verified = verify(&model, more);
    let upper = upper(&verified);
    assert!(least <= upper && upper <= most, "{net}: {upper}");
    assert_eq!(verified["verdict"], "certified");
    let dual = verified["lipschitz"]["dual_bound"].as_f64().unwrap();
    assert!(dual <= upper && upper / dual - 1.0 <= 1e-5, "{net}: {dual} {upper}");
    if let Some(lower) = verified["lipschitz"]["lower"].as_f64() {
        assert!(lower <= upper * (1.0 + 1e-9), "{net}: {lower} {upper}");
    }
}

/// All weights are positive, so the constant is the norm of the product exactly; a solver is on record with 36.23.
#[test]
fn the_all_positive_network() {
    known("lipsdp/random_weights", &[], 36.482_229_597_637_95, 36.48223);
}

#[test]
fn published_optima() {
    known("lipsdp/mnist_weights", &[], 24.366_346, 24.36636);
    known(
        "eclipse/ECLipsE_paper__datasets__MNIST__lyr3n100test1",
        &[],
        15.733_203,
        15.7333,
    );
}

/// The published values for the scalar output 7, up to their own noise.
#[test]
fn published_class_bounds() {
    let Some(table) = shared("results/glipsdp_published.csv") else {
        return;
    };
    let table = fs::read_to_string(table).unwrap();
    let mut compared = 0;
    for line in table.lines().filter(|line| line.starts_with("glipsdp_comparison")) {
        let fields: Vec<&str> = line.split(',').collect();
        let (net, value) = (fields[0], fields[2].parse::<f64>().unwrap());
        if fields[1] == "LipSDP" && shared(&format!("nets_npz/{net}.npz")).is_some() {
            known(
                net,
                &["--output", "class:7"],
                value * (1.0 - 1e-6),
                value * (1.0 + 1e-5 + 1e-6),
            );
            compared += 1;
        }
    }
    assert!(compared == 0 || compared == 10, "{compared}");
}

/// The published hidden parts: the transposes of the inner weights, one after the other.
#[test]
fn published_hidden_parts() {
    let folder = tempfile::tempdir().unwrap();
    for (net, layers, value) in [
        ("mlp_L3_W16", 2, 0.882_717_995_586),
        ("mlp_L3_W32", 2, 0.904_926_931_938),
        ("mlp_L5_W16", 4, 0.577_096_205_854),
    ] {
        let Some(model) = shared(&format!("nets_npz/glipsdp_scalability/{net}.npz")) else {
            continue;
        };
        let mut npz = NpzReader::new(fs::File::open(model).unwrap()).unwrap();
        let weights: Vec<Array2<f64>> = (1..=layers)
            .map(|k| {
                let weight: Array2<f32> = npz.by_name(&format!("W{k}")).unwrap();
                weight.t().mapv(f64::from)
            })
            .collect();
        let path = folder.path().join(format!("{net}.npz"));
        write_net(&path, &weights);
        let upper = upper(&verify(&path, &[]));
        assert!((upper / value - 1.0).abs() <= 2e-6, "{net}: {upper} {value}");
    }
}

/// Both solvers of the layer form agree with the published value.
#[test]
fn one_multiplier_a_layer() {
    let Some(model) = shared("nets_npz/lipsdp/random_weights.npz") else {
        return;
    };
    let bound = upper(&verify(&model, &["--method", "lipsdp-layer"]));
    assert!((39.8385..39.8395).contains(&bound), "{bound}");
}

/// The gloro network with the product of its norms: the counts that its authors' verified certifier published for ε = 0.3.
#[test]
fn counts_of_the_gloro_network() {
    let (Some(model), Some(data)) = (shared("nets_npz/gloro/mnist_eps0.45_128x8.npz"), shared("mnist")) else {
        return;
    };
    let data = format!("mnist:{}", data.display());
    let arguments = [
        "certify",
        text(&model),
        "--data",
        &data,
        "--preprocess",
        "none",
        "--eps",
        "0.3",
        "--method",
        "product",
        "--json",
    ];
    let ran = lipcert(arguments);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let run = ran.json();
    assert_eq!(
        (run["correct"].as_u64(), run["certified"][0]["count"].as_u64()),
        (Some(9840), Some(9540))
    );
    assert_eq!(
        (run["method"].as_str(), run["undecided"].as_u64()),
        (Some("product"), Some(0))
    );
}
