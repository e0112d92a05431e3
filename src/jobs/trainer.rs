//! The program that trains: found, given a job, listened to, and asked to stop.
//!
//! It is a program of its own because it needs libtorch. What it says is not trusted: it proves nothing, and the files that it writes are read as any others.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lipcert_models::training::job::{Doctor, Event, Job};

use super::Progress;

/// The name of the program.
pub const NAME: &str = "lipcert-train";
/// The command that builds it, in the folder of the sources.
pub const INSTALL: &str = "make libtorch";

/// How often the program looks whether it should stop.
const PAUSE: Duration = Duration::from_millis(50);
/// The most of its complaints that are kept, the last ones.
const KEPT: usize = 4096;
/// The longest line that it may say, in bytes.
const LONGEST: u64 = 1 << 20;
/// How many lines may wait to be heard.
const AHEAD: usize = 64;
/// How long a program may take to end when it has said its last word.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a job of the program ended, where it did its work.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A file was written.
    Written {
        /// Its SHA-256, where it is a model and there is one.
        sha256: Option<String>,
        /// Whether it was stopped before the end.
        stopped: bool,
        /// Which epoch the file is of.
        best: Option<usize>,
    },
    /// What it says of the machine.
    Doctor(Doctor),
}

/// The program: beside this one, else in the `PATH`.
///
/// # Errors
///
/// If it is nowhere; says how to build it.
pub fn find() -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe().context("cannot find out where this program lies")?;
    let beside = here.parent().map(Path::to_owned);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = beside.into_iter().chain(std::env::split_paths(&paths));
    match folders.find(|folder| folder.join(NAME).is_file()) {
        Some(folder) => Ok(folder.join(NAME)),
        None => bail!("`{NAME}` is neither beside `lipcert` nor in the PATH; to fetch libtorch and build it: {INSTALL}"),
    }
}

/// Gives the program a job and waits for the end of it. `listen` hears everything that it says before.
///
/// When `progress` wants to stop, the program's input is closed: then it saves what it has and ends.
///
/// # Errors
///
/// If the program cannot be started, says that it failed, says something else than events, or ends without a word.
pub(crate) fn ask(program: &Path, job: &Job, progress: &dyn Progress, listen: &mut dyn FnMut(Event)) -> anyhow::Result<Answer> {
    let mut running = Running::start(program, job)?;
    loop {
        if progress.stopped() {
            running.input = None;
        }
        match running.lines.recv_timeout(PAUSE) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!(running.last_words()),
            Ok(line) => match serde_json::from_str(&line) {
                Ok(Event::Finished {
                    sha256, stopped, best, ..
                }) => return Ok(Answer::Written { sha256, stopped, best }),
                Ok(Event::Doctor(doctor)) => return Ok(Answer::Doctor(doctor)),
                Ok(Event::Failed { message }) => bail!(running.failed(message)),
                Ok(event) => listen(event),
                Err(_) => {
                    let start: String = line.chars().take(200).collect();
                    bail!("`{NAME}` says what is no event: {start}");
                }
            },
        }
    }
}

/// The program at work. Dropping it closes its input and waits for its end.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    complaints: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    /// Starts the program in a process group of its own, so that an interrupt at the terminal reaches it through its input only.
    fn start(program: &Path, job: &Job) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start `{}`", program.display()))?;
        let (output, errors, input) = (child.stdout.take(), child.stderr.take(), child.stdin.take());
        let (sender, lines) = mpsc::sync_channel(AHEAD);
        let output = output.context("the output of the program is not there")?;
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            // a line that is too long comes in parts, which are no events
            while let Ok(1..) = output.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
                if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                    break;
                }
                line.clear();
            }
        });
        let complaints = errors.map(|errors| thread::spawn(move || tail(errors)));
        let mut running = Self {
            child,
            input,
            lines,
            complaints,
        };
        let mut text = serde_json::to_vec(job).context("cannot write the job")?;
        text.push(b'\n');
        // A program that is gone already says why on its way out.
        if let Some(input) = &mut running.input {
            let _ = input.write_all(&text).and_then(|()| input.flush());
        }
        Ok(running)
    }

    /// Why the program said nothing more.
    fn last_words(mut self) -> String {
        self.input = None;
        let status = self
            .end()
            .map_or_else(|| "it does not end".to_owned(), |status| status.to_string());
        match self.complaints() {
            complaints if complaints.is_empty() => format!("`{NAME}` ended without a word ({status})"),
            complaints => format!("`{NAME}` ended without an answer ({status}): {complaints}"),
        }
    }

    /// What the program says when it fails, and what it said aside.
    fn failed(mut self, message: String) -> String {
        self.input = None;
        self.end();
        match self.complaints() {
            complaints if complaints.is_empty() => message,
            complaints => format!("{message}: {complaints}"),
        }
    }

    /// Waits for the end; a program that does not end by itself is killed.
    fn end(&mut self) -> Option<ExitStatus> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) => thread::sleep(PAUSE / 10),
                Err(_) => break,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        None
    }

    /// The last lines of its standard error; the program must have ended.
    fn complaints(&mut self) -> String {
        let complaints = self.complaints.take().and_then(|thread| thread.join().ok());
        let complaints = complaints.unwrap_or_default();
        let complaints = String::from_utf8_lossy(&complaints);
        let lines: Vec<&str> = complaints.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(8)..].join(" | ")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.input = None;
        self.end();
    }
}

/// The end of a text.
fn tail(mut from: impl Read) -> Vec<u8> {
    let (mut kept, mut part) = (Vec::new(), [0u8; 1024]);
    while let Ok(count @ 1..) = from.read(&mut part) {
        kept.extend_from_slice(&part[..count]);
        kept.drain(..kept.len().saturating_sub(KEPT));
    }
    kept
}
