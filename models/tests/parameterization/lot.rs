//! Layer-wise orthogonal training.

use lipcert_models::parameterization::Parameterization;
use lipcert_models::parameterization::lot::Conv;
use nalgebra::DMatrix;
use proptest::prelude::*;

use crate::common::accepted;
use crate::convolutions::{image, kernel};
use crate::torus::{checked, kernels};

fn dense(rows: usize, cols: usize, data: Vec<f64>) -> (f64, Vec<f64>) {
    let family = Conv {
        raw: kernel(rows, cols, 1, data),
        bias: vec![0.0; rows],
    };
    checked(&family, image(cols, 1, 1))
}

/// The map of a singular value in scalar arithmetic, with `ν` of the whole matrix.
fn scalar(value: f64, norm: f64) -> f64 {
    let (mut power, mut root) = ((value * value + 1e-4) / norm, 1.0);
    for _ in 0..10 {
        let step = 0.5 * (3.0 - root * power);
        (power, root) = (power * step, step * root);
    }
    root * value / norm.sqrt()
}

/// The constant and the finite number of steps both show: a weight of 0.01 becomes `1 / √2`, and a small singular value beside a large one stays small.
#[test]
fn not_orthogonal() {
    let (bound, _) = dense(1, 1, vec![0.01]);
    assert!((bound - 0.5_f64.sqrt()).abs() < 1e-9, "{bound}");
    let (bound, singular) = dense(2, 2, vec![1.0, 0.0, 0.0, 0.001]);
    assert!(bound < 1.0 && bound > 0.9999, "{bound}");
    assert!(singular.iter().any(|value| *value < 0.1), "{singular:?}");
    let expected = scalar(0.001, 1.0001_f64.hypot(1.01e-4) + 1e-4);
    assert!(
        singular.iter().any(|value| (value - expected).abs() < 1e-9),
        "{singular:?} {expected}"
    );
    let family = Conv {
        raw: kernel(2, 1, 1, vec![0.0; 2]),
        bias: vec![0.0; 2],
    };
    let (_, bound) = accepted(&family, image(1, 1, 1));
    assert!(bound < 1e-150);
}

#[test]
fn malformed_parameters_are_refused() {
    let family = |value| Conv {
        raw: kernel(1, 1, 3, vec![value; 9]),
        bias: vec![0.0],
    };
    assert!(family(1.0).realize(image(1, 3, 3)).is_ok());
    assert!(family(1.0).realize(image(1, 3, 4)).is_err());
    assert!(family(1.0).realize(image(1, 1, 1)).is_err());
    assert!(family(1e200).realize(image(1, 3, 3)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Newton's iteration stays below the inverse root, so no singular value exceeds 1.
    #[test]
    fn bounds_hold((raw, side) in kernels()) {
        prop_assume!(raw.data().iter().any(|value| value.abs() > 1e-3));
        let bias = vec![0.25; raw.inner()];
        let input = image(raw.channels(), side, side);
        let (bound, _) = checked(&Conv { raw, bias }, input);
        prop_assert!(bound < 1.0 + 1e-9, "{bound}");
    }

    /// One pixel: the map of the singular values of a matrix.
    #[test]
    fn one_pixel((rows, cols) in (1usize..4, 1usize..4), data in prop::collection::vec(-2.0..2.0f64, 9)) {
        let data = data[..rows * cols].to_vec();
        prop_assume!(data.iter().any(|value| value.abs() > 1e-3));
        let weight = DMatrix::from_row_slice(rows, cols, &data);
        let norm = (&weight * weight.transpose() + DMatrix::identity(rows, rows) * 1e-4).norm() + 1e-4;
        let expected = weight.singular_values().iter().map(|value| scalar(*value, norm)).fold(0.0, f64::max);
        let (bound, _) = dense(rows, cols, data);
        prop_assert!((bound - expected).abs() < 1e-9, "{bound} {expected}");
    }
}
