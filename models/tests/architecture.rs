//! Which tensors make which network.

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::{file, repository, safetensors, small};
use lipcert_models::architecture::{Architecture, ArchitectureError, METADATA_KEY, Plan, ScaleKind};
use lipcert_models::checkpoint::{Checkpoint, Dtype, TensorInfo};
use lipcert_models::network::{LoadOptions, Network, image};
use lipcert_models::preprocess::Preprocess;

fn info(name: String, shape: &[usize]) -> TensorInfo {
    TensorInfo {
        name,
        dtype: Dtype::Float32,
        shape: shape.to_vec(),
    }
}

/// Names and shapes of an official network.
fn official(prefix: &str, sizes: [usize; 6], classes: usize) -> Vec<TensorInfo> {
    let [convolutions, dense, width, features, inner, dense_inner] = sizes;
    let mut tensors = Vec::new();
    for index in 1..=convolutions {
        tensors.push(info(format!("{prefix}{index}.kernel"), &[inner, width, 3, 3]));
        tensors.push(info(format!("{prefix}{index}.bias"), &[1, inner, 1, 1]));
        tensors.push(info(format!("{prefix}{index}.q"), &[inner]));
    }
    for index in convolutions + 3..convolutions + 3 + dense {
        tensors.push(info(format!("{prefix}{index}.weight"), &[dense_inner, features]));
        tensors.push(info(format!("{prefix}{index}.bias"), &[1, dense_inner]));
        tensors.push(info(format!("{prefix}{index}.q"), &[dense_inner]));
    }
    let index = convolutions + 3 + dense;
    tensors.push(info(format!("{prefix}{index}.weight"), &[classes, features]));
    tensors.push(info(format!("{prefix}{index}.bias"), &[classes]));
    tensors
}

fn detect(tensors: &[TensorInfo]) -> Result<Architecture, ArchitectureError> {
    Architecture::from_tensors(tensors, &BTreeMap::new())
}

#[test]
fn every_published_size_is_found_from_names_and_shapes() {
    let text = fs::read_to_string(repository("tests/fixtures/vectors/sll_state_dict_layout.json")).expect("the vectors");
    let vectors: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let counts = vectors["counts"].as_object().expect("sizes");
    assert_eq!(counts.len(), 12);
    for (name, size) in counts {
        let number = |key: &str| size[key].as_u64().expect(key) as usize;
        let classes = number("last_params") / (number("flat_features") + 1);
        let sizes = [
            number("n_conv"),
            number("n_dense"),
            number("w"),
            number("flat_features"),
            5,
            2048,
        ];
        let architecture = detect(&official("module.model.model.", sizes, classes)).expect(name);
        assert_eq!(architecture.convolutions(), number("n_conv"), "{name}");
        assert_eq!(architecture.dense(), number("n_dense"), "{name}");
        assert_eq!(architecture.parameters(), number("params"), "{name}");
        let last = architecture.layers.last().expect("a head");
        assert_eq!(last.name, format!("module.model.model.{}", number("last_idx")));
        assert_eq!(
            last.plan,
            Plan::Head {
                classes,
                features: number("flat_features")
            }
        );
        let side = if name.starts_with("tiny") { 64 } else { 32 };
        assert_eq!(architecture.input_shape(Some(3)).expect("square"), image([3, side, side]));
    }
    let listed = vectors["cifar10_small"].as_array().expect("a list");
    let tensors: Vec<TensorInfo> = listed
        .iter()
        .map(|entry| {
            let sizes = entry[1].as_array().expect("sizes");
            let sizes: Vec<usize> = sizes.iter().map(|size| size.as_u64().expect("a size") as usize).collect();
            info(entry[0].as_str().expect("a name").to_owned(), &sizes)
        })
        .collect();
    assert_eq!(tensors, official("module.model.model.", [20, 7, 45, 2880, 5, 2048], 10));
}

#[test]
fn every_prefix_is_accepted_and_every_other_one_is_not() {
    let sizes = [2, 1, 4, 16, 3, 5];
    for prefix in [
        "",
        "model.",
        "model.model.",
        "module.",
        "module.model.",
        "module.model.model.",
    ] {
        assert_eq!(
            detect(&official(prefix, sizes, 2)).expect(prefix).layers[0].name,
            format!("{prefix}0")
        );
    }
    for prefix in ["net.", "module.module.", "model.model.model.", "0."] {
        let error = detect(&official(prefix, sizes, 2)).expect_err(prefix);
        assert!(matches!(error, ArchitectureError::Unknown { .. }), "{prefix}: {error}");
    }
    assert!(matches!(detect(&[]), Err(ArchitectureError::Unknown { tensors: 0, .. })));
}

