//! Block convolution orthogonal parameterization.

use lipcert_models::parameterization::Parameterization;
use lipcert_models::parameterization::bcop::{Conv, kernel};
use lipcert_proofs::statement::{Matrix, Padding};
use ndarray::Array2;
use proptest::prelude::*;

use crate::common::vector;
use crate::convolutions::{bounded, flat, image, paddings};

#[test]
fn worked_example() {
    let example = vector("bcop");
    let array = |data: Vec<f64>| Array2::from_shape_vec((4, 4), data).unwrap();
    let projectors: Vec<_> = flat(&example["P"]).chunks_exact(16).map(|p| array(p.to_vec())).collect();
    let ours = kernel(&array(flat(&example["H"])), &projectors).unwrap();
    for (ours, theirs) in ours.data().iter().zip(flat(&example["kernel_torch_layout"])) {
        assert!((ours - theirs).abs() < 1e-14, "{ours} {theirs}");
    }
    assert!(kernel(&array(flat(&example["H"])), &projectors[..3]).is_err());
}

#[test]
fn malformed_parameters_are_refused() {
    let square = Matrix::new("matrix", 2, 2, vec![1.0, 0.5, 0.0, 1.0]).unwrap();
    let wide = Matrix::new("matrix", 1, 2, vec![1.0, 0.5]).unwrap();
    for (matrices, rank) in [
        (vec![], 1),
        (vec![square.clone(); 5], 3),
        (vec![square.clone(), wide, square.clone(), square.clone(), square], 1),
    ] {
        let family = Conv {
            matrices,
            rank,
            bias: vec![0.0; 2],
            padding: Padding::Zero,
        };
        assert!(family.realize(image(2, 3, 3)).is_err());
    }
}

proptest! {
    /// Orthogonal on a torus that the kernel fits on: every singular value is 1, and the bound is 1 up to the rounding of the kernel.
    #[test]
    fn layers_are_nearly_orthogonal(
        (matrices, rank) in (1usize..4).prop_flat_map(|c| (prop::collection::vec(prop::collection::vec(-2.0..2.0f64, c * c), 5), 0..=c)),
        padding in paddings(),
        (height, width) in (3usize..6, 3usize..6),
    ) {
        let c = matrices[0].len().isqrt();
        // Far from singular, where Björck's iteration is slow.
        let far = |data: &Vec<f64>| nalgebra::DMatrix::from_row_slice(c, c, data).singular_values().min() > 1e-3;
        prop_assume!(matrices.iter().all(far));
        let matrices = matrices.into_iter().map(|data| Matrix::new("matrix", c, c, data).unwrap()).collect();
        let (_, bound, norm) = bounded(&Conv { matrices, rank, bias: vec![0.0; c], padding }, image(c, height, width));
        prop_assert!(bound < 1.0 + 1e-12, "{bound}");
        if padding == Padding::Circular {
            prop_assert!((norm - 1.0).abs() < 1e-9, "{norm}");
        }
    }
}
