//! A proved lower bound of the optimum of the LipSDP inequality, from vectors that nobody has to trust.
#![expect(clippy::float_arithmetic, clippy::disallowed_methods, reason = "the room that may round")]

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

use super::chain::head_rows;
use super::directed::{add_up, div_down, gamma_up, max, mul_down, mul_up, norm_up, sqrt_down, sub_down, sum_up};
use crate::error::CheckError;
use crate::statement::Chain;

/// How far a vector is drawn towards the middle of its ball, tried one after the other.
const PULLS: [f64; 5] = [1e-15, 1e-13, 1e-11, 1e-8, 1e-4];

/// Moves the vectors of the hidden neurons, layer by layer, into the balls that the slopes allow, and bounds `‖C X_h‖_F / ‖X_0‖_F` from below.
///
/// With `m = (α + β)/2` and `r = (β − α)/2`, `⟨x − αu, x − βu⟩ ≤ 0` says `‖x − m u‖ ≤ r ‖u‖`: a ball. For the computed `û` with `‖û − u‖ ≤ e` it is enough
/// that `‖x − m û‖ + (|m| + r) e ≤ r ‖û‖`, and this is what is compared, with the `x` that is used from there on. Nothing else has to be right.
///
/// # Errors
///
/// See [`crate::rules::lipsdp::dual_down`].
pub(crate) fn bound_down(chain: &Chain<'_>, rank: usize, vectors: &[Vec<f64>]) -> Result<f64, CheckError> {
    let widths = chain.widths();
    let expected: Vec<usize> = widths.iter().map(|n| n.saturating_mul(rank)).collect();
    let found: Vec<usize> = vectors.iter().map(Vec::len).collect();
    if expected != found || rank == 0 {
        return Err(CheckError::Shape {
            what: "dual vectors",
            expected,
            found,
        });
    }
    for (block, values) in vectors.iter().enumerate() {
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(CheckError::NotFinite {
                what: "dual vectors",
                index: vec![block, index / rank, index % rank],
            });
        }
    }
    let mut current = vectors[0].clone();
    for ((weight, slopes), hint) in chain.weights().iter().zip(chain.slopes()).zip(&vectors[1..]) {
        let full = MatRef::from_row_major_slice(weight.data(), weight.rows(), weight.cols());
        let input = MatRef::from_row_major_slice(&current, weight.cols(), rank);
        let images = product(full, input);
        let lengths: Vec<f64> = current.chunks_exact(rank).map(norm_up).collect();
        let gamma = gamma_up(weight.cols() + 2);
        let mut next = vec![0.0; weight.rows() * rank];
        for (k, row) in next.chunks_exact_mut(rank).enumerate() {
            let image: Vec<f64> = (0..rank).map(|c| images[(k, c)]).collect();
            let reach = sum_up(weight.row(k).iter().zip(&lengths).map(|(w, length)| mul_up(w.abs(), *length)));
            let error = add_up(mul_up(gamma, reach), f64::MIN_POSITIVE);
            let inside = Ball::new(*slopes, &image, error).place(&hint[k * rank..(k + 1) * rank], row);
            if !inside {
                return Ok(0.0);
            }
        }
        current = next;
    }
    let head = head_rows(chain)?;
    let last = MatRef::from_row_major_slice(&current, head.ncols(), rank);
    let outputs = product(head.as_ref(), last);
    let lengths: Vec<f64> = current.chunks_exact(rank).map(norm_up).collect();
    let gamma = gamma_up(head.ncols() + 4);
    let mut squares = 0.0;
    for i in 0..head.nrows() {
        let row: Vec<f64> = (0..rank).map(|c| outputs[(i, c)]).collect();
        let reach = sum_up((0..head.ncols()).map(|j| mul_up(head[(i, j)].abs(), lengths[j])));
        let error = add_up(mul_up(gamma, reach), f64::MIN_POSITIVE);
        let length = max(sub_down(norm_down(&row), error), 0.0);
        squares = super::directed::add_down(squares, mul_down(length, length));
    }
    let bound = div_down(sqrt_down(squares), norm_up(&vectors[0]));
    Ok(if bound > 0.0 && bound.is_finite() { bound } else { 0.0 })
}

fn product(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut result = Mat::zeros(left.nrows(), right.ncols());
    matmul(result.as_mut(), Accum::Replace, left, right, 1.0, Par::Seq);
    result
}

/// Lower bound of the Euclidean norm.
fn norm_down(values: &[f64]) -> f64 {
    let high = norm_up(values);
    // `norm_up` widens a plain sum by less than these two factors, and by an absolute term.
    let widened = mul_up(high, mul_up(2.0, gamma_up(values.len() + 6)));
    let absolute = mul_up(values.len() as f64, 1e-150);
    max(sub_down(sub_down(high, widened), absolute), 0.0)
}

/// The vectors that the slopes allow for one neuron.
struct Ball<'u> {
    image: &'u [f64],
    error: f64,
    slopes: (f64, f64),
    middle: f64,
    radius: f64,
}

