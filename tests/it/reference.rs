//! Networks with reference values: the digits network of the fixtures, and a CIFAR-10 network where the data is at hand.

use std::fs::File;
use std::path::{Path, PathBuf};

use lipcert::jobs::verify::{Method, Options, Solver};
use lipcert::jobs::{ModelOptions, Unwatched, verify};
use lipcert_models::checkpoint::Checkpoint;
use lipcert_models::network::{LoadOptions, Network, image};
use lipcert_proofs::CertificateFile;
use lipcert_proofs::certificate::{LayerCertificate, Prepared};
use lipcert_proofs::format::ModelBytes;
use lipcert_proofs::rounding::forward::{EnclosedLogits, Evaluator, Samples};
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::rules::margin::{Judgement, Margins};
use lipcert_proofs::statement::Output;
use ndarray::Array2;
use ndarray_npy::{NpzReader, ReadableElement};

/// A file below the root of the workspace.
pub(crate) fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of the data that cannot be shipped, or nothing and a line that says so.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("LIPCERT_SHARED").map_or_else(|| root("../shared"), PathBuf::from);
    let file = folder.join("data").join(path);
    if file.exists() {
        return Some(file);
    }
    println!("skipped: `data/{path}` is not there");
    None
}

/// A network file, how to read it, and its reference values.
pub(crate) struct Reference {
    pub(crate) model: PathBuf,
    pub(crate) input: [usize; 3],
    pub(crate) preprocess: &'static str,
    pub(crate) expected: PathBuf,
}

/// The digits network.
pub(crate) fn digits() -> Reference {
    Reference {
        model: root("tests/fixtures/sll_digits/digits.pth"),
        input: [1, 8, 8],
        preprocess: "mean=0.3053",
        expected: root("tests/fixtures/sll_digits/expected.npz"),
    }
}

/// The CIFAR-10 network, if it is at hand.
pub(crate) fn cifar() -> Option<Reference> {
    Some(Reference {
        model: shared("sll/model.ckpt-1202.pth")?,
        input: [3, 32, 32],
        preprocess: "mean=0.4914,0.4822,0.4465",
        expected: shared("sll/expected.npz")?,
    })
}

impl Reference {
    /// Proves the network as `lipcert verify` does; the certificate's bytes.
    pub(crate) fn verify(&self, output: Output) -> verify::Outcome {
        let options = Options {
            model: self.model.clone(),
            read: ModelOptions {
                architecture: None,
                input: Some(image(self.input)),
                preprocess: Some(self.preprocess.to_owned()),
            },
            method: Method::Auto,
            solver: Solver::default(),
            output,
            command: "test".to_owned(),
        };
        verify::run(&options, &Unwatched).unwrap()
    }

    /// One array of reference values, as a matrix.
    pub(crate) fn matrix<T: ReadableElement>(&self, name: &str) -> Array2<T> {
        NpzReader::new(File::open(&self.expected).unwrap())
            .unwrap()
            .by_name(name)
            .unwrap()
    }

    /// One vector of reference values.
    pub(crate) fn vector(&self, name: &str) -> Vec<f64> {
        let array: ndarray::Array1<f64> = NpzReader::new(File::open(&self.expected).unwrap())
            .unwrap()
            .by_name(name)
            .unwrap();
        array.to_vec()
    }

    /// Reads the network and its certificate again, and hands the checked network over.
    pub(crate) fn checked<R>(&self, bytes: &[u8], use_it: impl FnOnce(&Network, &NetworkCertificate<'_>) -> R) -> R {
        let file = CertificateFile::read(bytes).unwrap();
        let checkpoint = Checkpoint::open(&self.model).unwrap();
        let model = ModelBytes {
            sha256: checkpoint.sha256().to_owned(),
            bytes: checkpoint.bytes(),
            declaration: None,
        };
        let options = LoadOptions {
            input: Some(image(self.input)),
            preprocess: self.preprocess.parse().unwrap(),
        };
        let network = Network::load(&checkpoint, &options).unwrap();
        let claims = file.claims(&model, &network.map, &network.names).unwrap();
        let layers = network
            .map
            .layers()
            .iter()
            .zip(network.map.input_shapes())
            .zip(claims)
            .map(|((layer, input), claim)| {
                let prepared = Prepared::new(layer, input).unwrap();
                LayerCertificate::check(&prepared, claim).unwrap()
            });
        let certificate = NetworkCertificate::compose(&network.map, layers.collect(), Vec::new(), file.output).unwrap();
        file.confirm(&certificate).unwrap();
        use_it(&network, &certificate)
    }
}

/// Logits and judgements of all samples.
pub(crate) fn judge_all(certificate: &NetworkCertificate<'_>, samples: Samples<'_>) -> Vec<(EnclosedLogits, Judgement)> {
    let evaluator = Evaluator::new(certificate).unwrap();
    let margins = Margins::new(certificate).unwrap();
    let logits = evaluator.evaluate(samples).unwrap();
    logits
        .into_iter()
        .map(|logits| {
            let judgement = margins.judge(&logits).unwrap();
            (logits, judgement)
        })
        .collect()
}
