//! The values of a pickle, shared by number.

use std::collections::BTreeMap;

use super::super::dtype::Dtype;
use super::{MAX_NODES, PickleError};

/// Number of a value.
pub(crate) type Id = u32;

/// A name that a pickle may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callable {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch._utils._rebuild_tensor`.
    RebuildTensor,
    /// `torch._utils._rebuild_tensor_v2`.
    RebuildTensorV2,
    /// `torch._utils._rebuild_parameter`.
    RebuildParameter,
    /// `torch.Size`.
    Size,
    /// `torch.FloatStorage` and the like.
    Storage(Dtype),
}

impl Callable {
    /// The callable of that name, if it is allowed.
    pub(super) fn find(module: &[u8], name: &[u8]) -> Option<Self> {
        Some(match (module, name) {
            (b"collections", b"OrderedDict") => Self::OrderedDict,
            (b"torch._utils", b"_rebuild_tensor") => Self::RebuildTensor,
            (b"torch._utils", b"_rebuild_tensor_v2") => Self::RebuildTensorV2,
            (b"torch._utils", b"_rebuild_parameter") => Self::RebuildParameter,
            (b"torch", b"Size") => Self::Size,
            (b"torch" | b"torch.cuda", storage) => Self::Storage(match storage {
                b"HalfStorage" => Dtype::Float16,
                b"BFloat16Storage" => Dtype::Bfloat16,
                b"FloatStorage" => Dtype::Float32,
                b"DoubleStorage" => Dtype::Float64,
                b"BoolStorage" => Dtype::Bool,
                b"ByteStorage" => Dtype::Uint8,
                b"CharStorage" => Dtype::Int8,
                b"ShortStorage" => Dtype::Int16,
                b"IntStorage" => Dtype::Int32,
                b"LongStorage" => Dtype::Int64,
                _ => return None,
            }),
            _ => return None,
        })
    }

    /// Its name in messages.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OrderedDict => "collections.OrderedDict",
            Self::RebuildTensor => "torch._utils._rebuild_tensor",
            Self::RebuildTensorV2 => "torch._utils._rebuild_tensor_v2",
            Self::RebuildParameter => "torch._utils._rebuild_parameter",
            Self::Size => "torch.Size",
            Self::Storage(_) => "a torch storage type",
        }
    }
}

/// A tensor as the pickle describes it; nothing is checked but the number of arguments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    /// Index into [`Heap::storages`].
    pub(crate) storage: usize,
    /// First element.
    pub(crate) offset: i64,
    /// Sizes.
    pub(crate) sizes: Vec<i64>,
    /// Strides, in elements.
    pub(crate) strides: Vec<i64>,
}

/// A block of elements that lies outside the pickle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Storage {
    /// Name of the block.
    pub(crate) key: String,
    /// Element type.
    pub(crate) dtype: Dtype,
    /// Number of elements.
    pub(crate) count: usize,
}

/// One value. Texts and long integers are places in the pickle.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// Little-endian two's complement of more than eight bytes.
    Long(usize, usize),
    Float,
    Text(usize, usize),
    Bytes,
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Callable(Callable),
    /// Index into [`Heap::storages`].
    Storage(usize),
    Tensor(Box<Tensor>),
}

impl Node {
    /// What it is, in words.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::Long(..) => "an integer",
            Self::Float => "a number",
            Self::Text(..) => "text",
            Self::Bytes => "bytes",
            Self::List(_) => "a list",
            Self::Tuple(_) => "a tuple",
            Self::Dict(_) => "a dictionary",
            Self::Callable(_) => "a name",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
        }
    }
}

/// All values of one pickle.
#[derive(Debug)]
pub(crate) struct Heap<'a> {
    data: &'a [u8],
    nodes: Vec<Node>,
    storages: Vec<Storage>,
    keys: BTreeMap<String, usize>,
}

impl<'a> Heap<'a> {
    /// No values yet.
    pub(super) const fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            nodes: Vec::new(),
            storages: Vec::new(),
            keys: BTreeMap::new(),
        }
    }

    /// Adds a value.
    ///
    /// # Errors
    ///
    /// [`PickleError::TooMany`].
    pub(super) fn add(&mut self, node: Node) -> Result<Id, PickleError> {
        if self.nodes.len() >= MAX_NODES {
            return Err(PickleError::TooMany { most: MAX_NODES });
        }
        self.nodes.push(node);
        Ok((self.nodes.len() - 1) as Id)
    }

    /// The index of a storage; the same key must always describe the same block.
    ///
    /// # Errors
    ///
    /// [`PickleError::Storage`].
    pub(super) fn storage(&mut self, at: usize, storage: Storage) -> Result<usize, PickleError> {
        if let Some(&index) = self.keys.get(&storage.key) {
            return if self.storages[index] == storage {
                Ok(index)
            } else {
                let key = super::shown(storage.key.as_bytes());
                Err(PickleError::Storage { at, key })
            };
        }
        self.keys.insert(storage.key.clone(), self.storages.len());
        self.storages.push(storage);
        Ok(self.storages.len() - 1)
    }

    /// A value.
    pub(crate) fn get(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    /// A value, to be changed.
    pub(super) fn get_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// Number of values.
    pub(super) const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// All storages.
    pub(crate) fn storages(&self) -> &[Storage] {
        &self.storages
    }

    /// The text of a value that is one; it was checked to be UTF-8 when it was read.
    pub(crate) fn text(&self, id: Id) -> Option<&'a str> {
        match self.get(id) {
            Node::Text(start, end) => std::str::from_utf8(&self.data[*start..*end]).ok(),
            _ => None,
        }
    }

    /// The bytes of a long integer.
    pub(crate) fn long(&self, id: Id) -> Option<&'a [u8]> {
        match self.get(id) {
            Node::Long(start, end) => Some(&self.data[*start..*end]),
            _ => None,
        }
    }

    /// The items of a list or tuple of integers.
    pub(super) fn integers(&self, id: Id) -> Option<Vec<i64>> {
        let (Node::List(items) | Node::Tuple(items)) = self.get(id) else {
            return None;
        };
        items
            .iter()
            .map(|item| match self.get(*item) {
                Node::Int(value) => Some(*value),
                _ => None,
            })
            .collect()
    }
}
