//! Cayley convolutions: at every frequency of the torus the Cayley map of the matrix of the kernel.
//!
//! # Source
//!
//! Trockman and Kolter, *Orthogonalizing Convolutional Layers with the Cayley Transform*, ICLR 2021, section 4, and the authors' code: the norm that divides
//! the kernel there is taken over the columns `0 ≤ v ≤ n / 2` of frequencies that the transform of a real image keeps. Their layers of stride 2 are these
//! after a rearrangement of pixels.

use faer::linalg::solvers::{DenseSolveCore, PartialPivLu};
use faer::{Mat, c64};
use lipcert_proofs::CheckError;
use lipcert_proofs::statement::{Kernel, Shape};

use super::torus::{Symbols, adjoint};
use super::{Family, Parameterization, Realization, Standing};

/// A convolution that is orthogonal on the torus of the stated image (its rows or columns, if it is not square), up to the rounding of its kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// `W`, `(out, in, k, k)`, `k` at most the side of the square image.
    pub raw: Kernel,
    /// With it the map is that of `alpha · Ŵ / ‖Ŵ‖`, `Ŵ` at the frequencies that the transform of a real image keeps.
    pub alpha: Option<f64>,
    /// `(out,)`.
    pub bias: Vec<f64>,
}

impl Parameterization for Conv {
    const FAMILY: Family = Family {
        name: "cayley-conv",
        map: "K ∗ x + b, K̂(ω) = cayley(Ŵ(ω))",
        rule: "operator-norm",
        source: "Trockman and Kolter, ICLR 2021, section 4",
        standing: Standing::Conditional("the kernel is the one computed here in float64 from the free parameters"),
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let symbols = Symbols::of(&self.raw, input)?;
        let factor = self.alpha.map_or(1.0, |alpha| alpha / kept_norm(&symbols));
        let mapped = symbols.map(|symbol| {
            cayley(&Mat::from_fn(symbol.nrows(), symbol.ncols(), |row, col| {
                symbol[(row, col)] * factor
            }))
        });
        mapped.realize(&self.bias, input)
    }
}

/// The Frobenius norm at the frequencies that the transform of a real image keeps.
fn kept_norm(symbols: &Symbols) -> f64 {
    let side = symbols.side;
    let kept = symbols.matrices.iter().enumerate();
    let kept = kept.filter(|(frequency, _)| frequency % side <= side / 2);
    let squares = kept.map(|(_, matrix)| matrix.squared_norm_l2());
    squares.sum::<f64>().sqrt()
}

/// `[(I + A)⁻¹ (I − A); −2 V (I + A)⁻¹]` with `A = U − U* + V* V` for a tall `[U; V]`, of a wide matrix by its transpose.
fn cayley(matrix: &Mat<c64>) -> Mat<c64> {
    let (rows, cols) = (matrix.nrows(), matrix.ncols());
    if cols > rows {
        return cayley(&matrix.transpose().to_owned()).transpose().to_owned();
    }
    let (top, rest) = (
        matrix.submatrix(0, 0, cols, cols),
        matrix.submatrix(cols, 0, rows - cols, cols),
    );
    let identity = Mat::<c64>::identity(cols, cols);
    let skew = top.to_owned() - adjoint(top) + adjoint(rest) * rest;
    let inverse = PartialPivLu::new((&identity + &skew).as_ref()).inverse();
    let (upper, lower) = (&inverse * (&identity - &skew), rest * &inverse);
    Mat::from_fn(rows, cols, |row, col| {
        if row < cols {
            upper[(row, col)]
        } else {
            lower[(row - cols, col)] * -2.0
        }
    })
}
