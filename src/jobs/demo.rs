//! The whole job on a network and data that are built in.

use std::io::Write;

use anyhow::Context;
use lipcert_models::data::{DataOptions, Dataset};
use lipcert_models::network::{LoadOptions, image};

use super::Progress;
use super::certify::{OneRun, certify_one};
use super::load::load_as;
use super::verify::Method;
use crate::results::{Certified, CertifySchema, Epsilon};

/// A small SLL network for the 8 × 8 digits, 51,530 parameters: what `lipcert train examples/digits.toml --threads 1` writes.
const MODEL: &[u8] = include_bytes!("../../models/assets/digits.safetensors");

/// What results call the built-in file.
const MODEL_NAME: &str = "digits.safetensors (built in)";

/// The perturbation sizes of the demo, in units of a pixel's range.
const EPSILONS: [&str; 4] = ["0.1", "0.25", "0.5", "1"];

/// The answer, and the certificate that goes with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The answer, under the schema `lipcert/demo/1`; its certificate has no path yet.
    pub certified: Certified,
    /// The bytes of the certificate file.
    pub certificate: Vec<u8>,
    /// The bytes of the model file, for `lipcert check`.
    pub model: Vec<u8>,
}

/// Verifies the built-in network and certifies it on the built-in data.
///
/// # Errors
///
/// If the built-in files cannot be read, or no temporary file can be written.
pub fn run(command: &str, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    // Models are read from files, so the built-in one becomes a file for a moment.
    let mut file = tempfile::NamedTempFile::new().context("cannot write a temporary file")?;
    file.write_all(MODEL).context("cannot write a temporary file")?;
    let dataset = Dataset::open("digits", &DataOptions::default())?;
    let mut loaded = load_as(
        file.path(),
        None,
        &LoadOptions {
            input: Some(image(dataset.shape())),
            ..LoadOptions::default()
        },
    )?;
    MODEL_NAME.clone_into(&mut loaded.model.path);
    let epsilons: Vec<Epsilon> = EPSILONS.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let OneRun {
        mut certified,
        certificate,
        ..
    } = certify_one(&loaded, &dataset, &epsilons, Method::Auto, command, progress)?;
    certified.schema = CertifySchema::Demo1;
    let certificate = certificate.context("the built-in network is not proved")?;
    Ok(Outcome {
        certified,
        certificate,
        model: MODEL.to_vec(),
    })
}
