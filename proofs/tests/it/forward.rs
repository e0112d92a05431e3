//! The forward pass with enclosed errors, against exact rational arithmetic.

use lipcert_proofs::rounding::forward::{Evaluator, Samples};
use lipcert_proofs::statement::{Decimal, Layer, NetworkMap, Scale, Shape};
use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;

use crate::common::{abs, certify, dense, exact, flat, kernel, matrix, vector, zero};

/// The exact value of a layer at an exact point; the head without its normalisation is not covered here.
fn exact_layer(layer: &Layer, input: Shape, x: &[BigRational]) -> Vec<BigRational> {
    let relu = |v: BigRational| if v > zero() { v } else { zero() };
    match layer {
        Layer::Flatten => x.to_vec(),
        Layer::PadChannels { .. } => {
            let Ok(shape) = layer.output_shape(input) else {
                unreachable!("checked")
            };
            let mut padded = x.to_vec();
            padded.resize(shape.len(), zero());
            padded
        }
        Layer::AveragePool { size, divisor } => {
            let Shape::Image { channels, height, width } = input else {
                unreachable!("an image")
            };
            let mut out = Vec::new();
            for c in 0..channels {
                for y in (0..height).step_by(*size) {
                    for v in (0..width).step_by(*size) {
                        let mut sum = zero();
                        for dy in 0..*size {
                            for dx in 0..*size {
                                sum += &x[(c * height + y + dy) * width + v + dx];
                            }
                        }
                        out.push(sum / BigRational::from(BigInt::from(*divisor)));
                    }
                }
            }
            out
        }
        Layer::ResidualDense {
            weight,
            bias,
            scale: Scale::Stored { factor },
        } => {
            let mut y = x.to_vec();
            for i in 0..weight.rows() {
                let r = weight
                    .row(i)
                    .iter()
                    .zip(x)
                    .fold(exact(bias[i]), |s, (a, b)| s + exact(*a) * b);
                let step = relu(r) * exact(factor[i]) * exact(2.0);
                for (value, a) in y.iter_mut().zip(weight.row(i)) {
                    *value -= exact(*a) * &step;
                }
            }
            y
        }
        Layer::ResidualConv {
            kernel: k,
            bias,
            scale: Scale::Stored { factor },
        } => {
            let Shape::Image { height, width, .. } = input else {
                unreachable!("an image")
            };
            let radius = (k.size() / 2) as i64;
            let mut y = x.to_vec();
            for i in 0..k.inner() {
                for py in 0..height as i64 {
                    for px in 0..width as i64 {
                        let mut r = exact(bias[i]);
                        let mut taps = Vec::new();
                        for c in 0..k.channels() {
                            for dy in 0..k.size() {
                                for dx in 0..k.size() {
                                    let (v, w) = (py + dy as i64 - radius, px + dx as i64 - radius);
                                    if (0..height as i64).contains(&v) && (0..width as i64).contains(&w) {
                                        let position = (c * height + v as usize) * width + w as usize;
                                        let a = exact(k.data()[((i * k.channels() + c) * k.size() + dy) * k.size() + dx]);
                                        r += &a * &x[position];
                                        taps.push((position, a));
                                    }
                                }
                            }
                        }
                        let step = relu(r) * exact(factor[i]) * exact(2.0);
                        for (position, a) in taps {
                            y[position] -= a * &step;
                        }
                    }
                }
            }
            y
        }
        other => unreachable!("{other:?}"),
    }
}

fn network(seed: &[f64], factor: &[f64]) -> (Shape, Vec<Layer>) {
    let input = Shape::Image {
        channels: 1,
        height: 4,
        width: 4,
    };
    let layers = vec![
        Layer::PadChannels { channels: 2 },
        Layer::ResidualConv {
            kernel: kernel(2, 2, 3, seed[..36].to_vec()),
            bias: seed[36..38].to_vec(),
            scale: Scale::Stored {
                factor: factor[..2].to_vec(),
            },
        },
        Layer::AveragePool { size: 2, divisor: 3 },
        Layer::Flatten,
        dense(
            matrix(3, 8, seed[38..62].to_vec()),
            Scale::Stored {
                factor: factor[2..5].to_vec(),
            },
        ),
    ];
    (input, layers)
}

