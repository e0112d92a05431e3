//! Files that attack a reader: every one is refused with its cause, and none costs memory.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{refused, repository};
use lipcert_models::ModelError;
use lipcert_models::checkpoint::{ArchiveError, Checkpoint, FileError, PickleError};

/// The reason for which a file of `tests/hostile` is refused; its text must name the file.
fn hostile(name: &str) -> FileError {
    let path = repository("tests/hostile").join(name);
    let error = Checkpoint::open(&path).expect_err(name);
    let text = error.to_string();
    assert!(text.contains(name), "{text}");
    match error {
        ModelError::File { cause, .. } => *cause,
        other => panic!("{name}: {other}"),
    }
}

#[test]
fn code_is_refused_by_name_and_never_run() {
    let error = hostile("ev_exec.pth").to_string();
    assert!(error.contains("asks for `posix.system`"), "{error}");
    assert!(error.contains("nothing was executed"), "{error}");
    for place in [".", "..", "tests/hostile"] {
        assert!(!repository(place).join("PWNED").exists());
    }
}

#[test]
fn a_long_text_is_not_believed() {
    let FileError::Pickle(PickleError::Truncated { wanted, left, .. }) = hostile("ev_bigstr.pth") else {
        panic!("another reason")
    };
    assert_eq!((wanted, left), (0xffff_fff0, 4));
}

