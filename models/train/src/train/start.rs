//! What a training starts from.

use std::io::Write;

use lipcert_models::architecture::METADATA_KEY;
use lipcert_models::checkpoint::write_safetensors;
use lipcert_models::data::Dataset;
use lipcert_models::training::config::{Config, ConfigError, Moving};
use lipcert_models::training::job;
use lipcert_models::training::parameters::Parameter;
use lipcert_models::training::recipe::Recipe;
use lipcert_proofs::format::hexadecimal;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::seed::{Purpose, mix};
use crate::parameters::Parameters;
use crate::state::{self, Identity};
use crate::{Network, TrainError, initial};

/// How many samples at the end of the training split are held out.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a fraction of a number far below 2^53"
)]
pub(super) fn held_out(samples: usize, fraction: f64) -> usize {
    (samples as f64 * fraction).round() as usize
}

/// The network that the task starts from.
pub(super) fn open(task: &job::Train, dataset: &Dataset, device: Device) -> Result<Network, TrainError> {
    if let Some(model) = &task.start {
        return Network::open(model, dataset.shape(), Kind::Float, device);
    }
    let config = task.config.network.as_ref().ok_or(ConfigError::Missing {
        field: "network",
        why: "only a network that exists can be fine-tuned without it",
    })?;
    let recipe = Recipe::new(config, dataset.shape(), dataset.classes())?;
    tch::manual_seed(mix(task.config.seed, Purpose::Start, 0));
    let parameters = Parameters::new(&recipe.architecture, Kind::Float, Device::Cpu, |parameter| {
        Ok(initial::draw(recipe.architecture.layers[parameter.layer].plan, parameter))
    })?;
    let metadata = [(METADATA_KEY.to_owned(), recipe.architecture.declaration())].into();
    // a network is read from a file, a fresh one too
    let bytes = write_safetensors(&metadata, &parameters.plain()?)?;
    let refuse = |cause| TrainError::File {
        path: task.folder.clone(),
        cause,
    };
    let mut file = state::draft(&task.folder).map_err(refuse)?;
    file.write_all(&bytes).map_err(refuse)?;
    let model = job::Model {
        path: file.path().to_owned(),
        declaration: None,
        preprocess: None,
    };
    Network::open(&model, dataset.shape(), Kind::Float, device)
}

/// Holds the parameters that must not move.
pub(super) fn settle(network: &Network, config: &Config) -> Result<(), TrainError> {
    let moving = config.finetune.map_or(Moving::All, |finetune| finetune.parameters);
    let learnt = |(parameter, tensor): &(&Parameter, &Tensor)| tensor.requires_grad() && !parameter.field.is_empty();
    let last = network
        .parameters()
        .iter()
        .filter(learnt)
        .map(|(parameter, _)| parameter.layer)
        .max();
    for (parameter, tensor) in network.parameters().iter() {
        let moves = match moving {
            Moving::All => true,
            Moving::Head => Some(parameter.layer) == last,
            Moving::BiasesAndScales => matches!(parameter.field, "bias" | "q"),
        };
        if !moves && tensor.requires_grad() {
            let _ = tensor.f_set_requires_grad(false)?;
        }
    }
    Ok(())
}

/// What decides what a training does; `data` is the digest of the samples.
pub(super) fn identity(task: &job::Train, data: &str, network: &Network) -> Result<Identity, TrainError> {
    Ok(Identity {
        config: config_digest(&task.config),
        data: data.to_owned(),
        start: digest(&network.file()?),
    })
}

/// Of a configuration, whatever the samples are called here: they have a digest of their own.
pub(super) fn config_digest(config: &Config) -> String {
    let mut config = config.clone();
    config.data.train.clear();
    config.data.test = None;
    digest(&serde_json::to_vec(&config).expect("numbers and texts"))
}

/// The SHA-256, as text.
pub(super) fn digest(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}
