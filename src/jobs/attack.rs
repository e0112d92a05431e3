//! Robust accuracy against an attack, beside the certified one.
//!
//! The attack is another program's, see [`super::trainer`]; it hands over inputs. Each is judged here by proof, so that a sample counts as broken for a
//! reason that does not depend on the attack's arithmetic, and no such input may lie within the certified radius of its sample.

mod judge;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use lipcert_models::data::Dataset;
use lipcert_models::training::candidates::Candidates;
use lipcert_models::training::job::{self, Device, Event, Job};
use lipcert_proofs::rounding::directed::div_up;
use lipcert_proofs::rules::compose::NetworkCertificate;

use self::judge::{Judged, is_correct, judge};
use super::certify::{self, DataChoice, Split, require_distinct};
use super::load::load;
use super::train::model_of;
use super::trainer::{self, Answer};
use super::verify::Method;
use super::{ModelOptions, Progress, Unhurried};
use crate::results::{AttackSchema, Attacked, AttackedAt, AttackedSample, Epsilon, Sample, Semantics, Tool, Verdict};

/// What to attack, and how hard.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The model file.
    pub model: PathBuf,
    /// How to read it.
    pub read: ModelOptions,
    /// The samples; no shard.
    pub data: DataChoice,
    /// Perturbation sizes.
    pub epsilons: Vec<Epsilon>,
    /// Steps of each ascent.
    pub steps: usize,
    /// Ascents from different starts, for each loss.
    pub restarts: usize,
    /// Queries a sample of the attack that sees decisions only; 0 for none.
    pub queries: usize,
    /// Of the random starts.
    pub seed: u64,
    /// Where it is computed.
    pub device: Device,
    /// Number of threads; those of libtorch's choice without.
    pub threads: Option<u16>,
    /// Whether the inputs are wanted.
    pub keep: bool,
    /// The command, for the record.
    pub command: String,
}

/// The answer, and what was found for each sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The answer.
    pub attacked: Attacked,
    /// The samples.
    pub samples: Vec<AttackedSample>,
    /// The bytes of the file of inputs, if they are to be kept or show a fault; empty if nothing was attacked.
    pub inputs: Vec<u8>,
}

/// Certifies the samples, attacks them and judges what was found; where no bound is proved nothing could be judged, and nothing is attacked.
///
/// # Errors
///
/// If the model or the data cannot be read, if there is no program that attacks, or if it fails or writes a file that makes no sense.
pub fn run(options: &Options, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    require_distinct(&options.epsilons).context("--eps")?;
    let program = trainer::find()?;
    let dataset = certify::open_data(&options.data)?;
    let loaded = load(&options.model, &options.read, Some(dataset.shape()))?;
    let proof = certify::prove(&loaded, &dataset, Method::Auto, progress)?;
    let run = certify::count(&proof, &loaded, &dataset, &options.epsilons, &options.command, progress)?;
    let found = match &proof.certificate {
        Some(certificate) => Some(search(&program, options, certificate, &dataset, &run.samples, progress)?),
        None => None,
    };
    let (device, stopped) = match &found {
        Some(found) => (Some(found.device.clone()), found.stopped),
        None => (None, false),
    };
    let Found {
        candidates,
        judged,
        inputs,
        ..
    } = found.unwrap_or_default();
    let certified = run.certified;
    let row = |(epsilon, row): (&Epsilon, &crate::results::CertifiedAt)| {
        let within = |distance: &Option<f64>| distance.is_some_and(|distance| distance <= epsilon.below());
        let broken = judged.nearest.iter().filter(|distance| within(distance)).count();
        let count = dataset.len() - broken;
        AttackedAt {
            epsilon: row.epsilon.clone(),
            radius: row.radius,
            broken,
            count,
            robust_accuracy: div_up(count as f64, dataset.len() as f64),
            certified: row.count,
            certified_accuracy: row.accuracy,
            method: options.method(),
            steps: options.steps,
        }
    };
    let attacked = Attacked {
        schema: AttackSchema::V1,
        tool: Tool::current(),
        verdict: if judged.contradictions.is_empty() {
            certified.verdict
        } else {
            Verdict::NotCertified
        },
        assumptions: certified.assumptions.clone(),
        semantics: Semantics::Real,
        command: options.command.clone(),
        attacked: options.epsilons.iter().zip(&certified.certified).map(row).collect(),
        model: certified.model,
        data: certified.data,
        samples: certified.samples,
        correct: certified.correct,
        accuracy: certified.accuracy,
        candidates,
        proved: judged.proved,
        undecided: judged.undecided,
        contradictions: judged.contradictions,
        inputs: None,
        device,
        stopped,
        seconds: start.elapsed().as_secs_f64(),
    };
    let samples = run
        .samples
        .iter()
        .zip(&judged.nearest)
        .map(|(sample, nearest)| AttackedSample {
            index: sample.index,
            label: sample.label,
            predicted: sample.predicted,
            radius: if is_correct(sample) { sample.radius } else { 0.0 },
            broken: *nearest,
        });
    Ok(Outcome {
        attacked,
        samples: samples.collect(),
        inputs,
    })
}

