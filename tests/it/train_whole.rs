//! `lipcert train` with the program that trains.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use crate::train::with;
use crate::trainer::{Bench, CONFIG};

/// The program itself, on a few samples: what it leaves is certified, and a training that is taken up again goes on.
#[test]
fn with_the_program_that_trains() {
    let beside = Path::new(env!("CARGO_BIN_EXE_lipcert")).with_file_name("lipcert-train");
    if !beside.exists() {
        let skipped = format!("`{}` is not built (make unit does that)", beside.display());
        let required = ["CI", "LIPCERT_REQUIRE_TRAINER"]
            .iter()
            .any(|name| std::env::var_os(name).is_some());
        assert!(!required, "{skipped}");
        // past what the harness keeps of a test that passes
        writeln!(std::io::stderr(), "skipped: {skipped}").unwrap();
        return;
    }
    let bench = Bench::without_trainer();
    std::os::unix::fs::symlink(&beside, bench.path("bin/lipcert-train")).unwrap();
    let small = CONFIG
        .replace("train = \"digits\"", "train = \"digits\"\nlimit = 200\nvalidation = 0.2")
        .replace(
            "preset = \"digits-sll\"",
            "layers = [{ kind = \"flatten\" }, { kind = \"sll-dense\", inner = 32 }, { kind = \"normalized-head\" }]",
        )
        .replace("rate = 0.001", "rate = 0.01")
        .replace("epochs = 2", "epochs = 4")
        .replace("batch = 100", "batch = 20");
    bench.write("config.toml", &small);
    let cpu = with(&["--json", "--device", "cpu", "--threads", "1"]);
    let ran = bench.run(&cpu);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let json = ran.json();
    assert_eq!((&json["verdict"], &json["device"]), (&"certified".into(), &"cpu".into()));
    assert_eq!(json["epochs"].as_array().unwrap().len(), 4);
    assert!(json["epochs"][3]["held_out"]["accuracy"].is_number() && json["best"].is_number());
    assert!(json["certify"]["accuracy"].as_f64().unwrap() > 0.3, "chance is 0.1");
    assert_eq!(json["verify"]["lipschitz"]["features"], 1.0);
    // The same command gives the same file.
    let bytes = fs::read(bench.path("out/model.safetensors")).unwrap();
    let forced: Vec<&str> = cpu.iter().copied().chain(["--force"]).collect();
    assert_eq!(bench.run(&forced).status, Some(0));
    assert!(fs::read(bench.path("out/model.safetensors")).unwrap() == bytes);
    // What is done is not done again.
    let resumed: Vec<&str> = cpu.iter().copied().chain(["--resume"]).collect();
    let json = bench.run(&resumed).json();
    assert_eq!(json["epochs"].as_array().unwrap().len(), 4, "{}", json["epochs"]);
    assert!(json["epochs"][3]["held_out"]["accuracy"].is_number() && json["best"].is_number());
    assert!(fs::read(bench.path("out/model.safetensors")).unwrap() == bytes);
    // Nothing that it finds contradicts what is certified.
    let attack = [
        "attack",
        "out/model.safetensors",
        "--data",
        "digits",
        "--limit",
        "20",
        "--eps",
        "0.1,3",
    ];
    let attack = attack.iter().chain(&[
        "--steps",
        "10",
        "--restarts",
        "1",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--json",
    ]);
    let ran = bench.run(&attack.copied().collect::<Vec<_>>());
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let json = ran.json();
    assert!(json["attacked"][1]["broken"].as_u64().unwrap() > 0, "{}", json["attacked"]);
    assert!(json["attacked"][0]["certified"].as_u64() <= json["attacked"][0]["count"].as_u64());
    // The doctor finds it.
    let ran = bench.run(&["doctor", "--json"]);
    assert_eq!(ran.json()["trainer"]["libtorch"], "2.11.0", "{ran:?}");
}
