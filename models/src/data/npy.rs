//! Arrays in NumPy's format, strictly: the header is a dictionary of exactly `descr`, `fortran_order` and `shape`.
//!
//! # Source
//!
//! `numpy.lib.format`: magic `\x93NUMPY`, version, little-endian header length (two bytes in version 1, four in 2 and 3), a Python
//! literal padded with spaces and ended by a line feed, then the entries.

use std::io::Read;
use std::path::Path;

use super::error::{DataError, NpyFault};
use super::source::Content;

const MAX_HEADER: u32 = 1 << 16;

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) dtype: String,
    /// First index fastest.
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// Reads the header and leaves the reader at the first entry.
    pub(super) fn read<R: Read>(file: &Path, content: &mut Content<'_, R>) -> Result<Self, DataError> {
        let fault = |at, fault| DataError::Npy {
            file: file.into(),
            at,
            fault,
        };
        let start = content.take(8)?;
        if !start.starts_with(b"\x93NUMPY") {
            return Err(fault(0, NpyFault::Magic));
        }
        let size = match start[6..] {
            [1, 0] => 2,
            [2 | 3, 0] => 4,
            _ => return Err(fault(6, NpyFault::Version)),
        };
        let length = content.take(size)?;
        let length = length.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        if length > MAX_HEADER {
            return Err(fault(8, NpyFault::Length));
        }
        let text = content.take(length.into())?;
        parse(&text).map_err(|(at, reason)| fault(start.len() + size as usize + at, reason))
    }
}

/// A place in the header and what is wrong there.
type Fault = (usize, NpyFault);

/// Parses the dictionary.
fn parse(text: &[u8]) -> Result<Header, Fault> {
    let mut cursor = Cursor { text, at: 0 };
    let (mut dtype, mut fortran, mut shape) = (None, None, None);
    cursor.expect(b'{', "`{`")?;
    while !cursor.accept(b'}') {
        let at = cursor.at;
        let repeated = match cursor.string()?.as_str() {
            "descr" => {
                cursor.expect(b':', "`:`")?;
                dtype.replace(cursor.string()?).map(|_| "descr")
            }
            "fortran_order" => {
                cursor.expect(b':', "`:`")?;
                fortran.replace(cursor.boolean()?).map(|_| "fortran_order")
            }
            "shape" => {
                cursor.expect(b':', "`:`")?;
                shape.replace(cursor.tuple()?).map(|_| "shape")
            }
            _ => return Err((at, NpyFault::Expected("`descr`, `fortran_order` or `shape`"))),
        };
        if let Some(key) = repeated {
            return Err((at, NpyFault::Repeated(key)));
        }
        if !cursor.accept(b',') {
            cursor.expect(b'}', "`,` or `}`")?;
            break;
        }
    }
    cursor.skip_spaces();
    if cursor.text[cursor.at..] != *b"\n" {
        return Err((cursor.at, NpyFault::Expected("a line feed and the end")));
    }
    match (dtype, fortran, shape) {
        (Some(dtype), Some(fortran), Some(shape)) => Ok(Header { dtype, fortran, shape }),
        _ => Err((cursor.at, NpyFault::Expected("each of `descr`, `fortran_order` and `shape`"))),
    }
}

/// A place in the text of a header.
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn skip_spaces(&mut self) {
        self.at += self.text[self.at..].iter().take_while(|byte| **byte == b' ').count();
    }

    /// Takes `byte` if it comes next.
    fn accept(&mut self, byte: u8) -> bool {
        self.skip_spaces();
        let found = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        if self.accept(byte) {
            Ok(())
        } else {
            Err((self.at, NpyFault::Expected(what)))
        }
    }

    /// The longest run of bytes that `keep` allows.
    fn run(&mut self, keep: impl Fn(u8) -> bool) -> String {
        let rest = &self.text[self.at..];
        let length = rest.iter().take_while(|byte| keep(**byte)).count();
        self.at += length;
        rest[..length].iter().map(|byte| char::from(*byte)).collect()
    }

    /// Printable ASCII in single or double quotes, without escapes.
    fn string(&mut self) -> Result<String, Fault> {
        let quote = if self.accept(b'"') {
            b'"'
        } else {
            self.expect(b'\'', "a string")?;
            b'\''
        };
        let text = self.run(|byte| (b' '..=b'~').contains(&byte) && byte != quote && byte != b'\\');
        if self.text.get(self.at) != Some(&quote) {
            return Err((self.at, NpyFault::Expected("the end of the string")));
        }
        self.at += 1;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, Fault> {
        self.skip_spaces();
        let at = self.at;
        match self.run(|byte| byte.is_ascii_alphabetic()).as_str() {
            "True" => Ok(true),
            "False" => Ok(false),
            _ => Err((at, NpyFault::Expected("`True` or `False`"))),
        }
    }

    /// `()`, `(n,)` or `(n, m, …)`.
    fn tuple(&mut self) -> Result<Vec<usize>, Fault> {
        self.expect(b'(', "`(`")?;
        let mut sizes = Vec::new();
        while !self.accept(b')') {
            self.skip_spaces();
            let at = self.at;
            let digits = self.run(|byte| byte.is_ascii_digit());
            let size = digits.parse().map_err(|_| (at, NpyFault::Expected("a size")))?;
            sizes.push(size);
            if !self.accept(b',') {
                if sizes.len() == 1 {
                    return Err((self.at, NpyFault::Expected("`,`")));
                }
                self.expect(b')', "`,` or `)`")?;
                break;
            }
        }
        Ok(sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_numpy_writes() {
        for (text, shape) in [
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }      \n",
                vec![3, 4],
            ),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (7,), }\n", vec![7]),
            ("{\"shape\": (), 'fortran_order': False, 'descr': '<f4'}\n", vec![]),
        ] {
            let header = parse(text.as_bytes()).expect(text);
            assert_eq!(
                header,
                Header {
                    dtype: "<f4".into(),
                    fortran: false,
                    shape
                }
            );
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "{",
            "{}\n",
            "{'descr': '<f4', 'fortran_order': False}\n",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)} x\n",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3)}\n",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}\n",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,)}\n",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}\n",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}\n",
            "{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (3,)}\n",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'more': 1}\n",
            "{'descr': '<f4 'fortran_order': False, 'shape': (3,)}\n",
            "{'descr': '<f\\x34', 'fortran_order': False, 'shape': (3,)}\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
