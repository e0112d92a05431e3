//! The script that fetches libtorch, as far as it goes without a network.

use std::fs;
use std::process::Command;

use crate::reference::root;

/// What lies in a folder that somebody names by mistake stays there.
#[test]
fn a_folder_with_other_files_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine"), "text").unwrap();
    let mut command = Command::new("bash");
    command
        .arg(root("scripts/libtorch.sh"))
        .arg(folder.path())
        .env("PIP_NO_INDEX", "1");
    let ran = command.output().unwrap();
    let words = String::from_utf8_lossy(&ran.stderr);
    assert!(!ran.status.success() && words.contains("not of this script"), "{words}");
    assert_eq!(fs::read(folder.path().join("mine")).unwrap(), b"text");
}
