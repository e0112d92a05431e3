//! What a training said, one JSON object a line.
//!
//! A line is an [`Event`] with one field more, `done`: the number of steps that had been made. So a log can be cut back to the steps that a state knows of.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use lipcert_models::training::job::Event;
use serde::{Deserialize, Serialize};

use crate::{TrainError, state};

/// A log that is being written.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: BufWriter<File>,
}

#[derive(Serialize)]
struct Line<'a> {
    done: usize,
    #[serde(flatten)]
    event: &'a Event,
}

/// What is read of a line.
#[derive(Deserialize)]
struct Done {
    done: usize,
}

impl Log {
    /// Begins a log, in place of one that there may be.
    ///
    /// # Errors
    ///
    /// [`TrainError::File`].
    pub fn create(path: &Path) -> Result<Self, TrainError> {
        Self::new(path, state::fresh(path))
    }

    /// Goes on with a log behind its last line about at most `done` steps; what follows is cut off, and so is everything from the first line that is none of a
    /// log. Begins one if there is none.
    ///
    /// # Errors
    ///
    /// [`TrainError::File`].
    pub fn resume(path: &Path, done: usize) -> Result<Self, TrainError> {
        Self::new(path, cut(path, done))
    }

    fn new(path: &Path, file: std::io::Result<File>) -> Result<Self, TrainError> {
        let path = path.to_owned();
        match file {
            Ok(file) => Ok(Self {
                path,
                file: BufWriter::new(file),
            }),
            Err(cause) => Err(TrainError::File { path, cause }),
        }
    }

    /// Writes a line after `done` steps; at the end of an epoch, and of everything, all lines reach the disk.
    ///
    /// # Errors
    ///
    /// [`TrainError::File`].
    ///
    /// # Panics
    ///
    /// Never: an event can be written as JSON.
    pub fn write(&mut self, done: usize, event: &Event) -> Result<(), TrainError> {
        let mut line = serde_json::to_vec(&Line { done, event }).expect("an event has string keys alone");
        line.push(b'\n');
        let written = self.file.write_all(&line);
        self.check(written)?;
        match event {
            Event::Epoch(_) | Event::Finished { .. } | Event::Failed { .. } => self.flush(),
            _ => Ok(()),
        }
    }

    /// Writes all lines to the disk.
    ///
    /// # Errors
    ///
    /// [`TrainError::File`].
    pub fn flush(&mut self) -> Result<(), TrainError> {
        let flushed = self.file.flush().and_then(|()| self.file.get_ref().sync_data());
        self.check(flushed)
    }

    fn check(&self, result: std::io::Result<()>) -> Result<(), TrainError> {
        result.map_err(|cause| TrainError::File {
            path: self.path.clone(),
            cause,
        })
    }
}

/// Opens a file and cuts off what is not about the first `done` steps.
fn cut(path: &Path, done: usize) -> std::io::Result<File> {
    if path.is_symlink() {
        return Err(std::io::Error::other("it is a link, and the log of a training is a file"));
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let mut length = 0;
    let mut reader = BufReader::new(&file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let known = line.ends_with(b"\n") && serde_json::from_slice::<Done>(&line).is_ok_and(|line| line.done <= done);
        if !known {
            break;
        }
        length += line.len() as u64;
        line.clear();
    }
    file.set_len(length)?;
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}
