//! The program that trains: found, given a job, listened to, and asked to stop.
//!
//! It is a program of its own because it needs libtorch. What it says is not trusted: it proves nothing, and the files that it writes are read as any others.
//! Nor is it trusted to read, to end, or to close its streams when it ends: programs that it started may hold them open.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
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
/// How long a program that should stop may take to read its job; nothing is lost with one that has not.
const HASTE: Duration = Duration::from_secs(3);
/// How long something is awaited that a program which has ended may have left in its streams.
const REST: Duration = Duration::from_secs(1);

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

/// Gives the program a job and waits for the end of it. `listen` hears everything that it says before; an error of its own is the end too.
///
/// When `progress` wants to stop, the program's input is closed: then it saves what it has and ends. One that has not even read its job is killed.
///
/// # Errors
///
/// If the program cannot be started, does not read its job, says that it failed, says something else than events, or ends without a word.
pub(crate) fn ask(
    program: &Path,
    job: &Job,
    progress: &dyn Progress,
    listen: &mut dyn FnMut(Event) -> anyhow::Result<()>,
) -> anyhow::Result<Answer> {
    let mut running = Running::start(program, job)?;
    // since when it should stop, and since when it has ended and says nothing
    let (mut stopped, mut silent) = (None, None);
    loop {
        if progress.stopped() && !running.close() && since(&mut stopped) > HASTE {
            bail!(running.deaf());
        }
        match running.lines.recv_timeout(PAUSE) {
            Err(RecvTimeoutError::Timeout) => {
                if running.has_ended() && since(&mut silent) > REST {
                    bail!(running.last_words());
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => bail!(running.last_words()),
            Ok(line) => match serde_json::from_str(&line) {
                Ok(Event::Finished {
                    sha256, stopped, best, ..
                }) => return Ok(Answer::Written { sha256, stopped, best }),
                Ok(Event::Doctor(doctor)) => return Ok(Answer::Doctor(doctor)),
                Ok(Event::Failed { message }) => bail!(running.failed(message)),
                Ok(event) => listen(event)?,
                Err(_) => {
                    let start: String = line.chars().take(200).collect();
                    bail!("`{NAME}` says what is no event: {start}");
                }
            },
        }
        silent = None;
    }
}

/// The time since this was asked first.
fn since(begin: &mut Option<Instant>) -> Duration {
    begin.get_or_insert_with(Instant::now).elapsed()
}

/// The program at work. Dropping it closes its input and waits for its end.
struct Running {
    child: Child,
    /// What writes the job and hands back the input, which dropping it closes.
    input: Option<JoinHandle<ChildStdin>>,
    lines: Receiver<String>,
    complaints: Tail,
}

impl Running {
    /// Starts the program in a process group of its own, so that an interrupt at the terminal reaches it through its input only.
    fn start(program: &Path, job: &Job) -> anyhow::Result<Self> {
        let mut text = serde_json::to_vec(job).context("cannot write the job")?;
        text.push(b'\n');
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
        let complaints = Tail::of(errors.context("the complaints of the program are not there")?);
        // A job may be larger than what the system keeps for a reader, who may never come.
        let input = input.map(|mut input| {
            thread::spawn(move || {
                // A program that is gone already says why on its way out.
                let _ = input.write_all(&text).and_then(|()| input.flush());
                input
            })
        });
        Ok(Self {
            child,
            input,
            lines,
            complaints,
        })
    }

    /// Closes the input once the job is written; says whether it is closed.
    fn close(&mut self) -> bool {
        if self.input.as_ref().is_none_or(JoinHandle::is_finished) {
            self.input = None;
        }
        self.input.is_none()
    }

    /// Whether the program has ended.
    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills a program that does not read its job.
    fn deaf(mut self) -> String {
        let _ = self.child.kill();
        format!("stopped before `{NAME}` had read its job")
    }

    /// Why the program said nothing more.
    fn last_words(mut self) -> String {
        self.close();
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
        self.close();
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
        let complaints = self.complaints.kept();
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

/// The end of what a stream says, read by a thread of its own.
struct Tail {
    kept: Arc<Mutex<Vec<u8>>>,
    /// Closed at the end of the stream.
    end: Receiver<()>,
}

impl Tail {
    fn of(from: impl Read + Send + 'static) -> Self {
        let (kept, (sender, end)) = (Arc::default(), mpsc::channel());
        let written = Arc::clone(&kept);
        thread::spawn(move || follow(from, &written, sender));
        Self { kept, end }
    }

    /// The end of what was said so far, and of what is said in a moment if the stream does not end.
    fn kept(&self) -> Vec<u8> {
        let _ = self.end.recv_timeout(REST);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Keeps the last [`KEPT`] bytes of a stream; drops `end` with it.
fn follow(mut from: impl Read, kept: &Mutex<Vec<u8>>, end: Sender<()>) {
    let mut part = [0u8; 1024];
    while let Ok(count @ 1..) = from.read(&mut part) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&part[..count]);
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }
    drop(end);
}
