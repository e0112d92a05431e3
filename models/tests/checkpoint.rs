//! What the readers read, and what they refuse.

mod common;

use std::fs;

use common::{archive, file, refused, repository, safetensors, shared, small};
use lipcert_models::ModelError;
use lipcert_models::checkpoint::{Checkpoint, Dtype, FileError, FileKind, Format, SafetensorsError, TensorError};
use lipcert_models::network::{LoadOptions, Network, image};

/// Raw input of the digits network and its mean.
fn digits() -> LoadOptions {
    LoadOptions {
        input: Some(image([1, 8, 8])),
        preprocess: "mean=0.3053".parse().expect("a mean"),
    }
}

#[test]
fn the_digits_checkpoint_is_read() {
    let checkpoint = Checkpoint::open(&repository("tests/fixtures/sll_digits/digits.pth")).expect("the fixture");
    assert_eq!(checkpoint.format(), Format::TorchZip);
    assert_eq!(checkpoint.bytes(), 434_205);
    assert_eq!(checkpoint.sha256().len(), 64);
    assert_eq!(checkpoint.extras(), ["epoch", "global_step", "optimizer_state_dict"]);
    assert_eq!(checkpoint.tensors().len(), 20, "the optimizer's tensors are not listed");
    assert_eq!(checkpoint.tensors()[0].name, "module.model.model.1.kernel");
    assert_eq!(checkpoint.tensors()[0].shape, [24, 24, 3, 3]);
    assert_eq!(checkpoint.tensors()[0].dtype, Dtype::Float32);
    let network = Network::load(&checkpoint, &digits()).expect("an official network");
    assert_eq!(network.parameters, 34_442);
    assert_eq!(network.architecture, "sll");
    let kinds: Vec<&str> = network
        .map
        .layers()
        .iter()
        .map(lipcert_proofs::statement::Layer::kind)
        .collect();
    let expected = [
        "normalize",
        "pad-channels",
        "sll-conv",
        "sll-conv",
        "sll-conv",
        "sll-conv",
        "average-pool",
        "flatten",
        "sll-dense",
        "sll-dense",
        "normalized-head",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(network.names.len(), kinds.len());
    assert_eq!(network.names[2], "module.model.model.1");
    assert_eq!(network.map.classes(), 10);
}

/// The shipped network is the fixture, float32 bits and all.
#[test]
fn the_shipped_network_is_the_digits_checkpoint() {
    let torch = Checkpoint::open(&repository("tests/fixtures/sll_digits/digits.pth")).expect("the fixture");
    let shipped = Checkpoint::open(&repository("tests/fixtures/sll_digits/digits.safetensors")).expect("the asset");
    assert_eq!(shipped.format(), Format::Safetensors);
    let torch = Network::load(&torch, &digits()).expect("torch");
    let shipped = Network::load(&shipped, &LoadOptions::default()).expect("its metadata says everything");
    assert_eq!(torch, shipped);
}

#[test]
fn three_layouts_of_one_network_agree_bit_for_bit() {
    let options = LoadOptions {
        input: None,
        preprocess: "mean=0.4914,0.4822,0.4465".parse().expect("means"),
    };
    let mut networks = Vec::new();
    for (name, format) in [
        ("sll/model.ckpt-1202.pth", Format::TorchZip),
        ("sll/model.legacy.pth", Format::TorchLegacy),
        ("sll/bare_state_dict.pth", Format::TorchZip),
    ] {
        let Some(path) = shared(name) else { return };
        let checkpoint = Checkpoint::open(&path).expect(name);
        assert_eq!(checkpoint.format(), format);
        let network = Network::load(&checkpoint, &options).expect(name);
        assert_eq!(network.map.input().sizes(), [3, 32, 32], "inferred");
        networks.push(network);
    }
    let bits = |network: &Network| format!("{:?}", network.map);
    assert!(networks.iter().all(|network| bits(network) == bits(&networks[0])));
}

#[test]
fn numpy_archives_are_read() {
    let header = |text: &str| {
        let padded = format!("{text:117}\n");
        [
            b"\x93NUMPY\x01\x00",
            (padded.len() as u16).to_le_bytes().as_slice(),
            padded.as_bytes(),
        ]
        .concat()
    };
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let six = floats(&[0., 1., 2., 3., 4., 5.]);
    let array = |text: &str| [header(text), six.clone()].concat();
    let row = array("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
    let column = array("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }");
    let place = file(&archive(&[("W0.npy", &row), ("W1.npy", &column)]));
    let checkpoint = Checkpoint::open(place.path()).expect("two arrays");
    assert_eq!(checkpoint.format(), Format::Npz);
    assert_eq!(checkpoint.read("W0").expect("W0"), [0., 1., 2., 3., 4., 5.]);
    assert_eq!(checkpoint.read("W1").expect("W1"), [0., 2., 4., 1., 3., 5.]);
    let place = file(&column);
    let checkpoint = Checkpoint::open(place.path()).expect("one array");
    assert_eq!((checkpoint.format(), checkpoint.tensors().len()), (Format::Npy, 1));
    assert_eq!(checkpoint.read("array").expect("array"), [0., 2., 4., 1., 3., 5.]);
    for (text, reason) in [
        ("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", "type `>f4`"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }", "type `|O`"),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }",
            "shape [2, 4] needs 32",
        ),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
            "can be counted",
        ),
        ("{'descr': '<f4', 'fortran_order': False, }", "malformed header"),
    ] {
        let error = refused(&archive(&[("W0.npy", &array(text))])).to_string();
        assert!(error.contains(reason) && error.contains("W0.npy"), "{error}");
    }
    let error = refused(&archive(&[("W0.npy", &row), ("note.txt", b"x")])).to_string();
    assert!(error.contains("`note.txt`: not a .npy array"), "{error}");
    if let Some(path) = shared("nets_npz/gloro/mnist_eps0.45_128x8.npz") {
        let real = Checkpoint::open(&path).expect("a published network");
        for info in real.tensors() {
            assert_eq!(real.read(&info.name).expect("floats").len(), info.count());
        }
    }
}

