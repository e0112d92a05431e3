//! Tensors of a model that do not depend on its input, and the arithmetic on them.
//!
//! A result is rounded to the element type of its operands, operator by operator, as a program does that evaluates the graph; a sum is
//! formed in float64 first. The network that is read has the rounded numbers.

use std::fs::File;
use std::sync::Arc;

use half::{bf16, f16};
use lipcert_proofs::statement::Operation;

use super::super::dtype::Dtype;
use super::super::place::{Place, Source};
use super::super::view::View;
use super::error::NodeError;

/// The longest list of integers.
const MAX_INTEGERS: usize = 1 << 10;

/// A tensor whose numbers are known.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    pub(super) dtype: Dtype,
    pub(super) place: Place,
    /// The elements of a short tensor of integers.
    pub(super) integers: Option<Arc<[i64]>>,
    /// Whether the numbers were computed here, with rounding.
    pub(super) computed: bool,
}

/// The open files, and how many more numbers may be computed.
#[derive(Debug)]
pub(super) struct Desk<'f> {
    pub(super) files: &'f mut [File],
    pub(super) budget: usize,
}

impl Desk<'_> {
    /// Takes room for `count` numbers.
    pub(super) fn take(&mut self, count: usize) -> Result<(), NodeError> {
        self.budget = self.budget.checked_sub(count).ok_or(NodeError::TooLarge)?;
        Ok(())
    }

    /// The numbers of a constant.
    pub(super) fn read(&mut self, name: &str, constant: &Constant) -> Result<Vec<f64>, NodeError> {
        let values = constant.place.read(name, constant.dtype, self.files);
        values.map_err(|cause| NodeError::Unreadable {
            reason: cause.to_string(),
        })
    }
}

impl Constant {
    pub(super) fn shape(&self) -> &[usize] {
        self.place.view.shape()
    }

    /// Floats in memory.
    pub(super) fn floats(dtype: Dtype, shape: Vec<usize>, values: Vec<f64>, computed: bool) -> Result<Self, NodeError> {
        Ok(Self {
            dtype,
            place: Place {
                source: Source::Memory(values.into()),
                view: view(shape)?,
            },
            integers: None,
            computed,
        })
    }

    /// Integers in memory: a list, or a scalar.
    pub(super) fn of_integers(shape: Vec<usize>, values: Vec<i64>) -> Result<Self, NodeError> {
        if values.len() > MAX_INTEGERS {
            return Err(NodeError::TooLarge);
        }
        Ok(Self {
            dtype: Dtype::Int64,
            place: Place {
                source: Source::Memory(Arc::new([])),
                view: view(shape)?,
            },
            integers: Some(values.into()),
            computed: false,
        })
    }

    /// The same numbers in row-major order under another shape of as many.
    pub(super) fn reshaped(&self, shape: Vec<usize>) -> Result<Self, NodeError> {
        let mut reshaped = self.clone();
        reshaped.place.view = view(shape)?;
        Ok(reshaped)
    }

    /// A matrix with its axes swapped.
    pub(super) fn transposed(mut self) -> Self {
        self.place.view = self.place.view.transposed();
        self
    }
}

fn view(shape: Vec<usize>) -> Result<View, NodeError> {
    View::row_major(shape).map_err(|cause| NodeError::Unreadable {
        reason: cause.to_string(),
    })
}

