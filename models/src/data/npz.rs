//! Samples in a `.npz` file: a zip archive with the arrays `x.npy` and `y.npy`.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use zip::ZipArchive;

use crate::checkpoint::archive;

use super::error::DataError;
use super::npy::Header;
use super::source::{Content, Sources};
use super::{Pixels, Samples};

const DIVISOR: u32 = 255;
/// Entries that an error lists.
const LISTED: usize = 20;

/// Reads the whole file.
pub(super) fn read(sources: &mut Sources, file: &Path) -> Result<Samples, DataError> {
    let bytes = sources.read(file)?;
    // Which entries there are is decided strictly, so that no other reader sees other arrays.
    archive::entries(&mut Cursor::new(bytes.as_slice()), bytes.len() as u64).map_err(|cause| DataError::Directory {
        file: file.into(),
        cause: Box::new(cause),
    })?;
    let mut archive = ZipArchive::new(Cursor::new(bytes.as_slice())).map_err(|cause| DataError::Archive {
        file: file.into(),
        cause,
    })?;
    let x = Array::read(&mut archive, file, "x")?;
    let shape = match x.header.shape[..] {
        [_, channels, height, width] => [channels, height, width],
        [_, height, width] => [1, height, width],
        [_, length] => [1, 1, length],
        _ => return Err(x.shape_error("(N, C, H, W), (N, H, W) or (N, D)")),
    };
    let count = x.header.shape[0];
    let pixels = x.pixels()?;
    let y = Array::read(&mut archive, file, "y")?;
    if y.header.shape.len() != 1 {
        return Err(y.shape_error("(N,)"));
    }
    if y.header.shape[0] != count {
        return Err(DataError::Count {
            file: y.file,
            expected: count as u128,
            found: y.header.shape[0] as u128,
        });
    }
    let labels = y.labels()?;
    Ok(Samples {
        shape,
        classes: labels.iter().max().map_or(0, |label| usize::from(*label) + 1),
        pixels,
        labels,
    })
}

/// One array as it lies in the archive.
struct Array {
    /// The archive and the entry, for errors.
    file: PathBuf,
    header: Header,
    bytes: Vec<u8>,
}

impl Array {
    /// Reads `name.npy`.
    fn read(archive: &mut ZipArchive<Cursor<&[u8]>>, file: &Path, name: &'static str) -> Result<Self, DataError> {
        let entry_name = format!("{name}.npy");
        if archive.index_for_name(&entry_name).is_none() {
            return Err(DataError::ArrayMissing {
                file: file.into(),
                array: name,
                found: archive.file_names().take(LISTED).map(str::to_owned).collect(),
            });
        }
        let place = file.join(&entry_name);
        let entry = archive.by_name(&entry_name).map_err(|cause| DataError::Archive {
            file: place.clone(),
            cause,
        })?;
        let mut content = Content::new(&place, entry);
        let header = Header::read(&place, &mut content)?;
        let width = item_size(&header.dtype).ok_or_else(|| DataError::Dtype {
            file: place.clone(),
            dtype: header.dtype.clone(),
            expected: "little-endian integers or floats",
        })?;
        // a size of 0 makes the product 0, whatever the others are; saturation is above every limit
        let length = match header.shape.contains(&0) {
            true => 0,
            false => header
                .shape
                .iter()
                .fold(width as u128, |product, size| product.saturating_mul(*size as u128)),
        };
        let bytes = content.take(length)?;
        content.end()?;
        Ok(Self {
            file: place,
            header,
            bytes,
        })
    }

    /// The values of `x`.
    fn pixels(self) -> Result<Pixels, DataError> {
        let pixels = match self.header.dtype.as_str() {
            "|u1" => Pixels::Bytes {
                values: self.row_major(self.bytes.clone()),
                divisor: DIVISOR,
            },
            "<f4" => Pixels::Floats(self.row_major(self.items(|item| f32::from_le_bytes(item).into()))),
            "<f8" => Pixels::Floats(self.row_major(self.items(f64::from_le_bytes))),
            _ => {
                return Err(DataError::Dtype {
                    file: self.file,
                    dtype: self.header.dtype,
                    expected: "`|u1`, `<f4` or `<f8`",
                });
            }
        };
        if let Pixels::Floats(values) = &pixels
            && let Some(flat) = values.iter().position(|value| !value.is_finite())
        {
            return Err(DataError::NotFinite {
                file: self.file,
                index: position(&self.header.shape, flat),
                value: values[flat],
            });
        }
        Ok(pixels)
    }

    /// The entries of `y`.
    fn labels(self) -> Result<Vec<u16>, DataError> {
        let labels: Vec<i128> = match self.header.dtype.as_str() {
            "|u1" => self.items(|item| u8::from_le_bytes(item).into()),
            "<u2" => self.items(|item| u16::from_le_bytes(item).into()),
            "<u4" => self.items(|item| u32::from_le_bytes(item).into()),
            "<u8" => self.items(|item| u64::from_le_bytes(item).into()),
            "|i1" => self.items(|item| i8::from_le_bytes(item).into()),
            "<i2" => self.items(|item| i16::from_le_bytes(item).into()),
            "<i4" => self.items(|item| i32::from_le_bytes(item).into()),
            "<i8" => self.items(|item| i64::from_le_bytes(item).into()),
            _ => {
                return Err(DataError::Dtype {
                    file: self.file,
                    dtype: self.header.dtype,
                    expected: "a little-endian integer type",
                });
            }
        };
        let narrow = |(record, label): (usize, &i128)| {
            u16::try_from(*label).map_err(|_| DataError::Label {
                file: self.file.clone(),
                record,
                label: *label,
                classes: usize::from(u16::MAX) + 1,
            })
        };
        labels.iter().enumerate().map(narrow).collect()
    }

    /// The entries in the order of the file.
    fn items<const N: usize, T>(&self, convert: impl Fn([u8; N]) -> T) -> Vec<T> {
        self.bytes.as_chunks().0.iter().map(|item| convert(*item)).collect()
    }

    /// The entries with the last index fastest.
    fn row_major<T: Clone>(&self, values: Vec<T>) -> Vec<T> {
        if !self.header.fortran || values.is_empty() {
            return values;
        }
        let array = ArrayD::from_shape_vec(IxDyn(&self.header.shape).f(), values).expect("as many values as the shape says");
        array.iter().cloned().collect()
    }

    fn shape_error(self, expected: &'static str) -> DataError {
        DataError::Shape {
            file: self.file,
            expected,
            found: self.header.shape,
        }
    }
}

/// Bytes of one entry.
fn item_size(dtype: &str) -> Option<usize> {
    match dtype {
        "|u1" | "|i1" => Some(1),
        "<u2" | "<i2" => Some(2),
        "<u4" | "<i4" | "<f4" => Some(4),
        "<u8" | "<i8" | "<f8" => Some(8),
        _ => None,
    }
}

/// The place of a row-major entry.
fn position(shape: &[usize], flat: usize) -> Vec<usize> {
    let mut rest = flat;
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|size| {
            let place = rest % size;
            rest /= size;
            place
        })
        .collect();
    index.reverse();
    index
}