impl<'u> Ball<'u> {
    fn new(slopes: (f64, f64), image: &'u [f64], error: f64) -> Self {
        let (lo, hi) = slopes;
        Self {
            image,
            error,
            slopes,
            middle: lo / 2.0 + hi / 2.0,
            radius: hi / 2.0 - lo / 2.0,
        }
    }

    /// Writes a vector of the ball near `hint`, up to a factor, and says whether it is proved to lie inside.
    fn place(&self, hint: &[f64], out: &mut [f64]) -> bool {
        let centre: Vec<f64> = self.image.iter().map(|u| self.middle * u).collect();
        let target = self.nearest(hint, &centre);
        for pull in PULLS {
            for ((x, t), c) in out.iter_mut().zip(&target).zip(&centre) {
                *x = c + (1.0 - pull) * (t - c);
            }
            if self.contains(out) {
                return true;
            }
        }
        // ⟨αu, βu⟩ ≤ 0 for slopes of both signs: the origin lies inside, whatever the image is.
        out.fill(0.0);
        self.slopes.0 <= 0.0 && self.slopes.1 >= 0.0
    }

    /// The multiple of the hint inside the ball that is largest, or for slopes of one sign nearest to the hint; the projection of the hint where there
    /// is none. A hint again.
    fn nearest(&self, hint: &[f64], centre: &[f64]) -> Vec<f64> {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let (square, along) = (dot(hint, hint), dot(hint, centre));
        let size = dot(centre, centre) - self.radius * self.radius * dot(self.image, self.image);
        let discriminant = along * along - square * size;
        if square > 0.0 && discriminant >= 0.0 {
            let (least, most) = ((along - discriminant.sqrt()) / square, (along + discriminant.sqrt()) / square);
            // With slopes of one sign the far end of the ball can be the wrong one: nearest to the hint.
            let one_sign = self.slopes.0 * self.slopes.1 > 0.0;
            let factor = match (one_sign, least > 1.0, most < 1.0) {
                (true, true, _) => least,
                (true, false, false) => 1.0,
                _ => most,
            };
            if factor > 0.0 {
                return hint.iter().map(|value| factor * value).collect();
            }
        }
        let away: Vec<f64> = hint.iter().zip(centre).map(|(value, c)| value - c).collect();
        let length = dot(&away, &away).sqrt();
        let radius = self.radius * dot(self.image, self.image).sqrt();
        let factor = if length > radius { radius / length } else { 1.0 };
        away.iter().zip(centre).map(|(value, c)| c + factor * value).collect()
    }

    /// Whether `x` is proved to lie in the ball around `m u` for every `u` within the error of the image.
    fn contains(&self, x: &[f64]) -> bool {
        // x − m û: two roundings an entry, so the norm is off by γ₂ (‖x‖ + |m|‖û‖) at most.
        let away: Vec<f64> = x.iter().zip(self.image).map(|(value, u)| value - self.middle * u).collect();
        let image = norm_up(self.image);
        let rounded = mul_up(gamma_up(3), add_up(norm_up(x), mul_up(self.middle.abs(), image)));
        // The middle and the radius are themselves rounded: three roundings, relative to |lo| + |hi|.
        let slopes = add_up(self.middle.abs(), self.radius);
        let unsure = mul_up(add_up(self.error, mul_up(gamma_up(8), image)), mul_up(2.0, slopes));
        let left = add_up(add_up(norm_up(&away), rounded), add_up(unsure, f64::MIN_POSITIVE));
        let right = mul_down(self.radius, norm_down(self.image));
        left <= right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (slopes, error of the image, point, inside) for the image (1, 0).
    #[test]
    fn balls_contain_what_is_proved_to_lie_inside() {
        for (slopes, error, x, inside) in [
            ((0.0, 1.0), 0.0, [1.0 - 1e-9, 0.0], true),
            ((0.0, 1.0), 0.0, [1.0 + 1e-9, 0.0], false),
            ((0.0, 1.0), 0.0, [1e-9, 0.0], true),
            ((0.0, 1.0), 0.0, [-1e-9, 0.0], false),
            ((0.0, 1.0), 0.0, [0.5, 0.5 - 1e-9], true),
            ((0.0, 1.0), 0.0, [0.5, 0.5 + 1e-9], false),
            ((0.0, 1.0), 1e-3, [1.0 - 1e-4, 0.0], false),
            ((0.0, 1.0), 1e-3, [1.0 - 1e-2, 0.0], true),
            ((0.2, 0.8), 0.0, [0.2 + 1e-9, 0.0], true),
            ((0.2, 0.8), 0.0, [0.2 - 1e-9, 0.0], false),
            ((-1.0, 1.0), 0.0, [0.0, 1.0 - 1e-9], true),
            ((-1.0, 1.0), 0.0, [0.0, 1.0 + 1e-9], false),
            ((0.0, 1.0), f64::NAN, [0.5, 0.0], false),
            ((0.0, 1.0), 0.0, [f64::NAN, 0.0], false),
        ] {
            let ball = Ball::new(slopes, &[1.0, 0.0], error);
            assert_eq!(ball.contains(&x), inside, "{slopes:?} {error} {x:?}");
        }
    }
}
