//! Every field of every kind with things that do not belong there.

use lipcert_models::training::recipe::{KINDS, LayerFault, Recipe, RecipeError};
use serde_json::{Value, json};

use crate::described::{config, network};

/// Every kind with all its fields, for an image of 4 × 4 × 4 or, behind a flattening, a vector of 64.
fn complete() -> Vec<Value> {
    vec![
        json!({ "kind": "pad-channels", "channels": 5 }),
        json!({ "kind": "sll-conv", "inner": 3, "kernel-size": 3, "activation": "relu" }),
        json!({ "kind": "sll-conv-weighted", "inner": 3, "kernel-size": 3, "activation": "relu" }),
        json!({ "kind": "sll-dense", "inner": 5, "activation": "relu" }),
        json!({ "kind": "aol-dense", "inner": 5, "activation": "relu" }),
        json!({ "kind": "cpl-conv", "inner": 3, "kernel-size": 3 }),
        json!({ "kind": "cpl-dense", "inner": 5 }),
        json!({ "kind": "cpl-frobenius", "inner": 5 }),
        json!({ "kind": "average-pool", "size": 2, "divisor": 3 }),
        json!({ "kind": "flatten" }),
        json!({ "kind": "dense", "outputs": 5 }),
        json!({ "kind": "relu" }),
        json!({ "kind": "leaky-relu", "slope": 0.5 }),
        json!({ "kind": "abs" }),
        json!({ "kind": "tanh" }),
        json!({ "kind": "sigmoid" }),
        json!({ "kind": "softplus", "beta": 2 }),
        json!({ "kind": "elu" }),
        json!({ "kind": "prelu" }),
        json!({ "kind": "lprelu" }),
        json!({ "kind": "n-activation" }),
        json!({ "kind": "max-min", "pairing": "adjacent" }),
        json!({ "kind": "group-sort", "size": 4 }),
        json!({ "kind": "full-sort" }),
        json!({ "kind": "crelu" }),
        json!({ "kind": "householder" }),
        json!({ "kind": "householder-2" }),
        json!({ "kind": "projection-pool" }),
        json!({ "kind": "pixel-unshuffle", "factor": 2, "order": "block-first" }),
        json!({ "kind": "pixel-shuffle", "factor": 2, "order": "channel-first" }),
        json!({ "kind": "first-channels", "channels": 3 }),
        json!({ "kind": "pad-features", "features": 70 }),
        json!({ "kind": "center", "over": "all" }),
        json!({ "kind": "max-pool", "size": 2, "stride": 1 }),
        json!({ "kind": "norm-pool", "size": 2 }),
        json!({ "kind": "pair-max" }),
        json!({ "kind": "aol", "outputs": 5, "epsilon": 1e-6 }),
        json!({ "kind": "frobenius", "outputs": 5, "offset": 0.5 }),
        json!({ "kind": "spectral", "outputs": 5, "offset": 0.5 }),
        json!({ "kind": "bjorck", "outputs": 5, "offset": 0.5, "beta": 0.5, "iterations": 3 }),
        json!({ "kind": "cayley", "outputs": 5 }),
        json!({ "kind": "householder-product", "vectors": 3 }),
        json!({ "kind": "sandwich", "outputs": 5, "activation": "leaky-relu", "slope": 0.5 }),
        json!({ "kind": "convolution", "outputs": 3, "kernel-size": 3, "padding": "zero" }),
        json!({ "kind": "aol-conv", "outputs": 3, "kernel-size": 3, "padding": "circular", "epsilon": 1e-6 }),
        json!({ "kind": "spectral-conv", "outputs": 3, "kernel-size": 3, "padding": "zero" }),
        json!({ "kind": "linear-residual-conv", "kernel-size": 3, "padding": "zero" }),
        json!({ "kind": "skew-exponential", "kernel-size": 3, "padding": "circular", "terms": 4 }),
        json!({ "kind": "normalized-head", "classes": 5 }),
    ]
}

/// The layer in the second place, and a vector behind it.
pub(crate) fn second(layer: &Value) -> Value {
    let kind = layer["kind"].as_str().expect("a kind");
    match kind {
        "flatten" => json!([{ "kind": "relu" }, layer]),
        "pad-features"
        | "aol"
        | "frobenius"
        | "spectral"
        | "bjorck"
        | "cayley"
        | "householder-product"
        | "sandwich"
        | "dense"
        | "normalized-head"
        | "cpl-frobenius" => json!([{ "kind": "flatten" }, layer]),
        _ if kind.ends_with("-dense") => json!([{ "kind": "flatten" }, layer]),
        _ => json!([{ "kind": "relu" }, layer, { "kind": "flatten" }]),
    }
}

/// Whatever stands in a field: the file of a network that is not refused can be opened, and what is refused is named.
#[test]
fn a_description_is_refused_exactly_where_its_file_would_be() {
    let input = [4, 4, 4];
    let complete = complete();
    let kinds: Vec<_> = complete.iter().map(|layer| layer["kind"].as_str().expect("a kind")).collect();
    let mut unknown = KINDS.iter().filter(|kind| !kinds.contains(kind));
    assert_eq!(unknown.next(), None, "no case");
    let nonsense = [
        Value::Null,
        json!("nonsense"),
        json!(true),
        json!([1]),
        json!(-1),
        json!(-0.5),
        json!(0),
        json!(1.5),
        json!(65),
        json!(1001),
        json!(65537),
        json!(1u64 << 40),
        json!(1e300),
    ];
    let mut refusals = 0;
    for layer in &complete {
        let kind = layer["kind"].as_str().expect("a kind");
        let mut attempt = |layer: Value, field: &str| match Recipe::new(&config(&second(&layer)), input, 1) {
            Ok(recipe) => drop(network(&recipe.architecture, input)),
            Err(error) => {
                let text = error.to_string();
                assert!(text.starts_with(&format!("layer 1 (`{kind}`): ")), "{layer}: {text}");
                let shape = matches!(
                    error,
                    RecipeError::Layer {
                        fault: LayerFault::Input { .. },
                        ..
                    }
                );
                // of these two the word stands there, not the field
                let words = ["applies relu by definition, not `nonsense`", "`leaky-relu` needs a `slope`"];
                let named = text.contains(&format!("`{field}`")) || words.iter().any(|words| text.contains(words));
                assert!(shape || named, "{layer}: {field}: {text}");
                refusals += 1;
            }
        };
        let fields = layer.as_object().expect("an object");
        for field in fields.keys().filter(|field| *field != "kind") {
            let without = fields.iter().filter(|(name, _)| *name != field);
            attempt(
                Value::Object(without.map(|(name, value)| (name.clone(), value.clone())).collect()),
                field,
            );
        }
        for field in fields.keys().map(String::as_str).chain(["name", "repeat", "colour"]) {
            for value in nonsense.iter().filter(|_| field != "kind") {
                // a side of 1001 is a kernel, and takes long to write
                if (field, value) == ("kernel-size", &json!(1001)) {
                    continue;
                }
                // layers may stand many times, where only the output or the number of layers is too large
                if field == "repeat" && value.as_u64().is_some_and(|count| (1..=65536).contains(&count)) {
                    continue;
                }
                let mut layer = layer.clone();
                layer[field] = value.clone();
                attempt(layer, field);
            }
        }
    }
    assert!(refusals > 1500, "{refusals}");
}
