//! Files whose layers have weights by formula: declared, read, evaluated twice.

mod common;

use common::{file, safetensors};
use lipcert_models::ModelError;
use lipcert_models::architecture::{Architecture, ArchitectureError, METADATA_KEY};
use lipcert_models::checkpoint::Checkpoint;
use lipcert_models::forward::Prepared as Plain;
use lipcert_models::network::{LoadOptions, Network};
use lipcert_proofs::certificate::{GramClaim, GramWitness, LayerCertificate, LayerClaim, Prepared, Witness};
use lipcert_proofs::rounding::forward::{Evaluator, Samples};
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::rules::{dense_formula, operator_norm};
use lipcert_proofs::statement::{Layer, Output};
use ndarray::Array2;

type Tensor = (&'static str, &'static [usize], Vec<f32>);

fn fill(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| (((i + seed) * 7919 % 101) as f32 - 50.0) / 40.0).collect()
}

/// One of every kind, four numbers wide.
fn tensors() -> Vec<Tensor> {
    vec![
        ("a.weight", &[5, 4], fill(20, 1)),
        ("a.bias", &[5], fill(5, 2)),
        ("f.weight", &[4, 5], fill(20, 3)),
        ("s.weight", &[4, 4], fill(16, 4)),
        ("s.u", &[4], vec![0.5, -0.5, 0.5, 0.5]),
        ("s.v", &[4], vec![0.5, 0.5, -0.5, 0.5]),
        ("t.weight", &[4, 4], fill(16, 5)),
        ("t.u", &[4], fill(4, 6)),
        ("b.weight", &[3, 4], fill(12, 7)),
        ("b.sigma", &[1], vec![4.0]),
        ("c.weight", &[4, 3], fill(12, 8)),
        ("c.alpha", &[1], vec![1.25]),
        ("c.bias", &[1, 4], fill(4, 9)),
        ("h.vectors", &[2, 4], fill(8, 10)),
        ("w.weight", &[3, 7], fill(21, 11)),
        ("w.psi", &[3], fill(3, 12)),
        ("w.bias", &[3], fill(3, 13)),
        ("p.weight", &[6, 3], fill(18, 14)),
        ("p.bias", &[6], fill(6, 15)),
        ("p.u", &[1, 6], fill(6, 16)),
        ("q.weight", &[2, 3], fill(6, 17)),
        ("q.bias", &[2], fill(2, 18)),
        ("head.weight", &[2, 3], fill(6, 19)),
        ("head.bias", &[2], fill(2, 20)),
    ]
}

const LAYERS: &str = r#"[
    {"kind":"aol","name":"a","epsilon":1e-6},
    {"kind":"frobenius","name":"f"},
    {"kind":"spectral","name":"s"},
    {"kind":"spectral","name":"t","offset":1e-3},
    {"kind":"bjorck","name":"b","offset":1e-3,"iterations":12},
    {"kind":"cayley","name":"c"},
    {"kind":"householder-product","name":"h"},
    {"kind":"sandwich","name":"w","activation":"leaky-relu","slope":0.25},
    {"kind":"cpl-dense","name":"p"},
    {"kind":"cpl-frobenius","name":"q"},
    {"kind":"dense","name":"head"}
]"#;

