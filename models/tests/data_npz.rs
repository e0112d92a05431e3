//! The reader of `.npz` data: what it accepts, and what it refuses with which words.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::Write as _;
use std::path::Path;

use lipcert_models::data::{DataError, DataOptions, Dataset, PixelSlice, Pixels};
use ndarray::{Array1, Array2, Array3, Array4, ShapeBuilder};
use ndarray_npy::{NpzWriter, WriteNpyExt};
use tempfile::TempDir;

fn open(path: &Path) -> Result<Dataset, DataError> {
    Dataset::open(&format!("npz:{}", path.display()), &DataOptions::default())
}

/// Writes arrays into a `.npz` file and opens it.
fn npz(write: impl FnOnce(&mut NpzWriter<fs::File>)) -> Result<Dataset, DataError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("points.npz");
    let mut writer = NpzWriter::new_compressed(fs::File::create(&path).unwrap());
    write(&mut writer);
    writer.finish().unwrap();
    open(&path)
}

#[test]
fn npz_files() {
    let y = Array1::from_vec(vec![2i64, 0]);
    let data = npz(|file| {
        file.add_array(
            "x",
            &Array2::from_shape_vec((2, 3), vec![0.1f32, 1.5, -2.0, 3.0, 4.0, 5.0]).unwrap(),
        )
        .unwrap();
        file.add_array("y", &y).unwrap();
    })
    .unwrap();
    assert_eq!((data.name(), data.shape(), data.classes()), ("npz:points.npz", [1, 1, 3], 3));
    assert_eq!(data.labels(), [2, 0]);
    assert_eq!(data.pixels_of(0..1), PixelSlice::Floats(&[f64::from(0.1f32), 1.5, -2.0]));

    // first index fastest in the file, and other types
    let x = Array3::from_shape_fn((2, 2, 2).f(), |(n, h, w)| (4 * n + 2 * h + w) as f64);
    let data = npz(|file| {
        file.add_array("x", &x).unwrap();
        file.add_array("y", &Array1::from_vec(vec![1u8, 1])).unwrap();
    })
    .unwrap();
    assert_eq!(data.shape(), [1, 2, 2]);
    assert_eq!(*data.pixels(), Pixels::Floats((0..8).map(f64::from).collect()));

    let data = npz(|file| {
        file.add_array(
            "x",
            &Array4::from_shape_fn((2, 3, 1, 2), |(n, c, _, w)| (100 * n + 10 * c + w) as u8),
        )
        .unwrap();
        file.add_array("y", &Array1::from_vec(vec![0i32, 300])).unwrap();
    })
    .unwrap();
    assert_eq!((data.shape(), data.classes()), ([3, 1, 2], 301));
    let first = PixelSlice::Bytes {
        values: &[0, 1, 10, 11, 20, 21],
        divisor: 255,
    };
    assert_eq!(data.pixels_of(0..1), first);
}

#[test]
fn malformed_npz_files() {
    let x = Array2::<f64>::zeros((2, 3));
    let y = Array1::from_vec(vec![0u8, 1]);
    let error = npz(|file| file.add_array("x", &x).unwrap()).unwrap_err();
    assert!(error.to_string().ends_with("has no array `y`, only `x.npy`"), "{error}");

    let mut bad = x.clone();
    bad[(1, 2)] = f64::NAN;
    let error = npz(|file| file.add_array("x", &bad).unwrap()).unwrap_err();
    assert!(error.to_string().ends_with("x.npy` is NaN at [1, 2]"), "{error}");
    bad[(1, 2)] = f64::INFINITY;
    assert!(npz(|file| file.add_array("x", &bad).unwrap()).is_err());

    let labelled = |y: &Array1<i64>| {
        npz(|file| {
            file.add_array("x", &x).unwrap();
            file.add_array("y", y).unwrap();
        })
    };
    let error = labelled(&Array1::from_vec(vec![0, -1])).unwrap_err();
    assert!(
        matches!(
            error,
            DataError::Label {
                record: 1,
                label: -1,
                ..
            }
        ),
        "{error}"
    );
    let error = labelled(&Array1::from_vec(vec![65_536, 0])).unwrap_err();
    assert!(matches!(error, DataError::Label { record: 0, .. }), "{error}");
    let error = labelled(&Array1::from_vec(vec![0])).unwrap_err();
    assert!(
        matches!(
            error,
            DataError::Count {
                expected: 2,
                found: 1,
                ..
            }
        ),
        "{error}"
    );

    let typed = npz(|file| {
        file.add_array("x", &x).unwrap();
        file.add_array("y", &y.mapv(f64::from)).unwrap();
    });
    assert!(matches!(typed, Err(DataError::Dtype { dtype, .. }) if dtype == "<f8"));
    let typed = npz(|file| file.add_array("x", &x.mapv(|value| value as i32)).unwrap());
    assert!(matches!(typed, Err(DataError::Dtype { dtype, .. }) if dtype == "<i4"));
    let shaped = npz(|file| file.add_array("x", &y).unwrap());
    assert!(matches!(shaped, Err(DataError::Shape { found, .. }) if found == [2]));
    let empty = npz(|file| {
        file.add_array("x", &Array2::<f32>::zeros((0, 3))).unwrap();
        file.add_array("y", &Array1::<u8>::zeros(0)).unwrap();
    });
    assert!(matches!(empty, Err(DataError::NoSamples { total: 0, .. })));
}

#[test]
fn npz_headers_are_not_believed() {
    let mut good = Vec::new();
    Array2::<f64>::zeros((2, 3)).write_npy(&mut good).unwrap();
    let patched = |from: &str, to: &str| {
        let at = good.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
        let mut bytes = good.clone();
        let padding = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        bytes.splice(at..at + from.len(), to.bytes());
        // keep the length of the header
        if to.len() >= from.len() {
            bytes.drain(padding - (to.len() - from.len())..padding);
        }
        bytes
    };
    let raw = |bytes: &[u8]| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("raw.npz");
        let mut writer = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        writer.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap();
        open(&path).unwrap_err()
    };
    // the array itself is sound: only `y` is missing
    assert!(matches!(raw(&good), DataError::ArrayMissing { array: "y", .. }));
    let error = raw(&patched("(2, 3)", "(9999999999, 9999999999)"));
    assert!(matches!(error, DataError::TooLarge { .. }), "{error}");
    let error = raw(&patched("(2, 3)", "(2000, 3)"));
    assert!(matches!(error, DataError::Truncated { .. }), "{error}");
    let error = raw(&patched("(2, 3)", "(1, 3)"));
    assert!(matches!(error, DataError::TrailingBytes { .. }), "{error}");
    let error = raw(&patched("'<f8'", "'>f8'"));
    assert!(matches!(error, DataError::Dtype { .. }), "{error}");
    let error = raw(&patched("False", "Truth"));
    assert!(matches!(error, DataError::Npy { .. }), "{error}");
    assert!(matches!(raw(b"not an array at all"), DataError::Npy { at: 0, .. }));
    assert!(matches!(raw(b""), DataError::Truncated { .. }));
    let huge_zero = patched("(2, 3)", "(0, 18446744073709551615)");
    assert!(matches!(raw(&huge_zero), DataError::TrailingBytes { .. }));

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("raw.npz");
    fs::write(&path, b"PK but not really").unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, DataError::Directory { .. }), "{error}");
}
