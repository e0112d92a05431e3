//! What the solvers find, the proofs accept; and what the proofs accept is true.

use lipcert_proofs::certificate::{ChainCertificate, ChainClaim};
use lipcert_proofs::statement::{Activation, Chain, Layer, Matrix, NetworkMap, Output, Shape};
use lipcert_solver::assemble::chain::solve;
use lipcert_solver::chain::{Candidate, Sharing, Solution, Status, Unwatched};
use lipcert_solver::clarabel;
use lipcert_solver::convert;
use lipcert_solver::structured::{Options, lipsdp};
use num_bigint::BigInt;
use num_rational::BigRational;

/// A small generator with a period of 2⁶⁴.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [−1, 1).
    fn signed(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn size(&mut self, most: u64) -> usize {
        usize::try_from(1 + self.bits() % most).expect("small")
    }
}

/// A tiny network of one to three hidden layers.
fn network(random: &mut Random) -> NetworkMap {
    let hidden = random.size(3);
    let widths: Vec<usize> = (0..hidden + 2).map(|_| random.size(4)).collect();
    let activation = match random.bits() % 3 {
        0 => Activation::LeakyRelu {
            slope: random.signed() * 0.4,
        },
        _ => Activation::Relu,
    };
    let mut layers = Vec::new();
    for (index, pair) in widths.windows(2).enumerate() {
        if index > 0 {
            layers.push(Layer::Activation(activation));
        }
        let mut data: Vec<f64> = (0..pair[0] * pair[1]).map(|_| 1.5 * random.signed()).collect();
        if random.bits().is_multiple_of(8) {
            // A dead neuron.
            data[..pair[0]].fill(0.0);
        }
        layers.push(Layer::Dense {
            weight: Matrix::new("weight", pair[1], pair[0], data).expect("a matrix"),
            bias: (0..pair[1]).map(|_| random.signed()).collect(),
        });
    }
    NetworkMap::new(Shape::Flat(widths[0]), layers).expect("a network")
}

fn exact(value: f64) -> BigRational {
    BigRational::from_float(value).expect("finite")
}

fn zero() -> BigRational {
    BigRational::from(BigInt::from(0))
}

/// The network at a point, in fractions.
fn evaluate(map: &NetworkMap, input: &[f64]) -> Vec<BigRational> {
    let mut x: Vec<BigRational> = input.iter().map(|value| exact(*value)).collect();
    for layer in map.layers() {
        x = match layer {
            Layer::Dense { weight, bias } => (0..weight.rows())
                .map(|i| {
                    weight
                        .row(i)
                        .iter()
                        .zip(&x)
                        .fold(exact(bias[i]), |sum, (w, x)| sum + exact(*w) * x)
                })
                .collect(),
            Layer::Activation(activation) => {
                let slope = match activation {
                    Activation::Relu => 0.0,
                    Activation::Abs => -1.0,
                    Activation::LeakyRelu { slope } => *slope,
                    smooth => unreachable!("{smooth:?} has no exact values"),
                };
                x.into_iter().map(|v| if v < zero() { v * exact(slope) } else { v }).collect()
            }
            _ => unreachable!("dense layers and activations"),
        };
    }
    x
}

fn distance_squared(a: &[BigRational], b: &[BigRational]) -> BigRational {
    a.iter().zip(b).fold(zero(), |sum, (a, b)| sum + (a - b) * (a - b))
}

/// Exact LDLᵀ of `P(Λ, ρ)`, formed entry by entry.
fn exactly_semidefinite(chain: &Chain<'_>, multipliers: &[Vec<f64>], lipschitz: f64) -> bool {
    let widths = chain.widths();
    let starts: Vec<usize> = (0..widths.len()).map(|i| widths[..i].iter().sum()).collect();
    let total: usize = widths.iter().sum();
    let mut p = vec![vec![zero(); total]; total];
    for (i, row) in p.iter_mut().enumerate().take(widths[0]) {
        row[i] = exact(lipschitz) * exact(lipschitz);
    }
    for (layer, weight) in chain.weights().iter().enumerate() {
        let (lo, hi) = chain.slopes()[layer];
        for (k, lambda) in multipliers[layer].iter().enumerate() {
            // (e − lo w)(e − hi w)ᵀ λ, twice its symmetric part.
            let side = |slope: f64| -> Vec<(usize, BigRational)> {
                let before = (0..weight.cols()).map(|j| (starts[layer] + j, -exact(slope) * exact(weight.row(k)[j])));
                before
                    .chain([(starts[layer + 1] + k, BigRational::from(BigInt::from(1)))])
                    .collect()
            };
            let (a, b) = (side(lo), side(hi));
            let lambda = exact(*lambda);
            for (i, x) in &a {
                for (j, y) in &b {
                    let term = &lambda * x * y;
                    p[*i][*j] += &term;
                    p[*j][*i] += &term;
                }
            }
        }
    }
    let (last, head) = (starts[widths.len() - 1], chain.head());
    for row in 0..head.rows() {
        for a in 0..head.cols() {
            for b in 0..head.cols() {
                p[last + a][last + b] -= exact(head.row(row)[a]) * exact(head.row(row)[b]);
            }
        }
    }
    for k in 0..total {
        let (head, tail) = p.split_at_mut(k + 1);
        let pivot = &head[k];
        if pivot[k] <= zero() {
            return false;
        }
        for row in tail {
            let factor = &row[k] / &pivot[k];
            for (value, above) in row.iter_mut().zip(pivot).skip(k) {
                *value -= &factor * above;
            }
        }
    }
    true
}

