//! Rule `operator-norm` on convolutions, plain and by formula.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{GramWitness, ImageSize, LayerCertificate, LayerClaim, Prepared, Witness};
use lipcert_proofs::rules::circulant_grid::least_grid;
use lipcert_proofs::statement::{ConvFormula, Kernel, Layer, Padding, Shape};
use proptest::prelude::*;

use crate::common::{
    by, convolution, convolutions, flat, image, kernel, largest_singular_value, own_dominance, unrolled, vector,
};

/// Whether `√λ`, with room for its rounding and the error of the kernel, is accepted.
fn judge(layer: &Layer, input: Shape, witness: GramWitness, lambda: f64) -> Result<f64, CheckError> {
    let prepared = Prepared::new(layer, input)?;
    let error = prepared.kernel().expect("a kernel").error_up();
    let claim = LayerClaim {
        lipschitz: lambda.sqrt() * (1.0 + 1e-15) + error * 1.001,
        witness: Witness::OperatorNorm {
            inside: by(witness, lambda),
        },
    };
    LayerCertificate::check(&prepared, claim).map(|certificate| certificate.lipschitz())
}

/// The spectral witness for the padding.
pub(crate) fn spectral(kernel: &Kernel, input: Shape, padding: Padding) -> GramWitness {
    match padding {
        Padding::Zero => GramWitness::CirculantGrid {
            grid: least_grid(2 * kernel.size() - 1, input, ImageSize::Stated),
            image: ImageSize::Stated,
        },
        Padding::Circular => GramWitness::CircularSpectrum {},
    }
}

#[test]
fn accept_and_reject() {
    // Two pixels apart in each of two outputs: norm 5 · 1 on the lattice.
    for (inner, channels) in [(1, 2), (2, 1)] {
        let mut data = vec![0.0; 18];
        (data[0], data[17]) = (3.0, 4.0);
        let layer = convolution(kernel(inner, channels, 3, data), Padding::Zero);
        let input = image(channels, 4, 4);
        assert!(
            judge(&layer, input, own_dominance(25.0 + 1e-9).witness, 25.0 + 1e-9).is_ok(),
            "{inner}"
        );
        let below = judge(&layer, input, own_dominance(25.0 - 1e-9).witness, 25.0 - 1e-9);
        assert!(matches!(below, Err(CheckError::NotDominant { .. })), "{below:?}");
        let prepared = Prepared::new(&layer, input).expect("a layer");
        let claim = LayerClaim {
            lipschitz: 5.0,
            witness: Witness::OperatorNorm {
                inside: own_dominance(25.0 + 1e-9),
            },
        };
        assert!(matches!(
            LayerCertificate::check(&prepared, claim),
            Err(CheckError::BoundTooSmall { .. })
        ));
        for witness in [GramWitness::Cholesky {}, GramWitness::CircularSpectrum {}] {
            let wrong = judge(&layer, input, witness, 100.0);
            assert!(matches!(wrong, Err(CheckError::RuleMismatch { .. })), "{wrong:?}");
        }
    }
}

#[test]
fn shapes_are_checked() {
    let layer = convolution(kernel(2, 3, 1, vec![1.0; 6]), Padding::Zero);
    assert_eq!(layer.output_shape(image(3, 4, 5)), Ok(image(2, 4, 5)));
    for wrong in [image(2, 4, 5), Shape::Flat(60)] {
        assert!(matches!(
            layer.output_shape(wrong),
            Err(CheckError::Shape { what: "kernel", .. })
        ));
    }
    let rectangular = kernel(2, 3, 1, vec![1.0; 6]);
    let residual = ConvFormula::LinearResidual {
        raw: rectangular.clone(),
    };
    let stretched = ConvFormula::Spectral {
        raw: rectangular.clone(),
        sigma: 0.0,
    };
    let lifted = ConvFormula::Aol {
        raw: rectangular,
        epsilon: -1.0,
    };
    for formula in [residual, stretched, lifted] {
        let layer = Layer::ConvFormula {
            formula,
            bias: vec![0.0; 2],
            padding: Padding::Zero,
        };
        assert!(layer.output_shape(image(3, 4, 4)).is_err(), "{layer:?}");
    }
}

/// A norm on a torus bounds neither zero padding nor a torus of another size.
#[test]
fn the_circular_trap() {
    let data = vec![-0.75, -0.3, 0.82, -0.24, 1.18, 0.6, -0.48, -0.62, 0.05];
    let k = kernel(1, 1, 3, data);
    let norms: Vec<f64> = (3..9)
        .map(|side| largest_singular_value(&unrolled(&k, side, side, Padding::Circular)))
        .collect();
    let (least, most) = (
        norms.iter().copied().fold(f64::MAX, f64::min),
        norms.iter().copied().fold(0.0, f64::max),
    );
    assert!(most > least * 1.001, "the norm depends on the size: {norms:?}");
    let (small, large) = (
        norms.iter().position(|n| *n <= least).unwrap() + 3,
        norms.iter().position(|n| *n >= most).unwrap() + 3,
    );
    let between = (least * most).max(least * least);
    let layer = convolution(k, Padding::Circular);
    assert!(judge(&layer, image(1, small, small), GramWitness::CircularSpectrum {}, between).is_ok());
    assert!(judge(&layer, image(1, large, large), GramWitness::CircularSpectrum {}, between).is_err());
    let stated = GramWitness::CirculantGrid {
        grid: 16,
        image: ImageSize::Stated,
    };
    assert!(matches!(
        judge(&layer, image(1, 4, 4), stated, 1e3),
        Err(CheckError::RuleMismatch { .. })
    ));
}

