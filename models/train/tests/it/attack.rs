//! Attacks find what is there, and nothing that is not.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use lipcert_models::architecture::METADATA_KEY;
use lipcert_models::checkpoint::{PlainTensor, write_safetensors};
use lipcert_models::training::job::{self, ATTACK_EPSILON, ATTACK_INPUT, ATTACK_SAMPLE, Attack, AttackProgress, Event, Model};
use lipcert_proofs::rounding::interval::Interval;
use lipcert_train::{TrainError, attack};
use safetensors::SafeTensors;

use crate::common;

const CLASSES: usize = 10;
/// Values of an input, 3 × 4.
const WIDTH: usize = 12;
const SAMPLES: usize = 12;

/// A linear network, grey images and the radius within which no input is classified differently.
///
/// Radii are far below the distance of the grey values from black and white, so that clipping takes nothing away.
struct Linear {
    folder: tempfile::TempDir,
    pixels: Vec<u8>,
    labels: Vec<u8>,
    radii: Vec<f64>,
}

/// A generator of numbers between −1 and 1 (Knuth's MMIX).
fn generator(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

impl Linear {
    /// The last sample's label is wrong if asked for.
    fn new(wrong_label: bool) -> Self {
        let mut next = generator(5);
        let weight: Vec<f32> = (0..CLASSES * WIDTH).map(|_| next() as f32).collect();
        // no class has the middle to itself
        let bias: Vec<f32> = weight.chunks(WIDTH).map(|row| -0.5 * row.iter().sum::<f32>()).collect();
        let pixels: Vec<u8> = (0..SAMPLES * WIDTH).map(|_| (127.0 + 50.0 * next()) as u8).collect();
        let row = |class: usize| {
            weight[class * WIDTH..(class + 1) * WIDTH]
                .iter()
                .map(|value| f64::from(*value))
        };
        let (mut labels, mut radii) = (Vec::new(), Vec::new());
        for image in pixels.chunks(WIDTH) {
            let logit = |class: usize| {
                let products = row(class)
                    .zip(image)
                    .map(|(weight, pixel)| weight * f64::from(*pixel) / 255.0);
                products.sum::<f64>() + f64::from(bias[class])
            };
            let label = (0..CLASSES)
                .max_by(|left, right| logit(*left).total_cmp(&logit(*right)))
                .unwrap();
            let radius = |other: usize| {
                let squares = row(label).zip(row(other)).map(|(own, other)| (own - other).powi(2));
                (logit(label) - logit(other)) / squares.sum::<f64>().sqrt()
            };
            let others = (0..CLASSES).filter(|other| *other != label);
            radii.push(others.map(radius).fold(f64::INFINITY, f64::min));
            labels.push(u8::try_from(label).unwrap());
        }
        if wrong_label {
            labels[SAMPLES - 1] = (labels[SAMPLES - 1] + 1) % 10;
        }
        let folder = tempfile::tempdir().unwrap();
        let declaration = r#"{"schema":"lipcert/architecture/1","name":"linear","input":[1,3,4],
            "layers":[{"kind":"flatten","name":"flat"},{"kind":"dense","name":"linear"}]}"#;
        let tensors = [
            PlainTensor {
                name: "linear.weight".into(),
                shape: vec![CLASSES, WIDTH],
                values: weight,
            },
            PlainTensor {
                name: "linear.bias".into(),
                shape: vec![CLASSES],
                values: bias,
            },
        ];
        let bytes = write_safetensors(&[(METADATA_KEY.into(), declaration.into())].into(), &tensors).unwrap();
        fs::write(folder.path().join("linear.safetensors"), bytes).unwrap();
        let head = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        let count = u32::try_from(SAMPLES).unwrap();
        let images = [head(&[0x0803, count, 3, 4]), pixels.clone()].concat();
        fs::write(folder.path().join("t10k-images-idx3-ubyte"), images).unwrap();
        fs::write(
            folder.path().join("t10k-labels-idx1-ubyte"),
            [head(&[0x0801, count]), labels.clone()].concat(),
        )
        .unwrap();
        Self {
            folder,
            pixels,
            labels,
            radii,
        }
    }

    fn job(&self, epsilons: Vec<f64>, queries: usize) -> Attack {
        Attack {
            data: format!("mnist:{}", self.folder.path().display()),
            ..job(
                &self.folder.path().join("linear.safetensors"),
                self.folder.path(),
                epsilons,
                queries,
            )
        }
    }

    /// The distance of an input from a sample, enclosed; the sample's bytes are divided exactly.
    fn distance(&self, sample: usize, input: &[f64]) -> Interval {
        let bytes = &self.pixels[sample * WIDTH..(sample + 1) * WIDTH];
        let squares = bytes.iter().zip(input).map(|(byte, value)| {
            let exact = Interval::integer((*byte).into()).div(Interval::integer(255));
            Interval::point(*value).sub(exact).square()
        });
        squares.fold(Interval::ZERO, Interval::add).sqrt()
    }
}

