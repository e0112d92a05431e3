//! Rule `lipsdp`, against exact rational elimination.

mod properties;

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{ChainCertificate, ChainClaim, DualVectors};
use lipcert_proofs::rules::lipsdp::check;
use lipcert_proofs::statement::{Activation, Chain, Layer, Matrix, NetworkMap, Output, Shape};
use num_bigint::BigInt;
use num_rational::BigRational;

use crate::common::{exact, flat, matrix, vector, zero};

/// Dense layers with activations between them.
pub(crate) fn dense_network(weights: &[Matrix], activation: Activation) -> NetworkMap {
    let mut layers = Vec::new();
    for (index, weight) in weights.iter().enumerate() {
        if index > 0 {
            layers.push(Layer::Activation(activation));
        }
        layers.push(Layer::Dense {
            weight: weight.clone(),
            bias: vec![0.25; weight.rows()],
        });
    }
    NetworkMap::new(Shape::Flat(weights[0].cols()), layers).expect("a network")
}

/// A weight of one of the worked examples.
fn weight(v: &serde_json::Value, name: &str) -> Matrix {
    let rows = v[name].as_array().expect("rows").len();
    let data = flat(&v[name]);
    matrix(rows, data.len() / rows, data)
}

struct Example {
    map: NetworkMap,
    multipliers: Vec<Vec<f64>>,
    optimum: f64,
}

impl Example {
    fn one_hidden() -> Self {
        let v = vector("lipsdp_1hidden");
        Self {
            map: dense_network(&[weight(&v, "W0"), weight(&v, "W1")], Activation::Relu),
            multipliers: vec![flat(&v["T"])],
            optimum: flat(&v["L_neuron"])[0],
        }
    }

    fn two_hidden() -> Self {
        let v = vector("lipsdp_2hidden");
        Self {
            map: dense_network(&[weight(&v, "W0"), weight(&v, "W1"), weight(&v, "W2")], Activation::Relu),
            multipliers: vec![flat(&v["T1"]), flat(&v["T2"])],
            optimum: flat(&v["L_neuron"])[0],
        }
    }

    fn check(&self, multipliers: &[Vec<f64>], lipschitz: f64) -> Result<(), CheckError> {
        check(&Chain::of(&self.map, Output::All).expect("a chain"), multipliers, lipschitz)
    }

    /// The printed multipliers enlarged a little, with the bound that they prove.
    fn inflated(&self, excess: f64) -> (Vec<Vec<f64>>, f64) {
        let larger = |layer: &Vec<f64>| layer.iter().map(|value| value * (1.0 + excess)).collect();
        (
            self.multipliers.iter().map(larger).collect(),
            self.optimum * (1.0 + excess / 2.0),
        )
    }
}

/// `P(Λ, ρ)` in rationals, without the last block row of the rule: `CᵀC` is formed.
pub(crate) fn exact_inequality(chain: &Chain<'_>, multipliers: &[Vec<f64>], rho: &BigRational) -> Vec<Vec<BigRational>> {
    let widths = chain.widths();
    let starts: Vec<usize> = widths
        .iter()
        .scan(0, |end, n| {
            let start = *end;
            *end += n;
            Some(start)
        })
        .collect();
    let total = widths.iter().sum();
    let mut p = vec![vec![zero(); total]; total];
    for (i, row) in p.iter_mut().enumerate().take(widths[0]) {
        row[i] = rho.clone();
    }
    let two = BigRational::from(BigInt::from(2));
    for (layer, weight) in chain.weights().iter().enumerate() {
        let (lo, hi) = chain.slopes()[layer];
        let (lo, hi) = (exact(lo), exact(hi));
        for (k, lambda) in multipliers[layer].iter().enumerate() {
            let lambda = exact(*lambda);
            let (here, before) = (starts[layer + 1] + k, starts[layer]);
            p[here][here] += &two * &lambda;
            for j in 0..weight.cols() {
                let w = exact(weight.row(k)[j]);
                let off = (&lo + &hi) * &lambda * &w;
                p[here][before + j] -= &off;
                p[before + j][here] -= &off;
                for l in 0..weight.cols() {
                    p[before + j][before + l] += &two * &lo * &hi * &lambda * &w * exact(weight.row(k)[l]);
                }
            }
        }
    }
    let head = chain.head();
    let rows: Vec<Vec<BigRational>> = match chain.output() {
        Output::All => (0..head.rows())
            .map(|i| head.row(i).iter().map(|w| exact(*w)).collect())
            .collect(),
        Output::Class(c) => vec![head.row(c).iter().map(|w| exact(*w)).collect()],
        Output::Pair(a, b) => vec![
            head.row(a)
                .iter()
                .zip(head.row(b))
                .map(|(x, y)| exact(*x) - exact(*y))
                .collect(),
        ],
        Output::Features => (0..head.cols())
            .map(|i| (0..head.cols()).map(|j| exact(if i == j { 1.0 } else { 0.0 })).collect())
            .collect(),
    };
    let last = starts[starts.len() - 1];
    for row in &rows {
        for a in 0..head.cols() {
            for b in 0..head.cols() {
                p[last + a][last + b] -= &row[a] * &row[b];
            }
        }
    }
    p
}

