//! Activations with parameters or groups, and maps without weights, by the formulas of the published code.

use lipcert_proofs::statement::{BlockOrder, ChannelActivation, Groupwise, Layer, Over, PairMap, Pairing, Resample, Shape};
use ndarray::{Array1, Array2, Array3, ArrayView3, Axis, concatenate, s};

use super::Float;

/// One such layer on a fixed shape of input.
#[derive(Clone, Debug)]
pub(super) struct Weightless<T> {
    map: Map<T>,
    /// Channels, rows and columns; entries, 1 and 1 for a vector.
    sizes: (usize, usize, usize),
}

#[derive(Clone, Debug)]
enum Map<T> {
    Prelu(Array1<T>),
    N(Array1<T>, Array1<T>),
    Groupwise(Groupwise),
    Paired(PairMap, Array1<T>),
    Resample(Resample),
}

impl<T: Float> Weightless<T> {
    /// Converts the layer.
    ///
    /// # Panics
    ///
    /// If the layer is of another kind.
    pub(super) fn new(layer: &Layer, shape: Shape) -> Self {
        let vector = |values: &[f64]| values.iter().map(|value| T::of(*value)).collect();
        let map = match layer {
            Layer::ChannelActivation(ChannelActivation::Prelu { slope }) => Map::Prelu(vector(slope)),
            Layer::ChannelActivation(ChannelActivation::N { lower, upper }) => Map::N(vector(lower), vector(upper)),
            Layer::Groupwise(map) => Map::Groupwise(*map),
            Layer::Paired(paired) => Map::Paired(paired.map, vector(&paired.angles)),
            Layer::Resample(map) => Map::Resample(*map),
            other => unreachable!("a layer of kind `{}`", other.kind()),
        };
        let sizes = match shape {
            Shape::Image { channels, height, width } => (channels, height, width),
            Shape::Flat(length) => (length, 1, 1),
        };
        Self { map, sizes }
    }

    /// Takes samples `(N, input)` to `(N, output)`.
    pub(super) fn apply(&self, x: &Array2<T>, output: usize) -> Array2<T> {
        let mut result = Array2::zeros((x.nrows(), output));
        for (sample, mut target) in x.outer_iter().zip(result.outer_iter_mut()) {
            let image = sample.into_shape_with_order(self.sizes).expect("a row in standard layout");
            let image = match &self.map {
                Map::Prelu(slope) => by_channel(image, |c, v| if v < T::zero() { slope[c] * v } else { v }),
                Map::N(lower, upper) => by_channel(image, |c, v| n_activation(v, lower[c], upper[c])),
                Map::Groupwise(map) => groupwise(*map, image),
                Map::Paired(map, angles) => paired(*map, angles, image),
                Map::Resample(map) => resample(*map, image, output),
            };
            target.assign(&image.flatten());
        }
        result
    }
}

/// The larger number; NaN if there is one, as in PyTorch.
fn larger<T: Float>(a: T, b: T) -> T {
    if a.is_nan() || a > b { a } else { b }
}

fn smaller<T: Float>(a: T, b: T) -> T {
    if a.is_nan() || a < b { a } else { b }
}

fn by_channel<T: Float>(image: ArrayView3<'_, T>, f: impl Fn(usize, T) -> T) -> Array3<T> {
    Array3::from_shape_fn(image.dim(), |(c, row, col)| f(c, image[(c, row, col)]))
}

fn n_activation<T: Float>(v: T, lower: T, upper: T) -> T {
    let two = T::of(2.0);
    if v < lower {
        v - two * lower
    } else if v < upper {
        -v
    } else {
        v - two * upper
    }
}

/// The pixels of two halves of the channels, combined.
fn halves<T: Float>(image: ArrayView3<'_, T>, f: impl Fn(usize, T, T) -> T) -> Array3<T> {
    let (channels, height, width) = image.dim();
    let half = channels / 2;
    Array3::from_shape_fn((half, height, width), |(c, row, col)| {
        f(c, image[(c, row, col)], image[(half + c, row, col)])
    })
}

