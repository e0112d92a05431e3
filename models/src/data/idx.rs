//! MNIST and Fashion-MNIST: big-endian IDX files, compressed or not.
//!
//! An image file is `0x00000803`, count, rows, columns and then one byte a pixel; a label file `0x00000801`, count and then one byte
//! a label. The length must be what the header says.

use std::path::Path;

use super::error::DataError;
use super::options::Split;
use super::source::{Content, Sources, find, plain};
use super::{Pixels, Samples};

const IMAGES: u32 = 0x0803;
const LABELS: u32 = 0x0801;
const CLASSES: usize = 10;
const DIVISOR: u32 = 255;

/// The folder that torchvision puts the files into.
pub(super) const MNIST: &str = "MNIST/raw";
/// The folder that torchvision puts the files into.
pub(super) const FASHION_MNIST: &str = "FashionMNIST/raw";

/// Reads one split from `directory`, or from `folder` in it.
pub(super) fn read(sources: &mut Sources, directory: &Path, folder: &str, split: Split) -> Result<Samples, DataError> {
    let prefix = match split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    let locate = |kind: &str| {
        let name = format!("{prefix}-{kind}-ubyte");
        let names = [
            name.clone(),
            format!("{name}.gz"),
            format!("{folder}/{name}"),
            format!("{folder}/{name}.gz"),
        ];
        find(directory, &names)
    };
    let (image_file, label_file) = (locate("images-idx3")?, locate("labels-idx1")?);

    let stored = sources.read(&image_file)?;
    let ([count, rows, columns], values) = body(&image_file, &stored, IMAGES)?;
    drop(stored);
    let stored = sources.read(&label_file)?;
    let ([label_count], labels) = body(&label_file, &stored, LABELS)?;

    if label_count != count {
        return Err(DataError::Count {
            file: label_file,
            expected: count.into(),
            found: label_count.into(),
        });
    }
    if let Some(record) = labels.iter().position(|label| usize::from(*label) >= CLASSES) {
        return Err(DataError::Label {
            file: label_file,
            record,
            label: labels[record].into(),
            classes: CLASSES,
        });
    }
    Ok(Samples {
        shape: [1, rows as usize, columns as usize],
        classes: CLASSES,
        pixels: Pixels::Bytes {
            values,
            divisor: DIVISOR,
        },
        labels: labels.into_iter().map(u16::from).collect(),
    })
}

/// The sizes in the header and the bytes behind it.
fn body<const N: usize>(file: &Path, stored: &[u8], magic: u32) -> Result<([u32; N], Vec<u8>), DataError> {
    let mut content = Content::new(file, plain(stored));
    let found = word(&content.take(4)?);
    if found != magic {
        return Err(DataError::Magic {
            file: file.into(),
            expected: magic,
            found,
        });
    }
    let mut sizes = [0; N];
    for size in &mut sizes {
        *size = word(&content.take(4)?);
    }
    // three 32-bit sizes need 96 bits
    let bytes = content.take(sizes.iter().map(|size| u128::from(*size)).product())?;
    content.end()?;
    Ok((sizes, bytes))
}

/// A big-endian word.
fn word(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}
