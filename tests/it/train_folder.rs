//! What a training may overwrite, what it leaves, and what it takes for its own.

use std::fs;

use lipcert_models::training::job::{Event, Job};

use crate::reference::root;
use crate::train::{TRAIN, good, with, write_npz};
use crate::trainer::{Bench, CONFIG, finished, leave_model, say, started};

#[test]
fn a_folder_with_files_is_not_overwritten() {
    let bench = good();
    assert_eq!(bench.run(&TRAIN).status, Some(0));
    fs::remove_file(bench.path("job.json")).unwrap();
    let ran = bench.run(&TRAIN);
    assert_eq!(ran.status, Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("--force") && ran.stderr.contains("--resume"),
        "{}",
        ran.stderr
    );
    assert!(!bench.path("job.json").exists(), "it was started");
    // There is a model, but no state to go on from.
    let ran = bench.run(&with(&["--resume"]));
    assert!(
        ran.status == Some(2) && ran.stderr.contains("no `out/state.safetensors`"),
        "{ran:?}"
    );
    assert!(bench.path("out/certificate.json").exists() && !bench.path("job.json").exists());
    let ran = bench.run(&["train", "config.toml", "-o", "nowhere", "--resume"]);
    assert!(ran.status == Some(2) && !bench.path("nowhere").exists(), "{ran:?}");
    bench.write("out/state.safetensors", "state");
    let ran = bench.run(&with(&["--resume"]));
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(matches!(bench.job(), Job::Train(job) if job.resume));
    assert_eq!(bench.run(&with(&["--force"])).status, Some(0));
}

/// A certificate of an earlier model does not stand beside what came of a training that failed.
#[test]
fn old_results_do_not_survive_a_new_training() {
    let results = ["certificate.json", "run.json", "report.html", "train.json"];
    let training = [
        "model.safetensors",
        "state.safetensors",
        "log.jsonl",
        "events.out.tfevents.1700000000.lipcert.12.0",
    ];
    let others = ["mine", "events.out.tfevents.1700000000.mine.12.0"];
    let bench = Bench::new("exit 1");
    let holds = |names: &[&str]| {
        names
            .iter()
            .filter(|name| bench.path(&format!("out/{name}")).exists())
            .count()
    };
    fs::create_dir(bench.path("out")).unwrap();
    for name in results.iter().chain(&training).chain(&others) {
        bench.write(&format!("out/{name}"), "old");
    }
    // What did not begin leaves all as it was.
    assert_eq!(bench.run(&with(&["--resume"])).status, Some(2));
    assert_eq!((holds(&results), holds(&training), holds(&others)), (4, 4, 2));
    bench.write("bin/script.sh", &(say(&[started()]) + "exit 1"));
    assert_eq!(bench.run(&with(&["--resume"])).status, Some(2));
    assert_eq!((holds(&results), holds(&training), holds(&others)), (0, 4, 2));
    assert_eq!(bench.run(&with(&["--force"])).status, Some(2));
    assert_eq!((holds(&training), holds(&others)), (0, 2));
    assert_eq!(
        fs::read_dir(bench.path("out")).unwrap().count(),
        others.len(),
        "nothing else is left"
    );
    // An input that lies in the folder is not taken away.
    fs::copy(
        root("tests/fixtures/sll_digits/digits.safetensors"),
        bench.path("out/model.safetensors"),
    )
    .unwrap();
    bench.write("tune.toml", &CONFIG.replace("[network]\npreset = \"digits-sll\"\n", ""));
    let ran = bench.run(&["finetune", "out/model.safetensors", "tune.toml", "-o", "out", "--force"]);
    assert!(ran.status == Some(2) && ran.stderr.contains("another folder"), "{ran:?}");
    assert!(bench.path("out/model.safetensors").exists());
    // So are data, whatever their name.
    write_npz(&bench.path("out/state.safetensors"), 10);
    let data = "npz:out/state.safetensors";
    for named in [
        ["--data", "digits", "--test-data", data],
        ["--data", data, "--test-data", "digits"],
    ] {
        let ran = bench.run(&[TRAIN.as_slice(), &named, &["--force"]].concat());
        assert!(ran.status == Some(2) && ran.stderr.contains("another folder"), "{ran:?}");
        assert!(bench.path("out/state.safetensors").exists());
    }
}

