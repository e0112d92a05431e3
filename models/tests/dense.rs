//! Dense networks from every format: the same numbers, whatever the file.

mod common;

use std::path::Path;

use common::{repository, shared};
use lipcert_models::architecture::Architecture;
use lipcert_models::checkpoint::{Checkpoint, Format};
use lipcert_models::forward::Prepared;
use lipcert_models::inspect::{Oddity, Severity, inspect};
use lipcert_models::network::{LoadOptions, Network, image};
use lipcert_proofs::certificate::{GramClaim, GramWitness, LayerCertificate, LayerClaim, Prepared as Rules, Witness};
use lipcert_proofs::rounding::forward::{Evaluator, Samples};
use lipcert_proofs::rules::{compose::NetworkCertificate, structural};
use lipcert_proofs::statement::{Activation, Layer, Operation, Output, Shape};
use ndarray::Array2;

fn load_with(path: &Path, options: &LoadOptions) -> Network {
    let checkpoint = Checkpoint::open(path).unwrap_or_else(|cause| panic!("{cause}"));
    Network::load(&checkpoint, options).unwrap_or_else(|cause| panic!("{cause}"))
}

fn load(path: &Path) -> Network {
    load_with(path, &LoadOptions::default())
}

/// A file that `dense.py` wrote.
fn fixture(name: &str) -> std::path::PathBuf {
    repository("models/tests/fixtures/dense").join(name)
}

/// The layers as numbers that can be compared bit by bit.
fn bits(network: &Network) -> Vec<(&'static str, Vec<u64>)> {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let layers = network.map.layers().iter().map(|layer| {
        let numbers = match layer {
            Layer::Dense { weight, bias } => [bits(weight.data()), bits(bias)].concat(),
            Layer::Activation(Activation::LeakyRelu { slope }) => vec![slope.to_bits()],
            Layer::Elementwise { operand, .. } => bits(operand),
            _ => Vec::new(),
        };
        (layer.kind(), numbers)
    });
    layers.collect()
}

#[test]
fn every_format_gives_the_same_layers() {
    let expected = load(&fixture("net.npz"));
    assert_eq!(expected.architecture, "dense-relu");
    assert_eq!(expected.names, ["0", "0.relu", "1", "1.relu", "2"]);
    assert_eq!(expected.map.input(), Shape::Flat(6));
    assert_eq!(expected.parameters, 6 * 4 + 4 + 4 * 4 + 4 + 4 * 3 + 3);
    for name in [
        "gemm.onnx",
        "floats.onnx",
        "rows.onnx",
        "columns.onnx",
        "constants.onnx",
        "external.onnx",
        "cells.mat",
        "plain.mat",
        "rows.mat",
    ] {
        let network = load(&fixture(name));
        assert_eq!(network.map, expected.map, "{name}");
        assert_eq!(bits(&network), bits(&expected), "{name}");
        assert_eq!(network.parameters, expected.parameters, "{name}");
        let onnx = name.ends_with(".onnx");
        assert_eq!(network.architecture, if onnx { "onnx" } else { "dense-relu" }, "{name}");
    }
    for (name, twin) in [("whole.mat", "whole.npz"), ("lists.txt", "lists.npz")] {
        assert_eq!(bits(&load(&fixture(name))), bits(&load(&fixture(twin))), "{name}");
    }
}

#[test]
fn images_are_flattened() {
    let flat = load(&fixture("net.npz"));
    for name in ["image.onnx", "flatten.onnx"] {
        let network = load(&fixture(name));
        assert_eq!(network.map.input(), image([1, 2, 3]), "{name}");
        assert_eq!(network.map.layers()[0], Layer::Flatten, "{name}");
        assert_eq!(network.map.layers()[1..], flat.map.layers()[..], "{name}");
    }
    let options = LoadOptions {
        input: Some(image([1, 2, 3])),
        preprocess: "mean=0.5;std=0.25".parse().expect("one channel"),
    };
    for name in ["net.npz", "gemm.onnx", "cells.mat"] {
        let network = load_with(&fixture(name), &options);
        assert_eq!(network.names[..2], ["normalize", "flatten"], "{name}");
        assert_eq!(network.map.layers()[2..], flat.map.layers()[..], "{name}");
    }
    let options = LoadOptions {
        input: Some(Shape::Flat(6)),
        preprocess: "mean=0.5".parse().expect("one channel"),
    };
    assert_eq!(load_with(&fixture("net.npz"), &options).names[0], "normalize");
    for (name, input, reason) in [
        ("net.npz", image([1, 2, 2]), "declares input [6], asked was [1, 2, 2]"),
        ("net.npz", Shape::Flat(7), "declares input [6], asked was [7]"),
        ("image.onnx", Shape::Flat(6), "declares input [1, 2, 3], asked was [6]"),
    ] {
        let options = LoadOptions {
            input: Some(input),
            ..LoadOptions::default()
        };
        let checkpoint = Checkpoint::open(&fixture(name)).expect("well formed");
        let error = Network::load(&checkpoint, &options).expect_err(name).to_string();
        assert!(error.contains(reason), "{error}");
    }
}

