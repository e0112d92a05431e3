//! Convolutions with register tiles: residual layers on one image.
//!
//! A tile holds the sums of up to `GROUP` output channels at a few vectors of consecutive positions. As rows share their
//! margins, positions run through a whole channel without regard to row ends; what is computed at a margin is masked away.

use pulp::{Arch, Simd, WithSimd};

use super::activate;
use super::image::{Image, Plane};
use crate::statement::Kernel;

/// Most output channels of a tile: with 4 vectors, 24 of the 32 registers of AVX-512; with 2, 12 of the 16 of AVX2.
const GROUP: usize = 6;

/// The residual layer `x ↦ x − 2 Kᵀ(factor ∘ relu(K x + b))`, `K` with zero padding, its weights packed for tiles.
#[derive(Clone, Debug)]
pub struct ResidualConv {
    channels: usize,
    inner: usize,
    forward: Packed,
    adjoint: Packed,
    bias: Vec<f64>,
    factor: Vec<f64>,
}

impl ResidualConv {
    /// Packs the weights.
    ///
    /// # Panics
    ///
    /// If `bias` or `factor` does not have one entry an inner channel.
    #[must_use]
    pub fn new(kernel: &Kernel, bias: &[f64], factor: &[f64]) -> Self {
        let (inner, channels, size) = (kernel.inner(), kernel.channels(), kernel.size());
        assert_eq!(
            (bias.len(), factor.len()),
            (inner, inner),
            "one bias and one factor an inner channel"
        );
        let entry = |i: usize, c: usize, dy: usize, dx: usize| kernel.data()[((i * channels + c) * size + dy) * size + dx];
        Self {
            channels,
            inner,
            forward: Packed::new(inner, channels, size, entry),
            // The adjoint correlates with the kernel turned by 180°, channels and inner channels exchanged.
            adjoint: Packed::new(channels, inner, size, |c, i, dy, dx| {
                entry(i, c, size - 1 - dy, size - 1 - dx)
            }),
            bias: bias.to_vec(),
            factor: factor.to_vec(),
        }
    }

    /// Number of channels of the image.
    #[must_use]
    pub const fn channels(&self) -> usize {
        self.channels
    }

    /// Number of inner channels.
    #[must_use]
    pub const fn inner(&self) -> usize {
        self.inner
    }

    /// Width of the margins that an image needs: `(size − 1) / 2`.
    #[must_use]
    pub const fn radius(&self) -> usize {
        (self.forward.size - 1) / 2
    }

    /// Replaces the image `x` by `y = x − 2 Kᵀ s`, `s = factor ∘ relu(K x + b)`, and leaves `s` in `inner`.
    ///
    /// What is computed, with `size²` the number of taps:
    ///
    /// - `r_i = b_i + Σ` of `channels·size²` products, one sum that starts from `b_i`;
    /// - `s_i = factor_i · relu(r_i)`, one rounding;
    /// - `p_j = Σ` of `inner·size²` products, one sum that starts from 0;
    /// - `y_j = x_j − 2 p_j`, one rounding (doubling is exact).
    ///
    /// Each step of a sum is `fl(sum + a·x)` with one rounding (fused) or with two.
    ///
    /// # Panics
    ///
    /// If the image has another number of channels or margins narrower than `(size − 1) / 2`.
    pub fn apply(&self, image: &mut Image, inner: &mut Image) {
        self.apply_on(Arch::new(), image, inner);
    }

    pub(super) fn apply_on(&self, arch: Arch, image: &mut Image, inner: &mut Image) {
        let plane = image.plane();
        assert_eq!(image.channels(), self.channels, "channels of the image");
        assert!(
            2 * plane.radius + 1 >= self.forward.size,
            "margins of {} pixels",
            plane.radius
        );
        if inner.channels() != self.inner || inner.plane() != plane {
            *inner = Image::on_plane(self.inner, plane);
        }
        let (output, mask) = inner.parts_mut();
        arch.dispatch(Convolve {
            taps: &self.forward,
            plane,
            input: image.padded(),
            output,
            mask,
            finish: Activate {
                bias: &self.bias,
                factor: &self.factor,
            },
        });
        let (output, mask) = image.parts_mut();
        arch.dispatch(Convolve {
            taps: &self.adjoint,
            plane,
            input: inner.padded(),
            output,
            mask,
            finish: SubtractTwice,
        });
    }
}

