//! Training, and what is proved of the result.
//!
//! Another program trains, see [`super::trainer`]; it leaves a file, and what is claimed is claimed of the file alone, by the jobs `verify` and `certify`.

mod config;
mod folder;
mod heard;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use lipcert_models::data::{self, DataOptions, DataSpec, Dataset};
use lipcert_models::training::Config;
use lipcert_models::training::job::{self, Device, Event, Job};
use lipcert_models::training::place::Place;
use lipcert_models::training::recipe::Recipe;
use lipcert_proofs::format::hexadecimal;
use lipcert_proofs::statement::Output;
use sha2::{Digest, Sha256};

use self::config::Source;
use self::folder::{remove_results, take_folder};
use self::heard::Heard;
use super::certify::{self, DataChoice, Split, require_distinct};
use super::load::declaration_of;
use super::trainer::{self, Answer};
use super::verify::{self, Method, Solver};
use super::{ModelOptions, Progress, Unhurried};
use crate::results::{Certified, ConfigFile, Epsilon, Run, Semantics, Tool, TrainSchema, Trained, Verdict};

/// The perturbation sizes where the configuration names none.
const EPSILONS: [&str; 4] = ["36/255", "72/255", "108/255", "1"];

/// The file that training leaves.
pub const MODEL: &str = "model.safetensors";
/// The certificate of its Lipschitz bound.
pub const CERTIFICATE: &str = "certificate.json";
/// The run of `certify` on it.
pub const RUN: &str = "run.json";
/// The report of that run.
pub const REPORT: &str = "report.html";
/// The whole result, with the epochs.
pub const RESULT: &str = "train.json";

/// What to train.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The file that says what is trained and how.
    pub config: PathBuf,
    /// The model to go on from, and how to read it; else a fresh network.
    pub start: Option<(PathBuf, ModelOptions)>,
    /// Where the files go; else `runs/` and the name of the configuration.
    pub folder: Option<PathBuf>,
    /// Another data set to train on than that of the configuration.
    pub data: Option<String>,
    /// Another data set to certify on.
    pub test_data: Option<String>,
    /// Where it is computed.
    pub device: Device,
    /// Whether the training in the folder is taken up again.
    pub resume: bool,
    /// Whether files in the folder may be overwritten.
    pub force: bool,
    /// Number of threads; those of libtorch's choice without.
    pub threads: Option<u16>,
    /// The command, for the record.
    pub command: String,
}

/// The answer, and the certificate that goes with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The answer.
    pub trained: Trained,
    /// Where the files go.
    pub folder: PathBuf,
    /// The bytes of the certificate file; `None` if no bound is proved.
    pub certificate: Option<Vec<u8>>,
}

