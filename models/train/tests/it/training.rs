//! The training loop: taken up again, in parts, with parameters that stay.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use lipcert_models::architecture::METADATA_KEY;
use lipcert_models::checkpoint::{PlainTensor, write_safetensors};
use lipcert_models::training::Config;
use lipcert_models::training::config::Moving;
use lipcert_models::training::folder::{Hold, TRAINER_HOLD};
use lipcert_models::training::job::{Device, Event, Model, Train};
use lipcert_proofs::format::hexadecimal;
use lipcert_train::TrainError;
use lipcert_train::train::{MODEL, STATE, run};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::common;

/// A small network on the first 200 digits, every part of the loop in use.
pub(crate) fn config() -> Config {
    let text = json!({
        "schema": "lipcert/train-config/1",
        "seed": 3,
        "data": { "train": "digits", "limit": 200, "validation": 0.2 },
        "network": {
            "name": "mixed",
            "preprocess": "mean=0.3053;std=0.5",
            "layers": [
                { "kind": "pad-channels", "channels": 2 },
                { "kind": "cpl-conv", "inner": 3 },
                { "kind": "sll-conv", "inner": 3 },
                { "kind": "flatten" },
                { "kind": "sll-dense", "inner": 16 },
                { "kind": "spectral", "outputs": 32 },
                { "kind": "max-min" },
                { "kind": "normalized-head" },
            ],
        },
        "loss": { "kind": "soft-hkr", "alpha": 0.9, "margin": 0.5 },
        "regularizer": { "certificate": 0.1 },
        "optimizer": { "kind": "nadam", "rate": 0.01, "lookahead": 3 },
        "schedule": { "kind": "one-cycle" },
        "augment": { "crop": 1, "rotate": 5.0 },
        "train": { "epochs": 3, "batch": 48, "clip-norm": 5.0 },
    });
    serde_json::from_value(text).unwrap()
}

pub(crate) fn task(config: Config, folder: &Path) -> Train {
    Train {
        config,
        folder: folder.to_owned(),
        start: None,
        resume: false,
        device: Device::Cpu,
        threads: Some(1),
    }
}

/// Trains to the end; returns the epochs' losses.
pub(crate) fn train(task: &Train) -> Vec<f64> {
    let mut losses = Vec::new();
    let end = run(
        task,
        &mut |event| {
            if let Event::Epoch(epoch) = event {
                losses.push(epoch.loss);
            }
        },
        &|| false,
    );
    assert!(matches!(end.unwrap(), Event::Finished { stopped: false, .. }));
    losses
}

/// Trains with stops behind these numbers of steps, counted from where each part begins.
fn train_in_parts(config: &Config, folder: &Path, stops: &[usize]) {
    for (part, steps) in stops.iter().enumerate() {
        let asked = Cell::new(0);
        let mut task = task(config.clone(), folder);
        task.resume = part > 0;
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() >= *steps
        };
        run(&task, &mut |_| (), &stop).unwrap();
    }
    let mut task = task(config.clone(), folder);
    task.resume = true;
    let end = run(&task, &mut |_| (), &|| false).unwrap();
    assert!(
        matches!(
            end,
            Event::Finished {
                stopped: false,
                best: Some(_),
                ..
            }
        ),
        "{end:?}"
    );
}

#[test]
fn a_training_that_was_stopped_ends_as_one_that_was_not() {
    let _alone = common::start();
    for validation in [0.2, 0.0] {
        let mut config = config();
        config.data.validation = validation;
        let whole = tempfile::tempdir().unwrap();
        train(&task(config.clone(), whole.path()));
        let each = if validation > 0.0 { 4 } else { 5 };
        // in the middle of an epoch and of the third; at the end of the first; at the end of all
        for stops in [&[2, 7][..], &[each], &[3 * each]] {
            let parts = tempfile::tempdir().unwrap();
            train_in_parts(&config, parts.path(), stops);
            for name in [MODEL, STATE] {
                let read = |folder: &Path| fs::read(folder.join(name)).unwrap();
                assert!(read(whole.path()) == read(parts.path()), "{name} {validation} {stops:?}");
            }
        }
    }
}

