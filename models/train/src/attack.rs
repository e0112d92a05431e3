//! Inputs close by that are classified differently, found by trying: an upper curve beside the certified one.
//!
//! Two ways: `pgd` follows the gradient inside a ball of a given radius, `decision` sees classes only and looks for the smallest perturbation. Both
//! search among inputs whose values lie in `[0, 1]` (or between there and the sample's own value, where that lies outside): those are the inputs that
//! exist as images, and the published attacks clip to them. A certificate covers every input within its radius, clipped or not; so whatever is found
//! here refutes a larger radius, and a search beyond the images could only find more.
//!
//! The search computes in float32. What it finds counts once its class was computed in float64 from the very numbers that are written, after
//! it was brought within the radius to the last bit.

mod decision;
mod pgd;

use std::collections::BTreeMap;
use std::path::PathBuf;

use lipcert_models::data::{DataOptions, Dataset, Split};
use lipcert_models::forward;
use lipcert_models::training::candidates::Candidates;
use lipcert_models::training::job::{self, Event};
use tch::{Device, Kind, Tensor};

use crate::parameters::sizes;
use crate::{Network, TrainError, device, state};

/// Inputs that are evaluated at once.
const BATCH: usize = 128;

/// Attacks the samples of a job and writes what was found; returns the path of the file.
///
/// A sample whose class is not its label stands in the file for every size, as it is. What was found for a size serves for every larger one. `stop` is
/// asked before every step of an ascent and every batch of queries; what was found until then is written.
///
/// # Errors
///
/// - [`TrainError::Epsilon`] for a size that is no positive number, [`TrainError::Effort`] for more steps, restarts or queries than are ever made.
/// - [`TrainError::Data`], [`TrainError::Model`], [`TrainError::NoCuda`] as the job's parts say; [`TrainError::File`] for the output.
/// - [`TrainError::Torch`] from the passes.
pub fn run(job: &job::Attack, report: &mut dyn FnMut(Event), stop: &dyn Fn() -> bool) -> Result<PathBuf, TrainError> {
    if let Some(value) = job.epsilons.iter().find(|value| !(value.is_finite() && **value > 0.0)) {
        return Err(TrainError::Epsilon { value: *value });
    }
    for (field, value, most) in [
        ("steps", job.steps, job::MOST_STEPS),
        ("restarts", job.restarts, job::MOST_RESTARTS),
        ("queries", job.queries, job::MOST_QUERIES),
    ] {
        if value > most {
            return Err(TrainError::Effort { field, value, most });
        }
    }
    let device = device::choose(job.device, 0)?;
    if let Some(threads) = job.threads {
        tch::set_num_threads(threads.into());
    }
    let options = DataOptions {
        split: if job.test { Split::Test } else { Split::Train },
        limit: job.limit,
        shard: None,
    };
    let dataset = Dataset::open(&job.data, &options)?;
    let victim = Victim::open(&job.model, &dataset, device)?;
    let samples = Samples::read(&dataset)?;
    let shapes = victim.fast.parameters().list().iter();
    report(Event::Started {
        device: match device {
            Device::Cuda(index) => format!("cuda:{index}"),
            _ => "cpu".to_owned(),
        },
        parameters: shapes.map(|one| one.shape.iter().product::<usize>()).sum(),
        moving: 0,
        steps: pgd::count(job).saturating_add((job.queries > 0).into()),
        done: 0,
        samples: dataset.len(),
    });
    let classes = victim.classes(&samples)?;
    let mut attack = Attack {
        job,
        victim,
        samples,
        classes,
        found: BTreeMap::new(),
        report,
        stop,
    };
    attack.run()?;
    attack.write()?;
    Ok(job.output.clone())
}

/// An attack as it goes on.
struct Attack<'a> {
    job: &'a job::Attack,
    victim: Victim,
    samples: Samples,
    /// Class of every sample.
    classes: Vec<i64>,
    /// Size's place (−1 for none) and sample, and the input that was found, `(C·H·W,)` in float64.
    found: BTreeMap<(i64, usize), Tensor>,
    report: &'a mut dyn FnMut(Event),
    stop: &'a dyn Fn() -> bool,
}

