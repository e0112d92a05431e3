//! Dense network files that must be refused, with the reason; the graphs and arrays are written here byte by byte.

mod common;

use std::io::Write;

use common::{file, refused};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use lipcert_models::checkpoint::{Checkpoint, FileError};
use lipcert_models::inspect::inspect;
use lipcert_models::network::{LoadOptions, Network};

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
    out
}

fn bytes(number: u64, payload: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(payload.len() as u64), payload.to_vec()].concat()
}

fn text(number: u64, text: &str) -> Vec<u8> {
    bytes(number, text.as_bytes())
}

fn int(number: u64, value: i64) -> Vec<u8> {
    [varint(number << 3), varint(value.cast_unsigned())].concat()
}

fn raw(values: &[f32]) -> Vec<u8> {
    bytes(9, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

/// A tensor of this element type, with these bytes of further fields.
fn tensor(name: &str, element: i64, sizes: &[i64], rest: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|size| int(1, *size)).collect();
    [sizes, int(2, element), text(8, name), rest.to_vec()].concat()
}

fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|name| text(1, name)).collect();
    let attributes: Vec<u8> = attributes.iter().flat_map(|attribute| bytes(5, attribute)).collect();
    [inputs, text(2, output), text(3, "N"), text(4, operator), attributes].concat()
}

fn attribute(name: &str, value: i64) -> Vec<u8> {
    [text(1, name), int(3, value), int(20, 2)].concat()
}

fn float_attribute(name: &str, value: f32) -> Vec<u8> {
    [text(1, name), varint(2 << 3 | 5), value.to_le_bytes().to_vec(), int(20, 1)].concat()
}

/// An input or output with these sizes.
fn value(name: &str, sizes: &[i64]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|size| bytes(1, &int(1, *size))).collect();
    let kind = bytes(1, &[int(1, 1), bytes(2, &sizes)].concat());
    [text(1, name), bytes(2, &kind)].concat()
}

#[derive(Clone)]
struct Graph {
    nodes: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    inputs: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
    opset: i64,
}

