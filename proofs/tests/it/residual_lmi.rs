//! Rule `residual-lmi`, against exact elimination and Jacobians.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{LayerCertificate, LayerClaim, Prepared, Witness};
use lipcert_proofs::rounding::forward::{Evaluator, Samples};
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::rules::residual_lmi::check;
use lipcert_proofs::statement::{Activation, Hidden, Layer, Matrix, NetworkMap, Output, ResidualBlock, Shape};
use nalgebra::DMatrix;
use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;
use serde_json::Value;

use crate::common::{abs, exact, flat, honest_claim, matrix, vector, zero};
use crate::lipsdp::exactly_definite;

/// A matrix of one of the worked examples.
pub(crate) fn rows_of(v: &Value) -> Matrix {
    let rows = v.as_array().expect("rows").len();
    let data = flat(v);
    matrix(rows, data.len() / rows, data)
}

pub(crate) fn nalgebra_of(source: &Matrix) -> DMatrix<f64> {
    DMatrix::from_row_slice(source.rows(), source.cols(), source.data())
}

fn of_nalgebra(source: &DMatrix<f64>) -> Matrix {
    matrix(source.nrows(), source.ncols(), source.transpose().as_slice().to_vec())
}

fn block(path: Option<Matrix>, weights: Vec<Matrix>, activation: Activation, output: Matrix) -> ResidualBlock {
    let bias = vec![0.5; output.rows()];
    let hidden = weights.into_iter().map(|weight| Hidden {
        bias: vec![-0.25; weight.rows()],
        weight,
    });
    ResidualBlock::new(path, hidden.collect(), activation, output, bias).expect("a block")
}

/// The largest norm of the Jacobians with every mask of extreme slopes.
fn largest_jacobian(block: &ResidualBlock) -> f64 {
    let (lo, hi) = block.activation().slopes();
    let neurons: usize = block.hidden().iter().map(|layer| layer.weight.rows()).sum();
    let identity = DMatrix::identity(block.outputs(), block.inputs());
    let path = block.path().map_or(identity, nalgebra_of);
    let jacobian = |mask: u32| {
        let mut product = DMatrix::identity(block.inputs(), block.inputs());
        let mut bit = 0;
        for layer in block.hidden() {
            product = nalgebra_of(&layer.weight) * product;
            for mut row in product.row_iter_mut() {
                row *= if mask >> bit & 1 == 1 { hi } else { lo };
                bit += 1;
            }
        }
        &path + nalgebra_of(block.output()) * product
    };
    (0..1u32 << neurons)
        .map(|mask| jacobian(mask).singular_values().max())
        .fold(0.0, f64::max)
}

/// The inequality in rationals, without the last block row of the rule: `[A 0 … B]ᵀ[A 0 … B]` is formed.
fn exact_inequality(block: &ResidualBlock, multipliers: &[Vec<f64>], bound: f64) -> Vec<Vec<BigRational>> {
    let inputs = block.inputs();
    let total = inputs + block.hidden().iter().map(|layer| layer.weight.rows()).sum::<usize>();
    let mut p = vec![vec![zero(); total]; total];
    for (i, row) in p.iter_mut().enumerate().take(inputs) {
        row[i] = exact(bound) * exact(bound);
    }
    let two = BigRational::from(BigInt::from(2));
    let (lo, hi) = block.activation().slopes();
    let (lo, hi) = (exact(lo), exact(hi));
    let mut before = 0;
    for (layer, lambdas) in block.hidden().iter().zip(multipliers) {
        let here = before + layer.weight.cols();
        for (k, lambda) in lambdas.iter().enumerate() {
            // 2 λ (e − α w)(e − β w)ᵀ, symmetrised.
            let row = |slope: &BigRational| {
                let mut row = vec![zero(); total];
                row[here + k] = exact(1.0);
                for (j, w) in layer.weight.row(k).iter().enumerate() {
                    row[before + j] = -(slope * exact(*w));
                }
                row
            };
            let (a, b) = (row(&lo), row(&hi));
            for i in 0..total {
                for j in 0..total {
                    p[i][j] += exact(*lambda) * (&a[i] * &b[j] + &a[j] * &b[i]) / &two * &two;
                }
            }
        }
        before = here;
    }
    for i in 0..block.outputs() {
        let mut row = vec![zero(); total];
        for (j, entry) in row.iter_mut().enumerate().take(inputs) {
            *entry = match block.path() {
                Some(path) => exact(path.row(i)[j]),
                None => exact(if i == j { 1.0 } else { 0.0 }),
            };
        }
        for (j, value) in block.output().row(i).iter().enumerate() {
            row[before + j] += exact(*value);
        }
        for a in 0..total {
            for b in 0..total {
                p[a][b] -= &row[a] * &row[b];
            }
        }
    }
    p
}

