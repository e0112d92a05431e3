//! Which elements of a stored block a tensor consists of, and in which order.

use std::ops::Range;

use super::dtype::Dtype;

/// A tensor that expands its storage (stride 0) may have at most this many elements.
const MAX_EXPANDED: usize = 1 << 16;
/// The most dimensions that are read.
const MAX_RANK: usize = 16;

/// Why a tensor could not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// Shape and strides have different lengths, or too many dimensions.
    #[error("{sizes} sizes and {strides} strides (at most 16 dimensions are read)")]
    Rank {
        /// Number of sizes.
        sizes: usize,
        /// Number of strides.
        strides: usize,
    },
    /// A size, a stride or an offset is negative.
    #[error("{what} is negative: {value}")]
    Negative {
        /// Which number.
        what: &'static str,
        /// The number.
        value: i64,
    },
    /// The product of the sizes does not fit into a machine word.
    #[error("shape {shape:?} has more elements than can be counted")]
    Overflow {
        /// The sizes.
        shape: Vec<usize>,
    },
    /// The last element lies behind the end of the storage.
    #[error("shape {shape:?} with strides {strides:?} from element {offset} does not fit into a storage of {available} elements")]
    OutOfBounds {
        /// The sizes.
        shape: Vec<usize>,
        /// The strides, in elements.
        strides: Vec<usize>,
        /// The first element.
        offset: usize,
        /// The elements that the storage has.
        available: usize,
    },
    /// A few stored elements are repeated into many.
    #[error("shape {shape:?} repeats a storage of {available} elements {count} times over")]
    Expanded {
        /// The sizes.
        shape: Vec<usize>,
        /// The elements of the tensor.
        count: usize,
        /// The elements that the storage has.
        available: usize,
    },
    /// Not floating-point numbers.
    #[error("elements are {dtype}, a network needs floating-point numbers")]
    NotFloat {
        /// The type.
        dtype: Dtype,
    },
    /// NaN or an infinity among the weights.
    #[error("`{value}` at {index:?}: a network needs finite numbers")]
    NotFinite {
        /// Zero-based position.
        index: Vec<usize>,
        /// The number.
        value: f64,
    },
    /// No such tensor in the file.
    #[error("no such tensor in the file")]
    Missing,
    /// Two tensors with one name.
    #[error("the name stands twice in the file")]
    Duplicate,
    /// A name that is empty, longer than 500 bytes or not printable.
    #[error("the name is empty, too long or not printable")]
    Name,
}

/// A strided window into a block of elements; all numbers count elements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    shape: Vec<usize>,
    strides: Vec<usize>,
    offset: usize,
    count: usize,
}

impl View {
    /// A whole block in row-major order.
    ///
    /// # Errors
    ///
    /// [`TensorError::Rank`] and [`TensorError::Overflow`].
    pub(crate) fn row_major(shape: Vec<usize>) -> Result<Self, TensorError> {
        let count = count(&shape)?;
        let mut strides = vec![1usize; shape.len()];
        for axis in (1..shape.len()).rev() {
            // a product of sizes of which one is zero may be larger than the count
            strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
        }
        Self::checked(shape, strides, 0, count)
    }

    /// A whole block in column-major order.
    ///
    /// # Errors
    ///
    /// [`TensorError::Rank`] and [`TensorError::Overflow`].
    pub(crate) fn column_major(shape: Vec<usize>) -> Result<Self, TensorError> {
        let count = count(&shape)?;
        let mut strides = vec![1usize; shape.len()];
        for axis in 1..shape.len() {
            strides[axis] = strides[axis - 1].saturating_mul(shape[axis - 1]);
        }
        Self::checked(shape, strides, 0, count)
    }

    /// The window that a pickle describes, into a storage of `available` elements.
    ///
    /// # Errors
    ///
    /// All but the last variants of [`TensorError`].
    pub(crate) fn strided(offset: i64, sizes: &[i64], strides: &[i64], available: usize) -> Result<Self, TensorError> {
        if sizes.len() != strides.len() {
            return Err(TensorError::Rank {
                sizes: sizes.len(),
                strides: strides.len(),
            });
        }
        let natural = |what, value: i64| usize::try_from(value).map_err(|_| TensorError::Negative { what, value });
        let offset = natural("the storage offset", offset)?;
        let shape = sizes.iter().map(|v| natural("a size", *v)).collect::<Result<Vec<_>, _>>()?;
        let strides = strides
            .iter()
            .map(|v| natural("a stride", *v))
            .collect::<Result<Vec<_>, _>>()?;
        Self::checked(shape, strides, offset, available)
    }

    /// Checks that every element lies in the block.
    fn checked(shape: Vec<usize>, mut strides: Vec<usize>, offset: usize, available: usize) -> Result<Self, TensorError> {
        let count = count(&shape)?;
        for (stride, _) in strides.iter_mut().zip(&shape).filter(|(_, size)| **size == 1) {
            *stride = 0;
        }
        let last = shape.iter().zip(&strides).try_fold(offset, |last, (size, stride)| {
            last.checked_add(size.saturating_sub(1).checked_mul(*stride)?)
        });
        let inside = count == 0 || last.is_some_and(|last| last < available);
        if !inside {
            return Err(TensorError::OutOfBounds {
                shape,
                strides,
                offset,
                available,
            });
        }
        if count > available && count > MAX_EXPANDED {
            return Err(TensorError::Expanded { shape, count, available });
        }
        Ok(Self {
            shape,
            strides,
            offset,
            count,
        })
    }

