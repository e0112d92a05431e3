//! Cayley convolutions.

use lipcert_models::parameterization::Parameterization;
use lipcert_models::parameterization::cayley_conv::Conv;
use lipcert_proofs::statement::{Kernel, Layer};
use proptest::prelude::*;

use crate::common::vector;
use crate::convolutions::{flat, image, kernel};
use crate::torus::{checked, kernels};

/// The kernel of the realized layer.
fn realized(family: &Conv, side: usize) -> Kernel {
    let input = image(family.raw.channels(), side, side);
    let Layer::Convolution { kernel, .. } = family.realize(input).unwrap().layers.remove(0) else {
        panic!("no convolution");
    };
    kernel
}

#[test]
fn worked_example() {
    let example = vector("cayley");
    let scale = example["scaled_alpha"].as_f64().unwrap();
    for (raw, expected, alpha) in [
        ("square", "Q_square", None),
        ("tall", "Q_tall", None),
        ("wide", "Q_wide", None),
        ("tall", "Q_tall_scaled", Some(scale)),
    ] {
        let rows = example[raw].as_array().unwrap().len();
        let data = flat(&example[raw]);
        let family = Conv {
            raw: kernel(rows, data.len() / rows, 1, data),
            alpha,
            bias: vec![0.0; rows],
        };
        for (ours, theirs) in realized(&family, 1).data().iter().zip(flat(&example[expected])) {
            assert!((ours - theirs).abs() < 1e-13, "{expected}: {ours} {theirs}");
        }
    }
}

/// One channel on two by two pixels: every symbol is real, so its Cayley map is 1. On three pixels an axis the symbol of one tap beside the centre is
/// `w e^{2πi v / 3}`, and of its map `(1 − i s) / (1 + i s)`, `s = 2 w sin(2π v / 3)`, the inverse transform is known.
#[test]
fn one_channel() {
    let mut data = vec![0.0; 9];
    data[5] = 0.75;
    let family = |size: usize, data: Vec<f64>, alpha| Conv {
        raw: kernel(1, 1, size, data),
        alpha,
        bias: vec![0.0],
    };
    let identity = realized(&family(1, vec![0.3], None), 2);
    assert_eq!(identity.size(), 3);
    for (tap, value) in identity.data().iter().enumerate() {
        assert!((value - f64::from(u8::from(tap == 4))).abs() < 1e-15);
    }
    // Ŵ has modulus 0.75 at the 3 · 2 frequencies that are kept
    for alpha in [None, Some(0.75 * 6.0_f64.sqrt())] {
        let sine = 1.5 * (std::f64::consts::TAU / 3.0).sin();
        let (real, imaginary) = ((1.0 - sine * sine) / (1.0 + sine * sine), -2.0 * sine / (1.0 + sine * sine));
        let ours = realized(&family(3, data.clone(), alpha), 3);
        let turn = |offset: f64| std::f64::consts::TAU * offset / 3.0;
        for (tap, value) in ours.data().iter().enumerate() {
            let phase = turn((tap % 3) as f64 - 1.0);
            let along = (1.0 + 2.0 * (real * phase.cos() + imaginary * phase.sin())) / 3.0;
            let expected = if tap / 3 == 1 { along } else { 0.0 };
            assert!((value - expected).abs() < 1e-14, "{tap} {value} {expected}");
        }
    }
}

#[test]
fn malformed_parameters_are_refused() {
    let family = |alpha, value| Conv {
        raw: kernel(2, 1, 3, vec![value; 18]),
        alpha,
        bias: vec![0.0; 2],
    };
    let realize = |alpha, value, input| family(alpha, value).realize(input).is_ok();
    assert!(realize(Some(1.0), 0.5, image(1, 4, 4)));
    assert!(realize(None, 0.0, image(1, 4, 4)));
    // divided by a norm of 0, not square, smaller than the kernel, other channels
    assert!(!realize(Some(1.0), 0.0, image(1, 4, 4)));
    assert!(!realize(None, 0.5, image(1, 4, 3)));
    assert!(!realize(None, 0.5, image(1, 2, 2)));
    assert!(!realize(None, 0.5, image(2, 4, 4)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// All singular values are 1.
    #[test]
    fn layers_are_nearly_orthogonal((raw, side) in kernels(), alpha in prop::option::of(0.1..5.0f64)) {
        prop_assume!(alpha.is_none() || raw.data().iter().any(|value| value.abs() > 1e-3));
        let bias = vec![0.25; raw.inner()];
        let input = image(raw.channels(), side, side);
        let (bound, singular) = checked(&Conv { raw, alpha, bias }, input);
        prop_assert!((bound - 1.0).abs() < 1e-8, "{bound}");
        for value in singular {
            prop_assert!((value - 1.0).abs() < 1e-9, "{value}");
        }
    }
}
