//! The walk along the graph: which nodes are layers and which only prepare constants.

use std::collections::{HashMap, HashSet};

use lipcert_proofs::statement::{Operation, Shape};

use super::super::error::shown;
use super::constant::{Constant, Desk, elementwise, product};
use super::draft::{Draft, Walked, finish};
use super::error::{GraphError, NodeError};
use super::model::{Graph, Input, Model, Node, is_standard};
use super::operator::{Attributes, known};

/// Versions of the standard operators that are read.
const OPSETS: (i64, i64) = (7, 28);

/// The tensor that depends on the input.
#[derive(Debug)]
pub(super) struct Live<'a> {
    name: &'a str,
    /// Its sizes for one sample, a batch of 1 included.
    pub(super) sizes: Vec<usize>,
    /// Whether it is still an image for the layers.
    pub(super) image: bool,
}

/// What is known behind each node.
pub(super) struct Walk<'w, 'a, 'f> {
    pub(super) desk: &'w mut Desk<'f>,
    constants: HashMap<&'a str, Constant>,
    pub(super) live: Live<'a>,
    /// Tensors that depend on the input and have been used.
    spent: HashSet<&'a str>,
    pub(super) layers: Vec<(String, Draft)>,
}

/// Walks the graph from its input to its output.
///
/// # Errors
///
/// [`GraphError`], with the node.
pub(super) fn walk<'a>(
    model: &'a Model<'a>,
    constants: HashMap<&'a str, Constant>,
    desk: &mut Desk<'_>,
) -> Result<Walked, GraphError> {
    let (least, most) = OPSETS;
    let found = model.opset;
    if !(least..=most).contains(&found) {
        return Err(GraphError::Opset { found, least, most });
    }
    let graph = &model.graph;
    let (input, output) = ends(graph, &constants)?;
    let sizes = sample_sizes(input)?;
    let shape = match sizes.as_slice() {
        &[_, channels, height, width] => Shape::Image { channels, height, width },
        sizes => Shape::Flat(sizes.iter().product()),
    };
    let mut walk = Walk {
        desk,
        constants,
        live: Live {
            name: input.name,
            sizes,
            image: matches!(shape, Shape::Image { .. }),
        },
        spent: HashSet::new(),
        layers: Vec::new(),
    };
    for node in &graph.nodes {
        walk.node(node).map_err(|cause| {
            let name = if node.name.is_empty() {
                node.outputs.first().copied().unwrap_or("")
            } else {
                node.name
            };
            GraphError::Node {
                node: shown(name.as_bytes()),
                operator: shown(node.operator.as_bytes()),
                cause,
            }
        })?;
    }
    if walk.live.name != output {
        return Err(GraphError::Output {
            output: shown(output.as_bytes()),
            last: shown(walk.live.name.as_bytes()),
        });
    }
    finish(walk, shape)
}

/// The one input that is no initializer, and the one output.
fn ends<'a>(graph: &'a Graph<'a>, constants: &HashMap<&str, Constant>) -> Result<(&'a Input<'a>, &'a str), GraphError> {
    let inputs: Vec<&Input<'_>> = graph
        .inputs
        .iter()
        .filter(|input| !constants.contains_key(input.name))
        .collect();
    let refuse = |what, names: &mut dyn Iterator<Item = &str>, count| GraphError::Ends {
        what,
        count,
        names: names.take(4).map(|name| shown(name.as_bytes())).collect(),
    };
    let [input] = inputs.as_slice() else {
        return Err(refuse("inputs", &mut inputs.iter().map(|input| input.name), inputs.len()));
    };
    let [output] = graph.outputs.as_slice() else {
        return Err(refuse("outputs", &mut graph.outputs.iter().copied(), graph.outputs.len()));
    };
    Ok((input, output))
}

/// The sizes of one sample: a single size, or a batch of 1 or of any size and the sizes behind it.
fn sample_sizes(input: &Input<'_>) -> Result<Vec<usize>, GraphError> {
    let refuse = || {
        let word = |size: &Option<i64>| size.map_or_else(|| "?".to_owned(), |size| size.to_string());
        let sizes: Vec<String> = input.sizes.iter().flatten().map(word).collect();
        GraphError::Input {
            input: shown(input.name.as_bytes()),
            sizes: format!("({})", sizes.join(", ")),
        }
    };
    let sizes = input.sizes.as_deref().filter(|sizes| !sizes.is_empty()).ok_or_else(refuse)?;
    let mut sample = Vec::with_capacity(sizes.len());
    for (axis, size) in sizes.iter().enumerate() {
        sample.push(match size {
            // exporters write 0 or -1 for a batch of any size
            None | Some(0 | -1) if axis == 0 && sizes.len() > 1 => 1,
            Some(size @ 1..=0x100_0000) if axis > 0 || sizes.len() == 1 || *size == 1 => {
                usize::try_from(*size).map_err(|_| refuse())?
            }
            _ => return Err(refuse()),
        });
    }
    let count = sample.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
    match count {
        Some(count) if count <= 1 << 24 => Ok(sample),
        _ => Err(refuse()),
    }
}

