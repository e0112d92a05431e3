//! The enclosed evaluation of layers without weights against exact arithmetic; sines and cosines by their series in rationals.

use lipcert_proofs::rounding::forward::{Evaluator, Samples};
use lipcert_proofs::statement::{
    Activation, BlockOrder, ChannelActivation, Groupwise, Layer, NetworkMap, Over, PairMap, Pairing, Resample, Scale, Shape,
};
use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;

use crate::common::{abs, certify, exact, kernel, zero};
use crate::weightless::{IMAGE, coordinate, evaluate, layers, paired};

type Exact = BigRational;

/// `(cos x, sin x)` up to 1e-30, for `|x| ≤ 20`.
fn direction(x: &Exact) -> (Exact, Exact) {
    let (mut cos, mut sin, mut term) = (zero(), zero(), exact(1.0));
    for k in 0..110 {
        if k > 0 {
            // Rounded to 160 bits, so that the denominators do not grow.
            term = rounded(&(term * x / BigRational::from(BigInt::from(k))));
        }
        let signed = if k % 4 < 2 { term.clone() } else { -term.clone() };
        if k % 2 == 0 { cos += signed } else { sin += signed }
    }
    (cos, sin)
}

fn rounded(value: &Exact) -> Exact {
    let unit: BigInt = BigInt::from(1) << 160;
    BigRational::new((value * BigRational::from(unit.clone())).round().to_integer(), unit)
}

/// A root up to 1e-40.
fn root(value: &Exact) -> Exact {
    let unit: BigInt = BigInt::from(1) << 160;
    let square = (value * BigRational::from(unit.clone()) * BigRational::from(unit.clone())).to_integer();
    BigRational::new(square.sqrt(), unit)
}

fn larger(a: &Exact, b: &Exact) -> Exact {
    if a > b { a.clone() } else { b.clone() }
}

fn smaller(a: &Exact, b: &Exact) -> Exact {
    if a < b { a.clone() } else { b.clone() }
}

/// A pair to its image.
type Pair = Box<dyn Fn(&Exact, &Exact) -> Vec<Exact>>;

/// The map of a pair, by the published formulas.
fn pair(map: PairMap, angles: &[Exact]) -> Pair {
    let ray = |angle: &Exact| direction(&(angle * exact(0.5)));
    let mirrored = |(cos, sin): &(Exact, Exact), x: &Exact, y: &Exact| vec![x * cos + y * sin, x * sin - y * cos];
    match map {
        PairMap::Householder => {
            let ((cos, sin), whole) = (ray(&angles[0]), direction(&angles[0]));
            Box::new(move |x, y| {
                if x * &sin - y * &cos > zero() {
                    mirrored(&whole, x, y)
                } else {
                    vec![x.clone(), y.clone()]
                }
            })
        }
        PairMap::Projection => {
            let (cos, sin) = ray(&angles[0]);
            Box::new(move |x, y| {
                let y = abs(y);
                if x * &cos + &y * &sin >= zero() {
                    vec![y * &cos - x * &sin]
                } else {
                    vec![root(&(x * x + &y * &y))]
                }
            })
        }
        PairMap::Householder2 => {
            let [a, b, c] = [&angles[0], &angles[1], &angles[2]];
            // The last ray is that at (a + c)/2, turned by half a turn.
            let (cos, sin) = ray(&(a + c));
            let rays = [ray(a), ray(&(a + b)), ray(&(a + b + c)), (-cos, -sin)];
            let maps = [direction(&(a + b)), direction(c), direction(a)];
            Box::new(move |x, y| {
                let left = |k: usize| {
                    let (cos, sin) = &rays[k % 4];
                    cos * y - sin * x >= zero()
                };
                match (0..4).find(|k| left(*k) && !left(k + 1)) {
                    Some(1) => mirrored(&maps[0], x, y),
                    Some(2) => {
                        let (cos, sin) = &maps[1];
                        vec![x * cos + y * sin, y * cos - x * sin]
                    }
                    Some(3) => mirrored(&maps[2], x, y),
                    _ => vec![x.clone(), y.clone()],
                }
            })
        }
    }
}