/// Weights of one correlation in the order in which tiles read them.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) size: usize,
    /// Per group of outputs: input, row, column, output of the group.
    data: Vec<f64>,
}

impl Packed {
    pub(super) fn new(outputs: usize, inputs: usize, size: usize, entry: impl Fn(usize, usize, usize, usize) -> f64) -> Self {
        let mut data = Vec::with_capacity(outputs * inputs * size * size);
        for (first, members) in groups(outputs) {
            for input in 0..inputs {
                for dy in 0..size {
                    for dx in 0..size {
                        data.extend((first..first + members).map(|output| entry(output, input, dy, dx)));
                    }
                }
            }
        }
        Self {
            outputs,
            inputs,
            size,
            data,
        }
    }
}

/// Splits the output channels into as few groups as possible, of sizes that differ by at most one: `(first, members)`.
#[inline(always)]
fn groups(outputs: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = outputs.div_ceil(GROUP);
    (0..count).map(move |group| {
        let first = group * outputs / count;
        (first, (group + 1) * outputs / count - first)
    })
}

/// What becomes of the sums of a tile.
pub(super) trait Finish: Copy {
    /// The values from which the sums of `M` output channels start.
    fn starts<const M: usize>(self, first: usize) -> [f64; M];

    /// The value to store, given the sum and the value that is there.
    fn value<S: Simd>(self, simd: S, output: usize, sum: S::f64s, old: S::f64s) -> S::f64s;
}

#[derive(Clone, Copy)]
struct Activate<'a> {
    bias: &'a [f64],
    factor: &'a [f64],
}

impl Finish for Activate<'_> {
    #[inline(always)]
    fn starts<const M: usize>(self, first: usize) -> [f64; M] {
        let mut starts = [0.0; M];
        starts.copy_from_slice(&self.bias[first..first + M]);
        starts
    }

    #[inline(always)]
    fn value<S: Simd>(self, simd: S, output: usize, sum: S::f64s, _old: S::f64s) -> S::f64s {
        activate(simd, sum, simd.splat_f64s(self.factor[output]))
    }
}

#[derive(Clone, Copy)]
struct SubtractTwice;

impl Finish for SubtractTwice {
    #[inline(always)]
    fn starts<const M: usize>(self, _first: usize) -> [f64; M] {
        [0.0; M]
    }

    #[inline(always)]
    fn value<S: Simd>(self, simd: S, _output: usize, sum: S::f64s, old: S::f64s) -> S::f64s {
        simd.mul_add_e_f64s(simd.splat_f64s(-2.0), sum, old)
    }
}

/// One correlation of all input channels with all output channels, on buffers of the same plane.
pub(super) struct Convolve<'a, F> {
    pub(super) taps: &'a Packed,
    pub(super) plane: Plane,
    pub(super) input: &'a [f64],
    pub(super) output: &'a mut [f64],
    pub(super) mask: &'a [u64],
    pub(super) finish: F,
}

impl<F: Finish> WithSimd for Convolve<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        if S::REGISTER_COUNT >= 32 {
            self.tiles::<S, 4>(simd);
        } else {
            self.tiles::<S, 2>(simd);
        }
    }
}

