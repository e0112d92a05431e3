//! The folder that a training fills, and what an earlier one has left there.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use lipcert_models::data::DataSpec;
use lipcert_models::training::folder::{HOLD, Hold, LOG, MODEL, RESULTS, STATE, TRAINER_HOLD};
use lipcert_models::training::job::{Epoch, Event};
use serde::Deserialize;

use super::Options;
use crate::jobs::Progress;

/// How the names of files begin and end that the program that trains is about to write.
const DRAFT: (&str, &str) = (".lipcert-train-", ".safetensors");
/// How the folder begins where the files of an earlier training wait until it is certain that they are not needed any more.
const ASIDE: &str = ".lipcert-train-before-";
/// The same when they are not: what is in it never comes back, whatever is left of it.
const GONE: &str = ".lipcert-train-gone-";
/// Curves for TensorBoard: how their names begin, and what they have in the middle.
const CURVES: (&str, &str) = ("events.out.tfevents.", ".lipcert.");

/// Makes the folder. One with files in it needs `--force`, which puts the files of an earlier training aside, or `--resume` and the state of a training,
/// which leaves all as it is until that training goes on. `data` names the sets that are read.
pub(super) fn take_folder(folder: &Path, options: &Options, data: &[&str], progress: &dyn Progress) -> anyhow::Result<Held> {
    let context = || format!("cannot write into the folder `{}`", folder.display());
    let no_state = || {
        format!(
            "there is no `{}`, so no training to go on with: begin one without --resume",
            folder.join(STATE).display()
        )
    };
    if options.resume && !folder.is_dir() {
        bail!(no_state());
    }
    std::fs::create_dir_all(folder).with_context(context)?;
    let mut held = Held::new(folder)?;
    for left in held.restore_leftovers().with_context(context)? {
        progress.warn(&format!(
            "`{}` holds files of a training that another one replaced before it was killed",
            left.display()
        ));
    }
    if options.resume && !folder.join(STATE).is_file() {
        bail!(no_state());
    }
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
        held.put_aside(&files).map_err(|error| held.restored(error))?;
    }
    Ok(held)
}

/// Whether there is anything in a folder but what is held.
fn is_used(folder: &Path) -> std::io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name != HOLD && name != TRAINER_HOLD {
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

/// A folder that no other training may use until this is dropped, and what an earlier training left in it: it comes back unless the new training begins.
#[derive(Debug)]
pub struct Held {
    folder: PathBuf,
    _hold: Hold,
    /// The folder within the folder where it waits.
    aside: Option<PathBuf>,
}

impl Held {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        let take = |name: &str| {
            let path = folder.join(name);
            let hold = Hold::take(&path).with_context(|| format!("cannot hold `{}`", path.display()))?;
            hold.with_context(|| format!("another training is at work in the folder `{}`", folder.display()))
        };
        let hold = take(HOLD)?;
        // a program that outlived whoever started it; the new one takes this itself
        drop(take(TRAINER_HOLD)?);
        Ok(Self {
            folder: folder.to_owned(),
            _hold: hold,
            aside: None,
        })
    }

    /// Moves files into a folder within the folder; one that is not there is none to move.
    fn put_aside(&mut self, files: &[PathBuf]) -> anyhow::Result<()> {
        if let Some(path) = files.iter().find(|path| path.is_dir() && !path.is_symlink()) {
            bail!("cannot overwrite `{}`: it is a folder", path.display());
        }
        let mut builder = tempfile::Builder::new();
        let aside = builder
            .prefix(ASIDE)
            .tempdir_in(&self.folder)
            .with_context(|| format!("cannot put aside what is in `{}`", self.folder.display()))?;
        // from here on what is in it comes back
        let aside = self.aside.insert(aside.keep());
        for path in files {
            let Some(name) = path.file_name() else { continue };
            match std::fs::rename(path, aside.join(name)) {
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
        let Some(aside) = &self.aside else { return Ok(()) };
        let rest = aside.file_name().map(|name| name.to_string_lossy().replace(ASIDE, ""));
        let gone = self.folder.join(format!("{GONE}{}", rest.unwrap_or_default()));
        // at once for all of them: a part that is left must not stand beside the new network
        std::fs::rename(aside, &gone).with_context(|| format!("cannot remove `{}`", aside.display()))?;
        self.aside = None;
        std::fs::remove_dir_all(&gone).with_context(|| format!("cannot remove `{}`", gone.display()))
    }

    /// Brings back what was put aside, and says with an error where it lies if a part of it does not come.
    pub(super) fn restored(&mut self, error: anyhow::Error) -> anyhow::Error {
        let Some(aside) = self.aside.take() else { return error };
        match restore(&aside, &self.folder) {
            Ok(()) => error,
            Err(lost) => error.context(format!("what was in the folder lies in `{}` now: {lost}", aside.display())),
        }
    }

    /// Brings back what a training put aside that was killed before it began; what has a successor stays aside. Returns where.
    pub(super) fn restore_leftovers(&self) -> std::io::Result<Vec<PathBuf>> {
        let mut left = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let aside = entry?;
            let name = aside.file_name().to_string_lossy().into_owned();
            if !aside.file_type()?.is_dir() {
                continue;
            }
            if name.starts_with(GONE) {
                std::fs::remove_dir_all(aside.path())?;
            }
            if !name.starts_with(ASIDE) {
                continue;
            }
            let another = [MODEL, STATE, LOG].iter().any(|name| self.folder.join(name).exists());
            let successors = std::fs::read_dir(aside.path())?
                .map(|entry| Ok(self.folder.join(entry?.file_name()).exists()))
                .collect::<std::io::Result<Vec<bool>>>()?;
            if another || successors.contains(&true) {
                left.push(aside.path());
            } else {
                restore(&aside.path(), &self.folder)?;
            }
        }
        Ok(left)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(aside) = self.aside.take() {
            // what does not come back stays where it is, and is not lost
            let _ = restore(&aside, &self.folder);
        }
    }
}

/// Moves everything from one folder into another, and removes the first; goes on where a file does not come.
fn restore(from: &Path, into: &Path) -> std::io::Result<()> {
    let mut failed = None;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if let Err(error) = std::fs::rename(entry.path(), into.join(entry.file_name())) {
            failed = Some(error);
        }
    }
    match failed {
        None => std::fs::remove_dir(from),
        Some(error) => Err(error),
    }
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
        let name = name.to_string_lossy();
        let between = |start: &str, middle: &str| name.strip_prefix(start).is_some_and(|rest| rest.contains(middle));
        if between(CURVES.0, CURVES.1) || (name.starts_with(DRAFT.0) && name.ends_with(DRAFT.1)) {
            files.push(entry.path());
        }
    }
    Ok(files)
}
