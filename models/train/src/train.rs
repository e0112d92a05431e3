//! The training loop.
//!
//! A step takes a batch, in parts if asked; what depends on the weights alone (`T`, normalised weights) is computed once a step, not once a part. The order
//! of an epoch is drawn from the seed and the epoch, everything else that is random in a step from the seed and the step, so that a training that was
//! stopped goes on as if nothing had been.

use std::path::PathBuf;
use std::time::Instant;

use lipcert_models::architecture::METADATA_KEY;
use lipcert_models::checkpoint::write_safetensors;
use lipcert_models::data::{DataOptions, Dataset, Split};
use lipcert_models::training::config::{Config, ConfigError, Moving};
use lipcert_models::training::job::{self, Epoch, Event, HeldOut, Step};
use lipcert_models::training::parameters::Parameter;
use lipcert_models::training::recipe::Recipe;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use crate::augment::Augmentation;
use crate::log::Log;
use crate::loss::Criterion;
use crate::metrics::{self, Counts};
use crate::optimizer::Optimizer;
use crate::parameters::Parameters;
use crate::samples::Samples;
use crate::state::{self, Position};
use crate::{Network, TrainError, device, initial, schedule};

/// The result, for certification.
pub const MODEL: &str = "model.safetensors";
/// What a training that is taken up again needs.
pub const STATE: &str = "state.safetensors";
/// The numbers that a fresh network starts from.
const INITIAL: &str = "initial.safetensors";

/// What the names in the state begin with.
const NETWORK: &str = "network.";
const OPTIMIZER: &str = "optimizer.";
const LOSS: &str = "loss.";

/// Samples that are evaluated at once.
const EVALUATED: i64 = 500;
/// Least time between two reports of progress, in seconds.
const PAUSE: f64 = 0.1;

/// Trains; returns what [`Event::Finished`] says.
///
/// # Errors
///
/// [`TrainError`].
pub fn run(task: &job::Train, report: &mut dyn FnMut(Event), stop: &dyn Fn() -> bool) -> Result<Event, TrainError> {
    let mut training = Training::new(task)?;
    report(Event::Started {
        device: training.device_name(),
        parameters: training.network.parameters().count(),
        steps: training.steps(),
        done: training.position.step,
        samples: training.train.len(),
    });
    while training.position.step < training.steps() {
        if training.epoch(report, stop)? {
            training.save()?;
            return Ok(training.finished(true));
        }
    }
    Ok(training.finished(false))
}

/// A training under way.
struct Training<'t> {
    task: &'t job::Train,
    config: &'t Config,
    device: Device,
    network: Network,
    criterion: Criterion,
    optimizer: Optimizer,
    augmentation: Augmentation,
    train: Samples,
    held_out: Option<Samples>,
    classes: i64,
    position: Position,
    log: Log,
}

impl<'t> Training<'t> {
    fn new(task: &'t job::Train) -> Result<Self, TrainError> {
        let config = &task.config;
        config.check()?;
        let device = device::choose(task.device, 0)?;
        if let Some(threads) = task.threads {
            tch::set_num_threads(threads.into());
        }
        let options = DataOptions {
            split: Split::Train,
            limit: config.data.limit,
            ..DataOptions::default()
        };
        let dataset = Dataset::open(&config.data.train, &options)?;
        let held_out = held_out(dataset.len(), config.data.validation);
        let trained = dataset.len() - held_out;
        if trained == 0 {
            return Err(TrainError::NoSamples {
                samples: dataset.len(),
                held_out,
            });
        }
        let network = start(task, &dataset, device)?;
        settle(&network, config)?;
        let moving: Vec<(String, Tensor)> = network
            .parameters()
            .iter()
            .filter(|(_, tensor)| tensor.requires_grad())
            .map(|(parameter, tensor)| (parameter.name.clone(), tensor.shallow_clone()))
            .collect();
        if moving.is_empty() {
            return Err(TrainError::NothingMoves);
        }
        let mut training = Self {
            task,
            config,
            device,
            classes: 0,
            criterion: Criterion::new(&config.loss, dataset.classes())?,
            optimizer: Optimizer::new(&config.optimizer, moving),
            augmentation: Augmentation::new(&config.augment),
            train: Samples::new(&dataset, 0..trained, device)?,
            held_out: match held_out {
                0 => None,
                _ => Some(Samples::new(&dataset, trained..dataset.len(), device)?),
            },
            position: Position {
                identity: identity(task, dataset.sha256(), &network)?,
                ..Position::default()
            },
            log: Log::default(),
            network,
        };
        training.classes = training.logits_of_one();
        if i64::try_from(dataset.classes()).is_ok_and(|found| found > training.classes) {
            return Err(TrainError::Classes {
                found: dataset.classes(),
                logits: training.classes,
            });
        }
        if task.resume {
            training.take_up()?;
        }
        Ok(training)
    }

