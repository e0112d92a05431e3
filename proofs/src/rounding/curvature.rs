//! The numbers of an MLP head `z ↦ W₂ softplus_β(W₁ z + b₁) + b₂` at a float64 point, enclosed; a difference of two logits is
//! `g(z) = w · softplus_β(W₁ z + b₁) + b`, `w` and `b` the differences of rows of `W₂` and of entries of `b₂`.
//!
//! | number | bound |
//! |---|---|
//! | `r = W₁ z + b₁` | `γ_{n+2} (‖row‖ ‖z‖ + |b₁|)` an entry |
//! | `s = softplus_β(r)` | slopes in `[0, 1]`: the error of `r`, and that of the evaluation |
//! | `s'`, the sigmoid of `β r` | slopes in `[0, β/4]`: `β/4` times the error of `r`, and that of the evaluation |
//! | `∇g = W₁ᵀ (w ∘ s')` | `Σ_k ‖row_k‖ (e_k + γ |w_k s'_k|)`, `e` the error of `w ∘ s'` |
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::ball::Ball;
use super::directed::{
    add_down, add_up, div_down, div_up, gamma_up, max, min, mul_down, mul_up, norm_up, sqrt_down, sqrt_up, sub_down,
};
use super::kernels::dense::affine;
use super::small_gram::SmallGram;
use super::smooth::{softplus_slope, value};
use super::spectral::prove_dense;
use crate::error::CheckError;
use crate::statement::{Activation, Layer, Matrix, NetworkMap};

/// More than what a sum of products loses to underflow, a term.
const LOST: f64 = 4.0 * f64::MIN_POSITIVE;

/// How far above a hint a bound of an eigenvalue is tried.
const MARGINS: [f64; 6] = [1e-10, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1];

/// Steps of the power iteration that gives the hint.
const STEPS: usize = 200;

/// The last three layers of a network that ends dense, softplus, dense.
#[derive(Clone, Debug)]
pub(crate) struct MlpHead<'a> {
    /// `W₁`, `(hidden, n)`.
    pub(crate) first: &'a Matrix,
    /// `b₁`.
    pub(crate) shift: &'a [f64],
    pub(crate) beta: f64,
    /// `W₂`, `(classes, hidden)`.
    pub(crate) last: &'a Matrix,
    bias: &'a [f64],
    /// Upper bounds of the norms of the rows of `W₁`.
    lengths: Vec<f64>,
}

/// The head at one point.
#[derive(Clone, Debug)]
pub struct AtPoint {
    pub(crate) point: Vec<f64>,
    /// Computed `W₁ z + b₁`.
    pub(crate) sums: Vec<f64>,
    values: Vec<Ball>,
    slopes: Vec<Ball>,
}

/// A difference of two logits at one point.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    /// Lower bound of `g`.
    pub(crate) value_down: f64,
    /// Computed `∇g`.
    pub(crate) gradient: Vec<f64>,
    /// Upper bound of its error.
    pub(crate) gradient_error: f64,
}

impl<'a> MlpHead<'a> {
    /// The head of `map`, if it ends dense, softplus, dense.
    pub(crate) fn of(map: &'a NetworkMap) -> Option<Self> {
        let [
            ..,
            Layer::Dense {
                weight: first,
                bias: shift,
            },
            Layer::Activation(Activation::Softplus { beta }),
            Layer::Dense { weight: last, bias },
        ] = map.layers()
        else {
            return None;
        };
        Some(Self {
            first,
            shift,
            beta: *beta,
            last,
            bias,
            lengths: (0..first.rows()).map(|row| norm_up(first.row(row))).collect(),
        })
    }

