//! Graphs, byte by byte.

use lipcert_models::checkpoint::Checkpoint;
use lipcert_models::network::{LoadOptions, Network};

use crate::common::file;

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
    out
}

pub(crate) fn bytes(number: u64, payload: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(payload.len() as u64), payload.to_vec()].concat()
}

pub(crate) fn text(number: u64, text: &str) -> Vec<u8> {
    bytes(number, text.as_bytes())
}

pub(crate) fn int(number: u64, value: i64) -> Vec<u8> {
    [varint(number << 3), varint(value.cast_unsigned())].concat()
}

pub(crate) fn raw(values: &[f32]) -> Vec<u8> {
    bytes(9, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

/// A tensor of this element type, with these bytes of further fields.
pub(crate) fn tensor(name: &str, element: i64, sizes: &[i64], rest: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|size| int(1, *size)).collect();
    [sizes, int(2, element), text(8, name), rest.to_vec()].concat()
}

pub(crate) fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|name| text(1, name)).collect();
    let attributes: Vec<u8> = attributes.iter().flat_map(|attribute| bytes(5, attribute)).collect();
    [inputs, text(2, output), text(3, "N"), text(4, operator), attributes].concat()
}

pub(crate) fn attribute(name: &str, value: i64) -> Vec<u8> {
    [text(1, name), int(3, value), int(20, 2)].concat()
}

pub(crate) fn float_attribute(name: &str, value: f32) -> Vec<u8> {
    [text(1, name), varint(2 << 3 | 5), value.to_le_bytes().to_vec(), int(20, 1)].concat()
}

/// An input or output with these sizes.
pub(crate) fn value(name: &str, sizes: &[i64]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|size| bytes(1, &int(1, *size))).collect();
    let kind = bytes(1, &[int(1, 1), bytes(2, &sizes)].concat());
    [text(1, name), bytes(2, &kind)].concat()
}

#[derive(Clone)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Vec<u8>>,
    pub(crate) tensors: Vec<Vec<u8>>,
    pub(crate) inputs: Vec<Vec<u8>>,
    pub(crate) outputs: Vec<Vec<u8>>,
    pub(crate) opset: i64,
}

impl Graph {
    /// `y = relu(x) Wᵀ + b` with `W` of 2 × 3.
    pub(crate) fn new() -> Self {
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

    pub(crate) fn model(&self) -> Vec<u8> {
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

pub(crate) fn network(model: &[u8]) -> Result<Network, lipcert_models::ModelError> {
    let file = file(model);
    Network::load(&Checkpoint::open(file.path())?, &LoadOptions::default())
}

/// Loads a changed graph, which must be refused for this reason.
pub(crate) fn refuse(reason: &str, change: impl FnOnce(&mut Graph)) {
    let mut graph = Graph::new();
    change(&mut graph);
    let error = network(&graph.model()).expect_err(reason).to_string();
    assert!(error.contains(reason), "{reason}: {error}");
}
