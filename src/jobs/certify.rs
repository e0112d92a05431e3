//! How many samples of a data set no perturbation of a given size can change.

mod pairs;

use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};
use lipcert_models::data::{self, DataOptions, Dataset, PixelSlice, Shard};
use lipcert_proofs::rounding::forward::{Evaluator, Samples};
use lipcert_proofs::rounding::interval::Interval;
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::rules::curvature::Curvature;
use lipcert_proofs::rules::margin::{Judgement, Margins};
use lipcert_proofs::statement::Output;
use rayon::prelude::*;

use self::pairs::{pair_bounds, prove_pairs, resolve_for_pairs};
use super::load::{Loaded, expand, load, shape_words};
use super::prove::prove_layers;
use super::verify::{Method, certificate_bytes, hash, lipschitz_of};
use super::{ModelOptions, Progress};
use crate::results::{
    Certified, CertifiedAt, CertifiedModels, CertifySchema, Data, Epsilon, LayerResult, Run, Sample, Semantics, Tool, curve,
};

/// Samples of one batch: the weights of a wide dense layer are read once a batch.
pub(super) const BATCH: usize = 256;

/// Which samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataChoice {
    /// The data set as typed, e.g. `cifar10:DIR`.
    pub name: String,
    /// Which part of it.
    pub split: Split,
    /// Only so many first samples.
    pub limit: Option<usize>,
    /// Only part `.0` of `.1` equal parts, zero-based.
    pub shard: Option<(usize, usize)>,
}

/// Part of a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// The test samples.
    #[default]
    Test,
    /// The training samples.
    Train,
}

/// What to certify.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Model files, or folders of them.
    pub models: Vec<PathBuf>,
    /// How to read them.
    pub read: ModelOptions,
    /// The samples.
    pub data: DataChoice,
    /// Perturbation sizes.
    pub epsilons: Vec<Epsilon>,
    /// Which function is meant.
    pub semantics: Semantics,
    /// How the Lipschitz bound is proved.
    pub method: Method,
    /// Whether more than one model is an error: the table of samples is for one.
    pub one_model: bool,
    /// The command, for the record.
    pub command: String,
}

/// The answer, and what was found for each sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The answer.
    pub run: Run,
    /// The samples; empty if there are several models.
    pub samples: Vec<Sample>,
}

/// One network on the samples.
pub(super) struct OneRun {
    pub(super) certified: Certified,
    pub(super) samples: Vec<Sample>,
    pub(super) certificate: Option<Vec<u8>>,
}

/// Certifies every model on the samples. Two ε of the same size are refused; a sample that is not certified is only counted.
///
/// # Errors
///
/// If a model or the data cannot be read, or a number of them is not finite.
pub fn run(options: &Options, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    require_distinct(&options.epsilons).context("--eps")?;
    let Semantics::Real = options.semantics;
    let dataset = open_data(&options.data)?;
    let models = expand(&options.models)?;
    if options.one_model && models.len() > 1 {
        bail!("--samples is for one model, {} were given", models.len());
    }
    let one = |path: &PathBuf| {
        let loaded = load(path, &options.read, Some(dataset.shape()))?;
        certify_one(
            &loaded,
            &dataset,
            &options.epsilons,
            options.method,
            &options.command,
            progress,
        )
    };
    if let [path] = models.as_slice() {
        let OneRun { certified, samples, .. } = one(path)?;
        return Ok(Outcome {
            run: Run::One(Box::new(certified)),
            samples,
        });
    }
    let rows: Vec<Certified> = models
        .iter()
        .map(|path| one(path).map(|run| run.certified))
        .collect::<Result<_, _>>()?;
    let many = CertifiedModels::new(options.command.clone(), rows, start.elapsed().as_secs_f64());
    let many = many.context("no model was given")?;
    Ok(Outcome {
        run: Run::Many(Box::new(many)),
        samples: Vec::new(),
    })
}

/// Proves the bound of one network and judges every sample.
pub(super) fn certify_one(
    loaded: &Loaded,
    dataset: &Dataset,
    epsilons: &[Epsilon],
    method: Method,
    command: &str,
    progress: &dyn Progress,
) -> anyhow::Result<OneRun> {
    let proof = prove(loaded, dataset, method, progress)?;
    count(&proof, loaded, dataset, epsilons, command, progress)
}

