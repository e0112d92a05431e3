//! Activations on groups, rearrangements and pooling: bounds, vectors and enclosed evaluation.

use lipcert_proofs::CheckError;
use lipcert_proofs::rounding::forward::{EnclosedLogits, Evaluator, Samples};
use lipcert_proofs::rules::structural::bound_up;
use lipcert_proofs::statement::{
    Activation, BlockOrder, ChannelActivation, Groupwise, Layer, NetworkMap, Operation, Over, PairMap, Paired, Pairing, Resample,
    Shape,
};
use proptest::prelude::*;

use crate::common::{certify, flat, vector};

/// An image that every layer of [`layers`] takes.
pub(crate) const IMAGE: Shape = Shape::Image {
    channels: 4,
    height: 4,
    width: 6,
};

/// Numbers that lie on the kinks of [`layers`] often, and equal to each other.
pub(crate) fn coordinate() -> impl Strategy<Value = f64> {
    let kinks = prop::sample::select(vec![0.0, -0.0, 0.5, -0.5, 1.0, 0.5f64.next_up(), 0.5f64.next_down(), -1e-17]);
    prop_oneof![3 => -2.0..2.0f64, 2 => kinks]
}

/// One layer of every kind, with random parameters.
pub(crate) fn layers() -> impl Strategy<Value = Layer> {
    let plain = vec![
        Layer::Activation(Activation::Abs),
        Layer::Groupwise(Groupwise::MaxMin(Pairing::Split)),
        Layer::Groupwise(Groupwise::MaxMin(Pairing::Adjacent)),
        Layer::Groupwise(Groupwise::GroupSort { size: 2 }),
        Layer::Groupwise(Groupwise::FullSort),
        Layer::Groupwise(Groupwise::Crelu),
        unshuffle(2),
        shuffle(2),
        Layer::Resample(Resample::PixelUnshuffle {
            factor: 2,
            order: BlockOrder::BlockFirst,
        }),
        Layer::Resample(Resample::PixelShuffle {
            factor: 2,
            order: BlockOrder::BlockFirst,
        }),
        Layer::Resample(Resample::First { units: 3 }),
        Layer::Resample(Resample::Center(Over::All)),
        Layer::Resample(Resample::Center(Over::Channel)),
        Layer::Resample(Resample::MaxPool { size: 2, stride: 2 }),
        Layer::Resample(Resample::MaxPool { size: 3, stride: 1 }),
        Layer::Resample(Resample::MaxPool { size: 3, stride: 2 }),
        Layer::Resample(Resample::NormPool { size: 2 }),
        Layer::Resample(Resample::PairMax),
        n_activation(-0.5, 0.5, 4),
    ];
    let angles = |map: PairMap, most: f64| {
        let angle = prop_oneof![4 => 0.0..most, 1 => Just(0.0), 1 => Just(most)];
        prop::collection::vec(angle, 2 * map.angles()).prop_map(move |angles| paired(map, angles))
    };
    prop_oneof![
        6 => prop::sample::select(plain),
        1 => prop::collection::vec(-3.0..3.0f64, 4).prop_map(|slope| prelu(&slope)),
        2 => angles(PairMap::Householder, 7.0),
        2 => angles(PairMap::Householder2, std::f64::consts::TAU),
        2 => angles(PairMap::Projection, std::f64::consts::PI),
    ]
}

fn prelu(slope: &[f64]) -> Layer {
    let slope = slope.to_vec();
    Layer::ChannelActivation(ChannelActivation::Prelu { slope })
}

fn unshuffle(factor: usize) -> Layer {
    let order = BlockOrder::ChannelFirst;
    Layer::Resample(Resample::PixelUnshuffle { factor, order })
}

