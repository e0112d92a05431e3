//! Activations with parameters for each unit, on groups of units, and on pairs. Units are channels of an image or entries of a vector: dimension 1.

use lipcert_models::architecture::ChannelKind;
use lipcert_proofs::statement::{Groupwise, PairMap, Pairing};
use tch::Tensor;

use super::Layer;
use super::sums::root;
use crate::parameters::{Parameters, sizes};

/// A vector of one number a unit, or of one for all, in the shape that multiplies a batch.
fn beside(numbers: &Tensor, batch: &Tensor) -> Tensor {
    let mut shape = vec![1; batch.dim()];
    shape[1] = -1;
    numbers.view(shape.as_slice())
}

/// An activation with parameters.
#[derive(Debug)]
pub(crate) struct Channelwise {
    kind: ChannelKind,
    parameter: Tensor,
}

impl Channelwise {
    pub(crate) fn new(parameters: &Parameters, name: &str, kind: ChannelKind) -> Self {
        let field = if kind == ChannelKind::N { "theta" } else { "weight" };
        Self {
            kind,
            parameter: parameters.get(name, field),
        }
    }
}

impl Layer for Channelwise {
    fn forward(&self, input: &Tensor) -> Tensor {
        let leaky = |slope: &Tensor| (input * beside(slope, input)).where_self(&input.lt(0.0), input);
        match self.kind {
            ChannelKind::Prelu => leaky(&self.parameter),
            ChannelKind::LipschitzPrelu => leaky(&self.parameter.clamp(-1.0, 1.0)),
            ChannelKind::N => {
                let (first, second) = (self.parameter.select(1, 0), self.parameter.select(1, 1));
                let lower = beside(&first.minimum(&second), input);
                let upper = beside(&first.maximum(&second), input);
                let right = (-input).where_self(&input.lt_tensor(&upper), &(input - &upper * 2.0));
                (input - &lower * 2.0).where_self(&input.lt_tensor(&lower), &right)
            }
        }
    }
}

/// Two halves of the units.
fn halves(input: &Tensor) -> [Tensor; 2] {
    let half = input.size()[1] / 2;
    [input.narrow(1, 0, half), input.narrow(1, half, half)]
}

/// The larger of each unit of the first half and its partner in the second.
pub(super) fn larger_half(input: &Tensor) -> Tensor {
    let [first, second] = halves(input);
    first.maximum(&second)
}

/// Dimension 1 as groups, `(N, groups, size, …)`.
fn grouped(input: &Tensor, size: i64) -> Tensor {
    let mut shape = input.size();
    shape[1] /= size;
    shape.insert(2, size);
    input.view(shape.as_slice())
}

/// An activation on groups.
#[derive(Debug)]
pub(crate) struct Groups(pub(crate) Groupwise);

impl Layer for Groups {
    fn forward(&self, input: &Tensor) -> Tensor {
        match self.0 {
            Groupwise::MaxMin(Pairing::Split) => {
                let [first, second] = halves(input);
                Tensor::cat(&[first.maximum(&second), first.minimum(&second)], 1)
            }
            Groupwise::MaxMin(Pairing::Adjacent) => {
                let pairs = grouped(&input.contiguous(), 2);
                let (first, second) = (pairs.select(2, 0), pairs.select(2, 1));
                let sorted = Tensor::stack(&[first.maximum(&second), first.minimum(&second)], 2);
                sorted.view(input.size().as_slice())
            }
            Groupwise::GroupSort { size } => {
                let (sorted, _) = grouped(&input.contiguous(), sizes(&[size])[0]).sort(2, false);
                sorted.view(input.size().as_slice())
            }
            Groupwise::FullSort => input.sort(1, false).0,
            Groupwise::Crelu => Tensor::cat(&[input.relu(), (-input).relu()], 1),
        }
    }
}

/// A map of pairs given by angles.
#[derive(Debug)]
pub(crate) struct Pairs {
    map: PairMap,
    angles: Vec<Tensor>,
}

impl Pairs {
    pub(crate) fn new(parameters: &Parameters, name: &str, map: PairMap) -> Self {
        let fields: &[&str] = match map {
            PairMap::Householder | PairMap::Projection => &["theta"],
            PairMap::Householder2 => &["theta0", "theta1", "theta2"],
        };
        Self {
            map,
            angles: fields.iter().map(|field| parameters.get(name, field)).collect(),
        }
    }
}

impl Layer for Pairs {
    fn forward(&self, input: &Tensor) -> Tensor {
        let (limit, signed) = self.map.range();
        let least = if signed { -limit } else { 0.0 };
        let angle = |which: usize| beside(&self.angles[which].clamp(least, limit), input);
        let [x, y] = halves(input);
        match self.map {
            PairMap::Householder => {
                let theta = angle(0);
                let behind = (&x * (&theta * 0.5).sin() - &y * (&theta * 0.5).cos()).gt(0.0);
                let [first, second] = mirrored(&x, &y, &theta);
                Tensor::cat(&[first.where_self(&behind, &x), second.where_self(&behind, &y)], 1)
            }
            PairMap::Householder2 => order_2([angle(0), angle(1), angle(2)], &x, &y),
            PairMap::Projection => {
                let theta = angle(0);
                let (sin, cos) = ((&theta * 0.5).sin(), (&theta * 0.5).cos());
                let direction = y.atan2(&x).remainder(std::f64::consts::TAU);
                let above = direction.lt_tensor(&((&theta + std::f64::consts::PI) * 0.5));
                let apex = direction.lt_tensor(&((-&theta + 3.0 * std::f64::consts::PI) * 0.5));
                let far = root(&(&x * &x + &y * &y)).where_self(&apex, &(-(&x * &sin) - &y * &cos));
                (&y * &cos - &x * &sin).where_self(&above, &far)
            }
        }
    }
}

/// The mirror image of pairs at the line of the angle `theta / 2`.
fn mirrored(x: &Tensor, y: &Tensor, theta: &Tensor) -> [Tensor; 2] {
    let (sin, cos) = (theta.sin(), theta.cos());
    [x * &cos + y * &sin, x * &sin - y * &cos]
}

/// The Householder activation of order 2: identity, mirror image, rotation, mirror image by sector.
fn order_2([theta0, theta1, theta2]: [Tensor; 3], x: &Tensor, y: &Tensor) -> Tensor {
    let direction = (y.atan2(x) - &theta0 * 0.5).remainder(std::f64::consts::TAU);
    let first = direction.lt_tensor(&(&theta1 * 0.5));
    let second = direction.lt_tensor(&((&theta1 + &theta2) * 0.5));
    let third = direction.lt_tensor(&(&theta2 * 0.5 + std::f64::consts::PI));
    let (sin, cos) = (theta2.sin(), theta2.cos());
    let turned = [x * &cos + y * &sin, y * &cos - x * &sin];
    let early = mirrored(x, y, &(&theta0 + &theta1));
    let late = mirrored(x, y, &theta0);
    let choose = |which: usize, same: &Tensor| {
        let behind = turned[which].where_self(&third, &late[which]);
        same.where_self(&first, &early[which].where_self(&second, &behind))
    };
    Tensor::cat(&[choose(0, x), choose(1, y)], 1)
}