impl Attack<'_> {
    fn run(&mut self) -> Result<(), TrainError> {
        let epsilons = &self.job.epsilons;
        let mut order: Vec<usize> = (0..epsilons.len()).collect();
        order.sort_by(|left, right| epsilons[*left].total_cmp(&epsilons[*right]));
        let (mut standing, wrong): (Vec<usize>, Vec<usize>) =
            (0..self.classes.len()).partition(|place| self.classes[*place] == self.samples.labels[*place]);
        for place in wrong {
            self.add(&order, place, &self.samples.row(place));
            if self.job.queries > 0 {
                self.found.insert((-1, place), self.samples.row(place));
            }
        }
        let correct = standing.clone();
        for rank in 0..order.len() {
            pgd::search(self, rank, &order[rank..], &mut standing)?;
        }
        decision::search(self, &correct)
    }

    /// Takes what was found for the sizes at these places.
    fn add(&mut self, places: &[usize], sample: usize, input: &Tensor) {
        for epsilon in places {
            let epsilon = i64::try_from(*epsilon).expect("a place in a list");
            self.found.insert((epsilon, sample), input.shallow_clone());
        }
    }

    /// Writes the file beside its place, and moves it there.
    fn write(&self) -> Result<(), TrainError> {
        let mut candidates = Candidates {
            length: self.samples.width(),
            inputs: Vec::with_capacity(self.found.len() * self.samples.width()),
            samples: Vec::new(),
            epsilons: Vec::new(),
        };
        for ((epsilon, sample), input) in &self.found {
            candidates.inputs.append(&mut Vec::<f64>::try_from(input)?);
            candidates.samples.push(*sample);
            // the attack without a size has a negative place
            candidates.epsilons.push(usize::try_from(*epsilon).ok());
        }
        state::replace(&self.job.output, &candidates.to_bytes())
    }
}

/// The samples of an attack, on the CPU in float64.
struct Samples {
    /// `(N, C·H·W)`.
    inputs: Tensor,
    labels: Vec<i64>,
}

impl Samples {
    fn read(dataset: &Dataset) -> Result<Self, TrainError> {
        let range = 0..dataset.len();
        let values = forward::inputs::<f64>(dataset, range).expect("the range is that of the data set");
        let shape = sizes(values.shape());
        Ok(Self {
            inputs: Tensor::f_from_slice(values.as_slice().expect("row by row"))?.f_view(shape.as_slice())?,
            labels: dataset.labels().iter().map(|label| i64::from(*label)).collect(),
        })
    }

    /// Number of values of a sample.
    fn width(&self) -> usize {
        usize::try_from(self.inputs.size()[1]).expect("a size")
    }

    /// One sample, `(C·H·W,)`.
    fn row(&self, place: usize) -> Tensor {
        self.inputs.get(i64::try_from(place).expect("a place in a list"))
    }

    /// Some of the samples on a device.
    fn batch(&self, places: &[usize], device: Device) -> Result<Batch, TrainError> {
        let labels: Vec<i64> = places.iter().map(|place| self.labels[*place]).collect();
        Ok(Batch {
            places: places.to_vec(),
            centres: self
                .inputs
                .f_index_select(0, &indices(places, Device::Cpu))?
                .f_to_device(device)?,
            labels: Tensor::f_from_slice(&labels)?.f_to_device(device)?,
        })
    }
}

/// Places as a tensor.
fn indices(places: &[usize], device: Device) -> Tensor {
    Tensor::from_slice(&sizes(places)).to_device(device)
}

/// Samples on a device.
struct Batch {
    /// Which samples.
    places: Vec<usize>,
    /// The samples themselves, `(n, C·H·W)` in float64.
    centres: Tensor,
    /// Their labels, `(n,)`.
    labels: Tensor,
}

impl Batch {
    /// Some of them.
    fn select(&self, rows: &[usize]) -> Result<Self, TrainError> {
        let chosen = indices(rows, self.centres.device());
        Ok(Self {
            places: rows.iter().map(|row| self.places[*row]).collect(),
            centres: self.centres.f_index_select(0, &chosen)?,
            labels: self.labels.f_index_select(0, &chosen)?,
        })
    }

    /// The least and the largest values that a perturbed input may have.
    fn limits(&self) -> (Tensor, Tensor) {
        (self.centres.clamp_max(0.0), self.centres.clamp_min(1.0))
    }

