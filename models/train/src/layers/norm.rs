//! Operator norms of weights: an estimate that follows the training, and one that has settled.
//!
//! While a network learns, two steps of a power iteration a training step keep a vector `v` near the first right singular vector. The norm is then `uᵀ A v` with
//! `u = A v / ‖A v‖`, a number from below, and its gradient is taken through `A` alone. The vector starts from a fixed formula; it is state, which a
//! resumed training needs bit for bit.
//!
//! A file gets a number from above, as far as that can be had without a proof: the largest eigenvalue of `AᵀA`, on a torus that of the matrices at all
//! frequencies, else, and where these are too many, by Lanczos' method with full reorthogonalisation, restarted, plus the norm of its residual.
//!
//! # Source
//!
//! Miyato et al., *Spectral Normalization for Generative Adversarial Networks*, ICLR 2018 (the gradient); Parlett, *The Symmetric Eigenvalue Problem*,
//! chapters 4 and 13 (an eigenvalue lies within the residual).

use lipcert_proofs::certificate::ImageSize;
use lipcert_proofs::rules::circulant_grid;
use lipcert_proofs::statement::{Padding, Shape};
use tch::{Device, Kind, Tensor, no_grad};

use crate::parameters::sizes;

/// Steps of the power iteration before the first training step.
const STEPS_FIRST: usize = 50;
/// Steps of the power iteration in a training step.
const STEPS: usize = 2;
/// Vectors of a Krylov space.
const KRYLOV: usize = 40;
/// Restarts of Lanczos' method.
const RESTARTS: usize = 50;
/// A residual that is small enough, relative to the eigenvalue, for the norm itself, whose error is of the order of its square.
const SETTLED: f64 = 1e-10;
/// The same for numbers of another type than float64.
const ROUGH: f64 = 1e-4;
/// The same where the residual is added.
const ADDED: f64 = 1e-7;
/// How much is added to a norm that goes into a file, relative to it; float32 numbers are 6e-8 apart.
pub(super) const ROOM: f64 = 1e-6;
/// Frequencies times the cube of the channels up to which the eigenvalues at all frequencies cost less than Lanczos' method.
const WORK_MOST: i64 = 5_000_000_000;
/// Lengths below this are taken for it.
const SMALLEST: f64 = 1e-30;

/// What a weight acts on.
#[derive(Clone, Debug)]
pub(super) enum Space {
    /// A matrix `(m, n)` on vectors.
    Vectors,
    /// A kernel on images `(C, H, W)` on a torus.
    Torus([i64; 3]),
    /// A kernel on images `(C, H, W)` with zeros around them.
    Images([i64; 3]),
}

/// The image with its opposite borders around it, `reach` on each side.
pub(super) fn wrapped(images: &Tensor, reach: i64) -> Tensor {
    let around = |images: Tensor, dim: i64| {
        let size = images.size()[usize::try_from(dim).expect("a dimension")];
        let (copies, rest) = (usize::try_from(reach / size).expect("a kernel is small"), reach % size);
        let mut parts = Vec::new();
        if rest > 0 {
            parts.push(images.narrow(dim, size - rest, rest));
        }
        parts.extend((0..=2 * copies).map(|_| images.shallow_clone()));
        if rest > 0 {
            parts.push(images.narrow(dim, 0, rest));
        }
        Tensor::cat(&parts, dim)
    };
    if reach == 0 {
        return images.shallow_clone();
    }
    around(around(images.shallow_clone(), 2), 3)
}

/// A convolution of stride 1 that keeps the size of the image.
pub(super) fn convolve(images: &Tensor, kernel: &Tensor, bias: Option<&Tensor>, padding: Padding) -> Tensor {
    let reach = kernel.size()[2] / 2;
    let (images, pad) = match padding {
        Padding::Zero => (images.shallow_clone(), reach),
        Padding::Circular => (wrapped(images, reach), 0),
    };
    images.conv2d(kernel, bias, [1, 1].as_slice(), [pad, pad].as_slice(), [1, 1].as_slice(), 1)
}

/// The kernel of the adjoint: channels exchanged, both axes turned.
pub(super) fn adjoint(kernel: &Tensor) -> Tensor {
    kernel.transpose(0, 1).flip([2, 3].as_slice())
}

