//! `lipcert train`, with a stand-in for the program that trains.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lipcert::results::Run;
use lipcert_models::training::job::{Device, Event, Job};
use ndarray::{Array1, Array4};
use ndarray_npy::NpzWriter;

use crate::cli::{Ran, lipcert_in};
use crate::trainer::{Bench, CONFIG, epoch, finished, leave_model, say, started, step};

/// A stand-in that trains well.
pub(crate) fn good() -> Bench {
    let warning = Event::Warning {
        message: "the rate is high".to_owned(),
    };
    let before = say(&[started(), step(10), warning, step(15), epoch(0), step(30), epoch(1)]);
    Bench::new(&format!("{before}{}{}", leave_model(), say(&[finished(false)])))
}

pub(crate) const TRAIN: [&str; 4] = ["train", "config.toml", "-o", "out"];

pub(crate) fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    TRAIN.iter().chain(more).copied().collect()
}

/// Grey images of the shape of the digits, with labels of so many classes.
pub(crate) fn write_npz(path: &Path, classes: u64) {
    let count = usize::try_from(2 * classes).unwrap();
    let mut file = NpzWriter::new(fs::File::create(path).unwrap());
    file.add_array("x", &Array4::<f32>::from_elem((count, 1, 8, 8), 0.5)).unwrap();
    file.add_array("y", &Array1::from_iter((0..2 * classes).map(|place| place % classes)))
        .unwrap();
    file.finish().unwrap();
}