proptest! {
    /// The exact features lie within the stated error of the computed ones. The head is `e_k` rows, so logits are features.
    #[test]
    fn the_exact_logits_lie_within_the_error(
        seed in prop::collection::vec(-1.0..1.0f64, 62),
        factor in prop::collection::vec(0.0..0.4f64, 5),
        sample in prop::collection::vec(0.0..1.0f64, 16),
    ) {
        let (input, layers) = network(&seed, &factor);
        let mut point: Vec<BigRational> = sample.iter().map(|v| exact(*v)).collect();
        let mut shape = input;
        for layer in &layers {
            point = exact_layer(layer, shape, &point);
            shape = layer.output_shape(shape).expect("a shape");
        }
        let identity: Vec<f64> = (0..64).map(|k| if k % 9 == 0 { 1.0 } else { 0.0 }).collect();
        let mut all = layers;
        all.push(Layer::NormalizedHead { weight: matrix(8, 8, identity), bias: vec![0.0; 8] });
        let map = NetworkMap::new(input, all).expect("a network");
        let certificate = certify(&map);
        let evaluator = Evaluator::new(&certificate).expect("an evaluator");
        let logits = &evaluator.evaluate(Samples::Floats(&sample)).expect("logits")[0];
        let mut squares = zero();
        for (class, truth) in point.iter().enumerate() {
            let error = exact(logits.values()[class]) - truth;
            squares += &error * &error;
            prop_assert!(abs(&error) <= exact(logits.error_up(class)));
            // Not absurdly large either: a few hundred roundings of numbers of size 10, and layers that stretch by up to 10.
            prop_assert!(logits.error_up(class) < 1e-11);
        }
        prop_assert!(squares <= exact(logits.feature_error_up()) * exact(logits.feature_error_up()) * exact(1.0001));
    }
}

/// One long row with `T = ‖a‖²` turns a positive sample around; the rounding of the sum shows in the result and is covered.
#[test]
fn the_rounding_of_a_long_sum_is_covered() {
    let n = 96;
    let draw = |seed: usize, k: usize| ((seed * 7919 + k * k * 104_729 + k * 31) % 100_003) as f64 / 100_003.0 + 0.01;
    let mut largest: f64 = 0.0;
    for seed in 0..40 {
        let row: Vec<f64> = (0..n).map(|k| draw(seed, k)).collect();
        let sample: Vec<f64> = (0..n).map(|k| draw(seed + 100, k) / 3.0).collect();
        let factor = 1.0 / row.iter().map(|v| v * v).sum::<f64>();
        let layer = Layer::ResidualDense {
            weight: matrix(1, n, row),
            bias: vec![0.0],
            scale: Scale::Stored { factor: vec![factor] },
        };
        let point: Vec<BigRational> = sample.iter().map(|v| exact(*v)).collect();
        let truth = exact_layer(&layer, Shape::Flat(n), &point);
        let identity: Vec<f64> = (0..n * n).map(|k| if k % (n + 1) == 0 { 1.0 } else { 0.0 }).collect();
        let head = Layer::NormalizedHead {
            weight: matrix(n, n, identity),
            bias: vec![0.0; n],
        };
        let map = NetworkMap::new(Shape::Flat(n), vec![layer, head]).expect("a network");
        let certificate = certify(&map);
        let evaluator = Evaluator::new(&certificate).expect("an evaluator");
        let logits = &evaluator.evaluate(Samples::Floats(&sample)).expect("logits")[0];
        let squares = truth.iter().zip(logits.values()).fold(zero(), |sum, (t, v)| {
            let error = exact(*v) - t;
            sum + &error * &error
        });
        let bound = exact(logits.feature_error_up());
        assert!(squares <= &bound * &bound, "seed {seed}");
        // How much of the bound the last subtraction alone would explain.
        let norm: f64 = logits.values().iter().map(|v| v * v).sum::<f64>().sqrt();
        let last = exact(norm * f64::EPSILON / 2.0);
        if squares > &last * &last {
            largest += 1.0;
        }
    }
    assert!(
        largest >= 1.0,
        "no sample needs more than the last rounding: the test shows nothing"
    );
}