/// Whether all pivots of the exact LDLᵀ are positive.
pub(crate) fn exactly_definite(mut p: Vec<Vec<BigRational>>) -> bool {
    for k in 0..p.len() {
        if p[k][k] <= zero() {
            return false;
        }
        let (head, tail) = p.split_at_mut(k + 1);
        let pivot = &head[k];
        for row in tail {
            let factor = &row[k] / &pivot[k];
            for j in k..pivot.len() {
                let step = &factor * &pivot[j];
                row[j] -= step;
            }
        }
    }
    true
}

#[test]
fn the_worked_examples() {
    for example in [Example::one_hidden(), Example::two_hidden()] {
        let (multipliers, bound) = example.inflated(1e-7);
        assert_eq!(example.check(&multipliers, bound), Ok(()));
        let chain = Chain::of(&example.map, Output::All).expect("a chain");
        let rho = exact(bound) * exact(bound);
        assert!(exactly_definite(exact_inequality(&chain, &multipliers, &rho)));
    }
}

#[test]
fn a_lower_bound_is_refused() {
    for example in [Example::one_hidden(), Example::two_hidden()] {
        let (multipliers, bound) = example.inflated(1e-7);
        // ρ lowered by 1e-6, relative.
        let refused = example.check(&multipliers, bound * (1.0 - 5e-7));
        assert!(matches!(refused, Err(CheckError::NotSemidefinite { .. })), "{refused:?}");
    }
}

#[test]
fn one_multiplier_halved() {
    let example = Example::two_hidden();
    let (multipliers, bound) = example.inflated(1e-7);
    for layer in 0..2 {
        for k in 0..multipliers[layer].len() {
            let mut halved = multipliers.clone();
            halved[layer][k] *= 0.5;
            assert!(example.check(&halved, bound).is_err(), "{layer} {k}");
        }
    }
}

/// The evidence of a network does not do for another: a hidden layer less, a weight transposed.
#[test]
fn a_dropped_layer() {
    let example = Example::two_hidden();
    let (multipliers, bound) = example.inflated(1e-7);
    let v = vector("lipsdp_2hidden");
    // The first layer acts as the identity on five inputs.
    let twin = dense_network(&[weight(&v, "W1"), weight(&v, "W2")], Activation::Relu);
    let chain = Chain::of(&twin, Output::All).expect("a chain");
    assert!(check(&chain, &multipliers[1..], bound * 0.5).is_err());
    assert!(matches!(check(&chain, &multipliers, bound), Err(CheckError::Shape { .. })));
}