#[test]
fn the_file_is_verified_and_certified() {
    let bench = good();
    let ran = bench.run(&with(&["--json", "--device", "cpu", "--threads", "1"]));
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let json = ran.json();
    assert_eq!(
        (&json["schema"], &json["verdict"]),
        (&"lipcert/train/1".into(), &"certified".into())
    );
    assert_eq!(json["checkpoint"], "out/model.safetensors");
    assert_eq!(json["epochs"].as_array().unwrap().len(), 2);
    assert_eq!((&json["device"], &json["stopped"]), (&"cpu".into(), &false.into()));
    assert_eq!(json["verify"]["schema"], "lipcert/verify/1");
    assert!((json["verify"]["lipschitz"]["upper"].as_f64().unwrap() - 1.2524149).abs() < 1e-6);
    let certify = &json["certify"];
    assert_eq!(
        (&certify["schema"], &certify["correct"]),
        (&"lipcert/certify/1".into(), &339.into())
    );
    assert_eq!(
        (&certify["certified"][0]["count"], &certify["certified"][1]["count"]),
        (&315.into(), &101.into())
    );
    assert!(json.get("before").is_none());

    let mut files: Vec<String> = fs::read_dir(bench.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "certificate.json",
            "model.safetensors",
            "report.html",
            "run.json",
            "train.json"
        ]
    );
    assert_eq!(
        Run::read(bench.read("out/run.json").as_bytes()).unwrap().models()[0].correct,
        339
    );
    let whole: serde_json::Value = serde_json::from_str(&bench.read("out/train.json")).unwrap();
    assert_eq!(whole, json);
    // Somebody else checks what was claimed.
    let ran = lipcert_in(bench.folder(), ["check", "out/certificate.json", "out/model.safetensors"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");

    let Job::Train(job) = bench.job() else { panic!("another job") };
    assert_eq!(
        (job.folder.as_path(), job.resume, job.device, job.threads),
        (Path::new("out"), false, Device::Cpu, Some(1))
    );
    assert_eq!((job.start, job.config.train.epochs), (None, 2));
}

#[test]
fn the_text_begins_with_what_is_proved() {
    let ran = good().run(&TRAIN);
    assert_eq!(ran.first_line(), "certified: accuracy 94.16 %, certified 87.50 % at ε = 0.1");
    assert!(
        ran.stdout.contains("trained: 2 epochs on cpu, 34442 parameters"),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("warning: the rate is high"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: open out/report.html"), "{}", ran.stderr);
    // there is no terminal, so no bar: the epochs are told
    assert!(
        ran.stderr.contains("epoch 2: loss 0.2500, accuracy 95.00 %"),
        "{}",
        ran.stderr
    );
    let quiet = good().run(&with(&["--quiet"]));
    assert_eq!((quiet.status, quiet.stderr.as_str()), (Some(0), ""));
}

/// The folder's name comes from the configuration; data of the command line goes before that of the file.
#[test]
fn defaults_and_overrides() {
    let bench = Bench::new(&format!("mkdir -p runs/config && {}{}", leave_model(), say(&[started()])));
    let ran = bench.run(&["train", "config.toml", "--data", "digits"]);
    assert_eq!(ran.status, Some(2), "it ends without an answer: {ran:?}");
    let Job::Train(job) = bench.job() else { panic!("another job") };
    assert_eq!((job.folder.as_path(), job.device), (Path::new("runs/config"), Device::Auto));
    let ran = bench.run(&with(&["--data", "mnist:nowhere"]));
    assert!(ran.status == Some(2) && ran.stderr.contains("nowhere"), "{ran:?}");
    let ran = bench.run(&with(&["--test-data", "mnist:elsewhere"]));
    assert!(ran.status == Some(2) && ran.stderr.contains("elsewhere"), "{ran:?}");
}

/// What the program says went wrong is what the user reads.
#[test]
fn a_training_that_fails() {
    let failed = Event::Failed {
        message: "step 3: output of layer `2` is not finite".to_owned(),
    };
    for (script, causes) in [
        (say(&[started(), failed]), &["step 3: output of layer `2` is not finite"][..]),
        (
            say(&[started()]) + "echo 'loading' >&2; echo 'libc10.so: cannot open' >&2; exit 127",
            &["without an answer", "127", "libc10.so: cannot open"],
        ),
        ("exit 3".to_owned(), &["without a word", "3"]),
        ("kill -9 $$".to_owned(), &["without a word", "9"]),
        ("echo 'Hello'; cat > /dev/null".to_owned(), &["no event", "Hello"]),
        (say(&[finished(false)]), &["done before it has begun"]),
        (say(&[started(), finished(false)]), &["there is no `out/model.safetensors`"]),
        (
            r#"echo '{"event":"doctor","libtorch":"2","threads":1,"cuda_devices":0,"cuda_error":null,"cudnn":false}'"#.to_owned(),
            &["another question"],
        ),
        (
            "mkdir -p out; echo nonsense > out/model.safetensors\n".to_owned() + &say(&[started(), finished(false)]),
            &["out/model.safetensors"],
        ),
    ] {
        let bench = Bench::new(&script);
        let ran = bench.run(&TRAIN);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{script}: {ran:?}");
        for cause in causes {
            assert!(ran.stderr.contains(cause), "{cause}: {}", ran.stderr);
        }
        assert!(!bench.path("out/certificate.json").exists());
    }
}

#[test]
fn without_the_program_one_command_is_named() {
    let bench = Bench::without_trainer();
    let ran = bench.run(&TRAIN);
    assert_eq!(ran.status, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("make libtorch"), "{}", ran.stderr);
    assert!(!bench.path("out").exists(), "nothing was begun");
    // In the PATH it is found too.
    let other = good();
    let mut command = bench.command(&TRAIN);
    command.env("PATH", format!("{}:/usr/bin:/bin", other.path("bin").display()));
    assert_eq!(Ran::of(command).status, Some(0));
}

/// Every fault of a configuration is said with file and line, before anything is started.
#[test]
fn configurations_that_are_refused() {
    let cases = [
        ("epochs = 2", "epochs = 0", "line 13: `train.epochs` is 0"),
        ("epochs = 2", "epochs = \"2\"", "line 13 (`epochs = \"2\"`): invalid type"),
        ("epochs = 2", "epoch = 2", "line 13 (`epoch = 2`): unknown field `epoch`"),
        ("batch = 100", "batch = 0", "line 14: `train.batch` is 0"),
        ("rate = 0.001", "rate = -1.0", "line 11: `optimizer.rate` is -1"),
        ("rate = 0.001", "rate = nan", "line 11: `optimizer.rate` is NaN"),
        ("kind = \"adam\"", "kind = \"magic\"", "`magic`"),
        ("kind = \"cross-entropy\"", "kind = \"guess\"", "`guess`"),
        ("offset = 0.5", "offset = inf", "line 8: `loss.offset` is inf"),
        (
            "\"digits-sll\"",
            "\"digits-none\"",
            "line 5: there is no preset `digits-none`",
        ),
        (
            "preset = \"digits-sll\"",
            "layers = [{ kind = \"soup\" }]",
            "line 5: layer 0 (`soup`)",
        ),
        ("preset = \"digits-sll\"", "", "`network.layers` is missing"),
        ("[network]\npreset = \"digits-sll\"\n", "", "`network` is missing"),
        ("train = \"digits\"", "train = \"numbers\"", "numbers"),
        ("train = \"digits\"", "train = \"npz:a.npz\"", "a.npz"),
        ("[\"0.1\", \"0.5\"]", "[\"0.1\", \"1/10\"]", "line 16: `certify.eps`"),
        ("[\"0.1\", \"0.5\"]", "[\"-1\"]", "line 16: `certify.eps`"),
        ("[\"0.1\", \"0.5\"]", "[0.1]", "expected a size in quotes"),
        (
            "lipcert/train-config/1",
            "lipcert/train/1",
            "expected `lipcert/train-config/1`",
        ),
        ("[train]", "[train", "line 12"),
        ("[train]", "[augment]\ncrop = 8\n[train]", "line 13: `augment.crop` is 8"),
        ("[train]", "[finetune]\nparameters = \"head\"\n[train]", "line 12: `finetune`"),
    ];
    let bench = good();
    for (from, to, cause) in cases {
        assert!(CONFIG.contains(from), "{from}");
        bench.write("config.toml", &CONFIG.replace(from, to));
        let ran = bench.run(&TRAIN);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{to}: {ran:?}");
        assert!(ran.stderr.contains(cause), "{to}: {}", ran.stderr);
        assert!(ran.stderr.contains("config.toml"), "{to}: {}", ran.stderr);
        assert!(
            !bench.path("job.json").exists() && !bench.path("out").exists(),
            "{to}: it was started"
        );
    }
    let ran = bench.run(&["train", "nothing.toml"]);
    assert!(ran.status == Some(2) && ran.stderr.contains("nothing.toml"), "{ran:?}");
    let ran = bench.run(&with(&["--force", "--resume"]));
    assert_eq!(ran.status, Some(2), "{ran:?}");
}

/// A number that no epoch has is shown, not a fault.
#[test]
fn absurd_events_are_only_words() {
    let mut events = say(&[started(), step(usize::MAX), epoch(usize::MAX)]);
    events.push_str("head -c 3000000 /dev/zero | tr '\\0' a; echo\n");
    let bench = Bench::new(&(events + &leave_model() + &say(&[finished(false)])));
    let ran = bench.run(&TRAIN);
    assert!(ran.status == Some(2) && ran.stderr.contains("no event"), "{ran:?}");
}

/// The table of a training that was taken up again begins with its first epoch; what was done beyond the state is done again.
#[test]
fn earlier_epochs_are_not_forgotten() {
    let resumed = Event::Started {
        device: "cpu".to_owned(),
        parameters: 34442,
        moving: 34442,
        steps: 30,
        done: 20,
        samples: 1437,
    };
    let events = say(&[resumed, epoch(2)]);
    let bench = Bench::new(&format!("{events}{}{}", leave_model(), say(&[finished(false)])));
    fs::create_dir(bench.path("out")).unwrap();
    bench.write("out/state.safetensors", "state");
    let line = |done: usize, event: &Event| {
        let mut line = serde_json::to_value(event).unwrap();
        line["done"] = done.into();
        format!("{line}\n")
    };
    let lines = [
        line(5, &step(5)),
        line(10, &epoch(0)),
        line(20, &epoch(1)),
        line(30, &epoch(2)),
        "{\"done\":".to_owned(),
    ];
    bench.write("out/log.jsonl", &lines.concat());
    let ran = bench.run(&with(&["--resume", "--json"]));
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let json = ran.json();
    let epochs = json["epochs"].as_array().unwrap().iter();
    assert_eq!(
        epochs.map(|epoch| epoch["epoch"].as_u64().unwrap()).collect::<Vec<_>>(),
        [0, 1, 2]
    );
}

/// An interrupt at the terminal, or what a batch system sends before it kills, reaches `lipcert` alone; it closes the other program's input, which then saves.
#[test]
fn an_interrupt_saves_and_certifies() {
    let bench = Bench::new(&format!(
        "{}cat > /dev/null\n{}{}",
        say(&[started(), step(10), epoch(0)]),
        leave_model(),
        say(&[finished(true)])
    ));
    for signal in ["-INT", "-TERM"] {
        let (status, ran) = interrupted(&bench, &with(&["--json", "--force"]), signal);
        assert_eq!(status, Some(0), "{ran:?}");
        let json = ran.json();
        assert_eq!((&json["stopped"], &json["certify"]["correct"]), (&true.into(), &339.into()));
        assert_eq!(json["epochs"].as_array().unwrap().len(), 1);
        fs::remove_file(bench.path("job.json")).unwrap();
    }
}

#[test]
fn an_interrupt_before_there_is_a_model() {
    let bench = Bench::new(&format!("{}cat > /dev/null\n{}", say(&[started()]), say(&[finished(true)])));
    let (status, ran) = interrupted(&bench, &TRAIN, "-INT");
    assert_eq!(status, Some(1), "{ran:?}");
    assert!(ran.first_line().starts_with("not certified: training was stopped"), "{ran:?}");
    assert!(ran.stderr.contains("hint: go on with --resume -o out"), "{ran:?}");
    assert!(!bench.path("out/certificate.json").exists());
}

/// Runs in a process group of its own, which is interrupted as soon as the job is there.
pub(crate) fn interrupted(bench: &Bench, arguments: &[&str], signal: &str) -> (Option<i32>, Ran) {
    let mut command = bench.command(arguments);
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let begin = Instant::now();
    while !bench.path("job.json").exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "the job never came");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(100));
    let sent = Command::new("kill")
        .args([signal, "--", &format!("-{}", child.id())])
        .status();
    assert!(sent.unwrap().success());
    let ran = Ran::from(child.wait_with_output().unwrap());
    (ran.status, ran)
}

/// Of several processes the first one certifies; the others train and say nothing.
#[test]
fn one_of_several_processes_certifies() {
    let bench = good();
    let rank = |rank: &str| {
        let mut command = bench.command(&TRAIN);
        command
            .env("WORLD_SIZE", "2")
            .env("MASTER_ADDR", "127.0.0.1")
            .env("RANK", rank);
        Ran::of(command)
    };
    // Without a number every process would be the first.
    let mut command = bench.command(&TRAIN);
    command.env("WORLD_SIZE", "2").env("MASTER_ADDR", "127.0.0.1");
    let ran = Ran::of(command);
    assert!(ran.status == Some(2) && ran.stderr.contains("`RANK` is not set"), "{ran:?}");
    assert!(!bench.path("job.json").exists() && !bench.path("out").exists());
    let ran = rank("1");
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    // a warning of its own, and no epochs
    assert_eq!(ran.stderr, "warning: the rate is high\n");
    assert!(bench.path("job.json").exists() && !bench.path("out/certificate.json").exists());
    let ran = rank("2");
    assert!(ran.status == Some(2) && ran.stderr.contains("`RANK` is `2`"), "{ran:?}");
    fs::remove_dir_all(bench.path("out")).unwrap();
    assert!(rank("0").first_line().starts_with("certified"));
    assert!(bench.path("out/certificate.json").exists());
}
