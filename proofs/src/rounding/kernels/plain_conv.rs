//! Plain convolutions and exponentials of them, on one image.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use pulp::{Arch, Simd};

use super::conv::{Convolve, Finish, Packed};
use super::image::Image;
use crate::statement::{Kernel, Padding};

/// The layer `x ↦ K ∗ x + b`, its weights packed for tiles.
#[derive(Clone, Debug)]
pub struct PlainConv {
    taps: Packed,
    bias: Vec<f64>,
    padding: Padding,
}

/// Buffers of a convolution, kept from call to call.
#[derive(Clone, Debug, Default)]
pub struct ConvScratch {
    images: Option<(Image, Image)>,
    wrapped: Vec<f64>,
    product: Vec<f64>,
}

impl PlainConv {
    /// Packs the weights of a kernel `(out, in, k, k)`.
    ///
    /// # Panics
    ///
    /// If `bias` does not have one entry an output channel.
    #[must_use]
    pub fn new(kernel: &Kernel, bias: &[f64], padding: Padding) -> Self {
        let (outputs, channels, size) = (kernel.inner(), kernel.channels(), kernel.size());
        assert_eq!(bias.len(), outputs, "one bias an output channel");
        Self {
            taps: Packed::new(outputs, channels, size, |i, c, dy, dx| {
                kernel.data()[((i * channels + c) * size + dy) * size + dx]
            }),
            bias: bias.to_vec(),
            padding,
        }
    }

    /// Writes `K ∗ x + b` for one sample `(in, height, width)` to `output`, `(out, height, width)`.
    ///
    /// Each output is `b_i + Σ` of `in · k²` products, one sum that starts from `b_i`; each step is `fl(sum + a·x)` with one rounding (fused) or with two.
    ///
    /// # Panics
    ///
    /// If the sample is not of that shape.
    pub fn apply(&self, sample: &[f64], (height, width): (usize, usize), scratch: &mut ConvScratch, output: &mut Vec<f64>) {
        let (channels, outputs, radius) = (self.taps.inputs, self.taps.outputs, self.taps.size / 2);
        assert_eq!(sample.len(), channels * height * width, "length of the sample");
        // On a torus the image is continued by its own pixels, and the frame is cut off afterwards.
        let frame = if self.padding == Padding::Circular { radius } else { 0 };
        let (tall, wide) = (height + 2 * frame, width + 2 * frame);
        let fits = |image: &Image, channels| {
            (image.channels(), image.height(), image.width(), image.radius()) == (channels, tall, wide, radius)
        };
        if !scratch
            .images
            .as_ref()
            .is_some_and(|(from, to)| fits(from, channels) && fits(to, outputs))
        {
            scratch.images = None;
        }
        let (from, to) = scratch.images.get_or_insert_with(|| {
            (
                Image::new(channels, tall, wide, radius),
                Image::new(outputs, tall, wide, radius),
            )
        });
        if frame == 0 {
            from.load(sample);
        } else {
            scratch.wrapped.clear();
            for row in 0..channels * tall {
                let (channel, y) = (row / tall, (row % tall + frame * height - frame) % height);
                let pixels = &sample[(channel * height + y) * width..][..width];
                scratch
                    .wrapped
                    .extend((0..wide).map(|x| pixels[(x + frame * width - frame) % width]));
            }
            from.load(&scratch.wrapped);
        }
        let plane = from.plane();
        let (target, mask) = to.parts_mut();
        Arch::new().dispatch(Convolve {
            taps: &self.taps,
            plane,
            input: from.padded(),
            output: target,
            mask,
            finish: Affine { bias: &self.bias },
        });
        output.resize(outputs * height * width, 0.0);
        for (row, values) in output.chunks_exact_mut(width).enumerate() {
            let pixels = to.row(row / height, row % height + frame);
            values.copy_from_slice(&pixels[frame..frame + width]);
        }
    }
}

/// The layer `x ↦ Σ_{i < terms} Kⁱ x / i! + b`.
#[derive(Clone, Debug)]
pub struct Exponential {
    convolution: PlainConv,
    terms: usize,
    bias: Vec<f64>,
}

