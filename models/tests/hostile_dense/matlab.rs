//! MATLAB files.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::common::refused;
use crate::graph::network;

/// An element of a MATLAB file.
fn element(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut out = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
    out.extend_from_slice(data);
    if kind != 15 {
        out.resize(out.len().next_multiple_of(8), 0);
    }
    out
}

/// An array of a class, with the element that holds its numbers.
fn array(class: u32, sizes: &[i32], name: &str, rest: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    let flags = [class.to_le_bytes(), [0; 4]].concat();
    let parts = [
        element(6, &flags),
        element(5, &sizes),
        element(1, name.as_bytes()),
        rest.to_vec(),
    ]
    .concat();
    element(14, &parts)
}

fn doubles(values: &[f64]) -> Vec<u8> {
    element(9, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

fn matlab(variables: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"MATLAB 5.0 MAT-file".to_vec();
    out.resize(124, b' ');
    out.extend(b"\x00\x01IM");
    out.extend(variables.concat());
    out
}

/// A cell `weights` of one array of these sizes.
fn weights(cell: &[u8]) -> Vec<u8> {
    matlab(&[array(1, &[1, 1], "weights", cell)])
}

#[test]
fn matlab_numbers_of_every_type_are_widened() {
    let expected = [1.0, 3.0, 2.0, 4.0];
    let small = [[2, 0, 4, 0].as_slice(), &[1, 2, 3, 4]].concat();
    for (class, numbers) in [
        (6, element(2, &[1, 2, 3, 4])),
        (6, small.clone()),
        (9, small),
        (8, element(1, &[1, 2, 3, 4])),
        (6, element(3, &[1, 0, 2, 0, 3, 0, 4, 0])),
        (11, element(4, &[1, 0, 2, 0, 3, 0, 4, 0])),
        (7, element(7, &[1f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat())),
        (6, element(7, &[1f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat())),
        (14, element(12, &[1i64, 2, 3, 4].map(i64::to_le_bytes).concat())),
        (6, doubles(&[1.0, 2.0, 3.0, 4.0])),
    ] {
        let network = network(&weights(&array(class, &[2, 2], "", &numbers))).expect("well formed");
        assert_eq!(network.map.head().expect("a head").0.data(), expected, "class {class}");
    }
}

#[test]
fn matlab_files_are_refused() {
    let good = doubles(&[1.0, 2.0, 3.0, 4.0]);
    let big = (1i64 << 53) + 1;
    for (reason, file) in [
        ("64-bit", weights(&array(14, &[1, 1], "", &element(12, &big.to_le_bytes())))),
        ("`weights{0}` is a structure", weights(&array(2, &[1, 1], "", &[]))),
        ("`weights{0}` is a cell inside a cell", weights(&array(1, &[0, 0], "", &[]))),
        ("`weights{0}` is text", weights(&array(4, &[1, 1], "", &element(4, &[65, 0])))),
        ("`s` is sparse", matlab(&[array(5, &[1, 1], "s", &[])])),
        ("`o` is of an unknown class", matlab(&[array(17, &[1, 1], "o", &[])])),
        (
            "`c` is complex",
            matlab(&[array(6 | 0x0800, &[2, 2], "c", &[good.clone(), good.clone()].concat())]),
        ),
        ("sizes [2, 3] has 4 numbers", weights(&array(6, &[2, 3], "", &good))),
        ("sizes [-2, -2] has 4 numbers", weights(&array(6, &[-2, -2], "", &good))),
        ("sizes [4] has 4 numbers", weights(&array(6, &[4], "", &good))),
        (
            "has 4 numbers",
            weights(&array(6, &[i32::MAX, i32::MAX, i32::MAX], "", &good)),
        ),
        (
            "has 4 numbers",
            weights(&array(6, &[2, 2], "", &[good.clone(), good.clone()].concat())),
        ),
        (
            "sizes [1, 2] has 1 numbers",
            matlab(&[array(1, &[1, 2], "weights", &array(6, &[2, 2], "", &good))]),
        ),
        ("an element of type 9", weights(&array(10, &[2, 2], "", &good))),
        (
            "an element of type 18",
            weights(&array(6, &[2, 2], "", &element(18, &[0; 32]))),
        ),
        ("an element of type 9 at byte 128", matlab(std::slice::from_ref(&good))),
        ("truncated", weights(&element(14, &[]))),
        ("not a complete zlib stream", matlab(&[element(15, b"nothing")])),
        ("belongs to no layer", matlab(&[array(6, &[2, 2], "A", &good)])),
    ] {
        let error = network(&file).expect_err(reason).to_string();
        let known = match reason {
            "64-bit" => error.contains("`9007199254740993` is not a float64"),
            "belongs to no layer" => error.contains("unknown architecture"),
            _ => error.contains(reason),
        };
        assert!(known, "{reason}: {error}");
    }
    let mut header = matlab(&[]);
    for (place, bytes, reason) in [(124, *b"\x01\x00MI", "big-endian"), (124, *b"\x00\x02IM", "another version")] {
        header[place..place + 4].copy_from_slice(&bytes);
        let error = refused(&header).to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert!(refused(b"MATLAB 5.0 MAT-file").to_string().contains("cut off"));
    let file = weights(&array(6, &[2, 2], "", &good));
    for end in 129..file.len() {
        assert!(network(&file[..end]).is_err(), "{end}");
    }
    for place in 116..file.len() {
        for bit in 0..8 {
            let mut file = file.clone();
            file[place] ^= 1 << bit;
            let _ = network(&file);
        }
    }
}

#[test]
fn matlab_streams_are_bounded() {
    let zeros = array(6, &[1, 4 << 20], "weights", &element(2, &vec![0; 4 << 20]));
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&zeros).expect("in memory");
    let packed = encoder.finish().expect("in memory");
    assert!(packed.len() < 8192);
    let error = refused(&matlab(&[element(15, &packed)])).to_string();
    assert!(error.contains("grows beyond 64 times the file"), "{error}");
    // small numbers that become large ones
    let zeros = array(6, &[1, 1 << 19], "A", &element(2, &vec![0; 1 << 19]));
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&zeros).expect("in memory");
    let packed = encoder.finish().expect("in memory");
    let error = refused(&matlab(&[element(15, &packed)])).to_string();
    assert!(error.contains("numbers for a file of its size"), "{error}");
}
