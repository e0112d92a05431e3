//! Block convolution orthogonal parameterization (BCOP): an orthogonal matrix times a product of `2 × 2` kernels of projectors.
//!
//! # Source
//!
//! Li et al., *Preventing Gradient Attenuation in Lipschitz Constrained Convolutional Networks*, NeurIPS 2019, section 4 and the authors' code; orthogonal
//! matrices by Björck and Bowie, *An Iterative Algorithm for Computing the Best Estimate of an Orthogonal Matrix*, SIAM J. Numer. Anal. 8 (1971).

use lipcert_proofs::CheckError;
use lipcert_proofs::statement::{Kernel, Layer, Matrix, Padding, Shape};
use ndarray::{Array2, s};

use super::conv_norm::by_norm;
use super::{Family, Parameterization, Realization, Standing};

/// Most steps of Björck's iteration; the error is squared once it is small.
const STEPS_MOST: usize = 200;

/// A convolution that is orthogonal under circular padding, up to the rounding of its kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// `2k − 1` free matrices `(c, c)`: the first becomes the orthogonal factor, the others projectors.
    pub matrices: Vec<Matrix>,
    /// Rank of the projectors, at most `c`; the authors' code takes half.
    pub rank: usize,
    /// `(c,)`.
    pub bias: Vec<f64>,
    /// What lies outside the image.
    pub padding: Padding,
}

impl Parameterization for Conv {
    const FAMILY: Family = Family {
        name: "bcop",
        map: "K ∗ x + b, K = H · B(P₁, P₂) ⋯",
        rule: "operator-norm",
        source: "Li et al., NeurIPS 2019, section 4",
        standing: Standing::Conditional("the kernel is the one computed here in float64 from the free parameters"),
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let Some((first, others)) = self.matrices.split_first() else {
            return Err(CheckError::Shape {
                what: "matrices",
                expected: vec![1],
                found: vec![0],
            });
        };
        let channels = first.rows();
        if self.rank > channels {
            return Err(CheckError::Shape {
                what: "rank",
                expected: vec![channels],
                found: vec![self.rank],
            });
        }
        let orthogonal = |matrix: &Matrix| {
            let expected = vec![channels, channels];
            if (matrix.rows(), matrix.cols()) == (channels, channels) {
                Ok(orthogonalized(&array(matrix)))
            } else {
                let found = vec![matrix.rows(), matrix.cols()];
                Err(CheckError::Shape {
                    what: "matrices",
                    expected,
                    found,
                })
            }
        };
        let mut projectors = Vec::new();
        for matrix in others {
            let columns = orthogonal(matrix)?;
            let columns = columns.slice(s![.., ..self.rank]);
            projectors.push(columns.dot(&columns.t()));
        }
        let layer = Layer::Convolution {
            kernel: kernel(&orthogonal(first)?, &projectors)?,
            bias: self.bias.clone(),
            padding: self.padding,
        };
        by_norm(layer, input)
    }
}

/// The kernel `H · B(P_1, P_2) ∗ … ∗ B(P_{2k−3}, P_{2k−2})`, `(c, c, k, k)`, for an orthogonal `H` and projectors; each tap is transposed, as the authors' code
/// multiplies rows of channels by it.
///
/// # Errors
///
/// [`CheckError::Shape`] if the projectors are not `2(k − 1)` for an odd `k`; [`CheckError::NotFinite`] if a number is not finite.
pub fn kernel(orthogonal: &Array2<f64>, projectors: &[Array2<f64>]) -> Result<Kernel, CheckError> {
    let channels = orthogonal.nrows();
    // taps of the product so far, row by row
    let (mut size, mut taps) = (1, vec![Array2::eye(channels)]);
    for pair in projectors.chunks_exact(2) {
        let factor = block(&pair[0], &pair[1]);
        let mut product = vec![Array2::zeros((channels, channels)); (size + 1) * (size + 1)];
        for (p, tap) in taps.iter().enumerate() {
            for (q, other) in factor.iter().enumerate() {
                let (y, x) = (p / size + q % 2, p % size + q / 2);
                product[y * (size + 1) + x] += &tap.dot(other);
            }
        }
        (size, taps) = (size + 1, product);
    }
    let taps: Vec<Array2<f64>> = taps.iter().map(|tap| orthogonal.dot(tap)).collect();
    let area = size * size;
    let data = (0..channels * channels * area).map(|flat| taps[flat % area][(flat / area % channels, flat / area / channels)]);
    if projectors.len() % 2 == 1 {
        return Err(CheckError::Shape {
            what: "projectors",
            expected: vec![2 * (size - 1)],
            found: vec![projectors.len()],
        });
    }
    Kernel::new("kernel", channels, channels, size, data.collect())
}

/// The four taps of an orthogonal `2 × 2` kernel of two projectors, column by column.
fn block(first: &Array2<f64>, second: &Array2<f64>) -> [Array2<f64>; 4] {
    let identity = Array2::eye(first.nrows());
    let (p, q) = (&identity - first, &identity - second);
    [first.dot(second), first.dot(&q), p.dot(second), p.dot(&q)]
}

/// The nearest matrix with orthonormal columns (rows, if it is wide), by Björck's iteration `W ← W (3 I − WᵀW) / 2`; approximate. Zeros stay zeros.
pub(super) fn orthogonalized(matrix: &Array2<f64>) -> Array2<f64> {
    let frobenius = matrix.iter().map(|value| value * value).sum::<f64>().sqrt();
    if frobenius == 0.0 {
        return matrix.clone();
    }
    let wide = matrix.nrows() < matrix.ncols();
    let mut current = matrix / frobenius;
    for _ in 0..STEPS_MOST {
        let gram = if wide {
            current.dot(&current.t())
        } else {
            current.t().dot(&current)
        };
        let product = if wide { gram.dot(&current) } else { current.dot(&gram) };
        let next = 1.5 * &current - 0.5 * &product;
        let moved = next
            .iter()
            .zip(&current)
            .fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
        current = next;
        if moved < 1e-15 {
            break;
        }
    }
    current
}

/// A matrix as an array.
pub(super) fn array(matrix: &Matrix) -> Array2<f64> {
    Array2::from_shape_fn((matrix.rows(), matrix.cols()), |(row, col)| matrix.row(row)[col])
}
