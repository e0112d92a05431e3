//! Layer-wise orthogonal training (LOT): at every frequency of the torus a few Newton steps towards `(W W*)^{−1/2} W`. Not orthogonal.
//!
//! # Source
//!
//! Xu, Li and Li, *LOT: Layer-wise Orthogonal Training on Improving ℓ2 Certified Robustness*, NeurIPS 2022, section 4, and the authors' code for the two
//! constants and the ten steps. The layer here is that of the torus of the stated image; the code puts `k / 2` zeros around an image and cuts as many pixels
//! off behind the layer, so its inner convolution is the one here on the larger image, and zeros and cut have norm 1.

use faer::{Mat, Scale, c64};
use lipcert_proofs::CheckError;
use lipcert_proofs::statement::{Kernel, Shape};

use super::torus::{Symbols, adjoint};
use super::{Family, Parameterization, Realization, Standing};

/// Newton steps.
const STEPS: usize = 10;

/// Added to the diagonal of `W W*`, and to the norm that divides it.
const EPSILON: f64 = 1e-4;

/// A convolution that is near an orthogonal one on the torus of the stated image, where `Ŵ` is far from singular.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// `W`, `(out, in, k, k)`, `k` at most the side of the square image.
    pub raw: Kernel,
    /// `(out,)`.
    pub bias: Vec<f64>,
}

impl Parameterization for Conv {
    const FAMILY: Family = Family {
        name: "lot",
        map: "K ∗ x + b, K̂(ω) = Z₁₀ Ŵ(ω) / √ν, Z₁₀ near (S / ν)^{−1/2}, S = Ŵ Ŵ* + 10⁻⁴ I",
        rule: "operator-norm",
        source: "Xu, Li and Li, NeurIPS 2022, section 4",
        standing: Standing::Conditional("the kernel is the one computed here in float64 from the free parameters"),
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let symbols = Symbols::of(&self.raw, input)?;
        symbols.map(newton).realize(&self.bias, input)
    }
}

/// `Z W / √ν` after the steps `T = (3 I − Z Y) / 2`, `Y ← Y T`, `Z ← T Z` from `Y = S / ν`, `Z = I`, with `S = W W* + ε I` and `ν = ‖S‖_F + ε`.
fn newton(matrix: &Mat<c64>) -> Mat<c64> {
    let rows = matrix.nrows();
    let identity = Mat::<c64>::identity(rows, rows);
    let real = |value: f64| Scale(c64::new(value, 0.0));
    let shifted = matrix * adjoint(matrix.as_ref()) + real(EPSILON) * &identity;
    let norm = shifted.norm_l2() + EPSILON;
    let (mut power, mut root) = (real(1.0 / norm) * &shifted, identity.clone());
    for _ in 0..STEPS {
        let step = real(1.5) * &identity - real(0.5) * (&root * &power);
        power = &power * &step;
        root = &step * &root;
    }
    real(1.0 / norm.sqrt()) * (root * matrix)
}