/// The smallest bound that a candidate and an inflation of it prove.
fn prove<'a>(map: &'a NetworkMap, solution: &Solution) -> ChainCertificate<'a> {
    let inflations = [1e-13, 1e-11, 1e-9, 1e-8, 3e-8, 1e-7, 2e-7, 4e-7, 1e-6, 1e-5, 1e-4];
    let mut attempts: Vec<(f64, &Candidate, f64)> = solution
        .candidates
        .iter()
        .flat_map(|candidate| inflations.map(|excess| (candidate.lipschitz * (1.0 + excess), candidate, excess)))
        .collect();
    attempts.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (lipschitz, candidate, excess) in attempts {
        let multipliers = candidate.multipliers.iter();
        let claim = ChainClaim {
            output: Output::All,
            lipschitz,
            multipliers: multipliers
                .map(|layer| layer.iter().map(|value| value * (1.0 + excess)).collect())
                .collect(),
            dual: solution.dual.as_ref().map(convert::dual),
        };
        if let Ok(certificate) = ChainCertificate::check(map, claim) {
            return certificate;
        }
    }
    panic!("no candidate of {:?} is proved: {map:?}", solution.status);
}

/// 200 tiny networks: every certificate passes exact elimination, no bound is below a difference quotient in fractions, no dual bound above the proved
/// one, and the two solvers agree.
#[test]
fn two_hundred_tiny_networks() {
    let mut random = Random(7);
    let mut compared = 0;
    for case in 0..200 {
        let map = network(&mut random);
        let chain = Chain::of(&map, Output::All).expect("a chain");
        let problem = convert::chain(&chain).expect("finite");
        let options = Options {
            tolerance: 1e-8,
            ..Options::default()
        };
        let solution = lipsdp(&problem, &options, &Unwatched).expect("a solution");
        let certificate = prove(&map, &solution);
        let upper = certificate.lipschitz();
        assert!(
            exactly_semidefinite(&chain, &certificate.claim().multipliers, upper),
            "case {case}"
        );
        assert!(certificate.dual_down() <= upper, "case {case}");
        for _ in 0..20 {
            let mut point = || -> Vec<f64> { (0..chain.widths()[0]).map(|_| 3.0 * random.signed()).collect() };
            let (x, y) = (point(), point());
            let bound = exact(upper) * exact(upper);
            let inputs: Vec<Vec<BigRational>> = [&x, &y].map(|p| p.iter().map(|v| exact(*v)).collect()).into();
            let moved = distance_squared(&evaluate(&map, &x), &evaluate(&map, &y));
            assert!(moved <= bound * distance_squared(&inputs[0], &inputs[1]), "case {case}");
        }
        let general = solve(&problem, Sharing::Neuron, &clarabel::Options::default());
        if let Ok(general) = general
            && (general.status, solution.status) == (Status::Converged, Status::Converged)
            && upper > 1e-9
        {
            let other = prove(&map, &general).lipschitz();
            // A dead neuron's multiplier grows without limit, so the optimum is not attained and the general solver stops a little short of it.
            let dead = chain
                .weights()
                .iter()
                .any(|w| (0..w.rows()).any(|k| w.row(k).iter().all(|v| *v == 0.0)));
            let tolerance = if dead { 1e-5 } else { 1e-6 };
            assert!((other - upper).abs() <= tolerance * upper, "case {case}: {other} {upper}");
            compared += 1;
        }
    }
    assert!(compared > 150, "only {compared} networks were solved by both");
}
