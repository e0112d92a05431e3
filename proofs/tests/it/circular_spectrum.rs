//! Rule `circular-spectrum`.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{GramWitness, Prepared};
use lipcert_proofs::statement::{Kernel, Layer, Padding, Scale, Shape};
use proptest::prelude::*;

use crate::common::{by, convolution, convolutions, flat, image, kernel, largest_singular_value, unrolled, vector};

fn judge(k: &Kernel, input: Shape, padding: Padding, lambda: f64) -> Result<(), CheckError> {
    Prepared::new(&convolution(k.clone(), padding), input)?.check_gram(&by(GramWitness::CircularSpectrum {}, lambda))
}

#[test]
fn worked_example() {
    let example = vector("spectral_bounds");
    let k = kernel(3, 2, 3, flat(&example["K"]));
    let norm = example["exact_circular_7"].as_f64().expect("a number");
    let input = image(2, 7, 7);
    assert_eq!(judge(&k, input, Padding::Circular, norm * norm * (1.0 + 1e-11)), Ok(()));
    assert!(matches!(
        judge(&k, input, Padding::Circular, norm * norm * (1.0 - 1e-11)),
        Err(CheckError::NotSemidefinite { .. })
    ));
}

#[test]
fn not_for_zero_padding() {
    let k = kernel(1, 1, 3, vec![1.0; 9]);
    let mismatch = |outcome| matches!(outcome, Err(CheckError::RuleMismatch { .. }));
    assert!(mismatch(judge(&k, image(1, 4, 4), Padding::Zero, 100.0)));
    let residual = Layer::ResidualConv {
        kernel: k,
        bias: vec![0.0],
        scale: Scale::Stored { factor: vec![1.0] },
    };
    let prepared = Prepared::new(&residual, image(1, 4, 4)).expect("a layer");
    assert!(mismatch(prepared.check_gram(&by(GramWitness::CircularSpectrum {}, 100.0))));
}

proptest! {
    /// The rule meets the largest singular value on tori of every shape, also smaller than the kernel; 1e-9 is far above its rounding.
    #[test]
    fn singular_values_agree((k, height, width, _) in convolutions(), factor in 0.99..1.01f64) {
        let norm = largest_singular_value(&unrolled(&k, height, width, Padding::Circular));
        prop_assume!(norm > 1e-9);
        let outcome = judge(&k, image(k.channels(), height, width), Padding::Circular, (norm * factor).powi(2));
        prop_assert!(outcome.is_err() || factor >= 1.0 - 1e-9);
        prop_assert!(outcome.is_ok() || factor <= 1.0 + 1e-9);
    }
}

/// The published bounds by Gram iteration, frequency by frequency, are bounds, and they end at the norm that is proved here.
#[test]
fn gram_iteration_ends_at_the_norm() {
    let example = vector("spectral_bounds");
    let k = kernel(3, 2, 3, flat(&example["K"]));
    let (norm, bounds) = (
        example["exact_circular_7"].as_f64().expect("a number"),
        flat(&example["gram_conv_n7"]),
    );
    for bound in &bounds {
        assert_eq!(
            judge(&k, image(2, 7, 7), Padding::Circular, bound * bound * (1.0 + 1e-11)),
            Ok(())
        );
    }
    let last = bounds.last().expect("a bound");
    assert!(
        (last - norm).abs() < 1e-13 * norm && bounds.is_sorted_by(|a, b| a >= b),
        "{bounds:?}"
    );
}

/// Evidence that would take hours to check is refused before it is looked at.
#[test]
fn work_is_limited() {
    let channels = 1024;
    let kernel = Kernel::new("kernel", channels, channels, 1, vec![0.0; channels * channels]).expect("a kernel");
    let judged = judge(&kernel, image(channels, 128, 128), Padding::Circular, 1.0);
    assert!(
        matches!(
            judged,
            Err(CheckError::TooMuchWork {
                what: "circular-spectrum",
                ..
            })
        ),
        "{judged:?}"
    );
}