/// The forward pass against values of onnxruntime, which evaluates in float32.
#[test]
fn outputs_agree_with_onnxruntime() {
    let text = std::fs::read_to_string(fixture("expected.json")).expect("the fixture");
    let expected: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let rows = |value: &serde_json::Value| -> Vec<Vec<f64>> { serde_json::from_value(value.clone()).expect("rows of numbers") };
    let inputs = rows(&expected["inputs"]);
    let inputs = Array2::from_shape_fn((inputs.len(), 6), |(row, col)| inputs[row][col]);
    let outputs = expected["outputs"].as_object().expect("one entry a graph");
    assert_eq!(outputs.len(), 10);
    for (name, expected) in outputs {
        let network = load(&fixture(&format!("{name}.onnx")));
        let found = Prepared::<f64>::new(&network.map)
            .evaluate(inputs.view())
            .expect("six numbers");
        for (found, expected) in found.outer_iter().zip(rows(expected)) {
            assert_eq!(found.len(), expected.len(), "{name}");
            for (found, expected) in found.iter().zip(expected) {
                // a few dozen float32 roundings of numbers below 100
                assert!((found - expected).abs() < 1e-4, "{name}: {found} {expected}");
            }
        }
    }
}

#[test]
fn constants_become_layers_or_weights() {
    let path = fixture("arithmetic.onnx");
    let network = load(&path);
    let kinds: Vec<&str> = network.map.layers().iter().map(Layer::kind).collect();
    // the product behind a dense layer is exact and goes into it, the one behind an activation stays
    assert_eq!(
        kinds,
        [
            "subtract",
            "divide",
            "dense",
            "leaky-relu",
            "dense",
            "relu",
            "multiply",
            "dense"
        ]
    );
    let npz = load(&fixture("net.npz"));
    let (
        Layer::Dense { weight, bias },
        Layer::Dense {
            weight: half,
            bias: half_bias,
        },
    ) = (&network.map.layers()[4], &npz.map.layers()[2])
    else {
        panic!("dense layers");
    };
    for (double, single) in weight.data().iter().zip(half.data()).chain(bias.iter().zip(half_bias)) {
        assert_eq!(double.to_bits(), (2.0 * single).to_bits());
    }
    let checkpoint = Checkpoint::open(&path).expect("well formed");
    assert_eq!(checkpoint.computed(), ["node_h0.weight"]);
    let found = inspect(&checkpoint, &LoadOptions::default());
    let computed = |oddity: &Oddity| matches!(oddity, Oddity::Computed);
    assert_eq!(found.findings.iter().filter(|finding| computed(&finding.oddity)).count(), 1);
    let relu = load(&fixture("relu.onnx"));
    assert_eq!(relu.names, ["0", "node_y", "identity"]);
    assert_eq!(relu.map.classes(), 4);
    let leaky = load(&fixture("leaky.onnx"));
    assert_eq!(
        leaky.map.layers()[1],
        Layer::Activation(Activation::LeakyRelu { slope: 0.125 })
    );
    let front = load(&fixture("front.mat"));
    assert_eq!(front.names[..3], ["input_mean", "input_scale", "fc1"]);
    for (layer, expected) in [(0, Operation::Subtract), (1, Operation::Divide)] {
        assert!(matches!(&front.map.layers()[layer], Layer::Elementwise { operation, .. } if *operation == expected));
        assert_eq!(bits(&front)[layer].1, bits(&network)[layer].1);
    }
    assert_eq!(front.map.layers()[2..], npz.map.layers()[..]);
}

