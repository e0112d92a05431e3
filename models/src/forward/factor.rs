//! The factors `1/T` by the formulas of the official code, every operation in the float type.
//!
//! # Source
//!
//! Araujo et al., *A Unified Algebraic Perspective on Lipschitz Neural Networks*, ICLR 2023, and the authors' published code:
//! `compute_t` of the convolution is `(q_inv * abs(conv2d(K, K, padding=k-1)) * q).sum((1, 2, 3))` with both exponentials reshaped to
//! the first index, that of the dense layer `abs(q_inv_i (A Aᵀ)_ij q_j).sum(1)`; both end in `1 / t`, and 0 where `t` is 0.

use lipcert_proofs::statement::{Kernel, Layer, Matrix, Scale};
use ndarray::{Array2, Axis, Slice};
use rayon::prelude::*;

use super::Float;

/// Rows of the Gram matrix that one product makes; wide enough for the packing of the other side to pay.
const GRAM_ROWS: usize = 256;

/// The factor `1/T` of a residual layer in the float type, shape `(inner,)`. Other layers have none, and neither has a layer whose `T` is a norm, which may
/// depend on the image: the vector is empty.
///
/// An approximation: neither an upper nor a lower bound of the exact factor. A stored factor is converted and nothing else.
#[must_use]
pub fn factor<T: Float>(layer: &Layer) -> Vec<T> {
    match layer {
        Layer::ResidualConv { kernel, scale, .. } => match Exponents::new(scale) {
            Ok(exponents) => convolution(kernel, &exponents),
            Err(stored) => stored,
        },
        Layer::ResidualDense { weight, scale, .. } => match Exponents::new(scale) {
            Ok(exponents) => dense(weight, &exponents),
            Err(stored) => stored,
        },
        Layer::Normalize { .. }
        | Layer::PadChannels { .. }
        | Layer::AveragePool { .. }
        | Layer::Flatten
        | Layer::Dense { .. }
        | Layer::Activation(_)
        | Layer::Elementwise { .. }
        | Layer::NormalizedHead { .. }
        | Layer::ChannelActivation(_)
        | Layer::Groupwise(_)
        | Layer::Paired(_)
        | Layer::Resample(_)
        | Layer::ResidualBlock(_)
        | Layer::DenseFormula { .. }
        | Layer::Sandwich(_) => Vec::new(),
    }
}

/// The factor `1/T` that float32 code of the official layers computes; see [`factor`].
#[must_use]
pub fn float32_factor(layer: &Layer) -> Vec<f32> {
    factor(layer)
}

/// `e^{−q_i}` and `e^{q_j}`.
struct Exponents<T> {
    inverse: Vec<T>,
    direct: Vec<T>,
    /// Whether the second exponential carries the index of the first, so that the two cancel up to rounding.
    same_index: bool,
}

impl<T: Float> Exponents<T> {
    /// The exponentials of a computed scale, or the factor that is stored.
    fn new(scale: &Scale) -> Result<Self, Vec<T>> {
        let (q, same_index) = match scale {
            Scale::RowSum { q } => (q, true),
            Scale::Weighted { q } => (q, false),
            Scale::Norm | Scale::Frobenius => return Err(Vec::new()),
            Scale::Stored { factor } => return Err(factor.iter().map(|value| T::of(*value)).collect()),
        };
        Ok(Self {
            inverse: q.iter().map(|value| (-T::of(*value)).exp()).collect(),
            direct: q.iter().map(|value| T::of(*value).exp()).collect(),
            same_index,
        })
    }

    /// `|e^{−q_i} g e^{q_j}|`.
    fn term(&self, i: usize, j: usize, g: T) -> T {
        let second = if self.same_index { i } else { j };
        (self.inverse[i] * g * self.direct[second]).abs()
    }
}

/// `1 / t`, and 0 for a channel that is off.
fn safe_inverse<T: Float>(t: T) -> T {
    if t == T::zero() { T::zero() } else { t.recip() }
}

/// The factor of a dense layer. Of the symmetric `A Aᵀ` only the lower half is multiplied out, a block of rows at a time.
fn dense<T: Float>(weight: &Matrix, exponents: &Exponents<T>) -> Vec<T> {
    let inner = weight.rows();
    let a = Array2::from_shape_fn((inner, weight.cols()), |(row, col)| T::of(weight.row(row)[col]));
    let starts: Vec<usize> = (0..inner).step_by(GRAM_ROWS).collect();
    let lower: Vec<Array2<T>> = starts
        .into_par_iter()
        .map(|start| {
            let end = (start + GRAM_ROWS).min(inner);
            let rows = a.slice_axis(Axis(0), Slice::from(start..end));
            let columns = a.slice_axis(Axis(0), Slice::from(0..end));
            rows.dot(&columns.t())
        })
        .collect();
    let entry = |i: usize, j: usize| lower[i.max(j) / GRAM_ROWS][(i.max(j) % GRAM_ROWS, i.min(j))];
    (0..inner)
        .into_par_iter()
        .map(|i| safe_inverse((0..inner).fold(T::zero(), |t, j| t + exponents.term(i, j, entry(i, j)))))
        .collect()
}

/// The factor of a convolution: the sum over `j` also runs over the shifts of the self-correlation on the infinite lattice.
fn convolution<T: Float>(kernel: &Kernel, exponents: &Exponents<T>) -> Vec<T> {
    let reach = kernel.size() as isize - 1;
    (0..kernel.inner())
        .into_par_iter()
        .map(|i| {
            let mut t = T::zero();
            for j in 0..kernel.inner() {
                for down in -reach..=reach {
                    for right in -reach..=reach {
                        t += exponents.term(i, j, correlation(kernel, i, j, down, right));
                    }
                }
            }
            safe_inverse(t)
        })
        .collect()
}

/// `Σ_{c,y,x} K[i, c, y + down, x + right] K[j, c, y, x]` over all places where both exist.
fn correlation<T: Float>(kernel: &Kernel, i: usize, j: usize, down: isize, right: isize) -> T {
    let size = kernel.size();
    let shifted = |place: usize, by: isize| place.checked_add_signed(by).filter(|place| *place < size);
    let (first, second) = (kernel.filter(i), kernel.filter(j));
    let mut sum = T::zero();
    for channel in 0..kernel.channels() {
        for y in 0..size {
            let Some(other_y) = shifted(y, down) else { continue };
            for x in 0..size {
                let Some(other_x) = shifted(x, right) else { continue };
                let at = |y, x| (channel * size + y) * size + x;
                sum += T::of(first[at(other_y, other_x)]) * T::of(second[at(y, x)]);
            }
        }
    }
    sum
}
