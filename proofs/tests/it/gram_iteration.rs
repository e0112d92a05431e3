//! Rule `gram-iteration`.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{GramWitness, Prepared};
use lipcert_proofs::statement::{Layer, Matrix, Padding, Shape};
use nalgebra::DMatrix;
use proptest::prelude::*;

use crate::common::{
    by, convolution, convolutions, dense, exact, flat, image, kernel, largest_singular_value, matrices, matrix, stored, unrolled,
    vector,
};
use lipcert_proofs::statement::Scale;

fn plain(weight: Matrix) -> Layer {
    Layer::Dense {
        bias: vec![0.0; weight.rows()],
        weight,
    }
}

/// The bound of the norm after so many steps; the check accepts it, and nothing below.
fn bound(layer: &Layer, input: Shape, steps: usize) -> f64 {
    let prepared = Prepared::new(layer, input).expect("a layer");
    let lambda = prepared.gram_iteration_up(steps).expect("a bound");
    let claim = |lambda| by(GramWitness::GramIteration { steps }, lambda);
    assert_eq!(prepared.check_gram(&claim(lambda)), Ok(()));
    if lambda > 1e-290 {
        let below = prepared.check_gram(&claim(lambda * (1.0 - 1e-15)));
        assert!(matches!(below, Err(CheckError::BoundTooSmall { .. })), "{below:?}");
    }
    lambda.sqrt()
}

/// Row `t − 1` of a list holds step `t`; equal to the digits up to the rounding of both.
#[test]
fn worked_examples() {
    let example = vector("spectral_bounds");
    let layer = convolution(kernel(3, 2, 3, flat(&example["K"])), Padding::Zero);
    let (input, transposed) = (image(2, 7, 7), vector("spectral_bounds"));
    // The list is a bound an output channel; the shorter side here is that of the inputs, so the adjoint is compared.
    let adjoint = kernel(3, 2, 3, flat(&transposed["K"])).adjoint();
    let outputs = convolution(adjoint, Padding::Zero);
    let exact_zero = example["exact_zero_7"].as_f64().expect("a number");
    let exact_circular = example["exact_circular_7"].as_f64().expect("a number");
    for steps in 1..=4 {
        let both = (bound(&layer, input, steps), bound(&outputs, image(3, 7, 7), steps));
        assert!((both.0 - both.1).abs() <= 1e-12, "the adjoint has the same norm");
        assert!(both.0 >= exact_zero && both.0 >= exact_circular);
    }
    let m = matrix(4, 3, flat(&example["M"]));
    let norm = example["exact_M"].as_f64().expect("a number");
    for (step, expected) in flat(&example["gram_dense"]).into_iter().enumerate().skip(1) {
        let ours = bound(&plain(m.clone()), Shape::Flat(3), step);
        assert!(ours >= norm && ours <= expected * (1.0 + 1e-9), "{step}: {ours} {expected}");
        assert!((ours - expected).abs() <= 1e-9, "{step}: {ours} {expected}");
    }
}

/// The bounds an output channel of the list, on the longer side: a kernel with three more empty inputs has its outputs as the shorter side.
#[test]
fn bounds_by_output_channel() {
    let example = vector("spectral_bounds");
    let mut data = Vec::new();
    for filter in flat(&example["K"]).chunks_exact(18) {
        data.extend_from_slice(filter);
        data.extend_from_slice(&[0.0; 18]);
    }
    let layer = convolution(kernel(3, 4, 3, data), Padding::Zero);
    let rows = example["spectral_rescaling_conv"].as_array().expect("a list");
    for (step, row) in rows.iter().enumerate() {
        let expected = flat(row).into_iter().fold(0.0, f64::max);
        let ours = bound(&layer, image(4, 7, 7), step + 1);
        assert!((ours - expected).abs() <= 1e-9, "{step}: {ours} {expected}");
    }
}