fn larger(multipliers: &[Vec<f64>], factor: f64) -> Vec<Vec<f64>> {
    let layer = |layer: &Vec<f64>| layer.iter().map(|value| value * factor).collect();
    multipliers.iter().map(layer).collect()
}

/// The block of the worked example, with its path written out and left out.
fn worked(path: bool) -> (ResidualBlock, Vec<Vec<f64>>, f64) {
    let v = vector("residual_lmi");
    let weight = of_nalgebra(&nalgebra_of(&rows_of(&v["W"])).transpose());
    let path = path.then(|| rows_of(&v["H"]));
    let block = block(path, vec![weight], Activation::Relu, rows_of(&v["G"]));
    (block, vec![flat(&v["Lambda"])], flat(&v["L"])[0])
}

#[test]
fn the_worked_example() {
    for path in [true, false] {
        let (block, multipliers, bound) = worked(path);
        let lambda = larger(&multipliers, 1.0 + 1e-7);
        let accepted = bound * (1.0 + 1e-6);
        assert_eq!(check(&block, &lambda, accepted), Ok(()));
        assert!(exactly_definite(exact_inequality(&block, &lambda, accepted)));
        // Below the largest Jacobian no multipliers can do.
        let largest = largest_jacobian(&block);
        assert!((largest - bound).abs() < 1e-9, "{largest} {bound}");
        for factor in [0.5, 1.0 - 1e-6, 1.0, 1.0 + 1e-6, 2.0] {
            let refused = check(&block, &larger(&multipliers, factor), largest * (1.0 - 1e-6));
            assert!(matches!(refused, Err(CheckError::NotSemidefinite { .. })), "{factor}");
        }
    }
}

/// `x − 2 W T⁻¹ σ(Wᵀ x + b)` with `Λ = 2 T⁻¹`: the off-diagonal block vanishes.
#[test]
fn an_sll_layer_is_1_lipschitz() {
    let v = vector("residual_lmi");
    let weight = of_nalgebra(&nalgebra_of(&rows_of(&v["W"])).transpose());
    let block = block(None, vec![weight], Activation::Relu, rows_of(&v["SLL_G"]));
    let lambda = vec![flat(&v["SLL_T"]).iter().map(|t| 2.0 / t).collect::<Vec<f64>>()];
    assert_eq!(check(&block, &larger(&lambda, 1.0 + 1e-9), 1.0 + 1e-8), Ok(()));
    assert!(check(&block, &lambda, 1.0 - 1e-8).is_err());
}

/// The printed eigenvalue leaves room at `γ = 1` with all multipliers 1; a larger output does not.
#[test]
fn the_deep_example() {
    let v = vector("residual_deep_exact");
    let weights: Vec<Matrix> = v["C"].as_array().expect("matrices").iter().map(rows_of).collect();
    let ones: Vec<Vec<f64>> = weights.iter().map(|weight| vec![1.0; weight.rows()]).collect();
    let make = |factor: f64| {
        let output = rows_of(&v["B"]);
        let data = output.data().iter().map(|value| value * factor).collect();
        let output = matrix(output.rows(), output.cols(), data);
        block(Some(rows_of(&v["A"])), weights.clone(), Activation::Relu, output)
    };
    let given = make(1.0);
    assert_eq!(check(&given, &ones, 1.0), Ok(()));
    let largest = largest_jacobian(&given);
    assert!((largest - flat(&v["max_mask_jac"])[0]).abs() < 1e-12, "{largest}");
    assert!(check(&given, &ones, largest * (1.0 - 1e-9)).is_err());
    assert!(check(&make(2.0), &ones, 1.0).is_err());
    // The multipliers of one layer do not do for the other.
    assert!(check(&given, &[vec![1.0; 4], vec![0.2; 3]], 1.0).is_err());
}

