//! Numpy arrays: a zip archive of `.npy` arrays, or a single one.

use std::fs::File;

use super::blob::Blob;
use super::dtype::Dtype;
use super::error::{FileError, shown};
use super::view::{TensorError, View};
use super::{Contents, Place, TensorInfo};

/// The longest header of an array that is read; numpy's own limit is 10,000 characters.
const MAX_HEADER: u64 = 1 << 14;

/// The name of an array outside an archive.
const SINGLE: &str = "array";

/// Why an array was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// An entry of the archive that is no array.
    #[error("not a .npy array")]
    NotAnArray,
    /// A malformed header.
    #[error("malformed header `{header}`")]
    Header {
        /// Its first characters.
        header: String,
    },
    /// Python objects, complex numbers, texts, or another byte order.
    #[error("elements of type `{descr}` are not read")]
    Dtype {
        /// The type in numpy's notation.
        descr: String,
    },
    /// The array has not the bytes that its shape needs.
    #[error("{found} bytes of numbers, shape {shape:?} needs {expected}")]
    Length {
        /// The sizes.
        shape: Vec<usize>,
        /// Bytes that the shape needs.
        expected: u64,
        /// Bytes behind the header.
        found: u64,
    },
    /// A shape that cannot be read.
    #[error(transparent)]
    Shape(TensorError),
}

/// Reads the headers of all arrays.
///
/// # Errors
///
/// [`FileError::Npy`], [`FileError::Archive`], [`FileError::Io`].
pub(super) fn read(file: &mut File, length: u64, entries: Vec<(String, Blob)>) -> Result<Contents, FileError> {
    let mut contents = Contents::default();
    for (entry, blob) in entries {
        let name = entry.strip_suffix(".npy").ok_or_else(|| FileError::Npy {
            tensor: shown(entry.as_bytes()),
            cause: NpyError::NotAnArray,
        })?;
        blob.check(&entry, length)?;
        contents.tensors.push(array(file, &entry, name, blob)?);
    }
    Ok(contents)
}

/// Reads the header of a file that is one array; the tensor is called [`SINGLE`].
///
/// # Errors
///
/// [`FileError::Npy`], [`FileError::Io`].
pub(super) fn read_single(file: &mut File, length: u64) -> Result<Contents, FileError> {
    let tensor = array(file, SINGLE, SINGLE, Blob::plain(0, length))?;
    Ok(Contents {
        tensors: vec![tensor],
        ..Contents::default()
    })
}

/// Reads the header of one array, called `entry` where it is refused.
fn array(file: &mut File, entry: &str, name: &str, blob: Blob) -> Result<(TensorInfo, Place), FileError> {
    let refuse = |cause| FileError::Npy {
        tensor: shown(entry.as_bytes()),
        cause,
    };
    let head = blob.head(file, MAX_HEADER)?;
    let Header { dtype, view, start } = header(&head).map_err(refuse)?;
    // the count was checked to leave room for eight bytes an element
    let expected = (view.count() * dtype.size()) as u64;
    let found = blob.size.saturating_sub(start);
    if found != expected || start > blob.size {
        let shape = view.shape().to_vec();
        return Err(refuse(NpyError::Length { shape, expected, found }));
    }
    let info = TensorInfo {
        name: name.to_owned(),
        dtype,
        shape: view.shape().to_vec(),
    };
    Ok((info, Place::in_file(blob, start, view)))
}

/// What the header of an array says.
struct Header {
    dtype: Dtype,
    view: View,
    /// First byte of the numbers.
    start: u64,
}

