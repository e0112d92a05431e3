//! What is checked once the values are there: no cycles, no keys that stand twice, no deep nesting.

use std::collections::HashSet;

use super::heap::{Heap, Id, Node};
use super::{MAX_DEPTH, PickleError, shown};

/// State of a value in the walk.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

/// Walks everything that is reachable from `root`, each value once, without recursion.
///
/// # Errors
///
/// [`PickleError::Cycle`], [`PickleError::DuplicateKey`], [`PickleError::TooDeep`].
pub(super) fn check(heap: &Heap<'_>, root: Id) -> Result<(), PickleError> {
    let mut marks = vec![Mark::New; heap.len()];
    // a value and the number of its parts that were visited
    let mut path: Vec<(Id, usize)> = vec![(root, 0)];
    marks[root as usize] = Mark::Open;
    unique_keys(heap, root)?;
    while let Some((id, visited)) = path.last_mut() {
        let Some(part) = part(heap.get(*id), *visited) else {
            marks[*id as usize] = Mark::Done;
            path.pop();
            continue;
        };
        *visited += 1;
        match marks[part as usize] {
            Mark::Done => {}
            Mark::Open => {
                let kind = heap.get(part).kind();
                let kind = kind.strip_prefix("a ").unwrap_or(kind);
                return Err(PickleError::Cycle { kind });
            }
            Mark::New => {
                if path.len() >= MAX_DEPTH {
                    return Err(PickleError::TooDeep { most: MAX_DEPTH });
                }
                marks[part as usize] = Mark::Open;
                unique_keys(heap, part)?;
                path.push((part, 0));
            }
        }
    }
    Ok(())
}

/// The `index`-th part of a container.
fn part(node: &Node, index: usize) -> Option<Id> {
    match node {
        Node::List(items) | Node::Tuple(items) => items.get(index).copied(),
        Node::Dict(pairs) => pairs
            .get(index / 2)
            .map(|(key, value)| if index.is_multiple_of(2) { *key } else { *value }),
        _ => None,
    }
}

/// Refuses a dictionary in which a text or a whole number stands twice as a key; Python would drop the first.
fn unique_keys(heap: &Heap<'_>, id: Id) -> Result<(), PickleError> {
    let Node::Dict(pairs) = heap.get(id) else {
        return Ok(());
    };
    let mut texts = HashSet::new();
    let mut integers = HashSet::new();
    for (key, _) in pairs {
        let (fresh, key) = match (heap.text(*key), heap.get(*key)) {
            (Some(text), _) => (texts.insert(text), shown(text.as_bytes())),
            (None, Node::Int(value)) => (integers.insert(*value), value.to_string()),
            (None, Node::Bool(value)) => (integers.insert(i64::from(*value)), value.to_string()),
            _ => continue,
        };
        if !fresh {
            return Err(PickleError::DuplicateKey { key });
        }
    }
    Ok(())
}