fn job(model: &Path, folder: &Path, epsilons: Vec<f64>, queries: usize) -> Attack {
    Attack {
        model: Model {
            path: model.to_owned(),
            declaration: None,
            preprocess: None,
        },
        data: "digits".into(),
        test: true,
        limit: None,
        epsilons,
        steps: 40,
        restarts: 3,
        queries,
        seed: 7,
        output: folder.join("found.safetensors"),
        device: job::Device::Cpu,
        threads: None,
    }
}

/// Place of the size, sample and input.
type Row = (i64, usize, Vec<f64>);

fn numbers<const N: usize>(bytes: &[u8]) -> Vec<[u8; N]> {
    bytes.chunks_exact(N).map(|chunk| chunk.try_into().unwrap()).collect()
}

fn read(path: &Path) -> Vec<Row> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let integers = |name| {
        numbers(file.tensor(name).unwrap().data())
            .into_iter()
            .map(i64::from_le_bytes)
            .collect::<Vec<i64>>()
    };
    let inputs = file.tensor(ATTACK_INPUT).unwrap();
    assert_eq!(inputs.dtype(), safetensors::Dtype::F64);
    let values: Vec<f64> = numbers(inputs.data()).into_iter().map(f64::from_le_bytes).collect();
    let (epsilons, samples) = (integers(ATTACK_EPSILON), integers(ATTACK_SAMPLE));
    assert_eq!(inputs.shape()[0], epsilons.len());
    let width = inputs.shape()[1];
    let rows = epsilons.into_iter().zip(samples).enumerate();
    rows.map(|(row, (epsilon, sample))| {
        (
            epsilon,
            usize::try_from(sample).unwrap(),
            values[row * width..(row + 1) * width].to_vec(),
        )
    })
    .collect()
}

/// The rows of a job's file, and its progress.
fn attack(job: &Attack) -> (Vec<Row>, Vec<AttackProgress>) {
    let _alone = common::start();
    let mut progress = Vec::new();
    let mut report = |event| match event {
        Event::Attack(one) => progress.push(one),
        Event::Started { .. } => {}
        other => panic!("{other:?}"),
    };
    let path = attack::run(job, &mut report, &|| false).unwrap();
    assert_eq!(path, job.output);
    (read(&path), progress)
}

#[test]
fn ascents_reach_the_radius_and_no_more() {
    let linear = Linear::new(false);
    let epsilons: Vec<f64> = linear
        .radii
        .iter()
        .flat_map(|radius| [0.98 * radius, 1.02 * radius])
        .collect();
    let (rows, progress) = attack(&linear.job(epsilons.clone(), 0));
    for (sample, radius) in linear.radii.iter().enumerate() {
        for (place, epsilon) in epsilons.iter().enumerate() {
            let row = rows
                .iter()
                .find(|row| (row.0, row.1) == (i64::try_from(place).unwrap(), sample));
            // sizes that belong to another sample may lie anywhere
            if *epsilon <= 0.99 * radius {
                assert!(row.is_none(), "sample {sample}, {epsilon} of {radius}");
            } else if *epsilon >= 1.01 * radius {
                let (_, _, input) = row.unwrap_or_else(|| panic!("sample {sample}, {epsilon} of {radius}"));
                assert!(linear.distance(sample, input).at_most(*epsilon));
                assert!(input.iter().all(|value| (0.0..=1.0).contains(value)));
            }
        }
    }
    // none is tried twice for one size and ascent, and what is misled is tried no more
    let first: Vec<_> = progress.iter().filter(|one| one.step == 0).collect();
    assert_eq!((first.len(), first[0].samples, first[0].tried), (1, SAMPLES, SAMPLES));
    assert!(progress.windows(2).all(|pair| pair[1].samples <= pair[0].samples));
}

/// The points of an ascent lie on the sphere; after rounding to float64 they must lie within it all the same.
#[test]
fn distances_hold_in_exact_arithmetic() {
    let linear = Linear::new(false);
    let largest = linear.radii.iter().copied().fold(0.0, f64::max);
    for factor in [1.001, 1.5] {
        let epsilon = factor * largest;
        let (rows, _) = attack(&linear.job(vec![epsilon], 0));
        assert_eq!(rows.len(), SAMPLES);
        for (_, sample, input) in &rows {
            assert!(linear.distance(*sample, input).at_most(epsilon));
        }
    }
}

#[test]
fn decisions_come_near_the_radius() {
    let linear = Linear::new(false);
    let (rows, _) = attack(&linear.job(Vec::new(), 2000));
    assert_eq!(rows.len(), SAMPLES);
    let mut near = 0;
    for (epsilon, sample, input) in &rows {
        let (distance, radius) = (linear.distance(*sample, input), linear.radii[*sample]);
        assert_eq!(*epsilon, -1);
        assert!(
            distance.hi() >= radius * (1.0 - 1e-12),
            "sample {sample}: {distance:?} of {radius}"
        );
        near += usize::from(distance.lo() <= radius * 1.02);
    }
    // the others end at a class that is the nearest from where they came, not of all
    assert!(near >= SAMPLES * 2 / 3, "{near}");
}