fn shuffle(factor: usize) -> Layer {
    let order = BlockOrder::ChannelFirst;
    Layer::Resample(Resample::PixelShuffle { factor, order })
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

/// The layer alone, flattened behind an image.
pub(crate) fn evaluate(layer: &Layer, input: Shape, samples: &[f64]) -> Vec<EnclosedLogits> {
    let mut layers = vec![layer.clone()];
    if matches!(layer.output_shape(input).expect("a shape"), Shape::Image { .. }) {
        layers.push(Layer::Flatten);
    }
    let map = NetworkMap::new(input, layers).expect("a network");
    let certificate = certify(&map);
    let evaluator = Evaluator::new(&certificate).expect("an evaluator");
    evaluator.evaluate(Samples::Floats(samples)).expect("logits")
}

pub(crate) fn paired(map: PairMap, angles: Vec<f64>) -> Layer {
    Layer::Paired(Paired { map, angles })
}

fn n_activation(lower: f64, upper: f64, units: usize) -> Layer {
    Layer::ChannelActivation(ChannelActivation::N {
        lower: vec![lower; units],
        upper: vec![upper; units],
    })
}

/// Every entry of the vectors, within the reported error and a few bits of the digits' own computation.
#[test]
fn the_vectors_are_reproduced() {
    let v = vector("activations");
    let z = flat(&v["z"]);
    let theta = flat(&v["theta"]);
    for (name, layer) in [
        ("maxmin_split", Layer::Groupwise(Groupwise::MaxMin(Pairing::Split))),
        ("maxmin_adjacent", Layer::Groupwise(Groupwise::MaxMin(Pairing::Adjacent))),
        (
            "groupsort2_adjacent_ascending",
            Layer::Groupwise(Groupwise::GroupSort { size: 2 }),
        ),
        ("fullsort", Layer::Groupwise(Groupwise::FullSort)),
        ("crelu_torchlip_maxmin", Layer::Groupwise(Groupwise::Crelu)),
        ("householder1_split", paired(PairMap::Householder, theta.clone())),
        (
            "householder1_theta_pi_half",
            paired(PairMap::Householder, vec![std::f64::consts::FRAC_PI_2; 3]),
        ),
        ("n_activation_theta(-1,0)", n_activation(-1.0, 0.0, 6)),
        ("n_activation_theta(-0.5,0.8)", n_activation(-0.5, 0.8, 6)),
        ("lippool_theta", paired(PairMap::Projection, theta)),
    ] {
        let logits = &evaluate(&layer, Shape::Flat(6), &z)[0];
        let expected = flat(&v[name]);
        assert_eq!(logits.values().len(), expected.len(), "{name}");
        for (class, (ours, theirs)) in logits.values().iter().zip(expected).enumerate() {
            let tolerance = logits.error_up(class) + 4.0 * f64::EPSILON * theirs.abs();
            assert!((ours - theirs).abs() <= tolerance, "{name}: {ours} {theirs}");
            assert!(logits.error_up(class) < 1e-12, "{name}");
        }
    }
}

/// (layer, input, bound, shape of the output).
#[test]
fn accept_table() {
    let image = |channels, height, width| Shape::Image { channels, height, width };
    let resample = Layer::Resample;
    for (layer, input, bound, output) in [
        (Layer::Activation(Activation::Abs), Shape::Flat(3), 1.0, Shape::Flat(3)),
        (prelu(&[0.5, -3.0]), image(2, 1, 4), 3.0, image(2, 1, 4)),
        (prelu(&[0.5, -0.5]), Shape::Flat(2), 1.0, Shape::Flat(2)),
        (n_activation(0.5, 0.5, 3), Shape::Flat(3), 1.0, Shape::Flat(3)),
        (
            Layer::Groupwise(Groupwise::GroupSort { size: 3 }),
            image(6, 2, 2),
            1.0,
            image(6, 2, 2),
        ),
        (Layer::Groupwise(Groupwise::Crelu), image(3, 2, 2), 1.0, image(6, 2, 2)),
        (
            paired(PairMap::Householder, vec![-1024.0, 1024.0]),
            image(4, 1, 1),
            1.0,
            image(4, 1, 1),
        ),
        (
            paired(PairMap::Householder2, vec![0.0, std::f64::consts::TAU, 1.0]),
            Shape::Flat(2),
            1.0,
            Shape::Flat(2),
        ),
        (
            paired(PairMap::Projection, vec![0.0, std::f64::consts::PI]),
            image(4, 2, 3),
            1.0,
            image(2, 2, 3),
        ),
        (unshuffle(3), image(2, 3, 6), 1.0, image(18, 1, 2)),
        (shuffle(2), image(8, 1, 2), 1.0, image(2, 2, 4)),
        (resample(Resample::First { units: 2 }), image(3, 2, 2), 1.0, image(2, 2, 2)),
        (resample(Resample::First { units: 3 }), Shape::Flat(3), 1.0, Shape::Flat(3)),
        (
            resample(Resample::PadFeatures { features: 5 }),
            Shape::Flat(3),
            1.0,
            Shape::Flat(5),
        ),
        (resample(Resample::Center(Over::All)), Shape::Flat(3), 1.0, Shape::Flat(3)),
        (resample(Resample::Center(Over::Channel)), image(2, 2, 2), 1.0, image(2, 2, 2)),
        (
            resample(Resample::MaxPool { size: 2, stride: 2 }),
            image(1, 4, 4),
            1.0,
            image(1, 2, 2),
        ),
        (
            resample(Resample::MaxPool { size: 2, stride: 5 }),
            image(1, 4, 4),
            1.0,
            image(1, 1, 1),
        ),
        (
            resample(Resample::MaxPool { size: 3, stride: 2 }),
            image(1, 6, 5),
            2.0,
            image(1, 2, 2),
        ),
        (
            resample(Resample::MaxPool { size: 3, stride: 1 }),
            image(1, 5, 5),
            3.0,
            image(1, 3, 3),
        ),
        (resample(Resample::NormPool { size: 2 }), image(2, 2, 4), 1.0, image(2, 1, 2)),
        (resample(Resample::PairMax), image(4, 2, 2), 1.0, image(2, 2, 2)),
    ] {
        assert!((bound_up(&layer).expect("a bound") - bound).abs() <= 0.0, "{layer:?}");
        assert_eq!(layer.output_shape(input), Ok(output), "{layer:?}");
        assert!(layer.is_structural());
    }
}

#[test]
fn reject_table() {
    let refused = |layer: Layer, n: usize| layer.output_shape(Shape::Flat(n)).expect_err("malformed");
    for (layer, n) in [
        (prelu(&[0.5]), 2),
        (n_activation(0.0, 1.0, 3), 2),
        (Layer::Groupwise(Groupwise::MaxMin(Pairing::Split)), 3),
        (Layer::Groupwise(Groupwise::MaxMin(Pairing::Adjacent)), 5),
        (Layer::Groupwise(Groupwise::GroupSort { size: 2 }), 3),
        (Layer::Groupwise(Groupwise::GroupSort { size: 0 }), 3),
        (paired(PairMap::Householder, vec![1.0]), 3),
        (paired(PairMap::Householder, vec![1.0]), 4),
        (paired(PairMap::Householder2, vec![1.0, 1.0]), 2),
        (unshuffle(2), 4),
        (shuffle(2), 4),
        (Layer::Resample(Resample::First { units: 5 }), 4),
        (Layer::Resample(Resample::First { units: 0 }), 4),
        (Layer::Resample(Resample::PadFeatures { features: 3 }), 4),
        (Layer::Resample(Resample::Center(Over::Channel)), 4),
        (Layer::Resample(Resample::MaxPool { size: 1, stride: 1 }), 4),
        (Layer::Resample(Resample::NormPool { size: 1 }), 4),
        (Layer::Resample(Resample::PairMax), 3),
    ] {
        assert!(matches!(refused(layer.clone(), n), CheckError::Shape { .. }), "{layer:?}");
    }
    assert!(matches!(
        refused(prelu(&[f64::NAN]), 1),
        CheckError::NotFinite { what: "slope", .. }
    ));
    assert!(matches!(
        refused(n_activation(1.0, 0.5, 1), 1),
        CheckError::NotOrdered {
            what: "theta",
            index: 0,
            ..
        }
    ));
    assert!(matches!(
        refused(n_activation(f64::NAN, 0.5, 1), 1),
        CheckError::NotFinite { .. }
    ));
    for (map, angles) in [
        (PairMap::Householder, vec![1025.0]),
        (PairMap::Householder2, vec![1.0, -1e-9, 1.0]),
        (PairMap::Householder2, vec![1.0, 1.0, std::f64::consts::TAU.next_up()]),
        (PairMap::Projection, vec![std::f64::consts::PI.next_up()]),
        (PairMap::Projection, vec![-1e-300]),
    ] {
        assert!(
            matches!(
                refused(paired(map, angles.clone()), 2),
                CheckError::OutOfRange { what: "theta", .. }
            ),
            "{map:?} {angles:?}"
        );
    }
    let square = Shape::Image {
        channels: 1,
        height: 4,
        width: 4,
    };
    for layer in [
        unshuffle(0),
        unshuffle(3),
        shuffle(0),
        shuffle(2),
        Layer::Resample(Resample::MaxPool { size: 5, stride: 1 }),
        Layer::Resample(Resample::MaxPool { size: 2, stride: 0 }),
        Layer::Resample(Resample::NormPool { size: 3 }),
    ] {
        assert!(
            matches!(layer.output_shape(square), Err(CheckError::Shape { .. })),
            "{layer:?}"
        );
    }
    let wide = Shape::Flat(1 << 24);
    assert!(matches!(
        Layer::Groupwise(Groupwise::Crelu).output_shape(wide),
        Err(CheckError::TooLarge { .. })
    ));
}

proptest! {
    /// A second method for the bounds: quotients of evaluated points, near each other and next to kinks, never exceed them.
    #[test]
    fn no_quotient_exceeds_the_bound(
        layer in layers(), x in prop::collection::vec(coordinate(), 96), y in prop::collection::vec(coordinate(), 96), scale in prop_oneof![Just(1.0), Just(1e-3), Just(1e-6)],
    ) {
        let y: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x + scale * y).collect();
        prop_assume!(x != y);
        let samples = [x.clone(), y.clone()].concat();
        let images = evaluate(&layer, IMAGE, &samples);
        let moved = distance(images[0].values(), images[1].values());
        let error = images[0].feature_error_up() + images[1].feature_error_up();
        let bound = bound_up(&layer).expect("a bound");
        // Norms of 96 differences: far below 1e-12 relative.
        prop_assert!(moved <= bound * distance(&x, &y) * (1.0 + 1e-12) + error, "{layer:?}: {moved} {error}");
    }
}

