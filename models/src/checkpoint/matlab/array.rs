//! The elements of a MATLAB file: tags, compressed streams, arrays.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::super::dtype::Dtype;
use super::super::error::shown;
use super::MatlabError;

/// Bytes of the header.
const HEADER: usize = 128;
/// Types of elements.
const INT8: u32 = 1;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const SINGLE: u32 = 7;
const DOUBLE: u32 = 9;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
/// Class of a cell.
const CELL: u8 = 1;
/// Flag of complex numbers.
const COMPLEX: u32 = 0x0800;
/// The most variables, and the most entries of a cell.
const MAX_ITEMS: usize = 1 << 12;
/// The most sizes of an array.
const MAX_RANK: usize = 16;
/// Streams up to this size are inflated whatever their ratio, all together.
const SMALL: usize = 1 << 20;
/// Larger ones may grow by this factor.
const MAX_RATIO: usize = 64;

/// An array of real numbers in column-major order.
#[derive(Debug, PartialEq)]
pub(super) struct Array {
    pub(super) dtype: Dtype,
    pub(super) sizes: Vec<usize>,
    pub(super) values: Vec<f64>,
}

/// The value of a variable.
#[derive(Debug, PartialEq)]
pub(super) enum Value {
    Array(Array),
    Cell(Vec<Array>),
}

/// All variables of a file, in its order.
pub(super) fn variables(bytes: &[u8]) -> Result<Vec<(String, Value)>, MatlabError> {
    match bytes.get(HEADER - 4..HEADER) {
        Some([_, _, b'M', b'I']) => return Err(MatlabError::Header("big-endian, which is not read")),
        Some([0, 1, b'I', b'M']) => {}
        Some([_, _, b'I', b'M']) => return Err(MatlabError::Header("of another version than 5")),
        _ => return Err(MatlabError::Header("cut off or of another byte order")),
    }
    let mut file = Elements {
        bytes: &bytes[HEADER..],
        at: HEADER,
        within: "the file",
    };
    let most = bytes.len().saturating_mul(MAX_RATIO).max(SMALL);
    let mut room = most;
    let mut numbers = most / 8;
    let mut variables = Vec::new();
    while !file.bytes.is_empty() {
        if variables.len() == MAX_ITEMS {
            let (what, most) = ("variables", MAX_ITEMS);
            return Err(MatlabError::TooMany { what, most });
        }
        let element = file.next()?;
        variables.push(if element.kind == COMPRESSED {
            let inflated = inflate(&element, room)?;
            room -= inflated.len();
            let mut stream = Elements {
                bytes: &inflated,
                at: 0,
                within: "the compressed stream",
            };
            let variable = read_variable(&stream.next()?, &mut numbers)?;
            if !stream.bytes.is_empty() {
                let (at, what) = (element.at, "more than one element in it");
                return Err(MatlabError::Compressed { at, what });
            }
            variable
        } else {
            read_variable(&element, &mut numbers)?
        });
    }
    Ok(variables)
}

/// The bytes of a compressed element, `room` at most.
fn inflate(element: &Element<'_>, room: usize) -> Result<Vec<u8>, MatlabError> {
    let refuse = |what| MatlabError::Compressed { at: element.at, what };
    let mut inflated = Vec::new();
    ZlibDecoder::new(element.data)
        .take(room as u64 + 1)
        .read_to_end(&mut inflated)
        .map_err(|_| refuse("not a complete zlib stream"))?;
    if inflated.len() > room {
        return Err(refuse("grows beyond 64 times the file"));
    }
    Ok(inflated)
}

/// An element: its type and its bytes without the padding.
#[derive(Debug)]
struct Element<'b> {
    kind: u32,
    at: usize,
    data: &'b [u8],
}

/// A sequence of elements.
struct Elements<'b> {
    bytes: &'b [u8],
    /// Where `bytes` begins.
    at: usize,
    within: &'static str,
}