/// Smooth activations from a declaration to logits: the plain pass lies within the enclosure, and the declaration reads back.
#[test]
fn smooth_activations_are_declared_and_evaluated() {
    let layers = r#"[{"kind":"dense","name":"0"},{"kind":"tanh","name":"a"},{"kind":"sigmoid","name":"b"},{"kind":"dense","name":"1"},
        {"kind":"softplus","name":"c","beta":2.5},{"kind":"elu","name":"d"},{"kind":"dense","name":"2"}]"#;
    let mut checkpoint = Checkpoint::open(&fixture("net.npz")).expect("well formed");
    checkpoint
        .declare(format!(
            r#"{{"schema":"lipcert/architecture/1","name":"smooth","layers":{layers}}}"#
        ))
        .expect("no declaration yet");
    let network = Network::load(&checkpoint, &LoadOptions::default()).expect("a network");
    let kinds: Vec<&str> = network.map.layers().iter().map(Layer::kind).collect();
    assert_eq!(kinds, ["dense", "tanh", "sigmoid", "dense", "softplus", "elu", "dense"]);
    let written = Architecture::detect(&checkpoint).expect("an architecture").declaration();
    assert!(written.contains(r#"{"kind":"softplus","name":"c","beta":2.5}"#), "{written}");

    let certificates: Vec<LayerCertificate<'_>> = network
        .map
        .layers()
        .iter()
        .zip(network.map.input_shapes())
        .map(|(layer, input)| {
            let claim = match layer {
                Layer::Dense { weight, .. } => {
                    // The square of the Frobenius norm.
                    let lambda = weight.data().iter().map(|v| v * v).sum::<f64>() * 1.001;
                    let inside = GramClaim {
                        lambda,
                        witness: GramWitness::Cholesky {},
                    };
                    LayerClaim {
                        lipschitz: lambda.sqrt() * 1.001,
                        witness: Witness::OperatorNorm { inside },
                    }
                }
                layer => LayerClaim {
                    lipschitz: structural::bound_up(layer).expect("no weights"),
                    witness: Witness::Structural {},
                },
            };
            LayerCertificate::check(&Rules::new(layer, input).expect("a layer"), claim).expect("a bound")
        })
        .collect();
    let certificate = NetworkCertificate::compose(&network.map, certificates, Vec::new(), Output::All).expect("a bound");
    let evaluator = Evaluator::new(&certificate).expect("an evaluator");
    let samples = [0.3, -1.2, 0.0, 40.0, -0.7, 2.5, -3.0, 0.5, 100.0, -100.0, 1e-300, 0.25];
    let plain = Prepared::<f64>::new(&network.map);
    let count = network.map.layers().len();
    let expected = Array2::from_shape_vec((2, 6), samples.to_vec()).expect("two samples");
    let expected = (0..count).fold(expected, |x, layer| plain.apply(layer, x.view()).expect("a layer"));
    for (logits, expected) in evaluator
        .evaluate(Samples::Floats(&samples))
        .expect("logits")
        .iter()
        .zip(expected.outer_iter())
    {
        for (class, value) in expected.iter().enumerate() {
            let error = logits.error_up(class);
            assert!(error > 0.0 && error < 1e-11, "{error:e}");
            assert!(
                (logits.values()[class] - value).abs() <= error + 1e-13 * value.abs().max(1.0),
                "{class}"
            );
        }
    }
}

#[test]
fn external_data_belong_to_the_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, data) = (folder.path().join("external.onnx"), folder.path().join("external.onnx.data"));
    std::fs::copy(fixture("external.onnx"), &model).expect("copied");
    std::fs::copy(fixture("external.onnx.data"), &data).expect("copied");
    let before = Checkpoint::open(&model).expect("well formed");
    let graph = std::fs::read(&model).expect("read");
    let mut bytes = std::fs::read(&data).expect("read");
    assert_eq!(before.bytes(), (graph.len() + bytes.len()) as u64);
    {
        use sha2::{Digest, Sha256};
        // The digest of the digests.
        let both = [Sha256::digest(&graph), Sha256::digest(&bytes)].concat();
        let expected: String = Sha256::digest(both).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(before.sha256(), expected);
    }
    bytes[0] ^= 1;
    std::fs::write(&data, &bytes).expect("written");
    assert_ne!(Checkpoint::open(&model).expect("well formed").sha256(), before.sha256());
    std::fs::write(&data, &bytes[..bytes.len() - 1]).expect("written");
    let error = Checkpoint::open(&model).expect_err("a byte too short").to_string();
    assert!(error.contains("do not fit into 251 bytes"), "{error}");
    std::fs::remove_file(&data).expect("removed");
    let error = Checkpoint::open(&model).expect_err("no data").to_string();
    assert!(error.contains("external data `external.onnx.data`"), "{error}");
}

