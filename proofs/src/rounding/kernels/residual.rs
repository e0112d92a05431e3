//! Residual blocks with a path of their own, on a batch of vectors.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::dense::affine;
use super::entrywise::activate;
use crate::statement::ResidualBlock;

/// `A x + (B w_h + c)` for each sample of `batch`, `w_k = σ(C_k w_{k−1} + b_k)`.
///
/// Each product is one of [`affine`], each activation one of [`activate`]; the last sum is one rounding an entry.
///
/// # Panics
///
/// If `batch` is not a whole number of samples.
#[must_use]
pub fn residual_block(block: &ResidualBlock, batch: &[f64]) -> Vec<f64> {
    assert!(batch.len().is_multiple_of(block.inputs()), "a whole number of samples");
    let samples = batch.len() / block.inputs();
    let product = |weight, bias: &[f64], batch: &[f64]| {
        let mut values = vec![0.0; samples * bias.len()];
        affine(weight, bias, batch, &mut values);
        values
    };
    let mut inner: Option<Vec<f64>> = None;
    for layer in block.hidden() {
        let mut values = product(&layer.weight, &layer.bias, inner.as_deref().unwrap_or(batch));
        activate(block.activation(), &mut values);
        inner = Some(values);
    }
    let mut outputs = product(block.output(), block.bias(), inner.as_deref().unwrap_or(batch));
    let path = block.path().map(|path| product(path, &vec![0.0; block.outputs()], batch));
    for (value, straight) in outputs.iter_mut().zip(path.as_deref().unwrap_or(batch)) {
        *value += straight;
    }
    outputs
}
