//! A report as one HTML page: no script, no font, no picture from elsewhere.

use super::escape::html as escape;
use super::{Report, facts, meaning, plot, recheck};
use crate::results::{Certified, Run, Verdict};
use crate::text::{Align, Table};

/// The style sheet, which stands in the page.
const STYLE: &str = include_str!("style.css");

/// What a browser may load for the page: nothing but the style sheet in it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let mut body = String::new();
    for reported in &report.runs {
        body.push_str(&banner(reported.run.verdict(), &reported.run.headline()));
        body.push_str(&format!("<p>{}</p>\n", escape(&reported.restated())));
        body.push_str(&list("Assumed, not checked", reported.run.assumptions()));
    }
    if let Some(plot) = plot::svg(report) {
        body.push_str(&format!("<figure>\n{plot}<figcaption>Certified accuracy. Each line lies on or below the proved share.</figcaption>\n</figure>\n"));
    }
    for reported in &report.runs {
        if let Run::Many(many) = &reported.run {
            body.push_str("<h2>All networks, certified accuracy in percent</h2>\n");
            body.push_str(&table(&many.table()));
        }
        for model in reported.run.models() {
            body.push_str(&section(model));
        }
        let (file, sha256) = (escape(&reported.file), escape(&reported.sha256));
        body.push_str(&format!(
            "<p class=\"source\">Run file <code>{file}</code>, sha256 <code>{sha256}</code></p>\n"
        ));
    }
    let (name, version) = (escape(&report.tool.name), escape(&report.tool.version));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Certified robustness</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         <footer>Written by {name} {version}. This page restates its run files; the commands above check them.</footer>\n\
         </body>\n</html>\n"
    )
}

/// The first line of a run.
fn banner(verdict: Verdict, headline: &str) -> String {
    let class = match verdict {
        Verdict::Certified => "certified",
        Verdict::Conditional => "conditional",
        Verdict::NotCertified => "not-certified",
    };
    format!("<h1 class=\"{class}\">{}</h1>\n", escape(headline))
}

/// One network.
fn section(model: &Certified) -> String {
    let mut html = format!("<section>\n<h2>{}</h2>\n", escape(&model.model.path));
    html.push_str(&format!("<p class=\"head\">{}</p>\n", escape(&model.headline())));
    html.push_str(&table(&model.accuracy_table()));
    html.push_str(&format!(
        "<h3>What is proved</h3>\n<p>{}</p>\n",
        escape(meaning(model.semantics))
    ));
    html.push_str("<h3>Of what</h3>\n<dl>\n");
    for (label, fact) in facts(model) {
        html.push_str(&format!("<dt>{label}</dt><dd>{}</dd>\n", escape(&fact)));
    }
    html.push_str("</dl>\n<h3>Layers, worst first</h3>\n");
    html.push_str(&table(&model.layer_table()));
    let errors = model
        .layers
        .iter()
        .filter_map(|layer| Some(format!("layer {}: {}", layer.index, layer.error.as_ref()?)));
    html.push_str(&list("Not proved", &errors.collect::<Vec<_>>()));
    html.push_str("<h3>To check again</h3>\n<p>Compare the hashes, check the certificate, and repeat the run. The commands are those that the run file names: read them before you run them.</p>\n<pre>");
    for command in recheck(model) {
        html.push_str(&escape(&command));
        html.push('\n');
    }
    html.push_str("</pre>\n</section>\n");
    html
}

/// A list under a heading, if there is something to list.
fn list(heading: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let items: String = items.iter().map(|item| format!("<li>{}</li>\n", escape(item))).collect();
    format!("<div class=\"remark\"><strong>{heading}</strong>\n<ul>\n{items}</ul></div>\n")
}

/// A table that scrolls sideways where it is too wide.
fn table(table: &Table) -> String {
    let classes: Vec<&str> = table.columns().iter().map(|(_, align)| class(*align)).collect();
    let headings = table.columns().iter().zip(&classes);
    let headings: String = headings
        .map(|((name, _), class)| format!("<th{class} scope=\"col\">{}</th>", escape(name)))
        .collect();
    let mut html = format!("<div class=\"wide\"><table>\n<thead><tr>{headings}</tr></thead>\n<tbody>\n");
    for row in table.rows() {
        let cells: String = row
            .iter()
            .zip(&classes)
            .map(|(cell, class)| format!("<td{class}>{}</td>", escape(cell)))
            .collect();
        html.push_str(&format!("<tr>{cells}</tr>\n"));
    }
    html.push_str("</tbody>\n</table></div>\n");
    html
}

/// The attribute of a cell.
const fn class(align: Align) -> &'static str {
    match align {
        Align::Left => "",
        Align::Right => " class=\"number\"",
    }
}
