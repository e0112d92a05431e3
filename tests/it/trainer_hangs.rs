//! A stand-in for the program that trains which does all that it can so that `lipcert` never ends.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lipcert_models::training::job::{Doctor, Event};

use crate::cli::Ran;
use crate::reference::root;
use crate::trainer::{Bench, CONFIG, finished, leave_model, say, started};

const TRAIN: [&str; 6] = ["train", "config.toml", "-o", "out", "--device", "cpu"];
/// A program that stays, and holds all streams open.
const SLEEPER: &str = "sleep 600 & echo $! > sleeper\n";
/// An error for a last word.
const FAILED: &str = "echo '{\"event\":\"failed\",\"message\":\"no such thing\"}'\n";

/// Starts a command whose streams are caught.
fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The end of a program, which must come before long.
fn ends(mut child: Child) -> Ran {
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it does not end: {:?}", Ran::from(child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap().into()
}

/// What a command makes of a stand-in that leaves a sleeper behind; the sleeper must still be there.
fn with_sleeper(script: &str, arguments: &[&str]) -> Ran {
    let bench = Bench::new(&format!("{SLEEPER}{script}"));
    let ran = ends(start(bench.command(arguments)));
    let sleeper = bench.read("sleeper");
    let killed = Command::new("kill").arg(sleeper.trim()).status().unwrap();
    assert!(killed.success(), "nothing held the streams open: {ran:?}");
    ran
}

#[test]
fn a_failure_does_not_wait_for_whoever_holds_the_streams() {
    let ran = with_sleeper(&format!("echo 'in other words' >&2\n{FAILED}"), &TRAIN);
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.stderr.contains("no such thing: in other words"), "{}", ran.stderr);
}

#[test]
fn an_end_without_an_answer_is_seen_though_the_streams_stay_open() {
    let ran = with_sleeper("exit 3\n", &TRAIN);
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    let expected = "ended without a word (exit status: 3)";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    let ran = with_sleeper("exit 3\n", &["doctor"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(ran.stdout.contains(expected), "{}", ran.stdout);
}

/// Nor does the end of the program cut off what is said a moment later.
#[test]
fn an_answer_counts_though_the_streams_stay_open() {
    let doctor = Doctor {
        libtorch: "2.11.0".to_owned(),
        threads: 3,
        cuda_devices: 0,
        cuda_error: None,
        cudnn: false,
    };
    let ran = with_sleeper(&say(&[Event::Doctor(doctor)]), &["doctor", "--json"]);
    assert_eq!(ran.json()["trainer"]["state"], "ready", "{ran:?}");
    // the program has ended before all is said
    let late = format!(
        "mkdir -p out; (sleep 0.3; {}{}) &\nexit 0\n",
        leave_model(),
        say(&[finished(false)])
    );
    let ran = with_sleeper(&format!("{}{late}", say(&[started()])), &TRAIN);
    assert_eq!(ran.status, Some(0), "{ran:?}");
}

/// A configuration that no pipe holds, for a program that does not read; an interrupt ends it all the same.
#[test]
fn a_job_that_nobody_reads() {
    let bench = Bench::without_trainer();
    std::os::unix::fs::symlink(root("tests/fixtures/trainer/deaf"), bench.path("bin/lipcert-train")).unwrap();
    let long = format!("[schedule]\nmilestones = [{}]\n[certify]", "0.5,".repeat(300_000));
    bench.write("config.toml", &CONFIG.replace("[certify]", &long));
    let child = start(bench.command(&TRAIN));
    let begin = Instant::now();
    while !bench.path("deaf").exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never came");
        std::thread::sleep(Duration::from_millis(20));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
    let ran = ends(child);
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.stderr.contains("had read its job"), "{}", ran.stderr);
    let left = Command::new("kill").args(["-0", bench.read("deaf").trim()]).output();
    assert!(!left.unwrap().status.success(), "it was not killed");
}

/// A job that no pipe holds reaches a program that reads it.
#[test]
fn a_long_job() {
    let bench = Bench::new(FAILED);
    let long = format!("[schedule]\nmilestones = [{}]\n[certify]", "0.5,".repeat(20_000));
    bench.write("config.toml", &CONFIG.replace("[certify]", &long));
    let ran = ends(start(bench.command(&TRAIN)));
    assert!(ran.status == Some(2) && ran.stderr.contains("no such thing"), "{ran:?}");
    assert!(bench.read("job.json").len() > 1 << 16);
    bench.job();
}

/// What an attack found is no pipe that nobody writes to, no endless device and no heap of nothing.
#[test]
fn inputs_that_cannot_be_read_to_their_end() {
    for (make, cause) in [
        ("mkfifo", "is not a regular file"),
        ("ln -s /dev/zero", "is not a regular file"),
        ("mkdir", "is not a regular file"),
        ("truncate -s 100G", "holds more than"),
    ] {
        let place = "\"$(printf '%s' \"$job\" | sed 's/.*\"output\":\"\\([^\"]*\\)\".*/\\1/')\"\n";
        let bench = Bench::new(&format!("{}{make} {place}{}", say(&[started()]), say(&[finished(false)])));
        fs::copy(
            root("tests/fixtures/sll_digits/digits.safetensors"),
            bench.path("model.safetensors"),
        )
        .unwrap();
        let attack = [
            "attack",
            "model.safetensors",
            "--data",
            "digits",
            "--limit",
            "2",
            "--eps",
            "1",
        ];
        let ran = ends(start(bench.command(&attack)));
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{make}: {ran:?}");
        assert!(ran.stderr.contains(cause), "{make}: {}", ran.stderr);
    }
}
