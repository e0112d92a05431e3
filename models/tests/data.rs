//! Readers of data sets: what they accept, and what they refuse with which words.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use lipcert_models::data::{DataError, DataOptions, Dataset, PixelSlice, Pixels, Shard, Split};
use tempfile::TempDir;

const TRAIN: DataOptions = DataOptions {
    split: Split::Train,
    limit: None,
    shard: None,
};

fn open(kind: &str, path: &Path) -> Result<Dataset, DataError> {
    Dataset::open(&format!("{kind}:{}", path.display()), &DataOptions::default())
}

/// The outside data, or `None` with a line that says so.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn outside(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("LIPCERT_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let path = root.join("data").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: `{}` is absent", path.display());
    None
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An IDX file.
fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
    let words = [magic].into_iter().chain(sizes.iter().copied());
    words.flat_map(u32::to_be_bytes).chain(body.iter().copied()).collect()
}

/// A folder with the test part of MNIST.
fn mnist(images: &[u8], labels: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("t10k-images-idx3-ubyte"), images).unwrap();
    fs::write(folder.path().join("t10k-labels-idx1-ubyte"), labels).unwrap();
    folder
}

fn refused_mnist(images: &[u8], labels: &[u8]) -> DataError {
    open("mnist", mnist(images, labels).path()).unwrap_err()
}

