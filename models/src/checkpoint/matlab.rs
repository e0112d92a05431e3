//! MATLAB files of version 5 with the matrices of a dense network.
//!
//! Variables are arrays of real numbers, or cells of them. They become tensors as follows; others keep their names, and belong to no
//! network.
//!
//! | variable | tensors | meaning |
//! |---|---|---|
//! | cell `weights` | `W0`, `W1`, … | one matrix a layer, `(outputs, inputs)` |
//! | cell `biases` | `b0`, `b1`, … | one vector a layer |
//! | `fc1_weight`, … | `fc1.weight`, … | a matrix as `x · W` needs it, `(inputs, outputs)`; the tensor is the transpose |
//! | `fc1_bias`, … | `fc1.bias`, … | a vector |
//! | `input_mean`, `input_scale` | `….operand` | the network begins with `(x − mean) / scale` |
//!
//! Numbers are widened to float64, which is exact for all types but 64-bit integers, where it is checked. A stream that is compressed may
//! grow as far as one in a zip archive.
//!
//! # Source
//!
//! MathWorks, *MAT-File Format*, chapter 1 (level 5). Cells: the examples of LipSDP (Fazlyab et al., NeurIPS 2019); `fc1_weight`: those of
//! GLipSDP (Pauli et al., 2024), written from Python.

mod array;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::error::{FileError, shown};
use super::place::{Place, Source};
use super::view::View;
use super::{Contents, TensorInfo};
use array::{Array, Value, variables};

/// The longest file that is read.
const MAX_SIZE: u64 = 1 << 31;

/// Why a MATLAB file was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatlabError {
    /// The file is longer than any of this version.
    #[error("{size} bytes are more than are read ({most})")]
    TooLong {
        /// Bytes of the file.
        size: u64,
        /// The limit.
        most: u64,
    },
    /// The header is cut off, of another version, or of another byte order.
    #[error("the header is {0}")]
    Header(&'static str),
    /// An element ends behind what it is part of.
    #[error("truncated: the element at byte {at} does not end within {within}")]
    Truncated {
        /// Where, in the file or in an inflated stream.
        at: usize,
        /// `the file`, `the compressed stream` or `the array`.
        within: &'static str,
    },
    /// An element of a type that does not belong there.
    #[error("an element of type {found} at byte {at}, expected {expected}")]
    Element {
        /// Where, in the file or in an inflated stream.
        at: usize,
        /// Its type.
        found: u32,
        /// What belongs there.
        expected: &'static str,
    },
    /// A compressed stream that is damaged or grows too much.
    #[error("the compressed element at byte {at}: {what}")]
    Compressed {
        /// Where in the file.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// An array of a class that holds no real numbers.
    #[error("variable `{variable}` is {class}, only real numbers and cells of them are read")]
    Class {
        /// The variable.
        variable: String,
        /// Its class in words.
        class: &'static str,
    },
    /// Another number of elements than the sizes say.
    #[error("variable `{variable}` of sizes {sizes:?} has {found} numbers")]
    Count {
        /// The variable.
        variable: String,
        /// Its sizes.
        sizes: Vec<i32>,
        /// Numbers that are there.
        found: usize,
    },
    /// A 64-bit integer that no float64 equals.
    #[error("variable `{variable}`: `{value}` is not a float64")]
    NotExact {
        /// The variable.
        variable: String,
        /// The number.
        value: String,
    },
    /// More variables, cells or sizes than are read.
    #[error("more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// A vector is needed, or another number of cells.
    #[error("variable `{variable}` has sizes {sizes:?}, expected {expected}")]
    Shape {
        /// The variable.
        variable: String,
        /// Its sizes.
        sizes: Vec<usize>,
        /// What is needed.
        expected: &'static str,
    },
}

/// Reads all variables.
///
/// # Errors
///
/// [`MatlabError`], [`FileError::Tensor`], [`FileError::Io`].
pub(super) fn read(file: &mut File, length: u64) -> Result<Contents, FileError> {
    if length > MAX_SIZE {
        let (size, most) = (length, MAX_SIZE);
        return Err(MatlabError::TooLong { size, most }.into());
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(MAX_SIZE).read_to_end(&mut bytes)?;
    let mut contents = Contents::default();
    for (name, value) in variables(&bytes)? {
        match value {
            Value::Array(array) => contents.tensors.push(variable(&name, array)?),
            Value::Cell(cells) => {
                let letter = match name.as_str() {
                    "weights" => Some("W"),
                    "biases" => Some("b"),
                    _ => None,
                };
                for (index, array) in cells.into_iter().enumerate() {
                    let tensor = letter.map_or_else(|| format!("{name}{{{index}}}"), |letter| format!("{letter}{index}"));
                    let (what, vector) = (format!("{name}{{{index}}}"), letter == Some("b"));
                    contents.tensors.push(tensor_of(tensor, &what, array, vector, false)?);
                }
            }
        }
    }
    Ok(contents)
}

/// The tensor of a variable that is an array.
fn variable(name: &str, array: Array) -> Result<(TensorInfo, Place), FileError> {
    let part = |suffix: &str| {
        let layer = name.strip_suffix(suffix)?;
        let digits = layer.strip_prefix("fc")?;
        (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(layer)
    };
    if let Some(layer) = part("_weight") {
        return tensor_of(format!("{layer}.weight"), name, array, false, true);
    }
    if let Some(layer) = part("_bias") {
        return tensor_of(format!("{layer}.bias"), name, array, true, false);
    }
    if matches!(name, "input_mean" | "input_scale") {
        return tensor_of(format!("{name}.operand"), name, array, true, false);
    }
    tensor_of(name.to_owned(), name, array, false, false)
}

/// An array as a tensor; a vector may lie either way.
fn tensor_of(
    tensor: String,
    variable: &str,
    array: Array,
    vector: bool,
    transposed: bool,
) -> Result<(TensorInfo, Place), FileError> {
    let Array { dtype, sizes, values } = array;
    let view = if vector {
        if sizes.iter().filter(|size| **size != 1).count() > 1 {
            return Err(MatlabError::Shape {
                variable: shown(variable.as_bytes()),
                sizes,
                expected: "one row or one column",
            }
            .into());
        }
        View::row_major(vec![values.len()])
    } else {
        View::column_major(sizes)
    };
    let view = view.map_err(|cause| FileError::Tensor {
        tensor: shown(tensor.as_bytes()),
        cause,
    })?;
    let view = if transposed { view.transposed() } else { view };
    let info = TensorInfo {
        name: tensor,
        dtype,
        shape: view.shape().to_vec(),
    };
    let source = Source::Memory(values.into());
    Ok((info, Place { source, view }))
}
