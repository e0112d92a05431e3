//! A slope that a dense network really has somewhere.

use lipcert_proofs::statement::{Activation, Chain, Layer, NetworkMap, Output};
use lipcert_solver::{convert, lower};

/// Multiply-adds of the search: a fraction of a second.
const WORK: u64 = 400_000_000;

/// About the largest norm of a Jacobian that a bounded search finds; empirical. Nothing for other networks, or where the run of dense layers does not
/// see the raw input as it is. Nothing either for a leaky relu that is steeper below zero than above, as the search takes the larger slope above, and for
/// smooth activations.
pub(crate) fn approx(map: &NetworkMap, output: Output) -> Option<f64> {
    let chain = Chain::of(map, output).ok()?;
    let untouched = map.layers()[..chain.first()]
        .iter()
        .all(|layer| matches!(layer, Layer::Flatten | Layer::PadChannels { .. }));
    let unknown = |layer: &Layer| match layer {
        Layer::Activation(Activation::LeakyRelu { slope }) => *slope > 1.0,
        Layer::Activation(activation) => !matches!(activation, Activation::Relu | Activation::Abs),
        _ => false,
    };
    if !untouched || map.layers().iter().any(unknown) {
        return None;
    }
    let biases: Vec<Vec<f64>> = map.layers()[chain.first()..]
        .iter()
        .filter_map(|layer| match layer {
            Layer::Dense { bias, .. } => Some(bias.clone()),
            _ => None,
        })
        .take(chain.weights().len())
        .collect();
    let options = lower::Options {
        work: WORK,
        ..lower::Options::default()
    };
    let found = lower::approx_lower_bound(&convert::chain(&chain).ok()?, &biases, &options);
    found.ok().map(|found| found.approx_lipschitz)
}

#[cfg(test)]
mod tests {
    use lipcert_proofs::statement::{Matrix, Shape};

    use super::*;

    /// `x ↦ σ(σ(x) − 1)`, slopes `s` below zero and 1 above: the largest slope is `max(s, s², 1)`.
    fn network(slope: f64) -> NetworkMap {
        let dense = |bias: f64| Layer::Dense {
            weight: Matrix::new("weight", 1, 1, vec![1.0]).expect("a matrix"),
            bias: vec![bias],
        };
        let leaky = || Layer::Activation(Activation::LeakyRelu { slope });
        let layers = vec![dense(0.0), leaky(), dense(-1.0), leaky(), dense(0.0)];
        NetworkMap::new(Shape::Flat(1), layers).expect("a network")
    }

    #[test]
    fn only_activations_that_the_search_knows() {
        for (slope, expected) in [(0.5, Some(1.0)), (-3.0, Some(9.0)), (2.0, None)] {
            let found = approx(&network(slope), Output::All);
            // One entry a layer: the norms are products of a few floats.
            let close = match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() <= 1e-12 * expected,
                (None, None) => true,
                _ => false,
            };
            assert!(close, "{slope}: {found:?}");
        }
    }
}
