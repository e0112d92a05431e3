//! Evaluation of the layers that have no weight matrix and may change the shape, with the constants of their errors.
//!
//! # Errors
//!
//! Legend: `e` bounds the distance of every sine and cosine from the exact one, `r` the norm of a pair; all bounds are for one pair and add up in squares.
//!
//! - Sorting, dropping, moving and taking a maximum round nothing. Activations with numbers for each unit round an entry once; the kinks are compared exactly.
//! - *Householder.* With `ε = √2 e ≥ ‖û − u‖`: `‖2u relu(u·z) − 2û relu(û·z)‖ ≤ 2ε r + 2(1 + ε) ε r`; the map is continuous in `u`, so a switch decided the other way is
//!   covered. Two products and a sum, then a product: `2 (1 + ε)² γ₄ r`. The last subtraction adds `u ‖y‖`.
//! - *Householder of order 2.* The exact map `f` is 1-Lipschitz and on the sector `k` an orthogonal `Q_k`; if `z` is within `d` of the sector `k`,
//!   `‖f(z) − Q_k z‖ ≤ 2d`. With `η = 8 (2e + γ₈)(1 + 2e)` the computed `out = r sin τ` and `ahead = r cos τ` are within `η r`, `τ` the angle outside a sector, negative inside. For
//!   the sector of `z` the score is at most `η r`: its `ahead` may come out negative only where `out ≤ −0.9 r`, and there the score is `out`. So the chosen
//!   score is at most `η r`, hence not of the form `2(|x| + |y|) − out`, and `out ≤ 2ηr` with `ahead ≥ −ηr` or `out < −0.3 r` says `d ≤ 2ηr`. Together with the numbers of `Q_k`:
//!   `4η + 2 (2e + γ₄)(1 + 2e)` times `r`. Below `r = 1e-300`, where products underflow, the error is at most `3r`.
//! - *Projection.* With `δ = 2e + γ₆ (1 + 2e)` each of the two formulas is off by at most `δ r`, and so is the number that decides between them. If it comes out with the wrong
//!   sign, `x < 0` (else no term is negative), so the first formula is in `[0, r]` and differs from `r` by at most the magnitude of that number. Together `2 δ r`.
//! - *Centring.* The mean of `n` entries is off by at most `γ_{n+1} ‖x‖ / √n`, in `n` entries; then one subtraction.
//! - *Norm pooling.* `n` squares, their sum and a root: `γ_{n+2}` relative to the result; underflow of the squares costs at most `√(n · smallest normal)`.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::directed::{add_up, gamma_up, mul_up, sqrt_up};
use super::error_bound::{ErrorBound, LOST};
use super::kernels::entrywise::activate_units;
use super::kernels::pair::PairKernel;
use super::kernels::{groupwise, resample};
use crate::statement::{ChannelActivation, Groupwise, Layer, Over, PairMap, Paired, Resample, Shape};

/// What a layer does with a sample.
#[derive(Debug)]
enum Map<'a> {
    Channel(&'a ChannelActivation),
    Groupwise(Groupwise),
    Paired(PairKernel),
    Resample(Resample),
}

/// A layer on a fixed shape of input.
#[derive(Debug)]
pub(crate) struct SampleMap<'a> {
    map: Map<'a>,
    input: Shape,
    output: usize,
}

impl<'a> SampleMap<'a> {
    /// The evaluation of a layer with its error constants; nothing for a layer of another kind.
    pub(crate) fn new(layer: &'a Layer, input: Shape, lipschitz: f64) -> Option<(Self, ErrorBound)> {
        let (map, bound) = match layer {
            Layer::ChannelActivation(activation) => (Map::Channel(activation), ErrorBound::entrywise(lipschitz, true, input)),
            Layer::Groupwise(map) => (Map::Groupwise(*map), ErrorBound::entrywise(lipschitz, false, input)),
            Layer::Paired(paired) => {
                let kernel = PairKernel::new(paired);
                let bound = pair_bound(lipschitz, paired, kernel.error_up());
                (Map::Paired(kernel), bound)
            }
            Layer::Resample(map) => (Map::Resample(*map), resample_bound(lipschitz, *map, input)),
            _ => return None,
        };
        let output = layer.output_shape(input).ok()?.len();
        Some((Self { map, input, output }, bound))
    }

    /// Number of entries of a sample behind the layer.
    pub(crate) const fn output(&self) -> usize {
        self.output
    }

    /// Writes the image of one sample.
    pub(crate) fn apply(&self, sample: &[f64], output: &mut [f64]) {
        match &self.map {
            Map::Channel(activation) => {
                output.copy_from_slice(sample);
                activate_units(activation, output);
            }
            Map::Groupwise(map) => groupwise::apply(*map, self.input.units(), sample, output),
            Map::Paired(kernel) => kernel.apply(sample, output),
            Map::Resample(map) => resample::apply(*map, self.input, sample, output),
        }
    }
}

/// See the module.
fn pair_bound(lipschitz: f64, paired: &Paired, error: f64) -> ErrorBound {
    let spread = mul_up(2.0, error);
    let grown = add_up(1.0, spread);
    // A root of the smallest normal number is far above what underflow loses; `3e-300` where a sector is looked for.
    let lost = match paired.map {
        PairMap::Householder => mul_up(32.0, LOST),
        PairMap::Householder2 => 1e-299,
        PairMap::Projection => sqrt_up(mul_up(4.0, f64::MIN_POSITIVE)),
    };
    let relative = match paired.map {
        PairMap::Householder => {
            let moved = mul_up(mul_up(2.0, spread), add_up(1.0, grown));
            add_up(moved, mul_up(mul_up(2.0, mul_up(grown, grown)), gamma_up(6)))
        }
        PairMap::Householder2 => {
            let eta = mul_up(mul_up(8.0, add_up(spread, gamma_up(8))), grown);
            let numbers = mul_up(mul_up(2.0, add_up(spread, gamma_up(4))), grown);
            add_up(mul_up(4.0, eta), numbers)
        }
        PairMap::Projection => mul_up(2.0, add_up(spread, mul_up(gamma_up(6), grown))),
    };
    // One pair an angle and pixel: the number of pixels is below 2²⁴.
    let pairs = paired.angles.len() as f64;
    ErrorBound {
        lipschitz,
        relative,
        absolute: mul_up(lost, sqrt_up(mul_up(pairs, PIXELS_MOST))),
        output: gamma_up(1),
        reach: (0.0, 0.0),
    }
}

/// No sample has more entries.
const PIXELS_MOST: f64 = 16_777_216.0;

/// See the module.
fn resample_bound(lipschitz: f64, map: Resample, input: Shape) -> ErrorBound {
    let entries = input.len();
    let exact = ErrorBound::entrywise(lipschitz, false, input);
    match map {
        Resample::PixelUnshuffle { .. }
        | Resample::PixelShuffle { .. }
        | Resample::First { .. }
        | Resample::PadFeatures { .. }
        | Resample::MaxPool { .. }
        | Resample::PairMax => exact,
        Resample::Center(over) => {
            let length = match over {
                Over::All => entries,
                Over::Channel => entries / input.channels(),
            };
            ErrorBound {
                relative: gamma_up(length + 2),
                absolute: mul_up(LOST, mul_up(4.0, entries as f64)),
                output: gamma_up(1),
                ..exact
            }
        }
        Resample::NormPool { size } => {
            let area = size * size;
            ErrorBound {
                absolute: sqrt_up(mul_up(entries as f64, f64::MIN_POSITIVE)),
                output: gamma_up(2 * area + 8),
                ..exact
            }
        }
    }
}