/// Bytes are the real numbers k/255, the mean is the decimal number.
#[test]
fn the_input_is_enclosed_as_real_numbers() {
    let mean: Decimal = "0.4914".parse().expect("a decimal");
    let layers = vec![
        Layer::Normalize {
            mean: vec![mean],
            std: vec!["0.3".parse().expect("a decimal")],
        },
        Layer::Flatten,
        Layer::NormalizedHead {
            weight: matrix(1, 1, vec![1.0]),
            bias: vec![0.0],
        },
    ];
    let map = NetworkMap::new(
        Shape::Image {
            channels: 1,
            height: 1,
            width: 1,
        },
        layers,
    )
    .expect("a network");
    let certificate = certify(&map);
    let evaluator = Evaluator::new(&certificate).expect("an evaluator");
    let values: Vec<u8> = (0..=255).collect();
    let logits = evaluator
        .evaluate(Samples::Bytes {
            values: &values,
            divisor: 255,
        })
        .expect("logits");
    assert_eq!(logits.len(), 256);
    let ratio = |a: i64, b: i64| BigRational::new(BigInt::from(a), BigInt::from(b));
    for (byte, logit) in logits.iter().enumerate() {
        let truth = (ratio(byte as i64, 255) - ratio(4914, 10_000)) / ratio(3, 10);
        let error = abs(&(exact(logit.values()[0]) - truth));
        assert!(error <= exact(logit.error_up(0)), "{byte}");
        assert!(logit.error_up(0) < 1e-14);
    }
}

#[test]
fn the_vectors_are_reproduced() {
    let v = vector("sll_dense");
    let layer = Layer::ResidualDense {
        weight: matrix(4, 3, flat(&v["A"])),
        bias: flat(&v["b"]),
        scale: Scale::Weighted { q: flat(&v["q_raw"]) },
    };
    let identity = vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let head = Layer::NormalizedHead {
        weight: matrix(3, 3, identity),
        bias: vec![0.0; 3],
    };
    let map = NetworkMap::new(Shape::Flat(3), vec![layer, head]).expect("a network");
    let certificate = certify(&map);
    let evaluator = Evaluator::new(&certificate).expect("an evaluator");
    for (x, h) in [("x", "h_x"), ("y", "h_y")] {
        let logits = evaluator.evaluate(Samples::Floats(&flat(&v[x]))).expect("logits");
        for (ours, theirs) in logits[0].values().iter().zip(flat(&v[h])) {
            assert!((ours - theirs).abs() < 1e-14, "{ours} {theirs}");
        }
    }

    let v = vector("sll_conv");
    for (scale, h) in [
        (Scale::RowSum { q: flat(&v["q_raw"]) }, "h_official"),
        (Scale::Weighted { q: flat(&v["q_raw"]) }, "h_paperT"),
    ] {
        let layer = Layer::ResidualConv {
            kernel: kernel(2, 2, 3, flat(&v["K"])),
            bias: flat(&v["bias"]),
            scale,
        };
        let n = 50;
        let identity: Vec<f64> = (0..n * n).map(|k| if k % (n + 1) == 0 { 1.0 } else { 0.0 }).collect();
        let head = Layer::NormalizedHead {
            weight: matrix(n, n, identity),
            bias: vec![0.0; n],
        };
        let input = Shape::Image {
            channels: 2,
            height: 5,
            width: 5,
        };
        let map = NetworkMap::new(input, vec![layer, Layer::Flatten, head]).expect("a network");
        let certificate = certify(&map);
        let evaluator = Evaluator::new(&certificate).expect("an evaluator");
        let logits = evaluator.evaluate(Samples::Floats(&flat(&v["X"]))).expect("logits");
        for (ours, theirs) in logits[0].values().iter().zip(flat(&v[h])) {
            assert!((ours - theirs).abs() < 1e-13, "{h}: {ours} {theirs}");
        }
    }
}

/// A sum that overflows to −∞ before the relu would look like a switched-off channel.
#[test]
fn an_overflow_behind_a_relu_is_not_hidden() {
    let weight = matrix(1, 3, vec![-1.0, -1.0, 3.0]);
    let layer = dense(weight, Scale::Stored { factor: vec![0.05] });
    let head = Layer::NormalizedHead {
        weight: matrix(1, 3, vec![1.0, 0.0, 0.0]),
        bias: vec![0.0],
    };
    let map = NetworkMap::new(Shape::Flat(3), vec![layer, head]).expect("a network");
    let certificate = certify(&map);
    let evaluator = Evaluator::new(&certificate).expect("an evaluator");
    let logits = evaluator
        .evaluate(Samples::Floats(&[1.7e308, 1.7e308, 1.6e308]))
        .expect("logits");
    assert!(!logits[0].error_up(0).is_finite());
}