/// The bounds are reached: none could be smaller.
#[test]
fn the_bounds_are_sharp() {
    let input = Shape::Image {
        channels: 1,
        height: 5,
        width: 5,
    };
    // One pixel above all others lies in every window.
    let mut samples = vec![0.0; 50];
    (samples[12], samples[37]) = (1.0, 2.0);
    let layer = Layer::Resample(Resample::MaxPool { size: 3, stride: 1 });
    let images = evaluate(&layer, input, &samples);
    assert!((distance(images[0].values(), images[1].values()) - 3.0).abs() < 1e-12);
    let images = evaluate(&prelu(&[-3.0]), Shape::Flat(1), &[-1.0, -2.0]);
    assert!((distance(images[0].values(), images[1].values()) - 3.0).abs() < 1e-12);
}

/// What a layer drops may have overflowed: then nothing is known of the rest either.
#[test]
fn an_overflow_that_is_dropped_is_not_hidden() {
    let layers = vec![
        Layer::Elementwise {
            operation: Operation::Multiply,
            operand: vec![1.0, 1e250],
        },
        Layer::Resample(Resample::First { units: 1 }),
    ];
    let map = NetworkMap::new(Shape::Flat(2), layers).expect("a network");
    let certificate = certify(&map);
    let evaluator = Evaluator::new(&certificate).expect("an evaluator");
    let logits = evaluator.evaluate(Samples::Floats(&[1.0, 1e100])).expect("logits");
    assert!(!logits[0].error_up(0).is_finite());
    let logits = evaluator.evaluate(Samples::Floats(&[1.0, 1e-200])).expect("logits");
    assert!(logits[0].error_up(0).is_finite());
}