/// The formula of AOL by input channels: its kernel, its rule, and a better bound by the norm.
#[test]
fn aol_worked_example() {
    let example = vector("aol_conv");
    let layer = Layer::ConvFormula {
        formula: ConvFormula::Aol {
            raw: kernel(2, 3, 3, flat(&example["K"])),
            epsilon: 0.0,
        },
        bias: vec![0.0; 2],
        padding: Padding::Zero,
    };
    let input = image(3, 5, 5);
    let prepared = Prepared::new(&layer, input).expect("a layer");
    let ball = prepared.kernel().expect("a kernel");
    for (ours, theirs) in ball.approx().data().iter().zip(flat(&example["K_rescaled"])) {
        assert!((ours - theirs).abs() <= 1e-14);
    }
    assert!(ball.error_up() < 1e-13);
    let formula = |lipschitz| LayerClaim {
        lipschitz,
        witness: Witness::Formula { inside: None },
    };
    assert!(LayerCertificate::check(&prepared, formula(1.0)).is_ok());
    assert!(LayerCertificate::check(&prepared, formula(0.999)).is_err());
    for (padding, name) in [
        (Padding::Zero, "spec_same_zero_5x5"),
        (Padding::Circular, "spec_circular_5x5"),
    ] {
        let norm = example[name].as_f64().expect("a number");
        let own = largest_singular_value(&unrolled(ball.approx(), 5, 5, padding));
        assert!((own - norm).abs() <= 1e-12);
        let layer = convolution(ball.approx().clone(), padding);
        let witness = spectral(ball.approx(), input, padding);
        // A circular norm is met; a zero-padded one is bounded by that of a larger torus, still below 1.
        let room = if padding == Padding::Zero { 0.99 / norm } else { 1.0 + 1e-10 };
        assert!(judge(&layer, input, witness.clone(), (norm * room).powi(2)).is_ok(), "{name}");
        assert!(
            judge(&layer, input, witness, (norm * (1.0 - 1e-10)).powi(2)).is_err(),
            "{name}"
        );
    }
}

/// `x + 0 ∗ x` with a kernel of `1 / 3`: the centre misses `1 + 1/3` by a rounding, which the bound must hold.
#[test]
fn the_error_of_a_formula_counts() {
    let layer = Layer::ConvFormula {
        formula: ConvFormula::Spectral {
            raw: kernel(1, 1, 1, vec![1.0]),
            sigma: 3.0,
        },
        bias: vec![0.0],
        padding: Padding::Zero,
    };
    let prepared = Prepared::new(&layer, image(1, 2, 2)).expect("a layer");
    let ball = prepared.kernel().expect("a kernel");
    let centre = ball.approx().data()[0];
    assert!(ball.error_up() > 0.0);
    let lambda = centre * centre * (1.0 + 1e-13);
    let claim = |lipschitz| LayerClaim {
        lipschitz,
        witness: Witness::OperatorNorm {
            inside: by(GramWitness::Cholesky {}, lambda),
        },
    };
    let root = lipcert_proofs::rules::operator_norm::bound_up(lambda, 0.0);
    assert!(LayerCertificate::check(&prepared, claim(root)).is_err());
    assert!(LayerCertificate::check(&prepared, claim(root + 2.0 * ball.error_up())).is_ok());
}

proptest! {
    /// Against singular values of the unrolled operator; 1e-9 is far above their rounding.
    #[test]
    fn singular_values_agree((k, height, width, padding) in convolutions(), factor in 0.9..1.1f64) {
        let norm = largest_singular_value(&unrolled(&k, height, width, padding));
        prop_assume!(norm > 1e-9);
        let input = image(k.channels(), height, width);
        let lambda = (norm * factor).powi(2);
        let witness = spectral(&k, input, padding);
        let accepted = judge(&convolution(k, padding), input, witness, lambda).is_ok();
        prop_assert!(!accepted || factor >= 1.0 - 1e-9);
        if padding == Padding::Circular {
            prop_assert!(accepted || factor <= 1.0 + 1e-9);
        }
    }

    /// Every formula: the exact entries lie within the error of the centre, by a second evaluation in plain float64.
    #[test]
    fn formulas_agree((k, height, width, padding) in convolutions(), sigma in 0.5..3.0f64) {
        let square = kernel(k.channels(), k.channels(), k.size(), (0..k.channels()).flat_map(|_| k.filter(0)).copied().collect());
        let formulas = [
            ConvFormula::Aol { raw: k.clone(), epsilon: 1e-6 },
            ConvFormula::Spectral { raw: k.clone(), sigma },
            ConvFormula::LinearResidual { raw: square.clone() },
        ];
        for formula in formulas {
            let raw = unrolled(formula.raw(), height, width, padding);
            let expected = match &formula {
                ConvFormula::Aol { .. } => None,
                ConvFormula::Spectral { sigma, .. } => Some(raw / *sigma),
                ConvFormula::LinearResidual { .. } => {
                    let n = raw.nrows();
                    Some(raw + nalgebra::DMatrix::identity(n, n))
                }
            };
            let aol = expected.is_none();
            let layer = Layer::ConvFormula { bias: vec![0.0; formula.raw().inner()], formula, padding };
            let prepared = Prepared::new(&layer, image(k.channels(), height, width)).unwrap();
            let ball = prepared.kernel().unwrap();
            let operator = unrolled(ball.approx(), height, width, padding);
            match expected {
                Some(expected) => prop_assert!((&operator - expected).norm() <= 1e-12),
                None => prop_assert!(largest_singular_value(&operator) <= 1.0 + 1e-12),
            }
            prop_assert!(ball.error_up() < 1e-12);
            let formula = LayerClaim { lipschitz: 1.0, witness: Witness::Formula { inside: None } };
            prop_assert_eq!(LayerCertificate::check(&prepared, formula).is_ok(), aol);
        }
    }
}
