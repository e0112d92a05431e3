//! The program that trains, alone and in several processes.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lipcert_models::training::job::{Event, Job, Train};
use lipcert_train::state;
use lipcert_train::train::STATE;
use serde_json::json;

use crate::common;
use crate::training::{config, task};

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

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The variables of one of two processes.
fn place(rank: usize, port: u16) -> [(&'static str, String); 5] {
    [
        ("RANK", rank.to_string()),
        ("WORLD_SIZE", "2".to_owned()),
        ("LOCAL_RANK", rank.to_string()),
        ("MASTER_ADDR", "127.0.0.1".to_owned()),
        ("MASTER_PORT", port.to_string()),
    ]
}

/// Waits for the end, which is a failure; returns why.
fn failure(mut child: Child) -> String {
    // the input stays open until then
    let mut text = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2), "{text}");
    let last = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let Event::Failed { message } = last else { panic!("{text}") };
    message
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
    let port = free_port();
    let ranks = [0, 1].map(|rank| spawn(task(config.clone(), folders[1].path()), &place(rank, port)));
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

/// Twenty grey images of the shape of the digits in MNIST's files; returns what names them.
fn write_images(folder: &Path, grey: u8) -> String {
    let head = |numbers: &[u32]| -> Vec<u8> { numbers.iter().flat_map(|number| number.to_be_bytes()).collect() };
    fs::create_dir(folder).unwrap();
    let labels: Vec<u8> = (0..20).map(|place| place % 10).collect();
    for (name, bytes) in [
        (
            "train-images-idx3-ubyte",
            [head(&[0x0803, 20, 8, 8]), vec![grey; 20 * 64]].concat(),
        ),
        ("train-labels-idx1-ubyte", [head(&[0x0801, 20]), labels].concat()),
    ] {
        fs::write(folder.join(name), bytes).unwrap();
    }
    format!("mnist:{}", folder.display())
}

/// Each of two processes learns that the other one was asked something else; where the samples lie may differ.
#[test]
fn processes_with_different_questions_are_refused() {
    let _alone = common::start();
    let folder = tempfile::tempdir().unwrap();
    let mut first = config();
    first.data.limit = None;
    first.data.train = write_images(&folder.path().join("a"), 3);
    let mut elsewhere = first.clone();
    elsewhere.data.train = write_images(&folder.path().join("b"), 5);
    let mut other = elsewhere.clone();
    other.train.batch = 24;
    for (second, what) in [(other, "configuration"), (elsewhere, "data set")] {
        let port = free_port();
        let children = [first.clone(), second].into_iter().enumerate();
        let children: Vec<Child> = children
            .map(|(rank, config)| spawn(task(config, folder.path()), &place(rank, port)))
            .collect();
        for (rank, child) in children.into_iter().enumerate() {
            let message = failure(child);
            assert_eq!(
                message,
                format!("not every process has the {what} of process 0 (this is process {rank})")
            );
        }
        assert!(!folder.path().join(STATE).exists());
    }
}

/// Processes that go on from different places are refused; from the same one they go on as one would.
#[test]
fn processes_go_on_from_one_state() {
    let _alone = common::start();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut config = config();
    config.train.epochs = 1;
    let states = [3, 4].map(|seed| {
        let mut config = config.clone();
        config.optimizer = serde_json::from_value(json!({ "kind": "sgd", "rate": 0.01 * f64::from(seed) })).unwrap();
        let folder = tempfile::tempdir().unwrap();
        losses(spawn(task(config, folder.path()), &[]));
        let (position, tensors) = state::read(&folder.path().join(STATE)).unwrap();
        (position, tensors)
    });
    config.optimizer = serde_json::from_value(json!({ "kind": "sgd", "rate": 0.03 })).unwrap();
    let resume = |second: usize| {
        for (folder, which) in folders.iter().zip([0, second]) {
            let tensors = states[which]
                .1
                .iter()
                .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
            // of the same training, with the numbers of another
            state::write(&folder.path().join(STATE), &states[0].0, tensors.collect()).unwrap();
        }
        let port = free_port();
        [0, 1].map(|rank| {
            let mut task = task(config.clone(), folders[rank].path());
            task.resume = true;
            spawn(task, &place(rank, port))
        })
    };
    for (rank, child) in resume(1).into_iter().enumerate() {
        let words = format!("not every process has the state of process 0 (this is process {rank})");
        assert_eq!(failure(child), words);
    }
    let more = resume(0).map(losses);
    assert!(more.iter().all(Vec::is_empty), "there is nothing left to do");
}

/// A training goes on wherever its samples lie now.
#[test]
fn samples_may_move() {
    let _alone = common::start();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.data.limit = None;
    config.train.epochs = 1;
    config.data.train = write_images(&folder.path().join("a"), 3);
    losses(spawn(task(config.clone(), folder.path()), &[]));
    config.data.train = write_images(&folder.path().join("b"), 3);
    let mut moved = task(config.clone(), folder.path());
    moved.resume = true;
    assert!(losses(spawn(moved, &[])).is_empty(), "there is nothing left to do");
    config.data.train = write_images(&folder.path().join("c"), 5);
    let mut others = task(config, folder.path());
    others.resume = true;
    assert!(failure(spawn(others, &[])).contains("belongs to another data set"));
}

/// Whoever waits for processes that never come can be stopped.
#[test]
fn waiting_for_the_others_ends_with_the_input() {
    let folder = tempfile::tempdir().unwrap();
    for rank in [0, 1] {
        let mut child = spawn(task(config(), folder.path()), &place(rank, free_port()));
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(child.try_wait().unwrap().is_none(), "it waits");
        drop(child.stdin.take());
        assert_eq!(failure(child), "stopped while waiting for the other processes");
    }
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
    // a batch system tells all processes; this one waits for the word of whoever started it
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
    std::thread::sleep(std::time::Duration::from_millis(100));
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
