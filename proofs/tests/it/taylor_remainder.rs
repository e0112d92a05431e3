//! Rule `taylor-remainder`.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{GramWitness, LayerCertificate, LayerClaim, Prepared, Witness};
use lipcert_proofs::rules::taylor_remainder::bound_up;
use lipcert_proofs::statement::{Kernel, Layer, Padding, Shape, SkewDivisor, SkewExponential};
use nalgebra::DMatrix;
use proptest::prelude::*;

use crate::common::{by, convolutions, flat, image, kernel, largest_singular_value, unrolled, vector};

fn soc(raw: Kernel, divisor: SkewDivisor, terms: usize, padding: Padding) -> Layer {
    let bias = vec![0.0; raw.inner()];
    Layer::SkewExponential(SkewExponential {
        raw,
        divisor,
        terms,
        bias,
        padding,
    })
}

/// The smallest bound that is accepted by Gram iteration.
fn proved(layer: &Layer, input: Shape, steps: usize) -> f64 {
    let Layer::SkewExponential(exponential) = layer else {
        unreachable!("an exponential")
    };
    let prepared = Prepared::new(layer, input).expect("a layer");
    let lambda = prepared.gram_iteration_up(steps).expect("a bound");
    let norm = lambda.sqrt() * (1.0 + 1e-15) + prepared.kernel().expect("a kernel").error_up() * 1.001;
    let claim = |lipschitz| LayerClaim {
        lipschitz,
        witness: Witness::TaylorRemainder {
            inside: by(GramWitness::GramIteration { steps }, lambda),
        },
    };
    let bound = bound_up(norm.next_up(), exponential.terms);
    assert!(LayerCertificate::check(&prepared, claim(bound)).is_ok());
    let short = LayerCertificate::check(&prepared, claim(1.0)).map(|c| c.lipschitz());
    assert!(matches!(short, Err(CheckError::BoundTooSmall { .. })) || bound <= 1.0);
    bound
}

/// The sum of the series for a matrix.
fn series(skew: &DMatrix<f64>, terms: usize) -> DMatrix<f64> {
    let n = skew.nrows();
    let (mut term, mut sum) = (DMatrix::identity(n, n), DMatrix::identity(n, n));
    for i in 1..terms {
        term = skew * term / i as f64;
        sum += &term;
    }
    sum
}

#[test]
fn worked_example() {
    let example = vector("soc");
    let raw = kernel(2, 2, 3, flat(&example["M"]));
    let input = image(2, 5, 5);
    for (terms, name, bound_name) in [
        (6, "op_norm_terms6", "bound_terms6"),
        (15, "op_norm_terms15", "bound_terms15"),
    ] {
        let layer = soc(raw.clone(), SkewDivisor::LeastNorm, terms, Padding::Zero);
        let prepared = Prepared::new(&layer, input).expect("a layer");
        let ball = prepared.kernel().expect("a kernel");
        for (ours, theirs) in ball.approx().data().iter().zip(flat(&example["L_normalised"])) {
            assert!((ours - theirs).abs() <= 1e-12, "{ours} {theirs}");
        }
        assert!(ball.error_up() < 1e-10, "{}", ball.error_up());
        let skew = unrolled(ball.approx(), 5, 5, Padding::Zero);
        assert!((&skew + skew.transpose()).abs().max() == 0.0, "exactly skew");
        let exact = example[name].as_f64().expect("a number");
        assert!((largest_singular_value(&series(&skew, terms)) - exact).abs() <= 1e-12);
        let ours = proved(&layer, input, 4);
        assert!(ours >= exact, "{ours} {exact}");
        // Not much above the bound with the norm on this image, which is below that on the lattice.
        let least = 1.0 + example[bound_name].as_f64().expect("a number");
        assert!(
            ours >= least * (1.0 - 1e-12) && ours - 1.0 <= 40.0 * (least - 1.0),
            "{terms}: {ours} {least}"
        );
    }
    let six = proved(&soc(raw.clone(), SkewDivisor::LeastNorm, 6, Padding::Zero), input, 4);
    let fifteen = proved(&soc(raw, SkewDivisor::LeastNorm, 15, Padding::Zero), input, 4);
    assert!(six >= 1.0047 && fifteen > 1.0 && fifteen < 1.0 + 4e-8, "{six} {fifteen}");
}

