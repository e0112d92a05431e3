//! Event files of TensorBoard.

use std::fs;
use std::path::Path;

use lipcert_train::TrainError;
use lipcert_train::tensorboard::{Event, Writer};
use prost::Message;

/// CRC-32C bit by bit (RFC 3720, polynomial `0x1edc6f41` reflected), masked as TensorFlow does.
fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg());
        }
    }
    let sum = !sum;
    ((sum >> 15) | (sum << 17)).wrapping_add(0xa282_ead8)
}

/// The contents of the records of a file.
fn records(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (length, tail) = rest.split_at(8);
        let (sum, tail) = tail.split_at(4);
        assert_eq!(sum, checksum(length).to_le_bytes());
        let (content, tail) = tail.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
        let (sum, tail) = tail.split_at(4);
        assert_eq!(sum, checksum(content).to_le_bytes());
        found.push(content.to_vec());
        rest = tail;
    }
    found
}

#[test]
fn the_checksum_is_that_of_the_standard() {
    // RFC 3720, B.4: 32 bytes of zeros
    let unmasked = checksum(&[0; 32]).wrapping_sub(0xa282_ead8).rotate_left(15);
    assert_eq!(unmasked, 0x8a91_36aa);
}

#[test]
fn numbers_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("made/on/demand");
    let mut writer = Writer::new(&runs).unwrap();
    writer.scalar("train/loss", 0.25, 0).unwrap();
    writer.scalar("train/loss", -1.5, 300).unwrap();
    writer.flush().unwrap();
    let events: Vec<Event> = records(writer.path())
        .iter()
        .map(|content| Event::decode(content.as_slice()).unwrap())
        .collect();
    assert_eq!(events.len(), 3);
    assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
    let scalar = |event: &Event| {
        let values = &event.summary.as_ref().unwrap().value;
        assert_eq!(values.len(), 1);
        (values[0].tag.clone(), values[0].simple_value, event.step)
    };
    assert_eq!(scalar(&events[1]), ("train/loss".into(), Some(0.25), 0));
    assert_eq!(scalar(&events[2]), ("train/loss".into(), Some(-1.5), 300));
    assert!(events.iter().all(|event| event.wall_time > 1.7e9));
    let name = writer.path().file_name().unwrap().to_str().unwrap().to_owned();
    assert!(name.starts_with("events.out.tfevents."), "{name}");
}

/// The bytes of a record as the format says, without the library that wrote it: field 1 is the time, 2 the step, 5 a summary, in it 1 a value, in that 1 the
/// name and 2 the number.
#[test]
fn the_fields_have_the_numbers_of_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::resume(folder.path(), 7).unwrap();
    writer.scalar("a", 1.0, 300).unwrap();
    writer.flush().unwrap();
    let records = records(writer.path());
    assert_eq!(records[0][9..], [&[0x1a, 13], b"brain.Event:2".as_slice()].concat());
    // step 7, and field 7: status 1
    assert_eq!(records[1][9..], [0x10, 7, 0x3a, 2, 0x08, 1]);
    let value = [&[0x0a, 1, b'a', 0x15], 1_f32.to_le_bytes().as_slice()].concat();
    let expected = [&[0x10, 0xac, 0x02, 0x2a, 10, 0x0a, 8], value.as_slice()].concat();
    assert_eq!((records[2][0], &records[2][9..]), (0x09, expected.as_slice()));
}

#[test]
fn files_of_one_second_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..3)
        .map(|_| Writer::new(folder.path()).unwrap().path().to_owned())
        .collect();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    assert!(paths.iter().all(|path| records(path).len() == 1));
}

#[test]
fn a_folder_that_is_none_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = Writer::new(file.path());
    assert!(
        matches!(&refused, Err(TrainError::File { path, .. }) if path == file.path()),
        "{refused:?}"
    );
}