/// What another program found, and what it is worth.
#[derive(Default)]
struct Found {
    candidates: usize,
    judged: Judged,
    inputs: Vec<u8>,
    device: String,
    stopped: bool,
}

/// Lets the other program look for inputs and judges them.
fn search(
    program: &Path,
    options: &Options,
    certificate: &NetworkCertificate<'_>,
    dataset: &Dataset,
    samples: &[Sample],
    progress: &dyn Progress,
) -> anyhow::Result<Found> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let file = folder.path().join("inputs.safetensors");
    let task = Job::Attack(Box::new(job::Attack {
        model: model_of(&options.model, &options.read)?,
        data: options.data.name.clone(),
        test: options.data.split == Split::Test,
        limit: options.data.limit,
        // An input at this distance lies within the size that was typed.
        epsilons: options.epsilons.iter().map(Epsilon::below).collect(),
        steps: options.steps,
        restarts: options.restarts,
        queries: options.queries,
        seed: options.seed,
        output: file.clone(),
        device: options.device,
        threads: options.threads,
    }));
    let mut heard = Heard::default();
    let answer = trainer::ask(program, &task, progress, &mut |event| {
        heard.event(event, progress);
        Ok(())
    })?;
    let Answer::Written { stopped, .. } = answer else {
        bail!("`{}` answers another question than that it was asked", trainer::NAME);
    };
    if file.symlink_metadata().is_err() {
        bail!("`{}` says that it is done, but it left no file of inputs", trainer::NAME);
    }
    let candidates = Candidates::read(&file, dataset.sample_len(), dataset.len(), options.epsilons.len())?;
    let judged = judge(certificate, dataset, samples, &candidates, &Unhurried(progress))?;
    let inputs = if options.keep || !judged.contradictions.is_empty() {
        candidates.to_bytes()
    } else {
        Vec::new()
    };
    Ok(Found {
        candidates: candidates.len(),
        judged,
        inputs,
        device: heard.device,
        stopped,
    })
}

impl Options {
    /// What is tried, in words.
    fn method(&self) -> String {
        let ascent = format!("projected gradient ascent, {} restarts", self.restarts);
        match self.queries {
            0 => ascent,
            queries => format!("{ascent}; decisions, {queries} queries"),
        }
    }
}

/// What the other program has said so far.
#[derive(Default)]
struct Heard {
    device: String,
    done: usize,
}

impl Heard {
    fn event(&mut self, event: Event, progress: &dyn Progress) {
        match event {
            Event::Started {
                device, steps, samples, ..
            } => {
                progress.begin(&format!("attacking {samples} samples on {device}"), steps);
                self.device = device;
            }
            Event::Attack(attack) => {
                progress.advance(attack.step.saturating_sub(self.done));
                self.done = self.done.max(attack.step);
                let size = attack
                    .epsilon
                    .map_or_else(|| "decisions".to_owned(), |epsilon| format!("ε ≈ {epsilon:.4}"));
                progress.note(&format!(
                    "{size} · {} of {} samples tried · {} misled",
                    attack.tried, attack.samples, attack.misled
                ));
            }
            Event::Warning { message } => progress.warn(&message),
            Event::Step(_) | Event::Epoch(_) | Event::Doctor(_) | Event::Finished { .. } | Event::Failed { .. } => {}
        }
    }
}
