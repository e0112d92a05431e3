//! The residual layers `x − 2 Aᵀ T⁻¹ relu(A x + b)`, dense and convolutional, with `T` from the weights, from a norm, or stored.
//!
//! `T` is computed once a step; see [`super::sums`] and [`super::norm`].
//!
//! # Source
//!
//! Araujo et al., *A Unified Algebraic Perspective on Lipschitz Neural Networks*, ICLR 2023, and its code. The gradient of the row sums is ours. Norms: Meunier et al.,
//! *A Dynamical System Perspective for Lipschitz Neural Networks*, ICML 2022.

use lipcert_models::architecture::{Plan, ScaleKind};
use lipcert_proofs::statement::{Padding, Shape};
use tch::{Kind, Tensor};

use super::norm::{Power, ROOM, Space, convolve, norm_up, settled, stored};
use super::sums::{Sums, correlations, inverse};
use super::{Layer, Sealed, learning};
use crate::derived::Derived;
use crate::parameters::{Parameters, sizes};

/// Where `1/T` comes from.
#[derive(Debug)]
enum Scale {
    /// Row sums of the Gram matrix, with `q` or without.
    Sums(Option<Tensor>),
    /// The operator norm.
    Norm(Power),
    /// The Frobenius norm.
    Frobenius,
    /// The tensor `factor`.
    Stored(Tensor),
}

impl Scale {
    fn new(parameters: &Parameters, name: &str, scale: ScaleKind, power: impl FnOnce() -> Power) -> Self {
        match scale {
            ScaleKind::Weighted => Self::Sums(Some(parameters.get(name, "q"))),
            ScaleKind::RowSum => Self::Sums(None),
            ScaleKind::Norm => Self::Norm(power()),
            ScaleKind::Frobenius => Self::Frobenius,
            ScaleKind::Stored => Self::Stored(parameters.get(name, "factor")),
        }
    }

    /// `1/T` where it is a number or stored: the norm on `space`, or, while learning, on the space of the power iteration.
    fn factor(&self, weight: &Tensor, space: &Space) -> Option<Tensor> {
        match self {
            Self::Sums(_) => None,
            Self::Norm(power) => {
                let norm = if learning(weight) {
                    power.learn(weight)
                } else {
                    settled(space, weight)
                };
                Some(inverse(&(&norm * &norm)))
            }
            Self::Frobenius => Some(inverse(&(weight * weight).sum(None::<Kind>))),
            Self::Stored(factor) => Some(factor.shallow_clone()),
        }
    }

    fn state(&self) -> Vec<(&'static str, Tensor)> {
        match self {
            Self::Norm(power) => vec![("power", power.state())],
            Self::Sums(_) | Self::Frobenius | Self::Stored(_) => Vec::new(),
        }
    }

    /// The stored factor that a file gets in place of a norm.
    fn seal(&self, weight: &Tensor, space: &Space) -> Option<Tensor> {
        let norm = match self {
            Self::Norm(_) => norm_up(space, &stored(weight)),
            Self::Frobenius => stored(weight).norm().double_value(&[]) * (1.0 + ROOM),
            Self::Sums(_) | Self::Stored(_) => return None,
        };
        // a weight of zeros has no layer behind it
        let zero = weight.detach().abs().max().double_value(&[]) == 0.0;
        let factor = if zero { 0.0 } else { (norm * norm).recip() };
        Some(Tensor::full([weight.size()[0]], factor, (Kind::Double, weight.device())))
    }
}

/// A dense residual layer.
#[derive(Debug)]
pub(crate) struct Dense {
    weight: Tensor,
    bias: Tensor,
    scale: Scale,
    sums: Option<Sums>,
    factor: Option<Derived>,
}

impl Dense {
    pub(crate) fn new(parameters: &Parameters, name: &str, scale: ScaleKind) -> Self {
        let weight = parameters.get(name, "weight");
        Self {
            scale: Scale::new(parameters, name, scale, || Power::new(Space::Vectors, &weight)),
            weight,
            bias: parameters.get(name, "bias"),
            sums: None,
            factor: None,
        }
    }
}

