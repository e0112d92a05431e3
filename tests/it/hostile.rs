//! Files that must be refused, through the program: status 2, the file's name and a cause, nothing on stdout.

use std::fs;

use crate::cli::lipcert;
use crate::reference::root;

#[test]
fn hostile_torch_files() {
    let mut seen = 0;
    for entry in fs::read_dir(root("tests/hostile")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("ev_") {
            continue;
        }
        seen += 1;
        for command in ["inspect", "verify"] {
            let ran = lipcert([command, path.to_str().unwrap()]);
            assert_eq!(ran.status, Some(2), "{command} {name}: {ran:?}");
            let text = format!("{}{}", ran.stdout, ran.stderr);
            assert!(text.contains(&name), "{command} {name}: {text}");
            assert!(!text.contains("panicked"), "{text}");
        }
    }
    assert_eq!(seen, 16);
    assert!(!root("PWNED").exists(), "a checkpoint ran a command");
}

#[test]
fn well_formed_files_are_read() {
    for name in ["ok_ref.pth", "odd.pth", "ck_p4.pth", "sd_legacy.pth"] {
        let ran = lipcert(["inspect", root("tests/hostile").join(name).to_str().unwrap()]);
        assert_eq!(ran.status, Some(0), "{name}: {ran:?}");
    }
}

#[test]
fn other_files() {
    let folder = tempfile::tempdir().unwrap();
    let digits = fs::read(root("tests/fixtures/sll_digits/digits.pth")).unwrap();
    for (name, bytes) in [
        ("empty.pth", Vec::new()),
        ("text.pth", b"hello, world\n".to_vec()),
        ("picture.png", b"\x89PNG\r\n\x1a\n0000".to_vec()),
        ("half.pth", digits[..digits.len() / 2].to_vec()),
        ("longer.pth", [digits.as_slice(), b"x"].concat()),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let ran = lipcert(["verify", path.to_str().unwrap()]);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{name}: {ran:?}");
        assert!(ran.stderr.contains(name), "{name}: {}", ran.stderr);
    }
    let ran = lipcert(["verify", folder.path().to_str().unwrap()]);
    assert_eq!(ran.status, Some(2), "{ran:?}");
    let ran = lipcert(["verify", folder.path().join("missing.pth").to_str().unwrap()]);
    assert_eq!(ran.status, Some(2), "{ran:?}");
}

/// A cause that holds another one says it itself, so that no words come twice.
#[test]
fn data_that_cannot_be_read_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, garbage) = (folder.path().join("missing.npz"), folder.path().join("garbage.npz"));
    fs::write(&garbage, b"no archive").unwrap();
    let model = root("tests/fixtures/sll_digits/digits.safetensors");
    for path in [&missing, &garbage, &folder.path().to_owned()] {
        let data = format!("npz:{}", path.display());
        let ran = lipcert(["certify", model.to_str().unwrap(), "--data", &data, "--eps", "0.1"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        let mut parts: Vec<&str> = ran.stderr.trim().split(": ").collect();
        assert!(parts.len() > 1, "{ran:?}");
        parts.sort_unstable();
        assert!(parts.windows(2).all(|pair| pair[0] != pair[1]), "{}", ran.stderr);
        assert!(ran.stderr.matches("os error").count() <= 1, "{}", ran.stderr);
    }
}

/// A small file that asks for gigabytes or hours: refused at once.
#[test]
fn small_files_with_large_demands() {
    use lipcert_models::checkpoint::{PlainTensor, write_safetensors};
    let folder = tempfile::tempdir().unwrap();
    let declare = |input: &str, layers: &str| {
        let text = format!(r#"{{"schema":"lipcert/architecture/1","name":"x","input":{input},"layers":[{layers}]}}"#);
        [("lipcert.architecture".to_owned(), text)].into()
    };
    let tensor = |name: &str, shape: &[usize]| PlainTensor {
        name: name.to_owned(),
        shape: shape.to_vec(),
        values: vec![0.5; shape.iter().product()],
    };
    let flat = r#"{"kind":"flatten","name":"f"},"#;
    let head = r#"{"kind":"normalized-head","name":"h"}"#;
    let dense = format!(r#"{flat}{{"kind":"sll-dense","name":"d"}},{head}"#);
    let conv = format!(r#"{{"kind":"sll-conv","name":"c"}},{flat}{head}"#);
    let pad = format!(r#"{{"kind":"pad-channels","name":"p","channels":1048576}},{flat}{head}"#);
    let head_of = |features: usize| vec![tensor("h.weight", &[2, features]), tensor("h.bias", &[2])];
    let cases = [
        (
            "wide-dense",
            "[1,1,1]",
            dense,
            [
                vec![
                    tensor("d.weight", &[60_000, 1]),
                    tensor("d.bias", &[60_000]),
                    tensor("d.q", &[60_000]),
                ],
                head_of(1),
            ]
            .concat(),
        ),
        (
            "many-classes",
            "[1,1,1]",
            format!("{flat}{head}"),
            vec![tensor("h.weight", &[60_000, 1]), tensor("h.bias", &[60_000])],
        ),
        (
            "wide-kernel",
            "[1,2,2]",
            conv,
            [
                vec![
                    tensor("c.kernel", &[1, 1, 601, 601]),
                    tensor("c.bias", &[1]),
                    tensor("c.q", &[1]),
                ],
                head_of(4),
            ]
            .concat(),
        ),
        ("padding", "[1,32,32]", pad, head_of(4)),
    ];
    for (name, input, layers, tensors) in cases {
        let path = folder.path().join(name);
        fs::write(&path, write_safetensors(&declare(input, &layers), &tensors).unwrap()).unwrap();
        let start = std::time::Instant::now();
        let ran = lipcert(["verify", path.to_str().unwrap()]);
        // Not proved (1) or refused (2), by a number, at once, without a crash.
        assert!(matches!(ran.status, Some(1 | 2)), "{name}: {ran:?}");
        assert!(!ran.stdout.starts_with("certified"), "{name}: {ran:?}");
        assert!(start.elapsed().as_secs() < 20, "{name}");
    }
}
