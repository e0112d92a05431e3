//! A stand-in for the program that trains: a script beside a copy of `lipcert`, that says what a test wants it to say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lipcert_models::training::job::{Epoch, Event, Job, Step};
use lipcert_proofs::format::hexadecimal;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::cli::Ran;
use crate::reference::root;

/// A folder with `bin/lipcert`, `bin/lipcert-train` and `config.toml`.
pub(crate) struct Bench {
    folder: TempDir,
}

/// A configuration that is right.
pub(crate) const CONFIG: &str = "\
schema = \"lipcert/train-config/1\"
[data]
train = \"digits\"
[network]
preset = \"digits-sll\"
[loss]
kind = \"cross-entropy\"
offset = 0.5
[optimizer]
kind = \"adam\"
rate = 0.001
[train]
epochs = 2
batch = 100
[certify]
eps = [\"0.1\", \"0.5\"]
";

impl Bench {
    /// With a stand-in that keeps its job in `job.json` and then does what `script`, in the shell's language, says.
    pub(crate) fn new(script: &str) -> Self {
        let bench = Self::without_trainer();
        // A link, because a program that was just written may still be open for writing in a process that another test is starting.
        std::os::unix::fs::symlink(root("tests/fixtures/trainer/lipcert-train"), bench.path("bin/lipcert-train")).unwrap();
        bench.write("bin/script.sh", script);
        bench
    }

    /// Without one.
    pub(crate) fn without_trainer() -> Self {
        // beside the program, so that a link will do
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let bench = Self { folder };
        fs::create_dir(bench.path("bin")).unwrap();
        let (program, link) = (env!("CARGO_BIN_EXE_lipcert"), bench.path("bin/lipcert"));
        if fs::hard_link(program, &link).is_err() {
            fs::copy(program, &link).unwrap();
        }
        bench.write("config.toml", CONFIG);
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The job that the stand-in got.
    pub(crate) fn job(&self) -> Job {
        serde_json::from_str(&self.read("job.json")).unwrap()
    }

    /// The program, not yet started; no other `lipcert-train` is in the `PATH`.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("bin/lipcert"));
        command
            .args(arguments)
            .current_dir(self.folder())
            .env("PATH", "/usr/bin:/bin")
            .env_remove("RANK")
            .env_remove("WORLD_SIZE")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments))
    }
}

/// Shell commands that say events.
pub(crate) fn say(events: &[Event]) -> String {
    let lines = events
        .iter()
        .map(|event| format!("echo '{}'\n", serde_json::to_string(event).unwrap()));
    lines.collect()
}

/// Shell commands that put the built-in network where the result belongs.
pub(crate) fn leave_model() -> String {
    let model = root("tests/fixtures/sll_digits/digits.safetensors");
    format!("mkdir -p out && cp '{}' out/model.safetensors\n", model.display())
}

pub(crate) fn started() -> Event {
    Event::Started {
        device: "cpu".to_owned(),
        parameters: 34442,
        moving: 34442,
        steps: 30,
        done: 0,
        samples: 1437,
    }
}

pub(crate) fn step(step: usize) -> Event {
    Event::Step(Step {
        epoch: 0,
        step,
        loss: 0.5,
        accuracy: 0.9,
        approx_certified: 0.8,
        rate: 1000.0,
    })
}

pub(crate) fn epoch(epoch: usize) -> Event {
    Event::Epoch(Epoch {
        epoch,
        loss: 0.25,
        accuracy: 0.95,
        approx_certified: 0.85,
        held_out: None,
        learning_rate: 0.001,
        seconds: 1.0,
    })
}

/// What [`leave_model`] leaves is the result.
pub(crate) fn finished(stopped: bool) -> Event {
    let model = fs::read(root("tests/fixtures/sll_digits/digits.safetensors")).unwrap();
    Event::Finished {
        file: "out/model.safetensors".into(),
        sha256: Some(hexadecimal(&Sha256::digest(model))),
        stopped,
        best: None,
    }
}
