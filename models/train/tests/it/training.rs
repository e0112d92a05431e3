//! The training loop: taken up again, in parts, in several processes, and stopped by a number that is none.

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lipcert_models::architecture::METADATA_KEY;
use lipcert_models::checkpoint::{PlainTensor, write_safetensors};
use lipcert_models::training::Config;
use lipcert_models::training::config::Moving;
use lipcert_models::training::job::{Device, Event, Job, Model, Train};
use lipcert_models::training::recipe::Recipe;
use lipcert_train::train::{MODEL, STATE, run};
use lipcert_train::{TrainError, state};
use serde_json::json;

use crate::common;

/// A small network on the first 200 digits, every part of the loop in use.
fn config() -> Config {
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

fn task(config: Config, folder: &Path) -> Train {
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
fn train(task: &Train) -> Vec<f64> {
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
    assert!(matches!(refused, Err(TrainError::OtherState { .. })), "{refused:?}");
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
        train(&task);
        let last = before.iter().map(|(_, name)| name.rsplit_once('.').unwrap().0).max().unwrap();
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
        }
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

#[test]
fn a_number_that_is_none_is_named() {
    let _alone = common::start();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.loss = serde_json::from_value(json!({ "kind": "cross-entropy" })).unwrap();
    // the weights leave the range of float32 after the first step
    config.optimizer = serde_json::from_value(json!({ "kind": "sgd", "rate": 1e30 })).unwrap();
    config.schedule = serde_json::from_value(json!({ "kind": "constant" })).unwrap();
    config.train.clip_norm = None;
    let refused = run(&task(config, folder.path()), &mut |_| (), &|| false);
    match refused {
        Err(TrainError::NotFinite { step, name, what }) => {
            assert_eq!((step, what), (1, "the output of layer"), "{name}");
            // convolutions whose sums overflow are switched off; the Gram matrix behind them holds a difference of infinities
            assert_eq!(name, "4");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn weights_that_overflow_at_last_are_named() {
    let _alone = common::start();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.loss = serde_json::from_value(json!({ "kind": "cross-entropy" })).unwrap();
    config.optimizer = serde_json::from_value(json!({ "kind": "sgd", "rate": 1e300 })).unwrap();
    config.schedule = serde_json::from_value(json!({ "kind": "constant" })).unwrap();
    config.train = serde_json::from_value(json!({ "epochs": 1, "batch": 160 })).unwrap();
    let refused = run(&task(config, folder.path()), &mut |_| (), &|| false);
    match refused {
        Err(TrainError::NotFinite { step, name, what }) => {
            assert_eq!((step, what), (1, "the tensor"), "{name}");
            assert!(name.ends_with(".kernel"), "{name}");
        }
        other => panic!("{other:?}"),
    }
    assert!(!folder.path().join(MODEL).exists());
}

#[test]
fn a_regularizer_without_layers_is_refused() {
    let _alone = common::start();
    let folder = tempfile::tempdir().unwrap();
    for (field, regularizer) in [
        ("regularizer.orthogonality", json!({ "orthogonality": 0.1 })),
        ("regularizer.curvature", json!({ "curvature": 0.1 })),
    ] {
        let mut config = config();
        config.regularizer = serde_json::from_value(regularizer).unwrap();
        let refused = run(&task(config, folder.path()), &mut |_| (), &|| false);
        assert!(
            matches!(refused, Err(TrainError::Regularizer { field: found, .. }) if found == field),
            "{refused:?}"
        );
    }
    // weights that do not move have no penalty, and that is no fault
    let mut config = config();
    config.loss = serde_json::from_value(json!({ "kind": "cross-entropy" })).unwrap();
    config.regularizer = serde_json::from_value(json!({ "orthogonality": 0.1, "curvature": 0.1 })).unwrap();
    config.network.as_mut().unwrap().layers = serde_json::from_value(json!([
        { "kind": "flatten" },
        { "kind": "dense", "outputs": 12 },
        { "kind": "softplus", "beta": 1.0 },
        { "kind": "dense", "outputs": 10 },
    ]))
    .unwrap();
    config.train.epochs = 1;
    train(&task(config.clone(), folder.path()));
    config.finetune = Some(lipcert_models::training::config::Finetune {
        parameters: Moving::BiasesAndScales,
    });
    train(&task(config, folder.path()));
}

#[test]
fn data_and_network_must_fit() {
    let _alone = common::start();
    let folder = tempfile::tempdir().unwrap();
    let mut few = config();
    few.data.limit = Some(1);
    few.data.validation = 0.9;
    let refused = run(&task(few, folder.path()), &mut |_| (), &|| false);
    assert!(
        matches!(refused, Err(TrainError::NoSamples { samples: 1, held_out: 1 })),
        "{refused:?}"
    );
    let mut three = config();
    three.network.as_mut().unwrap().layers[7].insert("classes".to_owned(), 3.into());
    let refused = run(&task(three, folder.path()), &mut |_| (), &|| false);
    assert!(matches!(refused, Err(TrainError::Recipe(_))), "{refused:?}");
    let mut other = config();
    let recipe = Recipe::new(&other.network.take().unwrap(), [1, 8, 8], 3).unwrap();
    let metadata = [(METADATA_KEY.to_owned(), recipe.architecture.declaration())].into();
    let tensors: Vec<PlainTensor> = recipe
        .tensors
        .iter()
        .map(|info| PlainTensor {
            name: info.name.clone(),
            shape: info.shape.clone(),
            values: vec![0.5; info.count()],
        })
        .collect();
    let start = common::written(&write_safetensors(&metadata, &tensors).unwrap());
    let mut tuned = task(other, folder.path());
    tuned.start = Some(Model {
        path: start.path().to_owned(),
        declaration: None,
        preprocess: None,
    });
    let refused = run(&tuned, &mut |_| (), &|| false);
    assert!(
        matches!(refused, Err(TrainError::Classes { found: 10, logits: 3 })),
        "{refused:?}"
    );
    let mut none = config();
    none.network = None;
    let refused = run(&task(none, folder.path()), &mut |_| (), &|| false);
    assert!(matches!(refused, Err(TrainError::Config(_))), "{refused:?}");
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

/// Starts the program with a job; its standard input stays open as long as the child is held.
fn spawn(task: Train, variables: &[(&str, String)]) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lipcert-train"))
        .envs(variables.iter().map(|(name, value)| (*name, value.as_str())))
        .env("OMP_NUM_THREADS", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = serde_json::to_string(&Job::Train(Box::new(task))).unwrap();
    line.push('\n');
    child.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    child
}

/// Waits for the end; returns the epochs' losses.
fn losses(mut child: Child) -> Vec<f64> {
    let mut text = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
    events
        .filter_map(|event| match event {
            Event::Epoch(epoch) => Some(epoch.loss),
            _ => None,
        })
        .collect()
}

#[test]
fn two_processes_are_one_with_the_double_batch() {
    let _alone = common::start();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut config = config();
    config.loss = serde_json::from_value(json!({ "kind": "cross-entropy", "offset": 0.1, "temperature": 0.5 })).unwrap();
    config.optimizer = serde_json::from_value(json!({ "kind": "sgd", "rate": 0.1, "momentum": 0.9 })).unwrap();
    config.train.batch = 50;
    // the last batch of an epoch, of 10 samples, too
    let one = losses(spawn(task(config.clone(), folders[0].path()), &[]));
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let ranks = [0, 1].map(|rank| {
        spawn(
            task(config.clone(), folders[1].path()),
            &[
                ("RANK", rank.to_string()),
                ("WORLD_SIZE", "2".to_owned()),
                ("LOCAL_RANK", rank.to_string()),
                ("MASTER_ADDR", "127.0.0.1".to_owned()),
                ("MASTER_PORT", port.to_string()),
            ],
        )
    });
    let two = ranks.map(losses);
    assert_eq!(one.len(), 3);
    assert_eq!(two[0], two[1]);
    for (one, two) in one.iter().zip(&two[0]) {
        // another order of summation in float32
        assert!((one - two).abs() < 1e-4 * one.abs(), "{one} {two}");
    }
    let (position, _) = state::read(&folders[1].path().join(STATE)).unwrap();
    assert_eq!((position.step, position.best), (12, Some(2)));
}

#[test]
fn the_program_stops_when_its_input_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.train.epochs = 100_000;
    let mut child = spawn(task(config, folder.path()), &[]);
    let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    assert!(line.contains("started"), "{line}");
    drop(child.stdin.take());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut reader, &mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    let last: Event = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert!(matches!(last, Event::Finished { stopped: true, .. }), "{last:?}");
    assert!(folder.path().join(STATE).exists());
}

#[test]
fn a_malformed_job_is_refused() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lipcert-train"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"{\"job\":\"cook\"}\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let event: Event = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        matches!(&event, Event::Failed { message } if message.contains("cook")),
        "{event:?}"
    );
}
