//! Plain convolutions from a declared file, and their evaluation.

mod common;

use common::{file, safetensors};
use lipcert_models::architecture::{Architecture, ArchitectureError, METADATA_KEY};
use lipcert_models::checkpoint::Checkpoint;
use lipcert_models::network::{LoadOptions, Network};
use lipcert_models::{ModelError, forward::Prepared};
use lipcert_proofs::statement::{ConvFormula, Layer, Padding, SkewDivisor};
use ndarray::Array2;

type Tensors = Vec<(&'static str, &'static [usize], Vec<f32>)>;

/// Every kind, then a dense layer on `2 × 3 × 4` numbers.
const LAYERS: &str = r#"
    { "kind": "convolution", "name": "a", "padding": "circular" },
    { "kind": "aol-conv", "name": "b", "epsilon": 1e-6 },
    { "kind": "linear-residual-conv", "name": "c", "padding": "zero" },
    { "kind": "spectral-conv", "name": "d" },
    { "kind": "skew-exponential", "name": "e", "terms": 6 },
    { "kind": "skew-exponential", "name": "f", "terms": 9, "padding": "circular" },
    { "kind": "flatten", "name": "g" },
    { "kind": "dense", "name": "h" }"#;

fn declaration(layers: &str) -> String {
    format!(r#"{{ "schema": "lipcert/architecture/1", "name": "convolutions", "input": [1, 3, 4], "layers": [{layers}] }}"#)
}

fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * i * 31 + i * 7 + seed * 13) % 41) as f32 / 41.0 - 0.45)
        .collect()
}

fn tensors() -> Tensors {
    vec![
        ("a.weight", &[2, 1, 3, 3], values(18, 1)),
        ("a.bias", &[1, 2, 1, 1], values(2, 2)),
        ("b.weight", &[3, 2, 3, 3], values(54, 3)),
        ("b.bias", &[3], values(3, 4)),
        ("c.weight", &[3, 3, 1, 1], values(9, 5)),
        ("d.weight", &[2, 3, 3, 3], values(54, 6)),
        ("d.sigma", &[], vec![1.5]),
        ("e.weight", &[2, 2, 3, 3], values(36, 7)),
        ("e.sigma", &[1], vec![2.0]),
        ("f.weight", &[2, 2, 3, 3], values(36, 8)),
        ("h.weight", &[2, 24], values(48, 9)),
    ]
}

fn load(layers: &str, tensors: &Tensors) -> Result<Network, ModelError> {
    let bytes = safetensors(&[(METADATA_KEY, &declaration(layers))], tensors);
    let held = file(&bytes);
    Network::load(&Checkpoint::open(held.path())?, &LoadOptions::default())
}

#[test]
fn every_kind_is_read() {
    let network = load(LAYERS, &tensors()).expect("a network");
    let kinds: Vec<_> = network.map.layers().iter().map(Layer::kind).collect();
    assert_eq!(
        kinds,
        [
            "convolution",
            "aol-conv",
            "linear-residual-conv",
            "spectral-conv",
            "skew-exponential",
            "skew-exponential",
            "flatten",
            "dense"
        ]
    );
    let layers = network.map.layers();
    assert!(matches!(&layers[0], Layer::Convolution { padding: Padding::Circular, bias, .. } if bias.len() == 2));
    assert!(
        matches!(&layers[1], Layer::ConvFormula { formula: ConvFormula::Aol { epsilon, .. }, .. } if epsilon.to_bits() == 1e-6f64.to_bits())
    );
    assert!(
        matches!(&layers[3], Layer::ConvFormula { formula: ConvFormula::Spectral { sigma, .. }, .. } if sigma.to_bits() == 1.5f64.to_bits())
    );
    assert!(matches!(&layers[4], Layer::SkewExponential(e) if e.terms == 6 && e.divisor == SkewDivisor::Stored(2.0)));
    assert!(
        matches!(&layers[5], Layer::SkewExponential(e) if e.divisor == SkewDivisor::LeastNorm && e.padding == Padding::Circular)
    );
    let numbers: usize = tensors().iter().map(|(_, _, values)| values.len()).sum();
    assert_eq!(network.parameters, numbers);
}

