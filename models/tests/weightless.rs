//! Activations on groups, rearrangements and pooling: the plain forward pass against worked digits, and their declarations.

mod common;

use common::{file, repository, safetensors};
use lipcert_models::ModelError;
use lipcert_models::architecture::{Architecture, METADATA_KEY};
use lipcert_models::checkpoint::Checkpoint;
use lipcert_models::forward::{Float, Prepared};
use lipcert_models::network::{LoadOptions, Network};
use lipcert_models::parameterization::structural::STRUCTURAL;
use lipcert_proofs::statement::{
    BlockOrder, ChannelActivation, Groupwise, Layer, NetworkMap, Over, PairMap, Paired, Pairing, Resample, Shape,
};
use ndarray::Array2;
use serde_json::Value;

/// One sample through one layer.
fn apply<T: Float>(layer: Layer, input: Shape, sample: &[f64]) -> Vec<T> {
    let mut layers = vec![layer];
    if matches!(layers[0].output_shape(input).expect("a shape"), Shape::Image { .. }) {
        layers.push(Layer::Flatten);
    }
    let map = NetworkMap::new(input, layers).expect("a network");
    let sample = sample.iter().map(|value| T::of(*value)).collect();
    let sample = Array2::from_shape_vec((1, input.len()), sample).expect("one sample");
    Prepared::<T>::new(&map)
        .evaluate(sample.view())
        .expect("logits")
        .into_iter()
        .collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list");
    list.iter().map(|value| value.as_f64().expect("a number")).collect()
}

#[test]
fn the_vectors_are_reproduced() {
    let text = std::fs::read_to_string(repository("tests/fixtures/vectors/activations.json")).expect("the vectors");
    let vectors: Value = serde_json::from_str(&text).expect("JSON");
    let (z, theta) = (numbers(&vectors["z"]), numbers(&vectors["theta"]));
    let paired = |map, angles: &[f64]| {
        let angles = angles.to_vec();
        Layer::Paired(Paired { map, angles })
    };
    let n = |lower: f64, upper: f64| {
        let (lower, upper) = (vec![lower; 6], vec![upper; 6]);
        Layer::ChannelActivation(ChannelActivation::N { lower, upper })
    };
    let right = [std::f64::consts::FRAC_PI_2; 3];
    let cases = [
        ("maxmin_split", Layer::Groupwise(Groupwise::MaxMin(Pairing::Split))),
        ("maxmin_adjacent", Layer::Groupwise(Groupwise::MaxMin(Pairing::Adjacent))),
        (
            "groupsort2_adjacent_ascending",
            Layer::Groupwise(Groupwise::GroupSort { size: 2 }),
        ),
        ("fullsort", Layer::Groupwise(Groupwise::FullSort)),
        ("householder1_split", paired(PairMap::Householder, &theta)),
        ("householder1_theta_pi_half", paired(PairMap::Householder, &right)),
        ("n_activation_theta(-1,0)", n(-1.0, 0.0)),
        ("n_activation_theta(-0.5,0.8)", n(-0.5, 0.8)),
        ("lippool_theta", paired(PairMap::Projection, &theta)),
        ("crelu_torchlip_maxmin", Layer::Groupwise(Groupwise::Crelu)),
    ];
    let entries = vectors.as_object().expect("an object").keys();
    let known = |key: &&String| !["doc", "z", "theta"].contains(&key.as_str());
    assert_eq!(entries.filter(known).count(), cases.len(), "every entry is a case");
    for (name, layer) in cases {
        let expected = numbers(&vectors[name]);
        let ours = apply::<f64>(layer.clone(), Shape::Flat(6), &z);
        assert_eq!(ours.len(), expected.len(), "{name}");
        for (ours, theirs) in ours.iter().zip(&expected) {
            // The same few operations on numbers below 3, up to their order.
            assert!((ours - theirs).abs() <= 8.0 * f64::EPSILON, "{name}: {ours} {theirs}");
        }
        for (ours, theirs) in apply::<f32>(layer, Shape::Flat(6), &z).iter().zip(&expected) {
            assert!(
                (f64::from(*ours) - theirs).abs() <= 16.0 * f64::from(f32::EPSILON),
                "{name}: {ours} {theirs}"
            );
        }
    }
}

