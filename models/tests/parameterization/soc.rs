//! Skew orthogonal convolutions.

use lipcert_models::parameterization::soc::Conv;
use lipcert_proofs::statement::{Padding, SkewDivisor, SkewExponential};
use proptest::prelude::*;

use crate::common::{plain, vector};
use crate::convolutions::{bounded, flat, image, kernel, kernels};

#[test]
fn worked_example() {
    let example = vector("soc");
    let input = image(2, 5, 5);
    for (terms, output, norm_name) in [(6, "y_terms6", "op_norm_terms6"), (15, "y_terms15", "op_norm_terms15")] {
        let family = Conv(SkewExponential {
            raw: kernel(2, 2, 3, flat(&example["M"])),
            divisor: SkewDivisor::LeastNorm,
            terms,
            bias: vec![0.0; 2],
            padding: Padding::Zero,
        });
        let (realization, bound, norm) = bounded(&family, input);
        assert!((norm - example[norm_name].as_f64().unwrap()).abs() < 1e-9);
        assert!(bound > 1.0, "never 1: {bound}");
        let ours = plain(&realization.layers, input)(&flat(&example["x"]));
        for (ours, theirs) in ours.iter().zip(flat(&example[output])) {
            assert!((ours - theirs).abs() < 1e-9, "{ours} {theirs}");
        }
        if terms == 6 {
            assert!(bound >= 1.0047, "{bound}");
        } else {
            assert!(bound < 1.0 + 4e-8, "{bound}");
        }
    }
}

proptest! {
    #[test]
    fn bounds_hold((raw, bias, input, padding) in kernels(true), sigma in 0.5..40.0f64, terms in 1usize..16) {
        bounded(&Conv(SkewExponential { raw, divisor: SkewDivisor::Stored(sigma), terms, bias, padding }), input);
    }

    #[test]
    fn bounds_hold_for_the_least_norm((raw, bias, input, padding) in kernels(true), terms in 1usize..16) {
        let skew = raw.data().iter().zip(raw.adjoint().data()).any(|(a, b)| (a - b).abs() > 1e-9);
        prop_assume!(skew);
        let (_, bound, _) = bounded(&Conv(SkewExponential { raw, divisor: SkewDivisor::LeastNorm, terms, bias, padding }), input);
        prop_assert!(bound >= 1.0);
    }
}