/// Trains, then verifies and certifies the file; nothing where another of several processes does that.
///
/// Everything that can be refused is refused before anything is started.
///
/// # Errors
///
/// If the configuration, the data or the model is refused, if the folder has files that may not be overwritten, if there is no program that trains, or
/// if it fails.
pub fn run(options: &Options, progress: &dyn Progress) -> anyhow::Result<Option<Outcome>> {
    let begin = Instant::now();
    let plan = Plan::new(options)?;
    let place = Place::of_environment()?;
    let program = trainer::find()?;
    let first = place.is_none_or(|place| place.rank == 0);
    // held until the end: what is certified is what this training left
    let mut held = if first {
        Some(take_folder(&plan.folder, options, &[&plan.config.data.train, &plan.test])?)
    } else {
        std::fs::create_dir_all(&plan.folder).with_context(|| format!("cannot make the folder `{}`", plan.folder.display()))?;
        None
    };
    let before = match &options.start {
        Some((model, read)) if first => Some(plan.certify(model, read, options, progress)?),
        _ => None,
    };
    if let (Some((_, read)), Some(before)) = (&options.start, &before)
        && read.preprocess.is_none()
        && before.model.preprocess == "none"
    {
        progress.warn(
            "no preprocessing is declared, so the model is trained and certified on the raw input; if it was trained on normalised input, give --preprocess",
        );
    }
    let task = plan.task(options)?;
    let mut heard = Heard::default();
    let mut removed = Ok(());
    let answer = trainer::ask(&program, &Job::Train(Box::new(task)), progress, &mut |event| {
        if let (Event::Started { done, .. }, Some(held)) = (&event, &mut held) {
            // Only now it is certain that there is a training, or one to go on with.
            if options.resume {
                removed = remove_results(&plan.folder);
                heard.epochs = folder::epochs(&plan.folder, *done);
            } else {
                removed = held.begun();
            }
        }
        heard.event(event, progress);
    })?;
    removed?;
    let Answer::Written { sha256, stopped, best } = answer else {
        bail!("`{}` answers another question than that it was asked", trainer::NAME);
    };
    if !first {
        return Ok(None);
    }
    let file = plan.folder.join(MODEL);
    // What was asked to stop is training, not the proof of what it left.
    let unhurried = Unhurried(progress);
    let (mut verified, mut certificate, mut certified) = (None, None, None);
    if file.is_file() {
        let outcome = verify::run(&verify_options(&file, options), &unhurried)?;
        certificate = outcome.certificate;
        let counted = plan.certify(&file, &ModelOptions::default(), options, &unhurried)?;
        let proved = &outcome.verified.model.sha256;
        if sha256.as_ref() != Some(proved) || counted.model.sha256 != *proved {
            bail!("`{}` is not the file that the training left", file.display());
        }
        verified = Some(outcome.verified);
        certified = Some(counted);
    } else if !stopped {
        bail!(
            "`{}` says that it is done, but there is no `{}`",
            trainer::NAME,
            file.display()
        );
    }
    if let Some(file) = verified.as_mut().and_then(|verified| verified.certificate.as_mut()) {
        file.path = Some(plan.folder.join(CERTIFICATE).display().to_string());
        // The radii rest on the same bounds, or on those of all pairs.
        if let Some(same) = certified.as_mut().and_then(|certified| certified.certificate.as_mut())
            && same.sha256 == file.sha256
        {
            same.path.clone_from(&file.path);
        }
    }
    let trained = Trained {
        schema: match options.start {
            None => TrainSchema::Train1,
            Some(_) => TrainSchema::Finetune1,
        },
        tool: Tool::current(),
        verdict: certified
            .as_ref()
            .map_or(Verdict::NotCertified, |certified| certified.verdict),
        assumptions: certified
            .as_ref()
            .map(|certified| certified.assumptions.clone())
            .unwrap_or_default(),
        semantics: Semantics::Real,
        command: options.command.clone(),
        config: ConfigFile {
            path: plan.source.path.clone(),
            sha256: hexadecimal(&Sha256::digest(plan.source.text.as_bytes())),
            effective: plan.config.clone(),
        },
        checkpoint: certified.is_some().then(|| file.display().to_string()),
        device: heard.device,
        parameters: heard.parameters,
        stopped,
        best,
        epochs: heard.epochs,
        before,
        verify: verified,
        certify: certified,
        seconds: begin.elapsed().as_secs_f64(),
    };
    Ok(Some(Outcome {
        trained,
        folder: plan.folder,
        certificate,
    }))
}

/// What is asked for, understood and checked.
struct Plan {
    source: Source,
    /// With the data of the command line.
    config: Config,
    folder: PathBuf,
    epsilons: Vec<Epsilon>,
    /// What is certified on.
    test: String,
}

impl Plan {
    /// Reads and checks everything that the training needs.
    fn new(options: &Options) -> anyhow::Result<Self> {
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
                let logits = super::load::load(model, read, Some(train.shape()))?.network.map.classes();
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
    fn task(&self, options: &Options) -> anyhow::Result<job::Train> {
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
    fn certify(
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

/// How the result is verified.
fn verify_options(file: &Path, options: &Options) -> verify::Options {
    verify::Options {
        model: file.to_owned(),
        read: ModelOptions::default(),
        method: Method::Auto,
        solver: Solver::default(),
        output: Output::All,
        command: options.command.clone(),
    }
}

/// A model as the other program is told of it.
pub(super) fn model_of(path: &Path, read: &ModelOptions) -> anyhow::Result<job::Model> {
    Ok(job::Model {
        path: path.to_owned(),
        declaration: read.architecture.as_deref().map(declaration_of).transpose()?,
        preprocess: read.preprocess.clone(),
    })
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
