//! Weights that are computed from free parameters, by plain formulas in the float type.

use lipcert_proofs::statement::{Bjorck, DenseFormula, Divisor, Kernel, Layer, Matrix, Sandwich, Scale};
use ndarray::{Array1, Array2, Axis, concatenate, s};

use super::Float;
use super::convolution::Convolution;
use super::float::{matrix, vector};

/// Steps of the power iterations; they end earlier where the norm no longer grows.
const STEPS: usize = 5_000;

/// The weight of a formula, `(m, n)`; an approximation.
pub(super) fn weight<T: Float>(formula: &DenseFormula) -> Array2<T> {
    match formula {
        DenseFormula::Aol { raw, epsilon } => {
            let mut raw: Array2<T> = matrix(raw);
            let sums = raw.t().dot(&raw).map(|value| value.abs()).sum_axis(Axis(0));
            let scales = sums.mapv(|sum| {
                let sum = sum + T::of(*epsilon);
                if sum == T::zero() { sum } else { sum.sqrt().recip() }
            });
            raw *= &scales;
            raw
        }
        DenseFormula::Normalized {
            raw,
            divisor,
            offset,
            bjorck,
        } => {
            let raw: Array2<T> = matrix(raw);
            let sigma = match divisor {
                Divisor::Frobenius => frobenius(&raw),
                Divisor::Norm => norm(&raw),
                Divisor::Stored(sigma) => T::of(*sigma),
                Divisor::Vectors { left, right } => vector::<T>(left).dot(&raw.dot(&vector(right))),
            };
            let mut weight = raw / (sigma + T::of(*offset));
            if let Some(Bjorck { beta, iterations }) = bjorck {
                let beta = T::of(*beta);
                for _ in 0..*iterations {
                    let cube = weight.dot(&weight.t().dot(&weight));
                    weight = weight * (T::one() + beta) - cube * beta;
                }
            }
            weight
        }
        DenseFormula::Cayley { raw, alpha } => cayley(raw, *alpha),
        DenseFormula::Householder { vectors } => {
            let n = vectors.cols();
            let mut product = Array2::eye(n);
            for index in 0..vectors.rows() {
                let v: Array1<T> = vector(vectors.row(index));
                let image: Array1<T> = product.dot(&v) * (T::of(2.0) / v.dot(&v));
                for (mut row, value) in product.rows_mut().into_iter().zip(image) {
                    row.scaled_add(-value, &v);
                }
            }
            product
        }
    }
}

/// `√2 Ψ⁻¹ B` and `√2 Aᵀ Ψ` of a sandwich layer; approximations.
pub(super) fn sandwich<T: Float>(layer: &Sandwich) -> (Array2<T>, Array2<T>) {
    let map: Array2<T> = cayley(&layer.weight, layer.alpha);
    let q = layer.outputs();
    let root = T::of(2.0).sqrt();
    let psi: Array1<T> = vector(&layer.psi);
    let inner = psi.mapv(|value| root * (-value).exp());
    let outer = psi.mapv(|value| root * value.exp());
    let first = map.slice(s![.., q..]).to_owned() * inner.insert_axis(Axis(1));
    let second = map.slice(s![.., ..q]).t().to_owned() * outer;
    (first, second)
}

/// `1 / ‖A‖²` a channel for a residual layer whose `T` is a norm, 0 for a zero row; nothing for another.
pub(super) fn norm_factor<T: Float>(layer: &Layer, height: usize, width: usize) -> Option<Vec<T>> {
    let (square, off): (T, Vec<bool>) = match layer {
        Layer::ResidualDense { weight, scale, .. } => {
            let raw = matrix::<T>(weight);
            let length = match scale {
                Scale::Norm => norm(&raw),
                Scale::Frobenius => frobenius(&raw),
                _ => return None,
            };
            let zero = |row: usize| weight.row(row).iter().all(|value| *value == 0.0);
            (length * length, (0..weight.rows()).map(zero).collect())
        }
        Layer::ResidualConv {
            kernel,
            scale: Scale::Norm,
            ..
        } => {
            let length = convolution_norm::<T>(kernel, height, width);
            let zero = |row: usize| kernel.filter(row).iter().all(|value| *value == 0.0);
            (length * length, (0..kernel.inner()).map(zero).collect())
        }
        _ => return None,
    };
    let factor = |off: bool| if off { T::zero() } else { square.recip() };
    Some(off.into_iter().map(factor).collect())
}