    /// Number of logits, from a pass with one sample.
    fn logits_of_one(&mut self) -> i64 {
        tch::no_grad(|| {
            self.network.derive();
            let (images, _) = self.train.batch(&Tensor::from_slice(&[0i64]).to_device(self.device));
            self.network.logits(&images).size()[1]
        })
    }

    fn device_name(&self) -> String {
        match self.device {
            Device::Cuda(index) => format!("cuda:{index}"),
            _ => "cpu".to_owned(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.task.folder.join(name)
    }

    /// Steps of an epoch; the last may have a smaller batch.
    fn steps_of_epoch(&self) -> usize {
        self.train.len().div_ceil(self.config.train.batch)
    }

    fn steps(&self) -> usize {
        self.config.train.epochs * self.steps_of_epoch()
    }

    /// Goes on to the end of the epoch; says whether it was asked to stop before.
    fn epoch(&mut self, report: &mut dyn FnMut(Event), stop: &dyn Fn() -> bool) -> Result<bool, TrainError> {
        let each = self.steps_of_epoch();
        let epoch = self.position.step / each;
        let order = self.order(epoch);
        let (started, seen) = (Instant::now(), self.position.counts.samples);
        let mut reported = 0.0;
        let mut learning_rate = 0.0;
        while self.position.step < (epoch + 1) * each {
            if stop() {
                return Ok(true);
            }
            let within = self.position.step % each;
            let factor = schedule::rate(&self.config.schedule, self.position.step, self.steps());
            learning_rate = self.config.optimizer.rate() * factor;
            let loss = self.step(&order, within, factor)?;
            self.position.step += 1;
            let seconds = started.elapsed().as_secs_f64();
            let counts = &self.position.counts;
            let step = Step {
                epoch,
                step: self.position.step,
                loss,
                accuracy: counts.accuracy(),
                approx_certified: counts.approx_certified(),
                rate: rate(counts.samples - seen, seconds),
            };
            self.log.step(&step, learning_rate)?;
            if seconds - reported > PAUSE {
                reported = seconds;
                report(Event::Step(step));
            }
        }
        let held_out = self.evaluate()?;
        let counts = std::mem::take(&mut self.position.counts);
        let summary = Epoch {
            epoch,
            loss: counts.mean_loss(),
            accuracy: counts.accuracy(),
            approx_certified: counts.approx_certified(),
            held_out,
            learning_rate,
            seconds: started.elapsed().as_secs_f64(),
        };
        let last = epoch + 1 == self.config.train.epochs;
        let better = match held_out {
            // later epochs win ties
            Some(found) => self.position.best.is_none_or(|(best, _)| found.approx_certified >= best),
            None => last,
        };
        if better {
            self.position.best = Some((held_out.map_or(f64::NAN, |found| found.approx_certified), epoch));
            state::replace(&self.path(MODEL), &self.network.file()?)?;
        }
        self.log.epoch(&summary)?;
        report(Event::Epoch(summary));
        if last || (epoch + 1).is_multiple_of(self.config.train.save_every) {
            self.save()?;
        }
        Ok(false)
    }

    /// The places of the samples in the order of an epoch.
    fn order(&self, epoch: usize) -> Tensor {
        tch::manual_seed(mix(self.config.seed, Purpose::Order, epoch));
        let count = i64::try_from(self.train.len()).expect("far below 2^63");
        Tensor::randperm(count, (Kind::Int64, Device::Cpu)).to_device(self.device)
    }

    /// One step; returns the loss of the batch.
    fn step(&mut self, order: &Tensor, within: usize, factor: f64) -> Result<f64, TrainError> {
        let batch = self.config.train.batch;
        let whole = within * batch..((within + 1) * batch).min(self.train.len());
        self.optimizer.zero();
        self.network.derive();
        let distances = tch::no_grad(|| self.network.distances(self.classes));
        let parts = self.config.train.accumulate.min(whole.len());
        let mut loss = 0.0;
        for part in 0..parts {
            let range = whole.len() * part / parts..whole.len() * (part + 1) / parts;
            let places = order.narrow(0, signed(whole.start + range.start), signed(range.len()));
            let (images, labels) = self.train.batch(&places);
            // drawn for the whole batch, whatever part of it is here
            tch::manual_seed(mix(self.config.seed, Purpose::Step, self.position.step));
            let images = self.augmentation.apply(&images, range.clone(), whole.len());
            let logits = self.network.logits(&images);
            let value = self.criterion.value(&logits, &labels, &distances, self.network.gain());
            let found = value.double_value(&[]);
            if !found.is_finite() {
                return Err(self.not_finite(&images));
            }
            (value * share(range.len(), whole.len())).backward();
            let (correct, certified) = metrics::count(
                &logits.detach(),
                &labels,
                &distances,
                self.network.gain(),
                self.config.train.radius,
            );
            self.position.counts.add(found, range.len(), correct, certified);
            loss += found * share(range.len(), whole.len());
        }
        self.network.pull();
        self.require_finite_gradients()?;
        let train = &self.config.train;
        if let Some(largest) = train.clip_norm {
            self.optimizer.clip_norm(largest);
        }
        if let Some(largest) = train.clip_value {
            self.optimizer.clip_value(largest);
        }
        self.optimizer.step(factor);
        Ok(loss)
    }

    /// Names the first layer whose output is not finite.
    fn not_finite(&self, images: &Tensor) -> TrainError {
        let layers = &self.network.architecture().layers;
        let mut first = None;
        tch::no_grad(|| {
            let _ = self.network.pass(images, |index, output| {
                if first.is_none() && !finite(output) {
                    first = Some(layers[index].name.clone());
                }
            });
        });
        TrainError::NotFinite {
            step: self.position.step,
            what: if first.is_some() { "output" } else { "loss" },
            layer: first.unwrap_or_else(|| layers.last().map_or_else(String::new, |layer| layer.name.clone())),
        }
    }

    /// Names the first tensor whose gradient is not finite.
    fn require_finite_gradients(&self) -> Result<(), TrainError> {
        let wrong = self.network.parameters().iter().find(|(_, tensor)| {
            let gradient = tensor.grad();
            gradient.defined() && !finite(&gradient)
        });
        match wrong {
            None => Ok(()),
            Some((parameter, _)) => Err(TrainError::NotFinite {
                step: self.position.step,
                what: "gradient",
                layer: parameter.name.clone(),
            }),
        }
    }

    /// The held-out samples, if there are any.
    fn evaluate(&mut self) -> Result<Option<HeldOut>, TrainError> {
        let Some(samples) = &self.held_out else {
            return Ok(None);
        };
        let (mut counts, mut start, all) = (Counts::default(), 0, signed(samples.len()));
        let network = &mut self.network;
        tch::no_grad(|| {
            network.derive();
            let distances = network.distances(self.classes);
            while start < all {
                let end = (start + EVALUATED).min(all);
                let (images, labels) = samples.batch(&Tensor::arange_start(start, end, (Kind::Int64, self.device)));
                let logits = network.logits(&images);
                let loss = self.criterion.observe(&logits, &labels, &distances, network.gain());
                let (correct, certified) = metrics::count(&logits, &labels, &distances, network.gain(), self.config.train.radius);
                counts.add(
                    loss.double_value(&[]),
                    usize::try_from(end - start).unwrap_or(0),
                    correct,
                    certified,
                );
                start = end;
            }
        });
        Ok(Some(HeldOut {
            loss: counts.mean_loss(),
            accuracy: counts.accuracy(),
            approx_certified: counts.approx_certified(),
        }))
    }

    /// Everything that changes but the position.
    fn tensors(&self) -> Vec<(String, Tensor)> {
        let network = self.network.parameters().iter();
        let mut all: Vec<(String, Tensor)> = network
            .map(|(parameter, tensor)| (format!("{NETWORK}{}", parameter.name), tensor.shallow_clone()))
            .collect();
        for (prefix, tensors) in [(OPTIMIZER, self.optimizer.state()), (LOSS, self.criterion.state())] {
            all.extend(tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
        }
        all
    }

    fn save(&self) -> Result<(), TrainError> {
        state::write(&self.path(STATE), &self.position, self.tensors())
    }

    /// Goes on from the state in the folder.
    fn take_up(&mut self) -> Result<(), TrainError> {
        let path = self.path(STATE);
        let (position, saved) = state::read(&path)?;
        if position.identity != self.position.identity {
            return Err(TrainError::OtherState { path });
        }
        for (parameter, tensor) in self.network.parameters().iter() {
            let name = format!("{NETWORK}{}", parameter.name);
            match saved.iter().find(|(found, _)| *found == name) {
                Some((_, numbers)) if numbers.size() == tensor.size() => {
                    tch::no_grad(|| tensor.shallow_clone().copy_(numbers));
                }
                _ => return Err(TrainError::State { name }),
            }
        }
        self.optimizer.restore(&below(&saved, OPTIMIZER))?;
        self.criterion.restore(&below(&saved, LOSS))?;
        self.position = position;
        Ok(())
    }

    fn finished(&self, stopped: bool) -> Event {
        Event::Finished {
            file: self.path(MODEL),
            stopped,
            best: self.position.best.map(|(_, epoch)| epoch),
        }
    }
}

/// The tensors whose names have a prefix, without it.
fn below(tensors: &[(String, Tensor)], prefix: &str) -> Vec<(String, Tensor)> {
    let strip = |(name, tensor): &(String, Tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.shallow_clone()));
    tensors.iter().filter_map(strip).collect()
}

/// How many samples at the end of the training split are held out.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a fraction of a number far below 2^53"
)]
fn held_out(samples: usize, fraction: f64) -> usize {
    (samples as f64 * fraction).round() as usize
}

