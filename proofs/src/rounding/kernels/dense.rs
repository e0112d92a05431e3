//! Matrix products on a batch of vectors: residual and affine layers.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::{Arch, Simd, WithSimd};

use super::activate;
use crate::statement::Matrix;

/// The residual layer `x ↦ x − 2 Aᵀ(factor ∘ relu(A x + b))`.
#[derive(Clone, Copy, Debug)]
pub struct ResidualDense<'a> {
    weight: &'a Matrix,
    bias: &'a [f64],
    factor: &'a [f64],
}

/// Buffers of the products of a batch, kept from call to call.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    inner: Vec<f64>,
    product: Vec<f64>,
}

impl Scratch {
    /// The vectors `s = factor ∘ relu(A x + b)` of the last batch, `inner` numbers a sample.
    #[must_use]
    pub fn inner(&self) -> &[f64] {
        &self.inner
    }
}

impl<'a> ResidualDense<'a> {
    /// Names the parts: `weight` is `A`, `(inner, n)`; `bias` and `factor` have one entry a row.
    ///
    /// # Panics
    ///
    /// If `bias` or `factor` does not have one entry a row.
    #[must_use]
    pub fn new(weight: &'a Matrix, bias: &'a [f64], factor: &'a [f64]) -> Self {
        let rows = weight.rows();
        assert_eq!((bias.len(), factor.len()), (rows, rows), "one bias and one factor a row");
        Self { weight, bias, factor }
    }

    /// Replaces each sample `x` of the batch by `y = x − 2 Aᵀ s`, `s = factor ∘ relu(A x + b)`, and leaves `s` in `scratch`.
    ///
    /// What is computed:
    ///
    /// - `r_i`: a sum of `n` products, then `+ b_i`;
    /// - `s_i = factor_i · relu(r_i)`, one rounding;
    /// - `p_j`: a sum of `inner` products;
    /// - `y_j = x_j − 2 p_j`, one rounding (doubling is exact).
    ///
    /// The products are those of faer on one thread: sums of blocks of the common dimension, each term multiplied once.
    ///
    /// # Panics
    ///
    /// If `batch` is not a whole number of samples of `n` numbers.
    pub fn apply(&self, batch: &mut [f64], scratch: &mut Scratch) {
        self.apply_on(Arch::new(), batch, scratch);
    }

    /// The same with the instructions of the entrywise parts named; faer chooses its own.
    pub(super) fn apply_on(&self, arch: Arch, batch: &mut [f64], scratch: &mut Scratch) {
        let (rows, cols) = (self.weight.rows(), self.weight.cols());
        assert!(
            batch.len().is_multiple_of(cols),
            "a batch of {} for samples of {cols}",
            batch.len()
        );
        let samples = batch.len() / cols;
        scratch.inner.resize(rows * samples, 0.0);
        scratch.product.resize(cols * samples, 0.0);
        // a: weight (rows, cols); samples are the columns of the other matrices
        let a = MatRef::from_row_major_slice(self.weight.data(), rows, cols);
        matmul(
            MatMut::from_column_major_slice_mut(&mut scratch.inner, rows, samples),
            Accum::Replace,
            a,
            MatRef::from_column_major_slice(batch, cols, samples),
            1.0,
            Par::Seq,
        );
        for values in scratch.inner.chunks_exact_mut(rows) {
            arch.dispatch(AddActivate {
                values,
                bias: self.bias,
                factor: self.factor,
            });
        }
        matmul(
            MatMut::from_column_major_slice_mut(&mut scratch.product, cols, samples),
            Accum::Replace,
            a.transpose(),
            MatRef::from_column_major_slice(&scratch.inner, rows, samples),
            1.0,
            Par::Seq,
        );
        arch.dispatch(SubtractTwice {
            values: batch,
            product: &scratch.product,
        });
    }
}

/// An affine layer: writes `W x + b` for each sample of `batch` to `outputs`, `W` of shape `(m, n)`.
///
/// Each output is a sum of `n` products (faer, one thread), then `+ b_i`.
///
/// # Panics
///
/// If the lengths of `bias`, `batch` and `outputs` do not fit the matrix.
pub fn affine(weight: &Matrix, bias: &[f64], batch: &[f64], outputs: &mut [f64]) {
    let (rows, cols) = (weight.rows(), weight.cols());
    let samples = batch.len() / cols;
    assert_eq!(
        (bias.len(), batch.len(), outputs.len()),
        (rows, samples * cols, samples * rows),
        "sizes of bias, batch and outputs"
    );
    matmul(
        MatMut::from_column_major_slice_mut(outputs, rows, samples),
        Accum::Replace,
        MatRef::from_row_major_slice(weight.data(), rows, cols),
        MatRef::from_column_major_slice(batch, cols, samples),
        1.0,
        Par::Seq,
    );
    let arch = Arch::new();
    for values in outputs.chunks_exact_mut(rows) {
        arch.dispatch(Add { values, bias });
    }
}

/// `value ← factor · relu(value + bias)`, entry by entry.
struct AddActivate<'a> {
    values: &'a mut [f64],
    bias: &'a [f64],
    factor: &'a [f64],
}

impl WithSimd for AddActivate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (values, values_rest) = S::as_mut_simd_f64s(self.values);
        let (bias, bias_rest) = S::as_simd_f64s(self.bias);
        let (factor, factor_rest) = S::as_simd_f64s(self.factor);
        for ((value, bias), factor) in values.iter_mut().zip(bias).zip(factor) {
            *value = activate(simd, simd.add_f64s(*value, *bias), *factor);
        }
        let sum = simd.add_f64s(simd.partial_load_f64s(values_rest), simd.partial_load_f64s(bias_rest));
        simd.partial_store_f64s(values_rest, activate(simd, sum, simd.partial_load_f64s(factor_rest)));
    }
}

/// `value ← value + bias`, entry by entry.
struct Add<'a> {
    values: &'a mut [f64],
    bias: &'a [f64],
}

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (values, values_rest) = S::as_mut_simd_f64s(self.values);
        let (bias, bias_rest) = S::as_simd_f64s(self.bias);
        for (value, bias) in values.iter_mut().zip(bias) {
            *value = simd.add_f64s(*value, *bias);
        }
        let sum = simd.add_f64s(simd.partial_load_f64s(values_rest), simd.partial_load_f64s(bias_rest));
        simd.partial_store_f64s(values_rest, sum);
    }
}

/// `value ← value − 2 product`, entry by entry, one rounding.
struct SubtractTwice<'a> {
    values: &'a mut [f64],
    product: &'a [f64],
}

impl WithSimd for SubtractTwice<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let minus_two = simd.splat_f64s(-2.0);
        let (values, values_rest) = S::as_mut_simd_f64s(self.values);
        let (product, product_rest) = S::as_simd_f64s(self.product);
        for (value, product) in values.iter_mut().zip(product) {
            *value = simd.mul_add_e_f64s(minus_two, *product, *value);
        }
        let (value, product) = (simd.partial_load_f64s(values_rest), simd.partial_load_f64s(product_rest));
        simd.partial_store_f64s(values_rest, simd.mul_add_e_f64s(minus_two, product, value));
    }
}