fn stack<T: Float>(first: &Array3<T>, second: &Array3<T>) -> Array3<T> {
    concatenate(Axis(0), &[first.view(), second.view()]).expect("halves of the same size")
}

fn groupwise<T: Float>(map: Groupwise, image: ArrayView3<'_, T>) -> Array3<T> {
    match map {
        Groupwise::MaxMin(Pairing::Split) => {
            let (max, min) = (halves(image, |_, a, b| larger(a, b)), halves(image, |_, a, b| smaller(a, b)));
            stack(&max, &min)
        }
        Groupwise::MaxMin(Pairing::Adjacent) => Array3::from_shape_fn(image.dim(), |(c, row, col)| {
            let (a, b) = (image[(c - c % 2, row, col)], image[(c - c % 2 + 1, row, col)]);
            if c % 2 == 0 { larger(a, b) } else { smaller(a, b) }
        }),
        Groupwise::GroupSort { size } => sorted(size, image),
        Groupwise::FullSort => sorted(image.dim().0, image),
        Groupwise::Crelu => {
            let positive = image.mapv(|v| larger(v, T::zero()));
            let negative = image.mapv(|v| larger(-v, T::zero()));
            stack(&positive, &negative)
        }
    }
}

fn sorted<T: Float>(size: usize, image: ArrayView3<'_, T>) -> Array3<T> {
    let mut result = image.to_owned();
    for mut pixel in result.lanes_mut(Axis(0)) {
        let mut values = pixel.to_vec();
        for group in values.chunks_mut(size) {
            // NaN behind everything, as torch.sort has it
            group.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())));
        }
        pixel.assign(&Array1::from(values));
    }
    result
}

fn paired<T: Float>(map: PairMap, angles: &Array1<T>, image: ArrayView3<'_, T>) -> Array3<T> {
    let pairs = image.dim().0 / 2;
    let half = T::of(0.5);
    let at = |which: usize, pair: usize| angles[which * pairs + pair];
    match map {
        PairMap::Householder => {
            let behind = |theta: T, x: T, y: T| x * (half * theta).sin() - y * (half * theta).cos() > T::zero();
            let first = halves(image, |pair, x, y| {
                let theta = at(0, pair);
                if behind(theta, x, y) {
                    x * theta.cos() + y * theta.sin()
                } else {
                    x
                }
            });
            let second = halves(image, |pair, x, y| {
                let theta = at(0, pair);
                if behind(theta, x, y) {
                    x * theta.sin() - y * theta.cos()
                } else {
                    y
                }
            });
            stack(&first, &second)
        }
        PairMap::Householder2 => {
            let image_of = |pair: usize, x: T, y: T| order_2([at(0, pair), at(1, pair), at(2, pair)], x, y);
            let first = halves(image, |pair, x, y| image_of(pair, x, y).0);
            let second = halves(image, |pair, x, y| image_of(pair, x, y).1);
            stack(&first, &second)
        }
        PairMap::Projection => halves(image, |pair, x, y| {
            let (theta, pi) = (at(0, pair), T::of(std::f64::consts::PI));
            let (sin, cos) = ((half * theta).sin(), (half * theta).cos());
            let angle = turn(y.atan2(x));
            if angle < half * (theta + pi) {
                y * cos - x * sin
            } else if angle < half * (T::of(3.0) * pi - theta) {
                (x * x + y * y).sqrt()
            } else {
                -x * sin - y * cos
            }
        }),
    }
}

/// An angle modulo 2π, not negative.
fn turn<T: Float>(angle: T) -> T {
    let full = T::of(std::f64::consts::TAU);
    let rest = angle % full;
    if rest < T::zero() { rest + full } else { rest }
}

