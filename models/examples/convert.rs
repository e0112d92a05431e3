//! Converts a checkpoint of a known architecture to safetensors with a declaration, keeping the float32 bits.
//!
//! `cargo run -p lipcert-models --example convert -- IN OUT [PREPROCESS [CxHxW]]`, for example
//! `… -- tests/fixtures/sll_digits/digits.pth tests/fixtures/sll_digits/digits.safetensors mean=0.3053 1x8x8`.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use lipcert_models::architecture::{Architecture, METADATA_KEY};
use lipcert_models::checkpoint::{Checkpoint, PlainTensor, write_safetensors};
use lipcert_models::network::image;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (source, target, options) = match arguments.as_slice() {
        [source, target, options @ ..] if options.len() <= 2 => (source, target, options),
        _ => return Err("usage: convert IN OUT [PREPROCESS [CxHxW]]".into()),
    };
    let checkpoint = Checkpoint::open(Path::new(source))?;
    let mut architecture = Architecture::detect(&checkpoint)?;
    if let Some(text) = options.first() {
        architecture.preprocess = Some(text.parse()?);
    }
    let channels = architecture.preprocess.as_ref().and_then(|preprocess| preprocess.channels());
    architecture.input = Some(match options.get(1) {
        Some(text) => {
            let sizes = text.split('x').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
            image(sizes.try_into().map_err(|_| "the input shape has three sizes")?)
        }
        None => architecture.input_shape(channels)?,
    });
    let mut tensors = Vec::new();
    for info in checkpoint.tensors() {
        let wide = checkpoint.read(&info.name)?;
        let values: Vec<f32> = wide.iter().map(|value| *value as f32).collect();
        let exact = wide
            .iter()
            .zip(&values)
            .all(|(wide, value)| f64::from(*value).to_bits() == wide.to_bits());
        if !exact {
            return Err(format!("tensor `{}` holds numbers that no float32 equals", info.name).into());
        }
        let (name, shape) = (info.name.clone(), info.shape.clone());
        tensors.push(PlainTensor { name, shape, values });
    }
    let metadata = BTreeMap::from([(METADATA_KEY.to_owned(), architecture.declaration())]);
    std::fs::write(target, write_safetensors(&metadata, &tensors)?)?;
    Ok(())
}