#[test]
fn reject_table() {
    let (block, good, bound) = worked(true);
    let bound = bound * 1.001;
    let with = |value: f64| {
        let mut multipliers = good.clone();
        multipliers[0][2] = value;
        multipliers
    };
    assert_eq!(check(&block, &larger(&good, 1.0001), bound), Ok(()));
    for value in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
        let refused = check(&block, &with(value), bound);
        let named = matches!(
            refused,
            Err(CheckError::NotPositive {
                what: "multiplier",
                index: 2,
                ..
            })
        );
        assert!(named, "{value}");
    }
    for value in [f64::INFINITY, 1e250, 1e-250] {
        let refused = check(&block, &with(value), bound);
        assert!(matches!(refused, Err(CheckError::NotSemidefinite { .. })), "{value}");
    }
    for bound in [0.0, -1.0, f64::NAN] {
        let refused = check(&block, &good, bound);
        assert!(
            matches!(refused, Err(CheckError::NotPositive { what: "lipschitz", .. })),
            "{bound}"
        );
    }
    for bound in [f64::INFINITY, 1e-150, 1e200] {
        assert!(check(&block, &good, bound).is_err(), "{bound}");
    }
    for wrong in [vec![], vec![vec![1.0; 3]], vec![vec![1.0; 4], vec![1.0; 4]]] {
        assert!(matches!(check(&block, &wrong, bound), Err(CheckError::Shape { .. })));
    }
}

#[test]
fn malformed_blocks() {
    let w = |rows, cols| matrix(rows, cols, vec![0.5; rows * cols]);
    let layer = |rows: usize, cols, bias| Hidden {
        weight: w(rows, cols),
        bias,
    };
    let good = || layer(2, 3, vec![0.0; 2]);
    let relu = Activation::Relu;
    let slope = Activation::LeakyRelu { slope: f64::NAN };
    for (path, hidden, activation, output, bias) in [
        (None, vec![], relu, w(3, 2), 3),
        (None, vec![layer(2, 3, vec![0.0; 3])], relu, w(3, 2), 3),
        (None, vec![layer(2, 3, vec![0.0, f64::NAN])], relu, w(3, 2), 3),
        (None, vec![good()], relu, w(4, 2), 4),
        (None, vec![good()], relu, w(3, 3), 3),
        (None, vec![good()], relu, w(3, 2), 2),
        (None, vec![good()], slope, w(3, 2), 3),
        (None, vec![good(), good()], relu, w(3, 2), 3),
        (Some(w(4, 3)), vec![good()], relu, w(3, 2), 3),
        (Some(w(3, 2)), vec![good()], relu, w(3, 2), 3),
    ] {
        let refused = ResidualBlock::new(path, hidden, activation, output, vec![0.0; bias]);
        assert!(
            matches!(refused, Err(CheckError::Shape { .. } | CheckError::NotFinite { .. })),
            "{refused:?}"
        );
    }
    assert!(ResidualBlock::new(Some(w(4, 3)), vec![good()], relu, w(4, 2), vec![0.0; 4]).is_ok());
}