#[test]
fn a_tensor_outside_its_storage_is_refused_by_name() {
    for (name, reason) in [
        (
            "ev_oob.pth",
            "tensor `w`: shape [100] with strides [1] from element 0 does not fit into a storage of 4 elements",
        ),
        ("ev_negoff.pth", "tensor `w`: the storage offset is negative: -4"),
        (
            "ev_bcast.pth",
            "tensor `w`: shape [1048576, 1048576] repeats a storage of 4 elements",
        ),
        ("ev_hugetensor.pth", "tensor `w`: "),
    ] {
        let error = hostile(name).to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
}

#[test]
fn nesting_sharing_and_cycles_are_refused() {
    assert!(matches!(
        hostile("ev_deep.pth"),
        FileError::Pickle(PickleError::TooDeep { most: 1000 })
    ));
    assert!(matches!(
        hostile("ev_deep_tuple.pth"),
        FileError::Pickle(PickleError::TooDeep { .. })
    ));
    assert!(matches!(
        hostile("ev_cycle.pth"),
        FileError::Pickle(PickleError::Cycle { kind: "dictionary" })
    ));
    let error = hostile("ev_memobomb.pth").to_string();
    assert!(error.contains("2 values are left at the end"), "{error}");
    assert!(matches!(
        hostile("ev_memobomb2.pth"),
        FileError::Pickle(PickleError::Leftover { values: 41 })
    ));
}

#[test]
fn a_bomb_is_refused_before_it_inflates() {
    let error = hostile("ev_zipbomb.pth");
    assert!(
        matches!(error, FileError::Pickle(PickleError::TooLong { size: 1_073_741_827, .. })),
        "{error}"
    );
}

#[test]
fn too_few_arguments_and_other_values_are_refused() {
    let error = hostile("ev_short.pth").to_string();
    assert!(error.contains("`torch._utils._rebuild_tensor_v2` got 0 arguments"), "{error}");
    let error = hostile("ev_long1.pth").to_string();
    assert!(error.contains("the file holds an integer, not a state dict"), "{error}");
}

#[test]
fn a_key_that_stands_twice_is_refused_by_name() {
    let FileError::Pickle(PickleError::DuplicateKey { key }) = hostile("ev_dup.pth") else {
        panic!("another reason")
    };
    assert_eq!(key, "w");
}

#[test]
fn every_evil_file_is_refused_or_read_and_then_refused() {
    for entry in fs::read_dir(repository("tests/hostile")).expect("the folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("plain names");
        if name.starts_with("ev_") && name != "ev_nan.pth" {
            hostile(&name);
        }
    }
}

#[test]
fn the_well_formed_neighbours_are_read() {
    let open = |name: &str| Checkpoint::open(&repository("tests/hostile").join(name)).expect(name);
    let reference = open("ok_ref.pth");
    assert_eq!(reference.read("w").expect("w"), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(reference.tensors()[0].shape, [2, 2]);
    let (protocol4, legacy) = (open("ck_p4.pth"), open("sd_legacy.pth"));
    assert_eq!(protocol4.tensors(), legacy.tensors());
    assert_eq!(protocol4.tensors().len(), 11);
    for info in legacy.tensors() {
        assert_eq!(
            protocol4.read(&info.name).expect("p4"),
            legacy.read(&info.name).expect("legacy")
        );
    }
    let nan = open("ev_nan.pth").read("w").expect("reading passes NaN on");
    assert!(nan[0].is_nan() && nan[1].is_infinite() && nan[2..] == [3.0, 4.0]);
}

/// Reads the file that the test below names and prints the peak of the memory of this process.
#[test]
fn child_of_the_memory_test() {
    let Some(name) = std::env::var_os("LIPCERT_HOSTILE") else {
        return;
    };
    if let Ok(checkpoint) = Checkpoint::open(&repository("tests/hostile").join(name)) {
        for info in checkpoint.tensors() {
            drop(checkpoint.read(&info.name));
        }
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("Linux has it");
        println!("{line}");
    }
}

#[test]
fn no_evil_file_costs_memory() {
    if !Path::new("/proc/self/status").exists() {
        println!("skipped: no /proc here");
        return;
    }
    let own = std::env::current_exe().expect("the test binary");
    for entry in fs::read_dir(repository("tests/hostile")).expect("the folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("plain names");
        let arguments = ["--exact", "child_of_the_memory_test", "--nocapture"];
        let output = Command::new(&own).args(arguments).env("LIPCERT_HOSTILE", &name).output();
        let output = output.expect("a child");
        assert!(output.status.success(), "{name}: {:?}", output.status);
        let text = String::from_utf8_lossy(&output.stdout);
        let mut words = text.split_whitespace().skip_while(|word| *word != "VmHWM:");
        let kibibytes: u64 = words.nth(1).expect(&name).parse().expect("a number");
        println!("{name}: {} MiB", kibibytes / 1024);
        assert!(kibibytes < 300 * 1024, "{name}: {kibibytes} KiB");
    }
}

/// Values of `odd.pth`, as its generator filled them: transposed, sliced and narrow tensors in logical order.
#[test]
fn odd_tensors_are_read_in_logical_order() {
    let odd = Checkpoint::open(&repository("tests/hostile/odd.pth")).expect("odd.pth");
    let described: Vec<String> = odd
        .tensors()
        .iter()
        .map(|t| format!("{} {} {:?}", t.name, t.dtype, t.shape))
        .collect();
    let expected = [
        "t float32 [4, 3]",
        "s float32 [3]",
        "h float16 [3]",
        "b bfloat16 [3]",
        "i int64 [3]",
        "bool bool [2]",
        "d float64 [3]",
    ];
    assert_eq!(described, expected);
    for info in odd.tensors() {
        let result = odd.read(&info.name);
        if info.dtype.is_float() {
            assert_eq!(result.expect("floats").len(), info.count());
        } else {
            let error = result.expect_err("no floats").to_string();
            assert!(error.contains("a network needs floating-point numbers"), "{error}");
        }
    }
    let transposed = odd.read("t").expect("t");
    assert_eq!(odd.tensor("t").expect("t").shape, [4, 3]);
    assert_eq!(transposed, [0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]);
}

/// Random damage of real files: an error or a checkpoint, never a panic.
#[test]
fn damage_never_panics() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut opened = 0;
    let place = common::file(&[]);
    for name in ["ck_p4.pth", "sd_legacy.pth", "odd.pth"] {
        let bytes = fs::read(repository("tests/hostile").join(name)).expect(name);
        // the description stands in front, the directory of an archive at the end
        let (front, back) = (bytes.len().min(1600), bytes.len().min(1600));
        for round in 0..500 {
            let mut damaged = bytes.clone();
            match round % 4 {
                0 => damaged.truncate(random(bytes.len())),
                1 => damaged[random(front)] ^= 1 << random(8),
                2 => damaged[bytes.len() - 1 - random(back)] ^= 1 << random(8),
                _ => (0..3).for_each(|_| damaged[random(front)] = random(256) as u8),
            }
            fs::write(place.path(), &damaged).expect("written");
            if let Ok(checkpoint) = Checkpoint::open(place.path()) {
                opened += 1;
                for info in checkpoint.tensors() {
                    drop(checkpoint.read(&info.name));
                }
            }
        }
    }
    println!("{opened} of 1500 damaged files could be opened");
}

/// Random programs for the pickle machine, made of its own operations.
#[test]
fn random_pickles_never_panic() {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let pieces: [&[u8]; 24] = [
        b"(",
        b")",
        b"}",
        b"]",
        b"t",
        b"u",
        b"s",
        b"a",
        b"e",
        b"R",
        b"Q",
        b"b",
        b"0",
        b"1",
        b"2",
        b"h\x00",
        b"q\x00",
        b"N",
        b"K\x04",
        b"\x8c\x01w",
        b"X\x07\x00\x00\x00storage",
        b"ctorch\nFloatStorage\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"\x85",
    ];
    let place = common::file(&[]);
    for _ in 0..3000 {
        let mut program = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
        program.extend_from_slice(b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.\x80\x02");
        for _ in 0..random(60) {
            program.extend_from_slice(pieces[random(pieces.len())]);
        }
        program.push(b'.');
        fs::write(place.path(), &program).expect("written");
        assert!(Checkpoint::open(place.path()).is_err());
    }
}

#[test]
fn the_largest_legal_values_overflow_nothing() {
    let tensor = |offset: i64, size: i64, stride: i64| {
        let int = |value: i64| [b"\x8a\x08".as_slice(), &value.to_le_bytes()].concat();
        let storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ";
        let head = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(";
        let tail = b"\x89ccollections\nOrderedDict\n)RtRs.\x80\x02]X\x01\x00\x00\x000a.\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let start = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.";
        let sizes = [b"(".as_slice(), &int(size), &int(1), b"t"].concat();
        let strides = [b"(".as_slice(), &int(stride), &int(i64::MAX), b"t"].concat();
        [start.as_slice(), head, storage, &int(offset), &sizes, &strides, tail].concat()
    };
    let good = common::file(&tensor(0, 4, 1));
    let checkpoint = Checkpoint::open(good.path()).expect("a stride of a size of one does not matter");
    assert_eq!(checkpoint.read("w").expect("zeros"), [0.0; 4]);
    for (offset, size, stride) in [
        (i64::MAX, 4, 1),
        (0, i64::MAX, 1),
        (0, 2, i64::MAX),
        (i64::MAX, i64::MAX, i64::MAX),
        (i64::MIN, 1, 1),
        (0, -1, 1),
        (0, 4, -1),
        (1, 4, 1),
    ] {
        let error = refused(&tensor(offset, size, stride));
        assert!(matches!(error, FileError::Tensor { .. }), "{error}");
    }
    let followed = [tensor(0, 4, 1), b"x".to_vec()].concat();
    assert!(refused(&followed).to_string().contains("1 bytes follow the last storage"));
    let cut = tensor(0, 4, 1);
    assert!(
        refused(&cut[..cut.len() - 1])
            .to_string()
            .contains("the file ends inside storage `0`")
    );
}

#[test]
fn an_archive_that_two_readers_could_read_differently_is_refused() {
    let bytes = fs::read(repository("tests/hostile/ok_ref.pth")).expect("the reference");
    let followed = [bytes.as_slice(), b"x"].concat();
    assert!(matches!(refused(&followed), FileError::Archive(ArchiveError::NoEnd)));
    let cut = &bytes[..bytes.len() - 1];
    assert!(matches!(refused(cut), FileError::Archive(ArchiveError::NoEnd)));
    let prefixed = [b"PK\x03\x04 and more".as_slice(), &bytes].concat();
    assert!(matches!(refused(&prefixed), FileError::Archive(_)));
    let pickle = b"\x80\x02}.";
    let twice = common::archive(&[("a/data.pkl", pickle), ("a/data.pkl", pickle)]);
    assert!(matches!(refused(&twice), FileError::Archive(ArchiveError::Duplicate { .. })));
    let two = common::archive(&[("a/data.pkl", pickle), ("b/data.pkl", pickle)]);
    assert!(matches!(refused(&two), FileError::Archive(ArchiveError::Ambiguous { .. })));
    let followed = common::archive(&[("a/data.pkl", b"\x80\x02}.more")]);
    assert!(matches!(
        refused(&followed),
        FileError::Pickle(PickleError::Trailing { bytes: 4 })
    ));
    let empty = common::archive(&[("a/data.pkl", pickle)]);
    assert!(refused(&empty).to_string().contains("the state dict is empty"));
    let foreign = common::archive(&[("readme.txt", b"hello")]);
    assert!(matches!(refused(&foreign), FileError::Archive(ArchiveError::Foreign)));
    let mut damaged = bytes.clone();
    let place = find(&bytes, &1f32.to_le_bytes());
    damaged[place] ^= 1;
    let place = common::file(&damaged);
    let checkpoint = Checkpoint::open(place.path()).expect("the description is whole");
    let error = checkpoint.read("w").expect_err("damaged").to_string();
    assert!(error.contains("is damaged: checksum"), "{error}");
    let unchecked = replace(&bytes, &crc_of(&bytes[find(&bytes, &1f32.to_le_bytes())..][..16]), &[0; 4]);
    let place = common::file(&unchecked);
    let checkpoint = Checkpoint::open(place.path()).expect("no checksums");
    assert_eq!(checkpoint.read("w").expect("w"), [1.0, 2.0, 3.0, 4.0]);
    let order = refused(&replace(&bytes, b"little", b"biggie")).to_string();
    assert!(order.contains("byte order is `biggie`"), "{order}");
}

fn crc_of(bytes: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}

fn find(bytes: &[u8], pattern: &[u8]) -> usize {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
        .expect("there")
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for start in 0..=bytes.len() - from.len() {
        if &bytes[start..start + from.len()] == from {
            out[start..start + from.len()].copy_from_slice(to);
        }
    }
    out
}
