//! Entries moved, dropped, added or pooled.
#![expect(clippy::float_arithmetic, clippy::disallowed_methods, reason = "the room that may round")]

use crate::rounding::directed::max;
use crate::statement::{BlockOrder, Over, Resample, Shape};

/// Writes the image of one sample of shape `input`. Means are sums divided by their number, norms roots of sums of squares; nothing else rounds.
///
/// # Panics
///
/// If `sample` or `output` do not have the lengths that the map gives.
pub fn apply(map: Resample, input: Shape, sample: &[f64], output: &mut [f64]) {
    let (channels, height, width) = match input {
        Shape::Image { channels, height, width } => (channels, height, width),
        Shape::Flat(n) => (n, 1, 1),
    };
    match map {
        Resample::PixelUnshuffle { factor, order } => {
            for at in blocks(channels, height / factor, width / factor, factor, order) {
                output[at.unshuffled] = sample[at.shuffled];
            }
        }
        Resample::PixelShuffle { factor, order } => {
            for at in blocks(channels / factor / factor, height, width, factor, order) {
                output[at.shuffled] = sample[at.unshuffled];
            }
        }
        Resample::First { .. } => output.copy_from_slice(&sample[..output.len()]),
        Resample::PadFeatures { .. } => {
            output[..sample.len()].copy_from_slice(sample);
            output[sample.len()..].fill(0.0);
        }
        Resample::Center(over) => {
            let length = match over {
                Over::All => sample.len(),
                Over::Channel => height * width,
            };
            for (sample, output) in sample.chunks_exact(length).zip(output.chunks_exact_mut(length)) {
                let mean = sample.iter().sum::<f64>() / length as f64;
                for (output, value) in output.iter_mut().zip(sample) {
                    *output = value - mean;
                }
            }
        }
        Resample::MaxPool { size, stride } => {
            windows((channels, height, width), size, stride, sample, output, |window| {
                window.fold(f64::NEG_INFINITY, max)
            });
        }
        Resample::NormPool { size } => windows((channels, height, width), size, size, sample, output, |window| {
            window.fold(0.0, |sum, value| sum + value * value).sqrt()
        }),
        Resample::PairMax => {
            let (first, second) = sample.split_at(output.len());
            for ((output, a), b) in output.iter_mut().zip(first).zip(second) {
                *output = max(*a, *b);
            }
        }
    }
}

/// The positions of one entry in the image with large blocks and in that with many channels.
struct Place {
    shuffled: usize,
    unshuffled: usize,
}

/// All entries; `channels`, `rows` and `cols` are the fewer channels and the fewer pixels.
fn blocks(channels: usize, rows: usize, cols: usize, factor: usize, order: BlockOrder) -> impl Iterator<Item = Place> {
    let (height, width) = (rows * factor, cols * factor);
    (0..channels * height * width).map(move |shuffled| {
        let (channel, row, col) = (shuffled / width / height, shuffled / width % height, shuffled % width);
        let inside = row % factor * factor + col % factor;
        let target = match order {
            BlockOrder::ChannelFirst => channel * factor * factor + inside,
            BlockOrder::BlockFirst => inside * channels + channel,
        };
        Place {
            shuffled,
            unshuffled: (target * rows + row / factor) * cols + col / factor,
        }
    })
}

/// One number a window.
fn windows(
    (channels, height, width): (usize, usize, usize),
    size: usize,
    stride: usize,
    sample: &[f64],
    output: &mut [f64],
    pool: impl Fn(&mut dyn Iterator<Item = f64>) -> f64,
) {
    let (rows, cols) = ((height - size) / stride + 1, (width - size) / stride + 1);
    for (index, output) in output[..channels * rows * cols].iter_mut().enumerate() {
        let (channel, row, col) = (index / cols / rows, index / cols % rows * stride, index % cols * stride);
        let mut window = (0..size * size).map(|k| sample[(channel * height + row + k / size) * width + col + k % size]);
        *output = pool(&mut window);
    }
}
