//! Matrices and convolution kernels as plain data.

use crate::error::CheckError;

/// A matrix of float64, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f64>,
}

impl Matrix {
    /// Builds a matrix of shape `(rows, cols)` from its row-major entries.
    ///
    /// # Errors
    ///
    /// - [`CheckError::Shape`] if a size is zero or `data.len() != rows * cols`.
    /// - [`CheckError::NotFinite`] if an entry is NaN or infinite.
    pub fn new(what: &'static str, rows: usize, cols: usize, data: Vec<f64>) -> Result<Self, CheckError> {
        check_size(what, &[rows, cols], data.len())?;
        check_finite(what, &[rows, cols], &data)?;
        Ok(Self { rows, cols, data })
    }

    /// Number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[must_use]
    pub const fn cols(&self) -> usize {
        self.cols
    }

    /// The entries, row-major.
    #[must_use]
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// One row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f64] {
        &self.data[row * self.cols..(row + 1) * self.cols]
    }
}

/// A square convolution kernel of odd size, layout `(inner, channels, size, size)` as in `conv2d`.
///
/// It acts on images with a padding of `(size − 1) / 2`, stride 1: the output has the size of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    inner: usize,
    channels: usize,
    size: usize,
    data: Vec<f64>,
}

impl Kernel {
    /// Builds a kernel from its entries in the order `(inner, channels, row, column)`.
    ///
    /// # Errors
    ///
    /// - [`CheckError::Shape`] if a size is zero, `size` is even, or `data.len()` is not the product of the sizes.
    /// - [`CheckError::NotFinite`] if an entry is NaN or infinite.
    pub fn new(what: &'static str, inner: usize, channels: usize, size: usize, data: Vec<f64>) -> Result<Self, CheckError> {
        let shape = [inner, channels, size, size];
        check_size(what, &shape, data.len())?;
        if size.is_multiple_of(2) {
            let expected = vec![inner, channels, size + 1, size + 1];
            return Err(CheckError::Shape {
                what,
                expected,
                found: shape.to_vec(),
            });
        }
        check_finite(what, &shape, &data)?;
        Ok(Self {
            inner,
            channels,
            size,
            data,
        })
    }

    /// Number of inner channels (`conv2d` outputs).
    #[must_use]
    pub const fn inner(&self) -> usize {
        self.inner
    }

    /// Number of image channels.
    #[must_use]
    pub const fn channels(&self) -> usize {
        self.channels
    }

    /// Side of the square kernel.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The entries in the order `(inner, channels, row, column)`.
    #[must_use]
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// The kernel of the adjoint, `(channels, inner, size, size)`: channels exchanged, both axes turned.
    #[must_use]
    pub fn adjoint(&self) -> Self {
        let (inner, channels, area) = (self.inner, self.channels, self.size * self.size);
        let entries = (0..channels * inner * area).map(|flat| {
            let (channel, i, position) = (flat / (inner * area), flat / area % inner, flat % area);
            self.data[(i * channels + channel) * area + area - 1 - position]
        });
        Self {
            inner: channels,
            channels: inner,
            size: self.size,
            data: entries.collect(),
        }
    }

    /// All entries of one inner channel.
    #[must_use]
    pub fn filter(&self, inner: usize) -> &[f64] {
        let length = self.channels * self.size * self.size;
        &self.data[inner * length..(inner + 1) * length]
    }
}

/// Checks that the product of `shape` is `found`, without overflow, and that no size is zero.
fn check_size(what: &'static str, shape: &[usize], found: usize) -> Result<(), CheckError> {
    let product = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    if product == Some(found) && found > 0 {
        Ok(())
    } else {
        Err(CheckError::Shape {
            what,
            expected: shape.to_vec(),
            found: vec![found],
        })
    }
}

/// Checks that all entries are finite; the error names the zero-based position in `shape`.
pub(crate) fn check_finite(what: &'static str, shape: &[usize], data: &[f64]) -> Result<(), CheckError> {
    match data.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(flat) => {
            let mut rest = flat;
            let mut index: Vec<usize> = shape
                .iter()
                .rev()
                .map(|size| {
                    let position = rest % size;
                    rest /= size;
                    position
                })
                .collect();
            index.reverse();
            Err(CheckError::NotFinite { what, index })
        }
    }
}
