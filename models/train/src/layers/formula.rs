//! Dense layers whose weight is computed from free parameters, and sandwich layers.
//!
//! # Source
//!
//! As [`lipcert_proofs::statement::DenseFormula`] and [`lipcert_proofs::statement::Sandwich`] say.

use lipcert_models::architecture::{DivisorPlan, FormulaPlan, Plan};
use lipcert_proofs::statement::{Activation, Bjorck};
use tch::{Tensor, no_grad};

use super::activation::Scalar;
use super::norm::{Power, Space, norm_up, settled, stored, unit};
use super::orthogonal::{cayley, reflections};
use super::sums::{Sums, root};
use super::{Layer, Sealed, learning};
use crate::derived::Derived;
use crate::parameters::Parameters;

/// How the weight comes from the parameters.
#[derive(Debug)]
enum Map {
    Aol {
        epsilon: f64,
        sums: Option<Sums>,
    },
    Normalized {
        divisor: Divisor,
        offset: f64,
        bjorck: Option<Bjorck>,
    },
    Cayley {
        alpha: Option<Tensor>,
    },
    Householder,
}

/// What a weight is divided by.
#[derive(Debug)]
enum Divisor {
    Frobenius,
    Norm(Power),
    Stored { sigma: Tensor, power: Power },
    Vectors { left: Tensor, right: Tensor },
}

impl Divisor {
    /// While learning, the norm is followed, and what the file will hold is written; else it is what the file holds.
    fn value(&self, weight: &Tensor) -> Tensor {
        match self {
            Self::Frobenius => weight.norm(),
            Self::Norm(power) if learning(weight) => power.learn(weight),
            Self::Norm(_) => settled(&Space::Vectors, weight),
            Self::Stored { sigma, power } if learning(weight) => {
                let norm = power.learn(weight);
                write(sigma, &norm);
                norm
            }
            Self::Stored { sigma, .. } => sigma.detach(),
            Self::Vectors { left, right } => {
                if learning(weight) {
                    no_grad(|| {
                        let weight = weight.detach();
                        let image = weight.tr().mv(left);
                        write(right, &unit(&image));
                        let image = weight.mv(right);
                        write(left, &unit(&image));
                    });
                }
                left.dot(&weight.mv(right))
            }
        }
    }
}

/// Writes the value of a tensor into another.
pub(super) fn write(target: &Tensor, value: &Tensor) {
    no_grad(|| target.shallow_clone().copy_(&value.detach().view_as(target)));
}

/// `x ↦ Ŵ x + b`.
#[derive(Debug)]
pub(crate) struct Dense {
    raw: Tensor,
    bias: Option<Tensor>,
    map: Map,
    weight: Option<Derived>,
}

impl Dense {
    pub(crate) fn new(parameters: &Parameters, name: &str, formula: FormulaPlan) -> Self {
        let field = if matches!(formula, FormulaPlan::Householder { .. }) {
            "vectors"
        } else {
            "weight"
        };
        let raw = parameters.get(name, field);
        let power = || Power::new(Space::Vectors, &raw);
        let map = match formula {
            FormulaPlan::Aol { epsilon } => Map::Aol { epsilon, sums: None },
            FormulaPlan::Normalized { divisor, offset, bjorck } => Map::Normalized {
                divisor: match divisor {
                    DivisorPlan::Frobenius => Divisor::Frobenius,
                    DivisorPlan::Norm => Divisor::Norm(power()),
                    DivisorPlan::Stored => Divisor::Stored {
                        sigma: parameters.get(name, "sigma"),
                        power: power(),
                    },
                    DivisorPlan::Vectors => Divisor::Vectors {
                        left: parameters.get(name, "u"),
                        right: parameters.get(name, "v"),
                    },
                },
                offset,
                bjorck,
            },
            FormulaPlan::Cayley { .. } => Map::Cayley {
                alpha: parameters.find(name, "alpha"),
            },
            FormulaPlan::Householder { .. } => Map::Householder,
        };
        Self {
            raw,
            bias: parameters.find(name, "bias"),
            map,
            weight: None,
        }
    }
}