/// What an earlier training left is gone only when the new one is at work.
#[test]
fn a_training_that_never_begins_takes_nothing_away() {
    let files = [
        "model.safetensors",
        "state.safetensors",
        "log.jsonl",
        "train.json",
        "events.out.tfevents.1.lipcert.2.0",
    ];
    let failed = Event::Failed {
        message: "there is no CUDA device".to_owned(),
    };
    let bench = Bench::new(&("ls -A out > during\n".to_owned() + &say(&[failed])));
    fs::create_dir(bench.path("out")).unwrap();
    for name in files {
        bench.write(&format!("out/{name}"), name);
    }
    let forced = with(&["--force", "--device", "cuda:0"]);
    let ran = bench.run(&forced);
    assert!(ran.status == Some(2) && ran.stderr.contains("no CUDA device"), "{ran:?}");
    // out of the way of the program, and back
    assert!(
        !bench.read("during").contains("model.safetensors"),
        "{}",
        bench.read("during")
    );
    for name in files {
        assert_eq!(bench.read(&format!("out/{name}")), name);
    }
    assert_eq!(fs::read_dir(bench.path("out")).unwrap().count(), files.len());
    // What it wrote before it failed is worth less than what was there.
    bench.write("bin/script.sh", "echo new > out/log.jsonl; exit 1");
    assert_eq!(bench.run(&forced).status, Some(2));
    assert_eq!(bench.read("out/log.jsonl"), "log.jsonl");
}

/// A training that was killed before it began leaves the earlier one aside; the next one brings it back.
#[test]
fn what_was_put_aside_is_found_again() {
    let bench = Bench::new("exit 1");
    fs::create_dir_all(bench.path("out/.lipcert-train-before-abc")).unwrap();
    bench.write("out/.lipcert-train.lock", "");
    for name in ["model.safetensors", "state.safetensors"] {
        bench.write(&format!("out/.lipcert-train-before-abc/{name}"), name);
    }
    let ran = bench.run(&TRAIN);
    assert!(ran.status == Some(2) && ran.stderr.contains("is not empty"), "{ran:?}");
    let names = || {
        let mut names: Vec<String> = fs::read_dir(bench.path("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["model.safetensors", "state.safetensors"]);
    assert_eq!(bench.read("out/model.safetensors"), "model.safetensors");
    // What has a successor stays where it is.
    fs::create_dir(bench.path("out/.lipcert-train-before-abc")).unwrap();
    bench.write("out/.lipcert-train-before-abc/model.safetensors", "older");
    assert_eq!(bench.run(&with(&["--force"])).status, Some(2));
    assert_eq!(
        names(),
        [".lipcert-train-before-abc", "model.safetensors", "state.safetensors"]
    );
    assert_eq!(bench.read("out/model.safetensors"), "model.safetensors");
    // A lock that nobody holds is nothing.
    fs::remove_dir_all(bench.path("out")).unwrap();
    fs::create_dir(bench.path("out")).unwrap();
    bench.write("out/.lipcert-train.lock", "");
    let ran = bench.run(&TRAIN);
    assert!(ran.status == Some(2) && ran.stderr.contains("without a word"), "{ran:?}");
}

/// Two trainings do not share a folder, and a file that another program put there is nobody's result.
#[test]
fn the_folder_is_one_training_s() {
    let bench = Bench::new(&(say(&[started()]) + &leave_model() + &say(&[finished(false)])));
    fs::create_dir(bench.path("out")).unwrap();
    let lock = fs::File::create(bench.path("out/.lipcert-train.lock")).unwrap();
    lock.lock().unwrap();
    let ran = bench.run(&with(&["--force"]));
    assert!(ran.status == Some(2) && ran.stderr.contains("another training"), "{ran:?}");
    drop(lock);
    assert_eq!(bench.run(&with(&["--force"])).status, Some(0));
    let other = Event::Finished {
        file: "out/model.safetensors".into(),
        sha256: Some("00".repeat(32)),
        stopped: false,
        best: None,
    };
    bench.write("bin/script.sh", &(say(&[started()]) + &leave_model() + &say(&[other])));
    let ran = bench.run(&with(&["--force"]));
    assert!(ran.status == Some(2) && ran.stdout.is_empty(), "{ran:?}");
    assert!(ran.stderr.contains("not the file that the training left"), "{ran:?}");
    // Nor is one that the training does not speak of.
    let silent = Event::Finished {
        file: "out/model.safetensors".into(),
        sha256: None,
        stopped: true,
        best: None,
    };
    bench.write("bin/script.sh", &(say(&[started()]) + &leave_model() + &say(&[silent])));
    let ran = bench.run(&with(&["--force"]));
    assert!(ran.status == Some(2) && ran.stdout.is_empty(), "{ran:?}");
    assert!(ran.stderr.contains("not the file that the training left"), "{ran:?}");
}
