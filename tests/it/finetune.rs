//! `lipcert finetune`, with a stand-in for the program that trains.

use lipcert_models::training::job::Job;

use crate::reference::root;
use crate::train::{good, write_npz};
use crate::trainer::CONFIG;

#[test]
fn fine_tuning_shows_before_and_after() {
    let bench = good();
    bench.write("tune.toml", &CONFIG.replace("[network]\npreset = \"digits-sll\"\n", ""));
    let model = root("tests/fixtures/sll_digits/digits.pth");
    let model = model.to_str().unwrap();
    let tune = ["finetune", model, "tune.toml", "-o", "out", "--preprocess", "mean=0.3053"];
    let ran = bench.run(&tune);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(
        ran.stdout.contains("fine-tuned:") && ran.stdout.contains("before"),
        "{}",
        ran.stdout
    );
    let json: serde_json::Value = serde_json::from_str(&bench.read("out/train.json")).unwrap();
    assert_eq!(json["schema"], "lipcert/finetune/1");
    assert_eq!(
        (&json["before"]["correct"], &json["certify"]["correct"]),
        (&339.into(), &339.into())
    );
    assert_eq!(json["before"]["model"]["format"], "torch-zip");
    let Job::Train(job) = bench.job() else { panic!("another job") };
    let start = job.start.unwrap();
    assert_eq!(
        (start.path.to_str(), start.preprocess.as_deref()),
        (Some(model), Some("mean=0.3053"))
    );
    // The input is declared here; without a word of it, it is the raw one.
    assert!(!ran.stderr.contains("raw input"), "{}", ran.stderr);
    let ran = bench.run(&["finetune", model, "tune.toml", "-o", "raw"]);
    assert!(ran.stderr.contains("warning: no preprocessing is declared"), "{ran:?}");
    // A configuration with a network is not for this, and one without is not for `train`.
    let ran = bench.run(&["finetune", model, "config.toml", "-o", "other"]);
    assert!(ran.status == Some(2) && ran.stderr.contains("line 4: `network`"), "{ran:?}");
    bench.write(
        "part.toml",
        &CONFIG.replace("preset = \"digits-sll\"", "preprocess = \"mean=0.3053\""),
    );
    let ran = bench.run(&["finetune", model, "part.toml", "-o", "other"]);
    assert!(
        ran.status == Some(2) && ran.stderr.contains("line 4: `network` is given"),
        "{ran:?}"
    );
    // Ten logits are too few for eleven classes.
    write_npz(&bench.path("many.npz"), 11);
    let many = ["--data", "npz:many.npz", "--test-data", "npz:many.npz"];
    let ran = bench.run(&[["finetune", model, "tune.toml", "-o", "other"].as_slice(), &many].concat());
    assert!(ran.status == Some(2) && ran.stderr.contains("has 10 logits"), "{ran:?}");
    assert!(!bench.path("other").exists());
    // Nor can they be certified on.
    let tested = ["--test-data", "npz:many.npz"];
    let ran = bench.run(&[["finetune", model, "tune.toml", "-o", "other"].as_slice(), &tested].concat());
    assert!(
        ran.status == Some(2) && ran.stderr.contains("has 10 logits, `npz:many.npz` has 11 classes"),
        "{ran:?}"
    );
    let ran = bench.run(&[["train", "config.toml", "-o", "other"].as_slice(), &tested].concat());
    assert!(
        ran.status == Some(2) && ran.stderr.contains("`config.toml`: the network has 10 logits"),
        "{ran:?}"
    );
    assert!(!bench.path("other").exists());
    let ran = bench.run(&["finetune", "nothing.pth", "tune.toml", "-o", "other"]);
    assert!(ran.status == Some(2) && ran.stderr.contains("nothing.pth"), "{ran:?}");
}
