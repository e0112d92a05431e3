//! The digits that come with the program: scikit-learn's 8×8 images, see `assets/NOTICE-digits.md`.

use super::error::DataError;
use super::options::Split;
use super::source::Sources;
use super::{Pixels, Samples};

/// 1,797 rows: 64 pixels and the label.
const ROWS: &[u8] = include_bytes!("../../assets/digits.csv");
const NAME: &str = "digits.csv";
/// Rows before this one are for training.
const FIRST_TEST_ROW: usize = 1437;
const PIXELS: usize = 64;
const CLASSES: usize = 10;
/// White.
const DIVISOR: u8 = 16;

/// The row of the first sample of a split.
pub(super) const fn offset(split: Split) -> usize {
    match split {
        Split::Train => 0,
        Split::Test => FIRST_TEST_ROW,
    }
}

/// Reads one split.
pub(super) fn read(sources: &mut Sources, split: Split) -> Result<Samples, DataError> {
    sources.embedded(ROWS);
    let (values, labels) = parse(ROWS)?;
    let range = match split {
        Split::Train => 0..FIRST_TEST_ROW,
        Split::Test => FIRST_TEST_ROW..labels.len(),
    };
    Ok(Samples {
        shape: [1, 8, 8],
        classes: CLASSES,
        pixels: Pixels::Bytes {
            values: values[range.start * PIXELS..range.end * PIXELS].to_vec(),
            divisor: DIVISOR.into(),
        },
        labels: labels[range].to_vec(),
    })
}

/// Pixels and labels of all rows.
fn parse(text: &[u8]) -> Result<(Vec<u8>, Vec<u16>), DataError> {
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    let lines = text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n');
    for (row, line) in lines.enumerate() {
        let field = |column, limit| DataError::Field {
            file: NAME,
            row,
            column,
            limit,
        };
        let mut fields = line.split(|byte| *byte == b',');
        for column in 0..=PIXELS {
            let limit = if column < PIXELS { DIVISOR } else { CLASSES as u8 - 1 };
            let value = fields.next().and_then(number).filter(|value| *value <= limit);
            let value = value.ok_or_else(|| field(column, limit))?;
            if column < PIXELS {
                values.push(value);
            } else {
                labels.push(value.into());
            }
        }
        if fields.next().is_some() {
            return Err(field(PIXELS + 1, 0));
        }
    }
    Ok((values, labels))
}

/// A number without sign or spaces.
fn number(field: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(field).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_rows_that_are_not_digits() {
        let good = "1,".repeat(PIXELS) + "9\n";
        assert_eq!(parse(good.as_bytes()).expect("a row").1, [9]);
        for (text, at) in [
            ("1,".repeat(PIXELS) + "10", PIXELS),
            ("1,".repeat(PIXELS) + "9,1", PIXELS + 1),
            ("1,".repeat(PIXELS - 1) + "9", PIXELS),
            ("17,".repeat(PIXELS) + "1", 0),
            ("+1,".repeat(PIXELS) + "1", 0),
            (String::new(), 0),
        ] {
            let second = good.clone() + &text;
            match parse(second.as_bytes()) {
                Err(DataError::Field { row: 1, column, .. }) => assert_eq!(column, at, "{text}"),
                other if text.is_empty() => assert!(other.is_ok(), "a last line feed ends the file"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
