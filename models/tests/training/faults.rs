//! What is refused of a description, before there are numbers.

use lipcert_models::ModelError;
use lipcert_models::architecture::ArchitectureError;
use lipcert_models::preprocess::PreprocessError;
use lipcert_models::training::config::NetworkConfig;
use lipcert_models::training::preset::{self, NAMES};
use lipcert_models::training::recipe::{LayerFault, Recipe, RecipeError};
use lipcert_proofs::CheckError;
use serde_json::{Value, json};

use crate::described::{by_preset, config};
use crate::nonsense::second;

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
        RecipeError::Layer { index: 1, fault: LayerFault::Name { name }, .. } if name == "a"
    ));
    let unknown = json!([{ "kind": "flatten", "colour": 3 }]);
    assert_eq!(
        refused(unknown, 2).to_string(),
        "layer 0 (`flatten`): unknown field `colour`, expected `name`"
    );
    let reflected = json!([{ "kind": "convolution", "outputs": 2, "padding": "reflect" }, { "kind": "flatten" }]);
    assert!(matches!(
        refused(reflected, 2),
        RecipeError::Layer { index: 0, fault: LayerFault::Declaration(why), .. } if why.contains("padding `reflect` is not covered")
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

/// The text of a refusal of the second layer.
fn words(layer: Value) -> String {
    let error = Recipe::new(&config(&second(&layer)), [4, 4, 4], 1).expect_err("a refusal");
    error.to_string()
}

#[test]
fn numbers_out_of_range_are_named() {
    for (layer, expected) in [
        (
            json!({ "kind": "skew-exponential", "terms": 0 }),
            "`terms` is `0`, expected an integer from 1 to 64",
        ),
        (
            json!({ "kind": "skew-exponential", "terms": 65 }),
            "`terms` is `65`, expected an integer from 1 to 64",
        ),
        (
            json!({ "kind": "leaky-relu", "slope": null }),
            "`slope` is `null`, expected a finite number",
        ),
        (
            json!({ "kind": "sandwich", "outputs": 3, "activation": "leaky-relu", "slope": -0.5 }),
            "`slope` is `-0.5`, expected a number from 0 to 1",
        ),
        (
            json!({ "kind": "sandwich", "outputs": 3, "activation": "tanh" }),
            "`activation` is `\"tanh\"`, expected `relu` or `leaky-relu`",
        ),
        (
            json!({ "kind": "bjorck", "outputs": 3, "iterations": -1 }),
            "`iterations` is `-1`, expected an integer that is not negative",
        ),
        (
            json!({ "kind": "max-min", "pairing": 2 }),
            "`pairing` is `2`, expected `split` or `adjacent`",
        ),
    ] {
        let kind = layer["kind"].clone();
        assert_eq!(
            words(layer),
            format!("layer 1 (`{}`): {expected}", kind.as_str().expect("a kind"))
        );
    }
    let range = |layer: Value| match Recipe::new(&config(&second(&layer)), [4, 4, 4], 1) {
        Err(RecipeError::Layer {
            index: 1,
            fault: LayerFault::Range(cause),
            ..
        }) => cause,
        other => panic!("{layer}: {other:?}"),
    };
    let negative = |layer, field| {
        let cause = range(layer);
        assert!(
            matches!(cause, CheckError::NotPositive { what, value: -1.0, .. } if what == field),
            "{cause}"
        );
    };
    negative(json!({ "kind": "aol", "outputs": 3, "epsilon": -1 }), "epsilon");
    negative(json!({ "kind": "aol-conv", "outputs": 3, "epsilon": -1 }), "epsilon");
    negative(json!({ "kind": "frobenius", "outputs": 3, "offset": -1 }), "offset");
    negative(json!({ "kind": "spectral", "outputs": 3, "offset": -1 }), "offset");
    negative(
        json!({ "kind": "bjorck", "outputs": 3, "iterations": 2, "offset": -1 }),
        "offset",
    );
    negative(json!({ "kind": "bjorck", "outputs": 3, "iterations": 2, "beta": -1 }), "beta");
    negative(json!({ "kind": "softplus", "beta": -1 }), "beta");
    let cause = range(json!({ "kind": "bjorck", "outputs": 3, "iterations": 2, "beta": 1.5 }));
    assert!(
        matches!(
            cause,
            CheckError::OutOfRange {
                what: "beta",
                value: 1.5,
                ..
            }
        ),
        "{cause}"
    );
    let cause = range(json!({ "kind": "bjorck", "outputs": 3, "iterations": 1001 }));
    assert!(
        matches!(
            cause,
            CheckError::TooLarge {
                what: "iterations",
                entries: 1001,
                ..
            }
        ),
        "{cause}"
    );
    let cause = range(json!({ "kind": "average-pool", "size": 2, "divisor": 0 }));
    assert!(matches!(cause, CheckError::NotPositive { what: "divisor", .. }), "{cause}");
    // 2 · 1000 steps of a product of 65536 × 4096 with 4096 × 4096
    let layers = json!([{ "kind": "flatten" }, { "kind": "bjorck", "outputs": 65536, "iterations": 1000 }]);
    assert!(matches!(
        Recipe::new(&config(&layers), [1, 64, 64], 1),
        Err(RecipeError::Layer {
            index: 1,
            fault: LayerFault::Range(CheckError::TooMuchWork { what: "bjorck", .. }),
            ..
        })
    ));
}

#[test]
fn what_no_memory_holds_is_refused() {
    let refused = |layers: Value, input| Recipe::new(&config(&layers), input, 1).expect_err("a refusal");
    let error = refused(json!([{ "kind": "flatten" }]), [1 << 20, 1 << 20, 1 << 40]);
    assert!(matches!(error, RecipeError::Input { .. }), "{error}");
    let kernel = json!([{ "kind": "convolution", "outputs": 65536, "kernel-size": 65535 }]);
    let expected = LayerFault::Tensor {
        field: "weight",
        found: vec![65536, 3, 65535, 65535],
        most: 1 << 31,
    };
    assert_eq!(fault(&kernel), expected);
    let doubled = refused(json!([{ "kind": "crelu", "repeat": 1000 }]), [3, 64, 64]);
    assert!(
        matches!(&doubled, RecipeError::Layer { index: 0, fault: LayerFault::Output { found, most }, .. }
            if *found == [6144, 64, 64] && *most == 1 << 24),
        "{doubled}"
    );
}

#[test]
fn layers_in_the_wrong_place_are_refused() {
    let behind = json!([{ "kind": "flatten" }, { "kind": "normalized-head" }, { "kind": "relu" }]);
    assert_eq!(fault(&behind), LayerFault::BehindHead);
    for layer in [json!({ "kind": "flatten" }), json!({ "kind": "center", "over": "channel" })] {
        match fault(&json!([{ "kind": "flatten" }, layer])) {
            LayerFault::Input { expected, found } => assert_eq!((expected, found), ("an image", vec![144])),
            other => panic!("{layer}: {other}"),
        }
    }
    let twice = json!([{ "kind": "relu", "name": "a", "repeat": 2 }]);
    assert_eq!(fault(&twice), LayerFault::Name { name: "a".to_owned() });
    for name in ["", "a\nb"] {
        let text = fault(&json!([{ "kind": "relu", "name": name }])).to_string();
        assert!(text.contains("cannot be the name of a layer"), "{text}");
    }
    // the architectures of published codes have kinds of their own
    let named = NetworkConfig {
        name: Some("sll".to_owned()),
        ..config(&json!([{ "kind": "flatten" }, { "kind": "dense", "outputs": 2 }]))
    };
    assert!(matches!(
        Recipe::new(&named, [3, 6, 8], 2),
        Err(RecipeError::Architecture(ArchitectureError::Kind { .. }))
    ));
}

#[test]
fn a_preprocessing_is_for_the_channels_of_the_images() {
    let layers = json!([{ "kind": "flatten" }]);
    for (text, channels, length) in [("mean=0.5,0.5", 1, 2), ("std=0.5", 3, 1), ("cifar10", 1, 3), ("mnist", 3, 1)] {
        let described = NetworkConfig {
            preprocess: Some(text.to_owned()),
            ..config(&layers)
        };
        match Recipe::new(&described, [channels, 4, 4], 2) {
            Err(RecipeError::Preprocess(cause)) => assert!(
                matches!(
                    *cause,
                    ModelError::Preprocess { cause: PreprocessError::Channels { found, channels: images }, .. }
                        if found == length && images == channels
                ),
                "{cause}"
            ),
            other => panic!("{text}: {other:?}"),
        }
    }
    let preset = Recipe::new(&by_preset("mnist-sll"), [3, 28, 28], 10)
        .expect_err("a refusal")
        .to_string();
    assert!(preset.contains("network.preprocess"), "{preset}");
    let none = NetworkConfig {
        preprocess: Some("none".to_owned()),
        ..config(&layers)
    };
    assert!(Recipe::new(&none, [2, 4, 4], 2).is_ok());
}
