//! The kernels of convolutions by the formulas of the published codes, every operation in the float type.
//!
//! # Source
//!
//! AOL: Prach and Lampert, ECCV 2022, and the authors' code. Skew kernels: Singla and Feizi, ICML 2021, and the authors' code, whose power iteration is replaced
//! by one that is run until it settles.

use lipcert_proofs::statement::{ConvFormula, Kernel, Layer, SkewDivisor, SkewExponential};
use ndarray::{Array1, Array2};

use super::Float;
use super::factor::correlation;

/// Steps of a power iteration; the largest that a layer of a trained network was seen to need is far below.
const STEPS: usize = 2000;

/// The entries `(out, in, k, k)` of the kernel that a layer convolves with; nothing for other layers.
pub(super) fn entries<T: Float>(layer: &Layer) -> Vec<T> {
    match layer {
        Layer::Convolution { kernel, .. } => converted(kernel),
        Layer::ConvFormula { formula, .. } => by_formula(formula),
        Layer::SkewExponential(layer) => skew(layer),
        _ => Vec::new(),
    }
}

fn converted<T: Float>(kernel: &Kernel) -> Vec<T> {
    kernel.data().iter().map(|value| T::of(*value)).collect()
}

fn by_formula<T: Float>(formula: &ConvFormula) -> Vec<T> {
    let raw = formula.raw();
    let (channels, area) = (raw.channels(), raw.size() * raw.size());
    let mut entries: Vec<T> = converted(raw);
    match formula {
        ConvFormula::Aol { epsilon, .. } => {
            let factors = aol_factors::<T>(raw, T::of(*epsilon));
            for (flat, entry) in entries.iter_mut().enumerate() {
                *entry *= factors[flat / area % channels];
            }
        }
        ConvFormula::LinearResidual { .. } => {
            for channel in 0..channels {
                entries[(channel * channels + channel) * area + area / 2] += T::one();
            }
        }
        ConvFormula::Spectral { sigma, .. } => {
            let sigma = T::of(*sigma);
            entries.iter_mut().for_each(|entry| *entry /= sigma);
        }
    }
    entries
}

/// `(Σ |R| + ε)^{−1/2}` an input channel, 0 where the sum is 0.
fn aol_factors<T: Float>(raw: &Kernel, epsilon: T) -> Vec<T> {
    let (adjoint, reach) = (raw.adjoint(), raw.size() as isize - 1);
    (0..raw.channels())
        .map(|i| {
            let mut sum = T::zero();
            for j in 0..raw.channels() {
                for down in -reach..=reach {
                    for right in -reach..=reach {
                        sum += correlation::<T>(&adjoint, i, j, down, right).abs();
                    }
                }
            }
            let sum = sum + epsilon;
            if sum == T::zero() { T::zero() } else { sum.sqrt().recip() }
        })
        .collect()
}

/// `(M − Mᵀ) / (2σ)`.
fn skew<T: Float>(layer: &SkewExponential) -> Vec<T> {
    let adjoint = layer.raw.adjoint();
    let pairs = layer.raw.data().iter().zip(adjoint.data());
    let half: Vec<T> = pairs.map(|(a, b)| (T::of(*a) - T::of(*b)) / T::of(2.0)).collect();
    let sigma = match layer.divisor {
        SkewDivisor::Stored(sigma) => T::of(sigma),
        SkewDivisor::LeastNorm => least_norm(&half, layer.raw.channels(), layer.raw.size()),
    };
    half.into_iter().map(|entry| entry / sigma).collect()
}

/// The least of the four norms of the kernel as a matrix, approximately and from below.
fn least_norm<T: Float>(entries: &[T], channels: usize, size: usize) -> T {
    let at = |out: usize, channel: usize, y: usize, x: usize| entries[((out * channels + channel) * size + y) * size + x];
    let side = channels * size;
    let mixed = |turned: bool| {
        Array2::from_shape_fn((side, side), |(row, col)| {
            let (out, a, channel, b) = (row / size, row % size, col / size, col % size);
            if turned {
                at(out, channel, b, a)
            } else {
                at(out, channel, a, b)
            }
        })
    };
    let area = size * size;
    let wide = Array2::from_shape_fn((channels, channels * area), |(out, col)| entries[out * channels * area + col]);
    let tall = Array2::from_shape_fn((channels * area, channels), |(row, channel)| {
        at(row / area, channel, row % area / size, row % size)
    });
    let matrices = [mixed(false), mixed(true), wide, tall];
    matrices
        .iter()
        .map(norm)
        .fold(T::infinity(), |least, norm| if norm < least { norm } else { least })
}

/// The spectral norm by power iteration, from below.
fn norm<T: Float>(matrix: &Array2<T>) -> T {
    let length = |vector: &Array1<T>| vector.dot(vector).sqrt();
    let mut vector = Array1::from_shape_fn(matrix.ncols(), |i| T::of(1.0 + (i as f64 * 0.618_033_988_749_895).fract()));
    let mut found = T::zero();
    for _ in 0..STEPS {
        vector /= length(&vector);
        let image = matrix.dot(&vector);
        found = length(&image);
        vector = matrix.t().dot(&image);
        if vector.iter().all(|value| *value == T::zero()) {
            break;
        }
    }
    found
}