#[test]
fn missing_extra_and_misshapen_tensors_are_named() {
    let good = official("m.", [2, 1, 4, 16, 3, 5], 2);
    let good: Vec<TensorInfo> = good
        .iter()
        .map(|t| info(t.name.replacen("m.", "model.", 1), &t.shape))
        .collect();
    detect(&good).expect("well formed");
    for missing in 0..good.len() {
        let mut tensors = good.clone();
        let gone = tensors.remove(missing);
        let error = detect(&tensors).expect_err(&gone.name);
        // without its last kernel, `q` or weight the rest looks like a network with a stray tensor or without a head
        let text = error.to_string();
        assert!(
            matches!(error, ArchitectureError::Missing { .. } | ArchitectureError::Extra { .. }),
            "{}: {text}",
            gone.name
        );
    }
    let missing = |name: &str| good.iter().filter(|info| info.name != name).cloned().collect::<Vec<_>>();
    for name in ["model.1.kernel", "model.1.bias", "model.2.q", "model.5.bias", "model.6.bias"] {
        let text = detect(&missing(name)).expect_err(name).to_string();
        assert_eq!(text, format!("tensor `{name}` is missing"));
    }
    for (name, shape) in [
        ("model.3.kernel", vec![3, 4, 3, 3]),
        ("model.0.weight", vec![1]),
        ("model.3.weight", vec![1]),
        ("model.1.alpha", vec![1]),
        ("model.7.weight", vec![2, 16]),
        ("model.99999999999999999999.q", vec![2]),
        ("model.01.q", vec![2]),
        ("other.1.q", vec![2]),
        ("extra", vec![2]),
    ] {
        let mut tensors = good.clone();
        tensors.push(info(name.to_owned(), &shape));
        let error = detect(&tensors).expect_err(name);
        assert!(
            matches!(error, ArchitectureError::Missing { .. } | ArchitectureError::Extra { .. }),
            "{name}: {error}"
        );
    }
    for (name, shape) in [
        ("model.1.kernel", vec![3, 4, 5, 5]),
        ("model.1.kernel", vec![0, 4, 3, 3]),
        ("model.2.kernel", vec![3, 5, 3, 3]),
        ("model.1.bias", vec![3]),
        ("model.1.q", vec![4]),
        ("model.5.bias", vec![5]),
        ("model.6.weight", vec![2, 17]),
        ("model.6.bias", vec![1, 2]),
    ] {
        let mut tensors = good.clone();
        tensors.iter_mut().find(|info| info.name == name).expect(name).shape = shape;
        let error = detect(&tensors).expect_err(name);
        assert!(
            matches!(&error, ArchitectureError::Shape { tensor, .. } if tensor == name),
            "{name}: {error}"
        );
    }
    let mut tensors = good;
    tensors[0].dtype = Dtype::Int64;
    assert!(matches!(detect(&tensors), Err(ArchitectureError::NotFloat { .. })));
}

/// A small network with this declaration in its metadata, loaded.
fn declared(text: &str) -> Result<Network, lipcert_models::ModelError> {
    let place = file(&safetensors(&[(METADATA_KEY, text)], &small()));
    let checkpoint = Checkpoint::open(place.path()).expect("well formed");
    Network::load(&checkpoint, &LoadOptions::default())
}

/// The declaration of the small network, with the convolution of this kind.
fn declaration(name: &str, kind: &str) -> String {
    format!(
        r#"{{"schema":"lipcert/architecture/1","name":"{name}","input":[1,8,8],"preprocess":{{"mean":["0.5"],"std":["0.25"]}},"layers":[
        {{"kind":"pad-channels","name":"0","channels":4}},{{"kind":"{kind}","name":"1"}},
        {{"kind":"average-pool","name":"2","size":4,"divisor":4}},{{"kind":"flatten","name":"3"}},
        {{"kind":"sll-dense","name":"4"}},{{"kind":"normalized-head","name":"5"}}]}}"#
    )
}

#[test]
fn a_declaration_gives_the_kinds() {
    let official = declared(&declaration("sll", "sll-conv")).expect("official");
    let weighted = declared(&declaration("sll-weighted", "sll-conv-weighted")).expect("weighted");
    assert_eq!(official.map.layers()[2].kind(), "sll-conv");
    assert_eq!(weighted.map.layers()[2].kind(), "sll-conv-weighted");
    assert_eq!(weighted.architecture, "sll-weighted");
    assert_eq!(official.names, ["normalize", "0", "1", "2", "3", "4", "5"]);
    assert_eq!(official.map.input().sizes(), [1, 8, 8]);
}

