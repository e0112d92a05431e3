//! Archives in which two readers would see different checkpoints: each got past a reader once.

mod common;

use std::fs;

use common::{file, repository};
use lipcert_models::ModelError;
use lipcert_models::checkpoint::{ArchiveError, Checkpoint, FileError};

/// One entry, stored: name before the bytes, name in the directory, extra field in the directory, bytes.
struct Entry {
    local: String,
    central: String,
    extra: Vec<u8>,
    bytes: Vec<u8>,
}

fn entry(name: &str, bytes: &[u8]) -> Entry {
    Entry {
        local: name.to_owned(),
        central: name.to_owned(),
        extra: Vec::new(),
        bytes: bytes.to_vec(),
    }
}

/// The entries of a sound checkpoint, from a file of the repository, in the folder `m`.
fn checkpoint() -> Vec<Entry> {
    let file = fs::File::open(repository("tests/hostile/ok_ref.pth")).expect("the fixture");
    let mut archive = zip::ZipArchive::new(file).expect("a zip archive");
    (0..archive.len())
        .map(|index| {
            let mut found = archive.by_index(index).expect("an entry");
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut found, &mut bytes).expect("its bytes");
            entry(&found.name().replace("archive/", "m/"), &bytes)
        })
        .collect()
}

fn push(bytes: &mut Vec<u8>, fields: &[(u64, usize)]) {
    for (value, width) in fields {
        bytes.extend_from_slice(&value.to_le_bytes()[..*width]);
    }
}

/// Local part and directory of an archive.
fn parts(entries: &[Entry]) -> (Vec<u8>, Vec<u8>) {
    let (mut locals, mut central) = (Vec::new(), Vec::new());
    for e in entries {
        let (offset, size) = (locals.len() as u64, e.bytes.len() as u64);
        // a checksum of 0 means that none was computed
        let common = [(20, 2), (0, 2), (0, 2), (0, 4), (0, 4), (size, 4), (size, 4)];
        locals.extend_from_slice(b"PK\x03\x04");
        push(&mut locals, &common);
        push(&mut locals, &[(e.local.len() as u64, 2), (0, 2)]);
        locals.extend_from_slice(e.local.as_bytes());
        locals.extend_from_slice(&e.bytes);
        central.extend_from_slice(b"PK\x01\x02");
        push(&mut central, &[(20, 2)]);
        push(&mut central, &common);
        push(
            &mut central,
            &[
                (e.central.len() as u64, 2),
                (e.extra.len() as u64, 2),
                (0, 2),
                (0, 2),
                (0, 2),
                (0, 4),
                (offset, 4),
            ],
        );
        central.extend_from_slice(e.central.as_bytes());
        central.extend_from_slice(&e.extra);
    }
    (locals, central)
}

fn end(count: u64, size: u64, offset: u64) -> Vec<u8> {
    let mut bytes = b"PK\x05\x06".to_vec();
    push(
        &mut bytes,
        &[(0, 2), (0, 2), (count, 2), (count, 2), (size, 4), (offset, 4), (0, 2)],
    );
    bytes
}

fn archive(entries: &[Entry]) -> Vec<u8> {
    let (mut bytes, central) = parts(entries);
    let record = end(entries.len() as u64, central.len() as u64, bytes.len() as u64);
    bytes.extend_from_slice(&central);
    bytes.extend_from_slice(&record);
    bytes
}

fn refused(bytes: &[u8]) -> ArchiveError {
    match Checkpoint::open(file(bytes).path()) {
        Err(ModelError::File { cause, .. }) => match *cause {
            FileError::Archive(cause) => cause,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_honest_archive_is_read() {
    assert!(Checkpoint::open(file(&archive(&checkpoint())).path()).is_ok());
}

/// A zip64 record beside a complete plain one: torch believes the first, other readers the second.
#[test]
fn two_end_records_that_differ() {
    let (locals, central) = parts(&checkpoint());
    let (count, size, place) = (checkpoint().len() as u64, central.len() as u64, locals.len() as u64);
    for (first, second, accepted) in [(place, place + size, false), (place, place, false)] {
        let mut bytes = locals.clone();
        bytes.extend_from_slice(&central);
        if second != place {
            bytes.extend_from_slice(&central);
        }
        let larger = bytes.len() as u64;
        bytes.extend_from_slice(b"PK\x06\x06");
        push(
            &mut bytes,
            &[
                (44, 8),
                (45, 2),
                (45, 2),
                (0, 4),
                (0, 4),
                (count, 8),
                (count, 8),
                (size, 8),
                (first, 8),
            ],
        );
        bytes.extend_from_slice(b"PK\x06\x07");
        push(&mut bytes, &[(0, 4), (larger, 8), (1, 4)]);
        bytes.extend_from_slice(&end(count, size, second));
        if second == place {
            // the two agree: that is an ordinary zip64 archive
            assert!(Checkpoint::open(file(&bytes).path()).is_ok());
        } else {
            assert_eq!(accepted, Checkpoint::open(file(&bytes).path()).is_ok());
        }
    }
}

/// The Unicode Path field gives an entry another name for some readers.
#[test]
fn an_extra_field_that_renames() {
    let mut entries = checkpoint();
    let mut extra = Vec::new();
    push(&mut extra, &[(0x7075, 2), (5 + 6, 2), (1, 1), (0, 4)]);
    extra.extend_from_slice(b"m/data");
    entries[0].extra = extra;
    assert!(matches!(refused(&archive(&entries)), ArchiveError::Extra { .. }));
}

/// torch looks names up without regard to case.
#[test]
fn names_that_differ_in_case_alone() {
    let twin = |name: &str| {
        let mut entries = checkpoint();
        entries.push(entry(name, b"0123456789abcdef"));
        refused(&archive(&entries))
    };
    assert!(matches!(twin("m/DATA/0"), ArchiveError::Duplicate { .. }));
    assert!(matches!(twin("m/Data.pkl"), ArchiveError::Duplicate { .. }));
    assert!(matches!(twin("m/data/0"), ArchiveError::Duplicate { .. }));
    let mut entries = checkpoint();
    entries.retain(|entry| entry.local != "m/byteorder");
    entries.push(entry("m/BYTEORDER", b"big"));
    assert!(matches!(refused(&archive(&entries)), ArchiveError::Stray { .. }));
}

/// Entries outside the folder, and what makes the archive a program.
#[test]
fn strays() {
    for name in ["other/byteorder", "constants.pkl", "m/constants.pkl", "M/byteorder2"] {
        let mut entries = checkpoint();
        entries.push(entry(name, b"big"));
        assert!(matches!(refused(&archive(&entries)), ArchiveError::Stray { .. }), "{name}");
    }
}

#[test]
fn a_local_header_of_another_entry() {
    let mut entries = checkpoint();
    entries[0].local = entries[0].local.replace('m', "n");
    assert!(matches!(refused(&archive(&entries)), ArchiveError::LocalHeader { .. }));
}

/// A safetensors header whose length begins like a pickle is still safetensors.
#[test]
fn header_lengths_that_look_like_a_pickle() {
    for target in [640, 896, 1152, 1408] {
        let filler = |n: usize| common::safetensors(&[("note", &"x".repeat(n))], &[("a", &[1], vec![1.0])]);
        let length = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        let found = (0..1500).map(filler).find(|bytes| length(bytes) == target);
        let bytes = found.expect("a header of that length");
        assert!(Checkpoint::open(file(&bytes).path()).is_ok(), "{target}");
    }
}