/// Cut off after two terms, a rotation by `s` in the plane has the norm `√(1 + s²)`, after four more; never below the bound.
#[test]
fn one_rotation() {
    for s in [0.1, 0.5, 1.0, 2.0] {
        let skew = DMatrix::from_row_slice(2, 2, &[0.0, s, -s, 0.0]);
        for terms in 1..9 {
            let norm = largest_singular_value(&series(&skew, terms));
            assert!(bound_up(s, terms) >= norm - 1e-15);
            let factorial: f64 = (1..=terms).map(|i| i as f64).product();
            assert!((bound_up(s, terms) - 1.0 - s.powi(terms as i32) / factorial).abs() < 1e-12);
        }
    }
    assert!(bound_up(f64::NAN, 3).is_nan() || bound_up(f64::NAN, 3) == f64::INFINITY);
    // The remainder is attained to first order where the terms left out are the imaginary ones.
    assert!(bound_up(0.1, 2) > 1.0049 && bound_up(0.1, 2) < 1.0051);
}

#[test]
fn reject_table() {
    let raw = kernel(1, 1, 3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    for terms in [0, 65] {
        let layer = soc(raw.clone(), SkewDivisor::Stored(1.0), terms, Padding::Zero);
        assert!(matches!(
            layer.output_shape(image(1, 4, 4)),
            Err(CheckError::Shape { what: "terms", .. })
        ));
    }
    for divisor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let layer = soc(raw.clone(), SkewDivisor::Stored(divisor), 6, Padding::Zero);
        assert!(matches!(
            layer.output_shape(image(1, 4, 4)),
            Err(CheckError::NotPositive { what: "sigma", .. })
        ));
    }
    let rectangular = soc(kernel(1, 2, 1, vec![1.0, 2.0]), SkewDivisor::Stored(1.0), 6, Padding::Zero);
    assert!(rectangular.output_shape(image(2, 4, 4)).is_err());
    // A symmetric kernel has no skew part, so no norm to divide by.
    let symmetric = soc(kernel(1, 1, 3, vec![1.0; 9]), SkewDivisor::LeastNorm, 6, Padding::Zero);
    assert!(Prepared::new(&symmetric, image(1, 4, 4)).is_err());
    // The exponential is no linear map with that kernel.
    let layer = soc(raw, SkewDivisor::Stored(10.0), 6, Padding::Zero);
    let prepared = Prepared::new(&layer, image(1, 4, 4)).expect("a layer");
    let inside = by(
        GramWitness::GramIteration { steps: 2 },
        prepared.gram_iteration_up(2).expect("a bound"),
    );
    for witness in [
        Witness::OperatorNorm { inside: inside.clone() },
        Witness::Formula { inside: None },
        Witness::Tolerance { inside: inside.clone() },
    ] {
        let outcome = LayerCertificate::check(
            &prepared,
            LayerClaim {
                lipschitz: 100.0,
                witness,
            },
        )
        .map(|c| c.lipschitz());
        assert!(matches!(outcome, Err(CheckError::RuleMismatch { .. })), "{outcome:?}");
    }
    let damaged = LayerClaim {
        lipschitz: 100.0,
        witness: Witness::TaylorRemainder {
            inside: by(GramWitness::GramIteration { steps: 2 }, inside.lambda * 0.99),
        },
    };
    assert!(LayerCertificate::check(&prepared, damaged).is_err());
}

proptest! {
    /// Both divisors, both paddings: the norm of the unrolled series never exceeds the bound; 1e-9 is far above its rounding.
    #[test]
    fn singular_values_agree((k, height, width, padding) in convolutions(), sigma in 0.5..4.0f64, least in any::<bool>(), terms in 1usize..10) {
        let c = k.channels();
        let data = k.data().iter().cycle().take(c * c * k.size() * k.size()).copied().collect();
        let raw = kernel(c, c, k.size(), data);
        let sum = raw.data().iter().zip(raw.adjoint().data()).fold(0.0, |most, (a, b)| f64::max(most, (a - b).abs()));
        prop_assume!(sum > 1e-9);
        let divisor = if least { SkewDivisor::LeastNorm } else { SkewDivisor::Stored(sigma) };
        let layer = soc(raw, divisor, terms, padding);
        let input = image(c, height, width);
        let bound = proved(&layer, input, 2);
        let prepared = Prepared::new(&layer, input).unwrap();
        let skew = unrolled(prepared.kernel().unwrap().approx(), height, width, padding);
        let norm = largest_singular_value(&series(&skew, terms));
        prop_assert!(norm <= bound * (1.0 + 1e-9), "{norm} {bound}");
    }
}
