//! The rows of a head, normalised or as stored, enclosed.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::directed::{add_up, gamma_up, max, mul_up, norm_up, sub_down, sub_up};
use super::interval::Interval;
use crate::statement::Matrix;

/// The rows `ŵ_i` of a head as float64 with a bound of their error: `w_i / max(‖w_i‖₂, 1e-12)` for a normalised head, `w_i` for a plain one, and the unit
/// vectors where the logits are the features.
#[derive(Clone, Debug)]
pub struct HeadRows {
    /// The divisors `max(‖w_i‖, 1e-12)`, or 1.
    divisors: Vec<Interval>,
    /// Rounded rows, row-major `(classes, n)`; none for the identity, whose rows are not written out.
    approx: Vec<f64>,
    /// Upper bound of `‖approx_i − ŵ_i‖`.
    errors: Vec<f64>,
    /// Upper bound of `‖ŵ_i‖`, for a normalised head 1, or 0 for a zero row.
    norms: Vec<f64>,
    /// Number of the first row with the same stored bits, a class index.
    same_as: Vec<usize>,
    cols: usize,
    identity: bool,
}

impl HeadRows {
    /// The rows of a plain head, `(classes, n)`, which are what they are.
    #[must_use]
    pub fn plain(weight: &Matrix) -> Self {
        let rows = weight.rows();
        Self {
            divisors: vec![Interval::ONE; rows],
            approx: weight.data().to_vec(),
            errors: vec![0.0; rows],
            norms: (0..rows).map(|i| norm_up(weight.row(i))).collect(),
            same_as: (0..rows)
                .map(|i| (0..i).find(|j| weight.row(*j) == weight.row(i)).unwrap_or(i))
                .collect(),
            cols: weight.cols(),
            identity: false,
        }
    }

    /// The rows of the identity: orthonormal, so that any two are exactly `√2` apart.
    #[must_use]
    pub fn identity(classes: usize) -> Self {
        Self {
            divisors: vec![Interval::ONE; classes],
            approx: Vec::new(),
            errors: vec![0.0; classes],
            norms: vec![1.0; classes],
            same_as: (0..classes).collect(),
            cols: classes,
            identity: true,
        }
    }

    /// Encloses the normalised rows of `weight`, `(classes, n)`.
    #[must_use]
    pub fn new(weight: &Matrix) -> Self {
        let floor = Interval::ONE.div(Interval::integer(1_000_000_000_000));
        let (rows, cols) = (weight.rows(), weight.cols());
        let mut head = Self {
            divisors: Vec::with_capacity(rows),
            approx: Vec::with_capacity(rows * cols),
            errors: Vec::with_capacity(rows),
            norms: Vec::with_capacity(rows),
            same_as: Vec::with_capacity(rows),
            cols,
            identity: false,
        };
        for i in 0..rows {
            let row = weight.row(i);
            let divisor = norm_enclosed(row).max(floor);
            let reciprocal = 1.0 / divisor.mid();
            // w · fl(1/mid): relative to w / divisor off by (1 + u) · |fl(1/mid) · divisor| − 1.
            let ratio = Interval::point(reciprocal).mul(divisor);
            let off = max(sub_up(ratio.hi(), 1.0), sub_up(1.0, ratio.lo()));
            let relative = add_up(off, mul_up(gamma_up(1), add_up(1.0, off)));
            let norm = if row.iter().all(|value| *value == 0.0) { 0.0 } else { 1.0 };
            head.approx.extend(row.iter().map(|value| value * reciprocal));
            head.errors
                .push(add_up(mul_up(relative, norm), mul_up(cols as f64, f64::MIN_POSITIVE)));
            head.norms.push(norm);
            head.divisors.push(divisor);
            let same = (0..i).find(|j| weight.row(*j) == row).unwrap_or(i);
            head.same_as.push(same);
        }
        head
    }

    /// Number of classes.
    #[must_use]
    pub const fn classes(&self) -> usize {
        self.norms.len()
    }

    /// The rounded rows, row-major `(classes, n)`; empty for the identity.
    #[must_use]
    pub fn approx(&self) -> &[f64] {
        &self.approx
    }

    /// One rounded row.
    fn row(&self, class: usize) -> &[f64] {
        &self.approx[class * self.cols..(class + 1) * self.cols]
    }

