//! The presets are the networks that they are named after.

use std::collections::BTreeMap;
use std::fs;

use lipcert_models::network::Network;
use lipcert_models::training::preset::NAMES;
use lipcert_models::training::recipe::Recipe;
use lipcert_proofs::statement::Shape;
use serde_json::Value;

use crate::common::repository;
use crate::described::{by_preset, network};

/// The numbers of parameters, and the tensors of the smallest, that the authors' checkpoints have.
#[test]
fn the_sll_presets_are_the_published_networks() {
    let text = fs::read_to_string(repository("tests/fixtures/vectors/sll_state_dict_layout.json")).expect("the vectors");
    let vectors: Value = serde_json::from_str(&text).expect("JSON");
    let mut counts = BTreeMap::new();
    for (name, size) in vectors["counts"].as_object().expect("sizes") {
        let (data, size_name) = name.split_once('/').expect("data set and size");
        let (side, classes) = match data {
            "cifar10" => (32, 10),
            "cifar100" => (32, 100),
            _ => (64, 200),
        };
        let recipe = Recipe::new(&by_preset(&format!("sll-{size_name}")), [3, side, side], classes).expect("a network");
        let expected = size["params"].as_u64().expect("a number") as usize;
        assert_eq!(recipe.architecture.parameters(), expected, "{name}");
        assert_eq!(recipe.architecture.name, "sll");
        let tensors: usize = recipe
            .tensors
            .iter()
            .map(|tensor| tensor.shape.iter().product::<usize>())
            .sum();
        assert_eq!(tensors, expected, "{name}");
        let number = |key: &str| size[key].as_u64().expect("a number") as usize;
        assert_eq!(recipe.architecture.convolutions(), number("n_conv"), "{name}");
        assert_eq!(recipe.architecture.dense(), number("n_dense"), "{name}");
        let last = recipe.architecture.layers.last().expect("a head");
        assert_eq!(last.name, number("last_idx").to_string(), "{name}");
        counts.insert(name.clone(), expected);
    }
    assert_eq!(counts.len(), 12);
    assert_eq!(counts["cifar10/small"], 41_385_862);
    assert_eq!(counts["cifar100/xlarge"], 237_137_840);
}

#[test]
fn small_presets_are_networks() {
    for (data, input) in [("digits", [1, 8, 8]), ("mnist", [1, 28, 28])] {
        for family in ["sll", "aol", "cpl"] {
            let name = format!("{data}-{family}");
            assert!(NAMES.contains(&name.as_str()));
            let recipe = Recipe::new(&by_preset(&name), input, 10).expect("a network");
            assert_eq!(recipe.architecture.name, family);
            let network = network(&recipe.architecture, input);
            assert_eq!(network.parameters, recipe.architecture.parameters());
            assert_eq!(network.map.layers()[0].kind(), "normalize", "{name}");
            let shapes = network.map.input_shapes();
            let outputs = network
                .map
                .layers()
                .last()
                .expect("a layer")
                .output_shape(shapes[shapes.len() - 1]);
            assert_eq!(outputs, Ok(Shape::Flat(10)), "{name}");
        }
    }
}

/// Names of the kinds in their order, repetitions counted.
fn kinds(network: &Network) -> Vec<(&'static str, usize)> {
    let mut found: Vec<(&'static str, usize)> = Vec::new();
    for layer in network.map.layers() {
        match found.last_mut() {
            Some((kind, count)) if *kind == layer.kind() => *count += 1,
            _ => found.push((layer.kind(), 1)),
        }
    }
    found
}

#[test]
fn aol_patchwise() {
    for (name, width) in [("aol-small", 16), ("aol-medium", 32), ("aol-large", 48)] {
        for classes in [10, 100] {
            let recipe = Recipe::new(&by_preset(name), [3, 32, 32], classes).expect("a network");
            // 1 × 1 from 48 channels, twelve 3 × 3, 1 × 1, fourteen dense ones; a bias each
            let features = 64 * width;
            let convolutions = 192 * 48 + 12 * 9 * 192 * 192 + 192 * 192 + 14 * 192;
            let expected = convolutions + 14 * features * (features + 1);
            assert_eq!(recipe.architecture.parameters(), expected, "{name}");
        }
    }
    let recipe = Recipe::new(&by_preset("aol-small"), [3, 32, 32], 10).expect("a network");
    let network = network(&recipe.architecture, [3, 32, 32]);
    let found = kinds(&network);
    assert_eq!(found[..3], [("normalize", 1), ("pixel-unshuffle", 1), ("aol-conv", 1)]);
    let count = |kind: &str| network.map.layers().iter().filter(|layer| layer.kind() == kind).count();
    assert_eq!((count("aol-conv"), count("aol"), count("max-min")), (14, 14, 26));
    assert_eq!(found[found.len() - 1], ("first-channels", 1));
}

#[test]
fn lipconvnet() {
    for (depth, maps) in [(5, [12, 64, 128, 256, 512]), (10, [32, 64, 128, 256, 512])] {
        let name = format!("lipconvnet-{depth}");
        let recipe = Recipe::new(&by_preset(&name), [3, 32, 32], 10).expect("a network");
        let mut expected = 0;
        for (block, channels) in maps.into_iter().enumerate() {
            let square = |channels: usize, side: usize| channels * (channels * side * side + 1) + 1;
            expected += (depth / 5 - 1) * square(channels, 3);
            // behind a block of pixels: four times the channels, and at least what goes on
            let wide = (4 * channels).max(if block == 0 { 64 } else { 0 });
            expected += square(wide, if block == 4 { 1 } else { 3 });
        }
        expected += 10 * (1024 + 1);
        assert_eq!(recipe.architecture.parameters(), expected, "{name}");
    }
    let recipe = Recipe::new(&by_preset("lipconvnet-5"), [3, 32, 32], 10).expect("a network");
    let network = network(&recipe.architecture, [3, 32, 32]);
    let count = |kind: &str| network.map.layers().iter().filter(|layer| layer.kind() == kind).count();
    assert_eq!(
        (count("skew-exponential"), count("max-min"), count("pixel-unshuffle")),
        (5, 5, 5)
    );
    let shapes = network.map.input_shapes();
    assert_eq!(shapes[shapes.len() - 1], Shape::Flat(1024));
}
