//! `lipcert demo`: the main job with nothing at hand.

use std::fs;

use crate::cli::{lipcert, lipcert_in};

#[test]
fn the_built_in_network_is_certified() {
    let ran = lipcert(["demo", "--json"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let json = ran.json();
    assert_eq!(
        (&json["schema"], &json["verdict"]),
        (&"lipcert/demo/1".into(), &"certified".into())
    );
    assert_eq!((&json["correct"], &json["samples"]), (&350.into(), &360.into()));
    assert!(json["assumptions"].as_array().unwrap().is_empty());
}

/// What the demo writes can be re-checked by somebody else.
#[test]
fn its_files_are_checked_again() {
    let folder = tempfile::tempdir().unwrap();
    let ran = lipcert_in(folder.path(), ["demo", "-o", "out"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let mut files: Vec<String> = fs::read_dir(folder.path().join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["certificate.json", "model.safetensors", "report.html", "run.json"]);
    let ran = lipcert_in(folder.path(), ["check", "out/certificate.json", "out/model.safetensors"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    // A second demo does not overwrite the first.
    assert_eq!(lipcert_in(folder.path(), ["demo", "-o", "out"]).status, Some(2));
    let again = ["certify", "out/model.safetensors", "--data", "digits", "--json"];
    assert_eq!(lipcert_in(folder.path(), again).json()["correct"], 350);
}
