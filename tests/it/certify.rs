//! `lipcert certify` on real networks and data.

use std::fs;
use std::io::Write;

use lipcert_models::data::{DataOptions, Dataset, PixelSlice};
use lipcert_models::forward;
use lipcert_proofs::rounding::forward::Samples;
use lipcert_proofs::statement::Output;

use crate::cli::{lipcert, lipcert_in};
use crate::reference::{Reference, cifar, digits, judge_all, shared};

/// All pixels of a data set.
fn samples(dataset: &Dataset) -> Samples<'_> {
    match dataset.pixels_of(0..dataset.len()) {
        PixelSlice::Bytes { values, divisor } => Samples::Bytes { values, divisor },
        PixelSlice::Floats(values) => Samples::Floats(values),
    }
}

/// Logits against PyTorch's, within the proved error of the float64 values and 1e-5 of the float32 ones; then the counts. `counts` are the
/// figures of the network's `meta.json`, `(ε, count)`, with `correct` first.
fn logits_and_counts(reference: &Reference, dataset: &Dataset, float64: &str, correct: usize, counts: &[(f64, usize)]) {
    let outcome = reference.verify(Output::All);
    reference.checked(&outcome.certificate.unwrap(), |network, certificate| {
        let judged = judge_all(certificate, samples(dataset));
        let exact = reference.matrix::<f64>(float64);
        for (row, (logits, _)) in exact.rows().into_iter().zip(&judged) {
            for (class, theirs) in row.iter().enumerate() {
                let error = (logits.values()[class] - theirs).abs();
                assert!(error <= logits.error_up(class), "{error:e} {:e}", logits.error_up(class));
                assert!(logits.error_up(class) < 1e-9);
            }
        }
        let single = reference.matrix::<f32>("logits_test");
        assert_eq!(single.nrows(), judged.len());
        for (row, (logits, _)) in single.rows().into_iter().zip(&judged) {
            for (class, theirs) in row.iter().enumerate() {
                assert!((logits.values()[class] - f64::from(*theirs)).abs() < 1e-5);
            }
        }
        // A second method: the plain evaluation shares nothing with the enclosed one but the statement.
        let plain = forward::logits::<f64>(&network.map, dataset, 0..32).unwrap();
        for (row, (logits, _)) in plain.rows().into_iter().zip(&judged) {
            for (class, theirs) in row.iter().enumerate() {
                assert!((logits.values()[class] - theirs).abs() <= logits.error_up(class));
            }
        }
        let hits = |covers: &dyn Fn(f64) -> bool| {
            let pairs = judged.iter().zip(dataset.labels());
            pairs
                .filter(|((_, j), label)| j.predicted == usize::from(**label) && covers(j.radius.value()))
                .count()
        };
        assert_eq!(hits(&|radius| radius > 0.0), correct);
        for (epsilon, count) in counts {
            assert_eq!(hits(&|radius| radius >= *epsilon), *count, "{epsilon}");
        }
    });
}

#[test]
fn the_digits_network() {
    let dataset = Dataset::open("digits", &DataOptions::default()).unwrap();
    // meta.json: accuracy 0.94167, certified 0.875, 0.71111, 0.28056, 0 of 360.
    let counts = [(0.1, 315), (0.25, 256), (0.5, 101), (1.0, 0)];
    logits_and_counts(&digits(), &dataset, "logits64", 339, &counts);
}

