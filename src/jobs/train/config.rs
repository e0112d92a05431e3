//! Reading the file that says what is trained; what is wrong with it is said with its line.

use std::path::Path;

use anyhow::{Context, anyhow};
use lipcert_models::training::Config;
use lipcert_models::training::recipe::RecipeError;
use serde::Deserialize;
use toml::Table;
use toml::de::{DeTable, DeValue};

/// A configuration and the text that it was read from.
#[derive(Debug)]
pub(super) struct Source {
    /// What it says.
    pub(super) config: Config,
    /// Its path, as it was given.
    pub(super) path: String,
    /// Its bytes.
    pub(super) text: String,
}

impl Source {
    /// Reads a file; what it says is not checked yet.
    ///
    /// # Errors
    ///
    /// With file and line.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{shown}`"))?;
        let config = toml::from_str(&text).map_err(|error| {
            let message = error.message().lines().collect::<Vec<_>>().join(" ");
            let place = error.span().map(|span| {
                let found = line_at(&text, span.start);
                let field = ["loss", "optimizer"].into_iter().find_map(|section| {
                    let here = line_at(&text, offset(&text, section)?) == found;
                    here.then(|| blamed(&text, section, error.message()))?
                });
                let offset = field.and_then(|field| offset(&text, &field));
                offset.map_or(found, |offset| line_at(&text, offset))
            });
            match place {
                Some((number, line)) => anyhow!("`{shown}`, line {number} (`{line}`): {message}"),
                None => anyhow!("`{shown}`: {message}"),
            }
        })?;
        Ok(Self {
            config,
            path: shown,
            text,
        })
    }

    /// Says where the cause lies: the line of the first field that it names in backticks.
    pub(super) fn refuse(&self, cause: impl std::error::Error) -> anyhow::Error {
        let message = cause.to_string();
        let field = message.split('`').nth(1).unwrap_or_default().to_owned();
        self.place(&field, &message)
    }

    /// The same of a network, by the place of the layer.
    pub(super) fn refuse_network(&self, cause: &RecipeError) -> anyhow::Error {
        let field = match cause {
            RecipeError::Layer { index, .. } => format!("network.layers.{index}"),
            RecipeError::Preprocess(_) => "network.preprocess".to_owned(),
            RecipeError::Preset(_) => "network.preset".to_owned(),
            _ => "network".to_owned(),
        };
        self.place(&field, &cause.to_string())
    }

    /// An error at a field, or at the part of its path that the file has.
    pub(super) fn place(&self, field: &str, message: &str) -> anyhow::Error {
        match offset(&self.text, field) {
            Some(offset) => {
                let (number, _) = line_at(&self.text, offset);
                anyhow!("`{}`, line {number}: {message}", self.path)
            }
            None => anyhow!("`{}`: {message}", self.path),
        }
    }
}

/// Where a field stands, or the part of its path that the text has.
fn offset(text: &str, field: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut found = None;
    let mut value = DeValue::Table(table.into_inner());
    for part in field.split('.') {
        let (offset, next) = match value {
            DeValue::Table(table) => {
                let (key, next) = table.into_iter().find(|(key, _)| key.get_ref() == part)?;
                (key.span().start, next)
            }
            DeValue::Array(array) => {
                let next = array.into_iter().nth(part.parse().ok()?)?;
                (next.span().start, next)
            }
            _ => return found,
        };
        found = Some(offset);
        value = next.into_inner();
    }
    found
}

/// The field of a section that an error is about, where the fields depend on a `kind`, so that the error knows the section only: without it the error is
/// another one, or none.
fn blamed(text: &str, section: &str, message: &str) -> Option<String> {
    let table: Table = text.parse().ok()?;
    let fields = table.get(section)?.as_table()?;
    let blamed = |field: &&String| {
        let (mut fields, mut table) = (fields.clone(), table.clone());
        fields.remove(*field);
        table.insert(section.to_owned(), fields.into());
        Config::deserialize(table).map_or_else(|error| error.message() != message, |_| true)
    };
    let field = fields.keys().filter(|field| *field != "kind").find(blamed)?;
    Some(format!("{section}.{field}"))
}

/// The number of the line at a byte, from 1, and the line.
fn line_at(text: &str, offset: usize) -> (usize, &str) {
    let before = text.get(..offset).unwrap_or(text);
    let number = before.matches('\n').count();
    (number + 1, text.lines().nth(number).unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> anyhow::Result<Source> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Source::read(file.path())
    }

    const GOOD: &str = "\
schema = \"lipcert/train-config/1\"
[data]
train = \"digits\"
[network]
layers = [
  { kind = \"flatten\" },
  { kind = \"sll-dense\" },
]
[loss]
kind = \"margin-boosting\"
[optimizer]
kind = \"adam\"
rate = 0.001
[train]
epochs = 1
batch = 10
";

    #[test]
    fn a_fault_is_named_with_its_line() {
        for (from, to, cause) in [
            ("epochs = 1", "epochs = \"x\"", "line 15 (`epochs = \"x\"`): invalid type"),
            ("epochs = 1", "epocs = 1", "line 15 (`epocs = 1`): unknown field `epocs`"),
            ("batch = 10", "", "line 14 (`[train]`): missing field `batch`"),
            ("[loss]", "[loss", "line 9"),
            ("kind = \"adam\"", "kind = \"eve\"", "`eve`"),
            (
                "rate = 0.001",
                "rate = \"x\"",
                "line 13 (`rate = \"x\"`): invalid type: string \"x\"",
            ),
            (
                "rate = 0.001",
                "rate = 0.1\nbetas = [1]",
                "line 14 (`betas = [1]`): invalid length 1",
            ),
            (
                "rate = 0.001",
                "rate = 0.1\nbeta = 1",
                "line 14 (`beta = 1`): unknown field `beta`",
            ),
            (
                "\"margin-boosting\"",
                "\"emma\"\nepsilon = true",
                "line 11 (`epsilon = true`): invalid type",
            ),
            ("\"margin-boosting\"", "\"emma\"", "missing field `epsilon`"),
        ] {
            let error = source(&GOOD.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(cause), "{error}");
        }
    }

    #[test]
    fn a_field_has_a_line() {
        let source = source(GOOD).unwrap();
        for (field, line) in [
            ("train.epochs", "line 15: why"),
            ("network.layers.1", "line 7: why"),
            ("network", "line 4: why"),
            ("optimizer.rate.deep", "line 13: why"),
            ("schema", "line 1: why"),
        ] {
            let error = source.place(field, "why").to_string();
            assert!(error.ends_with(line), "{field}: {error}");
        }
        assert!(source.place("nothing.here", "why").to_string().ends_with("`: why"));
    }
}
