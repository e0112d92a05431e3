//! What the tests share.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lipcert_models::architecture::{Architecture, METADATA_KEY, Plan};
use lipcert_models::checkpoint::{Dtype, PlainTensor, TensorInfo, write_safetensors};
use lipcert_models::data::{DataOptions, Dataset};
use lipcert_models::training::config::NetworkConfig;
use lipcert_models::training::job::Model;
use lipcert_models::training::parameters::{self, Parameter};
use lipcert_models::training::recipe::Recipe;
use lipcert_train::{Network, device};
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};
use tempfile::NamedTempFile;

/// libtorch has one generator of random numbers and one number of threads, where the program has one job; tests of it run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

/// One thread, and libtorch opened the way the program opens it; no other test uses libtorch as long as this is held.
pub(crate) fn start() -> Alone {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = device::open();
    tch::set_num_threads(1);
    Alone { _guard: alone }
}

/// Held by the one test that uses libtorch; only its holder can draw random numbers.
pub(crate) struct Alone {
    _guard: MutexGuard<'static, ()>,
}

impl Alone {
    /// Starts the generator anew.
    #[expect(clippy::unused_self, reason = "the generator belongs to who holds the guard")]
    pub(crate) fn seed(&self, seed: i64) {
        tch::manual_seed(seed);
    }

    /// Numbers of the normal distribution, in float64.
    pub(crate) fn normal(&self, seed: i64, size: &[i64]) -> Tensor {
        self.seed(seed);
        Tensor::randn(size, (Kind::Double, Device::Cpu))
    }
}

/// The test samples of the digits.
pub(crate) fn digits(limit: usize) -> Dataset {
    let options = DataOptions {
        limit: Some(limit),
        ..DataOptions::default()
    };
    Dataset::open("digits", &options).unwrap()
}

/// A model file for images of a shape, in float64.
pub(crate) fn open(path: &Path, input: [usize; 3]) -> Network {
    open_as(path, input, Kind::Double)
}

/// The same with numbers of another type.
pub(crate) fn open_as(path: &Path, input: [usize; 3], kind: Kind) -> Network {
    let model = Model {
        path: path.to_owned(),
        declaration: None,
        preprocess: None,
    };
    Network::open(&model, input, kind, Device::Cpu).unwrap()
}

/// The samples as raw images `(N, C, H, W)`.
pub(crate) fn images(dataset: &Dataset) -> Tensor {
    let values = lipcert_models::forward::inputs::<f64>(dataset, 0..dataset.len()).unwrap();
    let [channels, height, width] = dataset.shape().map(|size| i64::try_from(size).unwrap());
    Tensor::from_slice(values.as_slice().unwrap()).view([-1, channels, height, width])
}

/// Largest difference of two tensors.
pub(crate) fn difference(left: &Tensor, right: &Tensor) -> f64 {
    assert_eq!(left.size(), right.size());
    (left - right).abs().max().double_value(&[])
}

/// Layers whose maps are compared: a description for a recipe, or a declaration with the shapes of its tensors.
pub(crate) struct Case {
    /// Name in messages.
    pub(crate) name: String,
    /// The entries of the layers.
    layers: Vec<Map<String, Value>>,
    /// `(tensor, shape)` where the entries are a declaration.
    tensors: Option<Vec<(&'static str, Vec<usize>)>>,
    input: [usize; 3],
}

impl Case {
    /// Whether a file keeps a norm of its own, which training writes.
    pub(crate) fn stores_a_norm(&self) -> bool {
        let parameters = parameters::of(&self.architecture());
        parameters.iter().any(|parameter| parameter.field == "sigma")
    }

    /// The kinds of its layers.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().map(|layer| layer["kind"].as_str().unwrap())
    }

    /// Shape of an image.
    pub(crate) const fn input(&self) -> [usize; 3] {
        self.input
    }

    /// Whether it is a description.
    pub(crate) const fn described(&self) -> bool {
        self.tensors.is_none()
    }

    /// The architecture.
    pub(crate) fn architecture(&self) -> Architecture {
        let Some(tensors) = &self.tensors else {
            let config = NetworkConfig {
                preset: None,
                name: None,
                preprocess: None,
                layers: self.layers.clone(),
            };
            return Recipe::new(&config, self.input, 1).unwrap().architecture;
        };
        let declaration = json!({
            "schema": "lipcert/architecture/1",
            "name": "declared",
            "input": self.input,
            "layers": self.layers,
        });
        let tensors: Vec<TensorInfo> = tensors
            .iter()
            .map(|(name, shape)| TensorInfo {
                name: (*name).to_owned(),
                dtype: Dtype::Float32,
                shape: shape.clone(),
            })
            .collect();
        Architecture::from_tensors(&tensors, &[(METADATA_KEY.to_owned(), declaration.to_string())].into()).unwrap()
    }

