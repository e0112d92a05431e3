//! The numbers that training starts from.

use lipcert_models::architecture::{ChannelKind, FormulaPlan, KernelKind, Plan};
use lipcert_models::training::parameters::Parameter;
use tch::{Kind, Tensor};

use crate::parameters::sizes;

const OPTIONS: (Kind, tch::Device) = (Kind::Float, tch::Device::Cpu);

/// Fresh numbers for a parameter of a layer, on the CPU; they come from libtorch's generator.
///
/// Layers that can be isometries start as some: identities where the sizes allow it, else with orthonormal rows or columns.
pub fn draw(plan: Plan, parameter: &Parameter) -> Tensor {
    let shape = sizes(&parameter.shape);
    let fan_in: i64 = shape.iter().skip(1).product();
    match (plan, parameter.field) {
        // the authors' code of SLL
        (Plan::Conv { .. } | Plan::Dense { .. }, "kernel" | "weight") => {
            let fan_out = shape[0] * shape.iter().skip(2).product::<i64>();
            Tensor::randn(&shape, OPTIONS) * (2.0 / cast(fan_in + fan_out)).sqrt()
        }
        (Plan::Conv { .. } | Plan::Dense { .. }, "q") => Tensor::randn(&shape, OPTIONS),
        (
            Plan::Conv {
                inner, channels, size, ..
            },
            "bias",
        ) => uniform(inner, channels * size * size),
        (Plan::Dense { inner, features, .. }, "bias") => uniform(inner, features),
        (Plan::Head { classes, features }, "bias") => uniform(classes, features),
        (Plan::Affine { outputs, features, .. }, "bias") => uniform(outputs, features),
        (_, "bias" | "output_bias" | "psi") => Tensor::zeros(&shape, OPTIONS),
        (
            Plan::Formula {
                formula: FormulaPlan::Cayley { .. },
                outputs,
                features,
                ..
            },
            "alpha",
        ) => Tensor::full(&shape, root(outputs.min(features)), OPTIONS),
        (Plan::Sandwich { outputs, .. }, "alpha") => Tensor::full(&shape, root(outputs), OPTIONS),
        (_, "sigma" | "alpha") => Tensor::ones(&shape, OPTIONS),
        (_, "vectors") => Tensor::randn(&shape, OPTIONS),
        (
            Plan::Formula {
                formula: FormulaPlan::Aol { .. },
                ..
            },
            "weight",
        ) => almost_orthogonal(shape[0], shape[1]),
        (Plan::Formula { .. } | Plan::Sandwich { .. }, "weight") => orthogonal(shape[0], shape[1]),
        (Plan::Convolution { kernel, .. }, "weight") => convolution(kernel, &shape),
        (Plan::Paired { .. }, _) => Tensor::full(&shape, std::f64::consts::FRAC_PI_2, OPTIONS),
        (
            Plan::ChannelActivation {
                kind: ChannelKind::N,
                units,
            },
            _,
        ) => {
            // alternately the map that turns between −1 and 0, and the identity
            let rows = (0..units).flat_map(|unit| if unit % 2 == 0 { [-1f32, 0.0] } else { [0.0, 0.0] });
            Tensor::from_slice(&rows.collect::<Vec<_>>()).view(shape.as_slice())
        }
        (Plan::ChannelActivation { .. }, _) => Tensor::full(&shape, 0.25, OPTIONS),
        _ => {
            let bound = cast(fan_in.max(1)).sqrt().recip();
            Tensor::rand(&shape, OPTIONS) * (2.0 * bound) - bound
        }
    }
}

/// A kernel `(out, in, k, k)`.
fn convolution(kernel: KernelKind, shape: &[i64]) -> Tensor {
    let (outputs, channels, reach) = (shape[0], shape[1], shape[2] / 2);
    match kernel {
        // the authors' code; the divisor takes the size away
        KernelKind::Skew { .. } => Tensor::randn(shape, OPTIONS) / cast(channels).sqrt(),
        // near the identity, which is there already
        KernelKind::LinearResidual => Tensor::randn(shape, OPTIONS) * (0.1 / cast(channels * shape[2] * shape[3]).sqrt()),
        KernelKind::Aol { .. } => centered(&almost_orthogonal(outputs, channels), reach),
        KernelKind::Plain | KernelKind::Spectral if outputs == channels => centered(&Tensor::eye(channels, OPTIONS), reach),
        KernelKind::Plain | KernelKind::Spectral => centered(&orthogonal(outputs, channels), reach),
    }
}

/// A kernel that has a matrix in its centre and zeros around it.
fn centered(matrix: &Tensor, reach: i64) -> Tensor {
    matrix.unsqueeze(-1).unsqueeze(-1).constant_pad_nd([reach; 4].as_slice())
}

/// A weight whose columns almost-orthogonal scaling leaves as they are: any two are orthogonal or the same.
///
/// Where there are more columns than rows, they are those of an orthogonal matrix in turn, each divided by the root of how often it stands there.
///
/// # Source
///
/// Prach and Lampert, ECCV 2022, and the authors' code, which draws them.
fn almost_orthogonal(rows: i64, columns: i64) -> Tensor {
    if rows == columns {
        return Tensor::eye(rows, OPTIONS);
    }
    if rows > columns {
        return orthogonal(rows, columns);
    }
    let places = Tensor::arange(columns, (Kind::Int64, tch::Device::Cpu)).remainder(rows);
    let counts = places.bincount(None::<Tensor>, rows).to_kind(Kind::Float);
    (orthogonal(rows, rows) / counts.sqrt()).index_select(1, &places)
}

/// Orthonormal rows, or columns where there are more rows, uniformly drawn.
fn orthogonal(rows: i64, columns: i64) -> Tensor {
    let tall = Tensor::randn([rows.max(columns), rows.min(columns)], OPTIONS);
    let (q, r) = Tensor::linalg_qr(&tall, "reduced");
    let basis = q * r.diagonal(0, 0, 1).sign();
    if rows < columns { basis.tr().contiguous() } else { basis }
}

fn root(count: usize) -> f64 {
    cast(sizes(&[count])[0]).sqrt()
}

/// Uniform in `±1/√n`.
fn uniform(count: usize, fan_in: usize) -> Tensor {
    let bound = root(fan_in.max(1)).recip();
    Tensor::rand(sizes(&[count]), OPTIONS) * (2.0 * bound) - bound
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
const fn cast(size: i64) -> f64 {
    size as f64
}
