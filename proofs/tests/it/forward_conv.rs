//! The forward pass of plain convolutions and exponentials with enclosed errors, against exact rational arithmetic.

use lipcert_proofs::certificate::{GramClaim, GramWitness, LayerCertificate, LayerClaim, Prepared, Witness};
use lipcert_proofs::rounding::forward::{Evaluator, Samples};
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::rules::{operator_norm, taylor_remainder};
use lipcert_proofs::statement::{ConvFormula, Kernel, Layer, NetworkMap, Output, Padding, Shape, SkewDivisor, SkewExponential};
use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;

use crate::common::{abs, exact, honest_claim, image, kernel, matrix, zero};

/// `K ∗ x` over the rationals.
fn convolved(
    entries: &[BigRational],
    shape: &Kernel,
    padding: Padding,
    x: &[BigRational],
    (height, width): (i64, i64),
) -> Vec<BigRational> {
    let (size, channels) = (shape.size() as i64, shape.channels() as i64);
    let mut output = Vec::new();
    for filter in entries.chunks_exact((channels * size * size) as usize) {
        for (y, v) in (0..height).flat_map(|y| (0..width).map(move |v| (y, v))) {
            let mut sum = zero();
            for (flat, entry) in (0i64..).zip(filter) {
                let (row, col) = (y + flat / size % size - size / 2, v + flat % size - size / 2);
                if padding == Padding::Circular || ((0..height).contains(&row) && (0..width).contains(&col)) {
                    let at = (flat / (size * size) * height + row.rem_euclid(height)) * width + col.rem_euclid(width);
                    sum += entry * &x[at as usize];
                }
            }
            output.push(sum);
        }
    }
    output
}

fn exact_layer(layer: &Layer, input: Shape, x: &[BigRational]) -> Vec<BigRational> {
    let Shape::Image { height, width, .. } = input else {
        unreachable!("an image")
    };
    let size = (height as i64, width as i64);
    let points = |kernel: &Kernel| -> Vec<BigRational> { kernel.data().iter().map(|value| exact(*value)).collect() };
    let (mut output, bias) = match layer {
        Layer::Convolution { kernel, bias, padding } => (convolved(&points(kernel), kernel, *padding, x, size), bias),
        Layer::ConvFormula { formula, bias, padding } => {
            let raw = formula.raw();
            let mut entries = points(raw);
            match formula {
                ConvFormula::Spectral { sigma, .. } => entries.iter_mut().for_each(|entry| *entry /= exact(*sigma)),
                ConvFormula::LinearResidual { .. } => {
                    for c in 0..raw.inner() {
                        let area = raw.size() * raw.size();
                        entries[(c * raw.channels() + c) * area + area / 2] += exact(1.0);
                    }
                }
                ConvFormula::Aol { .. } => unreachable!("irrational"),
            }
            (convolved(&entries, raw, *padding, x, size), bias)
        }
        Layer::SkewExponential(skew) => {
            let SkewDivisor::Stored(sigma) = skew.divisor else {
                unreachable!("irrational")
            };
            let adjoint = points(&skew.raw.adjoint());
            let entries: Vec<_> = points(&skew.raw)
                .into_iter()
                .zip(adjoint)
                .map(|(a, b)| (a - b) / (exact(2.0) * exact(sigma)))
                .collect();
            let (mut term, mut sum) = (x.to_vec(), x.to_vec());
            for i in 1..skew.terms {
                term = convolved(&entries, &skew.raw, skew.padding, &term, size);
                let divisor = BigRational::from(BigInt::from(i));
                term.iter_mut().for_each(|value| *value /= &divisor);
                sum.iter_mut().zip(&term).for_each(|(sum, value)| *sum += value);
            }
            (sum, &skew.bias)
        }
        other => unreachable!("{other:?}"),
    };
    for (values, bias) in output.chunks_exact_mut(height * width).zip(bias) {
        values.iter_mut().for_each(|value| *value += exact(*bias));
    }
    output
}

/// The claim of Gram iteration for a convolution, else that of the other tests.
fn claim(prepared: &Prepared<'_>) -> LayerClaim {
    let Some(ball) = prepared.kernel() else {
        return honest_claim(prepared);
    };
    let lambda = prepared.gram_iteration_up(2).expect("a bound");
    let inside = GramClaim {
        lambda,
        witness: GramWitness::GramIteration { steps: 2 },
    };
    let norm = operator_norm::bound_up(lambda, ball.error_up());
    match prepared.layer() {
        Layer::SkewExponential(skew) => LayerClaim {
            lipschitz: taylor_remainder::bound_up(norm, skew.terms),
            witness: Witness::TaylorRemainder { inside },
        },
        _ => LayerClaim {
            lipschitz: norm,
            witness: Witness::OperatorNorm { inside },
        },
    }
}

/// The certificate of layers on images with the identity as head.
fn with_identity(map: &NetworkMap) -> NetworkCertificate<'_> {
    let certificates = map.layers().iter().zip(map.input_shapes()).map(|(layer, shape)| {
        let prepared = Prepared::new(layer, shape).expect("a layer");
        LayerCertificate::check(&prepared, claim(&prepared)).expect("an honest claim")
    });
    NetworkCertificate::compose(map, certificates.collect(), Vec::new(), Output::All).expect("a certificate")
}