    /// A file with random numbers.
    pub(crate) fn file(&self, alone: &Alone) -> NamedTempFile {
        self.seeded(alone, 7)
    }

    /// A file with the random numbers of a seed.
    pub(crate) fn seeded(&self, alone: &Alone, seed: i64) -> NamedTempFile {
        alone.seed(seed);
        let architecture = self.architecture();
        let tensors = parameters::of(&architecture).into_iter().map(|parameter| PlainTensor {
            values: Vec::try_from(random(architecture.layers[parameter.layer].plan, &parameter).flatten(0, -1)).unwrap(),
            name: parameter.name,
            shape: parameter.shape,
        });
        let metadata = [(METADATA_KEY.to_owned(), architecture.declaration())].into();
        let bytes = write_safetensors(&metadata, &tensors.collect::<Vec<_>>()).unwrap();
        written(&bytes)
    }

    /// The network of a file, in float64.
    pub(crate) fn network(&self, alone: &Alone) -> Network {
        open(self.file(alone).path(), self.input)
    }

    /// Random images.
    pub(crate) fn images(&self, alone: &Alone, count: i64, seed: i64) -> Tensor {
        let [channels, height, width] = self.input.map(|size| i64::try_from(size).unwrap());
        alone.normal(seed, &[count, channels, height, width])
    }
}

