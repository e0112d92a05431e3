//! Scales of the layers of a chain: the closed-form multipliers of one number a layer.

use nalgebra::{Cholesky, DMatrix};

use super::positive_or_one;
use crate::chain::Slope;

/// How far from the edge of what is allowed the closed-form multipliers stay, so that they lie strictly inside.
const SHRINK: f64 = 0.99;

/// Multipliers `λ_i` of one number a layer that satisfy the inequality of [`crate::chain`] with `ρ = 1`, but for its last block, and what they leave there.
pub(super) struct LayerScales {
    /// `λ_1, …, λ_h`.
    pub(super) multipliers: Vec<f64>,
    /// `X_h ≻ 0`: with `X_h ⪰ CᵀC / ρ` the chain is `√ρ`-Lipschitz.
    pub(super) storage: DMatrix<f64>,
}

/// Goes through the layers: with `X_0 = I` and `F = W X⁻¹ Wᵀ`, whose largest eigenvalue is `φ`,
///
/// ```text
/// X ← 2λ I − (α + β)² λ² F (I + 2αβλ F)⁻¹,     λ = u / φ,  u = 1 / (m · (β − α)),  m = max(|α|, |β|)
/// ```
///
/// which for slopes `[0, 1]` is `X = (2 I − F / φ) / φ`. The `λ` is a little smaller, so that `X` stays positive definite. Nothing if a matrix
/// cannot be factored.
///
/// # Source
///
/// Xu and Sivaranjani, *ECLipsE: efficient compositional Lipschitz constant estimation for deep neural networks*, NeurIPS 2024 (the fast variant, slopes
/// `[0, 1]`).
pub(super) fn layer_scales(weights: &[DMatrix<f64>], slopes: &[Slope], input: usize) -> Option<LayerScales> {
    let mut storage = DMatrix::identity(input, input);
    let mut multipliers = Vec::with_capacity(weights.len());
    for (weight, slope) in weights.iter().zip(slopes) {
        let inverse = Cholesky::new(storage)?.solve(&weight.transpose());
        let product = weight * inverse;
        let eigen = (0.5 * (&product + product.transpose())).symmetric_eigen();
        let most = positive_or_one(slope.lo.abs().max(slope.hi.abs()));
        // A constant slope would allow any multiplier.
        let width = (slope.hi - slope.lo).max(1e-3 * most);
        let lambda = SHRINK / (most * width * positive_or_one(eigen.eigenvalues.max()));
        let (sum, twice) = (slope.lo + slope.hi, 2.0 * slope.lo * slope.hi);
        let left = eigen.eigenvalues.map(|value| {
            let value = value.max(0.0);
            2.0 * lambda - (sum * lambda).powi(2) * value / (1.0 + twice * lambda * value)
        });
        let vectors = eigen.eigenvectors;
        let next = &vectors * DMatrix::from_diagonal(&left) * vectors.transpose();
        storage = 0.5 * (&next + next.transpose());
        multipliers.push(lambda);
    }
    Some(LayerScales { multipliers, storage })
}

impl LayerScales {
    /// The smallest `ρ` with `ρ X_h ⪰ CᵀC`, in floats.
    pub(super) fn approx_square(&self, output: &DMatrix<f64>) -> Option<f64> {
        let inverse = Cholesky::new(self.storage.clone())?.solve(&output.transpose());
        let product = output * inverse;
        let square = (0.5 * (&product + product.transpose())).symmetric_eigenvalues().max();
        (square.is_finite()).then_some(positive_or_one(square))
    }
}
