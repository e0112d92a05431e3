//! The terminal: exit statuses, streams and files.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use lipcert::results::{
    Certified, CertifiedAt, CertifySchema, Data, Epsilon, Lipschitz, Model, Semantics, Tool, Verdict, curve, to_json,
};
use serde_json::Value;

/// How a command ended and what it wrote.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<std::process::Output> for Ran {
    fn from(output: std::process::Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// Runs a command to its end.
    pub(crate) fn of(mut command: Command) -> Self {
        command.output().unwrap().into()
    }

    /// Standard output as exactly one JSON value.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The first line of standard output.
    pub(crate) fn first_line(&self) -> &str {
        self.stdout.lines().next().unwrap_or("")
    }
}

/// Runs the program in `folder`.
pub(crate) fn lipcert_in(folder: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
    Ran::of(command(folder, arguments))
}

/// Runs the program in the root of the workspace.
pub(crate) fn lipcert(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
    lipcert_in(Path::new(env!("CARGO_MANIFEST_DIR")), arguments)
}

/// The program, started, its streams caught.
pub(crate) fn start(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> std::process::Child {
    let mut command = command(Path::new(env!("CARGO_MANIFEST_DIR")), arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The program, not yet started.
fn command(folder: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lipcert"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null());
    command
}

/// A run with a thousand points of data behind it.
fn run_file(verdict: Verdict) -> Vec<u8> {
    let radii: Vec<f64> = (0..800).map(|i| f64::from(i) / 500.0).collect();
    let row = |text: &str| {
        let epsilon: Epsilon = text.parse().unwrap();
        CertifiedAt::new(
            &epsilon,
            radii.iter().filter(|&&radius| radius >= epsilon.radius()).count(),
            1000,
        )
    };
    let run = Certified {
        schema: CertifySchema::Certify1,
        tool: Tool::current(),
        verdict,
        assumptions: if verdict == Verdict::Conditional {
            vec!["the pool is exact".to_owned()]
        } else {
            Vec::new()
        },
        semantics: Semantics::Real,
        command: "lipcert certify model.pth --data digits".to_owned(),
        model: Model {
            path: "model.pth".to_owned(),
            sha256: "0".repeat(64),
            format: "torch-zip".to_owned(),
            architecture: "sll".to_owned(),
            parameters: 10,
            input: vec![1, 8, 8],
            preprocess: "none".to_owned(),
            declaration: None,
        },
        data: Data {
            name: "digits".to_owned(),
            split: "test".to_owned(),
            sha256: "1".repeat(64),
            samples: 1000,
            total: 1000,
        },
        lipschitz: Lipschitz {
            output: "all".to_owned(),
            upper: Some(1.5),
            features: Some(1.0),
            lower: None,
            dual_bound: None,
        },
        rule: "last-layer".to_owned(),
        method: "layers".to_owned(),
        pairs: Vec::new(),
        samples: 1000,
        correct: 800,
        accuracy: 0.8,
        certified: ["36/255", "1"].map(row).to_vec(),
        undecided: 0,
        unproved_class: 0,
        max_logit_error: Some(1e-10),
        curve: curve(&radii),
        layers: Vec::new(),
        certificate: None,
        seconds: 1.0,
        samples_per_second: 1000.0,
    };
    to_json(&run).unwrap()
}

const COMMANDS: [&str; 10] = [
    "inspect", "verify", "check", "certify", "train", "finetune", "attack", "report", "demo", "doctor",
];

#[test]
fn help_and_version_are_results() {
    let version = lipcert(["--version"]);
    assert_eq!(version.status, Some(0));
    assert_eq!(version.stdout, format!("lipcert {}\n", env!("CARGO_PKG_VERSION")));
    let help = lipcert(["--help"]);
    assert_eq!((help.status, help.stderr.as_str()), (Some(0), ""));
    assert!(help.stdout.contains("Exit status:"));
    for name in COMMANDS {
        let help = lipcert([name, "--help"]);
        assert_eq!(help.status, Some(0), "{name}");
        assert!(
            help.first_line().chars().count() <= 70 && !help.first_line().ends_with('.'),
            "{}",
            help.first_line()
        );
    }
}

/// Every example of a help text is at least understood: it may fail for want of its files, never for its wording.
#[test]
fn examples_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    for name in COMMANDS {
        let help = lipcert([name, "--help"]).stdout;
        let (_, examples) = help
            .split_once("Examples:\n")
            .unwrap_or_else(|| panic!("`{name}` has no examples"));
        let lines: Vec<&str> = examples
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("lipcert "))
            .collect();
        assert!(!lines.is_empty(), "{name}");
        for line in lines {
            let ran = lipcert_in(folder.path(), line.split(' ').skip(1));
            assert!(!ran.stderr.contains("Usage:"), "{line}: {}", ran.stderr);
        }
    }
}

#[test]
fn bad_usage_is_status_2() {
    let cases: [&[&str]; 11] = [
        &[],
        &["unknown"],
        &["verify"],
        &["verify", "m", "--method", "lipsdp"],
        &["verify", "m", "--output", "class:x"],
        &["verify", "m", "--input", "3x0x3"],
        &["certify", "m", "--data", "digits", "--eps", "1,-1"],
        &["certify", "m", "--data", "digits", "--shard", "4/4"],
        &["certify", "m", "--data", "digits", "--semantics", "float32"],
        &["demo", "--quiet", "--verbose"],
        &["demo", "--threads", "0"],
    ];
    for arguments in cases {
        let ran = lipcert(arguments);
        assert_eq!(ran.status, Some(2), "{arguments:?}");
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn missing_files_are_status_2_and_named() {
    for arguments in [
        &["inspect", "no-such-file"][..],
        &["report", "no-such-file"],
        &["verify", "no-such-file", "--json"],
    ] {
        let ran = lipcert(arguments);
        assert_eq!(ran.status, Some(2), "{arguments:?}");
        assert!(ran.stdout.is_empty() && ran.stderr.starts_with("error: "), "{ran:?}");
        assert!(ran.stderr.contains("no-such-file"), "{ran:?}");
    }
}

#[test]
fn a_report_is_written_once_and_over_only_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_file(Verdict::Certified);
    fs::write(folder.path().join("run.json"), &run).unwrap();
    let arguments = [
        "report",
        "run.json",
        "-o",
        "report.html",
        "-o",
        "report.md",
        "-o",
        "report.json",
    ];
    let ran = lipcert_in(folder.path(), arguments);
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(
        ran.first_line(),
        "restated from run.json, not checked again: certified: accuracy 80.00 %, certified 72.90 % at ε = 36/255"
    );
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    fs::write(folder.path().join("report.md"), "mine").unwrap();
    let again = lipcert_in(folder.path(), arguments);
    assert_eq!(again.status, Some(2));
    assert!(again.stderr.contains("--force") && again.stdout.is_empty(), "{again:?}");
    assert_eq!(fs::read_to_string(folder.path().join("report.md")).unwrap(), "mine");
    let forced = lipcert_in(folder.path(), arguments.iter().chain(&["--force"]));
    assert_eq!(forced.status, Some(0), "{forced:?}");
    assert!(
        fs::read_to_string(folder.path().join("report.md"))
            .unwrap()
            .starts_with("# certified")
    );
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 4, "drafts are left behind: {names:?}");
}

#[test]
fn json_is_one_object_and_text_names_the_assumption() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("run.json"), run_file(Verdict::Conditional)).unwrap();
    let json = lipcert_in(folder.path(), ["report", "run.json", "--json"]).json();
    assert_eq!(json["schema"], "lipcert/report/1");
    assert_eq!(json["runs"][0]["run"]["verdict"], "conditional");
    let text = lipcert_in(folder.path(), ["report", "run.json"]);
    assert!(
        text.first_line()
            .contains("not checked again: conditional (assuming the pool is exact): "),
        "{}",
        text.first_line()
    );
}

#[test]
fn a_file_that_is_no_run_is_status_2() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("run.json"), "{\"schema\":\"lipcert/certify/9\"}").unwrap();
    let ran = lipcert_in(folder.path(), ["report", "run.json", "-o", "report.html"]);
    assert_eq!(ran.status, Some(2));
    assert!(
        ran.stderr.contains("run.json") && ran.stderr.contains("lipcert/certify/9"),
        "{}",
        ran.stderr
    );
    assert!(!folder.path().join("report.html").exists());
}

/// A reader that goes away is no error.
#[test]
fn a_broken_pipe_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("run.json"), run_file(Verdict::Certified)).unwrap();
    let files = vec!["run.json"; 200];
    let arguments = ["report", "--json"].into_iter().chain(files);
    let mut child = command(folder.path(), arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}