/// The operand of a node: what depends on the input, or a constant.
pub(super) enum Operand<'a> {
    Live,
    Constant(&'a str, Constant),
}

impl<'a> Walk<'_, 'a, '_> {
    fn node(&mut self, node: &'a Node<'a>) -> Result<(), NodeError> {
        if !is_standard(node.domain) {
            let domain = shown(node.domain.as_bytes());
            return Err(NodeError::Domain { domain });
        }
        let known = known(node.operator).ok_or(NodeError::Operator)?;
        let attributes = Attributes::new(node, known.attributes)?;
        // a trailing name may be left empty for an input that is not given
        let inputs: &[&str] = match node.inputs.iter().rposition(|name| !name.is_empty()) {
            Some(last) => &node.inputs[..=last],
            None => &[],
        };
        let outputs = node.outputs.iter().filter(|name| !name.is_empty()).count();
        if !known.inputs.contains(&inputs.len()) || outputs != 1 || node.outputs[0].is_empty() {
            return Err(NodeError::Arity {
                inputs: inputs.len(),
                outputs,
            });
        }
        let output = node.outputs[0];
        if output == self.live.name || self.spent.contains(output) || self.constants.contains_key(output) {
            let tensor = shown(output.as_bytes());
            return Err(NodeError::Redefined { tensor });
        }
        let operands = inputs.iter().map(|name| self.operand(name)).collect::<Result<Vec<_>, _>>()?;
        let live = operands.iter().filter(|operand| matches!(operand, Operand::Live)).count();
        if live > 1 {
            return Err(NodeError::TwoOperands);
        }
        if live == 0 || node.operator == "Shape" {
            let constant = self.constant(node.operator, &attributes, &operands)?;
            self.constants.insert(output, constant);
            return Ok(());
        }
        let name = if node.name.is_empty() { output } else { node.name };
        self.layer(node.operator, name, &attributes, &operands)?;
        self.spent.insert(self.live.name);
        self.live.name = output;
        Ok(())
    }

    fn operand(&self, name: &'a str) -> Result<Operand<'a>, NodeError> {
        let tensor = || shown(name.as_bytes());
        if name == self.live.name {
            return Ok(Operand::Live);
        }
        if self.spent.contains(name) {
            return Err(NodeError::Branch { tensor: tensor() });
        }
        match self.constants.get(name) {
            Some(constant) => Ok(Operand::Constant(name, constant.clone())),
            None => Err(NodeError::Unknown { tensor: tensor() }),
        }
    }

    /// A node that only depends on constants, or on the shape of what depends on the input.
    fn constant(&mut self, operator: &str, attributes: &Attributes<'_>, operands: &[Operand<'a>]) -> Result<Constant, NodeError> {
        let constants: Vec<(&str, &Constant)> = operands
            .iter()
            .filter_map(|operand| match operand {
                Operand::Constant(name, constant) => Some((*name, constant)),
                Operand::Live => None,
            })
            .collect();
        match (operator, constants.as_slice()) {
            ("Constant", []) => attributes.constant(),
            ("Shape", constants) => {
                let sizes = constants
                    .first()
                    .map_or(self.live.sizes.as_slice(), |(_, constant)| constant.shape());
                attributes.shape(sizes)
            }
            ("Identity", [(_, constant)]) | ("Dropout", [(_, constant), ..]) => Ok((*constant).clone()),
            ("Gather", [list, index]) => attributes.gather(*list, *index),
            ("Concat", lists) => attributes.concat(lists),
            ("Unsqueeze", [list, rest @ ..]) => attributes.unsqueeze(list.1, rest.first().copied()),
            ("Reshape", [list, target]) => {
                let shape = attributes.reshape(list.1.shape(), *target)?;
                list.1.reshaped(shape)
            }
            ("MatMul", [left, right]) => product(self.desk, *left, *right),
            (operator, [left, right]) => match operation(operator) {
                Some(operation) => elementwise(self.desk, operation, *left, *right),
                None => Err(operand_error(left.0, "what depends on the input")),
            },
            (_, operands) => Err(operand_error(
                operands.first().map_or("", |operand| operand.0),
                "what depends on the input",
            )),
        }
    }
}

/// The operation of an operator on two operands.
pub(super) fn operation(operator: &str) -> Option<Operation> {
    Some(match operator {
        "Add" => Operation::Add,
        "Sub" => Operation::Subtract,
        "Mul" => Operation::Multiply,
        "Div" => Operation::Divide,
        _ => return None,
    })
}

pub(super) fn operand_error(tensor: &str, expected: &'static str) -> NodeError {
    NodeError::Operand {
        tensor: shown(tensor.as_bytes()),
        expected,
    }
}
