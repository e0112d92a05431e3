//! Our reader of torch files against another one: same names, shapes, types and bits.

mod common;

use std::path::Path;

use common::{repository, shared};
use lipcert_models::checkpoint::{Checkpoint, Dtype};
use pytorch_reader::PytorchReader;

/// Compares all tensors of a file; `key` is that of the state dict, where it is wrapped.
fn compare(path: &Path, key: Option<&str>) {
    let name = path.display();
    let ours = Checkpoint::open(path).expect("our reader");
    let theirs = match key {
        Some(key) => PytorchReader::with_top_level_key(path, key),
        None => PytorchReader::new(path),
    };
    let theirs = theirs.expect("the other reader");
    assert_eq!(ours.tensors().len(), theirs.len(), "{name}");
    for info in ours.tensors() {
        let other = theirs.get(&info.name).expect("the same names");
        assert_eq!(other.shape(), info.shape, "{name}: {}", info.name);
        if !info.dtype.is_float() {
            continue;
        }
        let bytes = other.read().expect("the other reader");
        let expected: Vec<f64> = match info.dtype {
            Dtype::Float32 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|b| f64::from(f32::from_le_bytes(*b)))
                .collect(),
            Dtype::Float64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            Dtype::Float16 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|b| f64::from(half::f16::from_le_bytes(*b)))
                .collect(),
            _ => bytes
                .as_chunks()
                .0
                .iter()
                .map(|b| f64::from(half::bf16::from_le_bytes(*b)))
                .collect(),
        };
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<u64>>();
        let read = ours.read(&info.name).expect("our reader");
        assert_eq!(bits(&read), bits(&expected), "{name}: {}", info.name);
    }
}

#[test]
fn both_readers_agree_on_every_well_formed_file() {
    compare(&repository("tests/fixtures/sll_digits/digits.pth"), Some("model_state_dict"));
    for (name, key) in [
        ("ok_ref.pth", Some("model_state_dict")),
        ("odd.pth", Some("model_state_dict")),
        ("ck_p4.pth", Some("model_state_dict")),
        ("sd_legacy.pth", None),
    ] {
        compare(&repository("tests/hostile").join(name), key);
    }
    for (name, key) in [
        ("sll/model.ckpt-1202.pth", Some("model_state_dict")),
        ("sll/model.legacy.pth", Some("model_state_dict")),
        ("sll/bare_state_dict.pth", None),
    ] {
        if let Some(path) = shared(name) {
            compare(&path, key);
        }
    }
}
