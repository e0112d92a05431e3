//! A convolution and its adjoint as matrix products and shifts.

use std::ops::Range;

use lipcert_proofs::statement::{Kernel, Padding};
use ndarray::{Array2, ArrayView2, ArrayView3, ArrayViewMut3, s};

use super::Float;

/// `K`, from images `(C, H, W)` to images `(inner, H, W)`; an image is a matrix `(channels, H·W)` here.
///
/// `K x = Σ_τ S_τ K_τ x`: each of the `size²` taps `τ` is a matrix `K_τ` of shape `(inner, C)` on the channels, followed by the shift
/// `S_τ` that lets in zeros or goes around. The adjoint is `Kᵀ z = Σ_τ K_τᵀ S_τᵀ z` with the opposite shifts.
#[derive(Clone, Debug)]
pub(super) struct Convolution<T> {
    /// All `K_τ`, one under the other: `(size²·inner, C)`.
    taps: Array2<T>,
    size: usize,
    inner: usize,
    height: usize,
    width: usize,
    padding: Padding,
}

impl<T: Float> Convolution<T> {
    /// Converts the kernel, for zero padding.
    pub(super) fn new(kernel: &Kernel, height: usize, width: usize) -> Self {
        let entries: Vec<T> = kernel.data().iter().map(|value| T::of(*value)).collect();
        Self::with_entries(&entries, kernel, (height, width), Padding::Zero)
    }

    /// The convolution with other entries for a kernel of the same shape.
    pub(super) fn with_entries(entries: &[T], kernel: &Kernel, (height, width): (usize, usize), padding: Padding) -> Self {
        let (size, inner, channels) = (kernel.size(), kernel.inner(), kernel.channels());
        let taps = Array2::from_shape_fn((size * size * inner, channels), |(row, channel)| {
            let (tap, filter) = (row / inner, row % inner);
            entries[(filter * channels + channel) * size * size + tap]
        });
        Self {
            taps,
            size,
            inner,
            height,
            width,
            padding,
        }
    }

    /// Channels of the images that `K` takes.
    pub(super) fn channels(&self) -> usize {
        self.taps.ncols()
    }

    /// `K x`, `(C, H·W)` to `(inner, H·W)`.
    pub(super) fn apply(&self, image: ArrayView2<'_, T>) -> Array2<T> {
        let products = self.taps.dot(&image);
        let mut sum = Array2::zeros((self.inner, self.height * self.width));
        for (tap, (down, right)) in self.offsets().enumerate() {
            let product = products.slice(s![tap * self.inner..(tap + 1) * self.inner, ..]);
            match self.padding {
                Padding::Zero => add_shifted(self.images_mut(&mut sum), self.images(product), -down, -right),
                Padding::Circular => add_rolled(self.images_mut(&mut sum), self.images(product), -down, -right),
            }
        }
        sum
    }

    /// `Kᵀ z`, `(inner, H·W)` to `(C, H·W)`, for zero padding.
    pub(super) fn adjoint(&self, image: ArrayView2<'_, T>) -> Array2<T> {
        let mut shifted = Array2::zeros((self.taps.nrows(), self.height * self.width));
        for (tap, (down, right)) in self.offsets().enumerate() {
            let mut target = shifted.slice_mut(s![tap * self.inner..(tap + 1) * self.inner, ..]);
            let target = target
                .view_mut()
                .into_shape_with_order((self.inner, self.height, self.width))
                .expect("rows of a matrix in standard layout");
            add_shifted(target, self.images(image), down, right);
        }
        self.taps.t().dot(&shifted)
    }

    /// Where each tap looks, from the centre: down and right.
    fn offsets(&self) -> impl Iterator<Item = (isize, isize)> + use<T> {
        let size = self.size as isize;
        (0..size * size).map(move |tap| (tap / size - size / 2, tap % size - size / 2))
    }

    /// A matrix `(inner, H·W)` as images.
    fn images<'a>(&self, matrix: ArrayView2<'a, T>) -> ArrayView3<'a, T> {
        matrix
            .into_shape_with_order((self.inner, self.height, self.width))
            .expect("rows of a matrix in standard layout")
    }

    /// A matrix `(inner, H·W)` as images.
    fn images_mut<'a>(&self, matrix: &'a mut Array2<T>) -> ArrayViewMut3<'a, T> {
        matrix
            .view_mut()
            .into_shape_with_order((self.inner, self.height, self.width))
            .expect("rows of a matrix in standard layout")
    }
}

/// Adds `source`, moved `down` and `right`, to `target`; what leaves the image is lost.
fn add_shifted<T: Float>(mut target: ArrayViewMut3<'_, T>, source: ArrayView3<'_, T>, down: isize, right: isize) {
    let (_, height, width) = source.dim();
    if let (Some((to_y, from_y)), Some((to_x, from_x))) = (overlap(height, down), overlap(width, right)) {
        let mut part = target.slice_mut(s![.., to_y, to_x]);
        part += &source.slice(s![.., from_y, from_x]);
    }
}

/// Adds `source`, moved `down` and `right` on a torus, to `target`.
fn add_rolled<T: Float>(mut target: ArrayViewMut3<'_, T>, source: ArrayView3<'_, T>, down: isize, right: isize) {
    let (_, height, width) = source.dim();
    let rolled = |at: usize, by: isize, length: usize| (at as isize + by).rem_euclid(length as isize) as usize;
    for ((channel, y, x), value) in source.indexed_iter() {
        target[(channel, rolled(y, down, height), rolled(x, right, width))] += *value;
    }
}

/// The range that `0..length` covers of itself after a move, and the range that lands there.
fn overlap(length: usize, shift: isize) -> Option<(Range<usize>, Range<usize>)> {
    let distance = shift.unsigned_abs();
    let common = length.checked_sub(distance).filter(|common| *common > 0)?;
    let (near, far) = (0..common, distance..length);
    Some(if shift < 0 { (near, far) } else { (far, near) })
}
