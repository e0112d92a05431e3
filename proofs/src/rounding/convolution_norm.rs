//! The operator norm of a zero-padded convolution on images of one size, from both sides.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::directed::{add_up, div_down, gamma_up, max, mul_up, norm_up, sqrt_up, sub_down};
use super::gram::Gram;
use super::head::norm_enclosed;
use super::interval::Interval;
use super::operator_norm::operator_norm;
use crate::error::CheckError;
use crate::rules::circulant_grid::{self, ImageSize};
use crate::statement::{Kernel, Matrix, Shape};

/// Up to this many entries of the shorter side the operator is written out as a matrix; the enclosure is then tight.
const UNROLLED_MOST: usize = 1024;

/// The most entries of that matrix.
const ENTRIES_MOST: usize = 1 << 22;

/// Steps of the power iteration that finds a vector for the lower end.
const STEPS: usize = 60;

/// How far above the square of the lower end a proof on a frequency grid is tried, one after the other.
const MARGINS: [f64; 7] = [1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3];

/// Encloses `‖K‖₂` of the convolution with zero padding on images of shape `input`; zero for zeros.
///
/// A small operator is written out, see [`operator_norm`]. For a large one the lower end is `‖K v‖ / ‖v‖` for a `v` that nobody has to trust, and the upper end
/// is a bound for the circulant operator on a larger torus by [`circulant_grid`], of which this one is a part, or the largest row sum of the self-correlation on
/// the lattice; these lie a few parts in a thousand above the norm on the image, so the enclosure is as wide.
///
/// # Errors
///
/// Those of [`Gram::lattice`] and [`operator_norm`].
pub(crate) fn convolution_norm(kernel: &Kernel, input: Shape) -> Result<Interval, CheckError> {
    if kernel.data().iter().all(|value| *value == 0.0) {
        return Ok(Interval::ZERO);
    }
    let Shape::Image { height, width, .. } = input else {
        return Err(CheckError::Shape {
            what: "kernel",
            expected: vec![0, 0, 0],
            found: input.sizes(),
        });
    };
    let (outputs, inputs) = (kernel.inner() * height * width, kernel.channels() * height * width);
    if outputs.min(inputs) <= UNROLLED_MOST && outputs.saturating_mul(inputs) <= ENTRIES_MOST {
        return operator_norm(&unrolled(kernel, height, width)?);
    }
    let gram = Gram::lattice(kernel)?;
    let low = lower(kernel, height, width);
    Ok(Interval::between(low, upper(&gram, input, low)))
}

/// The operator as a matrix, `(inner · H · W, channels · H · W)`.
fn unrolled(kernel: &Kernel, height: usize, width: usize) -> Result<Matrix, CheckError> {
    let (inner, channels, size) = (kernel.inner(), kernel.channels(), kernel.size());
    let (radius, area) = ((size - 1) / 2, height * width);
    let mut data = vec![0.0; inner * area * channels * area];
    for i in 0..inner {
        for c in 0..channels {
            for place in 0..size * size {
                let value = kernel.filter(i)[c * size * size + place];
                for y in 0..height {
                    let Some(v) = (y + place / size).checked_sub(radius).filter(|v| *v < height) else {
                        continue;
                    };
                    for x in 0..width {
                        let Some(w) = (x + place % size).checked_sub(radius).filter(|w| *w < width) else {
                            continue;
                        };
                        let row = i * area + y * width + x;
                        data[row * channels * area + c * area + v * width + w] = value;
                    }
                }
            }
        }
    }
    Matrix::new("kernel", inner * area, channels * area, data)
}

/// Lower bound by a power iteration; 0 where it breaks down.
fn lower(kernel: &Kernel, height: usize, width: usize) -> f64 {
    let entries = kernel.channels() * height * width;
    // A start without symmetry, so that it is orthogonal to no vector that matters.
    let mut vector: Vec<f64> = (0..entries)
        .map(|i| 1.0 + (i as f64 * 0.618_033_988_749_895).fract())
        .collect();
    for _ in 0..STEPS {
        let length = norm_up(&vector);
        vector.iter_mut().for_each(|value| *value /= length);
        let image = convolve(kernel, kernel.data(), &vector, height, width);
        vector = adjoint(kernel, &image, height, width);
    }
    let length = norm_up(&vector);
    vector.iter_mut().for_each(|value| *value /= length);
    let image = convolve(kernel, kernel.data(), &vector, height, width);
    let absolute = |values: &[f64]| -> Vec<f64> { values.iter().map(|value| value.abs()).collect() };
    let sizes = convolve(kernel, &absolute(kernel.data()), &absolute(&vector), height, width);
    let terms = kernel.channels() * kernel.size() * kernel.size();
    let gamma = gamma_up(terms + 2);
    let lost = mul_up((terms * image.len()) as f64, f64::MIN_POSITIVE);
    let error = add_up(mul_up(mul_up(gamma, add_up(1.0, mul_up(2.0, gamma))), norm_up(&sizes)), lost);
    let low = div_down(sub_down(norm_enclosed(&image).lo(), error), norm_up(&vector));
    if low > 0.0 && low.is_finite() { low } else { 0.0 }
}