/// Reads the header of an array: magic, version, length, a Python dictionary in text.
fn header(head: &[u8]) -> Result<Header, NpyError> {
    let rest = head.strip_prefix(b"\x93NUMPY").ok_or(NpyError::NotAnArray)?;
    let malformed = |bytes: &[u8]| NpyError::Header { header: shown(bytes) };
    let (size, text) = match rest {
        [1, _, a, b, text @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), text),
        [2 | 3, _, a, b, c, d, text @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, text),
        _ => return Err(malformed(rest)),
    };
    let start = head.len() - text.len() + size;
    let text = text.get(..size).ok_or_else(|| malformed(text))?;
    let fields = fields(text).ok_or_else(|| malformed(text))?;
    let dtype = dtype(fields.descr).ok_or_else(|| NpyError::Dtype {
        descr: shown(fields.descr.as_bytes()),
    })?;
    let view = if fields.fortran_order {
        View::column_major(fields.shape)
    } else {
        View::row_major(fields.shape)
    };
    Ok(Header {
        dtype,
        view: view.map_err(NpyError::Shape)?,
        start: start as u64,
    })
}

/// The three entries of the dictionary.
struct Fields<'t> {
    descr: &'t str,
    fortran_order: bool,
    shape: Vec<usize>,
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, each entry exactly once, in any order.
fn fields(text: &[u8]) -> Option<Fields<'_>> {
    let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\n']);
    let mut rest = text.strip_prefix('{')?.strip_suffix('}')?.trim();
    let (mut descr, mut order, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, value) = rest.strip_prefix('\'')?.split_once("':")?;
        let value = value.trim_start();
        let end;
        match key {
            "descr" if descr.is_none() => {
                let text = value.strip_prefix('\'')?;
                let length = text.find('\'')?;
                descr = Some(&text[..length]);
                end = length + 2;
            }
            "fortran_order" if order.is_none() => {
                let yes = value.starts_with("True");
                order = Some(yes);
                end = if yes { 4 } else { value.starts_with("False").then_some(5)? };
            }
            "shape" if shape.is_none() => {
                let length = value.find(')')?;
                let sizes = value.strip_prefix('(')?.get(..length - 1)?.trim();
                let sizes = sizes.strip_suffix(',').unwrap_or(sizes);
                let parse = |size: &str| size.trim().trim_end_matches('L').parse().ok();
                shape = Some(if sizes.is_empty() {
                    Vec::new()
                } else {
                    sizes.split(',').map(parse).collect::<Option<Vec<usize>>>()?
                });
                end = length + 1;
            }
            _ => return None,
        }
        let tail = value.get(end..)?.trim_start();
        rest = match tail.strip_prefix(',') {
            Some(tail) => tail.trim_start(),
            None if tail.is_empty() => tail,
            None => return None,
        };
    }
    Some(Fields {
        descr: descr?,
        fortran_order: order?,
        shape: shape?,
    })
}

/// Our name of an element type in numpy's notation.
fn dtype(descr: &str) -> Option<Dtype> {
    Some(match descr {
        "<f2" => Dtype::Float16,
        "<f4" => Dtype::Float32,
        "<f8" => Dtype::Float64,
        "|b1" => Dtype::Bool,
        "|u1" => Dtype::Uint8,
        "<u2" => Dtype::Uint16,
        "<u4" => Dtype::Uint32,
        "<u8" => Dtype::Uint64,
        "|i1" => Dtype::Int8,
        "<i2" => Dtype::Int16,
        "<i4" => Dtype::Int32,
        "<i8" => Dtype::Int64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_spelling_of_a_header() {
        for (text, shape) in [
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n", vec![3, 4]),
            ("{'shape': (5,), 'fortran_order': True, 'descr': '<f4'}", vec![5]),
            ("{'descr':'<f4','fortran_order':False,'shape':()}", vec![]),
        ] {
            let fields = fields(text.as_bytes()).expect(text);
            assert_eq!((fields.descr, fields.shape), ("<f4", shape));
        }
    }

    #[test]
    fn refuses_every_other_text() {
        for text in [
            "",
            "{}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)",
            "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': )}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'more': 1}",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}",
        ] {
            assert!(fields(text.as_bytes()).is_none(), "{text}");
        }
    }
}