/// The exact image of an image.
fn image(layer: &Layer, input: Shape, x: &[Exact]) -> Vec<Exact> {
    let Shape::Image { channels, height, width } = input else {
        unreachable!("an image")
    };
    let pixels = height * width;
    let at = |c: usize, row: usize, col: usize| &x[(c * height + row) * width + col];
    let (half, mut out) = (channels / 2, vec![zero(); layer.output_shape(input).expect("a shape").len()]);
    let sorted = |size: usize| {
        let mut out = x.to_vec();
        for pixel in 0..pixels {
            for group in (0..channels).step_by(size) {
                let mut values: Vec<Exact> = (group..group + size).map(|c| x[c * pixels + pixel].clone()).collect();
                values.sort();
                for (c, value) in values.into_iter().enumerate() {
                    out[(group + c) * pixels + pixel] = value;
                }
            }
        }
        out
    };
    let windows = |size: usize, stride: usize, pool: &dyn Fn(Vec<&Exact>) -> Exact| {
        let mut out = Vec::new();
        for c in 0..channels {
            for row in (0..=height - size).step_by(stride) {
                for col in (0..=width - size).step_by(stride) {
                    let places = (0..size).flat_map(|dy| (0..size).map(move |dx| (row + dy, col + dx)));
                    out.push(pool(places.map(|(row, col)| at(c, row, col)).collect()));
                }
            }
        }
        out
    };
    match layer {
        Layer::Activation(Activation::Abs) => x.iter().map(abs).collect(),
        Layer::ChannelActivation(ChannelActivation::Prelu { slope }) => {
            let entries = x.iter().enumerate();
            entries
                .map(|(i, v)| {
                    if *v < zero() {
                        v * exact(slope[i / pixels])
                    } else {
                        v.clone()
                    }
                })
                .collect()
        }
        Layer::ChannelActivation(ChannelActivation::N { lower, upper }) => {
            let (two, entries) = (exact(2.0), x.iter().enumerate());
            entries
                .map(|(i, v)| {
                    let (lower, upper) = (exact(lower[i / pixels]), exact(upper[i / pixels]));
                    if *v <= lower {
                        v - &two * lower
                    } else if *v <= upper {
                        -v
                    } else {
                        v - &two * upper
                    }
                })
                .collect()
        }
        Layer::Groupwise(Groupwise::MaxMin(pairing)) => {
            for i in 0..half {
                let (first, second) = match pairing {
                    Pairing::Split => (i, i + half),
                    Pairing::Adjacent => (2 * i, 2 * i + 1),
                };
                for p in 0..pixels {
                    let (a, b) = (&x[first * pixels + p], &x[second * pixels + p]);
                    (out[first * pixels + p], out[second * pixels + p]) = (larger(a, b), smaller(a, b));
                }
            }
            out
        }
        Layer::Groupwise(Groupwise::GroupSort { size }) => sorted(*size),
        Layer::Groupwise(Groupwise::FullSort) => sorted(channels),
        Layer::Groupwise(Groupwise::Crelu) => {
            let negative = x.iter().map(|v| larger(&-v, &zero()));
            x.iter().map(|v| larger(v, &zero())).chain(negative).collect()
        }
        Layer::Paired(map) => {
            let count = map.angles.len() / map.map.angles();
            for i in 0..half {
                let angles: Vec<Exact> = map.angles.iter().skip(i).step_by(count).map(|v| exact(*v)).collect();
                let apply = pair(map.map, &angles);
                for p in 0..pixels {
                    let values = apply(&x[i * pixels + p], &x[(half + i) * pixels + p]);
                    for (k, value) in values.into_iter().enumerate() {
                        out[(k * half + i) * pixels + p] = value;
                    }
                }
            }
            out
        }
        Layer::Resample(Resample::PixelUnshuffle { factor, order } | Resample::PixelShuffle { factor, order }) => {
            let (r, down) = (*factor, matches!(layer, Layer::Resample(Resample::PixelUnshuffle { .. })));
            let few = if down { channels } else { channels / r / r };
            let (rows, cols) = if down { (height / r, width / r) } else { (height, width) };
            for c in 0..few {
                for (i, j) in (0..r).flat_map(|i| (0..r).map(move |j| (i, j))) {
                    let deep = match order {
                        BlockOrder::ChannelFirst => (c * r + i) * r + j,
                        BlockOrder::BlockFirst => (i * r + j) * few + c,
                    };
                    for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
                        let small = (deep * rows + row) * cols + col;
                        let large = (c * rows * r + row * r + i) * cols * r + col * r + j;
                        let (from, to) = if down { (large, small) } else { (small, large) };
                        out[to] = x[from].clone();
                    }
                }
            }
            out
        }
        Layer::Resample(Resample::First { units }) => x[..units * pixels].to_vec(),
        Layer::Resample(Resample::Center(over)) => {
            let length = if *over == Over::All { x.len() } else { pixels };
            let centred = x.chunks(length).flat_map(|part| {
                let mean = part.iter().fold(zero(), |sum, v| sum + v) / BigRational::from(BigInt::from(length));
                part.iter().map(move |v| v - &mean)
            });
            centred.collect()
        }
        Layer::Resample(Resample::MaxPool { size, stride }) => {
            windows(*size, *stride, &|window| window.into_iter().max().expect("not empty").clone())
        }
        Layer::Resample(Resample::NormPool { size }) => windows(*size, *size, &|window| {
            root(&window.into_iter().fold(zero(), |sum, v| sum + v * v))
        }),
        Layer::Resample(Resample::PairMax) => (0..half * pixels).map(|i| larger(&x[i], &x[half * pixels + i])).collect(),
        other => unreachable!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Every entry of the exact image lies within the stated error, and the error is a few roundings.
    #[test]
    fn the_exact_image_lies_within_the_error(layer in layers(), x in prop::collection::vec(coordinate(), 96)) {
        let logits = &evaluate(&layer, IMAGE, &x)[0];
        let point: Vec<Exact> = x.iter().map(|v| exact(*v)).collect();
        let truth = image(&layer, IMAGE, &point);
        prop_assert_eq!(truth.len(), logits.values().len());
        let mut squares = zero();
        for (value, truth) in logits.values().iter().zip(&truth) {
            let error = exact(*value) - truth;
            squares += &error * &error;
        }
        // Roots and series are known up to 1e-30.
        let bound = exact(logits.feature_error_up()) + exact(1e-28);
        prop_assert!(squares <= &bound * &bound, "{:?}", layer);
        prop_assert!(logits.feature_error_up() < 1e-11, "{:?}", layer);
    }

    /// Next to the rays where a pair map changes from one formula to another, on both sides, thin and wide sectors included.
    #[test]
    fn a_switch_decided_the_other_way_is_covered(
        map in prop::sample::select(vec![PairMap::Householder, PairMap::Householder2, PairMap::Projection]),
        angles in prop::collection::vec(prop_oneof![3 => 0.0..3.1f64, 1 => Just(0.0), 1 => Just(std::f64::consts::PI), 1 => 0.0..1e-15f64], 3),
        which in 0usize..8, radius in prop_oneof![Just(1.0), Just(3e-310), Just(1e200), 0.1..10.0f64], steps in (-3i64..4, -3i64..4),
    ) {
        let angles = angles[..map.angles()].to_vec();
        let [a, b, c] = [angles[0], angles.get(1).copied().unwrap_or(0.0), angles.get(2).copied().unwrap_or(0.0)];
        let (pi, turn) = (std::f64::consts::PI, std::f64::consts::TAU);
        let ray = [0.5 * a, 0.5 * (a + b), 0.5 * (a + b + c), 0.5 * (a + c) + pi, 0.5 * (a + pi), 0.5 * (3.0 * pi - a), 0.5 * a + pi, turn][which];
        let step = |value: f64, count: i64| {
            let bits = value.abs().to_bits().saturating_add_signed(count);
            f64::from_bits(bits).copysign(value)
        };
        let (x, y) = (step(radius * ray.cos(), steps.0), step(radius * ray.sin(), steps.1));
        let layer = paired(map, angles.clone());
        let logits = &evaluate(&layer, Shape::Flat(2), &[x, y])[0];
        let angles: Vec<Exact> = angles.iter().map(|v| exact(*v)).collect();
        let truth = pair(map, &angles)(&exact(x), &exact(y));
        // Where the squares in the norms overflow nothing is claimed.
        if logits.feature_error_up().is_finite() {
            let squares = logits.values().iter().zip(&truth).fold(zero(), |sum, (value, truth)| {
                let error = exact(*value) - truth;
                sum + &error * &error
            });
            let bound = exact(logits.feature_error_up()) + exact(radius * 1e-28);
            prop_assert!(squares <= &bound * &bound, "{:?} {:?}", map, logits);
        } else {
            prop_assert!(radius > 1e100);
        }
    }

    /// Between two convolutions the image leaves its buffer and comes back.
    #[test]
    fn layers_between_convolutions(seed in prop::collection::vec(-1.0..1.0f64, 144 + 72 + 2), x in prop::collection::vec(0.0..1.0f64, 96)) {
        let residual = |channels: usize, entries: &[f64]| Layer::ResidualConv {
            kernel: kernel(1, channels, 3, entries.to_vec()),
            bias: vec![0.1],
            scale: Scale::Stored { factor: vec![0.01] },
        };
        let order = BlockOrder::ChannelFirst;
        let layers = [
            residual(4, &seed[..36]),
            Layer::Groupwise(Groupwise::MaxMin(Pairing::Split)),
            residual(4, &seed[36..72]),
            Layer::Resample(Resample::PixelUnshuffle { factor: 2, order }),
            residual(16, &seed[72..216]),
            Layer::Resample(Resample::First { units: 2 }),
            Layer::Flatten,
        ];
        let map = NetworkMap::new(IMAGE, layers.to_vec()).expect("a network");
        let certificate = certify(&map);
        let evaluator = Evaluator::new(&certificate).expect("an evaluator");
        // The same one layer at a time, each by itself, rounded to float64 in between.
        let mut step = x.clone();
        for (layer, input) in map.layers().iter().zip(map.input_shapes()) {
            if *layer != Layer::Flatten {
                step = evaluate(layer, input, &step)[0].values().to_vec();
            }
        }
        for logits in evaluator.evaluate(Samples::Floats(&[x.clone(), x].concat())).expect("logits") {
            for (value, truth) in logits.values().iter().zip(&step) {
                prop_assert!((value - truth).abs() <= 1e-13);
            }
            prop_assert!(logits.feature_error_up() < 1e-11);
        }
    }
}