/// The whole CIFAR-10 test set against the figures of `meta.json` by the pairwise rule: 0.5543; 0.4600, 0.3811, 0.3069, 0.1132.
#[test]
fn the_cifar_network() {
    let (Some(reference), Some(packed)) = (cifar(), shared("cifar10/test_batch.bin.xz")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let batch = folder.path().join("test_batch.bin");
    let unpacked = std::process::Command::new("xz").arg("-dkc").arg(&packed).output();
    let Ok(unpacked) = unpacked else {
        println!("skipped: no `xz` to unpack the CIFAR-10 test batch");
        return;
    };
    fs::File::create(&batch).unwrap().write_all(&unpacked.stdout).unwrap();
    let dataset = Dataset::open(&format!("cifar10:{}", folder.path().display()), &DataOptions::default()).unwrap();
    let counts = [(36.0 / 255.0, 4600), (72.0 / 255.0, 3811), (108.0 / 255.0, 3069), (1.0, 1132)];
    logits_and_counts(&reference, &dataset, "logits64_first64", 5543, &counts);
}

const DIGITS: [&str; 7] = [
    "certify",
    "tests/fixtures/sll_digits/digits.pth",
    "--data",
    "digits",
    "--preprocess",
    "mean=0.3053",
    "--json",
];

#[test]
fn the_command_counts_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (csv, run) = (folder.path().join("s.csv"), folder.path().join("run.json"));
    let mut arguments = DIGITS.to_vec();
    let extra = [
        "--eps",
        "0.1,0.25,1/2,1",
        "--samples",
        csv.to_str().unwrap(),
        "-o",
        run.to_str().unwrap(),
    ];
    arguments.extend(extra);
    let ran = lipcert(&arguments);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let json = ran.json();
    assert_eq!(
        (&json["correct"], &json["samples"], &json["undecided"]),
        (&339.into(), &360.into(), &0.into())
    );
    let counts: Vec<u64> = json["certified"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["count"].as_u64().unwrap())
        .collect();
    assert_eq!(counts, [315, 256, 101, 0]);
    assert_eq!(json["certified"][2]["epsilon"], "1/2");
    assert!(json["max_logit_error"].as_f64().unwrap() < 1e-9);
    let written: serde_json::Value = serde_json::from_slice(&fs::read(&run).unwrap()).unwrap();
    assert!(written == json, "the file is not what was printed");

    let table = fs::read_to_string(&csv).unwrap();
    assert_eq!(table.lines().next(), Some("index,label,predicted,margin,radius"));
    assert_eq!(table.lines().count(), 361);
    let certified = table.lines().skip(1).filter(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        fields[1] == fields[2] && fields[4].parse::<f64>().unwrap() >= 0.1
    });
    assert_eq!(certified.count(), 315);

    for kind in ["html", "md", "json"] {
        let report = folder.path().join(format!("report.{kind}"));
        let ran = lipcert(["report", run.to_str().unwrap(), "-o", report.to_str().unwrap()]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        let text = fs::read_to_string(&report).unwrap();
        assert!(text.contains(json["model"]["sha256"].as_str().unwrap()), "{kind}");
    }
}

#[test]
fn shards_and_limits_keep_the_indices() {
    let count = |extra: &[&str]| {
        let mut arguments = DIGITS.to_vec();
        arguments.extend(extra);
        let json = lipcert(&arguments).json();
        (json["samples"].as_u64().unwrap(), json["correct"].as_u64().unwrap())
    };
    let parts: Vec<(u64, u64)> = ["0/3", "1/3", "2/3"].iter().map(|shard| count(&["--shard", shard])).collect();
    assert_eq!(
        parts.iter().fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1)),
        (360, 339)
    );
    assert_eq!(count(&["--limit", "7"]).0, 7);
}

/// Several models or a folder: a row each, and the mean.
#[test]
fn a_folder_of_models() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(digits().model, folder.path().join("a.pth")).unwrap();
    fs::copy(
        crate::reference::root("tests/fixtures/sll_digits/digits.safetensors"),
        folder.path().join("b.safetensors"),
    )
    .unwrap();
    let ran = lipcert_in(
        folder.path(),
        [
            "certify",
            ".",
            "--data",
            "digits",
            "--preprocess",
            "mean=0.3053",
            "--json",
            "--eps",
            "0.1",
        ],
    );
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let json = ran.json();
    let rows = json["models"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["correct"], rows[1]["correct"]);
    assert!((json["mean"]["accuracy"].as_f64().unwrap() - 339.0 / 360.0).abs() < 1e-12);
}

#[test]
fn wrong_input_is_a_fault_with_a_cause() {
    for (arguments, cause) in [
        (vec!["--input", "3x32x32"], "3x32x32"),
        (vec!["--limit", "0"], "0"),
        (vec!["--eps", "0.1,1/10"], "same size"),
        (vec!["--eps", "-1"], "-1"),
        (vec!["--preprocess", "mean=0.1,0.2,0.3"], "mean"),
        (vec!["--preprocess", "mean=0.1;std=0"], "std"),
        (vec!["--preprocess", "imagenet"], "imagenet"),
        (vec!["--shard", "3/3"], "3/3"),
        (vec!["--semantics", "float32"], "float32"),
    ] {
        let mut all: Vec<&str> = DIGITS.to_vec();
        if arguments[0] == "--preprocess" {
            all.retain(|argument| *argument != "--preprocess" && *argument != "mean=0.3053");
        }
        all.extend(&arguments);
        let ran = lipcert(&all);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(cause), "{arguments:?}: {}", ran.stderr);
    }
    for data in ["cifar10:/nowhere", "nothing", "mnist:", "npz:tests/hostile/odd.pth"] {
        let ran = lipcert(["certify", "tests/fixtures/sll_digits/digits.pth", "--data", data]);
        assert_eq!(ran.status, Some(2), "{data}: {ran:?}");
        assert!(!ran.stderr.is_empty());
    }
}
