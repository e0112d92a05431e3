//! Almost-orthogonal convolutions.

use lipcert_models::parameterization::aol_conv::Conv;
use lipcert_proofs::statement::Padding;
use proptest::prelude::*;

use crate::common::vector;
use crate::convolutions::{bounded, flat, image, kernel, kernels};

#[test]
fn worked_example() {
    let example = vector("aol_conv");
    for (padding, name) in [
        (Padding::Zero, "spec_same_zero_5x5"),
        (Padding::Circular, "spec_circular_5x5"),
    ] {
        let family = Conv {
            raw: kernel(2, 3, 3, flat(&example["K"])),
            epsilon: 0.0,
            bias: vec![0.5, -0.5],
            padding,
        };
        let (_, bound, norm) = bounded(&family, image(3, 5, 5));
        assert!((bound - 1.0).abs() < f64::EPSILON);
        assert!((norm - example[name].as_f64().unwrap()).abs() < 1e-12);
    }
}

proptest! {
    #[test]
    fn layers_are_1_lipschitz((raw, bias, input, padding) in kernels(false), epsilon in prop_oneof![Just(0.0), Just(1e-6), 0.0..2.0f64]) {
        let (_, bound, _) = bounded(&Conv { raw, epsilon, bias, padding }, input);
        prop_assert!(bound <= 1.0);
    }
}
