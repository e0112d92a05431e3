//! The lines that every text face shares.

use std::cmp::Ordering;
use std::fmt;

use lipcert_proofs::rules::common_condition::relative_gap_up;

use super::common::{LayerResult, Lipschitz, Verdict};
use crate::text::{Align, Direction, Table, printable, significant};

/// Significant digits of a bound in text.
const BOUND_DIGITS: usize = 10;

/// Significant digits of a radius in text.
const RADIUS_DIGITS: usize = 6;

/// An upper bound in text, rounded up; `unproved` if there is none.
///
/// Just above 1 the excess is written out: `1 + 1.52e-11`.
#[must_use]
pub fn bound(value: Option<f64>) -> String {
    match value {
        None => "unproved".to_owned(),
        // From 1 to 2 the difference is exact.
        Some(value) if value > 1.0 && value < 1.0 + 1e-6 => format!("1 + {}", significant(value - 1.0, 3, Direction::Up)),
        Some(value) => significant(value, BOUND_DIGITS, Direction::Up),
    }
}

/// A radius in text, rounded down.
#[must_use]
pub fn radius(value: f64) -> String {
    significant(value, RADIUS_DIGITS, Direction::Down)
}

/// The first line of a text: the verdict, how much is assumed, and the number that a reader came for.
#[must_use]
pub fn head_line(verdict: Verdict, assumptions: &[String], number: &str) -> String {
    let assumptions: Vec<String> = assumptions.iter().map(|assumption| printable(assumption)).collect();
    match assumptions.as_slice() {
        [] => format!("{verdict}: {number}"),
        [only] => format!("{verdict} (assuming {only}): {number}"),
        [first, others @ ..] => format!("{verdict} (assuming {first}, and {} more): {number}", others.len()),
    }
}

/// The proved bounds in words.
pub(super) fn lipschitz_words(lipschitz: &Lipschitz) -> String {
    let upper = match lipschitz.upper {
        Some(_) => format!(
            "Lipschitz bound {} ({})",
            bound(lipschitz.upper),
            printable(&lipschitz.output)
        ),
        None => format!("no Lipschitz bound is proved ({})", printable(&lipschitz.output)),
    };
    match lipschitz.features {
        Some(_) if lipschitz.output != "features" => format!("{upper}, {} (features)", bound(lipschitz.features)),
        _ => upper,
    }
}

/// How far the bound can be from the best of its kind, and from the truth.
pub(super) fn gap_words(lipschitz: &Lipschitz) -> String {
    let mut words = String::new();
    if let (Some(upper), Some(dual)) = (lipschitz.upper, lipschitz.dual_bound) {
        let gap = significant(relative_gap_up(upper, dual), 2, Direction::Up);
        words += &format!(
            " · optimum of the relaxation at least {} (gap {gap})",
            significant(dual, BOUND_DIGITS, Direction::Down)
        );
    }
    if let Some(lower) = lipschitz.lower {
        words += &format!(" · slope found ≈ {}", significant(lower, 6, Direction::Down));
    }
    words
}

/// The layers as a table, worst first: unproved ones, then by falling bound.
pub(super) fn layer_table(layers: &[LayerResult]) -> Table {
    let optional = |value: Option<f64>, direction| value.map_or_else(String::new, |value| significant(value, 4, direction));
    let mut rows: Vec<&LayerResult> = layers.iter().collect();
    rows.sort_by(|a, b| worse_first(a.bound, b.bound));
    let mut columns = vec![
        ("layer", Align::Right),
        ("name", Align::Left),
        ("kind", Align::Left),
        ("bound", Align::Right),
        ("slack", Align::Right),
        ("seconds", Align::Right),
        ("rule", Align::Left),
    ];
    let with_lambda = layers.iter().any(|layer| layer.gram_lambda.is_some());
    let with_delta = layers.iter().any(|layer| layer.float32_delta.is_some());
    if with_lambda {
        columns.push(("gram λ", Align::Right));
    }
    if with_delta {
        columns.push(("float32 δ", Align::Right));
    }
    let mut table = Table::new(&columns);
    for layer in rows {
        let mut cells = vec![
            layer.index.to_string(),
            layer.name.clone(),
            layer.kind.clone(),
            bound(layer.bound),
            optional(layer.slack, Direction::Down),
            format!("{:.2}", layer.seconds),
            layer.rule.clone().unwrap_or_default(),
        ];
        if with_lambda {
            cells.push(layer.gram_lambda.map_or_else(String::new, |lambda| bound(Some(lambda))));
        }
        if with_delta {
            cells.push(optional(layer.float32_delta, Direction::Up));
        }
        table.row(cells);
    }
    table
}

/// What went wrong and what was assumed, a line each, under their headings.
pub(super) fn write_remarks(f: &mut fmt::Formatter<'_>, layers: &[LayerResult], assumptions: &[String]) -> fmt::Result {
    let failures: Vec<_> = layers
        .iter()
        .filter_map(|layer| Some((layer, layer.error.as_ref()?)))
        .collect();
    if !failures.is_empty() {
        writeln!(f, "\nnot proved:")?;
        for (layer, error) in failures {
            writeln!(
                f,
                "  layer {} `{}`: {}",
                layer.index,
                printable(&layer.name),
                printable(error)
            )?;
        }
    }
    if !assumptions.is_empty() {
        writeln!(f, "\nassumed, not checked:")?;
        for assumption in assumptions {
            writeln!(f, "  {}", printable(assumption))?;
        }
    }
    Ok(())
}

/// Unproved before proved, then larger before smaller.
fn worse_first(a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(a), Some(b)) => b.total_cmp(&a),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_rounded_up_and_radii_down() {
        for (value, text) in [
            (None, "unproved"),
            (Some(1.0), "1"),
            (Some(1.0 + f64::EPSILON), "1 + 2.23e-16"),
            (Some(36.482_229_597_637_95), "36.4822296"),
            (Some(0.1), "0.1000000001"),
            (Some(f64::INFINITY), "inf"),
        ] {
            assert_eq!(bound(value), text);
        }
        assert_eq!(radius(0.1), "0.1");
        assert_eq!(radius(0.141_176_470_588_235_3), "0.141176");
    }

    #[test]
    fn the_first_line_says_what_is_assumed() {
        let assumptions = ["a".to_owned(), "b\nc".to_owned(), "d".to_owned()];
        assert_eq!(head_line(Verdict::Certified, &[], "x"), "certified: x");
        assert_eq!(
            head_line(Verdict::Conditional, &assumptions[1..2], "x"),
            "conditional (assuming b\\nc): x"
        );
        assert_eq!(
            head_line(Verdict::NotCertified, &assumptions, "x"),
            "not certified (assuming a, and 2 more): x"
        );
    }

    #[test]
    fn layers_stand_worst_first() {
        let layer = |index: usize, bound: Option<f64>| LayerResult {
            index,
            bound,
            ..LayerResult::default()
        };
        let layers = [layer(0, Some(1.0)), layer(1, Some(1.5)), layer(2, None), layer(3, Some(1.0))];
        let order: Vec<String> = layer_table(&layers).rows().iter().map(|row| row[0].clone()).collect();
        assert_eq!(order, ["2", "1", "0", "3"]);
    }
}
