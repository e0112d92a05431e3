//! What every kind of layer makes of an image, and what layers are called.

use lipcert_models::network::image;
use lipcert_models::training::config::NetworkConfig;
use lipcert_models::training::recipe::{KINDS, Recipe};
use serde_json::{Value, json};

use crate::described::{config, network};

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
