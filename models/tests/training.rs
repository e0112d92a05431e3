//! From descriptions and presets to architectures.

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::{file, repository};
use lipcert_models::architecture::{Architecture, ArchitectureError, METADATA_KEY};
use lipcert_models::checkpoint::{Checkpoint, PlainTensor, write_safetensors};
use lipcert_models::network::{LoadOptions, Network, image};
use lipcert_models::training::config::NetworkConfig;
use lipcert_models::training::parameters;
use lipcert_models::training::preset::{self, NAMES};
use lipcert_models::training::recipe::{KINDS, LayerFault, Recipe, RecipeError};
use lipcert_proofs::statement::Shape;
use serde_json::{Value, json};

fn config(layers: &Value) -> NetworkConfig {
    let layers = layers.as_array().expect("a list");
    NetworkConfig {
        preset: None,
        name: None,
        preprocess: None,
        layers: layers
            .iter()
            .map(|layer| layer.as_object().expect("an object").clone())
            .collect(),
    }
}

fn by_preset(name: &str) -> NetworkConfig {
    NetworkConfig {
        preset: Some(name.to_owned()),
        name: None,
        preprocess: None,
        layers: Vec::new(),
    }
}

/// A file of an architecture; all numbers are the same.
fn network(architecture: &Architecture, input: [usize; 3]) -> Network {
    let tensors = parameters::of(architecture).into_iter().map(|parameter| PlainTensor {
        name: parameter.name,
        values: vec![0.25; parameter.shape.iter().product()],
        shape: parameter.shape,
    });
    let metadata = [(METADATA_KEY.to_owned(), architecture.declaration())].into();
    let bytes = write_safetensors(&metadata, &tensors.collect::<Vec<_>>()).expect("agreeing shapes");
    let file = file(&bytes);
    let options = LoadOptions {
        input: Some(image(input)),
        ..LoadOptions::default()
    };
    Network::load(&Checkpoint::open(file.path()).expect("a file"), &options).expect("a network")
}

/// What `layers` make of an image, checked by the walk through the layers.
fn output(layers: &Value, input: [usize; 3]) -> Vec<usize> {
    let mut layers = layers.clone();
    let flat = layers
        .as_array()
        .expect("a list")
        .iter()
        .any(|layer| layer["kind"] == "flatten");
    if !flat {
        layers.as_array_mut().expect("a list").push(json!({ "kind": "flatten" }));
    }
    let recipe = Recipe::new(&config(&layers), input, 1).unwrap_or_else(|error| panic!("{layers}: {error}"));
    let mut shapes = network(&recipe.architecture, input).map.input_shapes();
    if !flat {
        return shapes.pop().expect("the input of the flattening").sizes();
    }
    let map = network(&recipe.architecture, input).map;
    let last = map.layers().last().expect("a layer");
    last.output_shape(*shapes.last().expect("its input"))
        .expect("a shape")
        .sizes()
}