fn declared(layers: &str, tensors: &[Tensor]) -> Vec<u8> {
    let text = format!(r#"{{"schema":"lipcert/architecture/1","name":"formulas","layers":{layers}}}"#);
    safetensors(&[(METADATA_KEY, &text)], tensors)
}

fn network(layers: &str, tensors: &[Tensor]) -> Result<Network, ModelError> {
    let file = file(&declared(layers, tensors));
    Network::load(&Checkpoint::open(file.path())?, &LoadOptions::default())
}

#[test]
fn one_of_every_kind() {
    let network = network(LAYERS, &tensors()).expect("a network");
    let kinds: Vec<_> = network.map.layers().iter().map(Layer::kind).collect();
    let expected = [
        "aol",
        "frobenius",
        "spectral",
        "spectral",
        "bjorck",
        "cayley",
        "householder-product",
        "sandwich",
        "cpl-dense",
        "cpl-frobenius",
        "dense",
    ];
    assert_eq!(kinds, expected);
    // the power iteration is assumed where neither a divisor nor both vectors are stored
    let assumed: Vec<_> = network.map.layers().iter().map(Layer::assumes_convergence).collect();
    assert_eq!(assumed.iter().filter(|assumed| **assumed).count(), 2);
    assert!(assumed[3] && assumed[8]);
    // every tensor that is read is counted, the start of a power iteration is not
    let read = tensors()
        .iter()
        .map(|(name, _, values)| if matches!(*name, "t.u" | "p.u") { 0 } else { values.len() })
        .sum::<usize>();
    assert_eq!(network.parameters, read);
}

#[test]
fn declarations_are_written_as_they_are_read() {
    let file = file(&declared(LAYERS, &tensors()));
    let checkpoint = Checkpoint::open(file.path()).expect("a file");
    let architecture = Architecture::detect(&checkpoint).expect("an architecture");
    let metadata = [(METADATA_KEY.to_owned(), architecture.declaration())].into();
    let again = Architecture::from_tensors(checkpoint.tensors(), &metadata).expect("the same");
    assert_eq!(architecture, again);
}

/// A certificate of every layer: theorems as they are, the last one by its norm.
fn certify(network: &Network) -> NetworkCertificate<'_> {
    let layers = network
        .map
        .layers()
        .iter()
        .zip(network.map.input_shapes())
        .map(|(layer, input)| {
            let prepared = Prepared::new(layer, input).expect("a layer");
            let claim = match layer {
                Layer::Dense { weight, .. } => {
                    let lambda = weight.data().iter().map(|value| value * value).sum::<f64>() * 1.001;
                    LayerClaim {
                        lipschitz: operator_norm::bound_up(lambda, 0.0),
                        witness: Witness::OperatorNorm {
                            inside: GramClaim {
                                lambda,
                                witness: GramWitness::Cholesky {},
                            },
                        },
                    }
                }
                Layer::DenseFormula { formula, .. } => LayerClaim {
                    lipschitz: dense_formula::bound_up(formula, prepared.enclosed().expect("a weight").reach()),
                    witness: Witness::Formula { inside: None },
                },
                Layer::Flatten => LayerClaim {
                    lipschitz: 1.0,
                    witness: Witness::Structural {},
                },
                _ => LayerClaim {
                    lipschitz: 1.0,
                    witness: Witness::Formula { inside: None },
                },
            };
            LayerCertificate::check(&prepared, claim).expect("a certificate")
        });
    NetworkCertificate::compose(&network.map, layers.collect(), Vec::new(), Output::All).expect("a network")
}

/// The two implementations agree within the proved error, which is small.
#[test]
fn plain_and_enclosed_evaluation_agree() {
    agree(&network(LAYERS, &tensors()).expect("a network"), 1e-9);
}

/// Compares the two on twenty samples; the error is below `most`.
fn agree(network: &Network, most: f64) {
    let certificate = certify(network);
    let length = network.map.input().len();
    let inputs: Vec<f64> = fill(length * 20, 21).into_iter().map(f64::from).collect();
    let plain = Plain::<f64>::new(&network.map);
    let logits = plain
        .evaluate(Array2::from_shape_vec((20, length), inputs.clone()).expect("samples").view())
        .expect("logits");
    let evaluator = Evaluator::new(&certificate).expect("an evaluator");
    let enclosed = evaluator.evaluate(Samples::Floats(&inputs)).expect("logits");
    for (row, enclosed) in logits.outer_iter().zip(&enclosed) {
        for (class, value) in row.iter().enumerate() {
            // 1e-12: the rounding of the plain evaluation itself
            let off = (value - enclosed.values()[class]).abs();
            assert!(off <= enclosed.error_up(class) + 1e-12, "{off:e}");
            assert!(enclosed.error_up(class) < most, "{:e}", enclosed.error_up(class));
        }
    }
}

