//! The table of families in the documentation is the one in the code.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use lipcert_models::parameterization::structural::STRUCTURAL;
use lipcert_models::parameterization::{FAMILIES, Family, Standing};

const BEGIN: &str = "<!-- families: begin -->\n";
const END: &str = "<!-- families: end -->\n";

/// All rows.
fn families() -> impl Iterator<Item = &'static Family> {
    FAMILIES.iter().chain(STRUCTURAL)
}

/// The table in Markdown.
fn table<'a>(families: impl Iterator<Item = &'a Family>) -> String {
    let mut text = "| family | map | rule | source | verdict |\n|---|---|---|---|---|\n".to_owned();
    let cell = |text: &str| text.replace('|', "\\|");
    for family in families {
        let verdict = match family.standing {
            Standing::Certified => "certified".to_owned(),
            Standing::Conditional(assumption) => format!("conditional: {assumption}"),
        };
        let (name, map, rule, source) = (family.name, cell(family.map), family.rule, cell(family.source));
        writeln!(text, "| {name} | {map} | {rule} | {source} | {} |", cell(&verdict)).expect("a string grows");
    }
    text
}

/// `LIPCERT_BLESS=1 cargo test --test it families` writes the table anew.
#[test]
fn the_documentation_lists_what_the_code_proves() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/families.md");
    let text = fs::read_to_string(&path).expect("the document");
    let start = text.find(BEGIN).expect("the mark where the table begins") + BEGIN.len();
    let end = text.find(END).expect("the mark where the table ends");
    let expected = table(families());
    if std::env::var_os("LIPCERT_BLESS").is_some() {
        let whole = format!("{}{expected}{}", &text[..start], &text[end..]);
        fs::write(&path, whole).expect("the document can be written");
        return;
    }
    assert_eq!(
        &text[start..end],
        expected,
        "`LIPCERT_BLESS=1 cargo test --test it families` writes the table anew"
    );
}

#[test]
fn names_are_unique_and_rules_are_known() {
    let rules = include_str!("../../proofs/src/rules.rs");
    for (index, family) in families().enumerate() {
        assert!(
            families().take(index).all(|other| other.name != family.name),
            "{} twice",
            family.name
        );
        for rule in family.rule.split(" + ") {
            let module = format!("pub mod {};", rule.replace('-', "_"));
            assert!(rules.contains(&module), "{}: there is no rule `{rule}`", family.name);
        }
    }
}
