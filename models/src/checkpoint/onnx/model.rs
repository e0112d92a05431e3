//! The messages of a model, as far as they are read.
//!
//! # Source
//!
//! ONNX, *Open Neural Network Exchange Intermediate Representation*, and its schema `onnx.proto`, whose field numbers stand below.

use super::OnnxError;
use super::wire::{Message, once};

/// The most nodes, and the most initializers, that are read.
const MAX_ITEMS: usize = 1 << 14;
/// The most inputs, outputs or attributes of a node.
const MAX_PARTS: usize = 64;
/// The most sizes of a tensor.
const MAX_RANK: usize = 16;
/// The most integers of an attribute, or of a tensor that is not stored as a block.
const MAX_INTEGERS: usize = 1 << 10;
/// The most entries that say where external data lie.
const MAX_ENTRIES: usize = 8;

/// `ModelProto`.
#[derive(Debug)]
pub(super) struct Model<'a> {
    /// Version of the standard operators.
    pub(super) opset: i64,
    pub(super) graph: Graph<'a>,
}

/// `GraphProto`.
#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) initializers: Vec<Tensor<'a>>,
    pub(super) inputs: Vec<Input<'a>>,
    pub(super) outputs: Vec<&'a str>,
}

/// `NodeProto`.
#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) operator: &'a str,
    pub(super) domain: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) attributes: Vec<Attribute<'a>>,
}

/// `AttributeProto`.
#[derive(Debug)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) value: AttributeValue<'a>,
}

/// The value of an attribute.
#[derive(Debug)]
pub(super) enum AttributeValue<'a> {
    Float(f32),
    Integer(i64),
    Integers(Vec<i64>),
    Tensor(Box<Tensor<'a>>),
    /// A kind that no operator here has.
    Other,
}

/// `ValueInfoProto`: the name of an input, and its sizes where they are given.
#[derive(Debug)]
pub(super) struct Input<'a> {
    pub(super) name: &'a str,
    /// `None` stands for a size that is a name or is left open.
    pub(super) sizes: Option<Vec<Option<i64>>>,
}

/// `TensorProto`.
#[derive(Debug)]
pub(super) struct Tensor<'a> {
    pub(super) name: &'a str,
    pub(super) sizes: Vec<i64>,
    /// Code of the element type.
    pub(super) element: i64,
    pub(super) data: Data<'a>,
}

/// Where the elements of a tensor are.
#[derive(Debug)]
pub(super) enum Data<'a> {
    /// Nowhere.
    None,
    /// A block of little-endian numbers: `raw_data`, or packed `float_data` (4 bytes a number) or `double_data` (8).
    Block {
        block: Message<'a>,
        /// The element types that the field can hold; any for `raw_data`.
        only: Option<i64>,
    },
    /// `int32_data` and `int64_data`.
    Integers(Vec<i64>),
    /// A file beside the model.
    External(External<'a>),
    /// A field that is not read, by its name.
    Other(&'static str),
}

/// The entries of `external_data`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct External<'a> {
    pub(super) location: Option<&'a str>,
    pub(super) offset: Option<&'a str>,
    pub(super) length: Option<&'a str>,
}

fn push<T>(list: &mut Vec<T>, item: T, what: &'static str, most: usize) -> Result<(), OnnxError> {
    if list.len() == most {
        return Err(OnnxError::TooMany { what, most });
    }
    list.push(item);
    Ok(())
}

impl<'a> Model<'a> {
    pub(super) fn read(message: Message<'a>) -> Result<Self, OnnxError> {
        let (mut graph, mut opset) = (None, None);
        for field in message.fields() {
            let field = field?;
            match field.number {
                7 => once(&mut graph, &field, Graph::read(field.message()?)?)?,
                8 => {
                    let (mut domain, mut version) = (None, None);
                    for part in field.message()?.fields() {
                        let part = part?;
                        match part.number {
                            1 => once(&mut domain, &part, part.text()?)?,
                            2 => once(&mut version, &part, part.integer()?)?,
                            _ => {}
                        }
                    }
                    if is_standard(domain.unwrap_or("")) {
                        once(&mut opset, &field, version.unwrap_or(0))?;
                    }
                }
                25 => return Err(OnnxError::Functions),
                _ => {}
            }
        }
        Ok(Self {
            opset: opset.ok_or(OnnxError::Missing { what: "opset_import" })?,
            graph: graph.ok_or(OnnxError::Missing { what: "graph" })?,
        })
    }
}

