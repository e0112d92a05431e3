//! Matrices as nested lists of decimals: `[[1.5,-2],[0,1]],[[1],[0.25]]`.
//!
//! Each list of lists is one matrix of a dense network without biases, in the layout of `x · W`: a row an input, a column an output, so
//! that each matrix has as many rows as the one before has columns. The tensors are called `W0`, `W1`, … and are the transposes,
//! `(outputs, inputs)`. **A decimal is read as the float64 nearest to it**, and the network is the one with these float64 numbers; where the
//! text was rounded from other weights, it is another network than theirs.
//!
//! # Source
//!
//! The text format of the verified certifier for globally robust networks, github.com/tobycmurray/python-certifier, in which the kernels of
//! Keras' `Dense` layers are written with five decimals.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::dtype::Dtype;
use super::error::{FileError, shown};
use super::place::{Place, Source};
use super::view::View;
use super::{Contents, TensorInfo};

/// The longest text that is read.
const MAX_SIZE: u64 = 1 << 30;
/// The most matrices.
const MAX_MATRICES: usize = 1 << 12;
/// The longest number.
const MAX_NUMBER: usize = 400;

/// Why a text is not matrices as nested lists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListsError {
    /// The file is longer than is read.
    #[error("{size} bytes are more than are read ({most})")]
    TooLong {
        /// Bytes of the file.
        size: u64,
        /// The limit.
        most: u64,
    },
    /// Another character than belongs there.
    #[error("byte {at}: expected {expected}, found `{found}`")]
    Expected {
        /// Where in the file.
        at: usize,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A number that is no finite decimal.
    #[error("byte {at}: `{text}` is not a finite decimal number")]
    Number {
        /// Where in the file.
        at: usize,
        /// What is there.
        text: String,
    },
    /// A row of another length than the first one.
    #[error("matrix {matrix}: row {row} has {found} numbers, row 0 has {expected}")]
    Row {
        /// Zero-based matrix.
        matrix: usize,
        /// Zero-based row.
        row: usize,
        /// Numbers of the first row.
        expected: usize,
        /// Numbers of this row.
        found: usize,
    },
    /// A matrix that does not follow the one before.
    #[error("matrix {matrix} has {rows} rows, the one before has {cols} columns")]
    Chain {
        /// Zero-based matrix.
        matrix: usize,
        /// Its rows.
        rows: usize,
        /// Columns of the one before.
        cols: usize,
    },
    /// More matrices than are read.
    #[error("more than {most} matrices")]
    TooMany {
        /// The limit.
        most: usize,
    },
}

/// A matrix as it is written, row-major.
#[derive(Debug, PartialEq)]
struct Written {
    rows: usize,
    cols: usize,
    values: Vec<f64>,
}

/// Reads all matrices.
///
/// # Errors
///
/// [`ListsError`], [`FileError::Io`].
pub(super) fn read(file: &mut File, length: u64) -> Result<Contents, FileError> {
    if length > MAX_SIZE {
        let (size, most) = (length, MAX_SIZE);
        return Err(ListsError::TooLong { size, most }.into());
    }
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(MAX_SIZE).read_to_end(&mut text)?;
    let mut contents = Contents::default();
    for (index, matrix) in parse(&text)?.into_iter().enumerate() {
        let name = format!("W{index}");
        let view = View::row_major(vec![matrix.rows, matrix.cols]).map_err(|cause| FileError::Tensor {
            tensor: name.clone(),
            cause,
        })?;
        let view = view.transposed();
        let info = TensorInfo {
            name,
            dtype: Dtype::Float64,
            shape: view.shape().to_vec(),
        };
        let source = Source::Memory(matrix.values.into());
        contents.tensors.push((info, Place { source, view }));
    }
    Ok(contents)
}

