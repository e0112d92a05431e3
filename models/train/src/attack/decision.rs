//! The smallest perturbation that is found from classes alone.
//!
//! From the nearest samples of the other classes to the boundary by bisection, and on from the nearest of these points: there the direction away from the sample's class is estimated from the classes of
//! random neighbours; a step along it, halved until it leads to another class, and bisection again. After Chen, Jordan and Wainwright, *HopSkipJumpAttack:
//! A Query-Efficient Decision-Based Attack*, IEEE S&P 2020, for the l2 norm and any other class, with its constants `B₀ = 100` and `γ = 1`; a round asks
//! for at most 10,000 neighbours.
//!
//! It sees what a gradient may hide: a network whose gradients vanish is none the safer.

use lipcert_models::training::job::{AttackProgress, Event};
use tch::{Device, Kind, Tensor};

use super::{Attack, Batch, Victim, seed, which};
use crate::TrainError;
use crate::parameters::sizes;

/// Samples that are attacked side by side.
const SIDE_BY_SIDE: usize = 8;
/// Inputs that are evaluated at once.
const BATCH: i64 = 1024;
/// Neighbours in the first round; `√round` times as many in the others.
const NEIGHBOURS: f64 = 100.0;
/// The most neighbours: a round keeps all of them.
const MOST: f64 = 10_000.0;
/// The fewest neighbours from which a direction is estimated.
const FEWEST: usize = 10;
/// A step is halved at most so often.
const HALVINGS: usize = 12;
/// Bisection ends at this fraction of the distance, or below.
const FRACTION: f64 = 1e-3;
/// The search begins from the nearest samples of at most so many classes.
const STARTS: usize = 10;
/// Points that are drawn where there is no sample of another class.
const DRAWS: i64 = 20;
/// How far a point is pushed on, as a fraction of its distance, where float64 sees it on the other side of the boundary than float32.
const PUSHES: [f64; 5] = [0.0, 1e-6, 1e-5, 1e-4, 1e-3];

/// Attacks the samples at these places, as far as the job has queries.
pub(super) fn search(attack: &mut Attack<'_>, places: &[usize]) -> Result<(), TrainError> {
    if attack.job.queries == 0 {
        return Ok(());
    }
    let (mut tried, mut misled) = (0, 0);
    for (part, chunk) in places.chunks(SIDE_BY_SIDE).enumerate() {
        if (attack.stop)() {
            return Ok(());
        }
        // the last number keeps it apart from the ascents
        seed(attack.job, [part, 0, usize::MAX]);
        let found = approach(attack, chunk)?;
        tried += chunk.len();
        misled += found.len();
        for (sample, input) in found {
            attack.found.insert((-1, sample), input);
        }
        (attack.report)(Event::Attack(AttackProgress {
            epsilon: None,
            step: super::pgd::count(attack.job),
            samples: places.len(),
            tried,
            misled,
        }));
    }
    Ok(())
}

/// Attacks some samples side by side: those that were misled, and the nearest input that was found.
fn approach(attack: &Attack<'_>, places: &[usize]) -> Result<Vec<(usize, Tensor)>, TrainError> {
    let batch = attack.samples.batch(places, attack.victim.device)?;
    let mut oracle = Oracle::new(attack, &batch)?;
    let starts = starts(attack, &batch, oracle.starts())?;
    // a start that is none stays at the sample's side of the boundary and is told by its infinite distance
    let hits = oracle.misled(&starts)?;
    let bisected = oracle.bisect(&starts)?;
    let mut best = oracle.nearest(&bisected, &hits);
    let started = Vec::<bool>::try_from(hits.any_dims([1].as_slice(), false).view(-1))?;
    let mut points = best.shallow_clone();
    let mut round = 1.0_f64;
    while let Some(neighbours) = oracle.affordable(round) {
        let direction = oracle.direction(&points, neighbours)?;
        let moved = oracle.step(&points, &direction, round)?;
        points = oracle.bisect(&moved)?;
        let nearer = oracle.distances(&points).lt_tensor(&oracle.distances(&best));
        best = points.where_self(&nearer, &best);
        round += 1.0;
    }
    let rows = which(&started);
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let best = best
        .squeeze_dim(1)
        .f_index_select(0, &super::indices(&rows, attack.victim.device))?;
    confirm(&attack.victim, &batch.select(&rows)?, &best)
}

