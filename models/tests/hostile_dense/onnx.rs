//! Graphs that are refused.

use lipcert_models::checkpoint::{Checkpoint, FileError};
use lipcert_models::inspect::inspect;
use lipcert_models::network::LoadOptions;

use crate::common::{file, refused};
use crate::graph::{Graph, attribute, bytes, float_attribute, int, network, node, raw, refuse, tensor, text, value, varint};

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
