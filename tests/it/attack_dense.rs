//! Attacks on dense networks, through the program.

use std::fs;
use std::path::Path;

use crate::cli::{Ran, lipcert};

/// A field of a protocol buffer message with bytes as its value.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).ok().filter(|length| *length < 128);
    match length {
        Some(length) => [&[number << 3 | 2, length], bytes].concat(),
        None => [&[number << 3 | 2, bytes.len() as u8 | 0x80, (bytes.len() >> 7) as u8], bytes].concat(),
    }
}

/// A field with a small integer as its value.
fn small(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// A node with its inputs and its output.
fn node(operator: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let mut node: Vec<u8> = inputs.iter().flat_map(|name| field(1, name.as_bytes())).collect();
    node.extend(field(2, output.as_bytes()));
    node.extend(field(4, operator.as_bytes()));
    field(1, &node)
}

/// Name, float32 and sizes of a tensor.
fn tensor(name: &str, sizes: &[u8]) -> Vec<u8> {
    let mut tensor: Vec<u8> = sizes.iter().flat_map(|size| small(1, *size)).collect();
    tensor.extend(small(2, 1));
    tensor.extend(field(8, name.as_bytes()));
    tensor
}

/// An initializer with its numbers.
fn initializer(name: &str, sizes: &[u8], values: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    field(5, &[tensor(name, sizes), field(9, &bytes)].concat())
}

/// An initializer of four numbers at the beginning of another file.
fn external(name: &str, location: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
    let parts = [
        tensor(name, &[2, 2]),
        entry("location", location),
        entry("length", "16"),
        small(14, 1),
    ];
    field(5, &parts.concat())
}

/// A model with the input `x`, one row of two numbers, and the output `y`.
fn model(parts: &[Vec<u8>]) -> Vec<u8> {
    let size = |size| field(1, &small(1, size));
    let kind = field(2, &field(1, &[small(1, 1), field(2, &[size(1), size(2)].concat())].concat()));
    let input = field(11, &[field(1, b"x"), kind].concat());
    let output = field(12, &field(1, b"y"));
    let graph = [parts.concat(), input, output].concat();
    [small(1, 8), field(7, &graph), field(8, &small(2, 13))].concat()
}

fn verify(path: &Path, more: &[&str]) -> Ran {
    lipcert([&["verify", path.to_str().unwrap(), "--json"], more].concat())
}

const IDENTITY: [f32; 4] = [1.0, 0.0, 0.0, 1.0];

/// `(1e10 + 1) − 1e10 + offset` is `1 + offset`, and `offset` where a float32 program evaluates it. A bound of the network with the rounded factor
/// assumes the rounding, however the factor enters the network.
#[test]
fn a_factor_that_was_rounded_is_an_assumption() {
    let folder = tempfile::tempdir().unwrap();
    // rounded to 1, which is left out; to 0.5, which is multiplied into the weight; to 3, behind a bias
    for (name, offset, bias) in [("one.onnx", 1.0, false), ("half.onnx", 0.5, false), ("three.onnx", 3.0, true)] {
        let mut parts = vec![
            node("MatMul", &["x", "W"], "h"),
            node("Add", &["big", "unit"], "c"),
            node("Sub", &["c", "big"], "d"),
            node("Add", &["d", "offset"], "e"),
        ];
        if bias {
            parts.push(node("Add", &["h", "b"], "i"));
            parts.push(initializer("b", &[2], &[1.0, 1.0]));
        }
        parts.extend([
            node("Mul", &[if bias { "i" } else { "h" }, "e"], "y"),
            initializer("W", &[2, 2], &IDENTITY),
            initializer("big", &[1], &[1e10]),
            initializer("unit", &[1], &[1.0]),
            initializer("offset", &[1], &[offset]),
        ]);
        let path = folder.path().join(name);
        fs::write(&path, model(&parts)).unwrap();
        let ran = verify(&path, &[]);
        let json = ran.json();
        let upper = json["lipschitz"]["upper"].as_f64().unwrap();
        let exact = f64::from(offset) + 1.0;
        assert!(
            json["verdict"] != "certified" || upper >= exact,
            "{name}: {upper} certified for {exact} x"
        );
    }
}

/// Two networks with different numbers have different hashes, wherever one file ends and the next one begins.
#[test]
fn the_hash_tells_external_files_apart() {
    let network = model(&[
        node("MatMul", &["x", "W"], "h"),
        node("Relu", &["h"], "r"),
        node("MatMul", &["r", "V"], "y"),
        external("W", "a.bin"),
        external("V", "b.bin"),
    ]);
    let bytes = |scale: f32| -> Vec<u8> { IDENTITY.iter().flat_map(|value| (value * scale).to_le_bytes()).collect() };
    let (one, thousand) = (bytes(1.0), bytes(1000.0));
    let run = |first: &[u8], second: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        fs::write(&path, &network).unwrap();
        fs::write(folder.path().join("a.bin"), first).unwrap();
        fs::write(folder.path().join("b.bin"), second).unwrap();
        let json = verify(&path, &[]).json();
        let upper = json["lipschitz"]["upper"].as_f64().unwrap();
        (upper, json["model"]["sha256"].as_str().unwrap().to_owned())
    };
    let small = run(&[one.clone(), thousand.clone()].concat(), &one);
    let large = run(&one, &[thousand, one.clone()].concat());
    assert!(small.0 < 1.1 && large.0 > 999.0, "{small:?} {large:?}");
    assert_ne!(small.1, large.1, "bounds {} and {}", small.0, large.0);
}

/// A product that overflows bounds nothing; and what is written can be read.
#[test]
fn an_infinite_bound_is_not_certified() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.txt");
    fs::write(&path, "[[1e150]],[[1e150]],[[1e150]]").unwrap();
    let ran = verify(&path, &["--method", "product"]);
    let json = ran.json();
    assert_eq!((ran.status, &json["verdict"]), (Some(1), &"not-certified".into()), "{ran:?}");
}

/// `auto` is the best method that works: where no multipliers are found there is the product.
#[test]
fn auto_falls_back_to_the_product() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.txt");
    let deep = vec!["[[1.001]]"; 1000].join(",");
    for text in ["[[1e-200]],[[1e-200]]", &deep] {
        fs::write(&path, text).unwrap();
        let ran = verify(&path, &[]);
        assert_eq!(ran.status, Some(0), "{} characters: {}", text.len(), ran.stderr);
    }
}