/// Whether the operators of a domain are the standard ones.
pub(super) fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

impl<'a> Graph<'a> {
    fn read(message: Message<'a>) -> Result<Self, OnnxError> {
        let mut graph = Self::default();
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => push(&mut graph.nodes, Node::read(field.message()?)?, "nodes", MAX_ITEMS)?,
                5 => {
                    let tensor = Tensor::read(field.message()?)?;
                    push(&mut graph.initializers, tensor, "initializers", MAX_ITEMS)?;
                }
                11 => push(&mut graph.inputs, Input::read(field.message()?)?, "inputs", MAX_ITEMS)?,
                12 => {
                    let output = Input::read(field.message()?)?;
                    push(&mut graph.outputs, output.name, "outputs", MAX_ITEMS)?;
                }
                15 => return Err(OnnxError::Sparse),
                _ => {}
            }
        }
        Ok(graph)
    }
}

impl<'a> Node<'a> {
    fn read(message: Message<'a>) -> Result<Self, OnnxError> {
        let mut node = Self::default();
        let (mut name, mut operator, mut domain) = (None, None, None);
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => push(&mut node.inputs, field.text()?, "inputs of a node", MAX_PARTS)?,
                2 => push(&mut node.outputs, field.text()?, "outputs of a node", MAX_PARTS)?,
                3 => once(&mut name, &field, field.text()?)?,
                4 => once(&mut operator, &field, field.text()?)?,
                5 => {
                    let attribute = Attribute::read(field.message()?)?;
                    push(&mut node.attributes, attribute, "attributes of a node", MAX_PARTS)?;
                }
                7 => once(&mut domain, &field, field.text()?)?,
                _ => {}
            }
        }
        node.name = name.unwrap_or("");
        node.operator = operator.unwrap_or("");
        node.domain = domain.unwrap_or("");
        Ok(node)
    }
}

impl<'a> Attribute<'a> {
    fn read(message: Message<'a>) -> Result<Self, OnnxError> {
        let (mut name, mut kind, mut float, mut integer, mut tensor) = (None, None, None, None, None);
        let mut integers = Vec::new();
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => once(&mut name, &field, field.text()?)?,
                2 => once(&mut float, &field, field.float()?)?,
                3 => once(&mut integer, &field, field.integer()?)?,
                5 => once(&mut tensor, &field, Tensor::read(field.message()?)?)?,
                8 => field.integers(&mut integers, MAX_INTEGERS)?,
                20 => once(&mut kind, &field, field.integer()?)?,
                // a reference to the attribute of a function
                21 => return Err(OnnxError::Functions),
                _ => {}
            }
        }
        let value = match kind {
            // a value of zero may be left out of the file
            Some(1) => AttributeValue::Float(float.unwrap_or(0.0)),
            Some(2) => AttributeValue::Integer(integer.unwrap_or(0)),
            Some(4) => tensor.map_or(AttributeValue::Other, |tensor| AttributeValue::Tensor(Box::new(tensor))),
            Some(7) => AttributeValue::Integers(integers),
            _ => AttributeValue::Other,
        };
        Ok(Self {
            name: name.unwrap_or(""),
            value,
        })
    }
}