/// The Cayley map of `alpha · raw / ‖raw‖_F`, or of `raw`.
fn cayley<T: Float>(raw: &Matrix, alpha: Option<f64>) -> Array2<T> {
    let mut weight: Array2<T> = matrix(raw);
    if let Some(alpha) = alpha {
        let factor = T::of(alpha) / frobenius(&weight);
        weight.mapv_inplace(|value| value * factor);
    }
    if weight.ncols() > weight.nrows() {
        return tall_cayley(weight.t().to_owned()).reversed_axes();
    }
    tall_cayley(weight)
}

/// `[(I + A)⁻¹(I − A); −2 V (I + A)⁻¹]`, `A = U − Uᵀ + VᵀV`, for `[U; V]`.
fn tall_cayley<T: Float>(weight: Array2<T>) -> Array2<T> {
    let n = weight.ncols();
    let (square, rest) = (weight.slice(s![..n, ..]), weight.slice(s![n.., ..]));
    let a = &square - &square.t() + rest.t().dot(&rest);
    let identity = Array2::eye(n);
    let inverse = inverse(&identity + &a);
    let top = inverse.dot(&(&identity - &a));
    let bottom = rest.dot(&inverse) * T::of(-2.0);
    concatenate(Axis(0), &[top.view(), bottom.view()]).expect("as many columns each")
}

/// The inverse by Gauss and Jordan with row pivots.
fn inverse<T: Float>(mut matrix: Array2<T>) -> Array2<T> {
    let n = matrix.nrows();
    let mut inverse = Array2::eye(n);
    for column in 0..n {
        let mut pivot = column;
        for row in column + 1..n {
            if matrix[(row, column)].abs() > matrix[(pivot, column)].abs() {
                pivot = row;
            }
        }
        for other in [&mut matrix, &mut inverse] {
            for j in 0..n {
                other.swap((column, j), (pivot, j));
            }
        }
        let scale = matrix[(column, column)].recip();
        matrix.row_mut(column).mapv_inplace(|value| value * scale);
        inverse.row_mut(column).mapv_inplace(|value| value * scale);
        for row in (0..n).filter(|row| *row != column) {
            let factor = matrix[(row, column)];
            for other in [&mut matrix, &mut inverse] {
                let source = other.row(column).to_owned();
                other.row_mut(row).scaled_add(-factor, &source);
            }
        }
    }
    inverse
}

fn frobenius<T: Float>(matrix: &Array2<T>) -> T {
    matrix.iter().fold(T::zero(), |sum, value| sum + *value * *value).sqrt()
}

/// The operator norm by power iteration.
fn norm<T: Float>(matrix: &Array2<T>) -> T {
    let column = |values: Array1<T>| values.insert_axis(Axis(1));
    let start = column(start(matrix.ncols()));
    power(start, |x| matrix.dot(x), |y| matrix.t().dot(y))
}

/// The operator norm on images by power iteration.
fn convolution_norm<T: Float>(kernel: &Kernel, height: usize, width: usize) -> T {
    let convolution = Convolution::new(kernel, height, width);
    let channels = convolution.channels();
    let start = start(channels * height * width)
        .into_shape_with_order((channels, height * width))
        .expect("as many numbers");
    power(start, |x| convolution.apply(x.view()), |y| convolution.adjoint(y.view()))
}

/// A vector without symmetry.
fn start<T: Float>(length: usize) -> Array1<T> {
    (0..length)
        .map(|i| T::of(1.0 + (i as f64 * 0.618_033_988_749_895).fract()))
        .collect()
}

/// `‖A‖₂` from `A` and `Aᵀ`, until it no longer grows.
fn power<T: Float>(mut x: Array2<T>, apply: impl Fn(&Array2<T>) -> Array2<T>, adjoint: impl Fn(&Array2<T>) -> Array2<T>) -> T {
    let mut best = T::zero();
    let mut still = 0;
    for _ in 0..STEPS {
        let length = frobenius(&x);
        if length == T::zero() {
            break;
        }
        x.mapv_inplace(|value| value / length);
        let y = apply(&x);
        let value = frobenius(&y);
        // growth that is no more than rounding does not count
        still = if value > best + T::of(64.0) * T::epsilon() * best {
            0
        } else {
            still + 1
        };
        best = if value > best { value } else { best };
        if still > 20 {
            break;
        }
        x = adjoint(&y);
    }
    best
}
