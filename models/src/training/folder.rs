//! The folder that a training fills: the names of its files, and who may write there.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The network, which is what is claimed of.
pub const MODEL: &str = "model.safetensors";
/// What a training that is taken up again needs.
pub const STATE: &str = "state.safetensors";
/// What was said on the way, one JSON object a line.
pub const LOG: &str = "log.jsonl";
/// The certificate of the network's Lipschitz bound.
pub const CERTIFICATE: &str = "certificate.json";
/// The run of `certify` on it.
pub const RUN: &str = "run.json";
/// The report of that run.
pub const REPORT: &str = "report.html";
/// The whole result, with the epochs.
pub const RESULT: &str = "train.json";
/// What speaks of a network and must not stand beside another one.
pub const RESULTS: [&str; 4] = [CERTIFICATE, RUN, REPORT, RESULT];
/// Held by `lipcert`, from before the training to the last result.
pub const HOLD: &str = ".lipcert-train.lock";
/// Held by the program that trains, as long as it lives: it may outlive whoever has started it.
pub const TRAINER_HOLD: &str = ".lipcert-trainer.lock";

/// Takes the results of an earlier network away; one that is not there is none to take.
///
/// # Errors
///
/// With the file that cannot be removed.
pub fn remove_results(folder: &Path) -> Result<(), (PathBuf, io::Error)> {
    for path in RESULTS.map(|name| folder.join(name)) {
        match std::fs::remove_file(&path) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => return Err((path, cause)),
            _ => {}
        }
    }
    Ok(())
}

/// A file that is locked until this is dropped, which removes it. The system unlocks it if the process dies.
#[derive(Debug)]
pub struct Hold {
    path: PathBuf,
    _file: File,
}

impl Hold {
    /// Locks a file, which is made if there is none and is not changed if there is one; nothing if somebody else holds it.
    ///
    /// # Errors
    ///
    /// If it can neither be made nor locked.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // whoever held it may have removed it meanwhile, and then somebody else may hold another file of this name
            if is_at(&file, path)? {
                return Ok(Some(Self {
                    path: path.to_owned(),
                    _file: file,
                }));
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // one that cannot be removed is held by nobody all the same
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether an open file is the one at a path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let own = file.metadata()?;
    match path.metadata() {
        Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether an open file is the one at a path; elsewhere nobody looks.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(HOLD);
        std::fs::write(&path, "kept").unwrap();
        let first = Hold::take(&path).unwrap().unwrap();
        assert!(Hold::take(&path).unwrap().is_none());
        assert_eq!(std::fs::read(&path).unwrap(), b"kept");
        drop(first);
        assert!(!path.exists());
        assert!(Hold::take(&path).unwrap().is_some());
        assert!(Hold::take(&folder.path().join("no/where")).is_err());
    }

    /// Many threads, each of which must find itself alone.
    #[test]
    fn nobody_holds_a_file_that_was_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(HOLD);
        let held = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        if let Some(hold) = Hold::take(&path).unwrap() {
                            assert_eq!(held.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                            held.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                            drop(hold);
                        }
                    }
                });
            }
        });
    }
}
