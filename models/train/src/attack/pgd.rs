//! Projected gradient ascent in the l2 ball.
//!
//! Steps along the normalised gradient, each followed by the projection onto the ball and the clipping to the limits (a clipped point stays in the ball,
//! whose centre lies within the limits); after Madry et al., *Towards Deep Learning Models Resistant to Adversarial Attacks*, ICLR 2018. A sample leaves as
//! soon as it is misled.
//!
//! The steps fall linearly from `ε` to `ε / steps`. With the constant step of `2 ε / steps` that is usual (Araujo et al., *A Unified Algebraic Perspective
//! on Lipschitz Neural Networks*, ICLR 2023, take 100 steps of `2 ε / 100`) a point on the sphere moves by an angle `θ' = 2 sin θ` towards a constant
//! gradient in a whole ascent: from a right angle it ends at `2 atan e⁻² = 15°`, where it has gained 3 % less than there is.

use lipcert_models::training::job::{self, AttackProgress, Event};
use tch::{Kind, Reduction, Tensor};

use super::{Attack, BATCH, Batch, Victim, excess, norms, seed, which};
use crate::TrainError;

/// What rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The largest logit of another class minus the label's: its gradient does not vanish where the network is sure.
    Margin,
    /// The logit of one class minus the label's: the class of this rank, from 0, among those that a perturbation seems to reach first.
    Towards(usize),
    /// Cross-entropy, which weighs all classes.
    CrossEntropy,
}

/// The ascents of a job, one after the other on the samples that still stand.
///
/// A margin that is the largest of many leads to the class that is nearest to the random start. So only the first start takes it; every other takes a
/// class of its own, as the targeted attacks of Croce and Hein, *Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
/// Parameter-free Attacks*, ICML 2020, do.
pub(super) fn ascents(job: &job::Attack) -> Vec<Loss> {
    let margin = |start: usize| start.checked_sub(1).map_or(Loss::Margin, Loss::Towards);
    (0..job.restarts)
        .flat_map(|start| [margin(start), Loss::CrossEntropy])
        .collect()
}

/// Number of ascents of a job over all its sizes.
pub(super) fn count(job: &job::Attack) -> usize {
    job.epsilons.len().saturating_mul(job.restarts.saturating_mul(2))
}

/// Attacks the samples that stand, for the size at the first of `places`; what is found serves for all of them. `rank` sizes came before.
pub(super) fn search(
    attack: &mut Attack<'_>,
    rank: usize,
    places: &[usize],
    standing: &mut Vec<usize>,
) -> Result<(), TrainError> {
    let epsilon = attack.job.epsilons[places[0]];
    let ascents = ascents(attack.job);
    for (number, loss) in ascents.iter().enumerate() {
        let before = standing.clone();
        let mut tried = 0;
        for (part, samples) in before.chunks(BATCH).enumerate() {
            if (attack.stop)() {
                return Ok(());
            }
            seed(attack.job, [places[0], number, part]);
            let batch = attack.samples.batch(samples, attack.victim.device)?;
            let ball = Ball {
                radius: epsilon,
                steps: attack.job.steps,
                loss: *loss,
            };
            for (sample, input) in ball.ascend(&attack.victim, batch, attack.stop)? {
                attack.add(places, sample, &input);
                standing.retain(|other| *other != sample);
            }
            tried += samples.len();
            (attack.report)(Event::Attack(AttackProgress {
                epsilon: Some(epsilon),
                step: rank * ascents.len() + number,
                samples: before.len(),
                tried,
                misled: before.len() - standing.len(),
            }));
        }
    }
    Ok(())
}

/// One ascent.
struct Ball {
    radius: f64,
    steps: usize,
    loss: Loss,
}

