//! What the tests of this crate share.
#![allow(dead_code, unreachable_pub, clippy::print_stdout, reason = "each test binary uses a part")]

use std::fs;
use std::path::{Path, PathBuf};

use lipcert_models::ModelError;
use lipcert_models::checkpoint::{Checkpoint, FileError};

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A file of the data that is not part of the repository, or nothing with a line that says so.
pub fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("LIPCERT_SHARED").map_or_else(|| repository("../shared"), PathBuf::from);
    let file = root.join("data").join(path);
    if file.exists() {
        Some(file)
    } else {
        println!("skipped: `{}` is not there", file.display());
        None
    }
}

/// Bytes as a file of their own, gone when the value is dropped.
pub fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), bytes).expect("written");
    file
}

/// The reason for which these bytes are refused.
pub fn refused(bytes: &[u8]) -> FileError {
    match Checkpoint::open(file(bytes).path()) {
        Err(ModelError::File { cause, .. }) => *cause,
        other => panic!("{other:?}"),
    }
}

/// A safetensors file of float32 tensors, with this entry in the metadata if it is not empty.
pub fn safetensors(metadata: &[(&str, &str)], tensors: &[(&str, &[usize], Vec<f32>)]) -> Vec<u8> {
    let metadata = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, shape, values)| lipcert_models::checkpoint::PlainTensor {
            name: (*name).to_owned(),
            shape: shape.to_vec(),
            values: values.clone(),
        })
        .collect();
    lipcert_models::checkpoint::write_safetensors(&metadata, &tensors).expect("agreeing shapes")
}

/// The tensors of a small official network: 4 channels, one convolution, one dense layer, two classes, images of 8 × 8.
pub fn small() -> Vec<(&'static str, &'static [usize], Vec<f32>)> {
    let fill = |count: usize| {
        (0..count)
            .map(|i| ((i * 7919 % 101) as f32 - 50.0) / 100.0)
            .collect::<Vec<f32>>()
    };
    vec![
        ("1.kernel", &[2, 4, 3, 3], fill(72)),
        ("1.bias", &[1, 2, 1, 1], fill(2)),
        ("1.q", &[2], fill(2)),
        ("4.weight", &[3, 16], fill(48)),
        ("4.bias", &[1, 3], fill(3)),
        ("4.q", &[3], fill(3)),
        ("5.weight", &[2, 16], fill(32)),
        ("5.bias", &[2], fill(2)),
    ]
}

/// A zip archive of stored entries.
pub fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let size = (bytes.len() as u32).to_le_bytes();
        let common = [
            &[10, 0, 0, 0, 0, 0, 0, 0, 33, 0][..],
            &crc.sum().to_le_bytes(),
            &size,
            &size,
            &(name.len() as u16).to_le_bytes(),
            &[0, 0],
        ]
        .concat();
        let offset = (body.len() as u32).to_le_bytes();
        directory.extend([b"PK\x01\x02\x0a\x00", common.as_slice(), &[0; 10], &offset, name.as_bytes()].concat());
        body.extend([b"PK\x03\x04", common.as_slice(), name.as_bytes(), bytes].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let sizes = [(directory.len() as u32).to_le_bytes(), (body.len() as u32).to_le_bytes()].concat();
    let end = [b"PK\x05\x06\0\0\0\0", count.as_slice(), &count, &sizes, &[0, 0]].concat();
    [body, directory, end].concat()
}