/// A temporary file.
pub(crate) fn written(bytes: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

/// Numbers in the range that the layer takes, some of them beyond where it clamps.
fn random(plan: Plan, parameter: &Parameter) -> Tensor {
    let shape: Vec<i64> = parameter.shape.iter().map(|size| i64::try_from(*size).unwrap()).collect();
    let options = (Kind::Float, Device::Cpu);
    match (plan, parameter.field) {
        (_, "sigma" | "factor" | "alpha") => Tensor::rand(&shape, options) + 0.6,
        (Plan::Paired { .. }, _) => Tensor::rand(&shape, options) * 8.0 - 1.0,
        (Plan::Elementwise { .. }, _) => Tensor::rand(&shape, options) + 0.5,
        (Plan::ChannelActivation { .. }, _) => Tensor::randn(&shape, options),
        _ => Tensor::randn(&shape, options) * 0.6,
    }
}

/// Every kind of layer in every variant, with other layers around it where it needs them.
pub(crate) fn cases() -> Vec<Case> {
    let described = |layers: Value, input| (layers, None, input);
    let flat = [1, 1, 6];
    let image = [4, 5, 6];
    let flattened = |layer: Value| described(json!([layer, { "kind": "flatten" }]), image);
    let vector = |layer: Value| described(json!([{ "kind": "flatten" }, layer]), flat);
    let mut found = vec![
        described(
            json!([{ "kind": "pad-channels", "channels": 7 }, { "kind": "flatten" }]),
            image,
        ),
        flattened(json!({ "kind": "average-pool", "size": 1, "divisor": 3 })),
        described(
            json!([{ "kind": "average-pool", "size": 2 }, { "kind": "flatten" }]),
            [2, 4, 6],
        ),
        vector(json!({ "kind": "normalized-head", "classes": 4 })),
        vector(json!({ "kind": "dense", "outputs": 4 })),
        described(
            json!([{ "kind": "flatten" }, { "kind": "pad-features", "features": 9 }]),
            flat,
        ),
    ];
    for kind in ["sll-conv", "sll-conv-weighted", "cpl-conv"] {
        for side in [1, 3, 5] {
            found.push(flattened(json!({ "kind": kind, "inner": 3, "kernel-size": side })));
        }
    }
    for kind in ["sll-dense", "aol-dense", "cpl-dense", "cpl-frobenius"] {
        found.push(vector(json!({ "kind": kind, "inner": 8 })));
    }
    for outputs in [4, 6, 9] {
        for layer in [
            json!({ "kind": "aol" }),
            json!({ "kind": "aol", "epsilon": 0.3 }),
            json!({ "kind": "frobenius", "offset": 0.1 }),
            json!({ "kind": "spectral", "offset": 0.1 }),
            json!({ "kind": "bjorck", "iterations": 3, "beta": 0.4, "offset": 0.01 }),
            json!({ "kind": "cayley" }),
            json!({ "kind": "sandwich" }),
            json!({ "kind": "sandwich", "activation": "leaky-relu", "slope": 0.2 }),
        ] {
            let mut layer = layer;
            layer["outputs"] = outputs.into();
            found.push(vector(layer));
        }
        found.push(vector(json!({ "kind": "householder-product", "vectors": outputs })));
    }
    for padding in ["zero", "circular"] {
        for side in [1, 3, 5] {
            for layer in [
                json!({ "kind": "convolution", "outputs": 3 }),
                json!({ "kind": "aol-conv", "outputs": 3, "epsilon": 0.1 }),
                json!({ "kind": "aol-conv", "outputs": 5 }),
                json!({ "kind": "spectral-conv", "outputs": 3 }),
                json!({ "kind": "linear-residual-conv" }),
                json!({ "kind": "skew-exponential", "terms": 6 }),
                json!({ "kind": "skew-exponential", "terms": 1 }),
            ] {
                let mut layer = layer;
                layer["padding"] = padding.into();
                layer["kernel-size"] = side.into();
                found.push(flattened(layer));
            }
        }
    }
    // images that fill the smallest power of two
    for layer in [
        json!({ "kind": "cpl-conv", "inner": 2 }),
        json!({ "kind": "spectral-conv", "outputs": 2 }),
        json!({ "kind": "skew-exponential", "terms": 4 }),
    ] {
        found.push(described(json!([layer, { "kind": "flatten" }]), [2, 8, 8]));
    }
    // a kernel that goes around more than once
    found.push(described(
        json!([{ "kind": "convolution", "outputs": 2, "padding": "circular", "kernel-size": 7 }, { "kind": "flatten" }]),
        [2, 2, 3],
    ));
    for layer in [
        json!({ "kind": "relu" }),
        json!({ "kind": "leaky-relu", "slope": 0.2 }),
        json!({ "kind": "leaky-relu", "slope": -0.5 }),
        json!({ "kind": "leaky-relu", "slope": 1.5 }),
        json!({ "kind": "abs" }),
        json!({ "kind": "tanh" }),
        json!({ "kind": "sigmoid" }),
        json!({ "kind": "softplus", "beta": 3.0 }),
        json!({ "kind": "softplus" }),
        json!({ "kind": "elu" }),
        json!({ "kind": "prelu" }),
        json!({ "kind": "lprelu" }),
        json!({ "kind": "n-activation" }),
        json!({ "kind": "max-min" }),
        json!({ "kind": "max-min", "pairing": "adjacent" }),
        json!({ "kind": "group-sort", "size": 2 }),
        json!({ "kind": "full-sort" }),
        json!({ "kind": "crelu" }),
        json!({ "kind": "householder" }),
        json!({ "kind": "householder-2" }),
        json!({ "kind": "projection-pool" }),
        json!({ "kind": "first-channels", "channels": 3 }),
        json!({ "kind": "center", "over": "all" }),
        json!({ "kind": "pair-max" }),
    ] {
        found.push(flattened(layer.clone()));
        found.push(vector(layer));
    }
    found.push(flattened(json!({ "kind": "center", "over": "channel" })));
    for (size, stride) in [(2, 2), (3, 1), (2, 3)] {
        found.push(flattened(json!({ "kind": "max-pool", "size": size, "stride": stride })));
    }
    for order in ["channel-first", "block-first"] {
        let layer = json!([{ "kind": "pixel-unshuffle", "factor": 2, "order": order }, { "kind": "flatten" }]);
        found.push(described(layer, [3, 4, 6]));
        found.push(flattened(json!({ "kind": "pixel-shuffle", "factor": 2, "order": order })));
    }
    found.push(described(
        json!([{ "kind": "norm-pool", "size": 2 }, { "kind": "flatten" }]),
        [2, 4, 6],
    ));
    let mut found: Vec<(Value, Option<Vec<_>>, [usize; 3])> = found;
    // what only files of elsewhere have
    for operation in ["add", "subtract", "multiply", "divide"] {
        let layers = json!([{ "kind": operation, "name": "a" }, { "kind": "flatten", "name": "b" }]);
        found.push((layers, Some(vec![("a.operand", vec![120])]), image));
    }
    let dense = |layer: Value, tensors: Vec<(&'static str, Vec<usize>)>| {
        let layers = json!([{ "kind": "flatten", "name": "b" }, layer]);
        (layers, Some(tensors), flat)
    };
    found.extend([
        dense(
            json!({ "kind": "residual-dense", "name": "a" }),
            vec![("a.weight", vec![3, 6]), ("a.bias", vec![3]), ("a.factor", vec![3])],
        ),
        dense(
            json!({ "kind": "residual-block", "name": "a" }),
            vec![("a.weight", vec![3, 6]), ("a.bias", vec![3]), ("a.output", vec![6, 3])],
        ),
        dense(
            json!({ "kind": "residual-block", "name": "a", "slope": 0.1 }),
            vec![
                ("a.weight", vec![3, 6]),
                ("a.bias", vec![3]),
                ("a.output", vec![4, 3]),
                ("a.path", vec![4, 6]),
                ("a.output_bias", vec![4]),
            ],
        ),
        dense(json!({ "kind": "dense", "name": "a" }), vec![("a.weight", vec![3, 6])]),
        dense(json!({ "kind": "spectral", "name": "a" }), vec![("a.weight", vec![3, 6])]),
        dense(
            json!({ "kind": "spectral", "name": "a" }),
            vec![("a.weight", vec![3, 6]), ("a.u", vec![3]), ("a.v", vec![6])],
        ),
        dense(
            json!({ "kind": "bjorck", "name": "a", "iterations": 2 }),
            vec![("a.weight", vec![3, 6])],
        ),
        dense(json!({ "kind": "cayley", "name": "a" }), vec![("a.weight", vec![3, 6])]),
        dense(
            json!({ "kind": "sandwich", "name": "a", "activation": "relu" }),
            vec![("a.weight", vec![3, 9]), ("a.psi", vec![3]), ("a.bias", vec![3])],
        ),
        dense(json!({ "kind": "prelu", "name": "a" }), vec![("a.weight", vec![1])]),
        dense(json!({ "kind": "n-activation", "name": "a" }), vec![("a.theta", vec![1, 2])]),
        (
            json!([{ "kind": "residual-conv", "name": "a" }, { "kind": "flatten", "name": "b" }]),
            Some(vec![
                ("a.kernel", vec![3, 4, 3, 3]),
                ("a.bias", vec![3]),
                ("a.factor", vec![3]),
            ]),
            image,
        ),
        (
            json!([{ "kind": "skew-exponential", "name": "a", "terms": 5 }, { "kind": "flatten", "name": "b" }]),
            Some(vec![("a.weight", vec![4, 4, 3, 3])]),
            image,
        ),
    ]);
    let objects = |layers: &Value| {
        layers
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| layer.as_object().unwrap().clone())
            .collect()
    };
    found
        .into_iter()
        .map(|(layers, tensors, input)| Case {
            name: format!("{layers} with tensors {tensors:?}"),
            layers: objects(&layers),
            tensors,
            input,
        })
        .collect()
}