/// Every kind with the shape of its output, for an image of 4 × 6 × 8 or a vector of 12.
#[test]
fn every_kind_has_its_shape() {
    let image = |fields: Value, shape: [usize; 3]| (fields, [4, 6, 8], shape.to_vec());
    let vector = |fields: Value, length: usize| (fields, [3, 2, 2], vec![length]);
    let cases = [
        image(json!({ "kind": "pad-channels", "channels": 9 }), [9, 6, 8]),
        image(json!({ "kind": "sll-conv", "inner": 3 }), [4, 6, 8]),
        image(
            json!({ "kind": "sll-conv-weighted", "inner": 3, "kernel-size": 5 }),
            [4, 6, 8],
        ),
        image(json!({ "kind": "cpl-conv", "inner": 3, "kernel-size": 1 }), [4, 6, 8]),
        vector(json!({ "kind": "sll-dense", "inner": 5 }), 12),
        vector(json!({ "kind": "aol-dense", "inner": 5 }), 12),
        vector(json!({ "kind": "cpl-dense", "inner": 5 }), 12),
        vector(json!({ "kind": "cpl-frobenius", "inner": 5 }), 12),
        image(json!({ "kind": "average-pool", "size": 2 }), [4, 3, 4]),
        vector(json!({ "kind": "dense", "outputs": 5 }), 5),
        image(json!({ "kind": "relu" }), [4, 6, 8]),
        image(json!({ "kind": "leaky-relu", "slope": 0.1 }), [4, 6, 8]),
        image(json!({ "kind": "abs" }), [4, 6, 8]),
        image(json!({ "kind": "tanh" }), [4, 6, 8]),
        image(json!({ "kind": "sigmoid" }), [4, 6, 8]),
        image(json!({ "kind": "softplus" }), [4, 6, 8]),
        image(json!({ "kind": "elu" }), [4, 6, 8]),
        image(json!({ "kind": "prelu" }), [4, 6, 8]),
        image(json!({ "kind": "lprelu" }), [4, 6, 8]),
        image(json!({ "kind": "n-activation" }), [4, 6, 8]),
        vector(json!({ "kind": "n-activation" }), 12),
        image(json!({ "kind": "max-min" }), [4, 6, 8]),
        image(json!({ "kind": "group-sort", "size": 4 }), [4, 6, 8]),
        image(json!({ "kind": "full-sort" }), [4, 6, 8]),
        image(json!({ "kind": "crelu" }), [8, 6, 8]),
        image(json!({ "kind": "householder" }), [4, 6, 8]),
        image(json!({ "kind": "householder-2" }), [4, 6, 8]),
        image(json!({ "kind": "projection-pool" }), [2, 6, 8]),
        image(json!({ "kind": "pixel-unshuffle", "factor": 2 }), [16, 3, 4]),
        image(json!({ "kind": "pixel-shuffle", "factor": 2 }), [1, 12, 16]),
        image(json!({ "kind": "first-channels", "channels": 3 }), [3, 6, 8]),
        vector(json!({ "kind": "first-channels", "channels": 3 }), 3),
        vector(json!({ "kind": "pad-features", "features": 20 }), 20),
        image(json!({ "kind": "center", "over": "channel" }), [4, 6, 8]),
        image(json!({ "kind": "max-pool", "size": 3 }), [4, 2, 2]),
        image(json!({ "kind": "max-pool", "size": 3, "stride": 1 }), [4, 4, 6]),
        image(json!({ "kind": "norm-pool", "size": 2 }), [4, 3, 4]),
        image(json!({ "kind": "pair-max" }), [2, 6, 8]),
        vector(json!({ "kind": "aol", "outputs": 7 }), 7),
        vector(json!({ "kind": "frobenius", "outputs": 7 }), 7),
        vector(json!({ "kind": "spectral", "outputs": 7 }), 7),
        vector(json!({ "kind": "bjorck", "outputs": 7, "iterations": 2 }), 7),
        vector(json!({ "kind": "cayley", "outputs": 7 }), 7),
        vector(json!({ "kind": "householder-product", "vectors": 7 }), 12),
        vector(json!({ "kind": "sandwich", "outputs": 7 }), 7),
        image(json!({ "kind": "convolution", "outputs": 5 }), [5, 6, 8]),
        image(json!({ "kind": "aol-conv", "outputs": 5, "padding": "circular" }), [5, 6, 8]),
        image(json!({ "kind": "spectral-conv", "outputs": 5 }), [5, 6, 8]),
        image(json!({ "kind": "linear-residual-conv", "kernel-size": 5 }), [4, 6, 8]),
        image(json!({ "kind": "skew-exponential", "terms": 3 }), [4, 6, 8]),
        vector(json!({ "kind": "normalized-head" }), 1),
        vector(json!({ "kind": "normalized-head", "classes": 8 }), 8),
        vector(json!({ "kind": "flatten" }), 12),
    ];
    for kind in KINDS {
        assert!(cases.iter().any(|(fields, ..)| fields["kind"] == kind), "{kind} is no case");
    }
    for (fields, input, expected) in cases {
        let layers = match fields["kind"].as_str().expect("a kind") {
            "flatten" => json!([fields]),
            _ if expected.len() == 1 => json!([{ "kind": "flatten" }, fields]),
            _ => json!([fields]),
        };
        assert_eq!(output(&layers, input), expected, "{fields}");
    }
}