impl Space {
    /// What the norm of a kernel is proved on: the torus itself, or, for zeros around the image, a torus large enough to hold it; see
    /// [`circulant_grid`].
    pub(super) fn proved(size: usize, padding: Padding, input: Shape) -> Self {
        let [channels, height, width] = image(input);
        if size == 1 {
            return Self::Torus([channels, 1, 1]);
        }
        match padding {
            Padding::Circular => Self::Torus([channels, height, width]),
            Padding::Zero => {
                let side = sizes(&[circulant_grid::least_grid(2 * size - 1, input, ImageSize::Stated)])[0];
                Self::Torus([channels, side, side])
            }
        }
    }

    /// The layer's own images, with zeros around them.
    pub(super) fn images(input: Shape) -> Self {
        Self::Images(image(input))
    }

    fn shape(&self, weight: &Tensor) -> Vec<i64> {
        match self {
            Self::Vectors => vec![weight.size()[1], 1],
            Self::Torus([channels, height, width]) | Self::Images([channels, height, width]) => {
                vec![1, *channels, *height, *width]
            }
        }
    }

    const fn padding(&self) -> Padding {
        match self {
            Self::Vectors | Self::Images(_) => Padding::Zero,
            Self::Torus(_) => Padding::Circular,
        }
    }

    fn apply(&self, weight: &Tensor, vector: &Tensor) -> Tensor {
        match self {
            Self::Vectors => weight.mm(vector),
            Self::Torus(_) | Self::Images(_) => convolve(vector, weight, None, self.padding()),
        }
    }

    fn apply_adjoint(&self, weight: &Tensor, vector: &Tensor) -> Tensor {
        match self {
            Self::Vectors => weight.tr().mm(vector),
            Self::Torus(_) | Self::Images(_) => convolve(vector, &adjoint(weight), None, self.padding()),
        }
    }

    /// A vector without symmetry.
    fn start(&self, weight: &Tensor) -> Tensor {
        let shape = self.shape(weight);
        let count = shape.iter().product::<i64>();
        let values = (Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.618_033_988_749_895).frac() + 1.0;
        unit(&values.view(shape.as_slice()))
            .to_kind(weight.kind())
            .to_device(weight.device())
    }
}

/// Channels, height and width; a vector is one row of pixels.
fn image(input: Shape) -> [i64; 3] {
    let found = match input {
        Shape::Image { channels, height, width } => [channels, height, width],
        Shape::Flat(length) => [1, 1, length],
    };
    sizes(&found).try_into().expect("three sizes")
}

fn length(vector: &Tensor) -> Tensor {
    (vector * vector).sum(None::<Kind>).sqrt()
}

pub(super) fn unit(vector: &Tensor) -> Tensor {
    vector / length(vector).clamp_min(SMALLEST)
}

/// The power iteration of a weight.
#[derive(Debug)]
pub(super) struct Power {
    space: Space,
    /// The right singular vector so far, of length 1.
    vector: Tensor,
}

impl Power {
    /// Starts from the weight of now.
    pub(super) fn new(space: Space, weight: &Tensor) -> Self {
        let vector = no_grad(|| space.start(weight));
        let found = Self { space, vector };
        found.steps(&weight.detach(), STEPS_FIRST);
        found
    }

    fn steps(&self, weight: &Tensor, count: usize) {
        no_grad(|| {
            let mut vector = self.vector.shallow_clone();
            for _ in 0..count {
                vector = unit(&self.space.apply_adjoint(weight, &unit(&self.space.apply(weight, &vector))));
            }
            self.vector.shallow_clone().copy_(&vector);
        });
    }

    /// Two more steps, and the norm from below with its gradient.
    pub(super) fn learn(&self, weight: &Tensor) -> Tensor {
        self.steps(&weight.detach(), STEPS);
        let left = no_grad(|| unit(&self.space.apply(&weight.detach(), &self.vector)));
        (left * self.space.apply(weight, &self.vector)).sum(None::<Kind>)
    }

    /// The vector; whoever changes it in place changes it here.
    pub(super) fn state(&self) -> Tensor {
        self.vector.shallow_clone()
    }
}

/// The norm of a weight on a space, settled as far as the type of its numbers is worth it.
pub(super) fn settled(space: &Space, weight: &Tensor) -> Tensor {
    let enough = if weight.kind() == Kind::Double { SETTLED } else { ROUGH };
    let (square, _) = no_grad(|| largest(space, &weight.detach(), enough));
    Tensor::from(square.sqrt()).to_kind(weight.kind()).to_device(weight.device())
}

/// The numbers of a tensor as a file will hold them, in float64.
pub(super) fn stored(weight: &Tensor) -> Tensor {
    weight.detach().to_kind(Kind::Float).to_kind(Kind::Double)
}