/// A layer behind a flattening, by description.
fn on_vector(layer: &Value, features: usize) -> Case {
    Case {
        name: layer.to_string(),
        layers: vec![
            json!({ "kind": "flatten", "name": "1" }).as_object().unwrap().clone(),
            layer.as_object().unwrap().clone(),
        ],
        tensors: None,
        input: [1, 1, features],
    }
}

/// A dense residual layer with weighted row sums on a vector.
pub(crate) fn wide(inner: usize, features: usize) -> Case {
    on_vector(&json!({ "kind": "sll-dense", "inner": inner, "name": "0" }), features)
}

/// A dense layer on a vector.
pub(crate) fn dense(kind: &str, outputs: usize, features: usize) -> Case {
    let mut layer = json!({ "kind": kind, "outputs": outputs, "name": "0" });
    if kind == "bjorck" {
        layer["iterations"] = 3.into();
    }
    on_vector(&layer, features)
}

/// A convolution with a kernel of 3 × 3.
pub(crate) fn convolution(kind: &str, outputs: usize, input: [usize; 3]) -> Case {
    let layer = json!({ "kind": kind, "outputs": outputs, "name": "0" });
    Case {
        name: layer.to_string(),
        layers: vec![
            layer.as_object().unwrap().clone(),
            json!({ "kind": "flatten", "name": "1" }).as_object().unwrap().clone(),
        ],
        tensors: None,
        input,
    }
}
