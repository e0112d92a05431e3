//! Residual blocks by the exact condition, and the formula that misses it.

use lipcert_models::parameterization::Parameterization;
use lipcert_models::parameterization::deep_residual::Block;
use lipcert_models::parameterization::ldlt::Free;
use lipcert_proofs::CheckError;
use lipcert_proofs::rules::residual_lmi::check;
use lipcert_proofs::statement::{Activation, Hidden, Matrix, ResidualBlock, Shape};
use nalgebra::{Cholesky, DMatrix};
use proptest::prelude::*;
use serde_json::Value;

use crate::common::{accepted, distance, from_nalgebra, jacobian_norm, numbers, plain, quotient, rows_of, to_nalgebra, vector};

fn free(weight: Matrix, alpha: f64) -> Free {
    Free {
        bias: vec![0.25; weight.rows()],
        weight,
        alpha,
    }
}

/// The upper triangular `R` with `RᵀR = M`.
fn root(matrix: DMatrix<f64>) -> DMatrix<f64> {
    Cholesky::new(matrix).unwrap().l().transpose()
}

/// `V` for `α = 1` and a contraction `N`: `V = N R` with an upper triangular `R`, `R⁻ᵀ R⁻¹ = I − NᵀN`.
fn preimage(contraction: &DMatrix<f64>) -> Matrix {
    let n = contraction.ncols();
    let inverse = Cholesky::new(DMatrix::identity(n, n) - contraction.tr_mul(contraction)).unwrap();
    from_nalgebra(&(contraction * inverse.l().transpose().try_inverse().unwrap()))
}

fn matrices(value: &Value) -> Vec<Matrix> {
    value.as_array().unwrap().iter().map(rows_of).collect()
}

/// The free parameters of the worked example, found by inverting every step.
fn worked() -> (Block, [Matrix; 2], Vec<Matrix>) {
    let v = vector("residual_deep_exact");
    let [path, output] = ["A", "B"].map(|key| rows_of(&v[key]));
    let weights = matrices(&v["C"]);
    let (a, b) = (to_nalgebra(&path), to_nalgebra(&output));
    let n = a.ncols();
    let mut block = DMatrix::identity(n, n) - a.tr_mul(&a);
    let mut carried = DMatrix::identity(n, n);
    let mut sum = DMatrix::zeros(n, n);
    let mut hidden = Vec::new();
    for weight in weights.iter().map(to_nalgebra) {
        let inverse = block.clone().try_inverse().unwrap();
        let small = &weight * root(block).try_inverse().unwrap() / std::f64::consts::SQRT_2;
        hidden.push(free(preimage(&small), 1.0));
        sum += &carried * &inverse * carried.transpose();
        carried = &carried * inverse * weight.transpose();
        block = (DMatrix::identity(weight.nrows(), weight.nrows()) - &small * small.transpose()) * 2.0;
    }
    let weighted = DMatrix::identity(a.nrows(), a.nrows()) + &a * sum * a.transpose();
    let upper = root(weighted);
    let cross = upper.transpose().try_inverse().unwrap() * (&a * carried);
    let last = root(block + cross.tr_mul(&cross));
    let small = (upper * b + cross) * last.try_inverse().unwrap();
    let block = Block {
        path: free(preimage(&a), 1.0),
        hidden,
        output: preimage(&small),
        output_alpha: 1.0,
        gamma: 1.0,
    };
    (block, [path, output], weights)
}

#[test]
fn the_worked_example() {
    let (family, [path, output], weights) = worked();
    let block = family.build().unwrap();
    assert!(distance(block.path().unwrap(), &path) < 1e-9);
    assert!(distance(block.output(), &output) < 1e-9);
    for (layer, expected) in block.hidden().iter().zip(&weights) {
        assert!(distance(&layer.weight, expected) < 1e-9);
    }
    let (_, bound) = accepted(&family, Shape::Flat(3));
    assert!(bound <= 1.0 + 1.000_001e-9, "{bound}");
}

/// `Z` near a contraction of norm 1 makes the condition tight.
#[test]
fn a_tight_block() {
    let (mut family, ..) = worked();
    family.output_alpha = 1e-8;
    let block = family.build().unwrap();
    let ones = vec![vec![1.0 + 1e-9; 4], vec![1.0 + 1e-9; 3]];
    assert_eq!(check(&block, &ones, 1.0 + 1e-9), Ok(()));
    assert!(matches!(
        check(&block, &ones, 1.0 - 1e-3),
        Err(CheckError::NotSemidefinite { .. })
    ));
}

#[test]
fn malformed_parameters() {
    let (good, ..) = worked();
    let mut wrong = good.clone();
    wrong.hidden.remove(0);
    assert!(matches!(wrong.build(), Err(CheckError::Shape { what: "weight", .. })));
    let mut wrong = good.clone();
    wrong.output = Matrix::new("output", 2, 4, vec![0.1; 8]).unwrap();
    assert!(matches!(wrong.build(), Err(CheckError::Shape { what: "output", .. })));
    for alpha in [0.0, f64::NAN] {
        let mut wrong = good.clone();
        wrong.output_alpha = alpha;
        assert!(matches!(wrong.build(), Err(CheckError::NotPositive { what: "alpha", .. })));
    }
    assert!(good.realize(Shape::Flat(4)).is_err());
}

/// Which mistakes of the released residual network are made.
#[derive(Clone, Copy, Debug)]
enum Formula {
    /// `(I − AᵀA)⁻¹` taken for `RᵀR / α`, and the cross term dropped.
    Released,
    /// The cross term dropped.
    WithoutCrossTerm,
}

