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
