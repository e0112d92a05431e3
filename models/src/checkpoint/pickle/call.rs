//! What the allowed names do with their arguments.

use super::heap::{Callable, Heap, Id, Node, Storage, Tensor};
use super::{PickleError, shown};

/// The result of calling `callable` with the tuple `arguments`.
///
/// # Errors
///
/// [`PickleError::Kind`] if `callable` is not one, [`PickleError::Arguments`].
pub(super) fn reduce(heap: &mut Heap<'_>, at: usize, callable: Id, arguments: Id) -> Result<Id, PickleError> {
    let kind = |expected, id: Id| PickleError::Kind {
        at,
        expected,
        found: heap.get(id).kind(),
    };
    let Node::Callable(callable) = *heap.get(callable) else {
        return Err(kind("a name to call", callable));
    };
    let Node::Tuple(arguments) = heap.get(arguments) else {
        return Err(kind("a tuple of arguments", arguments));
    };
    let arguments = arguments.clone();
    let refuse = |expected| PickleError::Arguments {
        at,
        callable: callable.name(),
        expected,
        found: match arguments.as_slice() {
            [one] => heap.get(*one).kind().to_owned(),
            more => format!("{} arguments", more.len()),
        },
    };
    let node = match callable {
        Callable::OrderedDict => {
            let pairs = match arguments.as_slice() {
                [] => Some(Vec::new()),
                [list] => pairs(heap, *list),
                _ => None,
            };
            Node::Dict(pairs.ok_or_else(|| refuse("nothing or a list of pairs"))?)
        }
        Callable::Size => {
            let sizes = match arguments.as_slice() {
                [sizes] if heap.integers(*sizes).is_some() => heap.get(*sizes).clone(),
                _ => return Err(refuse("a tuple of integers")),
            };
            let (Node::Tuple(items) | Node::List(items)) = sizes else {
                return Err(refuse("a tuple of integers"));
            };
            Node::Tuple(items)
        }
        Callable::RebuildParameter => {
            let tensor = match arguments.as_slice() {
                [tensor, flag, hooks] if is_flag(heap, *flag) && is_empty(heap, *hooks) => heap.get(*tensor),
                _ => return Err(refuse("a tensor, a truth value and no hooks")),
            };
            let Node::Tensor(tensor) = tensor else {
                return Err(refuse("a tensor, a truth value and no hooks"));
            };
            Node::Tensor(tensor.clone())
        }
        Callable::RebuildTensor => {
            let tensor = match arguments.as_slice() {
                [storage, offset, sizes, strides] => tensor(heap, *storage, *offset, *sizes, *strides),
                _ => None,
            };
            Node::Tensor(Box::new(
                tensor.ok_or_else(|| refuse("a storage, an offset, sizes and strides"))?,
            ))
        }
        Callable::RebuildTensorV2 => {
            let tensor = match arguments.as_slice() {
                [storage, offset, sizes, strides, flag, hooks, rest @ ..]
                    if rest.len() <= 1
                        && is_flag(heap, *flag)
                        && is_empty(heap, *hooks)
                        && rest.iter().all(|metadata| is_empty(heap, *metadata)) =>
                {
                    tensor(heap, *storage, *offset, *sizes, *strides)
                }
                _ => None,
            };
            let expected = "a storage, an offset, sizes, strides, a truth value, no hooks and no metadata";
            Node::Tensor(Box::new(tensor.ok_or_else(|| refuse(expected))?))
        }
        Callable::Storage(_) => return Err(refuse("to stand in a persistent id")),
    };
    heap.add(node)
}

/// The storage that a persistent id `("storage", type, key, location, count[, none])` names.
///
/// # Errors
///
/// [`PickleError::Arguments`], [`PickleError::Storage`].
pub(super) fn persistent(heap: &mut Heap<'_>, at: usize, id: Id) -> Result<usize, PickleError> {
    let storage = match heap.get(id) {
        Node::Tuple(items) => match items.as_slice() {
            [tag, kind, key, location, count, rest @ ..]
                if heap.text(*tag) == Some("storage")
                    && heap.text(*location).is_some()
                    && rest.len() <= 1
                    && rest.iter().all(|view| matches!(heap.get(*view), Node::None)) =>
            {
                match (heap.get(*kind), heap.text(*key), heap.get(*count)) {
                    (Node::Callable(Callable::Storage(dtype)), Some(key), Node::Int(count)) => {
                        usize::try_from(*count).ok().map(|count| Storage {
                            key: key.to_owned(),
                            dtype: *dtype,
                            count,
                        })
                    }
                    _ => None,
                }
            }
            _ => None,
        },
        _ => None,
    };
    let Some(storage) = storage else {
        return Err(PickleError::Arguments {
            at,
            callable: "a persistent id",
            expected: "(\"storage\", a storage type, a key, a location, a count)",
            found: heap.get(id).kind().to_owned(),
        });
    };
    heap.storage(at, storage)
}

/// Allows an ordered dictionary to carry `_metadata`, as every `state_dict()` does, and nothing else.
///
/// Any other attribute could shadow a method of the dictionary in Python, which would then see other tensors than this reader.
///
/// # Errors
///
/// [`PickleError::Kind`], [`PickleError::Arguments`].
pub(super) fn build(heap: &Heap<'_>, at: usize, object: Id, state: Id) -> Result<(), PickleError> {
    let Node::Dict(_) = heap.get(object) else {
        return Err(PickleError::Kind {
            at,
            expected: "a dictionary",
            found: heap.get(object).kind(),
        });
    };
    let refuse = |found| PickleError::Arguments {
        at,
        callable: "the state of a dictionary",
        expected: "`_metadata` and nothing else",
        found,
    };
    let Node::Dict(pairs) = heap.get(state) else {
        return Err(refuse(heap.get(state).kind().to_owned()));
    };
    match pairs.iter().find(|(key, _)| heap.text(*key) != Some("_metadata")) {
        None => Ok(()),
        Some((key, _)) => Err(refuse(match heap.text(*key) {
            Some(text) => shown(text.as_bytes()),
            None => heap.get(*key).kind().to_owned(),
        })),
    }
}

/// A list of pairs, as Python 2 writes an ordered dictionary.
fn pairs(heap: &Heap<'_>, list: Id) -> Option<Vec<(Id, Id)>> {
    let Node::List(items) = heap.get(list) else {
        return None;
    };
    items
        .iter()
        .map(|item| match heap.get(*item) {
            Node::List(pair) | Node::Tuple(pair) if pair.len() == 2 => Some((pair[0], pair[1])),
            _ => None,
        })
        .collect()
}

/// The tensor that these arguments describe, unless one is of the wrong kind.
fn tensor(heap: &Heap<'_>, storage: Id, offset: Id, sizes: Id, strides: Id) -> Option<Tensor> {
    let (Node::Storage(storage), Node::Int(offset)) = (heap.get(storage), heap.get(offset)) else {
        return None;
    };
    Some(Tensor {
        storage: *storage,
        offset: *offset,
        sizes: heap.integers(sizes)?,
        strides: heap.integers(strides)?,
    })
}

fn is_flag(heap: &Heap<'_>, id: Id) -> bool {
    matches!(heap.get(id), Node::Bool(_))
}

/// Whether there are no hooks or no metadata: metadata can say that all signs are meant the other way round.
fn is_empty(heap: &Heap<'_>, id: Id) -> bool {
    match heap.get(id) {
        Node::None => true,
        Node::Dict(pairs) => pairs.is_empty(),
        _ => false,
    }
}