#[test]
fn layers_are_repeated_and_named() {
    let layers = json!([
        { "kind": "sll-conv", "inner": 2, "repeat": 3 },
        { "kind": "flatten", "name": "vector" },
        { "kind": "normalized-head" },
    ]);
    let recipe = Recipe::new(&config(&layers), [2, 4, 4], 10).expect("a network");
    let names: Vec<_> = recipe.architecture.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["0", "1", "2", "vector", "4"]);
    assert_eq!(recipe.architecture.name, "trained");
    assert_eq!(recipe.architecture.input, Some(image([2, 4, 4])));
    assert_eq!(recipe.architecture.preprocess, None);
    let tensors: Vec<_> = recipe
        .tensors
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor.shape.clone()))
        .collect();
    assert_eq!(tensors.len(), 3 * 3 + 2);
    assert_eq!(tensors[3], ("1.kernel", vec![2, 2, 3, 3]));
    assert_eq!(tensors[10], ("4.bias", vec![10]));
    let named = NetworkConfig {
        name: Some("mine".to_owned()),
        preprocess: Some("mean=0.1,0.2;std=0.5,0.25".to_owned()),
        ..config(&layers)
    };
    let recipe = Recipe::new(&named, [2, 4, 4], 10).expect("a network");
    assert_eq!(recipe.architecture.name, "mine");
    let (mean, std) = recipe
        .architecture
        .preprocess
        .expect("a preprocessing")
        .normalization()
        .expect("numbers");
    assert_eq!(mean.iter().map(ToString::to_string).collect::<Vec<_>>(), ["0.1", "0.2"]);
    assert_eq!(std.iter().map(ToString::to_string).collect::<Vec<_>>(), ["0.5", "0.25"]);
}

/// The fault of the last of the layers.
fn fault(layers: &Value) -> LayerFault {
    match Recipe::new(&config(layers), [3, 6, 8], 2) {
        Err(RecipeError::Layer { index, kind, fault }) => {
            let layers = layers.as_array().expect("a list");
            assert_eq!(index, layers.len() - 1, "{layers:?}");
            assert_eq!(kind, layers[index]["kind"].as_str().unwrap_or_default());
            fault
        }
        other => panic!("{layers}: {other:?}"),
    }
}

#[test]
fn faults_name_the_layer_and_the_field() {
    assert_eq!(fault(&json!([{ "kind": "gru" }])), LayerFault::Kind);
    assert_eq!(fault(&json!([{ "inner": 2 }])), LayerFault::Kind);
    assert_eq!(fault(&json!([{ "kind": "residual-dense", "inner": 2 }])), LayerFault::Kind);
    for (kind, field, flat) in [
        ("sll-conv", "inner", false),
        ("sll-dense", "inner", true),
        ("aol", "outputs", true),
        ("householder-product", "vectors", true),
        ("sandwich", "outputs", true),
        ("convolution", "outputs", false),
        ("pad-channels", "channels", false),
        ("first-channels", "channels", false),
        ("pad-features", "features", true),
        ("average-pool", "size", false),
        ("group-sort", "size", false),
        ("pixel-shuffle", "factor", false),
    ] {
        let layers = if flat {
            json!([{ "kind": "flatten" }, { "kind": kind }])
        } else {
            json!([{ "kind": kind }])
        };
        assert_eq!(fault(&layers), LayerFault::Missing { field }, "{kind}");
    }
    for found in [json!(0), json!(65537), json!(2.5), json!("8"), json!(-1)] {
        let expected = LayerFault::Size {
            field: "inner",
            found: found.to_string(),
        };
        assert_eq!(fault(&json!([{ "kind": "sll-conv", "inner": found }])), expected);
    }
    let expected = LayerFault::Size {
        field: "repeat",
        found: "0".to_owned(),
    };
    assert_eq!(fault(&json!([{ "kind": "sll-conv", "inner": 2, "repeat": 0 }])), expected);
    assert_eq!(
        fault(&json!([{ "kind": "convolution", "outputs": 2, "kernel-size": 4 }])),
        LayerFault::Even { found: 4 }
    );
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    for (layers, found) in [
        (json!([{ "kind": "sll-dense", "inner": 2 }]), vec![3, 6, 8]),
        (json!([{ "kind": "aol", "outputs": 2 }]), vec![3, 6, 8]),
        (json!([{ "kind": "normalized-head" }]), vec![3, 6, 8]),
        (json!([{ "kind": "flatten" }, { "kind": "sll-conv", "inner": 2 }]), vec![144]),
        (json!([{ "kind": "flatten" }, { "kind": "max-pool", "size": 2 }]), vec![144]),
        (json!([{ "kind": "pad-channels", "channels": 2 }]), vec![3, 6, 8]),
        (json!([{ "kind": "first-channels", "channels": 4 }]), vec![3, 6, 8]),
        (
            json!([{ "kind": "flatten" }, { "kind": "pad-features", "features": 143 }]),
            vec![144],
        ),
        (json!([{ "kind": "max-min" }]), vec![3, 6, 8]),
        (json!([{ "kind": "householder" }]), vec![3, 6, 8]),
        (json!([{ "kind": "householder-2" }]), vec![3, 6, 8]),
        (json!([{ "kind": "projection-pool" }]), vec![3, 6, 8]),
        (json!([{ "kind": "pair-max" }]), vec![3, 6, 8]),
        (json!([{ "kind": "group-sort", "size": 2 }]), vec![3, 6, 8]),
        (json!([{ "kind": "max-pool", "size": 7 }]), vec![3, 6, 8]),
        (json!([{ "kind": "average-pool", "size": 4 }]), vec![3, 6, 8]),
        (json!([{ "kind": "norm-pool", "size": 3 }]), vec![3, 6, 8]),
        (json!([{ "kind": "pixel-unshuffle", "factor": 4 }]), vec![3, 6, 8]),
        (json!([{ "kind": "pixel-shuffle", "factor": 2 }]), vec![3, 6, 8]),
    ] {
        match fault(&layers) {
            LayerFault::Input { found: shape, .. } => assert_eq!(shape, found, "{layers}"),
            other => panic!("{layers}: {other}"),
        }
    }
}

