//! Numbers over steps in an event file of TensorBoard.
//!
//! An event file is a sequence of records: length (8 bytes), its checksum, content, its checksum, all little-endian; a checksum is the CRC-32C `c` as
//! `(c >> 15 | c << 17) + 0xa282ead8`. The content is a protocol buffer `Event`, of which [`Event`] has the fields that are needed here. Source:
//! `tensorflow/core/lib/io/record_writer.h` and `tensorflow/core/util/event.proto` of TensorFlow; `tensorboard/compat/proto` of TensorBoard.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

use crate::TrainError;

/// The checksum of a record before it is masked.
const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
/// The version of the event format.
const VERSION: &str = "brain.Event:2";
/// `SessionLog.START`: TensorBoard forgets what other files of the folder say of this step and later ones.
const START: i32 = 1;

/// One record. Numbers that are 0 and fields that are absent take no place.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    /// Number of steps.
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// The format, in the first record.
    #[prost(string, optional, tag = "3")]
    pub file_version: Option<String>,
    /// Numbers.
    #[prost(message, optional, tag = "5")]
    pub summary: Option<Summary>,
    /// A beginning.
    #[prost(message, optional, tag = "7")]
    pub session_log: Option<SessionLog>,
}

/// Numbers of one step.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    /// Each with its name.
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Value>,
}

/// A number with its name.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    /// Its name; what stands before a slash is a group.
    #[prost(string, tag = "1")]
    pub tag: String,
    /// The number.
    #[prost(float, optional, tag = "2")]
    pub simple_value: Option<f32>,
}

/// What happens to a session.
#[derive(Clone, PartialEq, Message)]
pub struct SessionLog {
    /// 1 for its beginning.
    #[prost(int32, tag = "1")]
    pub status: i32,
}

/// An event file that is being written.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Writer {
    /// Begins a file of its own in a folder, which is made if there is none.
    ///
    /// # Errors
    ///
    /// [`TrainError::File`].
    pub fn new(folder: &Path) -> Result<Self, TrainError> {
        let (path, file) = begin(folder).map_err(|cause| TrainError::File {
            path: folder.to_owned(),
            cause,
        })?;
        let mut writer = Self {
            path,
            file: BufWriter::new(file),
        };
        writer.write(&Event {
            file_version: Some(VERSION.to_owned()),
            ..event(0)
        })?;
        Ok(writer)
    }

    /// Begins a file whose numbers take the place of those that earlier files have for `step` and later.
    ///
    /// # Errors
    ///
    /// [`TrainError::File`].
    pub fn resume(folder: &Path, step: usize) -> Result<Self, TrainError> {
        let mut writer = Self::new(folder)?;
        writer.write(&Event {
            session_log: Some(SessionLog { status: START }),
            ..event(step)
        })?;
        Ok(writer)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a number, as float32.
    ///
    /// # Errors
    ///
    /// [`TrainError::File`].
    pub fn scalar(&mut self, tag: &str, value: f64, step: usize) -> Result<(), TrainError> {
        let value = Value {
            tag: tag.to_owned(),
            simple_value: Some(value as f32),
        };
        self.write(&Event {
            summary: Some(Summary { value: vec![value] }),
            ..event(step)
        })
    }

    /// Makes what was written visible to readers.
    ///
    /// # Errors
    ///
    /// [`TrainError::File`].
    pub fn flush(&mut self) -> Result<(), TrainError> {
        self.file.flush().map_err(|cause| TrainError::File {
            path: self.path.clone(),
            cause,
        })
    }

    fn write(&mut self, event: &Event) -> Result<(), TrainError> {
        let content = event.encode_to_vec();
        let length = (content.len() as u64).to_le_bytes();
        let parts: [&[u8]; 4] = [&length, &masked(&length), &content, &masked(&content)];
        let record = parts.concat();
        self.file.write_all(&record).map_err(|cause| TrainError::File {
            path: self.path.clone(),
            cause,
        })
    }
}

/// A record without content, of now.
fn event(step: usize) -> Event {
    Event {
        wall_time: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |time| time.as_secs_f64()),
        step: i64::try_from(step).unwrap_or(i64::MAX),
        ..Event::default()
    }
}

/// The checksum that stands behind some bytes.
fn masked(bytes: &[u8]) -> [u8; 4] {
    let sum = CHECKSUM.checksum(bytes).rotate_right(15);
    sum.wrapping_add(0xa282_ead8).to_le_bytes()
}

/// Makes a file with a name of its own. TensorBoard reads the files of a folder in the order of their names, which begin with the time.
fn begin(folder: &Path) -> std::io::Result<(PathBuf, File)> {
    std::fs::create_dir_all(folder)?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let process = std::process::id();
    let mut number = 0_u32;
    loop {
        let path = folder.join(format!("events.out.tfevents.{seconds:010}.lipcert.{process}.{number}"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}