/// The shape that two shapes have together, if they have one: sizes are compared from the last, and 1 becomes any size.
pub(super) fn broadcast(left: &[usize], right: &[usize]) -> Option<Vec<usize>> {
    let rank = left.len().max(right.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    (0..rank)
        .map(|axis| match (size(left, axis), size(right, axis)) {
            (a, b) if a == b => Some(a),
            (1, b) => Some(b),
            (a, 1) => Some(a),
            _ => None,
        })
        .collect()
}

/// The numbers of a tensor of `shape` for every place of the larger `target`, row-major.
pub(super) fn expand(values: &[f64], shape: &[usize], target: &[usize]) -> Vec<f64> {
    let lead = target.len() - shape.len();
    let mut strides = vec![0usize; target.len()];
    let mut stride = 1;
    for (axis, size) in shape.iter().enumerate().rev() {
        strides[lead + axis] = if *size == 1 { 0 } else { stride };
        stride *= size;
    }
    let count: usize = target.iter().product();
    (0..count)
        .map(|flat| {
            let (mut rest, mut place) = (flat, 0);
            for (size, stride) in target.iter().zip(&strides).rev() {
                place += rest % size * stride;
                rest /= size;
            }
            values[place]
        })
        .collect()
}

/// The number of the element type that is nearest to `value`.
#[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest is meant")]
fn round(dtype: Dtype, value: f64) -> f64 {
    match dtype {
        Dtype::Float16 => f64::from(f16::from_f64(value)),
        Dtype::Bfloat16 => f64::from(bf16::from_f64(value)),
        Dtype::Float32 => f64::from(value as f32),
        _ => value,
    }
}

/// `left ∘ right` for two constants of floats.
pub(super) fn elementwise(
    desk: &mut Desk<'_>,
    operation: Operation,
    left: (&str, &Constant),
    right: (&str, &Constant),
) -> Result<Constant, NodeError> {
    let (a, b) = (left.1, right.1);
    let mismatch = || NodeError::Shapes {
        left: a.shape().to_vec(),
        right: b.shape().to_vec(),
    };
    let shape = broadcast(a.shape(), b.shape()).ok_or_else(mismatch)?;
    if a.dtype != b.dtype {
        return Err(NodeError::Operand {
            tensor: right.0.to_owned(),
            expected: "of the element type of the other operand",
        });
    }
    let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
    desk.take(count.ok_or(NodeError::TooLarge)?)?;
    let x = expand(&desk.read(left.0, a)?, a.shape(), &shape);
    let y = expand(&desk.read(right.0, b)?, b.shape(), &shape);
    let apply = |(x, y): (&f64, &f64)| match operation {
        Operation::Add => x + y,
        Operation::Subtract => x - y,
        Operation::Multiply => x * y,
        Operation::Divide => x / y,
    };
    let values = x.iter().zip(&y).map(|pair| round(a.dtype, apply(pair))).collect();
    Constant::floats(a.dtype, shape, values, true)
}

/// The product of a matrix and a vector, or of two vectors.
pub(super) fn product(desk: &mut Desk<'_>, left: (&str, &Constant), right: (&str, &Constant)) -> Result<Constant, NodeError> {
    let (a, b) = (left.1, right.1);
    let mismatch = || NodeError::Shapes {
        left: a.shape().to_vec(),
        right: b.shape().to_vec(),
    };
    let (shape, inner) = match (a.shape(), b.shape()) {
        ([n], [k]) if n == k => (vec![], *n),
        ([m, n], [k]) if n == k => (vec![*m], *n),
        ([n], [k, m]) if n == k => (vec![*m], *n),
        _ => return Err(mismatch()),
    };
    if a.dtype != b.dtype {
        return Err(NodeError::Operand {
            tensor: right.0.to_owned(),
            expected: "of the element type of the other operand",
        });
    }
    desk.take(shape.iter().product())?;
    let x = desk.read(left.0, a)?;
    let y = desk.read(right.0, b)?;
    let rows = shape.first().copied().unwrap_or(1);
    let vector_first = a.shape().len() == 1 && b.shape().len() == 2;
    let values = (0..rows)
        .map(|row| {
            let terms = (0..inner).map(|i| {
                if vector_first {
                    x[i] * y[i * rows + row]
                } else {
                    x[row * inner + i] * y[i]
                }
            });
            round(a.dtype, terms.sum())
        })
        .collect();
    Constant::floats(a.dtype, shape, values, true)
}

/// The products of all pairs, or nothing if one of them is not a float64.
///
/// Two float32 numbers always have one (48 bits) unless it is smaller than any normal number.
pub(super) fn exact_products(values: &[f64], factors: impl Iterator<Item = f64>) -> Option<Vec<f64>> {
    let product = |(value, factor): (&f64, f64)| {
        let product = value * factor;
        let zero = *value == 0.0 || factor == 0.0;
        // the error of a product of this size is a float64, so that its value here is 0 only if there is none
        let measured = product.is_finite() && product.abs() > 1e-250;
        (zero || measured && value.mul_add(factor, -product) == 0.0).then_some(product)
    };
    values.iter().zip(factors).map(product).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_numbers_are_repeated() {
        assert_eq!(broadcast(&[1, 3], &[2, 1]), Some(vec![2, 3]));
        assert_eq!(broadcast(&[], &[2]), Some(vec![2]));
        assert_eq!(broadcast(&[2], &[3]), None);
        assert_eq!(expand(&[1., 2.], &[2, 1], &[2, 3]), [1., 1., 1., 2., 2., 2.]);
        assert_eq!(expand(&[1., 2.], &[2], &[1, 2, 2]), [1., 2., 1., 2.]);
        assert_eq!(expand(&[5.], &[], &[2]), [5., 5.]);
    }

    #[test]
    fn only_exact_products_count() {
        let third = 1.0 / 3.0;
        let single = f64::from(third as f32);
        assert_eq!(
            exact_products(&[single, 0.0], [single, third].into_iter()),
            Some(vec![single * single, 0.0])
        );
        assert_eq!(exact_products(&[third], [third].into_iter()), None);
        assert_eq!(exact_products(&[third], [2.0].into_iter()), Some(vec![2.0 / 3.0]));
        assert_eq!(exact_products(&[1e-200 * third], [1e-120 * third].into_iter()), None);
        assert_eq!(exact_products(&[1e300], [1e300].into_iter()), None);
    }
}