#[test]
fn a_transposed_weight() {
    // relu(x₀ + x₁), whose bound with these multipliers is √4.2; the transpose gives 2 relu(x₀) and √7.2.
    let first = matrix(2, 2, vec![1.0, 1.0, 0.0, 0.0]);
    let turned = matrix(2, 2, vec![1.0, 0.0, 1.0, 0.0]);
    let head = matrix(1, 2, vec![1.0, 1.0]);
    let multipliers = vec![vec![1.2, 1.2]];
    let judge = |weight: Matrix, bound: f64| {
        let map = dense_network(&[weight, head.clone()], Activation::Relu);
        check(&Chain::of(&map, Output::All).expect("a chain"), &multipliers, bound)
    };
    assert!(judge(first.clone(), 4.2_f64.sqrt() * (1.0 - 1e-9)).is_err());
    assert_eq!(judge(first, 4.2_f64.sqrt() * (1.0 + 1e-9)), Ok(()));
    assert!(judge(turned.clone(), 4.2_f64.sqrt() * (1.0 + 1e-9)).is_err());
    assert_eq!(judge(turned, 7.2_f64.sqrt() * (1.0 + 1e-9)), Ok(()));
}

#[test]
fn the_head_counts() {
    let example = Example::one_hidden();
    let (multipliers, bound) = example.inflated(1e-7);
    let v = vector("lipsdp_1hidden");
    let head = weight(&v, "W1");
    let doubled = matrix(head.rows(), head.cols(), head.data().iter().map(|w| 2.0 * w).collect());
    let map = dense_network(&[weight(&v, "W0"), doubled], Activation::Relu);
    assert!(check(&Chain::of(&map, Output::All).expect("a chain"), &multipliers, bound).is_err());
}

#[test]
fn reject_table() {
    let example = Example::one_hidden();
    let (good, bound) = example.inflated(1e-6);
    let with = |value: f64| {
        let mut multipliers = good.clone();
        multipliers[0][2] = value;
        multipliers
    };
    for value in [0.0, -0.5, f64::NAN, -f64::INFINITY] {
        let refused = example.check(&with(value), bound);
        assert!(
            matches!(
                refused,
                Err(CheckError::NotPositive {
                    what: "multiplier",
                    index: 2,
                    ..
                })
            ),
            "{value}"
        );
    }
    for value in [1e201, f64::INFINITY, 1e-201] {
        let refused = example.check(&with(value), bound);
        assert!(
            matches!(refused, Err(CheckError::OutOfRange { what: "multiplier", .. })),
            "{value}"
        );
    }
    for bound in [0.0, -1.0, f64::NAN] {
        let refused = example.check(&good, bound);
        assert!(
            matches!(refused, Err(CheckError::NotPositive { what: "lipschitz", .. })),
            "{bound}"
        );
    }
    for bound in [f64::INFINITY, 1e101, 1e-101] {
        assert!(
            matches!(example.check(&good, bound), Err(CheckError::OutOfRange { .. })),
            "{bound}"
        );
    }
    for wrong in [vec![], vec![vec![1.0; 3]], vec![vec![1.0; 4], vec![1.0; 4]]] {
        assert!(matches!(example.check(&wrong, bound), Err(CheckError::Shape { .. })));
    }
}

#[test]
fn weights_of_extreme_size() {
    // One neuron: |w₂||w₁| is the optimum, with λ = w₂².
    for (first, second) in [(1e-80, 1e60), (1e70, 1e-75), (3.0, 7.0), (1e-40, 1e-40)] {
        let map = dense_network(&[matrix(1, 1, vec![first]), matrix(1, 1, vec![second])], Activation::Relu);
        let chain = Chain::of(&map, Output::All).expect("a chain");
        let multipliers = vec![vec![second * second * (1.0 + 1e-9)]];
        let optimum = first * second;
        assert_eq!(
            check(&chain, &multipliers, optimum * (1.0 + 1e-8)),
            Ok(()),
            "{first:e} {second:e}"
        );
        assert!(
            check(&chain, &multipliers, optimum * (1.0 - 1e-8)).is_err(),
            "{first:e} {second:e}"
        );
    }
    let map = dense_network(&[matrix(1, 1, vec![1e151]), matrix(1, 1, vec![1.0])], Activation::Relu);
    let chain = Chain::of(&map, Output::All).expect("a chain");
    let refused = check(&chain, &[vec![1.0]], 1.0);
    assert!(matches!(refused, Err(CheckError::OutOfRange { what: "weight", .. })));
}