#[test]
fn the_declaration_reads_back() {
    let bytes = safetensors(&[(METADATA_KEY, &declaration(LAYERS))], &tensors());
    let held = file(&bytes);
    let checkpoint = Checkpoint::open(held.path()).expect("a file");
    let architecture = Architecture::detect(&checkpoint).expect("declared");
    let again = safetensors(&[(METADATA_KEY, &architecture.declaration())], &tensors());
    let held = file(&again);
    let second = Architecture::detect(&Checkpoint::open(held.path()).expect("a file")).expect("declared");
    assert_eq!(second, architecture);
}

/// A padding that repeats pixels is refused by name, with the reason.
#[test]
fn repeating_paddings_are_refused() {
    for padding in ["reflect", "replicate"] {
        let layers = LAYERS.replace(
            r#""padding": "circular" },
    { "kind": "aol"#,
            &format!(
                r#""padding": "{padding}" }},
    {{ "kind": "aol"#
            ),
        );
        let Err(ModelError::Architecture { cause, .. }) = load(&layers, &tensors()) else {
            panic!("{padding} was read")
        };
        assert!(matches!(*cause, ArchitectureError::Padding { padding: found, .. } if found == padding));
        let text = cause.to_string();
        assert!(
            text.contains(padding) && text.contains("the padding alone stretches distances"),
            "{text}"
        );
    }
    assert!(load(&LAYERS.replace("circular", "constant"), &tensors()).is_err());
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    for (name, shape) in [
        ("c.weight", &[3usize, 2, 1, 1][..]),
        ("a.weight", &[2, 1, 3, 1]),
        ("a.weight", &[2, 1, 2, 2]),
        ("e.weight", &[1, 2, 3, 3]),
        ("d.sigma", &[2]),
        ("b.bias", &[2]),
    ] {
        let mut tensors = tensors();
        let tensor = tensors.iter_mut().find(|(found, ..)| *found == name).expect("a tensor");
        tensor.1 = shape.to_vec().leak();
        tensor.2 = values(shape.iter().product(), 3);
        assert!(load(LAYERS, &tensors).is_err(), "{name} {shape:?}");
    }
    let mut without = tensors();
    without.retain(|(name, ..)| *name != "d.sigma");
    assert!(load(LAYERS, &without).is_err());
    let mut zero = tensors();
    zero.iter_mut().find(|(name, ..)| *name == "d.sigma").expect("a tensor").2 = vec![0.0];
    assert!(matches!(load(LAYERS, &zero), Err(ModelError::Layer { index: 3, .. })));
}

/// A circular shift by one pixel, by hand.
#[test]
fn a_shift_on_a_torus() {
    let layers = r#"{ "kind": "convolution", "name": "a", "padding": "circular" }, { "kind": "flatten", "name": "g" }, { "kind": "dense", "name": "h" }"#;
    let mut tap = vec![0.0; 9];
    tap[5] = 1.0;
    let tensors: Tensors = vec![("a.weight", &[1, 1, 3, 3], tap), ("h.weight", &[2, 12], values(24, 1))];
    let network = load(layers, &tensors).expect("a network");
    let pixels: Vec<f64> = (1..=12).map(f64::from).collect();
    let moved = Prepared::<f64>::new(&network.map)
        .apply(0, Array2::from_shape_vec((1, 12), pixels).expect("a sample").view())
        .expect("a result");
    let expected = [2.0, 3.0, 4.0, 1.0, 6.0, 7.0, 8.0, 5.0, 10.0, 11.0, 12.0, 9.0];
    assert!(moved.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{moved}");
}
