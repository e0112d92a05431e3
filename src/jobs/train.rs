//! Training, and what is proved of the result.
//!
//! Another program trains, see [`super::trainer`]; it leaves a file, and what is claimed is claimed of the file alone, by the jobs `verify` and `certify`.

mod config;
mod folder;
mod heard;
mod plan;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use lipcert_models::training::folder::remove_results;
use lipcert_models::training::job::{self, Device, Event, Job};
use lipcert_models::training::place::Place;
use lipcert_proofs::format::hexadecimal;
use lipcert_proofs::statement::Output;
use sha2::{Digest, Sha256};

pub use self::folder::Held;
use self::folder::take_folder;
use self::heard::Heard;
use self::plan::Plan;
use super::load::declaration_of;
use super::trainer::{self, Answer};
use super::verify::{self, Method, Solver};
use super::{Aside, ModelOptions, Progress, Unhurried};
use crate::results::{Certified, ConfigFile, Semantics, Tool, TrainSchema, Trained, Verdict};

pub use lipcert_models::training::folder::{CERTIFICATE, MODEL, REPORT, RESULT, RUN};

/// Where a stop came before the other program was at work.
const STOPPED: &str = "stopped before training began; what was there is still there";

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
#[derive(Debug)]
pub struct Outcome {
    /// The answer.
    pub trained: Trained,
    /// Where the files go.
    pub folder: PathBuf,
    /// The bytes of the certificate file; `None` if no bound is proved.
    pub certificate: Option<Vec<u8>>,
    /// No other training may use the folder until this is dropped: when everything is written.
    pub held: Held,
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
    if place.is_some_and(|place| place.rank > 0) {
        std::fs::create_dir_all(&plan.folder).with_context(|| format!("cannot make the folder `{}`", plan.folder.display()))?;
        train(&program, plan.task(options)?, &mut |_, _| Ok(()), &Aside(progress))?;
        return Ok(None);
    }
    let mut held = take_folder(&plan.folder, options, &[&plan.config.data.train, &plan.test], progress)?;
    let done = train_held(&plan, options, &program, &mut held, progress).map_err(|error| held.restored(error))?;
    let seconds = || begin.elapsed().as_secs_f64();
    let (trained, certificate) = prove(&plan, options, done, &seconds, progress)?;
    Ok(Some(Outcome {
        trained,
        folder: plan.folder,
        certificate,
        held,
    }))
}

/// What training left, and what was said of it.
struct Done {
    heard: Heard,
    left: Left,
    /// What is proved of the network that was gone on from.
    before: Option<Box<Certified>>,
}

/// The file that the other program says that it left.
struct Left {
    sha256: Option<String>,
    stopped: bool,
    best: Option<usize>,
}

/// Lets the other program train; `started` hears of the number of steps that were done before, as soon as it is at work.
fn train(
    program: &Path,
    task: job::Train,
    started: &mut dyn FnMut(usize, &mut Heard) -> anyhow::Result<()>,
    progress: &dyn Progress,
) -> anyhow::Result<(Heard, Left)> {
    let mut heard = Heard::default();
    let mut begun = false;
    let answer = trainer::ask(program, &Job::Train(Box::new(task)), progress, &mut |event| {
        if let Event::Started { done, .. } = &event
            && !begun
        {
            begun = true;
            started(*done, &mut heard)?;
        }
        heard.event(event, progress);
        Ok(())
    })?;
    match answer {
        Answer::Written { sha256, stopped, best } if begun => Ok((heard, Left { sha256, stopped, best })),
        Answer::Written { stopped: true, .. } => bail!(STOPPED),
        Answer::Written { .. } => bail!("`{}` says that it is done before it has begun", trainer::NAME),
        Answer::Doctor(_) => bail!("`{}` answers another question than that it was asked", trainer::NAME),
    }
}

/// The same in a folder that is held: what an earlier training left there goes when this one is at work, and not before.
fn train_held(plan: &Plan, options: &Options, program: &Path, held: &mut Held, progress: &dyn Progress) -> anyhow::Result<Done> {
    let before = match &options.start {
        Some((model, read)) => Some(plan.certify(model, read, options, progress)?),
        None => None,
    };
    if let (Some((_, read)), Some(before)) = (&options.start, &before)
        && read.preprocess.is_none()
        && before.model.preprocess == "none"
    {
        progress.warn(
            "no preprocessing is declared, so the model is trained and certified on the raw input; if it was trained on normalised input, give --preprocess",
        );
    }
    if progress.stopped() {
        bail!(STOPPED);
    }
    let mut started = |done, heard: &mut Heard| {
        if options.resume {
            remove_results(&plan.folder)
                .map_err(|(path, cause)| anyhow!(cause).context(format!("cannot overwrite `{}`", path.display())))?;
            heard.epochs = folder::epochs(&plan.folder, done);
        } else {
            held.begun()?;
        }
        Ok(())
    };
    let (heard, left) = train(program, plan.task(options)?, &mut started, progress)?;
    Ok(Done { heard, left, before })
}

/// What is proved of the file that training left, and its certificate.
fn prove(
    plan: &Plan,
    options: &Options,
    done: Done,
    seconds: &dyn Fn() -> f64,
    progress: &dyn Progress,
) -> anyhow::Result<(Trained, Option<Vec<u8>>)> {
    let Done {
        heard,
        left: Left { sha256, stopped, best },
        before,
    } = done;
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
        moving: heard.moving,
        stopped,
        best,
        epochs: heard.epochs,
        before,
        verify: verified,
        certify: certified,
        seconds: seconds(),
    };
    Ok((trained, certificate))
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