#[test]
fn reject_table() {
    let layer = plain(matrix(1, 1, vec![2.0]));
    let prepared = Prepared::new(&layer, Shape::Flat(1)).expect("a layer");
    for steps in [0, 25, usize::MAX] {
        let outcome = prepared.check_gram(&by(GramWitness::GramIteration { steps }, 100.0));
        assert!(matches!(outcome, Err(CheckError::Shape { what: "steps", .. })), "{steps}");
    }
    for lambda in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let outcome = prepared.check_gram(&by(GramWitness::GramIteration { steps: 2 }, lambda));
        assert!(matches!(outcome, Err(CheckError::NotPositive { .. })), "{lambda}");
    }
    // Only where `T` is the identity.
    for layer in [
        stored(matrix(1, 1, vec![1.0]), &[4.0]),
        dense(matrix(1, 1, vec![1.0]), Scale::Weighted { q: vec![0.0] }),
    ] {
        let prepared = Prepared::new(&layer, Shape::Flat(1)).expect("a layer");
        let outcome = prepared.check_gram(&by(GramWitness::GramIteration { steps: 2 }, 100.0));
        assert!(matches!(outcome, Err(CheckError::RuleMismatch { .. })), "{outcome:?}");
        assert!(prepared.gram_iteration_up(2).is_err());
    }
    // A kernel that has grown too large.
    let wide = convolution(kernel(1, 1, 3, vec![1.0; 9]), Padding::Zero);
    let prepared = Prepared::new(&wide, image(1, 4, 4)).expect("a layer");
    assert!(matches!(prepared.gram_iteration_up(8), Err(CheckError::TooLarge { .. })));
}

/// One number whose exact square is above its float64 square `c`, a number of few bits: `c` is no bound, though nothing else rounds.
#[test]
fn the_error_of_the_entries_counts() {
    let short = (1..1000).map(|m| 1.0 + f64::from(m) / f64::from(1 << 20));
    let found: Vec<(f64, f64)> = short
        .map(|c| (c.sqrt(), c))
        .filter(|(value, c)| value * value <= *c && exact(*value) * exact(*value) > exact(*c))
        .collect();
    assert!(found.len() > 100);
    for (value, c) in found.into_iter().take(20) {
        let squared = exact(value) * exact(value);
        let layer = plain(matrix(1, 1, vec![value]));
        let prepared = Prepared::new(&layer, Shape::Flat(1)).expect("a layer");
        for steps in [1, 2, 6] {
            let lambda = prepared.gram_iteration_up(steps).expect("a bound");
            assert!(exact(lambda) >= squared && exact(lambda) - &squared < exact(1e-14));
            let below = prepared.check_gram(&by(GramWitness::GramIteration { steps }, c));
            assert!(matches!(below, Err(CheckError::BoundTooSmall { .. })), "{steps}: {below:?}");
        }
    }
}

#[test]
fn sizes_far_from_one() {
    for size in [1e-140, 1e-20, 1e20, 1e140] {
        let layer = plain(matrix(2, 2, vec![3.0 * size, 0.0, 4.0 * size, 1e-3 * size]));
        let ours = bound(&layer, Shape::Flat(2), 8) / size;
        assert!((5.0..5.01).contains(&ours), "{size:e}: {ours}");
    }
}

proptest! {
    /// Never below a singular value, and falling: 1e-9 is far above the rounding of the singular values.
    #[test]
    fn dense_bounds(weight in matrices()) {
        let norm = largest_singular_value(&DMatrix::from_row_slice(weight.rows(), weight.cols(), weight.data()));
        let (input, layer) = (Shape::Flat(weight.cols()), plain(weight));
        let bounds: Vec<f64> = [1, 2, 3, 8].map(|steps| bound(&layer, input, steps)).to_vec();
        for pair in bounds.windows(2) {
            prop_assert!(pair[1] <= pair[0] * (1.0 + 1e-9) + 1e-290);
        }
        prop_assert!(bounds[3] >= norm * (1.0 - 1e-9) && bounds[3] <= norm * 1.02 + 1e-140);
    }

    #[test]
    fn bounds_of_convolutions((k, height, width, padding) in convolutions()) {
        let norm = largest_singular_value(&unrolled(&k, height, width, padding));
        let input = image(k.channels(), height, width);
        let layer = convolution(k, padding);
        for steps in 1..=3 {
            prop_assert!(bound(&layer, input, steps) >= norm * (1.0 - 1e-9));
        }
    }
}