/// Upper bound near the lower one where a proof is found.
fn upper(gram: &Gram, input: Shape, low: f64) -> f64 {
    let inner = gram.inner();
    let active: Vec<bool> = (0..inner).map(|i| !gram.is_zero_row(i)).collect();
    let sums = gram.row_sums(&vec![Interval::ONE; inner], &active);
    let largest = sums.iter().fold(0.0, |most, sum| max(most, sum.hi()));
    let grid = circulant_grid::least_grid(gram.span(), input, ImageSize::Stated);
    let ones = vec![1.0; inner];
    let proved = MARGINS.iter().map(|margin| low * low * (1.0 + margin)).find(|lambda| {
        *lambda < largest && circulant_grid::check(gram, input, &ones, &active, grid, ImageSize::Stated, *lambda).is_ok()
    });
    sqrt_up(proved.unwrap_or(largest))
}

/// `K v`, `(inner, H, W)`, with the entries of the kernel given apart.
fn convolve(kernel: &Kernel, entries: &[f64], image: &[f64], height: usize, width: usize) -> Vec<f64> {
    let mut output = vec![0.0; kernel.inner() * height * width];
    taps(kernel, height, width, |tap, to, from, length| {
        let value = entries[tap];
        let source = &image[from..from + length];
        for (sum, pixel) in output[to..to + length].iter_mut().zip(source) {
            *sum += value * pixel;
        }
    });
    output
}

/// `Kᵀ u`, `(channels, H, W)`.
fn adjoint(kernel: &Kernel, image: &[f64], height: usize, width: usize) -> Vec<f64> {
    let mut output = vec![0.0; kernel.channels() * height * width];
    taps(kernel, height, width, |tap, from, to, length| {
        let value = kernel.data()[tap];
        let source = &image[from..from + length];
        for (sum, pixel) in output[to..to + length].iter_mut().zip(source) {
            *sum += value * pixel;
        }
    });
    output
}

/// Visits every entry of the kernel on every row of the image: its index, the first position among the inner pixels and among the image's, and the length.
fn taps(kernel: &Kernel, height: usize, width: usize, mut visit: impl FnMut(usize, usize, usize, usize)) {
    let (channels, size) = (kernel.channels(), kernel.size());
    let radius = (size - 1) / 2;
    for i in 0..kernel.inner() {
        for c in 0..channels {
            for dy in 0..size {
                for dx in 0..size {
                    let tap = ((i * channels + c) * size + dy) * size + dx;
                    let first = radius.saturating_sub(dx);
                    let last = (width + radius).saturating_sub(dx).min(width);
                    if first >= last {
                        continue;
                    }
                    for y in 0..height {
                        if let Some(v) = (y + dy).checked_sub(radius).filter(|v| *v < height) {
                            let to = (i * height + y) * width + first;
                            let from = (c * height + v) * width + first + dx - radius;
                            visit(tap, to, from, last - first);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::DMatrix;
    use proptest::prelude::*;

    /// The largest singular value of the operator written out, by nalgebra.
    fn oracle(kernel: &Kernel, height: usize, width: usize) -> f64 {
        let matrix = unrolled(kernel, height, width).expect("a matrix");
        DMatrix::from_row_slice(matrix.rows(), matrix.cols(), matrix.data())
            .singular_values()
            .max()
    }

    proptest! {
        /// The two ends of the path for large images hold too, and the written-out matrix is the operator.
        #[test]
        fn both_ends_hold(data in prop::collection::vec(-1.0..1.0f64, 2 * 2 * 9), height in 1usize..5, width in 1usize..5) {
            let kernel = Kernel::new("kernel", 2, 2, 3, data).expect("a kernel");
            let norm = oracle(&kernel, height, width);
            let low = lower(&kernel, height, width);
            let input = Shape::Image { channels: 2, height, width };
            let high = upper(&Gram::lattice(&kernel).expect("a gram"), input, low);
            prop_assert!(low <= norm * (1.0 + 1e-12) && norm * (1.0 - 1e-12) <= high, "{low} {norm} {high}");
            let tight = convolution_norm(&kernel, input).expect("a norm");
            prop_assert!(tight.lo() <= norm * (1.0 + 1e-12) && norm * (1.0 - 1e-12) <= tight.hi());
            let image: Vec<f64> = (0..2 * height * width).map(|i| (i as f64 * 0.37).fract() - 0.4).collect();
            let matrix = unrolled(&kernel, height, width).expect("a matrix");
            let fast = convolve(&kernel, kernel.data(), &image, height, width);
            for (row, value) in fast.iter().enumerate() {
                let slow: f64 = matrix.row(row).iter().zip(&image).map(|(a, b)| a * b).sum();
                prop_assert!((value - slow).abs() <= 1e-13);
            }
            let back = adjoint(&kernel, &fast, height, width);
            let left: f64 = back.iter().zip(&image).map(|(a, b)| a * b).sum();
            let right: f64 = fast.iter().map(|value| value * value).sum();
            prop_assert!((left - right).abs() <= 1e-12 * (1.0 + right));
        }
    }
}
