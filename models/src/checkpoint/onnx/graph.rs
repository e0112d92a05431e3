//! The walk along the graph: which nodes are layers and which only prepare constants.

use std::collections::{HashMap, HashSet};

use lipcert_proofs::statement::{Activation, Operation, Shape};

use super::super::TensorInfo;
use super::super::dtype::Dtype;
use super::super::error::shown;
use super::super::place::Place;
use super::constant::{Constant, Desk, broadcast, elementwise, exact_products, expand, product};
use super::error::{GraphError, NodeError};
use super::model::{Graph, Input, Model, Node, is_standard};
use super::operator::{Attributes, known};
use crate::architecture::{Architecture, ONNX, Plan, PlannedLayer};

/// Versions of the standard operators that are read.
const OPSETS: (i64, i64) = (7, 28);
/// The largest identity that is written behind a graph that does not end in an affine layer.
const MAX_IDENTITY: usize = 1 << 12;
/// The slope of `LeakyRelu` where the node gives none.
const SLOPE: f32 = 0.01;

/// What a graph is.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) architecture: Architecture,
    pub(super) tensors: Vec<(TensorInfo, Place)>,
    /// Names of the tensors that were computed with rounding.
    pub(super) computed: Vec<String>,
}

/// A layer before it has all its parameters.
#[derive(Debug)]
enum Draft {
    Flatten,
    /// Weight `(m, n)`, bias `(m,)`.
    Dense {
        weight: Constant,
        bias: Option<Constant>,
    },
    Activation(Activation),
    /// One operand an entry.
    Elementwise(Operation, Constant),
}

/// The tensor that depends on the input.
#[derive(Debug)]
struct Live<'a> {
    name: &'a str,
    /// Its sizes for one sample, a batch of 1 included.
    sizes: Vec<usize>,
    /// Whether it is still an image for the layers.
    image: bool,
}

