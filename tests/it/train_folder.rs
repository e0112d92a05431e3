//! What a training may overwrite, what it leaves, and what it takes for its own.

use std::fs;

use lipcert_models::training::job::{Event, Job};

use crate::reference::root;
use crate::train::{TRAIN, good, interrupted, with, write_npz};
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
    // Nor does a certificate come back beside another model.
    fs::rename(
        bench.path("out/.lipcert-train-before-abc/model.safetensors"),
        bench.path("out/.lipcert-train-before-abc/certificate.json"),
    )
    .unwrap();
    // What was let go is gone, also where it was not removed to the end.
    fs::create_dir(bench.path("out/.lipcert-train-gone-def")).unwrap();
    bench.write("out/.lipcert-train-gone-def/run.json", "old");
    let ran = bench.run(&TRAIN);
    assert!(
        ran.status == Some(2) && ran.stderr.contains("holds files of a training"),
        "{ran:?}"
    );
    assert_eq!(
        names(),
        [".lipcert-train-before-abc", "model.safetensors", "state.safetensors"]
    );
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

/// A program that outlived whoever started it may still write into the folder.
#[test]
fn a_program_that_is_still_at_work_is_not_disturbed() {
    let bench = good();
    fs::create_dir(bench.path("out")).unwrap();
    bench.write("out/model.safetensors", "its own");
    let lock = fs::File::create(bench.path("out/.lipcert-trainer.lock")).unwrap();
    lock.lock().unwrap();
    let ran = bench.run(&with(&["--force"]));
    assert!(ran.status == Some(2) && ran.stderr.contains("another training"), "{ran:?}");
    assert_eq!(bench.read("out/model.safetensors"), "its own");
    assert!(!bench.path("job.json").exists(), "it was started");
}

/// The model of an earlier training is not brought back over one that was certified.
#[test]
fn a_training_ends_only_after_it_has_begun() {
    let bench = Bench::new(&(leave_model() + &say(&[finished(false)])));
    for resumed in [false, true] {
        fs::create_dir_all(bench.path("out")).unwrap();
        for name in ["model.safetensors", "state.safetensors", "certificate.json"] {
            bench.write(&format!("out/{name}"), name);
        }
        let ran = bench.run(&with(&[if resumed { "--resume" } else { "--force" }]));
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.contains("done before it has begun"), "{ran:?}");
        if !resumed {
            assert_eq!(bench.read("out/model.safetensors"), "model.safetensors");
        }
        assert_eq!(bench.read("out/certificate.json"), "certificate.json");
        assert!(!bench.path("out/train.json").exists());
    }
}

/// An interrupt before the first step takes nothing away.
#[test]
fn a_stop_before_the_beginning_changes_nothing() {
    let bench = Bench::new(&("cat > /dev/null\n".to_owned() + &say(&[finished(true)])));
    fs::create_dir(bench.path("out")).unwrap();
    let names = [
        "model.safetensors",
        "state.safetensors",
        "certificate.json",
        "run.json",
        "report.html",
        "train.json",
    ];
    for name in names {
        bench.write(&format!("out/{name}"), name);
    }
    for how in ["--force", "--resume"] {
        let (status, ran) = interrupted(&bench, &with(&[how]), "-INT");
        let words = "stopped before training began";
        assert!(status == Some(2) && ran.stderr.contains(words), "{ran:?}");
        for name in names {
            assert_eq!(bench.read(&format!("out/{name}")), name);
        }
        assert_eq!(fs::read_dir(bench.path("out")).unwrap().count(), names.len());
        fs::remove_file(bench.path("job.json")).unwrap();
    }
}

/// Where what an earlier training left cannot go, the new one is ended at once.
#[test]
fn a_refusal_does_not_wait_for_the_end() {
    let bench = Bench::new(&(say(&[started()]) + "cat > /dev/null\n" + &say(&[finished(true)])));
    fs::create_dir_all(bench.path("out/report.html")).unwrap();
    bench.write("out/report.html/mine", "mine");
    bench.write("out/state.safetensors", "state");
    let ran = bench.run(&with(&["--resume"]));
    let words = "cannot overwrite `out/report.html`";
    assert!(ran.status == Some(2) && ran.stderr.contains(words), "{ran:?}");
    assert_eq!(bench.read("out/report.html/mine"), "mine");
}

/// Where one file cannot come back the others do, and the user learns where it is.
#[test]
fn what_does_not_come_back_is_named() {
    let bench = Bench::new("mkdir -p out/model.safetensors; exit 1");
    fs::create_dir(bench.path("out")).unwrap();
    for name in ["certificate.json", "model.safetensors", "train.json"] {
        bench.write(&format!("out/{name}"), name);
    }
    let ran = bench.run(&with(&["--force"]));
    assert!(
        ran.status == Some(2)
            && ran.stderr.contains("what was in the folder lies in `")
            && ran.stderr.contains("/.lipcert-train-before-"),
        "{ran:?}"
    );
    assert_eq!(bench.read("out/certificate.json"), "certificate.json");
    assert_eq!(bench.read("out/train.json"), "train.json");
    let mut asides = fs::read_dir(bench.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("before"));
    let aside = asides.next().unwrap();
    assert_eq!(
        fs::read_to_string(aside.join("model.safetensors")).unwrap(),
        "model.safetensors"
    );
    // A folder of the user's is not taken away either.
    let ran = bench.run(&with(&["--force"]));
    assert!(
        ran.status == Some(2) && ran.stderr.contains("`out/model.safetensors`: it is a folder"),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("/.lipcert-train-before-") && ran.stderr.contains("holds files of a training"),
        "{ran:?}"
    );
}

/// A lock is no reason to empty the file that a link of its name leads to.
#[test]
fn a_lock_changes_no_file() {
    let bench = Bench::new("exit 1");
    fs::create_dir(bench.path("out")).unwrap();
    bench.write("mine", "mine");
    std::os::unix::fs::symlink(bench.path("mine"), bench.path("out/.lipcert-train.lock")).unwrap();
    assert_eq!(bench.run(&TRAIN).status, Some(2));
    assert_eq!(bench.read("mine"), "mine");
}
