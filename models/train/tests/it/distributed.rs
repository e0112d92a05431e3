//! Processes that train together.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lipcert_models::training::place::Place;
use lipcert_train::TrainError;
use lipcert_train::distributed::Group;
use tch::{Kind, Tensor};

use crate::common;

/// What a child does; only set in children.
const PART: &str = "LIPCERT_TEST_PART";
/// Longer than everything takes that works.
const LATE: Duration = Duration::from_secs(60);

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn place(rank: usize, port: u16) -> Place {
    Place {
        rank,
        size: 2,
        local_rank: rank,
        host: "127.0.0.1".into(),
        port,
        serves: true,
        attempt: 0,
    }
}

/// Starts this test binary once for each of two processes, as `torchrun` would.
fn start(part: &str) -> Vec<Child> {
    let port = free_port();
    let child = |rank: usize| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "distributed::child", "--ignored", "--nocapture"])
            .env(PART, part)
            .env("RANK", rank.to_string())
            .env("LOCAL_RANK", rank.to_string())
            .env("WORLD_SIZE", "2")
            .env("MASTER_ADDR", "127.0.0.1")
            .env("MASTER_PORT", port.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    (0..2).map(child).collect()
}

fn all_succeed(part: &str) {
    for child in start(part) {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }
}

/// One of the processes that the other tests start.
#[test]
#[ignore = "runs in processes of their own"]
fn child() {
    let _alone = common::start();
    let part = std::env::var(PART).unwrap();
    let group = Group::from_environment(&mut |_, _| true).unwrap().unwrap();
    match part.as_str() {
        "sums" => sums(&group),
        "shapes" => shapes(&group),
        "gone" => gone(&group),
        other => panic!("{other}"),
    }
}

#[test]
fn sums_are_the_same_everywhere() {
    all_succeed("sums");
}

fn sums(group: &Group) {
    assert_eq!((group.size(), group.local_rank()), (2, group.rank()));
    let rank = i64::try_from(group.rank()).unwrap();
    let weight = Tensor::ones([2, 3], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
    let turned = (Tensor::arange(6, (Kind::Float, tch::Device::Cpu)) + rank).view([2, 3]).tr();
    let mut tensors = [
        weight,
        Tensor::from(0.5 + rank as f64),
        turned,
        Tensor::from_slice(&[rank, 10]),
        Tensor::zeros([0, 4], (Kind::Float, tch::Device::Cpu)),
    ];
    group.sum(&mut tensors).unwrap();
    assert_eq!(Vec::<f32>::try_from(tensors[0].detach().view(-1)).unwrap(), [2.0; 6]);
    assert_eq!(Vec::<f64>::try_from(tensors[1].view(-1)).unwrap(), [2.0]);
    let turned = Vec::<f32>::try_from(tensors[2].tr().contiguous().view(-1)).unwrap();
    assert_eq!(turned, [1.0, 3.0, 5.0, 7.0, 9.0, 11.0]);
    assert_eq!(Vec::<i64>::try_from(&tensors[3]).unwrap(), [1, 20]);
    assert!(tensors[0].requires_grad());

    let mut tensors = [Tensor::from_slice(&[rank as f32, 3.0]), Tensor::from(rank)];
    group.broadcast(&mut tensors, 1).unwrap();
    assert_eq!(Vec::<f32>::try_from(&tensors[0]).unwrap(), [1.0, 3.0]);
    assert_eq!(i64::try_from(&tensors[1]).unwrap(), 1);
    group.sum(&mut []).unwrap();
    group.barrier().unwrap();
}

#[test]
fn shapes_must_agree() {
    all_succeed("shapes");
}

fn shapes(group: &Group) {
    let size = 2 + i64::try_from(group.rank()).unwrap();
    let kind = [Kind::Float, Kind::Double][group.rank()];
    let unlike = [
        Tensor::zeros([size], (Kind::Float, tch::Device::Cpu)),
        Tensor::zeros([size, 6 / size], (Kind::Float, tch::Device::Cpu)),
        Tensor::zeros([2], (kind, tch::Device::Cpu)),
    ];
    for tensor in unlike {
        let refused = group.sum(&mut [tensor]);
        assert!(
            matches!(refused, Err(TrainError::Unlike { rank }) if rank == group.rank()),
            "{refused:?}"
        );
    }
    // and on they go
    let mut tensors = [Tensor::from(1.0)];
    group.sum(&mut tensors).unwrap();
    assert_eq!(Vec::<f64>::try_from(tensors[0].view(-1)).unwrap(), [2.0]);
}

#[test]
fn a_process_that_ends_is_noticed_at_once() {
    all_succeed("gone");
}

fn gone(group: &Group) {
    if group.rank() == 1 {
        return;
    }
    let begin = Instant::now();
    let failed = group.sum(&mut [Tensor::from(1.0)]);
    assert!(matches!(failed, Err(TrainError::Group { .. })), "{failed:?}");
    assert!(begin.elapsed() < LATE);
}

#[test]
fn a_process_that_stays_away_is_waited_for_no_longer_than_was_said() {
    let _alone = common::start();
    for rank in 0..2 {
        let begin = Instant::now();
        let failed = Group::open(place(rank, free_port()), Duration::from_millis(300));
        let Err(TrainError::Group { cause, .. }) = failed else {
            panic!("{failed:?}");
        };
        assert!(!cause.is_empty());
        assert!(begin.elapsed() < LATE, "{:?}", begin.elapsed());
    }
}
