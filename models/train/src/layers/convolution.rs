//! Convolutions of stride 1 that keep the size of the image, with the kernel itself, a formula, or the exponential of a skew kernel.
//!
//! # Source
//!
//! As [`lipcert_proofs::statement::ConvFormula`] and [`lipcert_proofs::statement::SkewExponential`] say.

use lipcert_models::architecture::{KernelKind, Plan};
use lipcert_proofs::statement::{Padding, Shape};
use tch::{Kind, Tensor};

use super::formula::write;
use super::norm::{Power, Space, adjoint, convolve, norm_up, settled, stored};
use super::sums::{correlations, inverse, root};
use super::{Layer, Sealed, learning};
use crate::derived::Derived;
use crate::parameters::Parameters;

/// What a skew kernel may miss the orthogonal map by, a layer.
const REMAINDER: f64 = 1e-5;

/// Where the kernel comes from.
#[derive(Debug)]
enum Source {
    Plain,
    Aol { epsilon: f64 },
    LinearResidual,
    Spectral { sigma: Tensor, power: Power },
    Skew { terms: usize, divisor: SkewDivisor },
}

/// What the skew half of a kernel is divided by.
#[derive(Debug)]
enum SkewDivisor {
    /// `sigma`: the norm of the operator over the angle.
    Stored { sigma: Tensor, power: Power },
    /// The least of the norms of four matrices with the entries of the kernel.
    Least([Power; 4]),
}

/// A convolution.
#[derive(Debug)]
pub(crate) struct Convolution {
    weight: Tensor,
    bias: Option<Tensor>,
    padding: Padding,
    source: Source,
    proved: Space,
    kernel: Option<Derived>,
}

/// The largest norm `s ≤ π` for which the terms of an exponential that are left out come to `sⁿ / n! ≤ 10⁻⁵`.
///
/// A rotation by more than `π` is one by less.
fn angle(terms: usize) -> f64 {
    let factorial: f64 = (1..=terms).map(count).product();
    (factorial * REMAINDER).powf(count(terms).recip()).min(std::f64::consts::PI)
}

#[expect(clippy::cast_precision_loss, reason = "a number of terms is small")]
const fn count(terms: usize) -> f64 {
    terms as f64
}

/// `(M − Mᵀ) / 2`.
fn skew_half(weight: &Tensor) -> Tensor {
    (weight - adjoint(weight)) * 0.5
}

/// The kernel `(out, in, row, column)` as the matrices `(out row, in column)`, `(out column, in row)`, `(out, in row column)`, `(out row column, in)`.
fn matrices(kernel: &Tensor) -> [Tensor; 4] {
    let size = kernel.size();
    let (channels, side) = (size[0], size[2]);
    let mixed = |order: [i64; 4]| {
        kernel
            .permute(order.as_slice())
            .reshape([channels * side, channels * side].as_slice())
    };
    [
        mixed([0, 2, 1, 3]),
        mixed([0, 3, 1, 2]),
        kernel.reshape([channels, -1].as_slice()),
        kernel.permute([0, 2, 3, 1].as_slice()).reshape([-1, channels].as_slice()),
    ]
}

impl Convolution {
    pub(crate) fn new(
        parameters: &Parameters,
        name: &str,
        kernel: KernelKind,
        size: usize,
        padding: Padding,
        input: Shape,
    ) -> Self {
        let weight = parameters.get(name, "weight");
        let proved = Space::proved(size, padding, input);
        let source = match kernel {
            KernelKind::Plain => Source::Plain,
            KernelKind::Aol { epsilon } => Source::Aol { epsilon },
            KernelKind::LinearResidual => Source::LinearResidual,
            KernelKind::Spectral => Source::Spectral {
                sigma: parameters.get(name, "sigma"),
                power: Power::new(proved.clone(), &weight),
            },
            KernelKind::Skew { terms, stored } => Source::Skew {
                terms,
                divisor: if stored {
                    SkewDivisor::Stored {
                        sigma: parameters.get(name, "sigma"),
                        power: Power::new(proved.clone(), &skew_half(&weight.detach())),
                    }
                } else {
                    let starts = matrices(&skew_half(&weight.detach()));
                    SkewDivisor::Least(starts.map(|matrix| Power::new(Space::Vectors, &matrix)))
                },
            },
        };
        Self {
            weight,
            bias: parameters.find(name, "bias"),
            padding,
            source,
            proved,
            kernel: None,
        }
    }

