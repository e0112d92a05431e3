//! A small interpreter for the pickles that `torch.save` writes.
//!
//! A pickle is a program for a stack machine that may call anything. This machine knows ten names ([`heap::Callable`]), calls
//! nothing of Python's, and refuses every other name and every other operation. Values live in one arena and are shared by number,
//! so that a value that is used a million times is stored once; nothing here is recursive, and no length is believed before the
//! bytes are there.
//!
//! # Source
//!
//! Operations: `pickletools.py` of CPython 3.12. Calls and persistent ids: `torch/serialization.py`, `torch/_utils.py` of torch 2.11.

mod call;
mod check;
pub(super) mod heap;
mod machine;

use heap::{Heap, Id};

use super::error::shown;

/// The longest pickle that is read; one of 950 million parameters with its optimizer takes less than 1 MiB.
pub(super) const MAX_PICKLE: u64 = 16 << 20;
/// The most values in one pickle.
const MAX_NODES: usize = 1 << 20;
/// The deepest nesting of one pickle.
const MAX_DEPTH: usize = 1000;

/// Why a pickle was refused. Positions are bytes from the start of the pickle.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// More bytes than any checkpoint needs.
    #[error("{size} bytes, at most {most} are read")]
    TooLong {
        /// Bytes of the pickle.
        size: u64,
        /// The limit.
        most: u64,
    },
    /// The bytes end inside an operation, or a length points behind the end.
    #[error("at byte {at}: {wanted} more bytes are announced, {left} are there")]
    Truncated {
        /// Where.
        at: usize,
        /// Bytes that the operation asks for.
        wanted: u64,
        /// Bytes that are left.
        left: usize,
    },
    /// An operation that no checkpoint needs.
    #[error("at byte {at}: operation 0x{code:02x} is not allowed")]
    Operation {
        /// Where.
        at: usize,
        /// Its code.
        code: u8,
    },
    /// A version of the format that is not read.
    #[error("pickle protocol {version} is not read")]
    Protocol {
        /// The version.
        version: u8,
    },
    /// A name that is not on the list: loading it in Python could run any code. Nothing was run.
    #[error("at byte {at}: the file asks for `{module}.{name}`, which is not allowed (nothing was executed)")]
    Forbidden {
        /// Where.
        at: usize,
        /// Module of the name.
        module: String,
        /// The name.
        name: String,
    },
    /// An allowed name with arguments that it does not take.
    #[error("at byte {at}: `{callable}` got {found}, expected {expected}")]
    Arguments {
        /// Where.
        at: usize,
        /// The name.
        callable: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What was there.
        found: String,
    },
    /// An operation on a value of the wrong kind.
    #[error("at byte {at}: expected {expected}, found {found}")]
    Kind {
        /// Where.
        at: usize,
        /// What the operation needs.
        expected: &'static str,
        /// What was there.
        found: &'static str,
    },
    /// An operation on an empty stack, or without its mark.
    #[error("at byte {at}: the stack is empty")]
    EmptyStack {
        /// Where.
        at: usize,
    },
    /// A memo entry that was never written.
    #[error("at byte {at}: memo entry {entry} was never written")]
    Memo {
        /// Where.
        at: usize,
        /// Its number.
        entry: u32,
    },
    /// Text that is not UTF-8.
    #[error("at byte {at}: text is not UTF-8")]
    Text {
        /// Where.
        at: usize,
    },
    /// The program ended with other values than one result.
    #[error("{values} values are left at the end, expected 1")]
    Leftover {
        /// How many.
        values: usize,
    },
    /// Bytes behind the end of the program.
    #[error("{bytes} bytes follow the end of the pickle")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// More values than any checkpoint needs.
    #[error("more than {most} values")]
    TooMany {
        /// The limit.
        most: usize,
    },
    /// Deeper nesting than any checkpoint needs.
    #[error("values are nested more than {most} deep")]
    TooDeep {
        /// The limit.
        most: usize,
    },
    /// A container that contains itself.
    #[error("a {kind} contains itself")]
    Cycle {
        /// Kind of the container.
        kind: &'static str,
    },
    /// A dictionary with a key that stands twice.
    #[error("a dictionary has the key `{key}` twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A storage that two tensors describe in different ways.
    #[error("at byte {at}: storage `{key}` is described in two ways")]
    Storage {
        /// Where.
        at: usize,
        /// Its key.
        key: String,
    },
}

/// Runs the first program in `data`: its values, and the number of bytes that it took.
///
/// # Errors
///
/// [`PickleError`].
pub(super) fn run(data: &[u8]) -> Result<(Heap<'_>, Id, usize), PickleError> {
    let (heap, root, used) = machine::Machine::new(data).run()?;
    check::check(&heap, root)?;
    Ok((heap, root, used))
}

/// Runs `data`, which must be one program and nothing else.
///
/// # Errors
///
/// [`PickleError`].
pub(super) fn run_whole(data: &[u8]) -> Result<(Heap<'_>, Id), PickleError> {
    let (heap, root, used) = run(data)?;
    match data.len() - used {
        0 => Ok((heap, root)),
        bytes => Err(PickleError::Trailing { bytes }),
    }
}
