//! The program that trains, alone and in several processes.

use std::io::Write;
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
