//! Fixtures that tests read.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use lipcert_proofs::statement::{Kernel, Layer, Matrix, NetworkMap, Scale, Shape};
use ndarray::{ArrayD, Ix2};
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

    fn matrix(&self, name: &str) -> Matrix {
        let array = self.read::<f32>(name).into_dimensionality::<Ix2>().unwrap();
        Matrix::new("weight", array.nrows(), array.ncols(), self.float32(name)).unwrap()
    }

    fn kernel(&self, name: &str) -> Kernel {
        let shape = self.read::<f32>(name).shape().to_vec();
        Kernel::new("kernel", shape[0], shape[1], shape[2], self.float32(name)).unwrap()
    }
}

/// What PyTorch computes for the digits network.
pub(crate) fn expected_digits() -> Arrays {
    Arrays(fixture("sll_digits/expected.npz"))
}

/// The digits network and, for layers that have one, the number of the layer in its file.
pub(crate) fn digits_network() -> (NetworkMap, Vec<String>) {
    let file = Arrays(fixture("sll_digits/weights.npz"));
    let mut layers = vec![
        Layer::Normalize {
            mean: vec!["0.3053".parse().unwrap()],
            std: vec!["1".parse().unwrap()],
        },
        Layer::PadChannels { channels: 24 },
    ];
    for i in 1..=4 {
        layers.push(Layer::ResidualConv {
            kernel: file.kernel(&format!("{i}.kernel")),
            bias: file.float32(&format!("{i}.bias")),
            scale: Scale::RowSum {
                q: file.float32(&format!("{i}.q")),
            },
        });
    }
    layers.push(Layer::AveragePool { size: 4, divisor: 4 });
    layers.push(Layer::Flatten);
    for i in 7..=8 {
        layers.push(Layer::ResidualDense {
            weight: file.matrix(&format!("{i}.weight")),
            bias: file.float32(&format!("{i}.bias")),
            scale: Scale::Weighted {
                q: file.float32(&format!("{i}.q")),
            },
        });
    }
    layers.push(Layer::NormalizedHead {
        weight: file.matrix("9.weight"),
        bias: file.float32("9.bias"),
    });
    let names = ["", "", "1", "2", "3", "4", "", "", "7", "8", ""].map(str::to_owned).to_vec();
    (NetworkMap::new(image(1, 8, 8), layers).unwrap(), names)
}
