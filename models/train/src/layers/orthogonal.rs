//! Orthogonal matrices from free parameters, with their gradients.
//!
//! # Source
//!
//! Trockman and Kolter, *Orthogonalizing Convolutional Layers with the Cayley Transform*, ICLR 2021; Joffrain et al., *Accumulating Householder
//! Transformations, Revisited*, ACM TOMS 2006 (a product of reflections as one triangular solve).

use tch::Tensor;

/// The Cayley map of `alpha · raw / ‖raw‖_F`, or of `raw`; of the transpose where there are more columns than rows.
pub(super) fn cayley(raw: &Tensor, alpha: Option<&Tensor>) -> Tensor {
    let weight = match alpha {
        Some(alpha) => raw * (alpha / raw.norm()),
        None => raw.shallow_clone(),
    };
    let [rows, columns] = *weight.size() else {
        unreachable!("a matrix")
    };
    if columns > rows {
        tall(&weight.tr()).tr()
    } else {
        tall(&weight)
    }
}

/// `[(I + A)⁻¹(I − A); −2 V (I + A)⁻¹]`, `A = U − Uᵀ + VᵀV`, for `[U; V]`.
fn tall(weight: &Tensor) -> Tensor {
    let size = weight.size();
    let (rows, columns) = (size[0], size[1]);
    let (square, rest) = (weight.narrow(0, 0, columns), weight.narrow(0, columns, rows - columns));
    let skew = &square - square.tr() + rest.tr().mm(&rest);
    let identity = Tensor::eye(columns, (weight.kind(), weight.device()));
    let inverse = Tensor::linalg_inv(&(&identity + &skew));
    let top = inverse.mm(&(&identity - &skew));
    Tensor::cat(&[top, rest.mm(&inverse) * -2.0], 0)
}

/// `H_1 ⋯ H_k` of the rows `v_i`, `H = I − 2 vvᵀ/vᵀv`: `I − Vᵀ T V` with `T⁻¹` the upper half of `V Vᵀ`, its diagonal halved.
pub(super) fn reflections(vectors: &Tensor) -> Tensor {
    let gram = vectors.mm(&vectors.tr());
    let upper = gram.triu(0) - gram.diagonal(0, 0, 1).diag_embed(0, 0, 1) * 0.5;
    let solved = upper.linalg_solve_triangular(vectors, true, true, false);
    let identity = Tensor::eye(vectors.size()[1], (vectors.kind(), vectors.device()));
    identity - vectors.tr().mm(&solved)
}