#[test]
fn a_wrong_label_needs_no_perturbation() {
    let linear = Linear::new(true);
    let (rows, progress) = attack(&linear.job(vec![1e-6, 1e-9], 100));
    let last = SAMPLES - 1;
    let wrong: Vec<&Row> = rows.iter().filter(|row| row.1 == last).collect();
    assert_eq!(wrong.iter().map(|row| row.0).collect::<Vec<_>>(), [-1, 0, 1]);
    for (_, _, input) in wrong {
        assert!(linear.distance(last, input).at_most(1e-15));
    }
    assert!(rows.iter().all(|row| row.0 == -1 || row.1 == last));
    assert!(progress.iter().all(|one| one.samples == SAMPLES - 1));
    assert_eq!(linear.labels.len(), SAMPLES);
}

#[test]
fn the_same_seed_finds_the_same() {
    let linear = Linear::new(false);
    let middle = linear.radii.iter().sum::<f64>() / SAMPLES as f64;
    let mut job = linear.job(vec![1.2 * middle], 300);
    let (first, _) = attack(&job);
    assert_eq!(first, attack(&job).0);
    job.seed += 1;
    assert_ne!(first, attack(&job).0);
}

#[test]
fn what_was_found_before_a_stop_is_written() {
    let _alone = common::start();
    let linear = Linear::new(false);
    let job = linear.job(vec![10.0 * linear.radii[0], 20.0 * linear.radii[0]], 100);
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 2
    };
    let path: PathBuf = attack::run(&job, &mut |_| (), &stop).unwrap();
    let rows = read(&path);
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row.0 >= 0));
    assert!(!path.with_extension("safetensors.partial").exists());
}

/// The search for the smallest perturbation has more queries than anybody waits for.
#[test]
fn decisions_stop_between_two_batches() {
    let _alone = common::start();
    let linear = Linear::new(false);
    let job = linear.job(Vec::new(), job::MOST_QUERIES);
    for last in [0, 3, 40, 400] {
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            assert!(asked.get() <= last + 40, "it goes on");
            asked.get() > last
        };
        let path = attack::run(&job, &mut |_| (), &stop).unwrap();
        let rows = read(&path);
        assert!(rows.is_empty() || last > 0);
        assert!(!rows.is_empty() || last < 40, "nothing was found");
        for (_, sample, input) in &rows {
            let (distance, radius) = (linear.distance(*sample, input), linear.radii[*sample]);
            assert!(distance.hi() >= radius * (1.0 - 1e-12), "sample {sample}");
        }
    }
}

#[test]
fn endless_attacks_are_refused() {
    let _alone = common::start();
    let linear = Linear::new(false);
    let refuses = |name: &str, change: &dyn Fn(&mut Attack)| {
        let mut job = linear.job(vec![0.1], 10);
        change(&mut job);
        let refused = attack::run(&job, &mut |_| (), &|| false);
        assert!(
            matches!(refused, Err(TrainError::Effort { field, .. }) if field == name),
            "{refused:?}"
        );
    };
    refuses("steps", &|job| job.steps = job::MOST_STEPS + 1);
    refuses("restarts", &|job| job.restarts = job::MOST_RESTARTS + 1);
    refuses("restarts", &|job| job.restarts = usize::MAX);
    refuses("queries", &|job| job.queries = job::MOST_QUERIES + 1);
}

#[test]
fn sizes_must_be_positive() {
    let _alone = common::start();
    let linear = Linear::new(false);
    for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let refused = attack::run(&linear.job(vec![0.1, value], 0), &mut |_| (), &|| false);
        assert!(matches!(refused, Err(TrainError::Epsilon { .. })), "{value}: {refused:?}");
    }
}

/// `certify` proves 315, 256 and 101 of the 360 test samples for these sizes; 339 are classified correctly.
#[test]
fn the_digits_network_is_as_robust_as_proved() {
    let folder = tempfile::tempdir().unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/sll_digits/digits.safetensors");
    let mut job = job(&model, folder.path(), vec![0.1, 0.25, 0.5, 2.0], 0);
    (job.steps, job.restarts) = (10, 1);
    let (rows, _) = attack(&job);
    let broken = |size: i64| rows.iter().filter(|row| row.0 == size).count();
    let robust: Vec<usize> = (0..4).map(|size| 360 - broken(size)).collect();
    assert!(robust[0] >= 315 && robust[1] >= 256 && robust[2] >= 101, "{robust:?}");
    assert!(robust.is_sorted_by(|larger, smaller| larger > smaller), "{robust:?}");
    assert!(robust[0] < 339 && robust[3] == 0, "{robust:?}");
}
