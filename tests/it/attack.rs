//! `lipcert attack`, with a stand-in for the program that attacks.

use std::fs;

use lipcert_models::data::{DataOptions, Dataset, PixelSlice};
use lipcert_models::training::candidates::Candidates;
use lipcert_models::training::job::{Device, Event, Job};

use crate::reference::root;
use crate::trainer::{Bench, finished, say};

/// The first ten test samples.
fn pixels(place: usize) -> Vec<f64> {
    let dataset = Dataset::open("digits", &DataOptions::default()).unwrap();
    match dataset.pixels_of(place..place + 1) {
        PixelSlice::Bytes { values, divisor } => values.iter().map(|value| f64::from(*value) / f64::from(divisor)).collect(),
        PixelSlice::Floats(values) => values.to_vec(),
    }
}

/// The distance between two inputs, in float arithmetic.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

/// A stand-in that hands over a file.
fn bench(bytes: &[u8], stopped: bool) -> Bench {
    let started = Event::Started {
        device: "cpu".to_owned(),
        parameters: 34442,
        moving: 34442,
        steps: 100,
        done: 0,
        samples: 10,
    };
    let take = "cp inputs.safetensors \"$(printf '%s' \"$job\" | sed 's/.*\"output\":\"\\([^\"]*\\)\".*/\\1/')\"\n";
    let bench = Bench::new(&format!("{}{take}{}", say(&[started]), say(&[finished(stopped)])));
    fs::write(bench.path("inputs.safetensors"), bytes).unwrap();
    fs::copy(
        root("tests/fixtures/sll_digits/digits.safetensors"),
        bench.path("model.safetensors"),
    )
    .unwrap();
    bench
}

/// Inputs for samples, all by the attack of the first size.
fn inputs(rows: &[(usize, Vec<f64>)]) -> Candidates {
    Candidates {
        length: 64,
        inputs: rows.iter().flat_map(|(_, input)| input.clone()).collect(),
        samples: rows.iter().map(|(place, _)| *place).collect(),
        epsilons: vec![Some(0); rows.len()],
    }
}

const ATTACK: [&str; 10] = [
    "attack",
    "model.safetensors",
    "--data",
    "digits",
    "--limit",
    "10",
    "--eps",
    "0.1,2,20",
    "--device",
    "cpu",
];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    ATTACK.iter().chain(more).copied().collect()
}

/// An input of another class counts at its own distance, whatever size the attack says that it is for.
#[test]
fn inputs_are_judged_by_their_own_distance() {
    let far = distance(&pixels(0), &pixels(1));
    assert!(far > 2.0 && far < 20.0);
    let found = inputs(&[(0, pixels(1)), (2, pixels(2))]);
    let bench = bench(&found.to_bytes(), false);
    let ran = bench.run(&with(&[
        "--json",
        "-o",
        "attack.json",
        "--samples",
        "s.csv",
        "--inputs",
        "kept.safetensors",
    ]));
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let json = ran.json();
    assert_eq!(
        (&json["schema"], &json["verdict"]),
        (&"lipcert/attack/1".into(), &"certified".into())
    );
    assert_eq!(
        (&json["candidates"], &json["proved"], &json["undecided"]),
        (&2.into(), &1.into(), &1.into())
    );
    let correct = json["correct"].as_u64().unwrap();
    let rows = json["attacked"].as_array().unwrap();
    let broken: Vec<u64> = rows.iter().map(|row| row["broken"].as_u64().unwrap()).collect();
    assert_eq!(broken, [0, 0, 1]);
    assert_eq!(rows[2]["count"].as_u64(), Some(correct - 1));
    let robust = rows[2]["robust_accuracy"].as_f64().unwrap();
    assert!((robust - (correct - 1) as f64 / 10.0).abs() < 1e-12);
    for row in rows {
        assert!(row["certified"].as_u64() <= row["count"].as_u64(), "{row}");
    }
    assert_eq!((&rows[0]["epsilon"], &rows[0]["steps"]), (&"0.1".into(), &100.into()));
    assert!(json["contradictions"].as_array().unwrap().is_empty());

    let written: serde_json::Value = serde_json::from_str(&bench.read("attack.json")).unwrap();
    assert_eq!(written, json);
    let table = bench.read("s.csv");
    assert_eq!(table.lines().count(), 11);
    let first: Vec<&str> = table.lines().nth(1).unwrap().split(',').collect();
    let nearest: f64 = first[4].parse().unwrap();
    assert!(nearest >= far && nearest - far < 1e-9, "{nearest} {far}");
    assert!(table.lines().nth(3).unwrap().ends_with(','), "{table}");
    assert_eq!(fs::read(bench.path("kept.safetensors")).unwrap(), found.to_bytes());

    let Job::Attack(job) = bench.job() else {
        panic!("another job")
    };
    assert_eq!(
        (job.test, job.limit, job.steps, job.restarts, job.queries),
        (true, Some(10), 100, 5, 0)
    );
    assert_eq!(
        (job.data.as_str(), job.device, job.epsilons.len()),
        ("digits", Device::Cpu, 3)
    );
    // never above the size that was typed
    assert!(job.epsilons[0] <= 0.1 && job.epsilons[0] > 0.1 - 1e-15);
}

