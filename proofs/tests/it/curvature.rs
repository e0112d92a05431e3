//! Rule `curvature`.

use lipcert_proofs::CheckError;
use lipcert_proofs::rounding::forward::{Evaluator, Samples};
use lipcert_proofs::rules::curvature::Curvature;
use lipcert_proofs::rules::margin::{Judgement, Margins};
use lipcert_proofs::statement::{Activation, Layer, NetworkMap, Operation, Shape};
use nalgebra::{DMatrix, DVector};
use proptest::prelude::*;
use serde_json::Value;

use crate::common::{certify, flat, matrix, vector};

/// Dense, softplus, dense.
#[derive(Debug)]
struct Mlp {
    w1: DMatrix<f64>,
    b1: DVector<f64>,
    w2: DMatrix<f64>,
    b2: DVector<f64>,
    beta: f64,
}

impl Mlp {
    fn new((inputs, hidden, classes): (usize, usize, usize), beta: f64, numbers: &[f64]) -> Self {
        let mut rest = numbers.iter().copied();
        let mut take = |rows, cols| DMatrix::from_row_iterator(rows, cols, rest.by_ref().take(rows * cols));
        let (w1, b1, w2, b2) = (take(hidden, inputs), take(hidden, 1), take(classes, hidden), take(classes, 1));
        let (b1, b2) = (b1.column(0).into_owned(), b2.column(0).into_owned());
        Self { w1, b1, w2, b2, beta }
    }

    fn layers(&self) -> Vec<Layer> {
        let dense = |weight: &DMatrix<f64>, bias: &DVector<f64>| Layer::Dense {
            weight: matrix(weight.nrows(), weight.ncols(), weight.transpose().as_slice().to_vec()),
            bias: bias.as_slice().to_vec(),
        };
        let softplus = Layer::Activation(Activation::Softplus { beta: self.beta });
        vec![dense(&self.w1, &self.b1), softplus, dense(&self.w2, &self.b2)]
    }

    fn map(&self) -> NetworkMap {
        NetworkMap::new(Shape::Flat(self.w1.ncols()), self.layers()).expect("a network")
    }

    fn logits(&self, z: &DVector<f64>) -> DVector<f64> {
        let softplus = |v: f64| v.max(0.0) + (-(self.beta * v).abs()).exp().ln_1p() / self.beta;
        &self.w2 * (&self.w1 * z + &self.b1).map(softplus) + &self.b2
    }

    fn difference(&self, z: &DVector<f64>, top: usize, rival: usize) -> f64 {
        let logits = self.logits(z);
        logits[top] - logits[rival]
    }

    fn gradient(&self, z: &DVector<f64>, top: usize, rival: usize) -> DVector<f64> {
        let slope = (&self.w1 * z + &self.b1).map(|v| 1.0 / (1.0 + (-self.beta * v).exp()));
        let w = (self.w2.row(top) - self.w2.row(rival)).transpose();
        self.w1.transpose() * w.component_mul(&slope)
    }

    /// `(β/4) λmax(W₁ᵀ diag(w₋) W₁)`, by nalgebra.
    fn approx_curvature(&self, top: usize, rival: usize) -> f64 {
        let w = (self.w2.row(rival) - self.w2.row(top)).map(|w| w.max(0.0));
        let inner = self.w1.transpose() * DMatrix::from_diagonal(&w.transpose()) * &self.w1;
        self.beta / 4.0 * inner.symmetric_eigenvalues().max()
    }

    /// The smallest distance at which a walk from `z` along a direction meets `f_top ≤ f_rival`; the directions are a fan or random ones, and those of a descent.
    fn attack(&self, z: &DVector<f64>, top: usize, rival: usize, directions: &[DVector<f64>]) -> f64 {
        let mut nearest = f64::INFINITY;
        let try_along = |direction: &DVector<f64>, nearest: &mut f64| {
            let length = direction.norm();
            if !(length > 0.0 && length.is_finite()) {
                return None;
            }
            let unit = direction / length;
            let reach = nearest.min(1e3);
            let hit = (1..=60)
                .map(|k| reach * f64::from(k) / 60.0)
                .find(|step| self.difference(&(z + &unit * *step), top, rival) <= 0.0)?;
            let (mut low, mut high) = (hit - reach / 60.0, hit);
            for _ in 0..60 {
                let middle = 0.5 * (low + high);
                if self.difference(&(z + &unit * middle), top, rival) <= 0.0 {
                    high = middle;
                } else {
                    low = middle;
                }
            }
            *nearest = nearest.min(high);
            Some(z + unit * high)
        };
        for direction in directions {
            try_along(direction, &mut nearest);
        }
        // From a point of the boundary along its normal, again and again.
        let mut direction = -self.gradient(z, top, rival);
        for _ in 0..30 {
            let Some(point) = try_along(&direction, &mut nearest) else {
                break;
            };
            let normal = -self.gradient(&point, top, rival);
            direction = (&point - z).normalize() + normal.normalize() * 0.7;
        }
        nearest
    }
}