#[test]
fn a_head_alone_is_a_norm() {
    let map = dense_network(&[matrix(2, 2, vec![3.0, 0.0, 4.0, 0.0])], Activation::Relu);
    let chain = Chain::of(&map, Output::All).expect("a chain");
    assert_eq!(check(&chain, &[], 5.0 * (1.0 + 1e-12)), Ok(()));
    assert!(check(&chain, &[], 5.0 * (1.0 - 1e-12)).is_err());
    let pair = Chain::of(&map, Output::Pair(0, 1)).expect("a chain");
    assert_eq!(check(&pair, &[], 1.0 + 1e-12), Ok(()));
    assert!(check(&pair, &[], 1.0 - 1e-12).is_err());
}

#[test]
fn what_is_no_chain() {
    let w = || Layer::Dense {
        weight: matrix(2, 2, vec![1.0, 0.5, 0.0, 1.0]),
        bias: vec![0.0; 2],
    };
    let relu = || Layer::Activation(Activation::Relu);
    let network = |layers| NetworkMap::new(Shape::Flat(2), layers).expect("a network");
    for (layers, index) in [
        (vec![w(), w()], 0),
        (vec![relu(), w(), w()], 1),
        (vec![w(), relu(), relu(), w()], 0),
    ] {
        let refused = Chain::of(&network(layers), Output::All).map(|chain| chain.first());
        assert!(
            matches!(refused, Err(CheckError::Order { index: found, .. }) if found == index),
            "{refused:?}"
        );
    }
    // A relu in front is a map without weights.
    let map = network(vec![relu(), w(), relu(), w()]);
    assert_eq!(Chain::of(&map, Output::All).expect("a chain").first(), 1);
    for output in [Output::Class(2), Output::Pair(0, 2), Output::Pair(2, 0)] {
        assert_eq!(
            Chain::of(&map, output).map(|_| ()),
            Err(CheckError::NoSuchClass { class: 2, classes: 2 })
        );
    }
}

/// The coupled multipliers of "LipSDP-Network": for `x ↦ relu(x) + relu(−x)`-like pairs they prove a bound that two points exceed. Here they would act on
/// neurons `a`, `b` as `(e_a − e_b)(e_a − e_b)ᵀ`, which asks for `(Δz_a − Δz_b)(Δv_a − Δv_b) ≥ (Δz_a − Δz_b)²`; two points refute that.
#[test]
fn coupled_multipliers_are_refuted() {
    let relu = |v: f64| v.max(0.0);
    // Pre-activations (a, b) at two points.
    let (p, q) = ((1.0, 0.0), (0.0, -1.0));
    let (dv_a, dv_b) = (p.0 - q.0, p.1 - q.1);
    let (dz_a, dz_b) = (relu(p.0) - relu(q.0), relu(p.1) - relu(q.1));
    let coupled = (dz_a - dz_b) * ((dv_a - dv_b) - (dz_a - dz_b));
    assert!(coupled < 0.0, "the coupled constraint would have to be at least 0: {coupled}");
    // Coordinate by coordinate it holds.
    assert!(dz_a * (dv_a - dz_a) >= 0.0 && dz_b * (dv_b - dz_b) >= 0.0);
}

#[test]
fn a_certificate_holds_what_was_checked() {
    let example = Example::two_hidden();
    let (multipliers, bound) = example.inflated(1e-7);
    let claim = ChainClaim {
        output: Output::All,
        lipschitz: bound,
        multipliers,
        dual: Some(DualVectors {
            rank: 1,
            blocks: vec![vec![1.0; 3], vec![1.0; 5], vec![1.0; 4]],
        }),
    };
    let certificate = ChainCertificate::check(&example.map, claim.clone()).expect("a certificate");
    assert_eq!((certificate.first(), certificate.claim()), (0, &claim));
    assert!(certificate.dual_down() <= bound);
    let worse = ChainClaim {
        lipschitz: bound * 0.999,
        ..claim
    };
    assert!(ChainCertificate::check(&example.map, worse).is_err());
}