fn parse(text: &[u8]) -> Result<Vec<Written>, ListsError> {
    let mut cursor = Cursor { text, at: 0 };
    let mut matrices: Vec<Written> = Vec::new();
    loop {
        let matrix = cursor.matrix(matrices.len())?;
        if let Some(before) = matrices.last()
            && before.cols != matrix.rows
        {
            return Err(ListsError::Chain {
                matrix: matrices.len(),
                rows: matrix.rows,
                cols: before.cols,
            });
        }
        if matrices.len() == MAX_MATRICES {
            return Err(ListsError::TooMany { most: MAX_MATRICES });
        }
        matrices.push(matrix);
        if cursor.peek().is_none() {
            return Ok(matrices);
        }
        cursor.expect(b',', "`,` or the end")?;
    }
}

struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
}

impl Cursor<'_> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            if !byte.is_ascii_whitespace() {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), ListsError> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(ListsError::Expected {
            at: self.at,
            expected,
            found: shown(&self.text[self.at..self.text.len().min(self.at + 10)]),
        })
    }

    /// Whether a list goes on; its closing bracket is taken.
    fn goes_on(&mut self) -> Result<bool, ListsError> {
        if self.peek() == Some(b',') {
            self.at += 1;
            return Ok(true);
        }
        self.expect(b']', "`,` or `]`").map(|()| false)
    }

    fn matrix(&mut self, index: usize) -> Result<Written, ListsError> {
        self.expect(b'[', "`[`")?;
        let (mut values, mut rows, mut cols) = (Vec::new(), 0, 0);
        loop {
            self.expect(b'[', "`[`")?;
            let before = values.len();
            loop {
                values.push(self.number()?);
                if !self.goes_on()? {
                    break;
                }
            }
            let found = values.len() - before;
            if rows == 0 {
                cols = found;
            } else if found != cols {
                return Err(ListsError::Row {
                    matrix: index,
                    row: rows,
                    expected: cols,
                    found,
                });
            }
            rows += 1;
            if !self.goes_on()? {
                return Ok(Written { rows, cols, values });
            }
        }
    }

    fn number(&mut self) -> Result<f64, ListsError> {
        self.peek();
        let rest = &self.text[self.at..];
        let length = rest
            .iter()
            .take(MAX_NUMBER + 1)
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'))
            .count();
        let digits = &rest[..length];
        // the standard library rounds to the nearest float64
        let value = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<f64>().ok());
        match value {
            Some(value) if value.is_finite() && length <= MAX_NUMBER => {
                self.at += length;
                Ok(value)
            }
            _ => Err(ListsError::Number {
                at: self.at,
                text: shown(if length == 0 { &rest[..rest.len().min(10)] } else { digits }),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_matrices() {
        let read = parse(b"[[1.5,-2],[0,1e-1]] , [[0.989059507846832275390625], [-0.00178]]\n").expect("well formed");
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].values, [1.5, -2.0, 0.0, 0.1]);
        assert_eq!((read[1].rows, read[1].cols), (2, 1));
        assert_eq!(read[1].values, [f64::from(0.989_059_5_f32), -0.00178]);
    }

    #[test]
    fn refuses_everything_else() {
        for (text, reason) in [
            ("[[1,2],[3]]", "matrix 0: row 1 has 1 numbers, row 0 has 2"),
            ("[[1,2]],[[3]]", "matrix 1 has 1 rows, the one before has 2 columns"),
            ("[[1,2]", "byte 6: expected `,` or `]`, found ``"),
            ("[[1,2]]x", "byte 7: expected `,` or the end, found `x`"),
            ("[[1,2]],", "byte 8: expected `[`, found ``"),
            ("[[]]", "byte 2: `]]` is not a finite decimal number"),
            ("[[1,]]", "byte 4: `]]` is not"),
            ("[[nan]]", "byte 2: `nan]]` is not"),
            ("[[1e999]]", "byte 2: `1e999` is not"),
            ("[[1-2]]", "byte 2: `1-2` is not"),
            ("[[[1]]]", "byte 2: `[1]]]` is not"),
            ("[[\"1\"]]", "is not a finite decimal"),
        ] {
            let error = parse(text.as_bytes()).expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let long = format!("[[{}]]", "1".repeat(401));
        assert!(matches!(parse(long.as_bytes()), Err(ListsError::Number { at: 2, .. })));
    }
}