fn judge(map: &NetworkMap, sample: &[f64]) -> Judgement {
    let certificate = certify(map);
    let evaluator = Evaluator::new(&certificate).expect("an evaluator");
    let logits = evaluator.evaluate(Samples::Floats(sample)).expect("logits");
    Margins::new(&certificate)
        .expect("margins")
        .judge(&logits[0])
        .expect("a judgement")
}

fn example() -> (Value, Mlp, Vec<f64>) {
    let v = vector("crc_radius");
    let numbers = [flat(&v["W1"]), flat(&v["b1"]), flat(&v["W2"]), flat(&v["b2"])].concat();
    let mlp = Mlp::new((3, 4, 3), v["beta"].as_f64().expect("a number"), &numbers);
    let z = flat(&v["z"]);
    (v, mlp, z)
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[test]
fn the_vectors_numbers() {
    let (v, mlp, z) = example();
    let map = mlp.map();
    let certificate = certify(&map);
    let logits = &Evaluator::new(&certificate)
        .expect("an evaluator")
        .evaluate(Samples::Floats(&z))
        .expect("logits")[0];
    for (class, expected) in flat(&v["logits"]).into_iter().enumerate() {
        assert!((logits.values()[class] - expected).abs() <= logits.error_up(class) + 1e-15);
        assert!(logits.error_up(class) < 1e-13);
    }
    let before = logits.before_mlp_head().expect("an MLP head");
    assert_eq!((before.values.as_slice(), before.error.to_bits()), (z.as_slice(), 0));

    let rule = Curvature::of(&map).expect("an MLP head");
    let at = rule.at(&z).expect("a point");
    let close = |found: f64, expected: f64, tolerance: f64| (found - expected).abs() <= tolerance * expected;
    for target in v["targets"].as_array().expect("targets") {
        let rival = usize::try_from(target["target"].as_u64().expect("a class")).expect("small");
        let (m, big) = (
            rule.curvature_up(1, rival).expect("m"),
            rule.curvature_up(rival, 1).expect("M"),
        );
        // The digits of `m` of target 2 are rounded in the vector.
        assert!(
            m >= mlp.approx_curvature(1, rival) * (1.0 - 1e-14) && close(m, number(&target["m_tight"]), 1e-8),
            "{m}"
        );
        assert!(
            big >= mlp.approx_curvature(rival, 1) * (1.0 - 1e-14) && close(big, number(&target["M_tight"]), 1e-9),
            "{big}"
        );
        let fast = rule.fast_down(&at, 1, rival).expect("a radius");
        let expected = number(&target["radius_fast_quadratic_with_tight_m"]);
        assert!(fast <= expected * (1.0 + 1e-14) && close(fast, expected, 1e-8), "{fast}");
        let tight = rule.tight_down(&at, 1, rival).expect("a radius");
        // Target 0 saturates in the vector, at η = 1/max(m, M); with 1/m the dual goes further.
        let (dual, boundary) = (
            number(&target["dual_value_sqrt_radius"]),
            number(&target["nearest_boundary_distance_found"]),
        );
        // In 40 digits (mpmath, the conditions of the nearest point) the boundary of target 2 is at 1.15121371965079024; the vector's was found in float64.
        let boundary = if rival == 2 { 1.151_213_719_650_790_2 } else { boundary };
        assert!(tight >= dual - 1e-6 && tight <= boundary, "{tight} {dual} {boundary}");
        assert!(tight > fast);
        // The pair in the other order is lost.
        assert_eq!(rule.fast_down(&at, rival, 1), Ok(0.0));
        assert_eq!(rule.tight_down(&at, rival, 1), Ok(0.0));
    }
    let judgement = judge(&map, &z);
    let expected = number(&v["radius_tight"]);
    let radius = judgement.radius.value();
    assert_eq!(judgement.predicted, 1);
    assert!(radius <= 1.151_213_719_650_790_2 && close(radius, expected, 1e-6), "{radius}");
}

/// The error of the input of the head, a gain before it, and layers before it.
#[test]
fn what_stands_before_the_head() {
    let (_, mlp, z) = example();
    let whole = judge(&mlp.map(), &z).radius.value();
    let constant = |operation, value| Layer::Elementwise {
        operation,
        operand: vec![value; 3],
    };
    let network = |front: Vec<Layer>| NetworkMap::new(Shape::Flat(3), [front, mlp.layers()].concat()).expect("a network");
    // x ↦ 4x: the radius is a quarter.
    let quarter: Vec<f64> = z.iter().map(|value| value / 4.0).collect();
    let gained = judge(&network(vec![constant(Operation::Multiply, 4.0)]), &quarter)
        .radius
        .value();
    assert!((gained * 4.0 - whole).abs() < 1e-9, "{gained}");
    // x ↦ (x + 1e12) − 1e12 is the identity, computed with an error of up to 6e-5 an entry; the radius must not profit from where it falls.
    let rough = network(vec![constant(Operation::Add, 1e12), constant(Operation::Subtract, 1e12)]);
    for k in 0..12 {
        let moved: Vec<f64> = z.iter().map(|value| value + f64::from(k) * 1.1e-5).collect();
        let (rough, whole) = (judge(&rough, &moved).radius.value(), judge(&mlp.map(), &moved).radius.value());
        assert!(rough <= whole && rough > whole - 2e-3, "{rough} {whole}");
    }
}

#[test]
fn which_heads() {
    let (_, mlp, _) = example();
    let mut layers = mlp.layers();
    layers[1] = Layer::Activation(Activation::Tanh);
    let other = NetworkMap::new(Shape::Flat(3), layers).expect("a network");
    assert!(Curvature::of(&other).is_none() && !Curvature::applies(&other) && Curvature::applies(&mlp.map()));
    let map = mlp.map();
    let rule = Curvature::of(&map).expect("an MLP head");
    assert_eq!(rule.curvature_up(0, 3), Err(CheckError::NoSuchClass { class: 3, classes: 3 }));
    assert!(matches!(rule.at(&[0.0; 2]), Err(CheckError::Shape { .. })));
    assert!(matches!(rule.at(&[0.0, f64::NAN, 0.0]), Err(CheckError::NotFinite { .. })));
}

/// Rows of the last layer that are the same: their biases decide alone. Rows in order: no curvature downwards, the fast radius is that of the tangent.
#[test]
fn ties_and_no_curvature() {
    for (bias, expected) in [([0.5, 0.0], f64::INFINITY), ([0.0, 0.0], 0.0)] {
        let mlp = Mlp::new((1, 2, 2), 1.0, &[1.0, -1.0, 0.0, 0.0, 2.0, 3.0, 2.0, 3.0, bias[0], bias[1]]);
        let radius = judge(&mlp.map(), &[0.25]).radius.value();
        assert!(radius >= expected.min(1e300) && (expected > 0.0 || radius <= 0.0), "{radius}");
    }
    let mlp = Mlp::new((1, 1, 2), 1.0, &[1.0, 0.0, 2.0, 1.0, -1.0, 0.0]);
    let (map, z) = (mlp.map(), DVector::from_vec(vec![1.0]));
    let rule = Curvature::of(&map).expect("an MLP head");
    assert_eq!(rule.curvature_up(0, 1), Ok(0.0));
    assert!(rule.curvature_up(1, 0).expect("M") >= 0.25);
    let at = rule.at(&[1.0]).expect("a point");
    let tangent = mlp.difference(&z, 0, 1) / mlp.gradient(&z, 0, 1).norm();
    assert!((rule.fast_down(&at, 0, 1).expect("a radius") - tangent).abs() < 1e-13);
    // g = softplus(z) − 1 is zero at ln(e − 1), which the dual finds.
    let boundary = 1.0 - (1f64.exp() - 1.0).ln();
    let tight = rule.tight_down(&at, 0, 1).expect("a radius");
    assert!(tight <= boundary && tight > boundary - 1e-9, "{tight} {boundary}");
}

/// A rival that is neither the second nor the third, but nearest.
#[test]
fn every_rival_counts() {
    let rows = [3.0, 0.0, 2.9, 0.0, 2.8, 0.0, 0.0, 9.0];
    let mlp = Mlp::new(
        (2, 2, 4),
        1.0,
        &[&[1.0, 0.0, 0.0, 1.0, 0.0, 0.0], &rows[..], &[0.0, -5.0, -5.0, -1.0]].concat(),
    );
    let z = [4.0, -1.0];
    let judgement = judge(&mlp.map(), &z);
    let map = mlp.map();
    let rule = Curvature::of(&map).expect("an MLP head");
    let at = rule.at(&z).expect("a point");
    let best = |rival| {
        let (fast, tight) = (rule.fast_down(&at, 0, rival), rule.tight_down(&at, 0, rival));
        fast.expect("a radius").max(tight.expect("a radius"))
    };
    let radii: Vec<f64> = (1..4).map(best).collect();
    assert_eq!(judgement.predicted, 0);
    assert!(
        judgement.radius.value() <= radii[2] && radii[2] < radii[0].min(radii[1]),
        "{judgement:?} {radii:?}"
    );
}

fn heads(inputs: usize) -> impl Strategy<Value = (Mlp, Vec<f64>)> {
    let entry = prop_oneof![8 => -2.0..2.0f64, 1 => Just(0.0), 1 => -9.0..9.0f64];
    (1usize..6, 2usize..5, prop_oneof![Just(1.0), 0.2..6.0f64]).prop_flat_map(move |(hidden, classes, beta)| {
        let count = hidden * (inputs + 1) + classes * (hidden + 1);
        (
            prop::collection::vec(entry.clone(), count),
            prop::collection::vec(-2.0..2.0f64, inputs),
        )
            .prop_map(move |(numbers, z)| (Mlp::new((inputs, hidden, classes), beta, &numbers), z))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// In the plane a fan of directions misses no boundary by much: the radius is never beyond it, and the dual is often at it.
    #[test]
    fn no_boundary_within_the_radius_in_the_plane((mlp, z) in heads(2)) {
        let judgement = judge(&mlp.map(), &z);
        let (top, point) = (judgement.predicted, DVector::from_vec(z));
        let fan: Vec<_> = (0..180).map(|k| f64::from(k) * std::f64::consts::TAU / 180.0).map(|a| DVector::from_vec(vec![a.cos(), a.sin()])).collect();
        for rival in (0..mlp.w2.nrows()).filter(|rival| *rival != top) {
            let found = mlp.attack(&point, top, rival, &fan);
            prop_assert!(judgement.radius.value() <= found * (1.0 + 1e-9) + 1e-9, "{judgement:?} {rival} {found}");
        }
    }

    #[test]
    fn no_boundary_within_the_radius_in_space((mlp, z) in heads(5), seeds in prop::collection::vec(-1.0..1.0f64, 100)) {
        let map = mlp.map();
        let judgement = judge(&map, &z);
        let (top, point) = (judgement.predicted, DVector::from_vec(z.clone()));
        let random: Vec<_> = seeds.chunks(5).map(DVector::from_row_slice).collect();
        let rule = Curvature::of(&map).expect("an MLP head");
        let at = rule.at(&z).expect("a point");
        for rival in (0..mlp.w2.nrows()).filter(|rival| *rival != top) {
            let found = mlp.attack(&point, top, rival, &random);
            let (fast, tight) = (rule.fast_down(&at, top, rival).expect("a radius"), rule.tight_down(&at, top, rival).expect("a radius"));
            for radius in [judgement.radius.value(), fast, tight] {
                prop_assert!(radius <= found * (1.0 + 1e-9) + 1e-9, "{radius} {rival} {found}");
            }
            // The dual holds all that the fast formula knows, but for a thousandth: it stops a little before 1/m.
            prop_assert!(tight >= fast * 0.999 - 1e-9 || found > 1e3, "{tight} {fast}");
            let (m, approx) = (rule.curvature_up(top, rival).expect("m"), mlp.approx_curvature(top, rival));
            prop_assert!(m >= approx * (1.0 - 1e-12) && m <= approx * 1.1 + 1e-12, "{m} {approx}");
        }
    }
}
