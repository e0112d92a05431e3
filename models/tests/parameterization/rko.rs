//! Reshaped kernel orthogonalization.

use lipcert_models::parameterization::rko::Conv;
use lipcert_proofs::statement::Padding;
use proptest::prelude::*;

use crate::convolutions::{bounded, image, kernel, kernels};

/// One tap: the kernel is `1 / k` at it, and so is the norm.
#[test]
fn one_tap() {
    let mut data = vec![0.0; 9];
    data[4] = 7.0;
    let family = Conv {
        raw: kernel(1, 1, 3, data),
        bias: vec![0.0],
        padding: Padding::Zero,
    };
    let (_, bound, norm) = bounded(&family, image(1, 3, 3));
    assert!((norm - 1.0 / 3.0).abs() < 1e-12 && (bound - 1.0 / 3.0).abs() < 1e-12);
}

proptest! {
    /// The coefficient makes the layer 1-Lipschitz; the proved bound is that of the lattice, at most by the Gram iteration above the norm.
    #[test]
    fn bounds_hold((raw, bias, input, padding) in kernels(false)) {
        let (_, _, norm) = bounded(&Conv { raw, bias, padding }, input);
        prop_assert!(norm <= 1.0 + 1e-9);
    }
}