impl Layer for Dense {
    fn derive(&mut self) {
        let raw = &self.raw;
        let weight = match &mut self.map {
            Map::Aol { epsilon, sums } => {
                let found = Sums::of_columns(raw, *epsilon);
                let weight = raw * root(found.factor());
                *sums = Some(found);
                weight
            }
            Map::Normalized { divisor, offset, bjorck } => {
                let mut weight = raw / (divisor.value(raw) + *offset);
                if let Some(Bjorck { beta, iterations }) = bjorck {
                    for _ in 0..*iterations {
                        // the smaller of the two Gram matrices
                        let cube = if weight.size()[0] < weight.size()[1] {
                            weight.mm(&weight.tr()).mm(&weight)
                        } else {
                            weight.mm(&weight.tr().mm(&weight))
                        };
                        weight = weight * (1.0 + *beta) - cube * *beta;
                    }
                }
                weight
            }
            Map::Cayley { alpha } => cayley(raw, alpha.as_ref()),
            Map::Householder => reflections(raw),
        };
        self.weight = Some(Derived::new(weight));
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        let weight = self.weight.as_ref().expect("derived before a pass");
        input.linear(weight.get(), self.bias.as_ref())
    }

    fn pull(&mut self) {
        self.weight.take().expect("derived before a pass").pull();
        if let Map::Aol { sums, .. } = &mut self.map
            && let Some(sums) = sums.take()
        {
            sums.pull(&self.raw, None);
        }
    }

    fn state(&self) -> Vec<(&'static str, Tensor)> {
        match &self.map {
            Map::Normalized {
                divisor: Divisor::Norm(power) | Divisor::Stored { power, .. },
                ..
            } => vec![("power", power.state())],
            _ => Vec::new(),
        }
    }

    fn seal(&self, plan: Plan) -> Option<Sealed> {
        let (
            Map::Normalized { divisor, offset, bjorck },
            Plan::Formula {
                outputs, features, bias, ..
            },
        ) = (&self.map, plan)
        else {
            return None;
        };
        if matches!(divisor, Divisor::Frobenius) {
            return None;
        }
        let sigma = norm_up(&Space::Vectors, &stored(&self.raw));
        Some(Sealed {
            plan: Plan::Formula {
                formula: FormulaPlan::Normalized {
                    divisor: DivisorPlan::Stored,
                    offset: *offset,
                    bjorck: *bjorck,
                },
                outputs,
                features,
                bias,
            },
            changed: vec![("sigma", Tensor::from(sigma))],
        })
    }
}

/// `x ↦ √2 Aᵀ Ψ σ(√2 Ψ⁻¹ B x + b)`.
#[derive(Debug)]
pub(crate) struct Sandwich {
    raw: Tensor,
    alpha: Option<Tensor>,
    psi: Tensor,
    bias: Tensor,
    activation: Scalar,
    /// `√2 Ψ⁻¹ B` and `√2 Aᵀ Ψ`.
    weights: Option<[Derived; 2]>,
}

impl Sandwich {
    pub(crate) fn new(parameters: &Parameters, name: &str, activation: Activation) -> Self {
        Self {
            raw: parameters.get(name, "weight"),
            alpha: parameters.find(name, "alpha"),
            psi: parameters.get(name, "psi"),
            bias: parameters.get(name, "bias"),
            activation: Scalar(activation),
            weights: None,
        }
    }
}

impl Layer for Sandwich {
    fn derive(&mut self) {
        let map = cayley(&self.raw, self.alpha.as_ref());
        let outputs = self.psi.size()[0];
        let root = std::f64::consts::SQRT_2;
        let first = map.narrow(1, outputs, map.size()[1] - outputs) * ((-&self.psi).exp() * root).unsqueeze(1);
        let second = map.narrow(1, 0, outputs).tr() * (self.psi.exp() * root);
        self.weights = Some([Derived::new(first), Derived::new(second)]);
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        let [first, second] = self.weights.as_ref().expect("derived before a pass");
        let inner = self.activation.forward(&input.linear(first.get(), Some(&self.bias)));
        inner.linear(second.get(), None::<&Tensor>)
    }

    fn pull(&mut self) {
        let weights = self.weights.take().expect("derived before a pass");
        // one pass through the Cayley map for both
        let terms: Vec<Tensor> = weights.iter().filter_map(Derived::pairing).collect();
        if let Some(sum) = terms.into_iter().reduce(|sum, term| sum + term) {
            sum.backward();
        }
    }
}