impl<F: Finish> Convolve<'_, F> {
    /// Walks through the positions of a plane, `V` vectors at a time and one at a time at the end.
    #[inline(always)]
    fn tiles<S: Simd, const V: usize>(&mut self, simd: S) {
        let size = self.taps.size;
        let positions = self.plane.positions();
        let mut from = 0;
        while from < positions {
            let wide = from + (V - 1) * S::F64_LANES < positions;
            let mut weights = 0;
            for (first, members) in groups(self.taps.outputs) {
                let place = Place { from, first, weights };
                match (members, wide) {
                    (1, true) => self.tile::<S, 1, V>(simd, place),
                    (2, true) => self.tile::<S, 2, V>(simd, place),
                    (3, true) => self.tile::<S, 3, V>(simd, place),
                    (4, true) => self.tile::<S, 4, V>(simd, place),
                    (5, true) => self.tile::<S, 5, V>(simd, place),
                    (_, true) => self.tile::<S, GROUP, V>(simd, place),
                    (1, false) => self.tile::<S, 1, 1>(simd, place),
                    (2, false) => self.tile::<S, 2, 1>(simd, place),
                    (3, false) => self.tile::<S, 3, 1>(simd, place),
                    (4, false) => self.tile::<S, 4, 1>(simd, place),
                    (5, false) => self.tile::<S, 5, 1>(simd, place),
                    (_, false) => self.tile::<S, GROUP, 1>(simd, place),
                }
                weights += members * self.taps.inputs * size * size;
            }
            from += if wide { V * S::F64_LANES } else { S::F64_LANES };
        }
    }

    /// The sums of `M` output channels at `V` vectors of positions.
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const V: usize>(&mut self, simd: S, place: Place) {
        let Place { from, first, weights } = place;
        let (plane, size, length) = (self.plane, self.taps.size, V * S::F64_LANES);
        let starts = self.finish.starts::<M>(first);
        // Plain loops with constant bounds and nothing else in them: what the compiler unrolls early and keeps in registers.
        let mut sums = [[simd.splat_f64s(0.0); V]; M];
        for (sums, start) in sums.iter_mut().zip(starts) {
            *sums = [simd.splat_f64s(start); V];
        }

        let taps = &self.taps.data[weights..weights + M * self.taps.inputs * size * size];
        // Upper left tap of the first position; a kernel may be smaller than the margins allow.
        let corner = from + plane.head - size / 2 * (plane.stride + 1);
        for (input, taps) in taps.chunks_exact(M * size * size).enumerate() {
            for (dy, taps) in taps.chunks_exact(M * size).enumerate() {
                let row = &self.input[corner + input * plane.step + dy * plane.stride..][..length + size - 1];
                for (dx, taps) in taps.as_chunks::<M>().0.iter().enumerate() {
                    let (pixels, _) = S::as_simd_f64s(&row[dx..dx + length]);
                    for m in 0..M {
                        let tap = simd.splat_f64s(taps[m]);
                        for v in 0..V {
                            sums[m][v] = simd.mul_add_e_f64s(tap, pixels[v], sums[m][v]);
                        }
                    }
                }
            }
        }

        let mut results = [[simd.splat_f64s(0.0); V]; M];
        for m in 0..M {
            for v in 0..V {
                results[m][v] = sums[m][v];
            }
        }
        let lanes = S::F64_LANES;
        let left = length.min(plane.positions() - from);
        for (m, results) in results.iter().enumerate() {
            let output = first + m;
            let values = &mut self.output[plane.head + output * plane.step + from..][..left];
            let mask = &self.mask[from..from + length];
            for (v, sum) in results.iter().enumerate() {
                let (mask, _) = S::as_simd_u64s(&mask[v * lanes..]);
                if (v + 1) * lanes <= left {
                    let (slots, _) = S::as_mut_simd_f64s(&mut values[v * lanes..]);
                    slots[0] = keep(simd, self.finish.value(simd, output, *sum, slots[0]), mask[0]);
                } else if v * lanes < left {
                    let slots = &mut values[v * lanes..];
                    let old = simd.partial_load_f64s(slots);
                    simd.partial_store_f64s(slots, keep(simd, self.finish.value(simd, output, *sum, old), mask[0]));
                }
            }
        }
    }
}

/// The value where the bits of the mask are set, and `+0` elsewhere, whatever the value.
#[inline(always)]
fn keep<S: Simd>(simd: S, value: S::f64s, mask: S::u64s) -> S::f64s {
    simd.transmute_f64s_u64s(simd.and_u64s(simd.transmute_u64s_f64s(value), mask))
}

/// Where a tile lies: first position, first output channel, first packed weight.
#[derive(Clone, Copy)]
struct Place {
    from: usize,
    first: usize,
    weights: usize,
}
