//! What a training needs, read and checked before anything is started.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use lipcert_models::data::{self, DataOptions, DataSpec, Dataset};
use lipcert_models::training::Config;
use lipcert_models::training::job;
use lipcert_models::training::recipe::Recipe;

use super::config::Source;
use super::{Options, model_of};
use crate::jobs::certify::{self, DataChoice, Split, require_distinct};
use crate::jobs::verify::Method;
use crate::jobs::{ModelOptions, Progress};
use crate::results::{Certified, Epsilon, Run, Semantics};

/// The perturbation sizes where the configuration names none.
const EPSILONS: [&str; 4] = ["36/255", "72/255", "108/255", "1"];

/// What is asked for, understood and checked.
pub(super) struct Plan {
    pub(super) source: Source,
    /// With the data of the command line.
    pub(super) config: Config,
    pub(super) folder: PathBuf,
    epsilons: Vec<Epsilon>,
    /// What is certified on.
    pub(super) test: String,
}

impl Plan {
    /// Reads and checks everything that the training needs.
    pub(super) fn new(options: &Options) -> anyhow::Result<Self> {
        let source = Source::read(&options.config)?;
        let mut config = source.config.clone();
        if let Some(data) = &options.data {
            config.data.train.clone_from(data);
        }
        if let Some(data) = &options.test_data {
            config.data.test = Some(data.clone());
        }
        if options.start.is_some() && config.network.is_some() {
            let why =
                "`network` is given, but the model that is fine-tuned is the network (--preprocess says what its input was)";
            return Err(source.place("network", why));
        }
        config.check().map_err(|cause| source.refuse(cause))?;
        let epsilons = epsilons(&config, &source)?;
        let open = |spec: &str, split, limit| {
            let options = DataOptions {
                split,
                limit,
                ..DataOptions::default()
            };
            Dataset::open(spec, &options).with_context(|| format!("`{}`: data", source.path))
        };
        let train = open(&config.data.train, data::Split::Train, config.data.limit)?;
        config.loss.fits(train.classes()).map_err(|cause| source.refuse(cause))?;
        let [_, height, width] = train.shape();
        config.augment.fits(height.min(width)).map_err(|cause| source.refuse(cause))?;
        let test = match &config.data.test {
            Some(test) => test.clone(),
            None if matches!(config.data.train.parse(), Ok(DataSpec::Npz(_))) => {
                let why = "`data.test` is missing: an npz file has no test samples of its own (--test-data names others)";
                return Err(source.place("data", why));
            }
            None => config.data.train.clone(),
        };
        let tested = open(&test, data::Split::Test, config.certify.limit)?;
        if tested.shape() != train.shape() {
            bail!(
                "`{test}` has samples of shape {:?}, `{}` of {:?}",
                tested.shape(),
                config.data.train,
                train.shape()
            );
        }
        let require_classes = |logits: usize, named: &dyn Fn() -> String| {
            for (dataset, spec) in [(&train, &config.data.train), (&tested, &test)] {
                if logits < dataset.classes() {
                    bail!("{} has {logits} logits, `{spec}` has {} classes", named(), dataset.classes());
                }
            }
            Ok(())
        };
        match (&options.start, &config.network) {
            (None, Some(network)) => {
                let recipe =
                    Recipe::new(network, train.shape(), train.classes()).map_err(|cause| source.refuse_network(&cause))?;
                require_classes(recipe.outputs, &|| format!("`{}`: the network", source.path))?;
                if config.finetune.is_some() {
                    let why = "`finetune` is for `lipcert finetune`: a fresh network moves as a whole";
                    return Err(source.place("finetune", why));
                }
            }
            (Some((model, read)), _) => {
                let logits = crate::jobs::load::load(model, read, Some(train.shape()))?
                    .network
                    .map
                    .classes();
                require_classes(logits, &|| format!("`{}`", model.display()))?;
            }
            (None, None) => bail!("`{}`: `network` is missing: there is no model to go on from", source.path),
        }
        let folder = match (&options.folder, options.config.file_stem()) {
            (Some(folder), _) => folder.clone(),
            (None, Some(stem)) => Path::new("runs").join(stem),
            (None, None) => bail!("`{}` has no name that a folder could have: give -o", source.path),
        };
        Ok(Self {
            source,
            config,
            folder,
            epsilons,
            test,
        })
    }

    /// What the other program is asked.
    pub(super) fn task(&self, options: &Options) -> anyhow::Result<job::Train> {
        let start = match &options.start {
            None => None,
            Some((model, read)) => Some(model_of(model, read)?),
        };
        Ok(job::Train {
            config: self.config.clone(),
            folder: self.folder.clone(),
            start,
            resume: options.resume,
            device: options.device,
            threads: options.threads,
        })
    }

    /// Certifies a file on the test samples.
    pub(super) fn certify(
        &self,
        model: &Path,
        read: &ModelOptions,
        options: &Options,
        progress: &dyn Progress,
    ) -> anyhow::Result<Box<Certified>> {
        let outcome = certify::run(
            &certify::Options {
                models: vec![model.to_owned()],
                read: read.clone(),
                data: DataChoice {
                    name: self.test.clone(),
                    split: Split::Test,
                    limit: self.config.certify.limit,
                    shard: None,
                },
                epsilons: self.epsilons.clone(),
                semantics: Semantics::Real,
                method: Method::Auto,
                one_model: true,
                command: options.command.clone(),
            },
            progress,
        )?;
        match outcome.run {
            Run::One(certified) => Ok(certified),
            Run::Many(_) => bail!("`{}` is more than one model", model.display()),
        }
    }
}

/// The perturbation sizes of the configuration.
fn epsilons(config: &Config, source: &Source) -> anyhow::Result<Vec<Epsilon>> {
    let texts: Vec<&str> = match config.certify.eps.as_slice() {
        [] => EPSILONS.to_vec(),
        some => some.iter().map(|size| size.0.as_str()).collect(),
    };
    let read = || {
        let sizes: Vec<Epsilon> = texts.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        require_distinct(&sizes)?;
        anyhow::Ok(sizes)
    };
    read().map_err(|cause| source.place("certify.eps", &format!("`certify.eps`: {cause}")))
}