/// Where the search may begin, `(n, k, d)` in float32: the nearest sample of each class, for the `most` nearest classes; a sample of the same class or
/// one that is drawn from all images where there is none of another.
fn starts(attack: &Attack<'_>, batch: &Batch, most: usize) -> Result<Tensor, TrainError> {
    let classes = Tensor::f_from_slice(&attack.classes)?;
    let labels = batch.labels.f_to_device(Device::Cpu)?;
    let centres = batch.centres.f_to_device(Device::Cpu)?;
    let distances = Tensor::f_cdist(&centres, &attack.samples.inputs, 2.0, None)?;
    let mut present: Vec<i64> = attack.classes.clone();
    present.sort_unstable();
    present.dedup();
    let (mut least, mut nearest) = (Vec::new(), Vec::new());
    for class in present {
        let others = distances.f_masked_fill(&classes.ne(class), f64::INFINITY)?;
        let (distance, place) = others.min_dim(1, false);
        least.push(distance.f_masked_fill(&labels.eq(class), f64::INFINITY)?);
        nearest.push(place);
    }
    let count = sizes(&[most.min(least.len())])[0];
    let (_, ranks) = Tensor::f_stack(&least, 1)?.f_topk(count, 1, false, true)?;
    let chosen = Tensor::f_stack(&nearest, 1)?.f_gather(1, &ranks, false)?;
    let [rows, width] = [centres.size()[0], centres.size()[1]];
    let starts = attack
        .samples
        .inputs
        .f_index_select(0, &chosen.view(-1))?
        .f_view([rows, count, width])?;
    let drawn = Tensor::f_rand([rows, if least.len() > 1 { 0 } else { DRAWS }, width], tch::kind::FLOAT_CPU)?;
    Ok(Tensor::f_cat(&[starts.f_to_kind(Kind::Float)?, drawn], 1)?.f_to_device(attack.victim.device)?)
}

/// The points as numbers that float64 sees in another class too.
fn confirm(victim: &Victim, batch: &Batch, points: &Tensor) -> Result<Vec<(usize, Tensor)>, TrainError> {
    let mut found: Vec<Option<Tensor>> = batch.places.iter().map(|_| None).collect();
    let (low, high) = batch.limits();
    for push in PUSHES {
        let change = points.f_to_kind(Kind::Double)? - &batch.centres;
        let inputs = (&batch.centres + change * (1.0 + push)).f_clamp_tensor(Some(&low), Some(&high))?;
        for row in which(&victim.misled(&inputs, &batch.labels)?) {
            let input = inputs.get(i64::try_from(row).expect("a place in a list"));
            found[row].get_or_insert(input.f_to_device(Device::Cpu)?);
        }
    }
    let found = batch.places.iter().zip(found);
    Ok(found.filter_map(|(place, input)| Some((*place, input?))).collect())
}

/// What answers with classes, and counts. Everything is float32; `k` points belong to each of `n` samples.
struct Oracle<'a> {
    victim: &'a Victim,
    /// `(n, 1, d)`.
    centres: Tensor,
    /// `(n, 1, 1)`.
    labels: Tensor,
    low: Tensor,
    high: Tensor,
    /// Queries a sample that are left.
    left: usize,
    /// Whether the search should end, asked before every batch.
    stop: &'a dyn Fn() -> bool,
}

impl<'a> Oracle<'a> {
    fn new(attack: &'a Attack<'_>, batch: &Batch) -> Result<Self, TrainError> {
        let (low, high) = batch.limits();
        Ok(Self {
            victim: &attack.victim,
            centres: batch.centres.f_to_kind(Kind::Float)?.unsqueeze(1),
            labels: batch.labels.view([-1, 1, 1]),
            low: low.f_to_kind(Kind::Float)?.unsqueeze(1),
            high: high.f_to_kind(Kind::Float)?.unsqueeze(1),
            left: attack.job.queries,
            stop: attack.stop,
        })
    }

    /// Number of values of a sample.
    fn width(&self) -> f64 {
        self.centres.size()[2] as f64
    }

    /// Which of the inputs `(n, k, d)` are of another class than their sample, `(n, k, 1)`. Costs `k` queries.
    ///
    /// When the search should end, none is left, and inputs that were not looked at count as of their sample's class: nothing moves any more, and what
    /// was found stays.
    fn misled(&mut self, inputs: &Tensor) -> Result<Tensor, TrainError> {
        let [count, each, width] = [inputs.size()[0], inputs.size()[1], inputs.size()[2]];
        self.left = self.left.saturating_sub(usize::try_from(each).expect("a size"));
        let parts = inputs.f_reshape([count * each, width])?.split(BATCH, 0);
        let mut classes = tch::no_grad(|| {
            let mut classes = Vec::with_capacity(parts.len());
            for part in &parts {
                if (self.stop)() {
                    self.left = 0;
                    break;
                }
                classes.push(self.victim.logits(&self.victim.fast, part).f_argmax(1, false)?);
            }
            Ok::<_, TrainError>(classes)
        })?;
        let known: i64 = classes.iter().map(|part| part.size()[0]).sum();
        let own = self.labels.expand([count, each, 1], false).f_reshape(-1)?;
        classes.push(own.f_narrow(0, known, count * each - known)?);
        let classes = Tensor::f_cat(&classes, 0)?.f_view([count, each, 1])?;
        Ok(classes.f_ne_tensor(&self.labels)?)
    }

