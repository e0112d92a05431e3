//! A slope that a dense network really has somewhere.

use lipcert_proofs::statement::{Chain, Layer, NetworkMap, Output};
use lipcert_solver::{convert, lower};

/// About the largest norm of a Jacobian that a bounded search finds; empirical. Nothing for other networks, or where the run of dense layers does not
/// see the raw input as it is.
pub(crate) fn approx(map: &NetworkMap, output: Output) -> Option<f64> {
    let chain = Chain::of(map, output).ok()?;
    let untouched = map.layers()[..chain.first()]
        .iter()
        .all(|layer| matches!(layer, Layer::Flatten | Layer::PadChannels { .. }));
    if !untouched {
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
    let found = lower::approx_lower_bound(&convert::chain(&chain).ok()?, &biases, &lower::Options::default());
    found.ok().map(|found| found.approx_lipschitz)
}