#[test]
fn safetensors_are_read_and_written() {
    let bytes = safetensors(&[("note", "hello")], &small());
    let place = file(&bytes);
    let checkpoint = Checkpoint::open(place.path()).expect("written by us");
    assert_eq!(checkpoint.metadata()["note"], "hello");
    for (name, shape, values) in small() {
        assert_eq!(checkpoint.tensor(name).expect(name).shape, shape);
        let read: Vec<f32> = checkpoint.read(name).expect(name).iter().map(|value| *value as f32).collect();
        assert_eq!(read, values);
    }
    let library = ::safetensors::SafeTensors::deserialize(&bytes).expect("the library reads it too");
    assert_eq!(library.len(), small().len());
    let followed = [bytes.as_slice(), b"x"].concat();
    assert!(matches!(
        refused(&followed),
        FileError::Safetensors(SafetensorsError::Length { .. })
    ));
    assert!(matches!(
        refused(&bytes[..bytes.len() - 1]),
        FileError::Safetensors(SafetensorsError::Length { .. })
    ));
    assert!(matches!(
        refused(&bytes[..40]),
        FileError::Safetensors(SafetensorsError::Header { .. })
    ));
}

#[test]
fn malformed_safetensors_are_refused() {
    let raw = |header: &str, data: usize| [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat();
    let one = r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
    let open = file(&raw(&format!("{{{one}}}"), 8));
    assert!(Checkpoint::open(open.path()).is_ok());
    for (header, data, reason) in [
        (format!("{{{one},{one}}}"), 8, "`a` stands twice"),
        (
            format!(r#"{{"__metadata__":{{"k":"1","k":"2"}},{one}}}"#),
            8,
            "`k` stands twice",
        ),
        (
            format!(r#"{{{one},"b":{{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}}}"#),
            12,
            "b",
        ),
        (
            format!(r#"{{{one},"b":{{"dtype":"F32","shape":[2],"data_offsets":[12,20]}}}}"#),
            20,
            "b",
        ),
        (r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#.to_owned(), 8, ""),
        (
            r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#.to_owned(),
            8,
            "",
        ),
        (
            r#"{"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}}"#.to_owned(),
            8,
            "F8_E4M3",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}}"#.to_owned(),
            8,
            "unknown field `x`",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#.to_owned(),
            8,
            "-2",
        ),
        (
            r#"{"":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#.to_owned(),
            8,
            "empty, too long or not printable",
        ),
        ("{".to_owned(), 0, "header"),
    ] {
        let error = refused(&raw(&header, data)).to_string();
        assert!(error.contains(reason), "{header}: {error}");
    }
}

#[test]
fn other_files_are_refused_by_kind() {
    for (bytes, kind) in [
        (b"\x89PNG\r\n\x1a\n0000".as_slice(), FileKind::Png),
        (b"\xff\xd8\xff\xe0 JFIF", FileKind::Jpeg),
        (b"\x1f\x8b\x08\x00", FileKind::Gzip),
        (b"\x7fELF\x02\x01", FileKind::Elf),
        (b"\x89HDF\r\n\x1a\n", FileKind::Hdf5),
        (b"MATLAB 7.3 MAT-file, HDF5 schema 1.00", FileKind::Hdf5),
        (b"{\"weights\": [1, 2, 3]}", FileKind::Json),
        (b"weights = 1 2 3\n", FileKind::Text),
        (b"\x80\x02K\x01.", FileKind::Pickle),
        (b"\x00\x01\x02", FileKind::Unknown),
    ] {
        let error = refused(bytes);
        assert!(
            matches!(error, FileError::UnknownFormat { looks_like } if looks_like == kind),
            "{error}"
        );
    }
    assert!(matches!(refused(b""), FileError::Empty));
    let folder = tempfile::tempdir().expect("a folder");
    let error = Checkpoint::open(folder.path()).expect_err("a folder");
    assert!(error.to_string().contains("not a regular file"), "{error}");
    let missing = folder.path().join("missing.pth");
    let error = Checkpoint::open(&missing).expect_err("no file");
    assert!(error.to_string().contains("missing.pth"), "{error}");
    let truncated = fs::read(repository("tests/fixtures/sll_digits/digits.pth")).expect("the fixture");
    let error = refused(&truncated[..truncated.len() / 2]).to_string();
    assert!(error.contains("truncated"), "{error}");
}

#[test]
fn numbers_that_are_none_are_refused_by_tensor_and_position() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut tensors = small();
        tensors[3].2[19] = value;
        let place = file(&safetensors(&[], &tensors));
        let checkpoint = Checkpoint::open(place.path()).expect("opening does not look at the numbers");
        let options = LoadOptions {
            input: Some(image([1, 8, 8])),
            ..LoadOptions::default()
        };
        let Err(ModelError::File { cause, .. }) = Network::load(&checkpoint, &options) else {
            panic!("{value} was accepted")
        };
        let FileError::Tensor { tensor, cause } = *cause else {
            panic!("{cause}")
        };
        let TensorError::NotFinite { index, value: found } = cause else {
            panic!("{cause}")
        };
        assert_eq!((tensor.as_str(), index), ("4.weight", vec![1, 3]));
        assert!(!found.is_finite());
    }
}

#[test]
fn a_missing_tensor_is_named() {
    let checkpoint = Checkpoint::open(&repository("tests/hostile/ok_ref.pth")).expect("the reference");
    let error = checkpoint.read("v").expect_err("no v").to_string();
    assert!(
        error.contains("ok_ref.pth") && error.contains("tensor `v`: no such tensor"),
        "{error}"
    );
}