/// What is proved of a network before any sample is looked at.
pub(super) struct Proof<'a> {
    start: Instant,
    method: Method,
    layers: Vec<LayerResult>,
    /// Nothing if a layer is not proved.
    pub(super) certificate: Option<NetworkCertificate<'a>>,
}

/// Proves the bounds of one network that takes the samples and tells their classes apart.
pub(super) fn prove<'a>(
    loaded: &'a Loaded,
    dataset: &Dataset,
    method: Method,
    progress: &dyn Progress,
) -> anyhow::Result<Proof<'a>> {
    let start = Instant::now();
    let path = &loaded.model.path;
    let network = &loaded.network;
    dataset
        .require_classes(network.map.classes())
        .with_context(|| format!("labels for `{path}`"))?;
    let (expected, found) = (network.map.input().sizes(), dataset.shape());
    if expected != found {
        bail!(
            "`{path}` takes {}, the samples are {}",
            shape_words(&expected),
            shape_words(&found)
        );
    }
    let asked = method;
    let method = resolve_for_pairs(asked, &network.map)?;
    let layers = prove_layers(network, progress);
    let (method, chains) = if method.needs_chain() {
        match prove_pairs(&network.map, method, progress) {
            Ok(chains) => (method, chains),
            // Nobody asked for this method.
            Err(_) if asked == Method::Auto => (Method::Product, Vec::new()),
            Err(cause) => return Err(cause).with_context(|| format!("`{path}`")),
        }
    } else {
        (method, Vec::new())
    };
    let (layers, certificate) = layers.compose(network, chains, Output::All)?;
    Ok(Proof {
        start,
        method,
        layers,
        certificate,
    })
}

/// Judges every sample.
pub(super) fn count(
    proof: &Proof<'_>,
    loaded: &Loaded,
    dataset: &Dataset,
    epsilons: &[Epsilon],
    command: &str,
    progress: &dyn Progress,
) -> anyhow::Result<OneRun> {
    let certificate = proof.certificate.as_ref();
    let evaluation = Instant::now();
    let judged = match certificate {
        Some(certificate) => {
            let judged = judge_all(certificate, dataset, progress);
            Some(judged.with_context(|| format!("`{}`", loaded.model.path))?)
        }
        None => None,
    };
    let evaluated = evaluation.elapsed().as_secs_f64().max(1e-9);
    let Judged { judgements, max_error } = judged.unwrap_or_default();
    let labels = dataset.labels();
    let samples: Vec<Sample> = judgements
        .iter()
        .zip(labels)
        .zip(dataset.indices())
        .map(|((judgement, label), index)| Sample {
            index: *index,
            label: usize::from(*label),
            predicted: judgement.predicted,
            margin: judgement.margin,
            radius: judgement.radius.value(),
        })
        .collect();
    let hits: Vec<&Judgement> = judgements
        .iter()
        .zip(labels)
        .filter(|(j, label)| j.predicted == usize::from(**label))
        .map(|(j, _)| j)
        .collect();
    let correct: Vec<&Judgement> = hits.iter().copied().filter(|judgement| judgement.decided()).collect();
    let total = dataset.len();
    let rows = epsilons.iter().map(|epsilon| {
        let size = Interval::point(epsilon.radius());
        let count = correct.iter().filter(|judgement| judgement.radius.covers(size)).count();
        CertifiedAt::new(epsilon, count, total)
    });
    let open = |judgement: &&&Judgement| {
        epsilons.iter().any(|epsilon| {
            let size = epsilon.radius();
            !judgement.radius.covers(Interval::point(size)) && judgement.radius_limit >= size
        })
    };
    let bytes = certificate
        .map(|certificate| certificate_bytes(certificate, loaded))
        .transpose()?;
    let radii: Vec<f64> = correct.iter().map(|judgement| judgement.radius.value()).collect();
    let certified = Certified {
        schema: CertifySchema::Certify1,
        tool: Tool::current(),
        verdict: loaded.verdict(certificate.is_some()),
        assumptions: loaded.assumptions.clone(),
        semantics: Semantics::Real,
        command: command.to_owned(),
        model: loaded.model.clone(),
        data: Data {
            name: dataset.name().to_owned(),
            split: dataset.split().to_string(),
            sha256: dataset.sha256().to_owned(),
            samples: total,
            total: dataset.total(),
        },
        lipschitz: lipschitz_of(Output::All, certificate),
        rule: if Curvature::applies(&loaded.network.map) {
            "margin + curvature (pairwise over all classes)".to_owned()
        } else {
            "margin (pairwise over all classes)".to_owned()
        },
        method: proof.method.name().to_owned(),
        pairs: match certificate {
            Some(certificate) => pair_bounds(certificate)?,
            None => Vec::new(),
        },
        samples: total,
        correct: correct.len(),
        accuracy: correct.len() as f64 / total as f64,
        certified: rows.collect(),
        undecided: correct.iter().filter(open).count(),
        unproved_class: hits.len() - correct.len(),
        max_logit_error: certificate.is_some().then_some(max_error),
        curve: curve(&radii),
        layers: proof.layers.clone(),
        certificate: bytes.as_deref().map(hash),
        seconds: proof.start.elapsed().as_secs_f64(),
        samples_per_second: total as f64 / evaluated,
    };
    Ok(OneRun {
        certified,
        samples,
        certificate: bytes,
    })
}

