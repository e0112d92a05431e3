//! Which room may use which, and what may stand where.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The only arrows between our crates.
const ARROWS: [(&str, &str); 7] = [
    ("lipcert", "lipcert-models"),
    ("lipcert", "lipcert-proofs"),
    ("lipcert", "lipcert-solver"),
    ("lipcert-models", "lipcert-proofs"),
    ("lipcert-solver", "lipcert-proofs"),
    ("lipcert-train", "lipcert-models"),
    ("lipcert-train", "lipcert-proofs"),
];

/// Foreign crates that only one room may name.
const ONE_ROOM: [(&str, &str); 6] = [
    ("anyhow", "lipcert"),
    ("clap", "lipcert"),
    ("ctrlc", "lipcert"),
    ("indicatif", "lipcert"),
    ("mlua", "lipcert"),
    ("clarabel", "lipcert-solver"),
];

/// `tch` belongs to the training crate, which is none of the members that a user builds.
const TRAINING: (&str, &str) = ("tch", "lipcert-train");

/// Every dependency that a manifest of the workspace names, as `(crate, dependency)`; of every kind and target.
fn dependencies() -> BTreeSet<(String, String)> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let run = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let metadata: Value = serde_json::from_slice(&run.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        for dependency in package["dependencies"].as_array().unwrap() {
            found.insert((text(&package["name"]), text(&dependency["name"])));
        }
    }
    found
}

#[test]
fn arrows_point_downward() {
    let ours: BTreeSet<(String, String)> = dependencies()
        .into_iter()
        .filter(|(_, to)| to.starts_with("lipcert"))
        .collect();
    let allowed: BTreeSet<(String, String)> = ARROWS
        .iter()
        .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()))
        .collect();
    let new: Vec<_> = ours.difference(&allowed).collect();
    assert!(new.is_empty(), "new arrows: {new:?}");
    // The reader works: these two arrows are there.
    assert!(ours.contains(&("lipcert".to_owned(), "lipcert-proofs".to_owned())));
    assert!(ours.contains(&("lipcert-models".to_owned(), "lipcert-proofs".to_owned())));
}

#[test]
fn foreign_crates_stay_in_their_room() {
    for (from, to) in dependencies() {
        for (foreign, room) in ONE_ROOM.into_iter().chain([TRAINING]) {
            assert!(
                to != foreign || from == room,
                "`{from}` depends on `{foreign}`, which belongs to `{room}`"
            );
        }
    }
}

/// The sources of all rooms, without tests: path relative to the workspace, and text up to its `#[cfg(test)]`.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = ["src", "proofs/src", "solver/src", "models/src", "models/train/src"]
        .iter()
        .map(|room| root.join(room))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let is_source = path.extension().is_some_and(|ending| ending == "rs");
            if path.is_dir() {
                folders.push(path);
            } else if is_source && path.file_stem().is_some_and(|stem| stem != "tests") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap_or("").to_owned();
                files.push((path.strip_prefix(root).unwrap().to_owned(), code));
            }
        }
    }
    assert!(files.len() > 20, "only {} sources found", files.len());
    files
}

/// The lines of a source that are no comment.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

#[test]
fn one_file_a_program_writes_to_the_terminal() {
    let allowed = ["src/output.rs", "models/train/src/main.rs"];
    let words = [
        "println!",
        "print!(",
        "eprint!(",
        "io::stdout",
        "io::stderr",
        "stdout()",
        "stderr()",
    ];
    for (path, text) in sources() {
        for line in code_lines(&text) {
            let writes = words.iter().any(|word| line.contains(word));
            assert!(
                !writes || allowed.iter().any(|file| path == Path::new(file)),
                "{}: {line}",
                path.display()
            );
        }
    }
}

#[test]
fn one_folder_of_the_trusted_crate_rounds() {
    let lint = "float_arithmetic";
    for (path, text) in sources() {
        let rounds = path.starts_with("proofs/src/rounding") || path == Path::new("proofs/src/rounding.rs");
        let expects = code_lines(&text).any(|line| line.contains(lint) && !line.contains("deny("));
        assert!(rounds || !expects, "{}", path.display());
    }
    let ground = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("proofs/src/lib.rs")).unwrap();
    assert!(ground.contains("#![deny(clippy::float_arithmetic)]") && ground.contains("#![forbid(unsafe_code)]"));
}

#[test]
fn the_trusted_crate_looks_at_nothing_but_its_arguments() {
    let words = [
        "std::fs",
        "std::env",
        "std::net",
        "std::thread",
        "std::time",
        "std::process",
        "rayon::",
    ];
    for (path, text) in sources().into_iter().filter(|(path, _)| path.starts_with("proofs/src")) {
        for line in code_lines(&text) {
            let used: Vec<_> = words.iter().filter(|word| line.contains(**word)).collect();
            assert!(used.is_empty(), "{}: {line}", path.display());
        }
    }
}