/// The names of PyTorch's two spectral normalisations mean the same layer.
#[test]
fn torch_spectral_norm() {
    let plain = |weight, u, v| -> Vec<Tensor> {
        vec![
            (weight, &[3, 4], fill(12, 1)),
            (u, &[3], vec![0.5, 0.25, -1.0]),
            (v, &[4], vec![-0.5, 0.25, 1.0, 0.25]),
            ("s.bias", &[3], fill(3, 2)),
            ("head.weight", &[2, 3], fill(6, 3)),
        ]
    };
    let layers = r#"[{"kind":"spectral","name":"s"},{"kind":"dense","name":"head"}]"#;
    let ours = network(layers, &plain("s.weight", "s.u", "s.v"));
    let divides = |network: &Network| !network.map.layers()[0].assumes_convergence();
    for (weight, u, v) in [
        (
            "s.parametrizations.weight.original",
            "s.parametrizations.weight.0._u",
            "s.parametrizations.weight.0._v",
        ),
        ("s.weight_orig", "s.weight_u", "s.weight_v"),
    ] {
        let theirs = network(layers, &plain(weight, u, v)).expect(weight);
        assert!(divides(&theirs));
        assert_eq!(Some(&theirs), ours.as_ref().ok());
    }
}

/// A convolution divided by its norm on the image: on a small image the enclosure is tight.
#[test]
fn convex_potential_convolutions() {
    let tensors: Vec<Tensor> = vec![
        ("k.kernel", &[3, 2, 3, 3], fill(54, 1)),
        ("k.bias", &[1, 3, 1, 1], fill(3, 2)),
        ("k.u", &[1, 3, 4, 4], fill(48, 3)),
        ("head.weight", &[2, 32], fill(64, 4)),
    ];
    let layers = r#"[{"kind":"cpl-conv","name":"k"},{"kind":"flatten","name":"f"},{"kind":"dense","name":"head"}]"#;
    let text = format!(r#"{{"schema":"lipcert/architecture/1","name":"formulas","input":[2,4,4],"layers":{layers}}}"#);
    let file = file(&safetensors(&[(METADATA_KEY, &text)], &tensors));
    let checkpoint = Checkpoint::open(file.path()).expect("a file");
    let network = Network::load(&checkpoint, &LoadOptions::default()).expect("a network");
    assert!(network.map.layers()[0].assumes_convergence());
    assert_eq!(network.parameters, 54 + 3 + 64);
    agree(&network, 1e-6);
}

#[test]
fn refused_by_name() {
    let cause = |layers: &str, tensors: &[Tensor]| match network(layers, tensors) {
        Err(ModelError::Architecture { cause, .. }) => *cause,
        other => panic!("{other:?}"),
    };
    let only = |name: &str| -> Vec<Tensor> {
        tensors()
            .into_iter()
            .filter(|(tensor, ..)| tensor.starts_with(name))
            .collect()
    };
    for activation in [r#""leaky-relu""#, r#""relu","slope":0.5"#] {
        let layers = format!(r#"[{{"kind":"sandwich","name":"w","activation":{activation}}}]"#);
        assert!(
            matches!(cause(&layers, &only("w.")), ArchitectureError::Slope { .. }),
            "{activation}"
        );
    }
    for activation in ["abs", "max-min", "tanh"] {
        let layers = format!(r#"[{{"kind":"sandwich","name":"w","activation":"{activation}"}}]"#);
        let ArchitectureError::Declaration(cause) = cause(&layers, &only("w.")) else {
            panic!("{activation}")
        };
        assert!(cause.to_string().contains(activation), "{cause}");
    }
    let steep = r#"[{"kind":"sandwich","name":"w","activation":"leaky-relu","slope":1.5}]"#;
    assert!(matches!(network(steep, &only("w.")), Err(ModelError::Layer { layer, .. }) if layer == "w"));
    let negative = r#"[{"kind":"aol","name":"a","epsilon":-1.0}]"#;
    assert!(matches!(network(negative, &only("a.")), Err(ModelError::Layer { layer, .. }) if layer == "a"));
    assert!(matches!(
        cause(r#"[{"kind":"bjorck","name":"b"}]"#, &only("b.")),
        ArchitectureError::Declaration(_)
    ));
    assert!(matches!(
        cause(r#"[{"kind":"cayley","name":"a"}]"#, &only("c.")),
        ArchitectureError::Missing { tensor } if tensor == "a.weight"
    ));
    // a divisor is not a part of a map that divides by the Frobenius norm
    assert!(matches!(
        cause(r#"[{"kind":"frobenius","name":"b"}]"#, &only("b.")),
        ArchitectureError::Extra { tensor } if tensor == "b.sigma"
    ));
}