#[test]
fn digits_are_embedded() {
    let test = Dataset::open("digits", &DataOptions::default()).unwrap();
    assert_eq!(
        (test.len(), test.total(), test.shape(), test.classes()),
        (360, 360, [1, 8, 8], 10)
    );
    assert_eq!((test.name(), test.split()), ("digits", Split::Test));
    assert_eq!(test.indices(), (1437..1797).collect::<Vec<_>>());
    let train = Dataset::open("digits", &TRAIN).unwrap();
    assert_eq!(train.indices(), (0..1437).collect::<Vec<_>>());
    let hash = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8";
    assert_eq!((test.sha256(), train.sha256()), (hash, hash));
    // the first row of the file is a 0, the last one an 8
    assert_eq!((train.labels()[0], test.labels()[359]), (0, 8));
    let PixelSlice::Bytes { values, divisor: 16 } = train.pixels_of(0..1) else {
        panic!("bytes over 16")
    };
    assert_eq!(values[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
}

#[test]
fn a_part_keeps_its_places() {
    let mut options = DataOptions {
        limit: Some(10),
        ..DataOptions::default()
    };
    let whole = Dataset::open("digits", &options).unwrap();
    let mut indices = Vec::new();
    for index in 0..3 {
        options.shard = Some(Shard::new(index, 3).unwrap());
        let part = Dataset::open("digits", &options).unwrap();
        assert_eq!(part.total(), 360);
        assert_eq!(part.sha256(), whole.sha256());
        let from = indices.len();
        assert_eq!(part.pixels_of(0..part.len()), whole.pixels_of(from..from + part.len()));
        assert_eq!(part.labels(), &whole.labels()[from..from + part.len()]);
        indices.extend_from_slice(part.indices());
    }
    assert_eq!(indices, whole.indices());
    assert_eq!(indices, (1437..1447).collect::<Vec<_>>());
}

#[test]
fn nothing_is_not_a_data_set() {
    let zero = DataOptions {
        limit: Some(0),
        ..DataOptions::default()
    };
    let error = Dataset::open("digits", &zero).unwrap_err();
    assert_eq!(error.to_string(), "no samples: split `test` of `digits` has 360, limit `0`");
    let shard = DataOptions {
        limit: Some(2),
        shard: Some("0/3".parse().unwrap()),
        ..DataOptions::default()
    };
    let error = Dataset::open("digits", &shard).unwrap_err();
    let expected = "no samples: split `test` of `digits` has 360, limit `2`, shard `0/3`";
    assert_eq!(error.to_string(), expected);
    let error = refused_mnist(&idx(0x803, &[0, 2, 2], &[]), &idx(0x801, &[0], &[]));
    assert!(matches!(error, DataError::NoSamples { total: 0, .. }), "{error}");
    let error = refused_mnist(&idx(0x803, &[1, 0, 2], &[]), &idx(0x801, &[1], &[3]));
    assert!(matches!(error, DataError::Shape { .. }), "{error}");
}

#[test]
fn names_and_parts_are_checked() {
    for spec in ["", "digit", "mnist", "mnist:", "imagenet:x", "digits:x"] {
        assert!(matches!(Dataset::open(spec, &TRAIN), Err(DataError::UnknownSet { .. })));
    }
    for text in ["", "1", "1/", "/2", "-1/2", "1/2/3", "a/b", "0x1/2", "+0/1"] {
        assert!(matches!(text.parse::<Shard>(), Err(DataError::NotAShard { .. })), "{text}");
    }
    for text in ["2/2", "0/0"] {
        assert!(matches!(text.parse::<Shard>(), Err(DataError::Shard { .. })), "{text}");
    }
    assert_eq!("3/4".parse::<Shard>().unwrap().to_string(), "3/4");
    assert!("dev".parse::<Split>().is_err());
    assert_eq!("train".parse::<Split>().unwrap(), Split::Train);
}

#[test]
fn samples_in_memory_are_checked() {
    let pixels = || Pixels::Floats(vec![0.5; 4]);
    assert!(Dataset::from_samples("two", [1, 1, 2], 2, pixels(), vec![0, 1]).is_ok());
    let error = Dataset::from_samples("two", [1, 1, 3], 2, pixels(), vec![0, 1]).unwrap_err();
    assert!(
        matches!(
            error,
            DataError::Count {
                expected: 6,
                found: 4,
                ..
            }
        ),
        "{error}"
    );
    let error = Dataset::from_samples("two", [1, 1, 2], 2, pixels(), vec![0, 2]).unwrap_err();
    assert_eq!(error.to_string(), "`two`: label 2 of record 1 is not one of 2 classes");
    let huge = [usize::MAX; 3];
    assert!(Dataset::from_samples("huge", huge, 2, pixels(), vec![0]).is_err());
    let data = Dataset::from_samples("two", [1, 1, 2], 10, pixels(), vec![0, 7]).unwrap();
    assert!(data.require_classes(8).is_ok() && data.require_classes(7).is_err());
}

#[test]
fn idx_files_compressed_or_not() {
    let images = idx(0x803, &[2, 2, 3], &[0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255]);
    let labels = idx(0x801, &[2], &[7, 9]);
    let raw = open("mnist", mnist(&images, &labels).path()).unwrap();
    assert_eq!(
        (raw.shape(), raw.labels(), raw.indices()),
        ([1, 2, 3], &[7, 9][..], &[0, 1][..])
    );
    let second = PixelSlice::Bytes {
        values: &[250, 251, 252, 253, 254, 255],
        divisor: 255,
    };
    assert_eq!(raw.pixels_of(1..2), second);

    let folder = TempDir::new().unwrap();
    let nested = folder.path().join("FashionMNIST/raw");
    fs::create_dir_all(&nested).unwrap();
    fs::write(nested.join("t10k-images-idx3-ubyte.gz"), gzip(&images)).unwrap();
    fs::write(nested.join("t10k-labels-idx1-ubyte.gz"), gzip(&labels)).unwrap();
    let compressed = open("fashion-mnist", folder.path()).unwrap();
    assert_eq!(compressed.name(), "fashion-mnist");
    assert_eq!(compressed.pixels(), raw.pixels());
    // the hash is of the files as they lie there
    assert_ne!(compressed.sha256(), raw.sha256());
    let joined = [images, labels].concat();
    assert_eq!(raw.sha256(), sha256(&joined));
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn malformed_idx_files() {
    let images = idx(0x803, &[2, 1, 2], &[1, 2, 3, 4]);
    let labels = idx(0x801, &[2], &[0, 1]);
    // an image file where the labels should be
    let error = refused_mnist(&images, &images);
    assert!(
        matches!(
            error,
            DataError::Magic {
                expected: 0x801,
                found: 0x803,
                ..
            }
        ),
        "{error}"
    );
    let error = refused_mnist(&images[..19], &labels);
    assert!(
        matches!(
            error,
            DataError::Truncated {
                expected: 20,
                found: 19,
                ..
            }
        ),
        "{error}"
    );
    let error = refused_mnist(&images[..3], &labels);
    assert!(
        matches!(
            error,
            DataError::Truncated {
                expected: 4,
                found: 3,
                ..
            }
        ),
        "{error}"
    );
    let error = refused_mnist(&[], &labels);
    assert!(matches!(error, DataError::Truncated { found: 0, .. }), "{error}");
    let error = refused_mnist(&[images.clone(), vec![0]].concat(), &labels);
    assert!(matches!(error, DataError::TrailingBytes { expected: 20, .. }), "{error}");
    // another size of image than the file has room for
    let error = refused_mnist(&idx(0x803, &[2, 2, 2], &[1, 2, 3, 4]), &labels);
    assert!(
        matches!(
            error,
            DataError::Truncated {
                expected: 24,
                found: 20,
                ..
            }
        ),
        "{error}"
    );
    let error = refused_mnist(&images, &idx(0x801, &[3], &[0, 1, 2]));
    assert!(
        matches!(
            error,
            DataError::Count {
                expected: 2,
                found: 3,
                ..
            }
        ),
        "{error}"
    );
    let error = refused_mnist(&images, &idx(0x801, &[2], &[0, 10]));
    assert!(
        error.to_string().ends_with("label 10 of record 1 is not one of 10 classes"),
        "{error}"
    );
    // a header is not believed
    let error = refused_mnist(&idx(0x803, &[u32::MAX; 3], &[1]), &labels);
    assert!(matches!(error, DataError::TooLarge { .. }), "{error}");
    let error = refused_mnist(&idx(0x803, &[3, 1 << 15, 1 << 15], &[1]), &labels);
    assert!(matches!(error, DataError::Truncated { found: 17, .. }), "{error}");
}

#[test]
fn malformed_gzip_files() {
    let (images, labels) = (idx(0x803, &[1, 1, 1], &[1]), idx(0x801, &[1], &[0]));
    let bomb = gzip(&[images.clone(), vec![0; 50_000_000]].concat());
    let error = refused_mnist(&bomb, &labels);
    assert!(matches!(error, DataError::TrailingBytes { expected: 17, .. }), "{error}");
    let whole = gzip(&idx(
        0x803,
        &[1, 100, 100],
        &(0..10_000).map(|i| (i * i % 251) as u8).collect::<Vec<_>>(),
    ));
    let error = refused_mnist(&whole[..whole.len() / 2], &labels);
    assert!(matches!(error, DataError::Truncated { expected: 10_016, .. }), "{error}");
    let mut damaged = gzip(&images);
    let end = damaged.len();
    damaged[end - 8] ^= 1;
    assert!(matches!(refused_mnist(&damaged, &labels), DataError::Read { .. }));
    let garbage = [gzip(&images), vec![1, 2, 3]].concat();
    assert!(matches!(refused_mnist(&garbage, &labels), DataError::Read { .. }));
}

#[test]
fn missing_files_are_named() {
    let folder = TempDir::new().unwrap();
    let error = open("mnist", &folder.path().join("nowhere")).unwrap_err();
    assert!(matches!(error, DataError::DirectoryMissing { .. }), "{error}");
    let message = open("mnist", folder.path()).unwrap_err().to_string();
    for name in [
        "`t10k-images-idx3-ubyte`",
        "`t10k-images-idx3-ubyte.gz`",
        "`MNIST/raw/t10k-images-idx3-ubyte`",
    ] {
        assert!(message.contains(name), "{message}");
    }
    let message = open("cifar10", folder.path()).unwrap_err().to_string();
    assert!(
        message.ends_with("holds none of `test_batch.bin`, `cifar-10-batches-bin/test_batch.bin`"),
        "{message}"
    );
    let error = open("npz", &folder.path().join("x.npz")).unwrap_err();
    assert!(matches!(error, DataError::Read { .. }), "{error}");
    assert!(matches!(open("npz", folder.path()).unwrap_err(), DataError::Read { .. }));
}

/// A record of CIFAR with a constant image.
fn record(labels: &[u8], value: u8) -> Vec<u8> {
    [labels, &[value; 3072]].concat()
}

#[test]
fn cifar_in_the_official_layout() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    for batch in 1..=5u8 {
        write(
            &format!("data_batch_{batch}.bin"),
            &[record(&[batch], 10 * batch), record(&[9], 255)].concat(),
        );
    }
    let spec = format!("cifar10:{}", folder.path().display());
    let train = Dataset::open(&spec, &TRAIN).unwrap();
    assert_eq!((train.shape(), train.classes()), ([3, 32, 32], 10));
    assert_eq!(train.labels(), [1, 9, 2, 9, 3, 9, 4, 9, 5, 9]);
    let PixelSlice::Bytes { values, divisor: 255 } = train.pixels_of(6..7) else {
        panic!("bytes over 255")
    };
    assert!(values.len() == 3072 && values.iter().all(|value| *value == 40));

    write("test.bin", &record(&[19, 99], 7));
    let fine = open("cifar100", folder.path()).unwrap();
    assert_eq!((fine.labels(), fine.classes(), fine.sample_len()), (&[99][..], 100, 3072));
    write("test.bin", &record(&[20, 99], 7));
    let error = open("cifar100", folder.path()).unwrap_err();
    assert!(
        matches!(
            error,
            DataError::Label {
                label: 20,
                classes: 20,
                ..
            }
        ),
        "{error}"
    );

    write("test_batch.bin", &record(&[10], 7));
    let error = open("cifar10", folder.path()).unwrap_err();
    assert!(
        matches!(
            error,
            DataError::Label {
                label: 10,
                record: 0,
                ..
            }
        ),
        "{error}"
    );
    write("test_batch.bin", &[record(&[1], 7), vec![1, 2]].concat());
    let error = open("cifar10", folder.path()).unwrap_err();
    assert!(error.to_string().ends_with("record 1 has 2 of 3073 bytes"), "{error}");
    write("test_batch.bin", &[]);
    let error = open("cifar10", folder.path()).unwrap_err();
    assert!(matches!(error, DataError::NoSamples { .. }), "{error}");
}

#[test]
fn mnist_as_published() {
    let Some(folder) = outside("mnist") else { return };
    let test = open("mnist", &folder).unwrap();
    assert_eq!((test.len(), test.shape()), (10_000, [1, 28, 28]));
    assert_eq!(test.labels()[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
}