impl Graph {
    /// `y = relu(x) Wᵀ + b` with `W` of 2 × 3.
    fn new() -> Self {
        Self {
            nodes: vec![
                node("Relu", &["x"], "r", &[]),
                node("Gemm", &["r", "w", "b"], "y", &[attribute("transB", 1)]),
            ],
            tensors: vec![
                tensor("w", 1, &[2, 3], &raw(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
                tensor("b", 1, &[2], &raw(&[0.5, 0.25])),
            ],
            inputs: vec![value("x", &[1, 3])],
            outputs: vec![value("y", &[1, 2])],
            opset: 17,
        }
    }

    fn model(&self) -> Vec<u8> {
        let part = |number, list: &[Vec<u8>]| list.iter().flat_map(|item| bytes(number, item)).collect::<Vec<u8>>();
        let graph = [
            part(1, &self.nodes),
            text(2, "g"),
            part(5, &self.tensors),
            part(11, &self.inputs),
            part(12, &self.outputs),
        ]
        .concat();
        [
            int(1, 8),
            text(2, "test"),
            bytes(7, &graph),
            bytes(8, &[text(1, ""), int(2, self.opset)].concat()),
        ]
        .concat()
    }
}

fn network(model: &[u8]) -> Result<Network, lipcert_models::ModelError> {
    let file = file(model);
    Network::load(&Checkpoint::open(file.path())?, &LoadOptions::default())
}

/// Loads a changed graph, which must be refused for this reason.
fn refuse(reason: &str, change: impl FnOnce(&mut Graph)) {
    let mut graph = Graph::new();
    change(&mut graph);
    let error = network(&graph.model()).expect_err(reason).to_string();
    assert!(error.contains(reason), "{reason}: {error}");
}

#[test]
fn the_graph_itself_is_read() {
    let network = network(&Graph::new().model()).expect("well formed");
    assert_eq!(network.names, ["N", "N (2)"]);
    assert_eq!(network.map.head().expect("a head").1, [0.5, 0.25]);
    assert_eq!(network.map.head().expect("a head").0.data(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}

#[test]
fn smooth_activations_are_read() {
    for (operator, attributes, kind) in [
        ("Tanh", vec![], "tanh"),
        ("Sigmoid", vec![], "sigmoid"),
        ("Softplus", vec![], "softplus"),
        ("Elu", vec![], "elu"),
        ("Elu", vec![float_attribute("alpha", 1.0)], "elu"),
    ] {
        let mut graph = Graph::new();
        graph.nodes[0] = node(operator, &["x"], "r", &attributes);
        assert_eq!(network(&graph.model()).expect(operator).map.layers()[0].kind(), kind);
    }
    refuse("alpha", |graph| {
        graph.nodes[0] = node("Elu", &["x"], "r", &[float_attribute("alpha", 2.0)])
    });
    refuse("beta", |graph| {
        graph.nodes[0] = node("Softplus", &["x"], "r", &[float_attribute("beta", 2.0)])
    });
}

#[test]
fn operators_and_attributes_are_refused_by_name() {
    for operator in ["Conv", "Erf", "Softmax", "If", "Loop", "Transpose", "BatchNormalization", ""] {
        refuse(&format!("node `N` ({operator}): this operator is not read"), |graph| {
            graph.nodes[0] = node(operator, &["x"], "r", &[]);
        });
    }
    refuse("operators of the domain `com.example` are not read", |graph| {
        graph.nodes[0].extend(text(7, "com.example"));
    });
    for (reason, attributes) in [
        (
            "attribute `alpha` is 0.5",
            vec![float_attribute("alpha", 0.5), attribute("transB", 1)],
        ),
        (
            "attribute `alpha` is NaN",
            vec![float_attribute("alpha", f32::NAN), attribute("transB", 1)],
        ),
        (
            "attribute `beta` is 2",
            vec![float_attribute("beta", 2.0), attribute("transB", 1)],
        ),
        (
            "attribute `broadcast` is unknown",
            vec![attribute("broadcast", 1), attribute("transB", 1)],
        ),
        ("attribute `transB` is 2", vec![attribute("transB", 2)]),
        (
            "attribute `transB` is given twice",
            vec![attribute("transB", 1), attribute("transB", 1)],
        ),
        ("attribute `transB` is of another kind", vec![float_attribute("transB", 1.0)]),
        ("shapes [1, 3] and [2, 3] do not go together", vec![]),
        (
            "shapes [3, 1] and [3, 2] do not go together",
            vec![attribute("transA", 1), attribute("transB", 1)],
        ),
    ] {
        refuse(reason, |graph| {
            graph.nodes[1] = node("Gemm", &["r", "w", "b"], "y", &attributes)
        });
    }
    refuse("attribute `axis` is -4", |graph| {
        graph.nodes[0] = node("Flatten", &["x"], "r", &[attribute("axis", -4)]);
    });
    refuse("operator set 6 is not read (7 to 28 are)", |graph| graph.opset = 6);
    refuse("operator set -1 is not read", |graph| graph.opset = -1);
}

#[test]
fn only_chains_are_read() {
    refuse("tensor `x` is used twice", |graph| {
        graph.nodes.insert(1, node("Relu", &["x"], "s", &[]));
    });
    refuse("both operands depend on the input", |graph| {
        graph.nodes[0] = node("Add", &["x", "x"], "r", &[]);
    });
    refuse("tensor `x` is used twice", |graph| {
        graph.nodes.insert(1, node("Add", &["r", "x"], "s", &[]));
    });
    refuse("output `y` is not what the last node makes (`z`)", |graph| {
        graph.nodes.push(node("Relu", &["y"], "z", &[]));
    });
    refuse("the graph has 2 inputs, one is read: `x`, `u`", |graph| {
        graph.inputs.push(value("u", &[1]))
    });
    refuse("the graph has 0 inputs", |graph| graph.inputs.clear());
    refuse("the graph has 2 outputs", |graph| graph.outputs.push(value("r", &[1, 3])));
    refuse("tensor `missing` does not exist", |graph| {
        graph.nodes[1] = node("Gemm", &["r", "missing"], "y", &[]);
    });
    refuse("tensor `x` exists already", |graph| {
        graph.nodes[0] = node("Relu", &["x"], "x", &[])
    });
    refuse("tensor `b` exists already", |graph| {
        graph.nodes[0] = node("Relu", &["x"], "b", &[])
    });
    refuse("2 inputs and 1 outputs are not read", |graph| {
        graph.nodes[0] = node("Relu", &["x", "b"], "r", &[])
    });
    refuse("`b` has to be the second operand", |graph| {
        graph.tensors[1] = tensor("b", 1, &[3], &raw(&[1.0; 3]));
        graph.nodes[0] = node("Div", &["b", "x"], "r", &[]);
        graph.nodes[1] = node("Gemm", &["r", "w"], "y", &[attribute("transB", 1)]);
    });
    refuse("the output does not depend", |graph| {
        graph.nodes = vec![node("Identity", &["x"], "y", &[])];
    });
    for sizes in [&[2, 3][..], &[1, -3], &[1, 0], &[], &[1, i64::MAX], &[1, 1 << 20, 1 << 20]] {
        refuse("input `x` has the sizes", |graph| graph.inputs[0] = value("x", sizes));
    }
    refuse("shape [1, 3] cannot become [2, -1]", |graph| {
        graph
            .tensors
            .push(tensor("s", 7, &[2], &bytes(7, &[varint(2), varint(u64::MAX)].concat())));
        graph.nodes[0] = node("Reshape", &["x", "s"], "r", &[]);
    });
    refuse("shape [1, 3] cannot become [-2, 3]", |graph| {
        graph.tensors.push(tensor(
            "s",
            7,
            &[2],
            &bytes(7, &[varint((-2i64).cast_unsigned()), varint(3)].concat()),
        ));
        graph.nodes[0] = node("Reshape", &["x", "s"], "r", &[]);
    });
}

#[test]
fn tensors_are_what_they_say() {
    for (reason, tensor) in [
        (
            "tensor `w`: a size is negative: -2",
            tensor("w", 1, &[-2, 3], &raw(&[0.0; 6])),
        ),
        (
            "more elements than can be counted",
            tensor("w", 1, &[i64::MAX, i64::MAX], &raw(&[0.0; 6])),
        ),
        ("more elements than can be counted", tensor("w", 1, &[1 << 62, 4], &raw(&[]))),
        (
            "`w` has 20 bytes, shape [2, 3] of float32 needs 24",
            tensor("w", 1, &[2, 3], &raw(&[0.0; 5])),
        ),
        (
            "`w` has 28 bytes, shape [2, 3] of float32 needs 24",
            tensor("w", 1, &[2, 3], &raw(&[0.0; 7])),
        ),
        (
            "`w` has 24 bytes, shape [2, 3] of float64 needs 48",
            tensor("w", 11, &[2, 3], &raw(&[0.0; 6])),
        ),
        ("`w`: no numbers", tensor("w", 1, &[2, 3], &[])),
        ("`w` has elements of type 8", tensor("w", 8, &[2, 3], &raw(&[0.0; 6]))),
        ("`w` has elements of type 0", tensor("w", 0, &[2, 3], &raw(&[0.0; 6]))),
        ("another element type", tensor("w", 11, &[3], &bytes(4, &[0; 24]))),
        ("floats in a field of integers", tensor("w", 1, &[3], &bytes(7, &[0; 3]))),
        (
            "the numbers stand in two places",
            tensor("w", 1, &[2, 3], &[raw(&[0.0; 6]), int(7, 1)].concat()),
        ),
        (
            "the numbers stand in two places",
            tensor("w", 1, &[2, 3], &[raw(&[0.0; 6]), int(14, 1)].concat()),
        ),
        (
            "stands twice",
            tensor("w", 1, &[2, 3], &[raw(&[0.0; 6]), raw(&[0.0; 6])].concat()),
        ),
        ("more than 16 integers", tensor("w", 1, &[1; 17], &raw(&[0.0]))),
        ("tensor `b`: the name stands twice", tensor("b", 1, &[2, 3], &raw(&[0.0; 6]))),
    ] {
        refuse(reason, |graph| graph.tensors[0] = tensor);
    }
    for (reason, tensor) in [
        ("elements are int64", tensor("w", 7, &[2, 3], &bytes(9, &[0; 48]))),
        ("NaN", tensor("w", 1, &[2, 3], &raw(&[0.0, 0.0, f32::NAN, 0.0, 0.0, 0.0]))),
        (
            "inf",
            tensor("w", 1, &[2, 3], &raw(&[0.0, 0.0, f32::INFINITY, 0.0, 0.0, 0.0])),
        ),
        ("do not go together", tensor("w", 1, &[6], &raw(&[0.0; 6]))),
        ("do not go together", tensor("w", 1, &[2, 0], &raw(&[]))),
    ] {
        refuse(reason, |graph| graph.tensors[0] = tensor);
    }
    let external = |entries: &[(&str, &str)]| {
        let entries = entries
            .iter()
            .flat_map(|(key, value)| bytes(13, &[text(1, key), text(2, value)].concat()));
        tensor("w", 1, &[2, 3], &[entries.collect(), int(14, 1)].concat())
    };
    for location in [
        "/etc/passwd",
        "../data",
        "folder/data",
        "..",
        ".",
        "",
        "c:data",
        "a\\b",
        "a\0b",
    ] {
        refuse("only files beside the model are read", |graph| {
            graph.tensors[0] = external(&[("location", location)])
        });
    }
    for (reason, entries) in [
        ("no location is given", &[("offset", "0")][..]),
        ("no file", &[("location", "no-such-file.data")]),
        ("`-1` is not a number", &[("location", "x"), ("offset", "-1")]),
        ("stands twice", &[("location", "x"), ("location", "y")]),
    ] {
        let mut graph = Graph::new();
        graph.tensors[0] = external(entries);
        let error = network(&graph.model()).expect_err(reason).to_string();
        let known = error.contains(reason) || error.contains("os error 2") || error.contains("single entry");
        assert!(known, "{reason}: {error}");
    }
}

#[test]
fn damaged_messages_are_refused_and_nothing_panics() {
    let model = Graph::new().model();
    for end in 3..model.len() {
        let error = network(&model[..end]).expect_err("cut off").to_string();
        assert!(!error.is_empty());
    }
    for place in 0..model.len() {
        for bit in 0..8 {
            let mut model = model.clone();
            model[place] ^= 1 << bit;
            // many changes are harmless, none may panic
            let _ = network(&model);
        }
    }
    let twice = [model.clone(), bytes(7, &[])].concat();
    assert!(matches!(refused(&twice), FileError::Onnx(_)));
    let nested = (0..10_000).fold(Vec::new(), |inner, _| bytes(6, &inner));
    refuse("attribute `then_branch` is unknown", |graph| {
        let attribute = [text(1, "then_branch"), nested, int(20, 5)].concat();
        graph.nodes[0] = node("Relu", &["x"], "r", &[attribute]);
    });
    refuse("more than 16384 nodes", |graph| graph.nodes = vec![Vec::new(); 20_000]);
    refuse("more than 16384 initializers", |graph| {
        graph.tensors = vec![Vec::new(); 20_000]
    });
}

#[test]
fn a_small_file_does_not_become_a_large_network() {
    // a product of all pairs, and a list that doubles at every node
    refuse("larger than the file", |graph| {
        graph.tensors.push(tensor("c", 1, &[1, 2000], &raw(&[1.0; 2000])));
        graph.tensors.push(tensor("d", 1, &[2000, 1], &raw(&[1.0; 2000])));
        graph.nodes.insert(0, node("Add", &["c", "d"], "e", &[]));
    });
    refuse("larger than the file", |graph| {
        graph.tensors.push(tensor("l0", 7, &[2], &bytes(7, &[1, 1])));
        for level in 0..40 {
            let list = format!("l{level}");
            let concat = node("Concat", &[&list, &list], &format!("l{}", level + 1), &[attribute("axis", 0)]);
            graph.nodes.insert(level, concat);
        }
    });
    // an identity of a hundred million numbers behind a `Relu`
    refuse("the graph ends in 10000 numbers", |graph| {
        graph.inputs[0] = value("x", &[1, 10_000]);
        graph.nodes = vec![node("Relu", &["x"], "y", &[])];
    });
    // one weight in a thousand layers
    refuse("larger than the file", |graph| {
        let size = 64;
        graph.inputs[0] = value("x", &[1, size]);
        graph.tensors[0] = tensor("w", 1, &[size, size], &raw(&vec![1.0; 64 * 64]));
        graph.nodes = (0..1000)
            .map(|layer| {
                let (from, to) = (format!("h{layer}"), format!("h{}", layer + 1));
                node("MatMul", &[if layer == 0 { "x" } else { &from }, "w"], &to, &[])
            })
            .collect();
        graph.outputs[0] = value("h1000", &[1, size]);
    });
}

#[test]
fn a_refused_graph_can_be_looked_at() {
    let mut graph = Graph::new();
    graph.nodes[0] = node("Erf", &["x"], "r", &[]);
    let file = file(&graph.model());
    let checkpoint = Checkpoint::open(file.path()).expect("the bytes are well formed");
    let found = inspect(&checkpoint, &LoadOptions::default());
    assert_eq!(found.tensors.len(), 2);
    assert_eq!(found.tensors[0].name, "w");
    assert!(
        found.findings[0].message.contains("(Erf): this operator is not read"),
        "{:?}",
        found.findings
    );
}

/// An element of a MATLAB file.
fn element(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut out = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
    out.extend_from_slice(data);
    if kind != 15 {
        out.resize(out.len().next_multiple_of(8), 0);
    }
    out
}

/// An array of a class, with the element that holds its numbers.
fn array(class: u32, sizes: &[i32], name: &str, rest: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    let flags = [class.to_le_bytes(), [0; 4]].concat();
    let parts = [
        element(6, &flags),
        element(5, &sizes),
        element(1, name.as_bytes()),
        rest.to_vec(),
    ]
    .concat();
    element(14, &parts)
}

fn doubles(values: &[f64]) -> Vec<u8> {
    element(9, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

fn matlab(variables: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"MATLAB 5.0 MAT-file".to_vec();
    out.resize(124, b' ');
    out.extend(b"\x00\x01IM");
    out.extend(variables.concat());
    out
}

/// A cell `weights` of one array of these sizes.
fn weights(cell: &[u8]) -> Vec<u8> {
    matlab(&[array(1, &[1, 1], "weights", cell)])
}

#[test]
fn matlab_numbers_of_every_type_are_widened() {
    let expected = [1.0, 3.0, 2.0, 4.0];
    let small = [[2, 0, 4, 0].as_slice(), &[1, 2, 3, 4]].concat();
    for (class, numbers) in [
        (6, element(2, &[1, 2, 3, 4])),
        (6, small.clone()),
        (9, small),
        (8, element(1, &[1, 2, 3, 4])),
        (6, element(3, &[1, 0, 2, 0, 3, 0, 4, 0])),
        (11, element(4, &[1, 0, 2, 0, 3, 0, 4, 0])),
        (7, element(7, &[1f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat())),
        (6, element(7, &[1f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat())),
        (14, element(12, &[1i64, 2, 3, 4].map(i64::to_le_bytes).concat())),
        (6, doubles(&[1.0, 2.0, 3.0, 4.0])),
    ] {
        let network = network(&weights(&array(class, &[2, 2], "", &numbers))).expect("well formed");
        assert_eq!(network.map.head().expect("a head").0.data(), expected, "class {class}");
    }
}

#[test]
fn matlab_files_are_refused() {
    let good = doubles(&[1.0, 2.0, 3.0, 4.0]);
    let big = (1i64 << 53) + 1;
    for (reason, file) in [
        ("64-bit", weights(&array(14, &[1, 1], "", &element(12, &big.to_le_bytes())))),
        ("`weights{0}` is a structure", weights(&array(2, &[1, 1], "", &[]))),
        ("`weights{0}` is a cell inside a cell", weights(&array(1, &[0, 0], "", &[]))),
        ("`weights{0}` is text", weights(&array(4, &[1, 1], "", &element(4, &[65, 0])))),
        ("`s` is sparse", matlab(&[array(5, &[1, 1], "s", &[])])),
        ("`o` is of an unknown class", matlab(&[array(17, &[1, 1], "o", &[])])),
        (
            "`c` is complex",
            matlab(&[array(6 | 0x0800, &[2, 2], "c", &[good.clone(), good.clone()].concat())]),
        ),
        ("sizes [2, 3] has 4 numbers", weights(&array(6, &[2, 3], "", &good))),
        ("sizes [-2, -2] has 4 numbers", weights(&array(6, &[-2, -2], "", &good))),
        ("sizes [4] has 4 numbers", weights(&array(6, &[4], "", &good))),
        (
            "has 4 numbers",
            weights(&array(6, &[i32::MAX, i32::MAX, i32::MAX], "", &good)),
        ),
        (
            "has 4 numbers",
            weights(&array(6, &[2, 2], "", &[good.clone(), good.clone()].concat())),
        ),
        (
            "sizes [1, 2] has 1 numbers",
            matlab(&[array(1, &[1, 2], "weights", &array(6, &[2, 2], "", &good))]),
        ),
        ("an element of type 9", weights(&array(10, &[2, 2], "", &good))),
        (
            "an element of type 18",
            weights(&array(6, &[2, 2], "", &element(18, &[0; 32]))),
        ),
        ("an element of type 9 at byte 128", matlab(std::slice::from_ref(&good))),
        ("truncated", weights(&element(14, &[]))),
        ("not a complete zlib stream", matlab(&[element(15, b"nothing")])),
        ("belongs to no layer", matlab(&[array(6, &[2, 2], "A", &good)])),
    ] {
        let error = network(&file).expect_err(reason).to_string();
        let known = match reason {
            "64-bit" => error.contains("`9007199254740993` is not a float64"),
            "belongs to no layer" => error.contains("unknown architecture"),
            _ => error.contains(reason),
        };
        assert!(known, "{reason}: {error}");
    }
    let mut header = matlab(&[]);
    for (place, bytes, reason) in [(124, *b"\x01\x00MI", "big-endian"), (124, *b"\x00\x02IM", "another version")] {
        header[place..place + 4].copy_from_slice(&bytes);
        let error = refused(&header).to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert!(refused(b"MATLAB 5.0 MAT-file").to_string().contains("cut off"));
    let file = weights(&array(6, &[2, 2], "", &good));
    for end in 129..file.len() {
        assert!(network(&file[..end]).is_err(), "{end}");
    }
    for place in 116..file.len() {
        for bit in 0..8 {
            let mut file = file.clone();
            file[place] ^= 1 << bit;
            let _ = network(&file);
        }
    }
}

#[test]
fn matlab_streams_are_bounded() {
    let zeros = array(6, &[1, 4 << 20], "weights", &element(2, &vec![0; 4 << 20]));
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&zeros).expect("in memory");
    let packed = encoder.finish().expect("in memory");
    assert!(packed.len() < 8192);
    let error = refused(&matlab(&[element(15, &packed)])).to_string();
    assert!(error.contains("grows beyond 64 times the file"), "{error}");
    // small numbers that become large ones
    let zeros = array(6, &[1, 1 << 19], "A", &element(2, &vec![0; 1 << 19]));
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&zeros).expect("in memory");
    let packed = encoder.finish().expect("in memory");
    let error = refused(&matlab(&[element(15, &packed)])).to_string();
    assert!(error.contains("numbers for a file of its size"), "{error}");
}

#[test]
fn lists_that_are_no_network_are_refused() {
    for (text, reason) in [
        ("[[1,2],[3]]", "row 1 has 1 numbers"),
        ("[[1]],[[1],[2]]", "matrix 1 has 2 rows"),
        ("[[1,2", "expected `,` or `]`"),
        ("[[1e400]]", "not a finite decimal"),
        ("[[0x10]]", "expected `,` or `]`"),
        ("[[1]]]", "expected `,` or the end"),
    ] {
        let error = refused(text.as_bytes()).to_string();
        assert!(error.contains("nested lists: ") && error.contains(reason), "{text}: {error}");
    }
    let deep = "[".repeat(100_000);
    assert!(refused(deep.as_bytes()).to_string().contains("byte 2"));
}

#[test]
fn state_dicts_that_are_no_stack_are_refused() {
    let save = |tensors: &[(&str, &[usize])]| {
        let tensors: Vec<_> = tensors
            .iter()
            .map(|(name, shape)| (*name, *shape, vec![0.5f32; shape.iter().product()]))
            .collect();
        common::safetensors(&[], &tensors)
    };
    let good = network(&save(&[
        ("net.10.weight", &[2, 4]),
        ("net.2.weight", &[4, 3]),
        ("net.2.bias", &[4]),
        ("net.4.weight", &[4, 4]),
    ]))
    .expect("in the order of the numbers");
    assert_eq!(good.names, ["net.2", "net.2.relu", "net.4", "net.4.relu", "net.10"]);
    for (reason, tensors) in [
        (
            "`1.weight` has shape [2, 5], expected [2, 4]",
            &[("0.weight", &[4, 3][..]), ("1.weight", &[2, 5])][..],
        ),
        (
            "`0.bias` has shape [3], expected [4]",
            &[("0.weight", &[4, 3]), ("0.bias", &[3])],
        ),
        ("`1.weight` is missing", &[("0.weight", &[4, 3]), ("1.bias", &[3])]),
        ("`W1` is missing", &[("W0", &[4, 3]), ("b1", &[3])]),
        (
            "`b.1.weight` of shape [2, 4] is neither",
            &[("a.0.weight", &[4, 3]), ("b.1.weight", &[2, 4])],
        ),
        ("`0.weight` of shape [4, 3, 1, 1]", &[("0.weight", &[4, 3, 1, 1])]),
        (
            "`1.running_mean` of shape [4]",
            &[("0.weight", &[4, 3]), ("1.running_mean", &[4])],
        ),
        (
            "`1.weight` of shape [4]",
            &[("0.weight", &[4, 3]), ("1.weight", &[4]), ("1.bias", &[4])],
        ),
        ("`0.weight` of shape [0, 3]", &[("0.weight", &[0, 3])]),
        (
            "unknown architecture",
            &[("first.weight", &[4, 3]), ("second.weight", &[2, 4])],
        ),
    ] {
        let error = network(&save(tensors)).expect_err(reason).to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}