impl<'b> Elements<'b> {
    /// Takes one element off the front; up to four bytes may stand in the tag itself.
    fn next(&mut self) -> Result<Element<'b>, MatlabError> {
        let (at, within) = (self.at, self.within);
        let truncated = || MatlabError::Truncated { at, within };
        let (tag, rest) = self.bytes.split_first_chunk::<8>().ok_or_else(truncated)?;
        let [a, b, c, d, size @ ..] = *tag;
        let (kind, size) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(size) as usize);
        let small = (kind >> 16) as usize;
        if small > 0 {
            if small > 4 {
                return Err(truncated());
            }
            let data = &self.bytes[4..4 + small];
            (self.bytes, self.at) = (rest, at + 8);
            let kind = kind & 0xffff;
            return Ok(Element { kind, at, data });
        }
        let data = rest.get(..size).ok_or_else(truncated)?;
        let padded = if kind == COMPRESSED { size } else { size.next_multiple_of(8) };
        // the padding of the last element may be missing
        self.bytes = rest.get(padded..).unwrap_or(&[]);
        self.at = at + 8 + padded;
        Ok(Element { kind, at, data })
    }

    /// Takes an element of one type.
    fn of(&mut self, kind: u32, expected: &'static str) -> Result<Element<'b>, MatlabError> {
        let element = self.next()?;
        if element.kind == kind {
            return Ok(element);
        }
        let (at, found) = (element.at, element.kind);
        Err(MatlabError::Element { at, found, expected })
    }
}

/// The parts of an array that every class has.
struct Head<'b> {
    class: u8,
    complex: bool,
    sizes: Vec<i32>,
    name: String,
    rest: Elements<'b>,
}

impl<'b> Head<'b> {
    fn read(element: &Element<'b>) -> Result<Self, MatlabError> {
        if element.kind != MATRIX {
            let (at, found, expected) = (element.at, element.kind, "an array");
            return Err(MatlabError::Element { at, found, expected });
        }
        let mut rest = Elements {
            bytes: element.data,
            at: element.at + 8,
            within: "the array",
        };
        let flags = rest.of(UINT32, "the flags of an array")?;
        let [word, _] = flags.data.as_chunks::<4>().0 else {
            let (at, within) = (flags.at, "the array");
            return Err(MatlabError::Truncated { at, within });
        };
        let word = u32::from_le_bytes(*word);
        let sizes = rest.of(INT32, "the sizes of an array")?;
        let sizes: Vec<i32> = sizes.data.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect();
        if sizes.len() > MAX_RANK {
            let (what, most) = ("sizes", MAX_RANK);
            return Err(MatlabError::TooMany { what, most });
        }
        let name = rest.of(INT8, "the name of an array")?;
        Ok(Self {
            class: word.to_le_bytes()[0],
            complex: word & COMPLEX != 0,
            sizes,
            name: shown(name.data),
            rest,
        })
    }

    /// The sizes and their product; nothing if one is negative or they have no product.
    fn count(&self) -> Option<(Vec<usize>, usize)> {
        let sizes: Option<Vec<usize>> = self.sizes.iter().map(|size| usize::try_from(*size).ok()).collect();
        let sizes = sizes.filter(|sizes| sizes.len() >= 2)?;
        let count = sizes.iter().try_fold(1usize, |count, size| count.checked_mul(*size))?;
        Some((sizes, count))
    }

    fn refuse_count(&self, found: usize) -> MatlabError {
        MatlabError::Count {
            variable: self.name.clone(),
            sizes: self.sizes.clone(),
            found,
        }
    }
}

fn read_variable(element: &Element<'_>, room: &mut usize) -> Result<(String, Value), MatlabError> {
    let mut head = Head::read(element)?;
    if head.class != CELL {
        let name = head.name.clone();
        return Ok((name, Value::Array(read_array(head, room)?)));
    }
    let mut cells = Vec::new();
    while !head.rest.bytes.is_empty() {
        if cells.len() == MAX_ITEMS {
            let (what, most) = ("cells", MAX_ITEMS);
            return Err(MatlabError::TooMany { what, most });
        }
        let mut cell = Head::read(&head.rest.next()?)?;
        cell.name = format!("{}{{{}}}", head.name, cells.len());
        cells.push(read_array(cell, room)?);
    }
    match head.count() {
        Some((_, count)) if count == cells.len() => Ok((head.name, Value::Cell(cells))),
        _ => Err(head.refuse_count(cells.len())),
    }
}

