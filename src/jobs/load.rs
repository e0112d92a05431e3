//! Model files, read once for every job.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use lipcert_models::architecture::METADATA_KEY;
use lipcert_models::checkpoint::{Checkpoint, Format};
use lipcert_models::network::{LoadOptions, Network, image};
use lipcert_models::preprocess::Preprocess;
use lipcert_proofs::format::{ModelBytes, hexadecimal};
use lipcert_proofs::statement::{Decimal, Layer, Output, Shape};
use sha2::{Digest, Sha256};

use super::ModelOptions;
use crate::results::{Model, Verdict};

/// A network with what the results say about its file.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The network.
    pub(crate) network: Network,
    /// The file.
    pub(crate) model: Model,
    /// Length of the file.
    pub(crate) bytes: u64,
    /// What the reader takes the file to mean without being told; nothing where the file says it all.
    pub(crate) assumptions: Vec<String>,
}

impl Loaded {
    /// The verdict on a claim that is proved for the network that was read, or not.
    pub(crate) fn verdict(&self, proved: bool) -> Verdict {
        match (proved, self.assumptions.is_empty()) {
            (true, true) => Verdict::Certified,
            (true, false) => Verdict::Conditional,
            (false, _) => Verdict::NotCertified,
        }
    }

    /// The bytes that a certificate of this network speaks of.
    pub(crate) fn model_bytes(&self) -> ModelBytes {
        ModelBytes {
            sha256: self.model.sha256.clone(),
            bytes: self.bytes,
            declaration: self.model.declaration.clone(),
        }
    }
}

/// Reads a model; the input shape is the caller's, else that of the data, else what the file says. Images are vectors of as many numbers.
pub(crate) fn load(path: &Path, options: &ModelOptions, data: Option<[usize; 3]>) -> anyhow::Result<Loaded> {
    let data = data.map(image);
    if let (Some(asked), Some(found)) = (options.input, data)
        && asked != found
        && asked != Shape::Flat(found.len())
    {
        let (asked, found) = (shape_words(&asked.sizes()), shape_words(&found.sizes()));
        bail!("--input is {asked}, the samples are {found}");
    }
    let preprocess = match &options.preprocess {
        Some(text) => text.parse::<Preprocess>().context("--preprocess")?,
        None => Preprocess::File,
    };
    let options_of_file = LoadOptions {
        input: data.or(options.input),
        preprocess,
    };
    load_as(path, options.architecture.as_deref(), &options_of_file)
}

/// Opens a model; `architecture` is a TOML file that declares its architecture.
pub(crate) fn open(path: &Path, architecture: Option<&Path>) -> anyhow::Result<Checkpoint> {
    open_declared(path, architecture).map(|(checkpoint, _)| checkpoint)
}

/// As [`open`], with the sha256 of the declaring file, whose bytes are read once.
fn open_declared(path: &Path, architecture: Option<&Path>) -> anyhow::Result<(Checkpoint, Option<String>)> {
    let mut checkpoint = Checkpoint::open(path)?;
    let Some(file) = architecture else {
        return Ok((checkpoint, None));
    };
    let (declaration, sha256) = read_declaration(file)?;
    checkpoint.declare(declaration)?;
    Ok((checkpoint, Some(sha256)))
}

/// The declaration in a TOML file, as JSON.
pub(crate) fn declaration_of(file: &Path) -> anyhow::Result<String> {
    read_declaration(file).map(|(declaration, _)| declaration)
}

/// The same, with the sha256 of the file.
fn read_declaration(file: &Path) -> anyhow::Result<(String, String)> {
    let context = || format!("--arch `{}`", file.display());
    let bytes = std::fs::read(file).with_context(context)?;
    let text = std::str::from_utf8(&bytes).with_context(context)?;
    let declaration: serde_json::Value = toml::from_str(text).with_context(context)?;
    Ok((declaration.to_string(), hexadecimal(&Sha256::digest(&bytes))))
}