#[test]
fn the_activation_is_a_note_and_can_be_declared() {
    for name in ["net.npz", "cells.mat", "lists.txt", "rows.mat"] {
        let checkpoint = Checkpoint::open(&fixture(name)).expect("well formed");
        let found = inspect(&checkpoint, &LoadOptions::default());
        let assumed = |finding: &&lipcert_models::inspect::Finding| matches!(finding.oddity, Oddity::AssumedActivation { .. });
        let note = found.findings.iter().find(assumed).expect(name);
        assert_eq!(note.severity, Severity::Note);
        assert!(note.message.contains("assumed activation relu"), "{}", note.message);
        assert_eq!(found.model.input, Some(vec![6]));
    }
    let layers = r#"[{"kind":"dense","name":"0"},{"kind":"leaky-relu","name":"a","slope":0.125},{"kind":"dense","name":"1"},
        {"kind":"leaky-relu","name":"b","slope":0.125},{"kind":"dense","name":"2"}]"#;
    let declared =
        |name: &str, layers: &str| format!(r#"{{"schema":"lipcert/architecture/1","name":"{name}","layers":{layers}}}"#);
    let expected = load(&fixture("leaky.onnx"));
    for name in ["net.npz", "cells.mat"] {
        let mut checkpoint = Checkpoint::open(&fixture(name)).expect("well formed");
        checkpoint
            .declare(declared("dense-leaky-relu", layers))
            .expect("no declaration yet");
        let network = Network::load(&checkpoint, &LoadOptions::default()).expect("leaky");
        assert_eq!(network.map, expected.map);
        assert!(inspect(&checkpoint, &LoadOptions::default()).findings.is_empty());
    }
    for (name, layers, reason) in [
        (
            "dense-relu",
            layers,
            "kind `leaky-relu` does not belong to the architecture `dense-relu`",
        ),
        ("x", r#"[{"kind":"dense","name":"0"}]"#, "`W1` belongs to no layer"),
        ("x", r#"[{"kind":"dense","name":"7"}]"#, "`7.weight` is missing"),
        ("x", r#"[{"kind":"relu","name":"7","slope":1}]"#, "unknown field `slope`"),
    ] {
        let mut checkpoint = Checkpoint::open(&fixture("net.npz")).expect("well formed");
        checkpoint.declare(declared(name, layers)).expect("no declaration yet");
        let error = Network::load(&checkpoint, &LoadOptions::default())
            .expect_err(reason)
            .to_string();
        let stray = reason.contains("belongs to no layer") && error.contains("belongs to no layer");
        assert!(error.contains(reason) || stray, "{error}");
    }
    let mut graph = Checkpoint::open(&fixture("gemm.onnx")).expect("well formed");
    assert!(graph.declare(declared("x", layers)).is_err());
}

#[test]
fn real_networks_agree_with_their_twins() {
    for (name, twin, skip) in [
        ("nets/lipsdp/mnist_weights.mat", "nets_npz/lipsdp/mnist_weights.npz", 0),
        ("nets/lipsdp/random_weights.mat", "nets_npz/lipsdp/random_weights.npz", 0),
        (
            "nets/python_certifier_gloro/mnist_eps0.45_128x8.txt",
            "nets_npz/gloro/mnist_eps0.45_128x8.npz",
            0,
        ),
        (
            "nets/glipsdp/Comparison/exports/fnn2_seed0_weights.mat",
            "nets_npz/glipsdp_comparison/fnn2_seed0.npz",
            2,
        ),
        (
            "nets/glipsdp/Comparison/exports/fnn3_seed0_weights.mat",
            "nets_npz/glipsdp_comparison/fnn3_seed0.npz",
            2,
        ),
    ] {
        let (Some(path), Some(twin)) = (shared(name), shared(twin)) else {
            continue;
        };
        let (network, twin) = (load(&path), load(&twin));
        assert_eq!(network.map.layers()[skip..], twin.map.layers()[..], "{name}");
        assert_eq!(bits(&network)[skip..], bits(&twin)[..], "{name}");
    }
    // the exported network computes the normalised weight of its first layer, and doubles what the others give
    let (Some(path), Some(twin)) = (
        shared("nets/glipsdp/Scalability/exported_mnist_models/mlp_L3_W16.onnx"),
        shared("nets_npz/glipsdp_scalability/mlp_L3_W16.npz"),
    ) else {
        return;
    };
    let (network, twin) = (load(&path), load(&twin));
    assert_eq!(network.map.input(), image([1, 28, 28]));
    let dense = |network: &Network| -> Vec<Layer> {
        let dense = |layer: &&Layer| matches!(layer, Layer::Dense { .. });
        network.map.layers().iter().filter(dense).cloned().collect()
    };
    assert_eq!(dense(&network).len(), 4);
    for (index, (found, stored)) in dense(&network).iter().zip(&dense(&twin)).enumerate() {
        let (Layer::Dense { weight, bias }, Layer::Dense { weight: w, bias: b }) = (found, stored) else {
            panic!("dense layers");
        };
        let factor = if index == 3 { f64::from(1.1f32) } else { 2.0 };
        for (found, stored) in weight.data().iter().zip(w.data()).chain(bias.iter().zip(b)) {
            assert_eq!(found.to_bits(), (factor * stored).to_bits());
        }
    }
}

#[test]
fn real_files_are_read_or_refused_by_name() {
    for (name, format, kinds, input) in [
        ("nets/vnncomp2021/mnistfc/mnist-net_256x2.onnx", Format::Onnx, 5, vec![784]),
        ("nets/vnncomp2021/test/test_nano.onnx", Format::Onnx, 3, vec![1]),
        ("nets/vnncomp2021/test/test_tiny.onnx", Format::Onnx, 3, vec![1]),
        ("nets/vnncomp2021/test/test_small.onnx", Format::Onnx, 5, vec![1]),
        ("nets/vnncomp2021/test/test_sat.onnx", Format::Onnx, 14, vec![1, 1, 5]),
        ("nets/vnncomp2021/test/test_unsat.onnx", Format::Onnx, 14, vec![1, 1, 5]),
        ("nets/eran_acasxu/ACASXU_run2a_1_1_batch_2000.onnx", Format::Onnx, 13, vec![5]),
        ("nets/eran_acasxu/ACASXU_run2a_2_1_batch_2000.onnx", Format::Onnx, 13, vec![5]),
        ("nets/eran_acasxu/ACASXU_run2a_3_3_batch_2000.onnx", Format::Onnx, 13, vec![5]),
        (
            "nets/glipsdp/Comparison/exports_archive/fnn2.pt",
            Format::TorchZip,
            3,
            vec![64],
        ),
        ("nets/python_certifier_gloro/z3_neural_network.txt", Format::Lists, 1, vec![1]),
    ] {
        let Some(path) = shared(name) else { continue };
        assert_eq!(Checkpoint::open(&path).expect(name).format(), format, "{name}");
        let network = load(&path);
        assert_eq!(network.map.layers().len(), kinds, "{name}");
        assert_eq!(network.map.input().sizes(), input, "{name}");
    }
    for (name, reason) in [
        (
            "nets/glipsdp/Comparison/exports_archive/cnn2.pt",
            "tensor `conv1.weight` of shape [8, 1, 3, 3] is neither",
        ),
        ("nets/one_lip_sdf/circle.pt", "tensor `0.weight_orig`"),
        (
            "nets/glipsdp/Scalability/exported_mnist_models/mlp_L3_W16.pt",
            "`numpy._core.multiarray._reconstruct`, which is not allowed",
        ),
        ("nets_npz/one_lip_sdf_circle_raw.npz", "tensor `0.weight_orig`"),
    ] {
        let Some(path) = shared(name) else { continue };
        let loaded = Checkpoint::open(&path).and_then(|checkpoint| Network::load(&checkpoint, &LoadOptions::default()));
        let error = loaded.expect_err(name).to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
    let Some(folder) = shared("nets_npz/eclipse") else { return };
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let network = load(&entry.expect("an entry").path());
        assert_eq!(network.architecture, "dense-relu");
    }
}
