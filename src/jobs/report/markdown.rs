//! A report as Markdown.

use super::escape::markdown as escape;
use super::{Report, facts, meaning, recheck};
use crate::results::{Certified, Run};
use crate::text::{Align, Table, printable};

/// The whole text.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    for reported in &report.runs {
        text.push_str(&format!("# {}\n\n", escape(&reported.run.headline())));
        text.push_str(&format!("{}\n\n", escape(&reported.restated())));
        list(&mut text, "Assumed, not checked", reported.run.assumptions());
        if let Run::Many(many) = &reported.run {
            text.push_str(&table(&many.table()));
        }
        for model in reported.run.models() {
            section(&mut text, model);
        }
        text.push_str(&format!(
            "Run file: {}, sha256 {}\n\n",
            escape(&reported.file),
            escape(&reported.sha256)
        ));
    }
    text.push_str(&format!(
        "Written by {} {}.\n",
        escape(&report.tool.name),
        escape(&report.tool.version)
    ));
    text
}

/// One network.
fn section(text: &mut String, model: &Certified) {
    text.push_str(&format!("## {}\n\n", escape(&model.model.path)));
    text.push_str(&format!("{}\n\n", escape(&model.headline())));
    text.push_str(&table(&model.accuracy_table()));
    text.push_str(&format!("{}\n\n", meaning(model.semantics)));
    text.push_str("| | |\n|---|---|\n");
    for (label, fact) in facts(model) {
        text.push_str(&format!("| {label} | {} |\n", escape(&fact)));
    }
    text.push_str("\n### Layers, worst first\n\n");
    text.push_str(&table(&model.layer_table()));
    let errors = model
        .layers
        .iter()
        .filter_map(|layer| Some(format!("layer {}: {}", layer.index, layer.error.as_ref()?)));
    list(text, "Not proved", &errors.collect::<Vec<_>>());
    text.push_str("### To check again\n\nThe commands are those that the run file names: read them before you run them.\n\n");
    for command in recheck(model) {
        // An indented block: nothing in it is markup.
        text.push_str(&format!("    {}\n", printable(&command)));
    }
    text.push('\n');
}

/// A list under a heading, if there is something to list.
fn list(text: &mut String, heading: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    text.push_str(&format!("**{heading}:**\n\n"));
    for item in items {
        text.push_str(&format!("- {}\n", escape(item)));
    }
    text.push('\n');
}

/// A table.
fn table(table: &Table) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = row(table.columns().iter().map(|(name, _)| escape(name)).collect());
    let rule = |align: &Align| match align {
        Align::Left => ":--",
        Align::Right => "--:",
    };
    text.push_str(&row(table
        .columns()
        .iter()
        .map(|(_, align)| rule(align).to_owned())
        .collect()));
    for cells in table.rows() {
        text.push_str(&row(cells.iter().map(|cell| escape(cell)).collect()));
    }
    text.push('\n');
    text
}