    /// Distance of points `(n, k, d)` from the samples, `(n, k, 1)`.
    fn distances(&self, points: &Tensor) -> Tensor {
        lengths(&(points - &self.centres))
    }

    /// The nearest of the points `(n, k, d)` that are marked, `(n, 1, d)`.
    fn nearest(&self, points: &Tensor, marked: &Tensor) -> Tensor {
        let distances = self.distances(points).masked_fill(&marked.logical_not(), f64::INFINITY);
        let (_, place) = distances.min_dim(1, true);
        points.take_along_dim(&place, 1)
    }

    /// Number of halvings of a bisection.
    fn bisections(&self) -> usize {
        let fraction = FRACTION.min(self.width().powf(-1.5));
        (-fraction.log2()).ceil() as usize
    }

    /// From how many samples the search may begin; a quarter of the queries goes into it.
    fn starts(&self) -> usize {
        (self.left / 4 / (self.bisections() + 1)).clamp(1, STARTS)
    }

    /// How many neighbours a round can ask for, if it can be done at all.
    fn affordable(&self, round: f64) -> Option<usize> {
        let others = HALVINGS + self.bisections();
        let neighbours = self
            .left
            .checked_sub(others)?
            .min((NEIGHBOURS * round.sqrt()).min(MOST) as usize);
        (neighbours >= FEWEST).then_some(neighbours)
    }

    /// The points of the segments from the samples to misled `points` that are nearest to the boundary on its far side.
    fn bisect(&mut self, points: &Tensor) -> Result<Tensor, TrainError> {
        let each = usize::try_from(points.size()[1]).expect("a size");
        let change = points - &self.centres;
        let mut low = Tensor::zeros([points.size()[0], points.size()[1], 1], (Kind::Float, points.device()));
        let mut high = low.ones_like();
        for _ in 0..self.bisections().min(self.left / each) {
            let middle = (&low + &high) * 0.5;
            let hit = self.misled(&(&self.centres + &change * &middle))?;
            high = middle.where_self(&hit, &high);
            low = low.where_self(&hit, &middle);
        }
        Ok(&self.centres + change * high)
    }

    /// The direction in which most neighbours of the points `(n, 1, d)` are misled, of length 1.
    fn direction(&mut self, points: &Tensor, neighbours: usize) -> Result<Tensor, TrainError> {
        let shape = [points.size()[0], sizes(&[neighbours])[0], points.size()[2]];
        let around = Tensor::f_randn(shape, tch::kind::FLOAT_CPU)?.f_to_device(points.device())?;
        let radius = self.distances(points) / self.width();
        let inputs = self.clip(&(points + &around / lengths(&around) * &radius))?;
        let votes = self.misled(&inputs)?.f_to_kind(Kind::Float)? * 2.0 - 1.0;
        let mean = votes.mean_dim([1].as_slice(), true, Kind::Float);
        // where all agree, their mean says nothing
        let agreed = mean.abs().ge(1.0);
        let weights = votes.where_self(&agreed, &(&votes - mean));
        let sum = (weights * ((inputs - points) / radius)).sum_dim_intlist([1].as_slice(), true, Kind::Float);
        Ok(&sum / lengths(&sum))
    }

    /// The points after a step of at most their distance over `√round` that leaves them misled.
    fn step(&mut self, points: &Tensor, direction: &Tensor, round: f64) -> Result<Tensor, TrainError> {
        let mut length = self.distances(points) / round.sqrt();
        let mut moved = points.shallow_clone();
        let mut open = Tensor::ones([points.size()[0], 1, 1], (Kind::Bool, points.device()));
        for _ in 0..HALVINGS {
            let trial = self.clip(&(points + direction * &length))?;
            let hit = self.misled(&trial)?.logical_and(&open);
            moved = trial.where_self(&hit, &moved);
            open = open.logical_and(&hit.logical_not());
            if !bool::try_from(open.any())? {
                break;
            }
            length *= 0.5;
        }
        Ok(moved)
    }

    fn clip(&self, points: &Tensor) -> Result<Tensor, TrainError> {
        Ok(points.f_clamp_tensor(Some(&self.low), Some(&self.high))?)
    }
}

/// Length of the last dimension, which stays with one entry; nowhere zero.
fn lengths(vectors: &Tensor) -> Tensor {
    vectors
        .norm_scalaropt_dim(2, [-1].as_slice(), true)
        .clamp_min(f64::from(f32::MIN_POSITIVE))
}
