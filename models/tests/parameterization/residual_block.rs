//! Residual blocks with free weights.

use lipcert_models::parameterization::residual_block::Block;
use lipcert_proofs::statement::{Activation, Hidden, ResidualBlock, Shape};

use crate::common::{accepted, floats_of, from_nalgebra, jacobian_norm, plain, rows_of, to_nalgebra, vector};

/// The worked example and, as a block of the same kind, an SLL layer.
#[test]
fn the_worked_example() {
    let v = vector("residual_lmi");
    let block = |output: &str, bias: f64| {
        let hidden = Hidden {
            weight: from_nalgebra(&to_nalgebra(&rows_of(&v["W"])).transpose()),
            bias: vec![0.1, -0.2, 0.3, -0.1],
        };
        let output = rows_of(&v[output]);
        ResidualBlock::new(None, vec![hidden], Activation::Relu, output, vec![bias; 3]).unwrap()
    };
    let larger = |values: Vec<f64>| values.into_iter().map(|value| value * (1.0 + 1e-7)).collect();
    let halves = floats_of(&v["SLL_T"]).into_iter().map(|t| 2.0 / t).collect();
    for (output, bound, multipliers) in [
        ("G", v["L"].as_f64().unwrap(), floats_of(&v["Lambda"])),
        ("SLL_G", 1.0, halves),
    ] {
        let family = Block {
            block: block(output, 0.5),
            multipliers: vec![larger(multipliers)],
            lipschitz: bound * (1.0 + 1e-6),
        };
        let input = Shape::Flat(3);
        let (realization, proved) = accepted(&family, input);
        assert!((proved / bound - 1.0).abs() < 2e-6);
        let map = plain(&realization.layers, input);
        for x in [[0.0; 3], [1.0, -2.0, 0.5], [-3.0, 0.4, 2.0]] {
            assert!(jacobian_norm(&map, &x) <= proved + 1e-6);
        }
        // h(0) by hand: G σ(b) + c.
        let positive = [0.1, 0.0, 0.3, 0.0];
        let rows = rows_of(&v[output]);
        for (i, value) in map(&[0.0; 3]).into_iter().enumerate() {
            let expected = 0.5 + rows.row(i).iter().zip(positive).map(|(g, s)| g * s).sum::<f64>();
            assert!((value - expected).abs() < 1e-14);
        }
    }
}