/// Small random blocks with one or two hidden layers, slopes of every sign, and multipliers.
fn problems() -> impl Strategy<Value = (ResidualBlock, Vec<Vec<f64>>)> {
    (1usize..4, 1usize..4, 1usize..4, 1usize..4, any::<bool>(), any::<bool>()).prop_flat_map(|(n, n1, n2, m, deep, path)| {
        let weight = |rows: usize, cols: usize| {
            prop::collection::vec(-1.5..1.5f64, rows * cols).prop_map(move |data| matrix(rows, cols, data))
        };
        let layer = |n: usize| prop::collection::vec(0.05..4.0f64, n);
        let (m, last) = (if path { m } else { n }, if deep { n2 } else { n1 });
        let parts = (
            weight(m, n),
            weight(n1, n),
            weight(n2, n1),
            weight(m, last),
            layer(n1),
            layer(n2),
        );
        (parts, prop_oneof![Just(0.0), -1.0..1.6f64]).prop_map(move |((a, c1, c2, b, l1, l2), slope)| {
            let (weights, multipliers) = if deep {
                (vec![c1, c2], vec![l1, l2])
            } else {
                (vec![c1], vec![l1])
            };
            (
                block(path.then_some(a), weights, Activation::LeakyRelu { slope }, b),
                multipliers,
            )
        })
    })
}

proptest! {
    /// Soundness: the smallest bound that is accepted, down to the last bits, is exactly true and no Jacobian passes it; what is refused is not far inside.
    #[test]
    fn the_least_accepted_bound_is_true((block, multipliers) in problems()) {
        let (mut refused, mut accepted) = (1e-3, 1e4);
        if check(&block, &multipliers, accepted).is_ok() {
            while accepted / refused > 1.0 + 8.0 * f64::EPSILON {
                let middle = f64::midpoint(accepted, refused);
                if check(&block, &multipliers, middle).is_ok() {
                    accepted = middle;
                } else {
                    refused = middle;
                }
            }
            prop_assert!(exactly_definite(exact_inequality(&block, &multipliers, accepted)), "{accepted:e}");
            let largest = largest_jacobian(&block);
            // The oracle's own rounding.
            prop_assert!(largest <= accepted * (1.0 + 1e-12), "{largest} {accepted}");
            // Completeness: a thousandth below, the exact matrix is not definite. Far from the last bits, so the shift of the check plays no part.
            prop_assert!(!exactly_definite(exact_inequality(&block, &multipliers, accepted * 0.999)));
        } else {
            prop_assert!(!exactly_definite(exact_inequality(&block, &larger(&multipliers, 1.0 - 1e-9), 1e4 * (1.0 - 1e-9))));
        }
    }
}

/// `h(x)` in rationals.
fn exact_value(block: &ResidualBlock, x: &[f64]) -> Vec<BigRational> {
    let product = |weight: &Matrix, bias: &[f64], x: &[BigRational]| -> Vec<BigRational> {
        let rows = bias.iter().enumerate();
        rows.map(|(i, b)| weight.row(i).iter().zip(x).fold(exact(*b), |sum, (w, x)| sum + exact(*w) * x))
            .collect()
    };
    let x: Vec<BigRational> = x.iter().map(|value| exact(*value)).collect();
    let slope = match block.activation() {
        Activation::Relu => zero(),
        Activation::LeakyRelu { slope } => exact(slope),
        other => unreachable!("{other:?} is not drawn here"),
    };
    let mut inner = x.clone();
    for layer in block.hidden() {
        inner = product(&layer.weight, &layer.bias, &inner)
            .into_iter()
            .map(|value| if value < zero() { value * &slope } else { value })
            .collect();
    }
    let straight = match block.path() {
        Some(path) => product(path, &vec![0.0; path.rows()], &x),
        None => x,
    };
    let sums = product(block.output(), block.bias(), &inner).into_iter().zip(straight);
    sums.map(|(a, b)| a + b).collect()
}

/// A block and a head of ones that picks single entries.
fn network(block: &ResidualBlock) -> NetworkMap {
    let m = block.outputs();
    let identity = (0..m * m).map(|flat| if flat / m == flat % m { 1.0 } else { 0.0 });
    let head = Layer::Dense {
        weight: matrix(m, m, identity.collect()),
        bias: vec![0.0; m],
    };
    let layers = vec![Layer::ResidualBlock(block.clone()), head];
    NetworkMap::new(Shape::Flat(block.inputs()), layers).expect("a network")
}