/// The layers, then `e_k` rows as head, so that logits are features.
fn network(input: Shape, mut layers: Vec<Layer>) -> NetworkMap {
    let n = layers
        .iter()
        .fold(input, |shape, layer| layer.output_shape(shape).expect("a shape"))
        .len();
    let identity: Vec<f64> = (0..n * n).map(|k| if k % (n + 1) == 0 { 1.0 } else { 0.0 }).collect();
    layers.push(Layer::Flatten);
    layers.push(Layer::NormalizedHead {
        weight: matrix(n, n, identity),
        bias: vec![0.0; n],
    });
    NetworkMap::new(input, layers).expect("a network")
}

/// One layer with long sums that cancel: the rounding is far above the last bit of the result, and covered.
#[test]
fn the_rounding_of_a_long_sum_is_covered() {
    let n = 48;
    let draw = |seed: usize, k: usize| ((seed * 7919 + k * k * 104_729 + k * 31) % 100_003) as f64 / 100_003.0 + 0.01;
    let mut beyond = [false; 2];
    for seed in 0..20 {
        let raw = kernel(n, n, 1, (0..n * n).map(|k| draw(seed, k)).collect());
        // Near the kernel of the matrix only in the sense that the terms are alike: the differences cancel.
        let sample: Vec<f64> = (0..n).map(|k| 1.0 + draw(seed + 100, k) / 1e3).collect();
        let plain = Layer::Convolution {
            kernel: kernel(
                1,
                n,
                1,
                (0..n)
                    .map(|k| {
                        if k % 2 == 0 {
                            1.0 / 3.0 + draw(seed, k)
                        } else {
                            -1.0 / 3.0 - draw(seed, k - 1)
                        }
                    })
                    .collect(),
            ),
            bias: vec![0.0],
            padding: Padding::Zero,
        };
        let skew = Layer::SkewExponential(SkewExponential {
            raw,
            divisor: SkewDivisor::Stored(1.0),
            terms: 4,
            bias: vec![0.0; n],
            padding: Padding::Zero,
        });
        for (which, layer) in [plain, skew].into_iter().enumerate() {
            let input = image(n, 1, 1);
            let point: Vec<BigRational> = sample.iter().map(|v| exact(*v)).collect();
            let truth = exact_layer(&layer, input, &point);
            let map = network(input, vec![layer]);
            let certificate = with_identity(&map);
            let logits = &Evaluator::new(&certificate)
                .expect("an evaluator")
                .evaluate(Samples::Floats(&sample))
                .expect("logits")[0];
            let squares = truth.iter().zip(logits.values()).fold(zero(), |sum, (t, v)| {
                let error = exact(*v) - t;
                sum + &error * &error
            });
            let bound = exact(logits.feature_error_up());
            assert!(squares <= &bound * &bound, "{which} seed {seed}");
            // More than the rounding of the last operations alone could explain.
            let norm: f64 = logits.values().iter().map(|v| v * v).sum::<f64>().sqrt();
            let last = exact(norm * 2.0 * f64::EPSILON);
            beyond[which] |= squares > &last * &last;
        }
    }
    assert_eq!(beyond, [true, true], "the test is sharp");
}

proptest! {
    /// Three kinds and a plain convolution behind one another, the channels going from 1 to 2 to 3; the head is `e_k` rows, so logits are features.
    #[test]
    fn the_exact_logits_lie_within_the_error(
        seed in prop::collection::vec(-1.0..1.0f64, 140),
        sample in prop::collection::vec(0.0..1.0f64, 6),
        circular in any::<bool>(),
        terms in 1usize..6,
    ) {
        let padding = if circular { Padding::Circular } else { Padding::Zero };
        let input = image(1, 2, 3);
        let layers = vec![
            Layer::Convolution { kernel: kernel(2, 1, 3, seed[..18].to_vec()), bias: seed[18..20].to_vec(), padding },
            Layer::SkewExponential(SkewExponential {
                raw: kernel(2, 2, 3, seed[20..56].to_vec()), divisor: SkewDivisor::Stored(3.0), terms, bias: seed[56..58].to_vec(), padding: Padding::Zero,
            }),
            Layer::ConvFormula {
                formula: ConvFormula::LinearResidual { raw: kernel(2, 2, 3, seed[58..94].to_vec()) }, bias: seed[94..96].to_vec(), padding: Padding::Circular,
            },
            Layer::ConvFormula {
                formula: ConvFormula::Spectral { raw: kernel(2, 2, 3, seed[96..132].to_vec()), sigma: 3.0 }, bias: seed[132..134].to_vec(), padding,
            },
        ];
        let mut point: Vec<BigRational> = sample.iter().map(|v| exact(*v)).collect();
        let mut shape = input;
        for layer in &layers {
            point = exact_layer(layer, shape, &point);
            shape = layer.output_shape(shape).expect("a shape");
        }
        let map = network(input, layers);
        let certificate = with_identity(&map);
        let evaluator = Evaluator::new(&certificate).expect("an evaluator");
        let logits = &evaluator.evaluate(Samples::Floats(&sample)).expect("logits")[0];
        let mut squares = zero();
        for (class, truth) in point.iter().enumerate() {
            let error = exact(logits.values()[class]) - truth;
            squares += &error * &error;
            prop_assert!(abs(&error) <= exact(logits.error_up(class)));
            // Not absurdly large either: a few hundred roundings of numbers below 100, and layers that stretch by up to 20 each.
            prop_assert!(logits.error_up(class) < 1e-9);
        }
        prop_assert!(squares <= exact(logits.feature_error_up()) * exact(logits.feature_error_up()) * exact(1.0001));
    }
}
