//! Residual blocks `y = A x + B w_h + c`, `w_k = relu(C_k w_{k−1} + b_k)`, whose inequality holds with all multipliers 1.
//!
//! With `D_0 = γ² I − AᵀA` and upper triangular roots `R_kᵀ R_k = D_k`,
//!
//! ```text
//! A = γ N_0,   C_k = √2 N_k R_{k−1},   D_k = 2 (I − N_k N_kᵀ),
//! Γ_0 = I,   Γ_k = Γ_{k−1} D_{k−1}⁻¹ C_kᵀ,   S = Σ_{k<h} Γ_k D_k⁻¹ Γ_kᵀ,   X = I + A S Aᵀ = L Lᵀ,   E = A Γ_h,
//! B = L⁻ᵀ (Z R − L⁻¹ E)   with   RᵀR = D_h + Eᵀ X⁻¹ E
//! ```
//!
//! and `‖N_k‖ < 1`, `‖Z‖ < 1`. These are all blocks that satisfy the inequality strictly with multipliers 1: eliminating `x, w_1, …, w_{h−1}` leaves `BᵀXB + BᵀE + EᵀB ⪯ D_h`, which is
//! `Yᵀ Y ⪯ D_h + Eᵀ X⁻¹ E` for `Y = Lᵀ B + L⁻¹ E`.
//!
//! # Source
//!
//! Derived here from the block LDLᵀ of Juston et al., 2025 (arXiv 2512.05915). The residual network released with that paper uses `RᵀR` where `(I − AᵀA)⁻¹ = R Rᵀ / α` and drops the cross
//! term `E`; it violates its own inequality, and the tests keep an instance with a Jacobian above its claimed bound.

use faer::Mat;
use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{LayerClaim, Witness};
use lipcert_proofs::statement::{Activation, Hidden, Layer, Matrix, ResidualBlock, Shape};

use super::algebra::{cholesky, contraction, require, solve_lower, solve_lower_transposed, to_matrix, twice_complement};
use super::ldlt::{Free, ROOM};
use super::{COMPUTED, Family, Parameterization, Realization, Standing};

/// A block.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// `V` and `α` of `N_0`, the path, and `c`: `(m, n)`, `(m,)`.
    pub path: Free,
    /// `V`, `α` of `N_k`, and `b_k`, first to last; at least one.
    pub hidden: Vec<Free>,
    /// `V` of `Z`, `(m, n_h)`.
    pub output: Matrix,
    /// `α` of `Z`.
    pub output_alpha: f64,
    /// The Lipschitz bound.
    pub gamma: f64,
}

impl Block {
    /// The block.
    ///
    /// # Errors
    ///
    /// As [`Parameterization::realize`].
    pub fn build(&self) -> Result<ResidualBlock, CheckError> {
        let mut path = contraction(&self.path.weight, self.path.alpha)?;
        path *= faer::Scale(self.gamma);
        let square = self.gamma * self.gamma;
        let product = path.transpose() * &path;
        let n = path.ncols();
        let mut block = Mat::from_fn(n, n, |i, j| if i == j { square } else { 0.0 } - product[(i, j)]);
        let mut carried = Mat::<f64>::identity(n, n);
        let mut sum = Mat::<f64>::zeros(n, n);
        let mut hidden = Vec::with_capacity(self.hidden.len());
        for layer in &self.hidden {
            require("weight", &layer.weight, (layer.weight.rows(), block.nrows()))?;
            let small = contraction(&layer.weight, layer.alpha)?;
            let root = cholesky(block.as_ref())?;
            let mut weight = &small * root.transpose();
            weight *= faer::Scale(std::f64::consts::SQRT_2);
            // Γ D⁻¹ Γᵀ = (L⁻¹ Γᵀ)ᵀ (L⁻¹ Γᵀ), D = L Lᵀ.
            let half = solve_lower(root.as_ref(), carried.transpose());
            sum += half.transpose() * &half;
            carried = half.transpose() * solve_lower(root.as_ref(), weight.transpose());
            block = twice_complement(small.as_ref());
            hidden.push(Hidden {
                weight: to_matrix("weight", weight.as_ref())?,
                bias: layer.bias.clone(),
            });
        }
        require("output", &self.output, (path.nrows(), block.nrows()))?;
        let mut weighted = &path * &sum * path.transpose();
        for i in 0..path.nrows() {
            weighted[(i, i)] += 1.0;
        }
        let lower = cholesky(weighted.as_ref())?;
        let cross = solve_lower(lower.as_ref(), (&path * &carried).as_ref());
        let root = cholesky((block + cross.transpose() * &cross).as_ref())?;
        let free = contraction(&self.output, self.output_alpha)? * root.transpose() - &cross;
        let output = solve_lower_transposed(lower.as_ref(), free.as_ref());
        ResidualBlock::new(
            Some(to_matrix("path", path.as_ref())?),
            hidden,
            Activation::Relu,
            to_matrix("output", output.as_ref())?,
            self.path.bias.clone(),
        )
    }
}

impl Parameterization for Block {
    const FAMILY: Family = Family {
        name: "deep-residual",
        map: "A x + B relu(C_h … relu(C_1 x + b_1) … + b_h) + c",
        rule: "residual-lmi",
        source: "block LDLᵀ of the inequality, after Juston et al., 2025 (arXiv 2512.05915)",
        standing: Standing::Conditional(COMPUTED),
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let block = self.build()?;
        let multipliers = block
            .hidden()
            .iter()
            .map(|layer| vec![1.0 + ROOM; layer.weight.rows()])
            .collect();
        let layer = Layer::ResidualBlock(block);
        layer.output_shape(input)?;
        let claim = LayerClaim {
            lipschitz: self.gamma * (1.0 + ROOM / 2.0),
            witness: Witness::ResidualLmi { multipliers },
        };
        Ok(Realization::of(layer, claim))
    }
}