impl Exponential {
    /// Packs the weights of a kernel `(c, c, k, k)`.
    ///
    /// # Panics
    ///
    /// If `bias` does not have one entry a channel.
    #[must_use]
    pub fn new(kernel: &Kernel, bias: &[f64], padding: Padding, terms: usize) -> Self {
        assert_eq!(bias.len(), kernel.inner(), "one bias a channel");
        Self {
            convolution: PlainConv::new(kernel, &vec![0.0; bias.len()], padding),
            terms,
            bias: bias.to_vec(),
        }
    }

    /// Writes the result for one sample `(c, height, width)` to `output`.
    ///
    /// By Horner: `z ← fl(x + fl(fl(K z) / i))` for `i = terms − 1, …, 1`, then `fl(z + b)`.
    ///
    /// # Panics
    ///
    /// If the sample is not of that shape.
    pub fn apply(&self, sample: &[f64], size: (usize, usize), scratch: &mut ConvScratch, output: &mut Vec<f64>) {
        output.clear();
        output.extend_from_slice(sample);
        let mut product = std::mem::take(&mut scratch.product);
        for i in (1..self.terms).rev() {
            self.convolution.apply(output, size, scratch, &mut product);
            let divisor = i as f64;
            for ((value, x), term) in output.iter_mut().zip(sample).zip(&product) {
                *value = x + term / divisor;
            }
        }
        scratch.product = product;
        for (values, bias) in output.chunks_exact_mut(size.0 * size.1).zip(&self.bias) {
            values.iter_mut().for_each(|value| *value += bias);
        }
    }
}

#[derive(Clone, Copy)]
struct Affine<'a> {
    bias: &'a [f64],
}

impl Finish for Affine<'_> {
    #[inline(always)]
    fn starts<const M: usize>(self, first: usize) -> [f64; M] {
        let mut starts = [0.0; M];
        starts.copy_from_slice(&self.bias[first..first + M]);
        starts
    }

    #[inline(always)]
    fn value<S: Simd>(self, _simd: S, _output: usize, sum: S::f64s, _old: S::f64s) -> S::f64s {
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sum of the definition, index by index.
    fn plain(kernel: &Kernel, bias: &[f64], padding: Padding, sample: &[f64], height: usize, width: usize) -> Vec<f64> {
        let (size, channels) = (kernel.size() as i64, kernel.channels());
        let mut output = Vec::new();
        for (i, bias) in bias.iter().enumerate() {
            for y in 0..height as i64 {
                for x in 0..width as i64 {
                    let mut sum = *bias;
                    for (flat, weight) in kernel.filter(i).iter().enumerate() {
                        let flat = flat as i64;
                        let (c, dy, dx) = (flat / (size * size), flat / size % size - size / 2, flat % size - size / 2);
                        let (v, w) = (y + dy, x + dx);
                        let inside = (0..height as i64).contains(&v) && (0..width as i64).contains(&w);
                        if inside || padding == Padding::Circular {
                            let (v, w) = (v.rem_euclid(height as i64) as usize, w.rem_euclid(width as i64) as usize);
                            sum += weight * sample[(c as usize * height + v) * width + w];
                        }
                    }
                    output.push(sum);
                }
            }
        }
        assert_eq!(channels * height * width, sample.len());
        output
    }

    proptest! {
        /// 1e-12 is far above the rounding of sums of at most 75 numbers below 4.
        #[test]
        fn agrees_with_the_definition(
            (inner, channels, half, height, width) in (1usize..8, 1usize..4, 0usize..3, 1usize..6, 1usize..9),
            circular in any::<bool>(),
            seed in prop::collection::vec(-2.0..2.0f64, 800),
        ) {
            let size = 2 * half + 1;
            let padding = if circular { Padding::Circular } else { Padding::Zero };
            let entries = seed.iter().cycle().take(inner * channels * size * size).copied().collect();
            let kernel = Kernel::new("kernel", inner, channels, size, entries).unwrap();
            let bias = &seed[..inner];
            let sample: Vec<f64> = seed.iter().rev().take(channels * height * width).copied().collect();
            let (mut scratch, mut output) = (ConvScratch::default(), Vec::new());
            let layer = PlainConv::new(&kernel, bias, padding);
            for _ in 0..2 {
                layer.apply(&sample, (height, width), &mut scratch, &mut output);
                let expected = plain(&kernel, bias, padding, &sample, height, width);
                prop_assert_eq!(output.len(), expected.len());
                for (a, b) in output.iter().zip(&expected) {
                    prop_assert!((a - b).abs() <= 1e-12);
                }
            }
        }
    }
}