/// Without samples that are held out no epoch is the best before the last; a training that stops leaves the network as it is.
#[test]
fn a_stop_leaves_a_model() {
    let _alone = common::start();
    for (validation, steps, best) in [(0.0, 7, None), (0.2, 2, None), (0.2, 6, Some(0))] {
        let mut config = config();
        config.data.validation = validation;
        let folder = tempfile::tempdir().unwrap();
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() >= steps
        };
        let Event::Finished {
            sha256,
            stopped: true,
            best: found,
            ..
        } = run(&task(config, folder.path()), &mut |_| (), &stop).unwrap()
        else {
            panic!("not stopped")
        };
        assert_eq!(found, best);
        let model = fs::read(folder.path().join(MODEL)).unwrap();
        assert_eq!(sha256.unwrap(), hexadecimal(&Sha256::digest(model)));
    }
}

/// A program that is killed between two files leaves a model that its state does not know; going on, it answers for what it leaves.
#[test]
fn a_model_that_the_state_does_not_know_is_replaced() {
    let _alone = common::start();
    for steps in [6, usize::MAX] {
        let folder = tempfile::tempdir().unwrap();
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() >= steps
        };
        run(&task(config(), folder.path()), &mut |_| (), &stop).unwrap();
        fs::write(folder.path().join(MODEL), "another").unwrap();
        for name in ["certificate.json", "report.html"] {
            fs::write(folder.path().join(name), "of another").unwrap();
        }
        let mut resumed = task(config(), folder.path());
        resumed.resume = true;
        let mut warned = false;
        let mut report =
            |event| warned |= matches!(event, Event::Warning { message } if message.contains("not the model of the state"));
        let Event::Finished { sha256, .. } = run(&resumed, &mut report, &|| false).unwrap() else {
            panic!("not finished")
        };
        assert!(warned);
        let model = fs::read(folder.path().join(MODEL)).unwrap();
        assert_eq!(sha256.unwrap(), hexadecimal(&Sha256::digest(model)));
        assert!(!folder.path().join("certificate.json").exists() && !folder.path().join("report.html").exists());
    }
}

/// Files that are not the training's stay, whatever they are called, and so does what a link leads to.
#[test]
fn files_of_others_stay() {
    let _alone = common::start();
    let folder = tempfile::tempdir().unwrap();
    let others = [
        "model.part",
        "state.part",
        "initial-0.part",
        "initial-0.safetensors",
        "other.jsonl",
    ];
    for name in others {
        fs::write(folder.path().join(name), name).unwrap();
    }
    let mut short = config();
    short.train.epochs = 1;
    train(&task(short.clone(), folder.path()));
    let log = folder.path().join("log.jsonl");
    fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink(folder.path().join("other.jsonl"), &log).unwrap();
    let mut resumed = task(short, folder.path());
    resumed.resume = true;
    let refused = run(&resumed, &mut |_| (), &|| false);
    assert!(
        matches!(&refused, Err(TrainError::File { path, .. }) if *path == log),
        "{refused:?}"
    );
    for name in others {
        assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), name);
    }
    // Nothing of the work is left: the log, the curves, the model and the state.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), others.len() + 4);
}