    /// Upper bound of `‖ŵ_i‖`.
    #[must_use]
    pub fn norm_up(&self, class: usize) -> f64 {
        self.norms[class]
    }

    /// Upper bound of `‖approx_i − ŵ_i‖`.
    #[must_use]
    pub fn error_up(&self, class: usize) -> f64 {
        self.errors[class]
    }

    /// Whether two classes have the same row, bit for bit; their logits differ by their biases alone.
    #[must_use]
    pub fn tied(&self, a: usize, b: usize) -> bool {
        self.same_as[a] == self.same_as[b]
    }

    /// Encloses `‖ŵ_a − ŵ_b‖₂`; exactly zero for tied rows.
    #[must_use]
    pub fn distance(&self, a: usize, b: usize) -> Interval {
        if self.tied(a, b) {
            return Interval::ZERO;
        }
        if self.identity {
            return Interval::integer(2).sqrt();
        }
        let computed: Vec<f64> = self.row(a).iter().zip(self.row(b)).map(|(x, y)| x - y).collect();
        // Each difference is rounded once: relative to itself by u.
        let norm = norm_enclosed(&computed);
        let relative = Interval::between(sub_down(1.0, gamma_up(1)), add_up(1.0, gamma_up(1)));
        let error = add_up(self.errors[a], self.errors[b]);
        let distance = norm.mul(relative).add(Interval::between(-error, error));
        Interval::between(max(0.0, distance.lo()), distance.hi())
    }

    /// Lower bounds of the squares of the divisors: the `T` for which `W Wᵀ ⪯ μ diag(T)` says `‖Ŵ‖₂² ≤ μ`.
    pub(crate) fn scale_down(&self) -> Vec<f64> {
        self.divisors.iter().map(|divisor| divisor.square().lo()).collect()
    }

    /// Which rows are not zero.
    pub(crate) fn active(&self) -> Vec<bool> {
        self.norms.iter().map(|norm| *norm > 0.0).collect()
    }
}

/// Encloses the Euclidean norm of a vector.
pub(crate) fn norm_enclosed(values: &[f64]) -> Interval {
    let high = norm_up(values);
    // norm_up adds at most the factor 1/(1 − γ_{n+1})^{1/2} and two roundings to a plain sum that itself errs by γ_{n+1} from above.
    let widening = mul_up(2.0, gamma_up(values.len() + 6));
    let low = sub_down(high, mul_up(high, widening));
    let absolute = Interval::integer(values.len() as i64)
        .mul(Interval::point(f64::MIN_POSITIVE))
        .sqrt();
    Interval::between(max(0.0, sub_down(low, absolute.hi())), high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use num_rational::BigRational;
    use proptest::prelude::*;

    proptest! {
        /// The enclosure of the norm against exact squares.
        #[test]
        fn norms_are_enclosed(values in prop::collection::vec(-1e3..1e3f64, 1..50), shift in 0i32..60) {
            let values: Vec<f64> = values.iter().map(|v| v * f64::from_bits(((1023 - shift) as u64) << 52)).collect();
            let exact = |v: f64| BigRational::from_float(v).expect("finite");
            let square = values.iter().fold(BigRational::from(BigInt::from(0)), |s, v| s + exact(*v) * exact(*v));
            let norm = norm_enclosed(&values);
            prop_assert!(exact(norm.lo()) * exact(norm.lo()) <= square && square <= exact(norm.hi()) * exact(norm.hi()));
        }
    }

    #[test]
    fn tied_zero_and_scaled_rows() {
        let weight = Matrix::new("head", 4, 2, vec![3.0, 4.0, 3.0, 4.0, 0.0, 0.0, 6.0, 8.0]).expect("a matrix");
        let rows = HeadRows::new(&weight);
        assert!(rows.tied(0, 1) && !rows.tied(0, 3));
        assert_eq!(rows.distance(0, 1), Interval::ZERO);
        assert!(rows.distance(0, 3).hi() < 1e-14 && rows.distance(0, 3).lo() <= 0.0);
        let to_zero = rows.distance(0, 2);
        assert!(to_zero.lo() <= 1.0 && 1.0 <= to_zero.hi() && to_zero.hi() < 1.0 + 1e-14);
        assert!(rows.norm_up(2) <= 0.0);
    }
}
