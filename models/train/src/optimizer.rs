//! How the weights move.

use lipcert_models::training::config;
use tch::{Device, Kind, Tensor};

use crate::TrainError;

mod rule;

use rule::{Progress, Rule};

/// Numbers of a part that is updated at once on the CPU, for each thread: what an update computes on the way stays in the cache. Adam takes 1.4 ns a number
/// with it, 2 ns without.
const PART: i64 = 1 << 17;

/// Parameters, with what their updates carry from one step to the next.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    rate: f64,
    slots: Vec<Slot>,
}

/// A parameter. What it carries is made when its first gradient comes.
#[derive(Debug)]
struct Slot {
    name: String,
    parameter: Tensor,
    /// In the order of [`Rule::fields`].
    carried: Vec<Tensor>,
    progress: Progress,
}

impl Optimizer {
    /// An optimiser before the first step, for contiguous parameters with distinct names that ask for a gradient.
    #[must_use]
    pub fn new(optimizer: &config::Optimizer, parameters: Vec<(String, Tensor)>) -> Self {
        let slots = parameters.into_iter().map(|(name, parameter)| Slot {
            name,
            parameter,
            carried: Vec::new(),
            progress: Progress::START,
        });
        Self {
            rule: Rule::new(optimizer),
            rate: optimizer.rate(),
            slots: slots.collect(),
        }
    }

    /// Moves every parameter that has a gradient, `rate` times the largest rate; one without stays as it is.
    pub fn step(&mut self, rate: f64) {
        tch::no_grad(|| {
            for slot in &mut self.slots {
                slot.step(&self.rule, self.rate * rate);
            }
        });
    }

    /// Sets all gradients to zero; their memory is kept.
    pub fn zero(&mut self) {
        for mut gradient in self.gradients() {
            let _ = gradient.detach_().zero_();
        }
    }

    /// The gradients that there are.
    fn gradients(&self) -> impl Iterator<Item = Tensor> {
        let gradients = self.slots.iter().map(|slot| slot.parameter.grad());
        gradients.filter(Tensor::defined)
    }

    /// Shortens the gradient of all parameters together to a norm of `largest`, if it is longer, and returns the norm that it had.
    ///
    /// As PyTorch's `clip_grad_norm_`: the factor is `largest / (norm + 10⁻⁶)`. A norm that is not finite leaves the gradient as it is.
    pub fn clip_norm(&mut self, largest: f64) -> f64 {
        let norm = self.norm();
        let factor = largest / (norm + 1e-6);
        if factor < 1.0 && norm.is_finite() {
            for mut gradient in self.gradients() {
                let _ = gradient.g_mul_scalar_(factor);
            }
        }
        norm
    }

    /// The norm of the gradient of all parameters together; not finite if an entry is not.
    #[must_use]
    pub fn norm(&self) -> f64 {
        let norms: Vec<Tensor> = self.gradients().map(|gradient| gradient.norm()).collect();
        if norms.is_empty() {
            return 0.0;
        }
        Tensor::stack(&norms, 0).to_kind(Kind::Double).norm().double_value(&[])
    }

    /// Brings every entry of the gradient into `[−largest, largest]`.
    pub fn clip_value(&mut self, largest: f64) {
        for mut gradient in self.gradients() {
            let _ = gradient.clamp_(-largest, largest);
        }
    }

    /// What a resumed training needs, by name: `PARAMETER.FIELD`. The tensors are those of the optimiser, not copies.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = Vec::new();
        for slot in self.slots.iter().filter(|slot| slot.progress.updates > 0) {
            let updates = i64::from(slot.progress.updates);
            state.push((format!("{}.updates", slot.name), Tensor::from(updates)));
            state.push((format!("{}.product", slot.name), Tensor::from(slot.progress.product)));
            for (field, tensor) in self.rule.fields().iter().zip(&slot.carried) {
                state.push((format!("{}.{field}", slot.name), tensor.shallow_clone()));
            }
        }
        state
    }

    /// Takes over a saved state; the numbers are copied, other names are passed over.
    ///
    /// # Errors
    ///
    /// [`TrainError::State`] if a tensor of a parameter that had moved is missing or has another number of entries. The optimiser is then good for nothing.
    pub fn restore(&mut self, state: &[(String, Tensor)]) -> Result<(), TrainError> {
        let find = |name: String, entries: usize| {
            let found = state
                .iter()
                .find(|(other, tensor)| *other == name && tensor.numel() == entries);
            found.map(|(_, tensor)| tensor).ok_or(TrainError::State { name })
        };
        for slot in &mut self.slots {
            slot.progress = Progress::START;
            slot.carried.clear();
            let name = format!("{}.updates", slot.name);
            if !state.iter().any(|(other, _)| *other == name) {
                continue;
            }
            let updates = find(name.clone(), 1)?.to_kind(Kind::Int64).reshape(1).int64_value(&[0]);
            slot.progress = Progress {
                updates: u32::try_from(updates).map_err(|_| TrainError::State { name })?,
                product: find(format!("{}.product", slot.name), 1)?.reshape(1).double_value(&[0]),
            };
            let fields = self.rule.fields().iter();
            let carried = fields.map(|field| {
                let saved = find(format!("{}.{field}", slot.name), slot.parameter.numel())?;
                let mut own = slot.parameter.detach().empty_like();
                own.copy_(&saved.view_as(&own));
                Ok(own)
            });
            slot.carried = carried.collect::<Result<_, TrainError>>()?;
        }
        Ok(())
    }
}

impl Slot {
    fn step(&mut self, rule: &Rule, rate: f64) {
        let gradient = self.parameter.grad();
        if !gradient.defined() {
            return;
        }
        if self.progress.updates == 0 {
            self.carried = rule.begin(&self.parameter);
        }
        let update = rule.update(rate, &mut self.progress);
        let entries = i64::try_from(self.parameter.numel()).expect("sizes are below 2^63");
        let part = match self.parameter.device() {
            Device::Cpu => PART * i64::from(tch::get_num_threads()),
            _ => entries,
        };
        let parameter = self.parameter.detach().view(-1);
        let gradient = gradient.detach().reshape(-1);
        let carried: Vec<Tensor> = self.carried.iter().map(|tensor| tensor.view(-1)).collect();
        let mut start = 0;
        while start < entries {
            let length = part.min(entries - start);
            let cut = |tensor: &Tensor| tensor.narrow(0, start, length);
            let mut carried: Vec<Tensor> = carried.iter().map(cut).collect();
            update.apply(&mut cut(&parameter), &cut(&gradient), &mut carried);
            start += length;
        }
    }
}