/// Reads the numbers of an array; `room` says how many more there may be.
fn read_array(mut head: Head<'_>, room: &mut usize) -> Result<Array, MatlabError> {
    let class = |class| MatlabError::Class {
        variable: head.name.clone(),
        class,
    };
    let dtype = match head.class {
        _ if head.complex => return Err(class("complex")),
        7 => Dtype::Float32,
        // integers are as good as doubles: each is one
        6 | 8..=15 => Dtype::Float64,
        1 => return Err(class("a cell inside a cell")),
        2 => return Err(class("a structure")),
        3 => return Err(class("an object")),
        4 => return Err(class("text")),
        5 => return Err(class("sparse")),
        _ => return Err(class("of an unknown class")),
    };
    let integer_class = head.class >= 8;
    let element = head.rest.next()?;
    // at least as many as there are numbers
    *room = room
        .checked_sub(element.data.len() / width(element.kind))
        .ok_or(MatlabError::TooMany {
            what: "numbers for a file of its size",
            most: *room,
        })?;
    let fits = match element.kind {
        DOUBLE => head.class == 6,
        SINGLE => !integer_class,
        _ => true,
    };
    let values = if fits { numbers(&element) } else { None };
    let values = values.ok_or(MatlabError::Element {
        at: element.at,
        found: element.kind,
        expected: "the numbers of an array",
    })?;
    let values = values.map_err(|value| MatlabError::NotExact {
        variable: head.name.clone(),
        value,
    })?;
    match head.count() {
        Some((sizes, count)) if count == values.len() && head.rest.bytes.is_empty() => Ok(Array { dtype, sizes, values }),
        _ => Err(head.refuse_count(values.len())),
    }
}

/// Bytes of a number.
const fn width(kind: u32) -> usize {
    match kind {
        1 | 2 => 1,
        3 | 4 => 2,
        DOUBLE | 12 | 13 => 8,
        _ => 4,
    }
}

/// The numbers of an element, widened; an error is one that no float64 equals. Nothing for another type, or a rest of bytes.
fn numbers(element: &Element<'_>) -> Option<Result<Vec<f64>, String>> {
    fn widen<const N: usize>(data: &[u8], convert: impl Fn([u8; N]) -> f64) -> Option<Result<Vec<f64>, String>> {
        let (chunks, rest) = data.as_chunks::<N>();
        rest.is_empty()
            .then(|| Ok(chunks.iter().map(|chunk| convert(*chunk)).collect()))
    }
    fn exact(data: &[u8], convert: impl Fn([u8; 8]) -> i128) -> Option<Result<Vec<f64>, String>> {
        let (chunks, rest) = data.as_chunks::<8>();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "compared with the original"
        )]
        let widened = |chunk: &[u8; 8]| {
            let value = convert(*chunk);
            let float = value as f64;
            if float as i128 == value {
                Ok(float)
            } else {
                Err(value.to_string())
            }
        };
        rest.is_empty().then(|| chunks.iter().map(widened).collect())
    }
    match element.kind {
        1 => widen(element.data, |b: [u8; 1]| i8::from_le_bytes(b).into()),
        2 => widen(element.data, |b: [u8; 1]| u8::from_le_bytes(b).into()),
        3 => widen(element.data, |b| i16::from_le_bytes(b).into()),
        4 => widen(element.data, |b| u16::from_le_bytes(b).into()),
        5 => widen(element.data, |b| i32::from_le_bytes(b).into()),
        6 => widen(element.data, |b| u32::from_le_bytes(b).into()),
        SINGLE => widen(element.data, |b| f32::from_le_bytes(b).into()),
        DOUBLE => widen(element.data, f64::from_le_bytes),
        12 => exact(element.data, |b| i64::from_le_bytes(b).into()),
        13 => exact(element.data, |b| u64::from_le_bytes(b).into()),
        _ => None,
    }
}
