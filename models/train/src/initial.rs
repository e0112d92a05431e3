//! The numbers that training starts from.

use lipcert_models::architecture::{ChannelKind, Plan};
use lipcert_models::training::parameters::Parameter;
use tch::{Kind, Tensor};

use crate::parameters::sizes;

/// Fresh numbers for a parameter of a layer, on the CPU; they come from libtorch's generator.
#[must_use]
pub fn draw(plan: Plan, parameter: &Parameter) -> Tensor {
    let shape = sizes(&parameter.shape);
    let options = (Kind::Float, tch::Device::Cpu);
    let fan_in: i64 = shape.iter().skip(1).product();
    match (plan, parameter.field) {
        // the authors' code of SLL
        (Plan::Conv { .. } | Plan::Dense { .. }, "kernel" | "weight") => {
            let fan_out = shape[0] * shape.iter().skip(2).product::<i64>();
            Tensor::randn(&shape, options) * (2.0 / cast(fan_in + fan_out)).sqrt()
        }
        (Plan::Conv { .. } | Plan::Dense { .. }, "q") => Tensor::randn(&shape, options),
        (
            Plan::Conv {
                inner, channels, size, ..
            },
            "bias",
        ) => uniform(inner, channels * size * size),
        (Plan::Dense { inner, features, .. }, "bias") => uniform(inner, features),
        (Plan::Head { classes, features }, "bias") => uniform(classes, features),
        (Plan::Affine { outputs, features, .. }, "bias") => uniform(outputs, features),
        (_, "bias" | "output_bias" | "psi") => Tensor::zeros(&shape, options),
        (_, "sigma" | "alpha") => Tensor::ones(&shape, options),
        (Plan::Paired { .. }, _) => Tensor::full(&shape, std::f64::consts::FRAC_PI_2, options),
        (
            Plan::ChannelActivation {
                kind: ChannelKind::N,
                units,
            },
            _,
        ) => {
            // alternately the map that turns between −1 and 0, and the absolute value
            let rows = (0..units).flat_map(|unit| if unit % 2 == 0 { [-1f32, 0.0] } else { [0.0, 0.0] });
            Tensor::from_slice(&rows.collect::<Vec<_>>()).view(shape.as_slice())
        }
        (Plan::ChannelActivation { .. }, _) => Tensor::full(&shape, 0.25, options),
        _ => {
            let bound = cast(fan_in.max(1)).sqrt().recip();
            Tensor::rand(&shape, options) * (2.0 * bound) - bound
        }
    }
}

/// Uniform in `±1/√n`.
fn uniform(count: usize, fan_in: usize) -> Tensor {
    let bound = cast(sizes(&[fan_in.max(1)])[0]).sqrt().recip();
    Tensor::rand(sizes(&[count]), (Kind::Float, tch::Device::Cpu)) * (2.0 * bound) - bound
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
const fn cast(size: i64) -> f64 {
    size as f64
}
