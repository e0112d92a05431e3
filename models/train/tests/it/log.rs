//! The log of a training.

use std::fs;
use std::path::Path;

use lipcert_models::training::job::{Epoch, Event, Step};
use lipcert_train::TrainError;
use lipcert_train::log::Log;

fn step(step: usize) -> Event {
    Event::Step(Step {
        epoch: step / 10,
        step,
        loss: 0.5,
        accuracy: 0.25,
        approx_certified: 0.125,
        rate: 100.0,
    })
}

fn epoch(epoch: usize) -> Event {
    Event::Epoch(Epoch {
        epoch,
        loss: 0.5,
        accuracy: 0.25,
        approx_certified: 0.125,
        held_out: None,
        learning_rate: 0.01,
        seconds: 3.0,
    })
}

fn done(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["done"]
                .as_u64()
                .unwrap()
        })
        .collect()
}

#[test]
fn lines_are_events_and_reach_the_disk_with_the_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let mut log = Log::create(&path).unwrap();
    log.write(5, &step(5)).unwrap();
    assert_eq!(done(&path), [0; 0]);
    log.write(10, &epoch(0)).unwrap();
    // the writer is still open
    assert_eq!(done(&path), [5, 10]);
    let text = fs::read_to_string(&path).unwrap();
    let events: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events, [step(5), epoch(0)]);
}

#[test]
fn a_log_is_cut_back_to_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let write = |log: &mut Log, steps: &[usize]| {
        for number in steps {
            log.write(*number, &step(*number)).unwrap();
        }
        log.flush().unwrap();
    };
    write(&mut Log::create(&path).unwrap(), &[5, 10, 15]);
    write(&mut Log::resume(&path, 10).unwrap(), &[11]);
    assert_eq!(done(&path), [5, 10, 11]);
    // nothing to cut
    write(&mut Log::resume(&path, 11).unwrap(), &[20]);
    assert_eq!(done(&path), [5, 10, 11, 20]);
    // everything to cut
    write(&mut Log::resume(&path, 0).unwrap(), &[1]);
    assert_eq!(done(&path), [1]);
    // a beginning takes the place of what there is
    write(&mut Log::create(&path).unwrap(), &[2]);
    assert_eq!(done(&path), [2]);
}

#[test]
fn what_is_no_line_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let whole = "{\"done\":1}\n";
    for tail in [
        "{\"done\":1",
        "{\"done\":1}",
        "\n{\"done\":1}\n",
        "{\"step\":1}\n",
        "\u{fffd}\n",
    ] {
        fs::write(&path, format!("{whole}{tail}")).unwrap();
        drop(Log::resume(&path, 1).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), whole, "{tail:?}");
    }
}

#[test]
fn a_log_that_is_missing_is_begun_and_a_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    Log::resume(&path, 3).unwrap().write(3, &epoch(0)).unwrap();
    assert_eq!(done(&path), [3]);
    for refused in [Log::resume(folder.path(), 3), Log::create(folder.path())] {
        assert!(
            matches!(&refused, Err(TrainError::File { path, .. }) if path == folder.path()),
            "{refused:?}"
        );
    }
}
