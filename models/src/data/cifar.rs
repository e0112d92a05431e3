//! CIFAR-10 and CIFAR-100 in the official binary layout: records of one or two label bytes and 3×32×32 pixels, channel by channel.

use std::path::Path;

use super::error::DataError;
use super::options::Split;
use super::source::{Sources, find};
use super::{Pixels, Samples};

const PIXELS: usize = 3 * 32 * 32;
const DIVISOR: u32 = 255;

/// What distinguishes the two sets.
#[derive(Clone, Copy)]
pub(super) struct Variant {
    /// The folder in the official archive.
    folder: &'static str,
    train: &'static [&'static str],
    test: &'static [&'static str],
    /// Classes of each label byte; the last byte is the label that is used.
    labels: &'static [usize],
}

/// One label byte, five training files.
pub(super) const CIFAR10: Variant = Variant {
    folder: "cifar-10-batches-bin",
    train: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ],
    test: &["test_batch.bin"],
    labels: &[10],
};

/// A coarse and a fine label byte.
pub(super) const CIFAR100: Variant = Variant {
    folder: "cifar-100-binary",
    train: &["train.bin"],
    test: &["test.bin"],
    labels: &[20, 100],
};

/// Reads one split from `directory`, or from the archive's folder in it.
pub(super) fn read(sources: &mut Sources, directory: &Path, variant: Variant, split: Split) -> Result<Samples, DataError> {
    let names = match split {
        Split::Train => variant.train,
        Split::Test => variant.test,
    };
    let locate = |name: &&str| find(directory, &[(*name).to_owned(), format!("{}/{name}", variant.folder)]);
    let files = names.iter().map(locate).collect::<Result<Vec<_>, _>>()?;
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for file in files {
        let bytes = sources.read(&file)?;
        append(&file, &bytes, variant, &mut values, &mut labels)?;
    }
    Ok(Samples {
        shape: [3, 32, 32],
        classes: variant.labels[variant.labels.len() - 1],
        pixels: Pixels::Bytes {
            values,
            divisor: DIVISOR,
        },
        labels,
    })
}

/// Adds the records of one file.
fn append(file: &Path, bytes: &[u8], variant: Variant, values: &mut Vec<u8>, labels: &mut Vec<u16>) -> Result<(), DataError> {
    let heads = variant.labels.len();
    let records = bytes.chunks_exact(heads + PIXELS);
    let rest = records.remainder().len();
    if rest > 0 {
        return Err(DataError::PartialRecord {
            file: file.into(),
            record: records.len(),
            expected: heads + PIXELS,
            found: rest,
        });
    }
    for (record, content) in records.enumerate() {
        let (head, pixels) = content.split_at(heads);
        for (label, classes) in head.iter().zip(variant.labels) {
            if usize::from(*label) >= *classes {
                return Err(DataError::Label {
                    file: file.into(),
                    record,
                    label: (*label).into(),
                    classes: *classes,
                });
            }
        }
        labels.push(head[heads - 1].into());
        values.extend_from_slice(pixels);
    }
    Ok(())
}