impl Ball {
    /// The samples that were misled, and how. `stop` is asked before every step.
    fn ascend(&self, victim: &Victim, mut batch: Batch, stop: &dyn Fn() -> bool) -> Result<Vec<(usize, Tensor)>, TrainError> {
        let mut found = Vec::new();
        let mut points = self.start(&batch)?;
        let mut targets = self.targets(victim, &batch)?;
        for step in 0..=self.steps {
            let last = step == self.steps;
            let points_now = points.detach().set_requires_grad(!last);
            let logits = victim.logits(&victim.fast, &points_now);
            let margins = excess(&logits, &batch.labels)?;
            let crossed = which(&Vec::<bool>::try_from(margins.gt(0.0))?);
            let mut stays = vec![true; batch.places.len()];
            if !crossed.is_empty() {
                let part = batch.select(&crossed)?;
                let rows = super::indices(&crossed, victim.device);
                let inputs = part.settle(&points_now.detach().f_index_select(0, &rows)?, self.radius)?;
                for row in which(&victim.misled(&inputs, &part.labels)?) {
                    stays[crossed[row]] = false;
                    let input = inputs.get(i64::try_from(row).expect("a place in a list"));
                    found.push((part.places[row], input.f_to_device(tch::Device::Cpu)?));
                }
            }
            if last || stop() {
                break;
            }
            let total = match self.loss {
                Loss::Margin => margins.f_sum(Kind::Float)?,
                Loss::Towards(_) => (logits.f_gather(1, &targets, false)?
                    - logits.f_gather(1, &batch.labels.unsqueeze(1), false)?)
                .f_sum(Kind::Float)?,
                Loss::CrossEntropy => logits.f_cross_entropy_loss(&batch.labels, None::<Tensor>, Reduction::Sum, -100, 0.0)?,
            };
            let mut gradient = Tensor::f_run_backward(&[total], &[&points_now], false, false)?.remove(0);
            points = points_now.detach();
            if stays.contains(&false) {
                let rows = which(&stays);
                if rows.is_empty() {
                    break;
                }
                let chosen = super::indices(&rows, victim.device);
                batch = batch.select(&rows)?;
                points = points.f_index_select(0, &chosen)?;
                targets = targets.f_index_select(0, &chosen)?;
                gradient = gradient.f_index_select(0, &chosen)?;
            }
            points = self.project(
                &batch,
                &(points + direction(&gradient) * (self.radius * (1.0 - step as f64 / self.steps as f64))),
            )?;
        }
        Ok(found)
    }

    /// The classes that the samples are led to, `(n, 1)`; ranked by the margin over the distance of the rows that the logits come from.
    fn targets(&self, victim: &Victim, batch: &Batch) -> Result<Tensor, TrainError> {
        let columns = batch.labels.unsqueeze(1);
        let Loss::Towards(rank) = self.loss else {
            return Ok(columns);
        };
        let logits = tch::no_grad(|| victim.logits(&victim.exact, &batch.centres));
        let classes = logits.size()[1];
        let distances = tch::no_grad(|| victim.exact.distances(classes)).f_index_select(0, &batch.labels)?;
        let margins = logits.f_gather(1, &columns, false)? - logits;
        let reach = (margins / distances)
            .nan_to_num(f64::INFINITY, None, None)
            .f_scatter_value(1, &columns, f64::INFINITY)?;
        let rank = i64::try_from(rank).expect("a place in a list") % (classes - 1).max(1);
        Ok(reach.argsort(1, false).f_narrow(1, rank, 1)?)
    }

    /// Points that are spread evenly over the ball.
    fn start(&self, batch: &Batch) -> Result<Tensor, TrainError> {
        let centres = batch.centres.f_to_kind(Kind::Float)?;
        let [count, width] = [centres.size()[0], centres.size()[1]];
        // drawn on the CPU, so that the numbers do not depend on the device
        let directions = Tensor::f_randn([count, width], tch::kind::FLOAT_CPU)?;
        let lengths = Tensor::f_rand([count, 1], tch::kind::FLOAT_CPU)?.pow_tensor_scalar(1.0 / width as f64);
        let change = &directions / norms(&directions) * lengths * self.radius;
        self.project(batch, &(centres + change.f_to_device(batch.centres.device())?))
    }

    /// The nearest points of the ball, clipped; in float32.
    fn project(&self, batch: &Batch, points: &Tensor) -> Result<Tensor, TrainError> {
        let centres = batch.centres.f_to_kind(Kind::Float)?;
        let change = points - &centres;
        let factor = (norms(&change).reciprocal() * self.radius).clamp_max(1.0);
        let (low, high) = batch.limits();
        let (low, high) = (low.f_to_kind(Kind::Float)?, high.f_to_kind(Kind::Float)?);
        Ok((centres + change * factor).f_clamp_tensor(Some(low), Some(high))?)
    }
}

/// Rows of norm 1, or zero. A gradient may be so small that its squares vanish.
fn direction(gradient: &Tensor) -> Tensor {
    let largest = gradient
        .abs()
        .amax([1].as_slice(), true)
        .clamp_min(f64::from(f32::MIN_POSITIVE));
    let scaled = gradient / largest;
    (&scaled / norms(&scaled)).nan_to_num(0.0, 0.0, 0.0)
}