/// The network that the task starts from.
fn start(task: &job::Train, dataset: &Dataset, device: Device) -> Result<Network, TrainError> {
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
    let path = task.folder.join(INITIAL);
    state::replace(&path, &write_safetensors(&metadata, &parameters.plain()?)?)?;
    let model = job::Model {
        path,
        declaration: None,
        preprocess: None,
    };
    Network::open(&model, dataset.shape(), Kind::Float, device)
}

/// Holds the parameters that must not move.
fn settle(network: &Network, config: &Config) -> Result<(), TrainError> {
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

/// Digest of everything that decides what a training does.
fn identity(task: &job::Train, data: &str, network: &Network) -> Result<String, TrainError> {
    let mut hasher = Sha256::new();
    hasher.update(serde_json::to_vec(&task.config).expect("numbers and texts"));
    hasher.update(data);
    hasher.update(network.file()?);
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What random numbers are for.
#[derive(Clone, Copy)]
enum Purpose {
    Start,
    Order,
    Step,
}

/// The seed of the numbers for one purpose: the finaliser of SplitMix64 (Steele, Lea, Flood 2014) over seed, purpose and place.
fn mix(seed: u64, purpose: Purpose, place: usize) -> i64 {
    let mut state = seed;
    for part in [purpose as u64, place as u64] {
        state = state
            .wrapping_add(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(part.wrapping_mul(0xd1b5_4a32_d192_ed03));
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^= state >> 31;
    }
    state.cast_signed()
}

fn signed(size: usize) -> i64 {
    i64::try_from(size).expect("far below 2^63")
}

fn finite(tensor: &Tensor) -> bool {
    tensor.detach().abs().sum(Kind::Float).double_value(&[]).is_finite()
}

#[expect(clippy::cast_precision_loss, reason = "numbers of samples are far below 2^53")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

#[expect(clippy::cast_precision_loss, reason = "numbers of samples are far below 2^53")]
fn rate(samples: usize, seconds: f64) -> f64 {
    samples as f64 / seconds.max(1e-9)
}