#[test]
fn one_program_a_folder() {
    let _alone = common::start();
    let folder = tempfile::tempdir().unwrap();
    let held = Hold::take(&folder.path().join(TRAINER_HOLD)).unwrap().unwrap();
    let refused = run(&task(config(), folder.path()), &mut |_| (), &|| false);
    assert!(matches!(refused, Err(TrainError::Busy { .. })), "{refused:?}");
    drop(held);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    // A stop before the first step leaves nothing.
    let stopped = run(&task(config(), folder.path()), &mut |_| (), &|| true).unwrap();
    assert!(
        matches!(
            stopped,
            Event::Finished {
                stopped: true,
                sha256: None,
                ..
            }
        ),
        "{stopped:?}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn another_training_is_not_taken_up() {
    let _alone = common::start();
    let folder = tempfile::tempdir().unwrap();
    let mut first = config();
    first.train.epochs = 1;
    train(&task(first.clone(), folder.path()));
    first.seed = 4;
    let mut other = task(first, folder.path());
    other.resume = true;
    let refused = run(&other, &mut |_| (), &|| false);
    assert!(
        matches!(
            refused,
            Err(TrainError::OtherState {
                other: "configuration",
                ..
            })
        ),
        "{refused:?}"
    );
    fs::copy(folder.path().join(MODEL), folder.path().join(STATE)).unwrap();
    let refused = run(&other, &mut |_| (), &|| false);
    assert!(matches!(refused, Err(TrainError::NoState { .. })), "{refused:?}");
}

#[test]
fn a_batch_in_parts_is_one_batch() {
    let _alone = common::start();
    let mut plain = config();
    // losses that are means over samples, and an optimiser that does not magnify the last bit
    plain.loss = serde_json::from_value(json!({ "kind": "cross-entropy", "temperature": 0.5 })).unwrap();
    plain.optimizer = serde_json::from_value(json!({ "kind": "sgd", "rate": 0.1 })).unwrap();
    let mut divided = plain.clone();
    divided.train.accumulate = 5;
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let one = train(&task(plain, folders[0].path()));
    let five = train(&task(divided, folders[1].path()));
    for (one, five) in one.iter().zip(&five) {
        assert!((one - five).abs() < 1e-4 * one.abs(), "{one} {five}");
    }
}

#[test]
fn bfloat16_is_near_float32() {
    let _alone = common::start();
    let mut plain = config();
    plain.loss = serde_json::from_value(json!({ "kind": "cross-entropy", "temperature": 0.5 })).unwrap();
    plain.optimizer = serde_json::from_value(json!({ "kind": "sgd", "rate": 0.1 })).unwrap();
    let mut short = plain.clone();
    short.train.precision = lipcert_models::training::config::Precision::Bfloat16;
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let long = train(&task(plain, folders[0].path()));
    let short = train(&task(short, folders[1].path()));
    for (long, short) in long.iter().zip(&short) {
        let difference = (long - short).abs() / long.abs();
        // eight bits, but not the same number
        assert!(difference < 1.0 / 64.0 && difference > 1e-7, "{long} {short}");
    }
}

#[test]
fn parameters_that_do_not_move_stay() {
    let _alone = common::start();
    let folder = tempfile::tempdir().unwrap();
    let start = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/sll_digits/digits.safetensors");
    let tensors = |path: &Path| {
        let checkpoint = lipcert_models::checkpoint::Checkpoint::open(path).unwrap();
        let names: Vec<String> = checkpoint.tensors().iter().map(|info| info.name.clone()).collect();
        names
            .into_iter()
            .map(|name| (checkpoint.read(&name).unwrap(), name))
            .collect::<Vec<_>>()
    };
    let before = tensors(&start);
    for moving in [Moving::All, Moving::Head, Moving::BiasesAndScales] {
        let mut config = config();
        config.network = None;
        config.loss = serde_json::from_value(json!({ "kind": "cross-entropy" })).unwrap();
        config.train.epochs = 1;
        config.finetune = Some(lipcert_models::training::config::Finetune { parameters: moving });
        let mut task = task(config, folder.path());
        task.start = Some(Model {
            path: start.clone(),
            declaration: None,
            preprocess: None,
        });
        let mut counted = 0;
        let mut report = |event| {
            if let Event::Started { moving, .. } = event {
                counted = moving;
            }
        };
        run(&task, &mut report, &|| false).unwrap();
        let last = before.iter().map(|(_, name)| name.rsplit_once('.').unwrap().0).max().unwrap();
        let mut moved = 0;
        for ((old, name), (new, same)) in before.iter().zip(tensors(&folder.path().join(MODEL))) {
            assert_eq!(*name, same);
            let (layer, field) = name.rsplit_once('.').unwrap();
            let moves = match moving {
                // `q` cancels in these convolutions
                Moving::All => {
                    field != "q"
                        || !name.contains(".1.") && !name.contains(".2.") && !name.contains(".3.") && !name.contains(".4.")
                }
                Moving::Head => layer == last,
                Moving::BiasesAndScales => field == "bias" || (field == "q" && (layer.ends_with(".7") || layer.ends_with(".8"))),
            };
            assert_eq!(*old != new, moves, "{moving:?} {name}");
            moved += if moves { old.len() } else { 0 };
        }
        assert_eq!(counted, moved, "{moving:?}");
    }
}

/// As files of dense stacks are: nothing in them speaks of images.
#[test]
fn a_network_on_vectors_takes_images() {
    let _alone = common::start();
    let folder = tempfile::tempdir().unwrap();
    let layers =
        json!([{ "kind": "dense", "name": "0" }, { "kind": "relu", "name": "0.activation" }, { "kind": "dense", "name": "1" }]);
    let declaration = json!({ "schema": "lipcert/architecture/1", "name": "dense-relu", "layers": layers });
    let tensor = |name: &str, shape: &[usize]| PlainTensor {
        name: name.to_owned(),
        shape: shape.to_vec(),
        values: (0..u16::try_from(shape.iter().product::<usize>()).unwrap())
            .map(|place| f32::from(place % 7) / 50.0 - 0.05)
            .collect(),
    };
    let tensors = [
        tensor("0.weight", &[12, 64]),
        tensor("0.bias", &[12]),
        tensor("1.weight", &[10, 12]),
        tensor("1.bias", &[10]),
    ];
    let metadata = [(METADATA_KEY.to_owned(), declaration.to_string())].into();
    let start = common::written(&write_safetensors(&metadata, &tensors).unwrap());
    let mut config = config();
    config.network = None;
    config.loss = serde_json::from_value(json!({ "kind": "cross-entropy" })).unwrap();
    config.train.epochs = 1;
    let mut tuned = task(config, folder.path());
    tuned.start = Some(Model {
        path: start.path().to_owned(),
        declaration: None,
        preprocess: None,
    });
    train(&tuned);
    let dataset = common::digits(20);
    let path = folder.path().join(MODEL);
    let mut network = common::open(&path, dataset.shape());
    network.derive();
    let logits = network.logits(&common::images(&dataset)).detach();
    assert!(common::difference(&logits, &crate::agreement::plain(&path, &dataset)) < 1e-12);
}

/// The same training on a GPU, where there is one.
#[test]
fn a_gpu_learns_what_a_cpu_learns() {
    let _alone = common::start();
    if tch::Cuda::device_count() == 0 {
        eprintln!("skipped: there is no CUDA device");
        return;
    }
    let mut config = config();
    config.loss = serde_json::from_value(json!({ "kind": "cross-entropy", "temperature": 0.5 })).unwrap();
    config.optimizer = serde_json::from_value(json!({ "kind": "sgd", "rate": 0.1 })).unwrap();
    let losses = [Device::Cpu, Device::Cuda(0)].map(|device| {
        let folder = tempfile::tempdir().unwrap();
        let mut task = task(config.clone(), folder.path());
        task.device = device;
        train(&task)
    });
    for (cpu, gpu) in losses[0].iter().zip(&losses[1]) {
        // another order of summation in float32
        assert!((cpu - gpu).abs() < 1e-3 * cpu.abs(), "{cpu} {gpu}");
    }
}