/// Certificates of the network of a block, at any bound that its multipliers allow.
fn certify(map: &NetworkMap, multipliers: Vec<Vec<f64>>, lipschitz: f64) -> Option<NetworkCertificate<'_>> {
    let shapes = map.input_shapes();
    let prepared = Prepared::new(&map.layers()[0], shapes[0]).expect("a block");
    let witness = Witness::ResidualLmi { multipliers };
    let first = LayerCertificate::check(&prepared, LayerClaim { lipschitz, witness }).ok()?;
    let prepared = Prepared::new(&map.layers()[1], shapes[1]).expect("a head");
    let last = LayerCertificate::check(&prepared, honest_claim(&prepared)).expect("an honest claim");
    NetworkCertificate::compose(map, vec![first, last], Vec::new(), Output::All).ok()
}

#[test]
fn a_certificate_holds_what_was_checked() {
    let (block, multipliers, bound) = worked(true);
    let (good, bound) = (larger(&multipliers, 1.0 + 1e-7), bound * (1.0 + 1e-6));
    let map = network(&block);
    let certificate = certify(&map, good.clone(), bound).expect("a certificate");
    assert_eq!(certificate.layers()[0].lipschitz().to_bits(), bound.to_bits());
    assert!(certificate.features() >= bound && certificate.features() <= bound * (1.0 + 1e-12));
    assert!(certify(&map, good.clone(), bound * 0.99).is_none());
    // The rule is for residual blocks, and a block needs it.
    let shapes = map.input_shapes();
    for (layer, witness) in [
        (1, Witness::ResidualLmi { multipliers: good }),
        (0, Witness::Structural {}),
        (0, Witness::Formula { inside: None }),
    ] {
        let prepared = Prepared::new(&map.layers()[layer], shapes[layer]).expect("a layer");
        let claim = LayerClaim {
            lipschitz: 100.0,
            witness,
        };
        let refused = LayerCertificate::check(&prepared, claim).map(|_| ());
        assert!(matches!(refused, Err(CheckError::RuleMismatch { .. })), "{refused:?}");
    }
}

proptest! {
    /// The bound of the error of the evaluation holds, and is not far above it.
    #[test]
    fn evaluated_with_enclosed_errors((block, multipliers) in problems(), x in prop::collection::vec(-30.0..30.0f64, 3)) {
        let map = network(&block);
        let Some(certificate) = certify(&map, multipliers, 1e3) else { return Ok(()) };
        let evaluator = Evaluator::new(&certificate).expect("an evaluation");
        let x = &x[..block.inputs()];
        let logits = &evaluator.evaluate(Samples::Floats(x)).expect("a sample")[0];
        for (class, value) in exact_value(&block, x).iter().enumerate() {
            let error = logits.error_up(class);
            prop_assert!(abs(&(exact(logits.values()[class]) - value)) <= exact(error));
            prop_assert!(error < 1e-10, "{error:e}");
        }
    }
}

/// The enclosed evaluation of a block allows for at most one rounding an entry and for activations that keep 0.
#[test]
fn smooth_activations_are_refused() {
    let one = || Matrix::new("weight", 1, 1, vec![1.0]).expect("a matrix");
    let block = |activation| {
        let hidden = Hidden {
            weight: one(),
            bias: vec![0.0],
        };
        ResidualBlock::new(None, vec![hidden], activation, one(), vec![0.0])
    };
    for activation in [
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Softplus { beta: 1.0 },
        Activation::Elu,
    ] {
        let (rule, kind) = ("residual-lmi", activation.kind());
        assert_eq!(block(activation).map(|_| ()), Err(CheckError::RuleMismatch { rule, kind }));
    }
    for activation in [Activation::Relu, Activation::Abs, Activation::LeakyRelu { slope: -2.0 }] {
        assert!(block(activation).is_ok());
    }
}
