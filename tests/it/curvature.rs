//! Heads with one hidden softplus layer, from a declared file to radii.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lipcert_models::architecture::METADATA_KEY;
use lipcert_models::checkpoint::{Checkpoint, PlainTensor, write_safetensors};
use lipcert_models::forward::Prepared;
use lipcert_models::network::{LoadOptions, Network};
use ndarray::Array2;

use crate::cli::lipcert;

const DECLARATION: &str = r#"{"schema":"lipcert/architecture/1","name":"curved","input":[1,8,8],"layers":[
    {"kind":"flatten","name":"0"},{"kind":"aol","name":"1"},
    {"kind":"dense","name":"2"},{"kind":"softplus","name":"3","beta":1.0},{"kind":"dense","name":"4"}]}"#;

fn write(path: &Path) {
    let tensor = |name: &str, shape: &[usize], seed: usize| PlainTensor {
        name: name.to_owned(),
        shape: shape.to_vec(),
        values: (0..shape.iter().product::<usize>())
            .map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0)
            .collect(),
    };
    let tensors = [
        tensor("1.weight", &[16, 64], 1),
        tensor("1.bias", &[16], 2),
        tensor("2.weight", &[12, 16], 3),
        tensor("2.bias", &[12], 4),
        tensor("4.weight", &[10, 12], 5),
        tensor("4.bias", &[10], 6),
    ];
    let metadata = BTreeMap::from([(METADATA_KEY.to_owned(), DECLARATION.to_owned())]);
    fs::write(path, write_safetensors(&metadata, &tensors).unwrap()).unwrap();
}

/// The top class and how far it is above the next.
fn top(logits: &[f64]) -> (usize, f64) {
    let best = (0..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best });
    let rivals = logits.iter().enumerate().filter(|(class, _)| *class != best);
    let next = rivals.fold(f64::NEG_INFINITY, |next, (_, value)| next.max(*value));
    (best, logits[best] - next)
}

#[test]
fn no_step_of_a_certified_length_changes_the_class() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (model, table) = (path("curved.safetensors"), path("samples.csv"));
    write(Path::new(&model));

    let arguments = [
        "certify",
        &model,
        "--data",
        "digits",
        "--eps",
        "0.05",
        "--limit",
        "30",
        "--samples",
        &table,
        "--json",
    ];
    let certified = lipcert(arguments);
    assert_eq!(certified.status, Some(0), "{certified:?}");
    let certified = certified.json();
    assert_eq!(certified["verdict"], "certified");
    assert!(
        certified["rule"].as_str().unwrap().contains("curvature"),
        "{}",
        certified["rule"]
    );

    let network = Network::load(&Checkpoint::open(Path::new(&model)).unwrap(), &LoadOptions::default()).unwrap();
    let plain = Prepared::<f64>::new(&network.map);
    let logits = |x: &[f64]| -> Vec<f64> {
        let x = Array2::from_shape_vec((1, x.len()), x.to_vec()).unwrap();
        plain.evaluate(x.view()).unwrap().into_iter().collect()
    };
    let digits = include_str!("../../models/assets/digits.csv");
    let rows = fs::read_to_string(&table).unwrap();
    let mut lines = rows.lines();
    let radius = lines
        .next()
        .unwrap()
        .split(',')
        .position(|column| column == "radius")
        .unwrap();
    let mut beyond = 0;
    for (line, sample) in lines.zip(digits.lines().skip(1437)) {
        let radius: f64 = line.split(',').nth(radius).unwrap().parse().unwrap();
        let x: Vec<f64> = sample
            .split(',')
            .take(64)
            .map(|value| value.parse::<f64>().unwrap() / 16.0)
            .collect();
        let class = top(&logits(&x)).0;
        // Steps against the gradient of the margin, brought back to the sphere each time.
        let mut step = vec![0.0; 64];
        let walk = |step: &mut Vec<f64>, length: f64| {
            let at = |step: &[f64]| -> Vec<f64> { x.iter().zip(step).map(|(a, b)| a + b).collect() };
            let margin = |step: &[f64]| {
                let values = logits(&at(step));
                let rival = (0..10)
                    .filter(|j| *j != class)
                    .map(|j| values[j])
                    .fold(f64::NEG_INFINITY, f64::max);
                values[class] - rival
            };
            let here = margin(step);
            let slope: Vec<f64> = (0..64)
                .map(|i| {
                    let mut near = step.clone();
                    near[i] += 1e-6;
                    (margin(&near) - here) / 1e-6
                })
                .collect();
            step.iter_mut().zip(&slope).for_each(|(value, slope)| *value -= slope);
            let norm = step.iter().map(|value| value * value).sum::<f64>().sqrt();
            step.iter_mut().for_each(|value| *value *= length / norm);
            margin(step)
        };
        for _ in 0..6 {
            assert!(walk(&mut step, radius * (1.0 - 1e-9)) > -1e-9, "{line}");
        }
        // The radius is not idle: much longer steps do change it.
        beyond += usize::from((0..6).any(|_| walk(&mut step, radius * 4.0) < 0.0));
    }
    assert!(beyond >= 15, "{beyond}");
}