/// Reads a model with options that are already understood.
pub(crate) fn load_as(path: &Path, architecture: Option<&Path>, options: &LoadOptions) -> anyhow::Result<Loaded> {
    let (checkpoint, declaration) = open_declared(path, architecture)?;
    let network = Network::load(&checkpoint, options)?;
    let again = Checkpoint::open(path)?;
    if again.sha256() != checkpoint.sha256() {
        bail!("`{}` was changed while it was read", path.display());
    }
    let model = Model {
        path: path.display().to_string(),
        sha256: checkpoint.sha256().to_owned(),
        format: checkpoint.format().to_string(),
        architecture: network.architecture.clone(),
        parameters: network.parameters,
        input: network.map.input().sizes(),
        preprocess: preprocess_words(&network),
        declaration,
    };
    Ok(Loaded {
        assumptions: assumptions(&checkpoint, &network),
        network,
        model,
        bytes: checkpoint.bytes(),
    })
}

/// What the file does not say about its network.
fn assumptions(checkpoint: &Checkpoint, network: &Network) -> Vec<String> {
    let mut assumptions = Vec::new();
    let stack = matches!(
        checkpoint.format(),
        Format::TorchZip | Format::TorchLegacy | Format::Safetensors
    );
    let activated = network.map.layers().iter().any(|layer| matches!(layer, Layer::Activation(_)));
    if stack && activated && !checkpoint.metadata().contains_key(METADATA_KEY) {
        assumptions.push("relu between the dense layers, which a state dict does not say (--arch declares it)".to_owned());
    }
    for (layer, name) in network.map.layers().iter().zip(&network.names) {
        if layer.assumes_convergence() {
            assumptions.push(format!("the power iteration of `{name}` has converged"));
        }
    }
    if !checkpoint.computed().is_empty() {
        let names = checkpoint.computed().join("`, `");
        assumptions.push(format!("the constants `{names}` as the graph's arithmetic rounds them"));
    }
    assumptions
}

/// Refuses an output that names a class the head does not have.
pub(crate) fn require_output(loaded: &Loaded, output: Output) -> anyhow::Result<()> {
    let classes = loaded.network.map.classes();
    let asked = match output {
        Output::All | Output::Features => return Ok(()),
        Output::Class(class) => class,
        Output::Pair(a, b) if a == b => bail!("--output pair:{a},{b}: the difference of a logit with itself is 0"),
        Output::Pair(a, b) => a.max(b),
    };
    if asked >= classes {
        bail!(
            "class {asked} does not exist in `{}`: it has the classes 0 to {}",
            loaded.model.path,
            classes - 1
        );
    }
    Ok(())
}

/// `3x32x32`.
pub(crate) fn shape_words(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

/// The preprocessing as `--preprocess` would take it.
fn preprocess_words(network: &Network) -> String {
    let list = |values: &[Decimal]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    match network.map.layers().first() {
        Some(Layer::Normalize { mean, std }) => format!("mean={};std={}", list(mean), list(std)),
        _ => "none".to_owned(),
    }
}

/// The model files, those of a folder in the order of their names.
pub(crate) fn expand(models: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for model in models {
        if model.is_dir() {
            let inside = files_of(model)?;
            if inside.is_empty() {
                bail!(
                    "the folder `{}` has no file that ends in .{}",
                    model.display(),
                    MODEL_ENDINGS.join(", .")
                );
            }
            files.extend(inside);
        } else {
            files.push(model.clone());
        }
    }
    Ok(files)
}

/// The names of model files in a folder.
const MODEL_ENDINGS: [&str; 6] = ["pth", "pt", "safetensors", "onnx", "npz", "mat"];

/// The model files of a folder by their endings, sorted.
fn files_of(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let context = || format!("cannot read the folder `{}`", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(context)? {
        let entry = entry.with_context(context)?;
        let path = entry.path();
        let known = path
            .extension()
            .is_some_and(|extension| MODEL_ENDINGS.iter().any(|name| extension == *name));
        if known && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