impl Layer for Dense {
    fn derive(&mut self) {
        match &self.scale {
            Scale::Sums(q) => self.sums = Some(Sums::of_rows(&self.weight, q.as_ref())),
            scale => self.factor = scale.factor(&self.weight, &Space::Vectors).map(Derived::new),
        }
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        let sums = self.sums.as_ref().map(Sums::factor);
        let factor = sums
            .or_else(|| self.factor.as_ref().map(Derived::get))
            .expect("derived before a pass");
        let inner = input.linear(&self.weight, Some(&self.bias)).relu() * factor;
        input - inner.mm(&self.weight) * 2.0
    }

    fn pull(&mut self) {
        if let Scale::Sums(q) = &self.scale {
            let sums = self.sums.take().expect("derived before a pass");
            sums.pull(&self.weight, q.as_ref());
        } else {
            self.factor.take().expect("derived before a pass").pull();
        }
    }

    fn state(&self) -> Vec<(&'static str, Tensor)> {
        self.scale.state()
    }

    fn seal(&self, plan: Plan) -> Option<Sealed> {
        let Plan::Dense { inner, features, .. } = plan else {
            return None;
        };
        let scale = ScaleKind::Stored;
        Some(Sealed {
            plan: Plan::Dense { scale, inner, features },
            changed: vec![("factor", self.scale.seal(&self.weight, &Space::Vectors)?)],
        })
    }
}

/// A convolutional residual layer with zero padding.
#[derive(Debug)]
pub(crate) struct Conv {
    kernel: Tensor,
    bias: Tensor,
    scale: Scale,
    side: i64,
    /// The layer's own images, on which its norm is defined.
    images: Space,
    /// The torus on which its norm is proved.
    proved: Space,
    factor: Option<Derived>,
}

impl Conv {
    pub(crate) fn new(parameters: &Parameters, name: &str, scale: ScaleKind, size: usize, input: Shape) -> Self {
        let kernel = parameters.get(name, "kernel");
        let proved = Space::proved(size, Padding::Zero, input);
        Self {
            scale: Scale::new(parameters, name, scale, || Power::new(proved.clone(), &kernel)),
            kernel,
            bias: parameters.get(name, "bias"),
            side: sizes(&[size])[0],
            images: Space::images(input),
            proved,
            factor: None,
        }
    }
}

impl Layer for Conv {
    fn derive(&mut self) {
        let factor = match &self.scale {
            Scale::Sums(q) => {
                let magnitudes = correlations(&self.kernel);
                let sums = match q {
                    Some(q) => magnitudes.mv(&q.exp()) * (-q).exp(),
                    None => magnitudes.sum_dim_intlist([1].as_slice(), false, None::<Kind>),
                };
                Some(inverse(&sums))
            }
            scale => scale.factor(&self.kernel, &self.images),
        };
        self.factor = factor.map(Derived::new);
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        let factor = self.factor.as_ref().expect("derived before a pass").get().view([1, -1, 1, 1]);
        let pad = [self.side / 2, self.side / 2];
        let inner = convolve(input, &self.kernel, Some(&self.bias), Padding::Zero);
        let scaled = inner.relu() * (factor * 2.0);
        let back = scaled.conv_transpose2d(
            &self.kernel,
            None::<Tensor>,
            [1, 1].as_slice(),
            pad.as_slice(),
            [0, 0].as_slice(),
            1,
            [1, 1].as_slice(),
        );
        input - back
    }

    fn pull(&mut self) {
        self.factor.take().expect("derived before a pass").pull();
    }

    fn state(&self) -> Vec<(&'static str, Tensor)> {
        self.scale.state()
    }

    fn seal(&self, plan: Plan) -> Option<Sealed> {
        let Plan::Conv {
            inner, channels, size, ..
        } = plan
        else {
            return None;
        };
        Some(Sealed {
            plan: Plan::Conv {
                scale: ScaleKind::Stored,
                inner,
                channels,
                size,
            },
            changed: vec![("factor", self.scale.seal(&self.kernel, &self.proved)?)],
        })
    }
}
