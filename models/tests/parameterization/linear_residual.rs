//! Linear residual convolutions.

use lipcert_models::parameterization::linear_residual::Conv;
use lipcert_proofs::statement::Padding;
use proptest::prelude::*;

use crate::convolutions::{bounded, image, kernel, kernels};

/// `x − x` has norm 0, `x + x` norm 2, `x + 0` norm 1.
#[test]
fn table() {
    for (centre, expected) in [(-1.0, 0.0), (1.0, 2.0), (0.0, 1.0), (-3.0, 2.0)] {
        let mut data = vec![0.0; 9];
        data[4] = centre;
        let family = Conv {
            raw: kernel(1, 1, 3, data),
            bias: vec![0.0],
            padding: Padding::Zero,
        };
        let (_, bound, norm) = bounded(&family, image(1, 3, 3));
        assert!(
            (norm - expected).abs() < 1e-12 && (bound - expected).abs() < 1e-12,
            "{centre}: {bound}"
        );
    }
}

proptest! {
    #[test]
    fn bounds_hold((raw, bias, input, padding) in kernels(true)) {
        bounded(&Conv { raw, bias, padding }, input);
    }
}