struct Walk<'w, 'a, 'f> {
    desk: &'w mut Desk<'f>,
    constants: HashMap<&'a str, Constant>,
    live: Live<'a>,
    /// Tensors that depend on the input and have been used.
    spent: HashSet<&'a str>,
    layers: Vec<(String, Draft)>,
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
    walk.finish(shape)
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
enum Operand<'a> {
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

    /// A node that the sample passes through.
    fn layer(
        &mut self,
        operator: &str,
        name: &str,
        attributes: &Attributes<'_>,
        operands: &[Operand<'a>],
    ) -> Result<(), NodeError> {
        match (operator, operands) {
            ("Identity", _) => Ok(()),
            ("Dropout", [Operand::Live, rest @ ..]) => match rest {
                [] | [_] => Ok(()),
                [_, Operand::Constant(_, training)] if training.integers.as_deref() == Some(&[0]) => Ok(()),
                _ => Err(operand_error("training_mode", "false")),
            },
            ("Relu", _) => {
                self.push(name, Draft::Activation(Activation::Relu));
                Ok(())
            }
            ("LeakyRelu", _) => {
                let slope = f64::from(attributes.float("alpha", SLOPE));
                self.push(name, Draft::Activation(Activation::LeakyRelu { slope }));
                Ok(())
            }
            ("Flatten", _) => {
                let axis = attributes.axis("axis", 1, self.live.sizes.len() + 1)?;
                let (front, back) = self.live.sizes.split_at(axis);
                self.live.sizes = vec![front.iter().product(), back.iter().product()];
                Ok(())
            }
            ("Reshape", [Operand::Live, Operand::Constant(target, constant)]) => {
                self.live.sizes = attributes.reshape(&self.live.sizes, (target, constant))?;
                Ok(())
            }
            ("Unsqueeze", [Operand::Live, rest @ ..]) => {
                let axes = match rest {
                    [Operand::Constant(axes, constant)] => Some((*axes, constant)),
                    _ => None,
                };
                self.live.sizes = attributes.unsqueezed(&self.live.sizes, axes)?;
                Ok(())
            }
            ("MatMul", [Operand::Live, Operand::Constant(weight, constant)]) => self.rows(name, (weight, constant.clone()), true),
            ("MatMul", [Operand::Constant(weight, constant), Operand::Live]) => self.columns(name, (weight, constant.clone())),
            ("Gemm", [first, second, rest @ ..]) => self.gemm(name, attributes, first, second, rest),
            (operator, [Operand::Live, Operand::Constant(operand, constant)]) => match operation(operator) {
                Some(operation) => self.elementwise(name, operation, (operand, constant)),
                None => Err(operand_error(operand, "left out")),
            },
            (_, [Operand::Constant(operand, constant), Operand::Live]) => match operation(operator) {
                Some(operation @ (Operation::Add | Operation::Multiply)) => {
                    self.elementwise(name, operation, (operand, constant))
                }
                _ => Err(operand_error(operand, "the second operand, the first depends on the input")),
            },
            _ => Err(NodeError::Operator),
        }
    }

    fn push(&mut self, name: &str, draft: Draft) {
        self.layers.push((name.to_owned(), draft));
    }

    /// `x · B` with `x` a row: sizes `(1, …, 1, n)`, or `(n,)` for `MatMul`; the weight is `Bᵀ`.
    fn rows(&mut self, name: &str, (operand, right): (&str, Constant), vector: bool) -> Result<(), NodeError> {
        let mismatch = NodeError::Shapes {
            left: self.live.sizes.clone(),
            right: right.shape().to_vec(),
        };
        let (Some((n, lead)), &[k, m]) = (self.live.sizes.split_last(), right.shape()) else {
            return Err(mismatch);
        };
        if *n != k || lead.iter().any(|size| *size != 1) || (lead.is_empty() && !vector) {
            return Err(mismatch);
        }
        *self.live.sizes.last_mut().expect("it has a last size") = m;
        self.dense(name, operand, right.transposed())
    }

    /// `A · x` with `x` a column: sizes `(n,)` or `(1, …, 1, n, 1)`; the weight is `A`.
    fn columns(&mut self, name: &str, (operand, left): (&str, Constant)) -> Result<(), NodeError> {
        let mismatch = NodeError::Shapes {
            left: left.shape().to_vec(),
            right: self.live.sizes.clone(),
        };
        let &[m, k] = left.shape() else {
            return Err(mismatch);
        };
        let place = match self.live.sizes.as_slice() {
            [_] => 0,
            [lead @ .., _, 1] if lead.iter().all(|size| *size == 1) => lead.len(),
            _ => return Err(mismatch),
        };
        if self.live.sizes[place] != k {
            return Err(mismatch);
        }
        self.live.sizes[place] = m;
        self.dense(name, operand, left)
    }

    /// Adds a dense layer, named after its weight if that is called `NAME.weight`.
    fn dense(&mut self, node: &str, operand: &str, weight: Constant) -> Result<(), NodeError> {
        self.desk.take(weight.shape().iter().product())?;
        if std::mem::take(&mut self.live.image) {
            self.push("flatten", Draft::Flatten);
        }
        let name = operand
            .strip_suffix(".weight")
            .filter(|name| !name.is_empty())
            .unwrap_or(node);
        self.push(name, Draft::Dense { weight, bias: None });
        Ok(())
    }

    /// `alpha A' B' + beta C`, either factor transposed or not.
    fn gemm(
        &mut self,
        name: &str,
        attributes: &Attributes<'_>,
        first: &Operand<'a>,
        second: &Operand<'a>,
        rest: &[Operand<'a>],
    ) -> Result<(), NodeError> {
        attributes.require_one("alpha")?;
        if !rest.is_empty() {
            attributes.require_one("beta")?;
        }
        let (left, right) = (attributes.flag("transA")?, attributes.flag("transB")?);
        if self.live.sizes.len() != 2 {
            return Err(NodeError::Shapes {
                left: self.live.sizes.clone(),
                right: vec![1, 0],
            });
        }
        let turn = |constant: &Constant, turned: bool| {
            let constant = constant.clone();
            if turned { constant.transposed() } else { constant }
        };
        match (first, second) {
            (Operand::Live, Operand::Constant(operand, constant)) => {
                if left {
                    self.live.sizes.swap(0, 1);
                }
                self.rows(name, (operand, turn(constant, right)), false)?;
            }
            (Operand::Constant(operand, constant), Operand::Live) => {
                if right {
                    self.live.sizes.swap(0, 1);
                }
                self.columns(name, (operand, turn(constant, left)))?;
            }
            _ => return Err(operand_error("C", "a constant")),
        }
        match rest {
            [Operand::Constant(operand, constant)] => self.elementwise(name, Operation::Add, (operand, constant)),
            [] => Ok(()),
            _ => Err(operand_error("C", "a constant")),
        }
    }

    /// `x ∘ operand`: a bias, a scaling that is multiplied in, nothing, or a layer of its own.
    fn elementwise(&mut self, name: &str, operation: Operation, (operand, constant): (&str, &Constant)) -> Result<(), NodeError> {
        let mismatch = || NodeError::Shapes {
            left: self.live.sizes.clone(),
            right: constant.shape().to_vec(),
        };
        let target = broadcast(&self.live.sizes, constant.shape()).ok_or_else(mismatch)?;
        let count = self.live.sizes.iter().product::<usize>();
        if target.iter().try_fold(1usize, |all, size| all.checked_mul(*size)) != Some(count) {
            return Err(mismatch());
        }
        self.desk.take(count)?;
        let values = self.desk.read(operand, constant)?;
        let neutral = match operation {
            Operation::Add | Operation::Subtract => 0.0,
            Operation::Multiply | Operation::Divide => 1.0,
        };
        let nothing = values.iter().all(|value| *value == neutral);
        let whole = constant.shape().iter().product::<usize>() == count;
        let spread = if whole {
            // the order does not change, so the numbers can stay in the file
            constant.reshaped(vec![count])?
        } else {
            let values = expand(&values, constant.shape(), &target);
            Constant::floats(constant.dtype, vec![count], values, constant.computed)?
        };
        self.live.sizes = target;
        match (operation, self.layers.last_mut()) {
            (Operation::Add, Some((_, Draft::Dense { bias: bias @ None, .. }))) => *bias = Some(spread),
            _ if nothing => {}
            (Operation::Multiply, Some((_, Draft::Dense { weight, bias }))) => {
                let scaled = scaled(self.desk, weight, bias.as_ref(), &spread)?;
                match scaled {
                    Some((scaled_weight, scaled_bias)) => (*weight, *bias) = (scaled_weight, scaled_bias),
                    None => self.push(name, Draft::Elementwise(operation, spread)),
                }
            }
            _ => self.push(name, Draft::Elementwise(operation, spread)),
        }
        Ok(())
    }

    /// The layers with their names and tensors; a graph that does not end in an affine layer gets an identity behind it.
    fn finish(mut self, input: Shape) -> Result<Walked, GraphError> {
        let affine = matches!(self.layers.last(), Some((_, Draft::Dense { .. })));
        let parameters = self.layers.iter().any(|(_, draft)| !matches!(draft, Draft::Flatten));
        if !parameters {
            return Err(GraphError::Empty);
        }
        if !affine {
            let size = self.live.sizes.iter().product::<usize>();
            let identity = (size <= MAX_IDENTITY)
                .then(|| {
                    let values = (0..size * size).map(|flat| if flat / size == flat % size { 1.0 } else { 0.0 });
                    Constant::floats(Dtype::Float64, vec![size, size], values.collect(), false).ok()
                })
                .flatten();
            let identity = identity.ok_or(GraphError::Empty)?;
            let image = self.live.image;
            if image {
                self.push("flatten", Draft::Flatten);
            }
            self.push(
                "identity",
                Draft::Dense {
                    weight: identity,
                    bias: None,
                },
            );
        }
        Ok(write(self.layers, input))
    }
}

/// The weight and bias of a dense layer whose outputs are multiplied, if every product is exact.
#[expect(clippy::type_complexity, reason = "weight and bias, used once")]
fn scaled(
    desk: &mut Desk<'_>,
    weight: &Constant,
    bias: Option<&Constant>,
    factors: &Constant,
) -> Result<Option<(Constant, Option<Constant>)>, NodeError> {
    let &[rows, cols] = weight.shape() else {
        return Ok(None);
    };
    let factors = desk.read("factor", factors)?;
    let values = desk.read("weight", weight)?;
    let row_factors = (0..rows * cols).map(|flat| factors[flat / cols]);
    let Some(products) = exact_products(&values, row_factors) else {
        return Ok(None);
    };
    desk.take(rows * cols)?;
    let computed = weight.computed;
    let scaled = Constant::floats(Dtype::Float64, vec![rows, cols], products, computed)?;
    let Some(bias) = bias else {
        return Ok(Some((scaled, None)));
    };
    let values = desk.read("bias", bias)?;
    let Some(products) = exact_products(&values, factors.into_iter()) else {
        return Ok(None);
    };
    desk.take(rows)?;
    let bias = Constant::floats(Dtype::Float64, vec![rows], products, bias.computed)?;
    Ok(Some((scaled, Some(bias))))
}

/// The operation of an operator on two operands.
fn operation(operator: &str) -> Option<Operation> {
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

/// Gives every layer a name of its own and every parameter the name of its layer.
fn write(layers: Vec<(String, Draft)>, input: Shape) -> Walked {
    let mut walked = Walked {
        architecture: Architecture {
            name: ONNX.to_owned(),
            input: Some(input),
            preprocess: None,
            layers: Vec::new(),
        },
        tensors: Vec::new(),
        computed: Vec::new(),
    };
    let mut names = HashSet::new();
    for (wanted, draft) in layers {
        let plain = shown(wanted.as_bytes());
        let mut name = plain.clone();
        for number in 2usize.. {
            if names.insert(name.clone()) {
                break;
            }
            name = format!("{plain} ({number})");
        }
        let mut tensor = |field: &str, constant: Constant| {
            let info = TensorInfo {
                name: format!("{name}.{field}"),
                dtype: constant.dtype,
                shape: constant.shape().to_vec(),
            };
            if constant.computed {
                walked.computed.push(info.name.clone());
            }
            walked.tensors.push((info, constant.place));
        };
        let plan = match draft {
            Draft::Flatten => Plan::Flatten,
            Draft::Activation(activation) => Plan::Activation(activation),
            Draft::Elementwise(operation, operand) => {
                let entries = operand.shape()[0];
                tensor("operand", operand);
                Plan::Elementwise { operation, entries }
            }
            Draft::Dense { weight, bias } => {
                let (outputs, features) = (weight.shape()[0], weight.shape()[1]);
                tensor("weight", weight);
                let has_bias = bias.is_some();
                if let Some(bias) = bias {
                    tensor("bias", bias);
                }
                Plan::Affine {
                    outputs,
                    features,
                    bias: has_bias,
                }
            }
        };
        walked.architecture.layers.push(PlannedLayer { name, plan });
    }
    walked
}
