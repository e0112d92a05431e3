//! Lower bounds by search: never above the truth, and equal to it where that is known.

mod nets;

use lipcert_solver::SolveError;
use lipcert_solver::chain::{Chain, Slope};
use lipcert_solver::eigenvalue::approx_norm;
use lipcert_solver::lower::{Options, approx_lower_bound};
use nets::{chain_of, matrix, published, random_chain};

fn zeros(chain: &Chain) -> Vec<Vec<f64>> {
    chain.weights().iter().map(|weight| vec![0.0; weight.nrows()]).collect()
}

fn search(chain: &Chain) -> f64 {
    let found = approx_lower_bound(chain, &zeros(chain), &Options::default()).expect("a search");
    assert_eq!(found.point.len(), chain.widths()[0]);
    found.approx_lipschitz
}

#[test]
fn positive_networks_have_the_norm_of_the_product() {
    for seed in 0..5 {
        let matrices = vec![
            matrix(6, 4, 0.0, seed),
            matrix(5, 6, 0.0, seed + 10),
            matrix(3, 5, 0.0, seed + 20),
        ];
        let whole = &matrices[2] * &matrices[1] * &matrices[0];
        let norm = approx_norm(whole.as_ref()).expect("a norm");
        let found = search(&chain_of(matrices));
        assert!((found - norm).abs() <= 1e-12 * norm, "{found} {norm}");
    }
}

#[test]
fn an_affine_map_has_its_norm() {
    let chain = chain_of(vec![matrix(3, 5, -1.0, 1)]);
    let norm = approx_norm(chain.output()).expect("a norm");
    assert!((search(&chain) - norm).abs() <= 1e-9 * norm);
}

#[test]
fn no_more_than_the_largest_over_all_patterns() {
    // One and two hidden layers; the largest norm of the Jacobian over all patterns of slopes 0 and 1, by enumeration.
    let one = chain_of(vec![
        faer::mat![
            [0.3, -1.04, 0.75],
            [0.94, -1.95, -1.3],
            [0.13, -0.32, -0.02],
            [-0.85, 0.88, 0.78]
        ],
        faer::mat![[0.07, 1.13, 0.47, -0.86], [0.37, -0.96, 0.88, -0.05]],
    ]);
    let found = search(&one);
    assert!(found <= 4.697_465_646_960_886 * (1.0 + 1e-12) && found > 3.0, "{found}");
    let two = chain_of(vec![
        faer::mat![
            [-0.18, -0.68, 1.22],
            [-0.15, -0.43, -0.35],
            [0.53, 0.37, 0.41],
            [0.43, 2.14, -0.41],
            [-0.51, -0.81, 0.62]
        ],
        faer::mat![
            [1.13, -0.11, -0.84, -0.82, 0.65],
            [0.74, 0.54, -0.67, 0.23, 0.12],
            [0.22, 0.87, 0.22, 0.68, 0.07],
            [0.29, 0.63, -1.46, -0.32, -0.47],
        ],
        faer::mat![[-0.64, -0.28, 1.49, -0.87], [0.97, -1.68, -0.33, 0.16]],
    ]);
    let found = search(&two);
    assert!(found <= 6.980_103_793_313_041 * (1.0 + 1e-12) && found > 4.0, "{found}");
}

#[test]
fn the_slope_between_two_points_attains_it() {
    let chain = random_chain(&[3, 8, 6, 2], Slope { lo: 0.1, hi: 1.0 }, -1.0, 4);
    let biases: Vec<Vec<f64>> = vec![vec![0.3; 8], vec![-0.2; 6]];
    let found = approx_lower_bound(&chain, &biases, &Options::default()).expect("a search");
    let value = |x: &[f64]| {
        let mut values = x.to_vec();
        for (weight, bias) in chain.weights().iter().zip(&biases) {
            let sum = |i: usize| bias[i] + (0..weight.ncols()).map(|j| weight[(i, j)] * values[j]).sum::<f64>();
            values = (0..weight.nrows())
                .map(sum)
                .map(|u| if u > 0.0 { u } else { 0.1 * u })
                .collect();
        }
        let output = chain.output();
        (0..output.nrows())
            .map(|i| (0..output.ncols()).map(|j| output[(i, j)] * values[j]).sum::<f64>())
            .collect::<Vec<f64>>()
    };
    // The largest difference quotient over many small steps comes near the norm, and not above it.
    let base = value(&found.point);
    let mut largest: f64 = 0.0;
    let steps = matrix(3, 4000, -1.0, 9);
    for k in 0..4000 {
        let step: Vec<f64> = (0..3).map(|i| 1e-7 * steps[(i, k)]).collect();
        let moved: Vec<f64> = found.point.iter().zip(&step).map(|(x, s)| x + s).collect();
        let (rise, run) = (
            value(&moved).iter().zip(&base).map(|(a, b)| (a - b).powi(2)).sum::<f64>(),
            step.iter().map(|s| s * s).sum::<f64>(),
        );
        largest = largest.max((rise / run).sqrt());
    }
    assert!(
        (largest - found.approx_lipschitz).abs() <= 1e-2 * largest,
        "{largest} {}",
        found.approx_lipschitz
    );
}

#[test]
fn the_same_arguments_the_same_result() {
    let chain = random_chain(&[4, 10, 3], Slope::UNIT, -1.0, 2);
    let run = || approx_lower_bound(&chain, &zeros(&chain), &Options::default());
    assert_eq!(run(), run());
}

#[test]
fn malformed_biases_are_named() {
    let chain = random_chain(&[2, 3, 1], Slope::UNIT, -1.0, 1);
    let run = |biases: &[Vec<f64>]| approx_lower_bound(&chain, biases, &Options::default());
    assert!(matches!(run(&[]), Err(SolveError::Shape { what: "biases", .. })));
    assert!(matches!(run(&[vec![0.0; 2]]), Err(SolveError::Shape { what: "biases", .. })));
    let expected = SolveError::NotFinite {
        what: "biases",
        index: vec![0, 1],
    };
    assert_eq!(run(&[vec![0.0, f64::NAN, 0.0]]), Err(expected));
}

#[test]
fn a_network_that_is_always_off() {
    let chain = random_chain(&[2, 3, 1], Slope::UNIT, -1.0, 1);
    let found = approx_lower_bound(&chain, &[vec![-1e6; 3]], &Options::default()).expect("a search");
    assert!(found.approx_lipschitz.abs() < f64::MIN_POSITIVE);
}

#[test]
fn published_networks() {
    // Beside published upper bounds (ECLipsE-Fast).
    for (name, above) in [("lipsdp/random_weights.npz", 39.902), ("lipsdp/mnist_weights.npz", 26.809)] {
        let Some(chain) = published(name) else { continue };
        let options = Options {
            work: 100_000_000,
            ..Options::default()
        };
        let found = approx_lower_bound(&chain, &zeros(&chain), &options).expect("a search");
        assert!(
            found.approx_lipschitz < above && found.approx_lipschitz > 0.3 * above,
            "{name} {}",
            found.approx_lipschitz
        );
    }
}