    /// The same elements with the two axes of a matrix swapped; other ranks stay as they are.
    pub(crate) fn transposed(mut self) -> Self {
        if self.shape.len() == 2 {
            self.shape.swap(0, 1);
            self.strides.swap(0, 1);
        }
        self
    }

    /// The sizes.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// The smallest range of the block that holds all elements.
    pub(crate) fn span(&self) -> Range<usize> {
        if self.count == 0 {
            return 0..0;
        }
        let reach: usize = self
            .shape
            .iter()
            .zip(&self.strides)
            .map(|(size, stride)| (size - 1) * stride)
            .sum();
        self.offset..self.offset + reach + 1
    }

    /// The elements in logical (row-major) order, from those of [`View::span`].
    pub(crate) fn gather(&self, span: Vec<f64>) -> Vec<f64> {
        if self.is_row_major() {
            return span;
        }
        let mut out = Vec::with_capacity(self.count);
        let mut index = vec![0usize; self.shape.len()];
        let mut place = 0;
        for _ in 0..self.count {
            out.push(span[place]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                place += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                place -= self.strides[axis] * self.shape[axis];
                index[axis] = 0;
            }
        }
        out
    }

    /// Whether the elements lie one after the other in logical order.
    fn is_row_major(&self) -> bool {
        let mut expected = 1;
        self.count == 0
            || self.shape.iter().zip(&self.strides).rev().all(|(size, stride)| {
                let fits = *size == 1 || *stride == expected;
                expected *= size;
                fits
            })
    }
}

/// Product of the sizes.
fn count(shape: &[usize]) -> Result<usize, TensorError> {
    if shape.len() > MAX_RANK {
        return Err(TensorError::Rank {
            sizes: shape.len(),
            strides: shape.len(),
        });
    }
    let overflow = || TensorError::Overflow { shape: shape.to_vec() };
    let product = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    let count = product.ok_or_else(overflow)?;
    // eight bytes an element must be countable too
    if count > isize::MAX as usize / 8 {
        Err(overflow())
    } else {
        Ok(count)
    }
}

/// Zero-based position of the `flat`-th element in row-major order.
pub(crate) fn position(shape: &[usize], flat: usize) -> Vec<usize> {
    let mut rest = flat;
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|size| {
            let here = rest % size;
            rest /= size;
            here
        })
        .collect();
    index.reverse();
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathers_in_logical_order() {
        let transposed = View::strided(0, &[4, 3], &[1, 4], 12).expect("fits");
        let stored: Vec<f64> = (0..12).map(f64::from).collect();
        let expected = [0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.];
        assert_eq!(transposed.gather(stored.clone()), expected);
        let sliced = View::strided(2, &[2, 2], &[4, 2], 12).expect("fits");
        assert_eq!(sliced.span(), 2..9);
        assert_eq!(sliced.gather(stored[2..9].to_vec()), [2., 4., 6., 8.]);
        let repeated = View::strided(1, &[3, 2], &[0, 1], 3).expect("small");
        assert_eq!(repeated.gather(vec![5., 6.]), [5., 6., 5., 6., 5., 6.]);
        assert_eq!(transposed.transposed().gather(stored.clone()), stored);
        let column = View::column_major(vec![2, 3]).expect("small");
        assert_eq!(column.gather((0..6).map(f64::from).collect()), [0., 2., 4., 1., 3., 5.]);
    }

    #[test]
    fn refuses_what_leaves_the_storage() {
        let big = 1 << 20;
        assert!(matches!(
            View::strided(-4, &[4], &[1], 4),
            Err(TensorError::Negative { value: -4, .. })
        ));
        assert!(matches!(View::strided(0, &[-1], &[1], 4), Err(TensorError::Negative { .. })));
        assert!(matches!(
            View::strided(0, &[5], &[1], 4),
            Err(TensorError::OutOfBounds { .. })
        ));
        assert!(matches!(
            View::strided(1, &[4], &[1], 4),
            Err(TensorError::OutOfBounds { .. })
        ));
        assert!(matches!(
            View::strided(i64::MAX, &[2], &[i64::MAX], 4),
            Err(TensorError::OutOfBounds { .. })
        ));
        assert!(matches!(
            View::strided(0, &[big, big], &[0, 0], 4),
            Err(TensorError::Expanded { .. })
        ));
        assert!(matches!(
            View::strided(0, &[big, big, big, big], &[0; 4], 4),
            Err(TensorError::Overflow { .. })
        ));
        assert!(matches!(View::strided(0, &[2], &[], 4), Err(TensorError::Rank { .. })));
        assert!(matches!(
            View::strided(0, &[1; 17], &[1; 17], 4),
            Err(TensorError::Rank { .. })
        ));
        assert_eq!(View::strided(9, &[0, 3], &[3, 1], 4).expect("empty").span(), 0..0);
    }
}
