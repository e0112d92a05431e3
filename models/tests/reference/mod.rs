//! Fixtures that tests read.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use lipcert_models::checkpoint::Checkpoint;
use lipcert_models::network::{LoadOptions, Network};
use lipcert_proofs::statement::{Layer, Matrix, NetworkMap, Shape};
use ndarray::ArrayD;
use ndarray_npy::{NpzReader, ReadableElement};
use serde_json::Value;

/// A file below `tests/fixtures` of the workspace.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)
}

/// The text of a fixture.
pub(crate) fn fixture_text(name: &str) -> String {
    fs::read_to_string(fixture(name)).unwrap()
}

/// One file of reference values.
pub(crate) struct Vectors(Value);

impl Vectors {
    pub(crate) fn read(name: &str) -> Self {
        Self(serde_json::from_str(&fixture_text(&format!("vectors/{name}.json"))).unwrap())
    }

    pub(crate) fn value(&self, key: &str) -> &Value {
        &self.0[key]
    }

    /// The numbers of a nested array, the last index fastest.
    pub(crate) fn numbers(&self, key: &str) -> Vec<f64> {
        numbers(&self.0[key])
    }

    pub(crate) fn matrix(&self, key: &str) -> Matrix {
        let rows = self.0[key].as_array().unwrap().len();
        let data = self.numbers(key);
        Matrix::new("reference", rows, data.len() / rows, data).unwrap()
    }
}

/// The numbers of a nested array, the last index fastest.
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

pub(crate) const fn image(channels: usize, height: usize, width: usize) -> Shape {
    Shape::Image { channels, height, width }
}

/// A head of ones.
pub(crate) fn head(classes: usize, length: usize) -> Layer {
    Layer::NormalizedHead {
        weight: Matrix::new("head", classes, length, vec![1.0; classes * length]).unwrap(),
        bias: vec![0.0; classes],
    }
}

/// The arrays of a `.npz` file.
pub(crate) struct Arrays(PathBuf);

impl Arrays {
    fn read<T: ReadableElement>(&self, name: &str) -> ArrayD<T> {
        let mut file = NpzReader::new(File::open(&self.0).unwrap()).unwrap();
        file.by_name(name).unwrap()
    }

    pub(crate) fn float64(&self, name: &str) -> Vec<f64> {
        self.read::<f64>(name).iter().copied().collect()
    }

    pub(crate) fn float32(&self, name: &str) -> Vec<f64> {
        self.read::<f32>(name).iter().map(|value| f64::from(*value)).collect()
    }
}

/// What PyTorch computes for the digits network.
pub(crate) fn expected_digits() -> Arrays {
    Arrays(fixture("sll_digits/expected.npz"))
}

/// The digits network and, for layers that have one, the number of the layer in its file.
pub(crate) fn digits_network() -> (NetworkMap, Vec<String>) {
    let checkpoint = Checkpoint::open(&fixture("sll_digits/digits.pth")).unwrap();
    let options = LoadOptions {
        input: Some(image(1, 8, 8)),
        preprocess: "mean=0.3053".parse().unwrap(),
    };
    let network = Network::load(&checkpoint, &options).unwrap();
    let names = ["", "", "1", "2", "3", "4", "", "", "7", "8", ""].map(str::to_owned).to_vec();
    (network.map, names)
}