/// What is known of all samples.
#[derive(Default)]
struct Judged {
    judgements: Vec<Judgement>,
    max_error: f64,
}

/// A batch of samples as the evaluation takes it.
pub(super) fn raw_samples(dataset: &Dataset, range: Range<usize>) -> Samples<'_> {
    match dataset.pixels_of(range) {
        PixelSlice::Bytes { values, divisor } => Samples::Bytes { values, divisor },
        PixelSlice::Floats(values) => Samples::Floats(values),
    }
}

/// Evaluates and judges all samples, batches in parallel.
fn judge_all(certificate: &NetworkCertificate<'_>, dataset: &Dataset, progress: &dyn Progress) -> anyhow::Result<Judged> {
    let evaluator = Evaluator::new(certificate)?;
    let margins = Margins::new(certificate)?;
    let total = dataset.len();
    // Small sets still use every core.
    let batch = BATCH.min(total.div_ceil(rayon::current_num_threads())).max(1);
    let starts: Vec<usize> = (0..total).step_by(batch).collect();
    progress.begin("certifying samples", total);
    let parts: Vec<(Vec<Judgement>, f64)> = starts
        .into_par_iter()
        .map(|start| {
            let range = start..(start + batch).min(total);
            let count = range.len();
            let samples = raw_samples(dataset, range);
            let mut max_error: f64 = 0.0;
            let mut judgements = Vec::with_capacity(count);
            for (offset, logits) in evaluator.evaluate(samples)?.iter().enumerate() {
                let index = dataset.indices()[start + offset];
                judgements.push(margins.judge(logits).with_context(|| format!("sample {index}"))?);
                max_error = (0..logits.values().len()).fold(max_error, |most, class| most.max(logits.error_up(class)));
            }
            progress.advance(count);
            anyhow::Ok((judgements, max_error))
        })
        .collect::<Result<_, _>>()?;
    let mut judged = Judged::default();
    for (judgements, max_error) in parts {
        judged.judgements.extend(judgements);
        judged.max_error = judged.max_error.max(max_error);
    }
    Ok(judged)
}

/// Opens the data set that was asked for.
pub(super) fn open_data(choice: &DataChoice) -> anyhow::Result<Dataset> {
    let shard = choice.shard.map(|(index, count)| Shard::new(index, count)).transpose()?;
    let split = match choice.split {
        Split::Test => data::Split::Test,
        Split::Train => data::Split::Train,
    };
    Ok(Dataset::open(
        &choice.name,
        &DataOptions {
            split,
            limit: choice.limit,
            shard,
        },
    )?)
}

/// Refuses two perturbation sizes that are the same number.
pub(super) fn require_distinct(epsilons: &[Epsilon]) -> anyhow::Result<()> {
    for (index, epsilon) in epsilons.iter().enumerate() {
        if let Some(earlier) = epsilons[..index]
            .iter()
            .find(|other| other.radius().to_bits() == epsilon.radius().to_bits())
        {
            bail!("`{}` and `{}` are the same size", earlier.text(), epsilon.text());
        }
    }
    Ok(())
}