#[test]
fn the_caller_cannot_contradict_the_file() {
    let place = file(&safetensors(&[(METADATA_KEY, &declaration("sll", "sll-conv"))], &small()));
    let checkpoint = Checkpoint::open(place.path()).expect("well formed");
    let load = |preprocess| {
        let options = LoadOptions { input: None, preprocess };
        Network::load(&checkpoint, &options).map(|network| network.map.layers()[0].kind())
    };
    assert_eq!(load(Preprocess::File).expect("a network"), "normalize");
    assert_eq!(
        load("mean=0.5;std=0.25".parse().expect("the same")).expect("a network"),
        "normalize"
    );
    // A larger std would divide the certified bound.
    for other in ["none", "mean=0.1", "mean=0.5;std=1"] {
        let error = load(other.parse().expect("a preprocessing")).expect_err(other).to_string();
        assert!(error.contains("the file declares preprocessing mean=0.5;std=0.25"), "{error}");
    }
    let options = LoadOptions {
        input: Some(image([1, 16, 16])),
        preprocess: Preprocess::File,
    };
    let error = Network::load(&checkpoint, &options).expect_err("another input").to_string();
    assert!(error.contains("the file declares input [1, 8, 8]"), "{error}");
}

#[test]
fn malformed_declarations_are_refused() {
    let good = declaration("sll", "sll-conv");
    for (from, to, reason) in [
        ("architecture/1", "architecture/2", "has schema `lipcert/architecture/2`"),
        (
            r#""name":"sll""#,
            r#""name":"SLL""#,
            "`SLL` cannot be the name of an architecture",
        ),
        (r#""input""#, r#""more":1,"input""#, "unknown field `more`"),
        (r#""channels":4"#, r#""channels":4,"more":1"#, "unknown field `more`"),
        (r#""kind":"flatten""#, r#""kind":"flatten","more":1"#, "unknown field `more`"),
        (
            r#""channels":4"#,
            r#""channels":99999999999"#,
            "number of channels 99999999999 is larger than",
        ),
        (r#""channels":4"#, r#""channels":5"#, "`kernel` has shape [4], expected [5]"),
        ("[1,8,8]", "[1,8,99999999999]", "input size 99999999999 is larger than"),
        ("[1,8,8]", "[1,16,8]", "layer 5 (`4`): `input` has shape [32], expected [16]"),
        ("[1,8,8]", "[1,9,8]", "layer 3 (`2`): `average-pool` has shape [9, 8]"),
        (
            "[1,8,8]",
            "[3,8,8]",
            "layer 0 (`normalize`): `mean` has shape [1], expected [3]",
        ),
        (r#""0.25""#, r#""-1""#, "std 0 is not positive"),
        (r#""0.25""#, "0.25", "declaration (--arch, or in the metadata)"),
        (
            r#""kind":"sll-dense","name":"4""#,
            r#""kind":"sll-dense","name":"7""#,
            "tensor `7.weight` is missing",
        ),
        (
            r#"{"kind":"sll-dense","name":"4"},"#,
            "",
            "tensor `4.bias` belongs to no layer",
        ),
        (
            r#""name":"3""#,
            r#""name":"4""#,
            "`4` cannot be the name of a layer, or stands twice",
        ),
        (
            "sll-conv",
            "sll-conv-weighted",
            "of kind `sll-conv-weighted` does not belong to the architecture `sll`",
        ),
        ("sll-conv", "residual-conv", "does not belong to the architecture `sll`"),
        ("sll-conv", "conv", "unknown variant `conv`"),
        (r#","divisor":4"#, r#","divisor":0"#, "divisor"),
        (r#""size":4"#, r#""size":0"#, "average-pool"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good);
        let error = declared(&text).expect_err(to).to_string();
        assert!(error.contains(reason), "{to}: {error}");
    }
}

#[test]
fn stored_factors_are_read() {
    let mut tensors = small();
    tensors[2].0 = "1.factor";
    tensors[5].0 = "4.factor";
    for position in [2, 5] {
        tensors[position].2.iter_mut().for_each(|value| *value = value.abs());
    }
    let text = declaration("export", "residual-conv").replace("sll-dense", "residual-dense");
    let place = file(&safetensors(&[(METADATA_KEY, &text)], &tensors));
    let checkpoint = Checkpoint::open(place.path()).expect("well formed");
    let network = Network::load(&checkpoint, &LoadOptions::default()).expect("an export");
    assert_eq!(network.map.layers()[2].kind(), "residual-conv");
    assert_eq!(network.map.layers()[5].kind(), "residual-dense");
    let architecture = Architecture::detect(&checkpoint).expect("declared");
    assert!(matches!(
        architecture.layers[1].plan,
        Plan::Conv {
            scale: ScaleKind::Stored,
            ..
        }
    ));
    let again = Architecture::from_tensors(
        checkpoint.tensors(),
        &BTreeMap::from([(METADATA_KEY.to_owned(), architecture.declaration())]),
    );
    assert_eq!(again.expect("our own declaration"), architecture);
}

#[test]
fn an_input_that_cannot_be_told_is_asked_for() {
    let place = file(&safetensors(&[], &small()));
    let checkpoint = Checkpoint::open(place.path()).expect("well formed");
    let error = Network::load(&checkpoint, &LoadOptions::default())
        .expect_err("no channels")
        .to_string();
    assert!(error.contains("the image is 8 x 8): give the input shape"), "{error}");
    let mnist = LoadOptions {
        input: None,
        preprocess: Preprocess::Mnist,
    };
    let network = Network::load(&checkpoint, &mnist).expect("one mean, one channel");
    assert_eq!(network.map.input().sizes(), [1, 8, 8]);
    let cifar = LoadOptions {
        input: Some(image([1, 8, 8])),
        preprocess: Preprocess::Cifar10,
    };
    let error = Network::load(&checkpoint, &cifar)
        .expect_err("three means, one channel")
        .to_string();
    assert!(error.contains("layer 0 (`normalize`)"), "{error}");
    let odd = detect(&official("", [1, 0, 4, 24, 2, 1], 2)).expect("24 = 4 · 6, not a square");
    assert!(matches!(
        odd.input_shape(Some(1)),
        Err(ArchitectureError::Input { side: None, .. })
    ));
}

#[test]
fn a_q_out_of_range_is_refused_by_layer() {
    let mut tensors = small();
    tensors[2].2[1] = 81.0;
    let place = file(&safetensors(&[], &tensors));
    let checkpoint = Checkpoint::open(place.path()).expect("well formed");
    let options = LoadOptions {
        input: Some(image([1, 8, 8])),
        ..LoadOptions::default()
    };
    let error = Network::load(&checkpoint, &options).expect_err("too large").to_string();
    assert!(error.contains("layer 1 (`1`): `q` is `8.1e1` at 1"), "{error}");
}

/// Tensors of a block with and without a path of its own.
#[test]
fn residual_blocks_are_declared() {
    let text = |slope: &str| {
        let block = format!(r#"{{"kind":"residual-block","name":"0"{slope}}},{{"kind":"dense","name":"1"}}"#);
        format!(r#"{{"schema":"lipcert/architecture/1","name":"residual","layers":[{block}]}}"#)
    };
    let read = |slope: &str, tensors: &[(&str, &[usize])]| {
        let tensors: Vec<TensorInfo> = tensors.iter().map(|(name, shape)| info((*name).to_owned(), shape)).collect();
        let metadata = BTreeMap::from([(METADATA_KEY.to_owned(), text(slope))]);
        let architecture = Architecture::from_tensors(&tensors, &metadata)?;
        let again = BTreeMap::from([(METADATA_KEY.to_owned(), architecture.declaration())]);
        assert_eq!(Architecture::from_tensors(&tensors, &again).expect("our own"), architecture);
        Ok::<_, ArchitectureError>(architecture)
    };
    let plain: [(&str, &[usize]); 4] = [
        ("0.weight", &[5, 3]),
        ("0.bias", &[5]),
        ("0.output", &[3, 5]),
        ("1.weight", &[2, 3]),
    ];
    let found = read("", &plain).expect("a block");
    assert_eq!((found.parameters(), found.vector()), (5 * 3 + 5 + 3 * 5 + 2 * 3, Some(3)));
    let mut wide: Vec<(&str, &[usize])> = plain.to_vec();
    wide[2] = ("0.output", &[4, 5]);
    wide[3] = ("1.weight", &[2, 4]);
    assert!(matches!(read("", &wide), Err(ArchitectureError::Shape { .. })));
    wide.extend([("0.path", &[4, 3][..]), ("0.output_bias", &[4][..])]);
    let found = read(r#","slope":0.25"#, &wide).expect("a block with a path");
    assert!(matches!(
        found.layers[0].plan,
        Plan::Block {
            outputs: 4,
            path: true,
            bias: true,
            ..
        }
    ));
    assert_eq!(found.parameters(), 5 * 3 + 5 + 4 * 5 + 4 * 3 + 4 + 2 * 4);
    wide[4] = ("0.path", &[3, 3]);
    assert!(matches!(read("", &wide), Err(ArchitectureError::Shape { .. })));
    wide.push(("0.more", &[1]));
    assert!(read("", &wide).is_err());
    assert!(matches!(read("", &plain[1..]), Err(ArchitectureError::Missing { tensor }) if tensor == "0.weight"));
}