/// The block that a formula gives for the free parameters at `γ = 1`: `B = Z D_h^{1/2}`.
fn by_formula(family: &Block, formula: Formula) -> ResidualBlock {
    let contraction = |free: &Matrix, alpha: f64| {
        let v = to_nalgebra(free);
        let upper = root(v.tr_mul(&v) + DMatrix::identity(v.ncols(), v.ncols()) * alpha);
        (v * upper.clone().try_inverse().unwrap(), upper)
    };
    let (path, upper) = contraction(&family.path.weight, family.path.alpha);
    let inverse = match formula {
        Formula::Released => upper.tr_mul(&upper),
        Formula::WithoutCrossTerm => &upper * upper.transpose(),
    };
    let mut block = inverse.try_inverse().unwrap() * family.path.alpha;
    let mut hidden = Vec::new();
    for layer in &family.hidden {
        let (small, _) = contraction(&layer.weight, layer.alpha);
        hidden.push(Hidden {
            weight: from_nalgebra(&(&small * root(block) * std::f64::consts::SQRT_2)),
            bias: layer.bias.clone(),
        });
        block = (DMatrix::identity(small.nrows(), small.nrows()) - &small * small.transpose()) * 2.0;
    }
    let (last, _) = contraction(&family.output, family.output_alpha);
    let output = from_nalgebra(&(last * root(block)));
    let path = Some(from_nalgebra(&path));
    ResidualBlock::new(path, hidden, Activation::Relu, output, family.path.bias.clone()).unwrap()
}

/// The largest norm of the Jacobians with every mask of the hidden neurons.
fn largest_jacobian(block: &ResidualBlock) -> f64 {
    let neurons: usize = block.hidden().iter().map(|layer| layer.weight.rows()).sum();
    let norm = |mask: u32| {
        let mut bit = 0;
        let mut product = DMatrix::identity(block.inputs(), block.inputs());
        for layer in block.hidden() {
            product = to_nalgebra(&layer.weight) * product;
            for mut row in product.row_iter_mut() {
                row *= f64::from(mask >> bit & 1);
                bit += 1;
            }
        }
        (to_nalgebra(block.path().unwrap()) + to_nalgebra(block.output()) * product)
            .singular_values()
            .max()
    };
    (0..1u32 << neurons).map(norm).fold(0.0, f64::max)
}

/// Entries between −1 and 1 from a linear congruence.
fn drawn(seed: u64) -> Block {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    let mut matrix =
        |rows: usize, cols: usize| Matrix::new("free", rows, cols, (0..rows * cols).map(|_| next()).collect()).unwrap();
    Block {
        path: free(matrix(3, 3), 0.1),
        hidden: vec![free(matrix(4, 3), 0.1)],
        output: matrix(3, 4),
        output_alpha: 0.1,
        gamma: 1.0,
    }
}

/// The released formula claims 1 and is refused with its own multipliers; for some draw a Jacobian exceeds 1, so that no multipliers would do. The exact formula
/// with the same free parameters is accepted each time.
#[test]
fn the_released_formula_is_refused() {
    let ones = vec![vec![1.0; 4]];
    let mut above = 0.0_f64;
    for seed in 0..40 {
        let family = drawn(seed);
        for formula in [Formula::Released, Formula::WithoutCrossTerm] {
            let block = by_formula(&family, formula);
            let refused = check(&block, &ones, 1.0);
            assert!(
                matches!(refused, Err(CheckError::NotSemidefinite { .. })),
                "{seed} {formula:?} {refused:?}"
            );
            above = above.max(largest_jacobian(&block));
        }
        let block = family.build().unwrap();
        assert_eq!(check(&block, &ones, 1.0), Ok(()), "{seed}");
        assert!(largest_jacobian(&block) <= 1.0, "{seed}");
    }
    assert!(above > 1.0 + 1e-3, "{above}");
}

fn families() -> impl Strategy<Value = (Block, Vec<f64>, Vec<f64>)> {
    let widths = prop::collection::vec(1usize..4, 2..4);
    (widths, 1usize..4, 0.2..5.0f64).prop_flat_map(|(widths, m, gamma)| {
        let layer = |rows: usize, cols: usize| {
            (numbers(rows * cols), 0.05..3.0f64, numbers(rows)).prop_map(move |(entries, alpha, bias)| Free {
                weight: Matrix::new("weight", rows, cols, entries).unwrap(),
                alpha,
                bias,
            })
        };
        let hidden: Vec<_> = widths.windows(2).map(|pair| layer(pair[1], pair[0])).collect();
        let (n, last) = (widths[0], widths[widths.len() - 1]);
        let whole = (layer(m, n), hidden, layer(m, last));
        let family = whole.prop_map(move |(path, hidden, output)| Block {
            path,
            hidden,
            output: output.weight,
            output_alpha: output.alpha,
            gamma,
        });
        (family, numbers(n), numbers(n))
    })
}

proptest! {
    #[test]
    fn blocks_are_gamma_lipschitz((family, x, y) in families()) {
        let input = Shape::Flat(x.len());
        let (realization, bound) = accepted(&family, input);
        prop_assert!(bound <= family.gamma * (1.0 + 1.000_001e-9));
        prop_assert!(largest_jacobian(&family.build().unwrap()) <= bound);
        let map = plain(&realization.layers, input);
        prop_assert!(jacobian_norm(&map, &x) <= bound + 1e-5);
        prop_assume!(x != y);
        prop_assert!(quotient(&map, &x, &y) <= bound * (1.0 + 1e-9));
    }
}
