//! The families that come with the program.

use super::script::Source;

/// Name and script.
const FAMILIES: [(&str, &str); 7] = [
    ("aol", include_str!("families/aol.lua")),
    ("sll", include_str!("families/sll.lua")),
    ("perron", include_str!("families/perron.lua")),
    ("spectral", include_str!("families/spectral.lua")),
    ("frobenius", include_str!("families/frobenius.lua")),
    ("gram-2", include_str!("families/gram-2.lua")),
    ("signed-row-sums", include_str!("families/signed-row-sums.lua")),
];

/// The family that is wrong on purpose; no comparison shows it.
const WRONG: &str = "signed-row-sums";

/// The family of this name.
pub(super) fn named(name: &str) -> Option<Source> {
    FAMILIES.iter().find(|family| family.0 == name).map(source)
}

/// Those that a family is compared with.
pub(super) fn sound() -> impl Iterator<Item = Source> {
    FAMILIES.iter().filter(|family| family.0 != WRONG).map(source)
}

/// The names of all.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.0)
}

fn source((name, text): &(&str, &str)) -> Source {
    Source {
        name: (*name).to_owned(),
        file: format!("{name}.lua"),
        text: (*text).to_owned(),
    }
}