    /// Float64 numbers near `points` within the limits and with a distance of at most `radius` from the samples, in exact arithmetic.
    ///
    /// With `u = 2⁻⁵³`, `d` numbers of size at most `s ≥ 1` and the rounding `x̂` of a sample's `x` (bytes are divided): `x̂` lies within `u s / 2` of `x`
    /// and the sum `x̂ + δ` within `u s` of its value, each number for itself; the computed norm of `δ` is short by a factor of at most `1 − (d + 2) u`,
    /// and scaling rounds twice. What is taken off the radius is more than all of it. Clipping brings every number nearer to the sample's, which lies
    /// within the limits.
    fn settle(&self, points: &Tensor, radius: f64) -> Result<Tensor, TrainError> {
        let width = self.centres.size()[1] as f64;
        let largest = self.centres.abs().max().double_value(&[]).max(1.0);
        let reach = radius * (1.0 - (width + 8.0) * f64::EPSILON) - width.sqrt() * largest * f64::EPSILON;
        let change = points.f_to_kind(Kind::Double)?.f_sub(&self.centres)?;
        let factor = (norms(&change).reciprocal() * reach.max(0.0)).clamp_max(1.0);
        let (low, high) = self.limits();
        Ok((&self.centres + change * factor).f_clamp_tensor(Some(low), Some(high))?)
    }
}

/// Norm of every row, `(n, 1)`, nowhere zero.
fn norms(rows: &Tensor) -> Tensor {
    rows.norm_scalaropt_dim(2, [1].as_slice(), true)
        .clamp_min(f64::from(f32::MIN_POSITIVE))
}

/// The network under attack, in float32 for the search and in float64 for what counts. Nothing has a gradient but inputs.
struct Victim {
    fast: Network,
    exact: Network,
    /// Channels, height, width.
    shape: [i64; 3],
    device: Device,
}

impl Victim {
    fn open(model: &job::Model, dataset: &Dataset, device: Device) -> Result<Self, TrainError> {
        let open = |kind| {
            let mut network = Network::open(model, dataset.shape(), kind, device)?;
            for (_, tensor) in network.parameters().iter() {
                let _ = tensor.set_requires_grad(false);
            }
            network.derive();
            Ok::<_, TrainError>(network)
        };
        let shape = dataset.shape().map(|size| i64::try_from(size).expect("a size"));
        let victim = Self {
            fast: open(Kind::Float)?,
            exact: open(Kind::Double)?,
            shape,
            device,
        };
        let nothing = Tensor::zeros([1, shape[0] * shape[1] * shape[2]], (Kind::Float, device));
        let classes = tch::no_grad(|| victim.logits(&victim.fast, &nothing)).size()[1];
        dataset.require_classes(usize::try_from(classes).expect("a size"))?;
        Ok(victim)
    }

    /// The logits of raw inputs `(n, C·H·W)`.
    fn logits(&self, network: &Network, inputs: &Tensor) -> Tensor {
        let [channels, height, width] = self.shape;
        network.logits(&inputs.view([-1, channels, height, width]))
    }

    /// The class of every sample, in float64.
    fn classes(&self, samples: &Samples) -> Result<Vec<i64>, TrainError> {
        let mut classes = Vec::new();
        for inputs in samples.inputs.split(i64::try_from(BATCH).expect("a size"), 0) {
            let inputs = inputs.f_to_device(self.device)?;
            let logits = tch::no_grad(|| self.logits(&self.exact, &inputs));
            classes.extend(Vec::<i64>::try_from(logits.f_argmax(1, false)?)?);
        }
        Ok(classes)
    }

    /// Which inputs `(n, C·H·W)` are no member of their labels' class, in float64.
    fn misled(&self, inputs: &Tensor, labels: &Tensor) -> Result<Vec<bool>, TrainError> {
        let margins = tch::no_grad(|| excess(&self.logits(&self.exact, inputs), labels))?;
        Ok(Vec::try_from(margins.gt(0.0))?)
    }
}

/// By how much the largest logit of another class lies above the label's, `(n,)`.
fn excess(logits: &Tensor, labels: &Tensor) -> Result<Tensor, TrainError> {
    let columns = labels.unsqueeze(1);
    let own = logits.f_gather(1, &columns, false)?.squeeze_dim(1);
    let others = logits.f_scatter_value(1, &columns, f64::NEG_INFINITY)?;
    Ok(others.amax([1].as_slice(), false) - own)
}

/// Seeds libtorch for a part of an attack.
fn seed(job: &job::Attack, part: [usize; 3]) {
    // an odd multiplier for every number; sums of different parts differ in all that matters
    let mixed = part.iter().fold(job.seed, |value, number| {
        let mixed = (value ^ *number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    });
    tch::manual_seed(mixed.cast_signed());
}

/// The places of those that hold.
fn which(flags: &[bool]) -> Vec<usize> {
    flags
        .iter()
        .enumerate()
        .filter_map(|(place, flag)| flag.then_some(place))
        .collect()
}
