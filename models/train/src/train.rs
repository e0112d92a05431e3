//! The training loop.
//!
//! A step takes a batch, in parts if asked; what depends on the weights alone (`T`, normalised weights) is computed once a step, not once a part. The order
//! of an epoch is drawn from the seed and the epoch, everything else that is random in a step from the seed and the step, so that a training that was
//! stopped goes on as if nothing had been.

mod faults;
mod gather;
mod journal;
mod penalty;
mod saved;
mod seed;
mod start;
mod taken;

use std::path::PathBuf;
use std::time::Instant;

use lipcert_models::architecture::{Plan, ScaleKind};
use lipcert_models::data::{DataOptions, Dataset, Split};
use lipcert_models::training::config::{Config, Precision};
use lipcert_models::training::folder::Hold;
use lipcert_models::training::job::{self, Epoch, Event, HeldOut, Step};
use tch::{Device, Kind, Tensor};

use journal::Journal;
use seed::{Purpose, mix};
use taken::Taken;

use crate::augment::Augment;
use crate::distributed::Group;
use crate::loss::Criterion;
use crate::metrics::{self, Counts};
use crate::optimizer::Optimizer;
use crate::samples::Samples;
use crate::state::Position;
use crate::{Network, TrainError, device, precision, regularizer, schedule};

pub use lipcert_models::training::folder::{MODEL, STATE};

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
    let mut training = Training::new(task, report, stop)?;
    // nothing has begun, and nothing is written
    if training.any(stop())? {
        return Ok(training.finished(true));
    }
    if training.writes() {
        training.journal = Some(Journal::new(&task.folder, training.position.step)?);
    }
    report(Event::Started {
        device: training.device_name(),
        parameters: training.network.parameters().count(),
        moving: training.network.parameters().moving(),
        steps: training.steps(),
        done: training.position.step,
        samples: training.train.len(),
    });
    training.warn(report);
    let mut stopped = false;
    while training.position.step < training.steps() && !stopped {
        stopped = training.epoch(report, stop)?;
    }
    if stopped || training.position.digest.is_none() {
        training.write_best_so_far()?;
        training.save()?;
    }
    Ok(training.finished(training.position.step < training.steps()))
}

/// A training under way.
struct Training<'t> {
    task: &'t job::Train,
    config: &'t Config,
    device: Device,
    network: Network,
    criterion: Criterion,
    optimizer: Optimizer,
    augment: Augment,
    train: Samples,
    held_out: Option<Samples>,
    classes: i64,
    position: Position,
    group: Option<Group>,
    /// Of the process that writes the files.
    journal: Option<Journal>,
    _hold: Option<Hold>,
}