    /// The divisor of a skew half; while learning it is followed, else it is what the file says.
    fn skew_divisor(&self, half: &Tensor, terms: usize, divisor: &SkewDivisor) -> Tensor {
        match divisor {
            SkewDivisor::Stored { sigma, power } if learning(&self.weight) => {
                let found = power.learn(half) / angle(terms);
                write(sigma, &found);
                found
            }
            SkewDivisor::Stored { sigma, .. } => sigma.detach(),
            SkewDivisor::Least(powers) => {
                let pairs = powers.iter().zip(matrices(half));
                let norms: Vec<Tensor> = if learning(&self.weight) {
                    pairs.map(|(power, matrix)| power.learn(&matrix)).collect()
                } else {
                    pairs.map(|(_, matrix)| settled(&Space::Vectors, &matrix)).collect()
                };
                Tensor::stack(&norms, 0).min()
            }
        }
    }
}

impl Layer for Convolution {
    fn derive(&mut self) {
        let weight = &self.weight;
        let kernel = match &self.source {
            Source::Plain => weight.shallow_clone(),
            Source::Aol { epsilon } => {
                let sums = correlations(&weight.transpose(0, 1)).sum_dim_intlist([1].as_slice(), false, None::<Kind>) + *epsilon;
                weight * root(&inverse(&sums)).view([1, -1, 1, 1])
            }
            Source::LinearResidual => {
                let size = weight.size();
                let identity = Tensor::eye(size[0], (weight.kind(), weight.device()));
                let reach = size[2] / 2;
                weight + identity.view([size[0], size[0], 1, 1]).constant_pad_nd([reach; 4].as_slice())
            }
            Source::Spectral { sigma, power } => {
                let divisor = if learning(weight) {
                    let norm = power.learn(weight);
                    write(sigma, &norm);
                    norm
                } else {
                    sigma.detach()
                };
                weight / divisor
            }
            Source::Skew { terms, divisor } => {
                let half = skew_half(weight);
                let divisor = self.skew_divisor(&half, *terms, divisor);
                half / divisor
            }
        };
        self.kernel = Some(Derived::new(kernel));
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        let kernel = self.kernel.as_ref().expect("derived before a pass").get();
        let Source::Skew { terms, .. } = &self.source else {
            return convolve(input, kernel, self.bias.as_ref(), self.padding);
        };
        // Horner's scheme, as the authors' code
        let mut sum = input.shallow_clone();
        for i in (1..*terms).rev() {
            sum = convolve(&sum, kernel, None, self.padding) / count(i) + input;
        }
        match &self.bias {
            Some(bias) => sum + bias.view([1, -1, 1, 1]),
            None => sum,
        }
    }

    fn pull(&mut self) {
        self.kernel.take().expect("derived before a pass").pull();
    }

    fn state(&self) -> Vec<(&'static str, Tensor)> {
        match &self.source {
            Source::Spectral { power, .. }
            | Source::Skew {
                divisor: SkewDivisor::Stored { power, .. },
                ..
            } => vec![("power", power.state())],
            Source::Skew {
                divisor: SkewDivisor::Least(powers),
                ..
            } => {
                let names = ["power-0", "power-1", "power-2", "power-3"];
                names.into_iter().zip(powers.iter().map(Power::state)).collect()
            }
            Source::Plain | Source::Aol { .. } | Source::LinearResidual => Vec::new(),
        }
    }

    fn seal(&self, plan: Plan) -> Option<Sealed> {
        let Plan::Convolution {
            outputs,
            channels,
            size,
            bias,
            padding,
            ..
        } = plan
        else {
            return None;
        };
        let half = || skew_half(&stored(&self.weight));
        let (kernel, sigma) = match &self.source {
            Source::Spectral { .. } => (KernelKind::Spectral, norm_up(&self.proved, &stored(&self.weight))),
            Source::Skew { terms, divisor } => {
                let sigma = match divisor {
                    SkewDivisor::Stored { .. } => norm_up(&self.proved, &half()) / angle(*terms),
                    SkewDivisor::Least(_) => {
                        let norms = matrices(&half()).map(|matrix| norm_up(&Space::Vectors, &matrix));
                        norms.into_iter().fold(f64::INFINITY, f64::min)
                    }
                };
                let (terms, stored) = (*terms, true);
                (KernelKind::Skew { terms, stored }, sigma)
            }
            Source::Plain | Source::Aol { .. } | Source::LinearResidual => return None,
        };
        Some(Sealed {
            plan: Plan::Convolution {
                kernel,
                outputs,
                channels,
                size,
                bias,
                padding,
            },
            changed: vec![("sigma", Tensor::from(sigma))],
        })
    }
}
