//! The stack machine.

use std::collections::HashMap;

use super::heap::{Callable, Heap, Id, Node};
use super::{MAX_NODES, PickleError, call, shown};

/// The longest name of a module or a callable.
const MAX_NAME: usize = 512;

/// State of a run.
pub(super) struct Machine<'a> {
    data: &'a [u8],
    /// Next byte.
    next: usize,
    /// First byte of the operation at work.
    at: usize,
    heap: Heap<'a>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// A machine in front of the first operation.
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            next: 0,
            at: 0,
            heap: Heap::new(data),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    /// Runs until STOP: the values, the result, the bytes that were read.
    pub(super) fn run(mut self) -> Result<(Heap<'a>, Id, usize), PickleError> {
        loop {
            self.at = self.next;
            let code = self.byte()?;
            if code == b'.' {
                return match self.stack.as_slice() {
                    [root] if self.marks.is_empty() => Ok((self.heap, *root, self.next)),
                    stack => Err(PickleError::Leftover {
                        values: stack.len() + self.marks.len(),
                    }),
                };
            }
            self.step(code)?;
        }
    }

    /// One operation.
    fn step(&mut self, code: u8) -> Result<(), PickleError> {
        match code {
            0x80 => match self.byte()? {
                2..=5 => Ok(()),
                version => Err(PickleError::Protocol { version }),
            },
            0x95 => {
                let frame = self.word(8)?;
                self.announced(frame)
            }
            b'(' => {
                self.limit(self.marks.len())?;
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop),
            b'1' => self.pop_mark().map(drop),
            b'2' => {
                let top = self.top()?;
                self.push_id(top);
                Ok(())
            }
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'K' => self.word(1).and_then(|value| self.push(Node::Int(value as i64))),
            b'M' => self.word(2).and_then(|value| self.push(Node::Int(value as i64))),
            b'J' => {
                let value = self.word(4)? as u32;
                self.push(Node::Int(i64::from(value as i32)))
            }
            0x8a => self.word(1).and_then(|length| self.long(length)),
            0x8b => self.word(4).and_then(|length| self.long(length)),
            b'G' => {
                self.take(8)?;
                self.push(Node::Float)
            }
            b'U' | 0x8c => self.word(1).and_then(|length| self.text(length)),
            b'T' | b'X' => self.word(4).and_then(|length| self.text(length)),
            0x8d => self.word(8).and_then(|length| self.text(length)),
            b'C' => self.word(1).and_then(|length| self.bytes(length)),
            b'B' => self.word(4).and_then(|length| self.bytes(length)),
            0x8e => self.word(8).and_then(|length| self.bytes(length)),
            b']' => self.push(Node::List(Vec::new())),
            b')' => self.push(Node::Tuple(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(items)
            }
            0x85..=0x87 => {
                let count = usize::from(code - 0x84);
                let start = self.floor(count)?;
                let items = self.stack.split_off(start);
                self.push(Node::Tuple(items))
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Node::Tuple(items))
            }
            b's' => {
                let start = self.floor(2)?;
                let pair = self.stack.split_off(start);
                self.set_items(&pair)
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)
            }
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.callable(module, name)
            }
            0x93 => {
                let start = self.floor(2)?;
                let pair = self.stack.split_off(start);
                let texts = (self.heap.text(pair[0]), self.heap.text(pair[1]));
                let (Some(module), Some(name)) = texts else {
                    return Err(self.kind("the text of a name", pair[0]));
                };
                self.callable(module.as_bytes(), name.as_bytes())
            }
            b'R' => {
                let start = self.floor(2)?;
                let pair = self.stack.split_off(start);
                let result = call::reduce(&mut self.heap, self.at, pair[0], pair[1])?;
                self.push_id(result);
                Ok(())
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = call::persistent(&mut self.heap, self.at, id)?;
                self.push(Node::Storage(storage))
            }
            b'b' => {
                let state = self.pop()?;
                let object = self.top()?;
                call::build(&self.heap, self.at, object, state)
            }
            b'h' => self.word(1).and_then(|entry| self.recall(entry as u32)),
            b'j' => self.word(4).and_then(|entry| self.recall(entry as u32)),
            b'q' => self.word(1).and_then(|entry| self.memorize(entry as u32)),
            b'r' => self.word(4).and_then(|entry| self.memorize(entry as u32)),
            0x94 => self.memorize(self.memo.len() as u32),
            _ => Err(PickleError::Operation { at: self.at, code }),
        }
    }

    /// Refuses a table that grows beyond the limit.
    const fn limit(&self, length: usize) -> Result<(), PickleError> {
        if length < MAX_NODES {
            Ok(())
        } else {
            Err(PickleError::TooMany { most: MAX_NODES })
        }
    }

    /// Refuses a length behind the end of the data.
    fn announced(&self, wanted: u64) -> Result<(), PickleError> {
        let left = self.data.len() - self.next;
        if wanted <= left as u64 {
            Ok(())
        } else {
            Err(PickleError::Truncated {
                at: self.at,
                wanted,
                left,
            })
        }
    }

    /// The next `length` bytes.
    fn take(&mut self, length: u64) -> Result<&'a [u8], PickleError> {
        self.announced(length)?;
        let start = self.next;
        self.next += length as usize;
        Ok(&self.data[start..self.next])
    }

    /// The next byte.
    fn byte(&mut self) -> Result<u8, PickleError> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// A little-endian number of `size` bytes.
    fn word(&mut self, size: u64) -> Result<u64, PickleError> {
        let bytes = self.take(size)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// The bytes up to the next line feed.
    fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let rest = &self.data[self.next..];
        let window = &rest[..rest.len().min(MAX_NAME)];
        let length = window.iter().position(|byte| *byte == b'\n').ok_or(PickleError::Truncated {
            at: self.at,
            wanted: window.len() as u64 + 1,
            left: window.len(),
        })?;
        self.next += length + 1;
        Ok(&window[..length])
    }

    fn push(&mut self, node: Node) -> Result<(), PickleError> {
        let id = self.heap.add(node)?;
        self.push_id(id);
        Ok(())
    }

    fn push_id(&mut self, id: Id) {
        self.stack.push(id);
    }

    fn long(&mut self, length: u64) -> Result<(), PickleError> {
        let bytes = self.take(length)?;
        if bytes.len() > 8 {
            return self.push(Node::Long(self.next - bytes.len(), self.next));
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut padded = [if negative { 0xff } else { 0 }; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        self.push(Node::Int(i64::from_le_bytes(padded)))
    }

    fn text(&mut self, length: u64) -> Result<(), PickleError> {
        let bytes = self.take(length)?;
        if std::str::from_utf8(bytes).is_err() {
            return Err(PickleError::Text { at: self.at });
        }
        self.push(Node::Text(self.next - bytes.len(), self.next))
    }

    fn bytes(&mut self, length: u64) -> Result<(), PickleError> {
        self.take(length)?;
        self.push(Node::Bytes)
    }

    /// The height below the `count` topmost values, which must lie above the last mark.
    fn floor(&self, count: usize) -> Result<usize, PickleError> {
        let mark = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(count) {
            Some(floor) if floor >= mark => Ok(floor),
            _ => Err(PickleError::EmptyStack { at: self.at }),
        }
    }

    fn top(&self) -> Result<Id, PickleError> {
        let floor = self.floor(1)?;
        Ok(self.stack[floor])
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// The values above the last mark, and the mark, are taken away.
    fn pop_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let mark = self.marks.pop().ok_or(PickleError::EmptyStack { at: self.at })?;
        Ok(self.stack.split_off(mark))
    }

    fn kind(&self, expected: &'static str, found: Id) -> PickleError {
        let found = self.heap.get(found).kind();
        PickleError::Kind {
            at: self.at,
            expected,
            found,
        }
    }

    fn append(&mut self, mut items: Vec<Id>) -> Result<(), PickleError> {
        let list = self.top()?;
        match self.heap.get_mut(list) {
            Node::List(all) => {
                all.append(&mut items);
                Ok(())
            }
            _ => Err(self.kind("a list", list)),
        }
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let dict = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        if let [key] = rest {
            return Err(self.kind("a value for the last key", *key));
        }
        match self.heap.get_mut(dict) {
            Node::Dict(all) => {
                all.extend(pairs.iter().map(|[key, value]| (*key, *value)));
                Ok(())
            }
            _ => Err(self.kind("a dictionary", dict)),
        }
    }

    fn callable(&mut self, module: &[u8], name: &[u8]) -> Result<(), PickleError> {
        match Callable::find(module, name) {
            Some(callable) => self.push(Node::Callable(callable)),
            None => Err(PickleError::Forbidden {
                at: self.at,
                module: shown(module),
                name: shown(name),
            }),
        }
    }

    fn memorize(&mut self, entry: u32) -> Result<(), PickleError> {
        self.limit(self.memo.len())?;
        let top = self.top()?;
        self.memo.insert(entry, top);
        Ok(())
    }

    fn recall(&mut self, entry: u32) -> Result<(), PickleError> {
        let known = self.memo.get(&entry).copied();
        let id = known.ok_or(PickleError::Memo { at: self.at, entry })?;
        self.push_id(id);
        Ok(())
    }
}