/// The layout of the two orders on two channels of 2 × 4: entry `c·8 + row·4 + col`.
#[test]
fn blocks_of_pixels_become_channels_in_two_orders() {
    let input = Shape::Image {
        channels: 2,
        height: 2,
        width: 4,
    };
    let sample: Vec<f64> = (0..16).map(f64::from).collect();
    let by = |order| apply::<f64>(Layer::Resample(Resample::PixelUnshuffle { factor: 2, order }), input, &sample);
    // Channels of PyTorch: (channel, row, column) with the channel slowest.
    let first = [0., 2., 1., 3., 4., 6., 5., 7., 8., 10., 9., 11., 12., 14., 13., 15.];
    assert_eq!(by(BlockOrder::ChannelFirst), first);
    // Concatenation pooling: for each position in the block all channels.
    let last = [0., 2., 8., 10., 1., 3., 9., 11., 4., 6., 12., 14., 5., 7., 13., 15.];
    assert_eq!(by(BlockOrder::BlockFirst), last);
    let small = Shape::Image {
        channels: 8,
        height: 1,
        width: 2,
    };
    for (order, unshuffled) in [(BlockOrder::ChannelFirst, first), (BlockOrder::BlockFirst, last)] {
        let shuffle = Layer::Resample(Resample::PixelShuffle { factor: 2, order });
        assert_eq!(apply::<f64>(shuffle, small, &unshuffled), sample, "the inverse");
    }
}

#[test]
fn pooling_and_means() {
    let input = Shape::Image {
        channels: 1,
        height: 2,
        width: 3,
    };
    let sample = [3.0, 4.0, -1.0, 0.0, 0.0, 7.0];
    let resample = |map| apply::<f64>(Layer::Resample(map), input, &sample);
    assert_eq!(resample(Resample::MaxPool { size: 2, stride: 1 }), [4.0, 7.0]);
    assert_eq!(resample(Resample::MaxPool { size: 2, stride: 2 }), [4.0]);
    assert_eq!(resample(Resample::NormPool { size: 1 }), [3.0, 4.0, 1.0, 0.0, 0.0, 7.0]);
    let mean = 13.0 / 6.0;
    assert_eq!(resample(Resample::Center(Over::Channel)), sample.map(|v| v - mean));
    let flat = |map, sample: &[f64]| apply::<f64>(Layer::Resample(map), Shape::Flat(sample.len()), sample);
    assert_eq!(flat(Resample::Center(Over::All), &[1.0, 3.0]), [-1.0, 1.0]);
    assert_eq!(flat(Resample::First { units: 1 }, &[1.0, 3.0]), [1.0]);
    assert_eq!(flat(Resample::PadFeatures { features: 3 }, &[1.0, 3.0]), [1.0, 3.0, 0.0]);
    assert_eq!(flat(Resample::PairMax, &[1.0, 5.0, 3.0, -5.0]), [3.0, 5.0]);
    let square = Shape::Image {
        channels: 1,
        height: 2,
        width: 2,
    };
    let norm = Layer::Resample(Resample::NormPool { size: 2 });
    assert_eq!(apply::<f64>(norm, square, &[2.0, 4.0, -2.0, 5.0]), [7.0]);
}

