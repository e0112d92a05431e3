//! The comparison of families as a drawing.

use std::fmt::Write;

use crate::results::{Explored, MeasuredFamily};

/// Size of the drawing, in its own units.
const WIDTH: f64 = 720.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 56.0;
const ROW: f64 = 26.0;
const BOTTOM: f64 = 48.0;

/// A row for each family, a dot for each weight, on a logarithmic scale: the trace over its proved lower bound.
#[must_use]
pub fn svg(explored: &Explored) -> String {
    let families = &explored.tightness.families;
    let largest = families
        .iter()
        .flat_map(|family| family.trace.iter().flatten())
        .copied()
        .fold(1.2, f64::max);
    let x = |ratio: f64| LEFT + (WIDTH - LEFT - RIGHT) * (ratio.max(1.0).ln() / (1.05 * largest).ln());
    let height = TOP + ROW * families.len() as f64 + BOTTOM;
    let bottom = height - BOTTOM;
    let name = escape(&explored.family);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Tightness of {name}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">Trace of T over the proved lower bound of every diagonal T</text>\n\
         <text x=\"{LEFT}\" y=\"38\" fill=\"#555\">a dot for each of {} weights, a bar at their geometric mean</text>\n",
        explored.tightness.weights.len()
    );
    for tick in ticks(largest) {
        let place = x(tick);
        let _ = writeln!(
            svg,
            "<path d=\"M{place:.2} {TOP}V{bottom:.2}\" stroke=\"#ddd\"/><text x=\"{place:.2}\" y=\"{:.2}\" text-anchor=\"middle\">{tick}</text>",
            bottom + 18.0
        );
    }
    for (index, family) in families.iter().enumerate() {
        row(
            &mut svg,
            family,
            TOP + ROW * (index as f64 + 0.5),
            family.name == explored.family,
            &x,
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.2}\" y=\"{:.2}\" text-anchor=\"middle\">times the lower bound (logarithmic)</text>\n</svg>",
        f64::midpoint(LEFT, WIDTH - RIGHT),
        height - 8.0
    );
    svg
}

fn row(svg: &mut String, family: &MeasuredFamily, y: f64, explored: bool, x: &impl Fn(f64) -> f64) {
    let colour = match (family.wrong > 0, explored) {
        (true, _) => "#b3261e",
        (false, true) => "#0b57d0",
        (false, false) => "#555",
    };
    let weight = if explored { "bold" } else { "normal" };
    let _ = writeln!(
        svg,
        "<text x=\"{:.2}\" y=\"{:.2}\" text-anchor=\"end\" fill=\"{colour}\" font-weight=\"{weight}\">{}</text>",
        LEFT - 12.0,
        y + 4.0,
        escape(&family.name)
    );
    if family.wrong > 0 {
        let _ = writeln!(
            svg,
            "<text x=\"{:.2}\" y=\"{:.2}\" fill=\"{colour}\">wrong on {} of the weights</text>",
            LEFT + 8.0,
            y + 4.0,
            family.wrong
        );
        return;
    }
    for ratio in family.trace.iter().flatten() {
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.2}\" cy=\"{y:.2}\" r=\"4\" fill=\"{colour}\" fill-opacity=\"0.5\"/>",
            x(*ratio)
        );
    }
    if let Some(mean) = family.approx_trace {
        let _ = writeln!(
            svg,
            "<path d=\"M{:.2} {:.2}v16\" stroke=\"{colour}\" stroke-width=\"3\"/>",
            x(mean),
            y - 8.0
        );
    }
}

/// 1, 2, 5, 10, … up to the largest, and a few below 2 where that is all there is.
fn ticks(largest: f64) -> Vec<f64> {
    if largest < 2.0 {
        return [1.0, 1.1, 1.2, 1.4, 1.6, 1.8]
            .into_iter()
            .filter(|tick| *tick <= largest)
            .collect();
    }
    (0..12)
        .flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * 10_f64.powi(power)))
        .take_while(|tick| *tick <= largest)
        .collect()
}

/// Text inside an element.
fn escape(text: &str) -> String {
    crate::text::printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