#[test]
fn networks_that_are_none_are_refused() {
    let refused = |layers: Value, classes| Recipe::new(&config(&layers), [3, 6, 8], classes).expect_err("a refusal");
    let long = json!([{ "kind": "relu", "repeat": 1025 }]);
    assert!(matches!(refused(long, 2), RecipeError::TooMany { most: 1024 }));
    let image = refused(json!([{ "kind": "relu" }]), 2);
    assert!(matches!(image, RecipeError::Output { classes: 2, found } if found == [3, 6, 8]));
    let few = refused(json!([{ "kind": "flatten" }, { "kind": "dense", "outputs": 9 }]), 10);
    assert!(matches!(few, RecipeError::Output { classes: 10, found } if found == [9]));
    let twice = json!([{ "kind": "relu", "name": "a" }, { "kind": "flatten", "name": "a" }]);
    assert!(matches!(
        refused(twice, 2),
        RecipeError::Architecture(ArchitectureError::Name { .. })
    ));
    let unknown = json!([{ "kind": "flatten", "colour": 3 }]);
    assert!(matches!(
        refused(unknown, 2),
        RecipeError::Architecture(ArchitectureError::Declaration(_))
    ));
    let reflected = json!([{ "kind": "convolution", "outputs": 2, "padding": "reflect" }, { "kind": "flatten" }]);
    assert!(matches!(
        refused(reflected, 2),
        RecipeError::Architecture(ArchitectureError::Padding { .. })
    ));
    let preprocess = NetworkConfig {
        preprocess: Some("mean".to_owned()),
        ..config(&json!([{ "kind": "flatten" }]))
    };
    assert!(matches!(
        Recipe::new(&preprocess, [3, 6, 8], 2),
        Err(RecipeError::Preprocess(_))
    ));
    let preset = Recipe::new(&by_preset("sll-tiny"), [3, 32, 32], 10).expect_err("a refusal");
    let text = preset.to_string();
    assert!(
        text.contains("sll-tiny") && NAMES.iter().all(|name| text.contains(name)),
        "{text}"
    );
    for depth in ["0", "7", "45", "-5", ""] {
        assert!(preset::find(&format!("lipconvnet-{depth}"), 10).is_err(), "{depth}");
    }
}

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