/// The Householder activation of order 2 of one pair.
fn order_2<T: Float>([theta0, theta1, theta2]: [T; 3], x: T, y: T) -> (T, T) {
    let (half, pi) = (T::of(0.5), T::of(std::f64::consts::PI));
    let angle = turn(y.atan2(x) - half * theta0);
    let mirrored = |theta: T| (x * theta.cos() + y * theta.sin(), x * theta.sin() - y * theta.cos());
    if angle < half * theta1 {
        (x, y)
    } else if angle < half * (theta1 + theta2) {
        mirrored(theta0 + theta1)
    } else if angle < half * theta2 + pi {
        (x * theta2.cos() + y * theta2.sin(), y * theta2.cos() - x * theta2.sin())
    } else {
        mirrored(theta0)
    }
}

fn resample<T: Float>(map: Resample, image: ArrayView3<'_, T>, output: usize) -> Array3<T> {
    let (channels, height, width) = image.dim();
    match map {
        Resample::PixelUnshuffle { factor, order } => {
            let (rows, cols) = (height / factor, width / factor);
            let blocks = image
                .into_shape_with_order((channels, rows, factor, cols, factor))
                .expect("whole blocks");
            let axes = match order {
                BlockOrder::ChannelFirst => [0, 2, 4, 1, 3],
                BlockOrder::BlockFirst => [2, 4, 0, 1, 3],
            };
            let moved = blocks.permuted_axes(axes).as_standard_layout().into_owned();
            let shape = (channels * factor * factor, rows, cols);
            moved.into_shape_with_order(shape).expect("as many entries")
        }
        Resample::PixelShuffle { factor, order } => {
            let few = channels / factor / factor;
            let (shape, axes) = match order {
                BlockOrder::ChannelFirst => ((few, factor, factor, height, width), [0, 3, 1, 4, 2]),
                BlockOrder::BlockFirst => ((factor, factor, few, height, width), [2, 3, 0, 4, 1]),
            };
            let blocks = image.into_shape_with_order(shape).expect("whole blocks");
            let moved = blocks.permuted_axes(axes).as_standard_layout().into_owned();
            let shape = (few, height * factor, width * factor);
            moved.into_shape_with_order(shape).expect("as many entries")
        }
        Resample::First { units } => image.slice(s![..units, .., ..]).to_owned(),
        Resample::PadFeatures { .. } => {
            let mut padded = Array3::zeros((output, 1, 1));
            padded.slice_mut(s![..channels, .., ..]).assign(&image);
            padded
        }
        Resample::Center(Over::All) => {
            let mean = image.sum() / count(image.len());
            image.mapv(|v| v - mean)
        }
        Resample::Center(Over::Channel) => {
            let mut result = image.to_owned();
            for mut channel in result.outer_iter_mut() {
                let mean = channel.sum() / count(height * width);
                channel.mapv_inplace(|v| v - mean);
            }
            result
        }
        Resample::MaxPool { size, stride } => pooled(image, size, stride, |window| {
            window.fold(T::neg_infinity(), |most, v| larger(v, most))
        }),
        Resample::NormPool { size } => pooled(image, size, size, |window| {
            window.fold(T::zero(), |sum, v| sum + v * v).sqrt()
        }),
        Resample::PairMax => halves(image, |_, a, b| larger(a, b)),
    }
}

/// A number of entries, at most 2²⁴.
fn count<T: Float>(entries: usize) -> T {
    T::of(f64::from(u32::try_from(entries).expect("a sample has at most 2^24 entries")))
}

/// One number a window.
fn pooled<T: Float>(
    image: ArrayView3<'_, T>,
    size: usize,
    stride: usize,
    pool: impl Fn(&mut dyn Iterator<Item = T>) -> T,
) -> Array3<T> {
    let (channels, height, width) = image.dim();
    let shape = (channels, (height - size) / stride + 1, (width - size) / stride + 1);
    Array3::from_shape_fn(shape, |(c, row, col)| {
        let (top, left) = (row * stride, col * stride);
        let window = image.slice(s![c, top..top + size, left..left + size]);
        pool(&mut window.iter().copied())
    })
}