    /// Encloses what does not depend on the pair of classes.
    pub(crate) fn at(&self, point: &[f64]) -> AtPoint {
        let mut sums = vec![0.0; self.first.rows()];
        affine(self.first, self.shift, point, &mut sums);
        let (size, gamma) = (norm_up(point), gamma_up(self.first.cols() + 2));
        let lost = mul_up(LOST, self.first.cols() as f64 + 1.0);
        let quarter = mul_up(self.beta, 0.25);
        let activation = Activation::Softplus { beta: self.beta };
        let (mut values, mut slopes) = (Vec::with_capacity(sums.len()), Vec::with_capacity(sums.len()));
        for ((sum, length), shift) in sums.iter().zip(&self.lengths).zip(self.shift) {
            let error = add_up(mul_up(gamma, add_up(mul_up(*length, size), shift.abs())), lost);
            let mut softplus = value(activation, *sum).unwrap_or(Ball::point(f64::NAN));
            softplus.error = add_up(softplus.error, error);
            let mut slope = softplus_slope(self.beta, *sum);
            slope.error = add_up(slope.error, mul_up(quarter, error));
            values.push(softplus);
            slopes.push(slope);
        }
        AtPoint {
            point: point.to_vec(),
            sums,
            values,
            slopes,
        }
    }

    /// The row `w` of a pair; each entry is rounded once.
    fn weights(&self, top: usize, rival: usize) -> impl Iterator<Item = Ball> {
        let pairs = self.last.row(top).iter().zip(self.last.row(rival));
        pairs.map(|(a, b)| Ball::point(*a).minus(Ball::point(*b)))
    }

    /// The row `w` of a pair, rounded.
    pub(crate) fn approx_weights(&self, top: usize, rival: usize) -> Vec<f64> {
        self.weights(top, rival).map(|weight| weight.value).collect()
    }

    /// Encloses `f_top − f_rival` and its gradient.
    pub(crate) fn difference(&self, at: &AtPoint, top: usize, rival: usize) -> Difference {
        let mut sum = Ball::point(self.bias[top]).minus(Ball::point(self.bias[rival]));
        let (mut gradient, mut gradient_error) = (vec![0.0; self.first.cols()], 0.0);
        let gamma = gamma_up(self.first.rows() + 2);
        let terms = self.weights(top, rival).zip(at.values.iter().zip(&at.slopes)).enumerate();
        for (row, (weight, (value, slope))) in terms {
            sum = sum.plus(weight.times(*value));
            let factor = weight.times(*slope);
            for (entry, coefficient) in gradient.iter_mut().zip(self.first.row(row)) {
                *entry += factor.value * coefficient;
            }
            let error = add_up(factor.error, mul_up(gamma, factor.value.abs()));
            gradient_error = add_up(gradient_error, mul_up(self.lengths[row], error));
        }
        let lost = mul_up(LOST, ((self.first.rows() + 1) * self.first.cols()) as f64);
        Difference {
            value_down: sub_down(sum.value, sum.error),
            gradient,
            gradient_error: add_up(gradient_error, lost),
        }
    }

    /// Upper bound of `(β/4) λmax(W₁ᵀ diag(w₋) W₁)`, `w₋ = max(−w, 0)`.
    ///
    /// With floats `c_k ≥ √(w₋)_k`, `W₁ᵀ diag(w₋) W₁ ⪯ BᵀB` for `B = diag(c) W₁`, and `‖B‖ ≤ ‖B̂‖ + ‖B − B̂‖_F` for the rounded `B̂`. `‖B̂‖² ≤ λ` is proved
    /// by a factorisation near the hint of a power iteration, or is the square of the Frobenius norm.
    ///
    /// # Errors
    ///
    /// Those of [`SmallGram::new`].
    pub(crate) fn curvature_up(&self, top: usize, rival: usize) -> Result<f64, CheckError> {
        let (mut data, mut rows) = (Vec::new(), 0);
        for (row, weight) in self.weights(top, rival).enumerate() {
            let negative = max(add_up(-weight.value, weight.error), 0.0);
            // The difference of two equal floats is exactly zero.
            if weight.value < 0.0 {
                let root = sqrt_up(negative);
                data.extend(self.first.row(row).iter().map(|entry| root * entry));
                rows += 1;
            } else if weight.value.is_nan() {
                return Ok(f64::NAN);
            }
        }
        if rows == 0 {
            return Ok(0.0);
        }
        let scaled = Matrix::new("curvature", rows, self.first.cols(), data)?;
        let size = norm_up(scaled.data());
        let error = add_up(mul_up(gamma_up(2), size), mul_up(LOST, scaled.data().len() as f64));
        let norm = add_up(min(norm_of(&scaled)?, size), error);
        Ok(mul_up(mul_up(self.beta, 0.25), mul_up(norm, norm)))
    }
}