#[test]
fn the_text_begins_with_both_sides() {
    let bench = bench(&inputs(&[(0, pixels(1))]).to_bytes(), true);
    let ran = bench.run(&ATTACK);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(ran.first_line().starts_with("certified: robust accuracy between "), "{ran:?}");
    assert!(ran.stdout.contains("stopped before the end"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("1 proved to have another class, 0 undecided"),
        "{}",
        ran.stdout
    );
}

/// An attack that found nothing proves nothing and is no error.
#[test]
fn nothing_found() {
    let json = bench(&inputs(&[]).to_bytes(), false).run(&with(&["--json"])).json();
    assert_eq!((&json["candidates"], &json["attacked"][2]["broken"]), (&0.into(), &0.into()));
    assert_eq!(json["attacked"][2]["count"], json["correct"]);
}

/// Samples of a wrong class are broken by themselves; the others stand until an input is found, whether or not their class is proved.
#[test]
fn wrong_samples_are_broken_without_an_attack() {
    let bench = bench(&inputs(&[]).to_bytes(), false);
    let whole = ["attack", "model.safetensors", "--data", "digits", "--eps", "0.1", "--json"];
    let json = bench.run(&whole).json();
    let row = &json["attacked"][0];
    assert_eq!(
        (&json["samples"], &json["correct"], &json["candidates"]),
        (&360.into(), &339.into(), &0.into())
    );
    assert_eq!((&row["broken"], &row["count"]), (&21.into(), &339.into()));
}

/// What bounds the accuracy from above is rounded up.
#[test]
fn the_upper_bound_is_rounded_up() {
    let bench = bench(&inputs(&[(0, pixels(1))]).to_bytes(), false);
    let three = [
        "attack",
        "model.safetensors",
        "--data",
        "digits",
        "--limit",
        "3",
        "--eps",
        "20",
    ];
    let ran = bench.run(&three);
    assert_eq!(
        ran.first_line(),
        "certified: robust accuracy between 0.00 % (certified) and 66.67 % (attacked) at ε = 20"
    );
    let json = bench.run(&[three.as_slice(), &["--json"]].concat()).json();
    let robust = json["attacked"][0]["robust_accuracy"].as_f64().unwrap();
    assert_eq!(robust.to_bits(), (2.0_f64 / 3.0).next_up().to_bits());
}

/// Without a bound nothing could be judged: the answer is that nothing is proved, and the other program is not asked.
#[test]
fn without_a_bound_nothing_is_attacked() {
    let bench = bench(&inputs(&[]).to_bytes(), false);
    let layer = |rows: usize, cols: usize| format!("{:?}", vec![vec![1e150; cols]; rows]);
    let net = [layer(64, 2), layer(2, 2), layer(2, 10)].join(",");
    bench.write("net.txt", &net);
    let attack = ["attack", "net.txt", "--data", "digits", "--limit", "10", "--eps", "0.1"];
    let kept = ["--json", "--inputs", "kept.safetensors"];
    let ran = bench.run(&[attack.as_slice(), &kept].concat());
    assert_eq!(ran.status, Some(1), "{ran:?}");
    let json = ran.json();
    assert_eq!(
        (&json["verdict"], &json["candidates"], &json["samples"]),
        (&"not-certified".into(), &0.into(), &10.into())
    );
    let row = &json["attacked"][0];
    assert_eq!(
        (&row["certified"], &row["count"], &row["robust_accuracy"]),
        (&0.into(), &10.into(), &1.0.into())
    );
    assert!(json.get("device").is_none() && json.get("inputs").is_none());
    assert!(!bench.path("job.json").exists() && !bench.path("kept.safetensors").exists());
    let ran = bench.run(&attack);
    assert!(
        ran.first_line().starts_with("not certified: no Lipschitz bound is proved"),
        "{ran:?}"
    );
}

#[test]
fn a_file_that_makes_no_sense_is_refused() {
    let one = |change: &dyn Fn(&mut Candidates)| {
        let mut found = inputs(&[(0, pixels(1))]);
        change(&mut found);
        found.to_bytes()
    };
    for (bytes, cause) in [
        (one(&|found| found.inputs[5] = f64::NAN), "`input` is NaN at (0, 5)"),
        (one(&|found| found.samples[0] = 10), "`sample` is 10 at 0, there are 10"),
        (one(&|found| found.epsilons[0] = Some(3)), "`epsilon` is 3 at 0, there are 3"),
        (
            one(&|found| {
                found.length = 63;
                found.inputs.truncate(63);
            }),
            "expected F64 [1, 64]",
        ),
        (b"nothing".to_vec(), "header"),
    ] {
        let ran = bench(&bytes, false).run(&ATTACK);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{cause}: {ran:?}");
        assert!(ran.stderr.contains(cause), "{cause}: {}", ran.stderr);
    }
}

#[test]
fn what_cannot_be_attacked_is_refused() {
    let ran = Bench::without_trainer().run(&ATTACK);
    assert!(ran.status == Some(2) && ran.stderr.contains("make libtorch"), "{ran:?}");
    let bench = bench(&inputs(&[]).to_bytes(), false);
    for (arguments, cause) in [
        (vec!["attack", "nothing.pth", "--data", "digits"], "nothing.pth"),
        (vec!["attack", "model.safetensors", "--data", "numbers"], "numbers"),
        (with(&["--steps", "0"]), "above zero"),
        (with(&["-o", "model.safetensors", "--force"]), "input"),
        (with(&["-o", "a.json", "--samples", "a.json"]), "twice"),
        (with(&["-o", "a.json", "--samples", "./a.json", "--force"]), "twice"),
        (with(&["--restarts", "18446744073709551615"]), "at most 1000"),
        (with(&["--restarts", "1001"]), "at most 1000"),
        (with(&["--steps", "1000001"]), "at most 1000000"),
        (with(&["--queries", "1000000000000"]), "at most 1000000000"),
    ] {
        let ran = bench.run(&arguments);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(cause), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn an_attack_that_leaves_no_file() {
    let bench = bench(&inputs(&[]).to_bytes(), false);
    bench.write("bin/script.sh", &say(&[finished(false)]));
    let ran = bench.run(&ATTACK);
    assert!(
        ran.status == Some(2) && ran.stderr.contains("left no file of inputs"),
        "{ran:?}"
    );
}