/// A declaration with these layers for these tensors, on an image or a vector.
fn declared(input: &str, layers: &str, tensors: &[(&str, &[usize], Vec<f32>)]) -> Result<(Network, Architecture), ModelError> {
    let text = format!(r#"{{"schema":"lipcert/architecture/1","name":"mixed","input":{input},"layers":[{layers}]}}"#);
    let place = file(&safetensors(&[(METADATA_KEY, &text)], tensors));
    let checkpoint = Checkpoint::open(place.path())?;
    let network = Network::load(&checkpoint, &LoadOptions::default())?;
    let architecture = Architecture::detect(&checkpoint)?;
    let again = std::collections::BTreeMap::from([(METADATA_KEY.to_owned(), architecture.declaration())]);
    let again = Architecture::from_tensors(checkpoint.tensors(), &again).expect("our own declaration");
    assert_eq!(again, architecture);
    Ok((network, architecture))
}

#[test]
fn every_kind_can_be_declared() {
    let layers = r#"
        {"kind":"pixel-unshuffle","name":"a","factor":2,"order":"channel-first"},{"kind":"max-min","name":"b","pairing":"split"},
        {"kind":"max-min","name":"c","pairing":"adjacent"},{"kind":"group-sort","name":"d","size":4},{"kind":"full-sort","name":"e"},
        {"kind":"abs","name":"f"},{"kind":"prelu","name":"g"},{"kind":"lprelu","name":"h"},{"kind":"n-activation","name":"i"},
        {"kind":"householder","name":"j"},{"kind":"householder-2","name":"k"},{"kind":"center","name":"l","over":"channel"},
        {"kind":"pixel-shuffle","name":"m","factor":2,"order":"block-first"},{"kind":"max-pool","name":"n","size":3,"stride":1},
        {"kind":"crelu","name":"o"},{"kind":"projection-pool","name":"p"},{"kind":"norm-pool","name":"q","size":2},
        {"kind":"flatten","name":"r"},{"kind":"pad-features","name":"s","features":6},{"kind":"center","name":"t","over":"all"},
        {"kind":"pair-max","name":"u"},{"kind":"first-channels","name":"v","channels":2}"#;
    let tensors: Vec<(&str, &[usize], Vec<f32>)> = vec![
        ("g.weight", &[4], vec![0.5, -3.0, 0.0, 1.0]),
        ("h.weight", &[1], vec![-3.0]),
        ("i.theta", &[4, 2], vec![1.0, -1.0, 0.0, 0.0, -2.0, -1.0, 0.5, 0.25]),
        ("j.theta", &[1, 2, 1, 1], vec![0.5, 9.0]),
        ("k.theta0", &[2], vec![0.5, 1.0]),
        ("k.theta1", &[2], vec![-0.5, 1.0]),
        ("k.theta2", &[2], vec![0.5, 9.0]),
        ("p.theta", &[1], vec![4.0]),
    ];
    let (network, architecture) = declared("[1,6,6]", layers, &tensors).expect("all kinds");
    assert_eq!(architecture.parameters(), 4 + 1 + 8 + 2 + 6 + 1);
    assert_eq!(network.map.classes(), 2);
    assert_eq!(network.map.head(), None);
    let layer = |name: &str| {
        let index = network.names.iter().position(|other| other == name).expect(name);
        &network.map.layers()[index]
    };
    let lprelu = ChannelActivation::Prelu { slope: vec![-1.0; 4] };
    assert_eq!(layer("h"), &Layer::ChannelActivation(lprelu), "one slope for all, clamped");
    let sorted = ChannelActivation::N {
        lower: vec![-1.0, 0.0, -2.0, 0.25],
        upper: vec![1.0, 0.0, -1.0, 0.5],
    };
    assert_eq!(layer("i"), &Layer::ChannelActivation(sorted));
    let angles = vec![0.5, 1.0, 0.0, 1.0, 0.5, std::f64::consts::TAU];
    let map = PairMap::Householder2;
    assert_eq!(layer("k"), &Layer::Paired(Paired { map, angles }), "clamped to [0, 2π]");
    let angles = vec![std::f64::consts::PI];
    let map = PairMap::Projection;
    assert_eq!(layer("p"), &Layer::Paired(Paired { map, angles }), "clamped to [0, π]");
    // What is declared has a row in the table of maps or of families.
    let families = lipcert_models::parameterization::FAMILIES;
    for layer in network.map.layers().iter().filter(|layer| layer.kind() != "prelu") {
        let kind = layer.kind();
        let rows = STRUCTURAL.iter().chain(families).filter(|family| family.name == kind);
        assert_eq!(rows.count(), 1, "{kind}");
    }
}

#[test]
fn malformed_declarations_are_refused() {
    let image = "[3,4,4]";
    for (input, layer, reason) in [
        (
            image,
            r#"{"kind":"max-min","name":"a","pairing":"split"}"#,
            "`max-min` has shape [3], expected [2]",
        ),
        (image, r#"{"kind":"max-min","name":"a"}"#, "missing field `pairing`"),
        (
            image,
            r#"{"kind":"max-min","name":"a","pairing":"half"}"#,
            "unknown variant `half`",
        ),
        (
            image,
            r#"{"kind":"group-sort","name":"a","size":0}"#,
            "`group-sort` has shape [3], expected [0]",
        ),
        (
            image,
            r#"{"kind":"group-sort","name":"a","size":2}"#,
            "`group-sort` has shape [3], expected [2]",
        ),
        (
            image,
            r#"{"kind":"pixel-unshuffle","name":"a","factor":3,"order":"channel-first"}"#,
            "`pixel-unshuffle` has shape [3, 4, 4]",
        ),
        (
            image,
            r#"{"kind":"pixel-unshuffle","name":"a","factor":0,"order":"channel-first"}"#,
            "`pixel-unshuffle` has shape [3, 4, 4]",
        ),
        (
            image,
            r#"{"kind":"pixel-shuffle","name":"a","factor":2,"order":"channel-first"}"#,
            "`pixel-shuffle` has shape [3, 4, 4]",
        ),
        (
            image,
            r#"{"kind":"pixel-shuffle","name":"a","factor":9999999999,"order":"channel-first"}"#,
            "size 9999999999 is larger",
        ),
        (
            image,
            r#"{"kind":"first-channels","name":"a","channels":4}"#,
            "`first-channels` has shape [3, 4, 4], expected [4]",
        ),
        (
            image,
            r#"{"kind":"first-channels","name":"a","channels":0}"#,
            "`first-channels` has shape [3, 4, 4], expected [0]",
        ),
        (
            image,
            r#"{"kind":"pad-features","name":"a","features":99}"#,
            "`pad-features` has shape [3, 4, 4], expected [99]",
        ),
        (
            "[4]",
            r#"{"kind":"pad-features","name":"a","features":3}"#,
            "`pad-features` has shape [4], expected [3]",
        ),
        (
            "[4]",
            r#"{"kind":"center","name":"a","over":"channel"}"#,
            "`center` has shape [4]",
        ),
        (
            image,
            r#"{"kind":"max-pool","name":"a","size":5,"stride":1}"#,
            "`max-pool` has shape [3, 4, 4], expected [0, 5, 5]",
        ),
        (
            image,
            r#"{"kind":"max-pool","name":"a","size":2,"stride":0}"#,
            "`max-pool` has shape [3, 4, 4]",
        ),
        (
            image,
            r#"{"kind":"norm-pool","name":"a","size":3}"#,
            "`norm-pool` has shape [3, 4, 4], expected [0, 3, 3]",
        ),
        (
            image,
            r#"{"kind":"pair-max","name":"a"}"#,
            "`pair-max` has shape [3], expected [2]",
        ),
        (image, r#"{"kind":"prelu","name":"a"}"#, "tensor `a.weight` is missing"),
        (
            image,
            r#"{"kind":"householder-2","name":"a"}"#,
            "tensor `a.theta0` is missing",
        ),
        (
            image,
            r#"{"kind":"abs","name":"a"}"#,
            "layer 0 of kind `abs` may not stand there",
        ),
    ] {
        let error = declared(input, layer, &[]).expect_err(layer).to_string();
        assert!(error.contains(reason), "{layer}: {error}");
    }
    // Twice as many channels with every layer: refused before anything is computed.
    let doubling: Vec<String> = (0..90).map(|k| format!(r#"{{"kind":"crelu","name":"{k}"}}"#)).collect();
    let error = declared("[4]", &doubling.join(","), &[]).expect_err("too large").to_string();
    assert!(error.contains("at most 16777216"), "{error}");
}

/// A residual layer is 1-Lipschitz for slopes in [0, 1] only: `x − 2 T⁻¹ |x|` on one number is `3x` below zero.
#[test]
fn a_residual_layer_with_another_activation_is_refused() {
    let tensors: Vec<(&str, &[usize], Vec<f32>)> = vec![
        ("a.weight", &[1, 2], vec![1.0, 0.0]),
        ("a.bias", &[1], vec![0.0]),
        ("a.q", &[1], vec![0.0]),
    ];
    let load = |activation: &str| {
        let layer = format!(r#"{{"kind":"sll-dense","name":"a"{activation}}}"#);
        declared("[2]", &layer, &tensors)
    };
    load("").expect("relu by definition");
    load(r#","activation":"relu""#).expect("relu by name");
    for activation in ["abs", "max-min", "group-sort", "n-activation", "leaky-relu"] {
        let error = load(&format!(r#","activation":"{activation}""#))
            .expect_err(activation)
            .to_string();
        let reason = format!("layer `a` of kind `sll-dense` applies relu by definition, not `{activation}`");
        assert!(error.contains(&reason) && error.contains("slopes in [0, 1]"), "{error}");
    }
    for kind in [
        "sll-conv",
        "sll-conv-weighted",
        "residual-conv",
        "aol-dense",
        "residual-dense",
    ] {
        let layer = format!(r#"{{"kind":"{kind}","name":"a","activation":"abs"}}"#);
        let error = declared("[2]", &layer, &tensors).expect_err(kind).to_string();
        assert!(
            error.contains(&format!("of kind `{kind}` applies relu by definition")),
            "{error}"
        );
    }
}
