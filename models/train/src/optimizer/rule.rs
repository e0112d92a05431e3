//! The formulas of the updates, those of PyTorch; lookahead is that of Zhang et al., "Lookahead Optimizer: k steps forward, 1 step back" (2019).

use lipcert_models::training::config::Optimizer;
use tch::Tensor;

/// Of NAdam: how fast the momentum rises to its final value.
const MOMENTUM_DECAY: f64 = 0.004;

/// What is the same for all parameters and steps.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// Stochastic gradient descent.
    Sgd { momentum: f64, nesterov: bool, decay: f64 },
    /// Adam and its relatives.
    Adam {
        relative: Relative,
        betas: [f64; 2],
        epsilon: f64,
        decay: f64,
    },
}

/// Which of the relatives.
#[derive(Clone, Copy, Debug)]
pub(super) enum Relative {
    /// Adam.
    Plain,
    /// AdamW.
    Decoupled,
    /// NAdam; the slow weights follow by `follow` every `lookahead` updates, or there are none for 0.
    Nesterov { lookahead: usize, follow: f64 },
}

/// What a parameter has behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Number of updates.
    pub(super) updates: u32,
    /// Of NAdam: product of the momenta so far.
    pub(super) product: f64,
}

/// An update of one parameter, all its numbers worked out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Update {
    /// `v ← μ v + g`; then `x ← x − rate · v`, or `− rate · (g + μ v)`.
    Sgd {
        rate: f64,
        momentum: f64,
        nesterov: bool,
        decay: f64,
    },
    /// `m` and `v` follow `g` and `g²`; then `x ← keep · x − (a m + b g) / (√v + ε)`.
    Adam {
        /// Added to the gradient, times `x`.
        decay: f64,
        /// What the weights keep before the step, if not all.
        keep: Option<f64>,
        /// `1 − β`.
        fresh: [f64; 2],
        /// `[a, b]`.
        along: [f64; 2],
        /// `ε`; it and both of `along` have the correction of `√v` in them.
        epsilon: f64,
        /// How far the slow weights follow after this update, if they do.
        follow: Option<f64>,
    },
}

impl Progress {
    /// Before the first update.
    pub(super) const START: Self = Self {
        updates: 0,
        product: 1.0,
    };
}

impl Rule {
    pub(super) const fn new(optimizer: &Optimizer) -> Self {
        let (relative, betas, epsilon, decay) = match *optimizer {
            Optimizer::Sgd {
                momentum,
                nesterov,
                decay,
                ..
            } => {
                return Self::Sgd {
                    momentum,
                    nesterov,
                    decay,
                };
            }
            Optimizer::Adam {
                betas, epsilon, decay, ..
            } => (Relative::Plain, betas, epsilon, decay),
            Optimizer::AdamW {
                betas, epsilon, decay, ..
            } => (Relative::Decoupled, betas, epsilon, decay),
            Optimizer::Nadam {
                betas,
                epsilon,
                decay,
                lookahead,
                follow,
                ..
            } => (Relative::Nesterov { lookahead, follow }, betas, epsilon, decay),
        };
        Self::Adam {
            relative,
            betas,
            epsilon,
            decay,
        }
    }

    /// Names of what a parameter carries.
    pub(super) fn fields(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd { momentum, .. } if *momentum == 0.0 => &[],
            Self::Sgd { .. } => &["momentum"],
            Self::Adam {
                relative: Relative::Nesterov { lookahead: 1.., .. },
                ..
            } => &["mean", "square", "slow"],
            Self::Adam { .. } => &["mean", "square"],
        }
    }

    /// What a parameter carries before its first update.
    pub(super) fn begin(&self, parameter: &Tensor) -> Vec<Tensor> {
        let parameter = parameter.detach();
        let start = |field: &&str| match *field {
            "slow" => parameter.copy(),
            _ => parameter.zeros_like(),
        };
        self.fields().iter().map(start).collect()
    }

    /// The next update of a parameter.
    pub(super) fn update(&self, rate: f64, progress: &mut Progress) -> Update {
        progress.updates += 1;
        match *self {
            Self::Sgd {
                momentum,
                nesterov,
                decay,
            } => Update::Sgd {
                rate,
                momentum,
                nesterov,
                decay,
            },
            Self::Adam {
                relative,
                betas,
                epsilon,
                decay,
            } => {
                let updates = f64::from(progress.updates);
                let [seen_mean, seen_square] = betas.map(|beta| 1.0 - beta.powf(updates));
                let (along, follow) = match relative {
                    Relative::Plain | Relative::Decoupled => ([rate / seen_mean, 0.0], None),
                    Relative::Nesterov { lookahead, follow } => {
                        let momentum = |update: f64| betas[0] * (1.0 - 0.5 * 0.96_f64.powf(update * MOMENTUM_DECAY));
                        let (now, next) = (momentum(updates), momentum(updates + 1.0));
                        progress.product *= now;
                        let product = progress.product;
                        let due = lookahead > 0 && (progress.updates as usize).is_multiple_of(lookahead);
                        let along = [rate * next / (1.0 - product * next), rate * (1.0 - now) / (1.0 - product)];
                        (along, due.then_some(follow))
                    }
                };
                let correction = seen_square.sqrt();
                let decoupled = matches!(relative, Relative::Decoupled);
                Update::Adam {
                    decay: if decoupled { 0.0 } else { decay },
                    keep: decoupled.then_some(1.0 - rate * decay),
                    fresh: betas.map(|beta| 1.0 - beta),
                    along: along.map(|factor| factor * correction),
                    epsilon: epsilon * correction,
                    follow,
                }
            }
        }
    }
}

impl Update {
    /// Moves a parameter, or a part of one; `carried` is in the order of [`Rule::fields`].
    pub(super) fn apply(&self, parameter: &mut Tensor, gradient: &Tensor, carried: &mut [Tensor]) {
        let (Self::Sgd { decay, .. } | Self::Adam { decay, .. }) = *self;
        let decayed = (decay != 0.0).then(|| gradient + &*parameter * decay);
        let gradient = decayed.as_ref().unwrap_or(gradient);
        match *self {
            Self::Sgd {
                rate,
                momentum,
                nesterov,
                ..
            } => {
                let step = match carried {
                    [velocity] => {
                        let _ = velocity.g_mul_scalar_(momentum).g_add_(gradient);
                        if nesterov {
                            gradient + &*velocity * momentum
                        } else {
                            velocity.shallow_clone()
                        }
                    }
                    _ => gradient.shallow_clone(),
                };
                let _ = parameter.g_sub_(&(step * rate));
            }
            Self::Adam {
                keep,
                fresh,
                along,
                epsilon,
                follow,
                ..
            } => {
                let (moments, slow) = carried.split_at_mut(2);
                let _ = moments[0].lerp_(gradient, fresh[0]);
                let _ = moments[1].lerp_(&(gradient * gradient), fresh[1]);
                let spread = moments[1].sqrt().g_add_scalar_(epsilon);
                let mut step = &moments[0] * -along[0];
                if along[1] != 0.0 {
                    let _ = step.g_sub_(&(gradient * along[1]));
                }
                if let Some(keep) = keep {
                    let _ = parameter.g_mul_scalar_(keep);
                }
                let _ = parameter.addcdiv_(&step, &spread);
                if let (Some(follow), Some(slow)) = (follow, slow.first_mut()) {
                    let _ = slow.lerp_(parameter, follow);
                    parameter.copy_(slow);
                }
            }
        }
    }
}