impl<'a> Input<'a> {
    fn read(message: Message<'a>) -> Result<Self, OnnxError> {
        let (mut name, mut kind) = (None, None);
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => once(&mut name, &field, field.text()?)?,
                2 => once(&mut kind, &field, field.message()?)?,
                _ => {}
            }
        }
        let (mut tensor, mut shape) = (None, None);
        for field in kind.into_iter().flat_map(Message::fields) {
            let field = field?;
            if field.number == 1 {
                once(&mut tensor, &field, field.message()?)?;
            }
        }
        for field in tensor.into_iter().flat_map(Message::fields) {
            let field = field?;
            if field.number == 2 {
                once(&mut shape, &field, field.message()?)?;
            }
        }
        let mut sizes = shape.map(|_| Vec::new());
        for field in shape.into_iter().flat_map(Message::fields) {
            let field = field?;
            if field.number == 1 {
                let mut size = None;
                for part in field.message()?.fields() {
                    let part = part?;
                    if part.number == 1 {
                        once(&mut size, &part, part.integer()?)?;
                    }
                }
                push(sizes.get_or_insert_default(), size, "sizes", MAX_RANK)?;
            }
        }
        Ok(Self {
            name: name.unwrap_or(""),
            sizes,
        })
    }
}

impl<'a> Tensor<'a> {
    fn read(message: Message<'a>) -> Result<Self, OnnxError> {
        let (mut name, mut element, mut data, mut location) = (None, None, None, None);
        let (mut sizes, mut integers) = (Vec::new(), None::<Vec<i64>>);
        let (mut external, mut entries) = (None::<External<'a>>, 0);
        for field in message.fields() {
            let field = field?;
            let block = |only| {
                let block = field.message()?;
                Ok::<_, OnnxError>(Data::Block { block, only })
            };
            match field.number {
                1 => field.integers(&mut sizes, MAX_RANK)?,
                2 => once(&mut element, &field, field.integer()?)?,
                3 => once(&mut data, &field, Data::Other("segment"))?,
                4 => once(&mut data, &field, block(Some(FLOAT))?)?,
                5 | 7 => field.integers(integers.get_or_insert_default(), MAX_INTEGERS)?,
                6 => data = Some(Data::Other("string_data")),
                8 => once(&mut name, &field, field.text()?)?,
                9 => once(&mut data, &field, block(None)?)?,
                10 => once(&mut data, &field, block(Some(DOUBLE))?)?,
                11 => data = Some(Data::Other("uint64_data")),
                13 => {
                    entries += 1;
                    if entries > MAX_ENTRIES {
                        let (what, most) = ("external_data", MAX_ENTRIES);
                        return Err(OnnxError::TooMany { what, most });
                    }
                    external.get_or_insert_default().entry(field.message()?)?;
                }
                14 => once(&mut location, &field, field.integer()?)?,
                _ => {}
            }
        }
        let data = match (data, integers, location == Some(1), external) {
            (None, None, true, external) => Data::External(external.unwrap_or_default()),
            (None, Some(integers), false, None) => Data::Integers(integers),
            (Some(data), None, false, None) => data,
            (None, None, false, None) => Data::None,
            _ => Data::Other("two kinds of data"),
        };
        Ok(Self {
            name: name.unwrap_or(""),
            sizes,
            element: element.unwrap_or(0),
            data,
        })
    }
}

/// Codes of element types.
pub(super) const FLOAT: i64 = 1;
pub(super) const DOUBLE: i64 = 11;

impl<'a> External<'a> {
    /// Takes one entry; what is not read here (a checksum) is only a hint.
    fn entry(&mut self, message: Message<'a>) -> Result<(), OnnxError> {
        let (mut key, mut value) = (None, None);
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => once(&mut key, &field, field.text()?)?,
                2 => once(&mut value, &field, field.text()?)?,
                _ => {}
            }
        }
        let slot = match key {
            Some("location") => &mut self.location,
            Some("offset") => &mut self.offset,
            Some("length") => &mut self.length,
            _ => return Ok(()),
        };
        if slot.replace(value.unwrap_or("")).is_some() {
            return Err(OnnxError::Missing {
                what: "single entry of external_data",
            });
        }
        Ok(())
    }
}
