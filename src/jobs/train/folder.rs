//! The folder that a training fills, and what an earlier one has left there.

use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use lipcert_models::data::DataSpec;
use lipcert_models::training::job::{Epoch, Event};
use serde::Deserialize;
use tempfile::TempDir;

use super::{CERTIFICATE, MODEL, Options, REPORT, RESULT, RUN};

/// What the program that trains needs to go on.
const STATE: &str = "state.safetensors";
/// What it says on its way, one JSON object a line.
const LOG: &str = "log.jsonl";
/// What is held while a training is at work.
const HOLD: &str = ".lipcert-train.lock";
/// How the folder begins where the files of an earlier training wait until it is certain that they are not needed any more.
const ASIDE: &str = ".lipcert-train-before-";
/// Its curves for TensorBoard: how their names begin, and what they have in the middle.
const CURVES: (&str, &str) = ("events.out.tfevents.", ".lipcert.");
/// What speaks of a model and must not outlive it.
const RESULTS: [&str; 4] = [CERTIFICATE, RUN, REPORT, RESULT];

/// Makes the folder. One with files in it needs `--force`, which puts the files of an earlier training aside, or `--resume` and the state of a training,
/// which leaves all as it is until that training goes on. `data` names the sets that are read.
pub(super) fn take_folder(folder: &Path, options: &Options, data: &[&str]) -> anyhow::Result<Held> {
    if options.resume && !folder.join(STATE).is_file() {
        bail!(
            "there is no `{}`, so no training to go on with: begin one without --resume",
            folder.join(STATE).display()
        );
    }
    let context = || format!("cannot write into the folder `{}`", folder.display());
    std::fs::create_dir_all(folder).with_context(context)?;
    let mut held = Held::new(folder)?;
    held.restore_leftovers().with_context(context)?;
    if !(options.force || options.resume) && is_used(folder).with_context(context)? {
        bail!(
            "the folder `{}` is not empty (overwrite what is in it with --force, or go on with --resume)",
            folder.display()
        );
    }
    let files = files(folder).with_context(context)?;
    for input in inputs(options, data) {
        let Ok(found) = input.canonicalize() else { continue };
        if files.iter().any(|path| path.canonicalize().is_ok_and(|path| path == found)) {
            bail!("`{}` would be overwritten: choose another folder with -o", input.display());
        }
    }
    if !options.resume {
        held.put_aside(&files)?;
    }
    Ok(held)
}

/// Whether there is anything in a folder but what is held.
fn is_used(folder: &Path) -> std::io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        if entry?.file_name() != HOLD {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Every file that is read and has a name of the user's choice.
fn inputs(options: &Options, data: &[&str]) -> Vec<PathBuf> {
    let model = options
        .start
        .iter()
        .flat_map(|(model, read)| [Some(model), read.architecture.as_ref()]);
    let named = model.flatten().chain([&options.config]).cloned();
    let data = data.iter().filter_map(|spec| match spec.parse() {
        Ok(DataSpec::Npz(file)) => Some(file),
        _ => None,
    });
    named.chain(data).collect()
}

/// A folder that no other training may use until this is dropped, and what an earlier training left in it: it comes back unless [`Held::begun`] is said.
#[derive(Debug)]
pub(super) struct Held {
    folder: PathBuf,
    /// Locked as long as it is open.
    _file: File,
    aside: Option<TempDir>,
}

impl Held {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(HOLD);
        let file = File::create(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self {
                folder: folder.to_owned(),
                _file: file,
                aside: None,
            }),
            Err(TryLockError::WouldBlock) => bail!("another training is at work in the folder `{}`", folder.display()),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot hold `{}`", path.display())),
        }
    }

    /// Moves files into a folder within the folder; one that is not there is none to move.
    fn put_aside(&mut self, files: &[PathBuf]) -> anyhow::Result<()> {
        let context = || format!("cannot put aside what is in `{}`", self.folder.display());
        let mut builder = tempfile::Builder::new();
        let aside = builder.prefix(ASIDE).tempdir_in(&self.folder).with_context(context)?;
        // from here on what is in it comes back
        let aside = self.aside.insert(aside);
        for path in files {
            let Some(name) = path.file_name() else { continue };
            match std::fs::rename(path, aside.path().join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot overwrite `{}`", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The new training is at work: what an earlier one left goes.
    pub(super) fn begun(&mut self) -> anyhow::Result<()> {
        let Some(aside) = self.aside.take() else { return Ok(()) };
        let context = || format!("cannot remove what was in `{}`", self.folder.display());
        aside.close().with_context(context)
    }

    /// Brings back what was put aside.
    fn restore(&self, aside: &Path) -> std::io::Result<()> {
        for entry in std::fs::read_dir(aside)? {
            let entry = entry?;
            std::fs::rename(entry.path(), self.folder.join(entry.file_name()))?;
        }
        std::fs::remove_dir(aside)
    }

    /// Brings back what a training put aside that was killed before it began; what has a successor stays aside.
    fn restore_leftovers(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let aside = entry?;
            if !aside.file_name().to_string_lossy().starts_with(ASIDE) || !aside.file_type()?.is_dir() {
                continue;
            }
            let successors = std::fs::read_dir(aside.path())?
                .map(|entry| Ok(self.folder.join(entry?.file_name()).exists()))
                .collect::<std::io::Result<Vec<bool>>>()?;
            if !successors.contains(&true) {
                self.restore(&aside.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(aside) = self.aside.take() {
            // what does not come back stays where it is, and is not lost
            let _ = self.restore(&aside.keep());
        }
        // one that cannot be removed is held by nobody all the same
        let _ = std::fs::remove_file(self.folder.join(HOLD));
    }
}

/// Takes the results of an earlier training away, so that none stands beside a model that it does not speak of.
pub(super) fn remove_results(folder: &Path) -> anyhow::Result<()> {
    for path in RESULTS.map(|name| folder.join(name)) {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot overwrite `{}`", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The epochs among the first `done` steps, from the log; those that cannot be read are left out, since nothing is claimed of them.
pub(super) fn epochs(folder: &Path, done: usize) -> Vec<Epoch> {
    #[derive(Deserialize)]
    struct Line {
        done: usize,
        #[serde(flatten)]
        event: Event,
    }
    let Ok(file) = File::open(folder.join(LOG)) else {
        return Vec::new();
    };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    let lines = lines.filter_map(|line| serde_json::from_str(&line).ok());
    let known = lines.filter_map(|line: Line| match line.event {
        Event::Epoch(epoch) if line.done <= done => Some(epoch),
        _ => None,
    });
    known.collect()
}

/// Every file of a training that may be in a folder.
fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let named = RESULTS.into_iter().chain([MODEL, STATE, LOG]);
    let mut files: Vec<PathBuf> = named.map(|name| folder.join(name)).collect();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(CURVES.0));
        if rest.is_some_and(|rest| rest.contains(CURVES.1)) {
            files.push(entry.path());
        }
    }
    Ok(files)
}
