//! Activations on groups, rearrangements and pooling: bounds, vectors and enclosed evaluation.

use lipcert_proofs::rounding::forward::{EnclosedLogits, Evaluator, Samples};
use lipcert_proofs::statement::{ChannelActivation, Groupwise, Layer, NetworkMap, PairMap, Paired, Pairing, Shape};

use crate::common::{certify, flat, vector};

/// The layer alone, flattened behind an image.
fn evaluate(layer: &Layer, input: Shape, samples: &[f64]) -> Vec<EnclosedLogits> {
    let mut layers = vec![layer.clone()];
    if matches!(layer.output_shape(input).expect("a shape"), Shape::Image { .. }) {
        layers.push(Layer::Flatten);
    }
    let map = NetworkMap::new(input, layers).expect("a network");
    let certificate = certify(&map);
    let evaluator = Evaluator::new(&certificate).expect("an evaluator");
    evaluator.evaluate(Samples::Floats(samples)).expect("logits")
}

fn paired(map: PairMap, angles: Vec<f64>) -> Layer {
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