/// A positive number a little above the norm of a weight of float64; the float32 number nearest to it is above the norm too.
pub(super) fn norm_up(space: &Space, weight: &Tensor) -> f64 {
    let (square, residual) = no_grad(|| largest(space, weight, ADDED));
    ((square + residual).sqrt() * (1.0 + ROOM)).max(SMALLEST)
}

/// The largest eigenvalue of `AᵀA`, and the norm of its residual.
fn largest(space: &Space, weight: &Tensor, enough: f64) -> (f64, f64) {
    if let Some(square) = by_frequencies(space, weight) {
        return (square, 0.0);
    }
    let mut start = space.start(weight);
    let mut found = (0.0, 0.0);
    for _ in 0..RESTARTS {
        let (value, residual, vector) = lanczos(space, weight, &start);
        found = (value, residual);
        if residual <= enough * value {
            break;
        }
        start = vector;
    }
    found
}

/// The largest eigenvalue at all frequencies of a torus, where they are few enough and the kernel fits on it.
fn by_frequencies(space: &Space, weight: &Tensor) -> Option<f64> {
    let (Space::Torus([_, height, width]), [outputs, inputs, side, _]): (_, [i64; 4]) = (space, weight.size().try_into().ok()?)
    else {
        return None;
    };
    let least = outputs.min(inputs);
    let work = (height * width).saturating_mul(least.saturating_pow(3));
    if work > WORK_MOST || side > *height.min(width) {
        return None;
    }
    // where the kernel lies on the torus changes phases only; the other half of the frequencies has conjugate matrices
    let symbol = weight
        .to_device(Device::Cpu)
        .fft_rfft2([*height, *width].as_slice(), [-2, -1].as_slice(), "backward")
        .permute([2, 3, 0, 1].as_slice())
        .reshape([-1, outputs, inputs].as_slice());
    let turned = symbol.transpose(1, 2).conj();
    let gram = if outputs <= inputs {
        symbol.matmul(&turned)
    } else {
        turned.matmul(&symbol)
    };
    Some(gram.linalg_eigvalsh("L").max().double_value(&[]).max(0.0))
}

/// One Krylov space: the largest Ritz value, the norm of its residual, its vector.
fn lanczos(space: &Space, weight: &Tensor, start: &Tensor) -> (f64, f64, Tensor) {
    let shape = start.size();
    let mut vectors = vec![unit(start).flatten(0, -1)];
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    let vanishing = if weight.kind() == Kind::Double { 1e-15 } else { 1e-6 };
    loop {
        let last = &vectors[vectors.len() - 1];
        let image = last.view(shape.as_slice());
        let mut next = space.apply_adjoint(weight, &space.apply(weight, &image)).flatten(0, -1);
        diagonal.push((&next * last).sum(None::<Kind>).double_value(&[]));
        let basis = Tensor::stack(&vectors, 0);
        for _ in 0..2 {
            next -= basis.tr().mv(&basis.mv(&next));
        }
        let rest = length(&next).double_value(&[]);
        beside.push(rest);
        let scale = diagonal.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        // the space is invariant, or full
        let ends = rest <= vanishing * scale || i64::try_from(vectors.len()).is_ok_and(|count| count == last.size()[0]);
        if ends || vectors.len() == KRYLOV {
            let (value, weights) = ritz(&diagonal, &beside);
            let residual = if ends {
                0.0
            } else {
                rest * weights.last().copied().unwrap_or(0.0).abs()
            };
            let weights = Tensor::from_slice(&weights).to_kind(basis.kind()).to_device(basis.device());
            return (value, residual, basis.tr().mv(&weights).view(shape.as_slice()));
        }
        vectors.push(next / rest);
    }
}

/// The largest eigenvalue of a tridiagonal matrix and its vector.
fn ritz(diagonal: &[f64], beside: &[f64]) -> (f64, Vec<f64>) {
    let inner = Tensor::from_slice(&beside[..beside.len() - 1]);
    let matrix = Tensor::from_slice(diagonal).diag_embed(0, 0, 1) + inner.diag_embed(-1, 0, 1) + inner.diag_embed(1, 0, 1);
    let (values, vectors) = matrix.linalg_eigh("L");
    let last = i64::try_from(diagonal.len()).expect("a small matrix") - 1;
    let vector = Vec::try_from(vectors.select(1, last).contiguous()).expect("a vector of float64 on the CPU");
    (values.double_value(&[last]).max(0.0), vector)
}