impl<'t> Training<'t> {
    fn new(task: &'t job::Train, report: &mut dyn FnMut(Event), stop: &dyn Fn() -> bool) -> Result<Self, TrainError> {
        let config = &task.config;
        config.check()?;
        let group = gather::meet(report, stop)?;
        let hold = match &group {
            Some(group) if group.rank() > 0 => None,
            _ => Some(saved::hold(&task.folder)?),
        };
        let device = device::choose(task.device, group.as_ref().map_or(0, Group::local_rank))?;
        if let Some(threads) = task.threads {
            tch::set_num_threads(threads.into());
        }
        let options = DataOptions {
            split: Split::Train,
            limit: config.data.limit,
            ..DataOptions::default()
        };
        let dataset = Dataset::open(&config.data.train, &options)?;
        let held_out = start::held_out(dataset.len(), config.data.validation);
        let trained = dataset.len() - held_out;
        if trained == 0 {
            return Err(TrainError::NoSamples {
                samples: dataset.len(),
                held_out,
            });
        }
        let network = start::open(task, &dataset, device)?;
        start::settle(&network, config)?;
        penalty::require(&network, &config.regularizer)?;
        if let Some(group) = &group {
            gather::compare(group, task, &network, dataset.sha256())?;
            let mut first: Vec<Tensor> = network.parameters().iter().map(|(_, tensor)| tensor.detach()).collect();
            group.broadcast(&mut first, 0)?;
        }
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
            augment: Augment::new(&config.augment, dataset.shape())?,
            train: Samples::new(&dataset, 0..trained, device)?,
            held_out: match held_out {
                0 => None,
                _ => Some(Samples::new(&dataset, trained..dataset.len(), device)?),
            },
            position: Position {
                identity: start::identity(task, dataset.sha256(), &network)?,
                ..Position::default()
            },
            network,
            group,
            journal: None,
            _hold: hold,
        };
        training.classes = training.logits_of_one();
        if i64::try_from(dataset.classes()).is_ok_and(|found| found > training.classes) {
            return Err(TrainError::Classes {
                found: dataset.classes(),
                logits: training.classes,
            });
        }
        if task.resume {
            training.take_up(report)?;
            training.require_one_state()?;
        }
        Ok(training)
    }

    /// Says what does not move although all was asked to.
    fn warn(&self, report: &mut dyn FnMut(Event)) {
        let stored = |plan| {
            let scale = ScaleKind::Stored;
            matches!(plan, Plan::Conv { scale: found, .. } | Plan::Dense { scale: found, .. } if found == scale)
        };
        let layers = self.network.architecture().layers.iter();
        let names: Vec<&str> = layers
            .filter(|layer| stored(layer.plan))
            .map(|layer| layer.name.as_str())
            .collect();
        if !names.is_empty() {
            report(Event::Warning {
                message: format!(
                    "the weights of `{}` stay as they are: their T is stored, only the biases move",
                    names.join("`, `")
                ),
            });
        }
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

    /// Goes on to the end of the epoch, or to where it is asked to stop; says whether it was asked.
    fn epoch(&mut self, report: &mut dyn FnMut(Event), stop: &dyn Fn() -> bool) -> Result<bool, TrainError> {
        let each = self.steps_of_epoch();
        let epoch = self.position.step / each;
        let order = self.order(epoch);
        let (started, seen) = (Instant::now(), self.position.counts.samples);
        let mut reported = 0.0;
        let mut learning_rate = 0.0;
        let mut stopped = false;
        while self.position.step < (epoch + 1) * each {
            let within = self.position.step % each;
            let factor = schedule::rate(&self.config.schedule, self.position.step, self.steps());
            learning_rate = self.config.optimizer.rate() * factor;
            let taken = self.step(&order, within, factor, stop())?;
            self.position.step += 1;
            self.position.counts.join(&taken.counts);
            let seconds = started.elapsed().as_secs_f64();
            let counts = &self.position.counts;
            let step = Step {
                epoch,
                step: self.position.step,
                loss: taken.counts.mean_loss(),
                accuracy: counts.accuracy(),
                approx_certified: counts.approx_certified(),
                rate: rate(counts.samples - seen, seconds),
            };
            if let Some(journal) = &mut self.journal {
                journal.step(&step, learning_rate)?;
            }
            if seconds - reported > PAUSE {
                reported = seconds;
                report(Event::Step(step));
            }
            stopped = taken.stop;
            if stopped && self.position.step < (epoch + 1) * each {
                return Ok(true);
            }
        }
        self.require_finite_weights()?;
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
        if let Some(journal) = &mut self.journal {
            journal.epoch(&summary, self.position.step)?;
        }
        let last = epoch + 1 == self.config.train.epochs;
        let better = match held_out {
            // later epochs win ties
            Some(found) => self.position.best_certified.is_none_or(|best| found.approx_certified >= best),
            None => last,
        };
        if better {
            self.position.best = Some(epoch);
            self.position.best_certified = held_out.map(|found| found.approx_certified);
            self.write_model()?;
        }
        // a state knows the model beside it
        if better || last || (epoch + 1).is_multiple_of(self.config.train.save_every) {
            self.save()?;
        }
        report(Event::Epoch(summary));
        Ok(stopped)
    }

    /// The places of the samples in the order of an epoch.
    fn order(&self, epoch: usize) -> Tensor {
        tch::manual_seed(mix(self.config.seed, Purpose::Order, epoch));
        let count = i64::try_from(self.train.len()).expect("far below 2^63");
        Tensor::randperm(count, (Kind::Int64, Device::Cpu)).to_device(self.device)
    }

    /// One step of all processes.
    fn step(&mut self, order: &Tensor, within: usize, factor: f64, stop: bool) -> Result<Taken, TrainError> {
        let batch = self.config.train.batch;
        let whole = within * batch..((within + 1) * batch).min(self.train.len());
        self.optimizer.zero();
        self.network.derive();
        let distances = tch::no_grad(|| self.network.distances(self.classes));
        let own = self.own(whole.len());
        let parts = self.config.train.accumulate.min(own.len()).max(1);
        let mut taken = Taken {
            stop,
            ..Taken::default()
        };
        let mut failure = None;
        for part in 0..parts {
            let range = own.start + own.len() * part / parts..own.start + own.len() * (part + 1) / parts;
            // without a sample of its own, a process takes one that counts nothing, so that it has gradients too
            let shown = if range.is_empty() { 0..1 } else { range.clone() };
            let places = order.narrow(0, signed(whole.start + shown.start), signed(shown.len()));
            let (images, labels) = self.train.batch(&places);
            // drawn for the whole batch, whatever part of it is here
            tch::manual_seed(mix(self.config.seed, Purpose::Step, self.position.step));
            let images = self.augment.apply(&images, shown, whole.len());
            let logits = match self.config.train.precision {
                Precision::Float32 => self.network.logits(&images),
                Precision::Bfloat16 => precision::bfloat16(self.device, || self.network.logits(&images)).to_kind(Kind::Float),
            };
            let gain = self.network.gain();
            let mut value = self.criterion.value(&logits, &labels, &distances, gain);
            let weight = self.config.regularizer.certificate;
            if weight > 0.0 {
                value += regularizer::certificate(&logits, &labels, &distances, gain) * weight;
            }
            let found = value.double_value(&[]);
            if !found.is_finite() && failure.is_none() {
                // the others learn of it by the gradients
                failure = Some(self.not_finite(&images));
            }
            (value * share(range.len(), whole.len())).backward();
            let radius = self.config.train.radius;
            let (correct, certified) = metrics::count(&logits.detach(), &labels, &distances, gain, radius);
            if !range.is_empty() {
                taken.counts.add(found, range.len(), correct, certified);
            }
        }
        self.network.pull();
        if let Some(value) = penalty::of(&self.network, &self.config.regularizer) {
            (value * share(1, self.group.as_ref().map_or(1, Group::size))).backward();
        }
        self.gather(&mut taken)?;
        if let Some(failure) = failure {
            return Err(failure);
        }
        if !taken.counts.loss.is_finite() {
            return Err(TrainError::NotFinite {
                step: self.position.step,
                what: "the loss of another process",
                name: "sum".to_owned(),
            });
        }
        self.require_finite_gradients()?;
        let train = &self.config.train;
        if let Some(largest) = train.clip_norm {
            self.optimizer.clip_norm(largest);
        }
        if let Some(largest) = train.clip_value {
            self.optimizer.clip_value(largest);
        }
        self.optimizer.step(factor);
        Ok(taken)
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
                    usize::try_from(end - start).expect("a part of the samples"),
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

    /// Whether this process writes the files.
    fn writes(&self) -> bool {
        self.group.as_ref().is_none_or(|group| group.rank() == 0)
    }

    fn finished(&self, stopped: bool) -> Event {
        Event::Finished {
            file: self.path(MODEL),
            sha256: self.position.digest.clone(),
            stopped,
            best: self.position.best,
        }
    }
}

fn signed(size: usize) -> i64 {
    i64::try_from(size).expect("far below 2^63")
}

#[expect(clippy::cast_precision_loss, reason = "numbers of samples are far below 2^53")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

#[expect(clippy::cast_precision_loss, reason = "numbers of samples are far below 2^53")]
fn rate(samples: usize, seconds: f64) -> f64 {
    samples as f64 / seconds.max(1e-9)
}