/// Proved upper bound of the spectral norm; infinite if no hint was good enough.
fn norm_of(matrix: &Matrix) -> Result<f64, CheckError> {
    let SmallGram { gram, scale } = SmallGram::new(matrix)?;
    let n = gram.inner();
    let active: Vec<bool> = (0..n).map(|row| !gram.is_zero_row(row)).collect();
    let hint = approx_largest(gram.approx_centre(), n) / scale;
    for margin in MARGINS {
        let lambda = hint * (1.0 + margin);
        let usable = lambda > 0.0 && lambda.is_finite();
        if usable && prove_dense(&gram, &vec![scale; n], &active, lambda).is_ok() {
            return Ok(sqrt_up(lambda));
        }
    }
    Ok(f64::INFINITY)
}

/// About the largest eigenvalue of a symmetric matrix, `(n, n)`, from below.
fn approx_largest(matrix: &[f64], n: usize) -> f64 {
    // No symmetry, so that it is orthogonal to no eigenvector that matters.
    let mut vector: Vec<f64> = (0..n).map(|i| 1.0 + (i as f64 * 0.618_033_988_749_895).fract()).collect();
    let mut largest = 0.0;
    for _ in 0..STEPS {
        let size = norm_up(&vector);
        vector.iter_mut().for_each(|entry| *entry /= size);
        let product: Vec<f64> = matrix.chunks_exact(n).map(|row| dot(row, &vector)).collect();
        largest = dot(&product, &vector);
        vector = product;
    }
    largest
}

/// An inner product to nearest.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Lower bound of the positive root `r` of `d − ‖∇‖ r − m r² / 2`, which is `2d / (√(‖∇‖² + 2md) + ‖∇‖)`; 0 unless `d > 0`.
pub(crate) fn quadratic_down(difference: &Difference, curvature: f64) -> f64 {
    let d = difference.value_down;
    let slope = add_up(norm_up(&difference.gradient), difference.gradient_error);
    let root = sqrt_up(add_up(mul_up(slope, slope), mul_up(mul_up(2.0, curvature), d)));
    let divisor = add_up(root, slope);
    let usable = d > 0.0 && d.is_finite() && divisor > 0.0 && divisor < f64::INFINITY && curvature >= 0.0;
    if usable { div_down(mul_down(2.0, d), divisor) } else { 0.0 }
}

