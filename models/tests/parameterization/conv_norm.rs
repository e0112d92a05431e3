//! Spectrally normalised convolutions.

use lipcert_models::parameterization::Parameterization;
use lipcert_models::parameterization::conv_norm::Conv;
use lipcert_proofs::statement::Padding;
use proptest::prelude::*;

use crate::common::vector;
use crate::convolutions::{bounded, flat, image, kernel, kernels};

/// With the exact norm of the zero-padded operator as `σ`, the bound is that of the whole lattice, a little above 1; a norm that a power iteration has not
/// reached yet gives a larger one, never 1.
#[test]
fn worked_example() {
    let example = vector("spectral_bounds");
    let sigma = example["exact_zero_7"].as_f64().unwrap();
    let bound = |sigma| {
        let raw = kernel(3, 2, 3, flat(&example["K"]));
        let family = Conv {
            raw,
            sigma,
            bias: vec![0.0; 3],
            padding: Padding::Zero,
        };
        bounded(&family, image(2, 7, 7)).1
    };
    assert!(bound(sigma) > 1.0 && bound(sigma) < 1.2, "{}", bound(sigma));
    assert!((bound(0.5 * sigma) / bound(sigma) - 2.0).abs() < 1e-12);
}

#[test]
fn a_divisor_must_be_positive() {
    for sigma in [0.0, -1.0, f64::NAN] {
        let family = Conv {
            raw: kernel(1, 1, 1, vec![1.0]),
            sigma,
            bias: vec![0.0],
            padding: Padding::Zero,
        };
        assert!(family.realize(image(1, 2, 2)).is_err());
    }
}

proptest! {
    #[test]
    fn bounds_hold((raw, bias, input, padding) in kernels(false), sigma in 0.1..10.0f64) {
        bounded(&Conv { raw, sigma, bias, padding }, input);
    }
}