/// Lower bound of the distance from `centre` to `{g ≤ 0}` by the dual at `eta`, with `at` any point near the minimiser of `‖v‖² + 2η g(centre + v)`; 0 if
/// nothing follows.
pub(crate) fn dual_down(centre: &[f64], at: &AtPoint, difference: &Difference, eta: f64, curvature: f64) -> f64 {
    // v = point − centre exactly; every entry of `step` is off by a unit roundoff of itself.
    let step: Vec<f64> = at.point.iter().zip(centre).map(|(x, z)| x - z).collect();
    let gamma = gamma_up(step.len() + 6);
    let squares = sub_down(
        mul_down(dot(&step, &step), sub_down(1.0, gamma)),
        mul_up(LOST, step.len() as f64),
    );
    let rest: Vec<f64> = step
        .iter()
        .zip(&difference.gradient)
        .map(|(v, slope)| v + eta * slope)
        .collect();
    // Three roundings an entry, of numbers of at most these sizes.
    let sizes = add_up(norm_up(&step), mul_up(eta, norm_up(&difference.gradient)));
    let rounding = add_up(mul_up(gamma_up(4), sizes), mul_up(LOST, step.len() as f64));
    let residual = add_up(norm_up(&rest), add_up(rounding, mul_up(eta, difference.gradient_error)));
    let convexity = sub_down(1.0, mul_up(eta, curvature));
    let usable = eta > 0.0 && eta < f64::INFINITY && convexity > 0.0 && curvature >= 0.0;
    if !usable {
        return 0.0;
    }
    let lost = div_up(mul_up(residual, residual), convexity);
    let gain = mul_down(2.0, mul_down(eta, difference.value_down));
    let squared = sub_down(add_down(squares, gain), lost);
    let positive = squared > 0.0 && squared < f64::INFINITY;
    if positive { sqrt_down(squared) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Shape;
    use proptest::prelude::*;

    /// On the line, with three hidden neurons.
    fn line(beta: f64, w1: &[f64], b1: &[f64], w2: &[f64], b2: f64) -> NetworkMap {
        let dense = |rows, cols, data: &[f64], bias: &[f64]| Layer::Dense {
            weight: Matrix::new("weight", rows, cols, data.to_vec()).expect("a matrix"),
            bias: bias.to_vec(),
        };
        let layers = vec![
            dense(3, 1, w1, b1),
            Layer::Activation(Activation::Softplus { beta }),
            dense(2, 3, &[w2, &[0.0; 3]].concat(), &[b2, 0.0]),
        ];
        NetworkMap::new(Shape::Flat(1), layers).expect("a network")
    }

    /// `g` to nearest, for a second look.
    fn plain(head: &MlpHead<'_>, x: f64) -> f64 {
        head.difference(&head.at(&[x]), 0, 1).value_down
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Whatever the multiplier and the point, no sign change is nearer than the number; and near the right ones the number is near.
        #[test]
        fn no_hint_can_lie(
            beta in 0.3..4.0f64,
            w1 in prop::collection::vec(-2.0..2.0f64, 3),
            b1 in prop::collection::vec(-2.0..2.0f64, 3),
            w2 in prop::collection::vec(-2.0..2.0f64, 3),
            b2 in 0.0..2.0f64,
            hints in prop::collection::vec((0.0..1.0f64, -3.0..3.0f64), 20),
        ) {
            let map = line(beta, &w1, &b1, &w2, b2);
            let head = MlpHead::of(&map).expect("an MLP head");
            let centre = [0.0];
            prop_assume!(plain(&head, 0.0) > 0.0);
            let curvature = head.curvature_up(0, 1).expect("a bound");
            let step = 1.0 / 256.0;
            let nearest = (1..=1024).map(|k| f64::from(k) * step).find(|x| plain(&head, *x) <= 0.0 || plain(&head, -*x) <= 0.0);
            let nearest = nearest.unwrap_or(f64::INFINITY);
            let start = head.difference(&head.at(&centre), 0, 1);
            prop_assert!(quadratic_down(&start, curvature) <= nearest);
            for (share, offset) in hints {
                for eta in [share / curvature, share] {
                    let at = head.at(&[offset]);
                    let found = dual_down(&centre, &at, &head.difference(&at, 0, 1), eta, curvature);
                    prop_assert!(found <= nearest, "{found} {nearest} {eta} {offset}");
                }
            }
        }
    }

    #[test]
    fn unusable_hints_prove_nothing() {
        let map = line(1.0, &[1.0, -1.0, 0.5], &[0.0, 0.2, 0.1], &[1.0, -0.5, -0.25], 1.0);
        let head = MlpHead::of(&map).expect("an MLP head");
        let curvature = head.curvature_up(0, 1).expect("a bound");
        for (eta, point, curvature) in [
            (0.0, 1.0, curvature),
            (-1.0, 1.0, curvature),
            (1.0 / curvature, 0.5, curvature),
            (1e300, 0.5, curvature),
            (f64::INFINITY, 0.5, curvature),
            (f64::NAN, 0.5, curvature),
            (0.5, f64::NAN, curvature),
            (0.5, 1e308, curvature),
            (0.5, 0.5, f64::NAN),
            (0.5, 0.5, -1.0),
        ] {
            let at = head.at(&[point]);
            let found = dual_down(&[0.0], &at, &head.difference(&at, 0, 1), eta, curvature);
            assert!(found == 0.0, "{eta} {point} {curvature}: {found}");
        }
        let start = head.difference(&head.at(&[0.0]), 0, 1);
        assert!(quadratic_down(&start, f64::NAN) == 0.0 && quadratic_down(&start, -1.0) == 0.0);
        assert!(quadratic_down(&start, curvature) > 0.0);
    }
}
