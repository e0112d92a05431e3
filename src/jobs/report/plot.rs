//! The certified-accuracy curves as a drawing.

use std::fmt::Write;

use super::Report;
use super::escape::html as escape;
use crate::results::Certified;

/// Size of the drawing and of the margins around its axes, in its own units.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 46.0;

/// Number of line styles in the style sheet.
const STYLES: usize = 6;

/// The curves of all networks of a report as an inline SVG; `None` if no network has a curve.
///
/// Each curve is drawn as a staircase that never lies above the certified accuracy.
pub(super) fn svg(report: &Report) -> Option<String> {
    let models: Vec<&Certified> = report
        .models()
        .filter(|model| model.curve.len() > 1 && model.samples > 0)
        .collect();
    let widest = models.iter().filter_map(|model| shown_width(model)).fold(0.0, f64::max);
    if models.is_empty() || widest <= 0.0 {
        return None;
    }
    let x = |radius: f64| LEFT + (WIDTH - LEFT - RIGHT) * (radius / widest).min(1.0);
    let y = |accuracy: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * accuracy;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Certified accuracy over the radius\">\n\
         <title>Certified accuracy over the radius</title>\n"
    );
    grid(&mut svg, widest, &x, &y);
    epsilons(&mut svg, &models, widest, &x);
    for (i, model) in models.iter().enumerate() {
        let share = |count: usize| y(count as f64 / model.samples as f64);
        let mut path = format!("M{:.2} {:.2}", x(0.0), share(model.correct));
        for point in &model.curve {
            let _ = write!(path, "V{:.2}H{:.2}", share(point.count), x(point.radius));
        }
        if model.curve.last().is_some_and(|point| point.radius < widest) {
            let _ = write!(path, "V{:.2}", y(0.0));
        }
        let name = escape(&model.model.path);
        let _ = writeln!(
            svg,
            "<path class=\"curve s{}\" d=\"{path}\"><title>{name}</title></path>",
            i % STYLES
        );
    }
    svg.push_str("</svg>\n");
    let mut legend = String::from("<ul class=\"legend\">\n");
    for (i, model) in models.iter().enumerate() {
        let (name, data) = (escape(&model.model.path), escape(&model.data.name));
        let line = format!(
            "<svg viewBox=\"0 0 28 8\" aria-hidden=\"true\"><path class=\"curve s{}\" d=\"M0 4H28\"/></svg>",
            i % STYLES
        );
        let _ = writeln!(legend, "<li>{line}{name} on {data}</li>");
    }
    legend.push_str("</ul>\n");
    Some(svg + &legend)
}

/// How far to the right a curve is worth showing: to where less than one in a hundred is left, and past every ε.
fn shown_width(model: &Certified) -> Option<f64> {
    let visible = model
        .curve
        .iter()
        .filter(|point| point.count * 100 >= model.samples)
        .map(|point| point.radius);
    let asked = model.certified.iter().map(|row| row.radius);
    let width = visible.chain(asked).fold(0.0, f64::max);
    width.is_finite().then_some(width * 1.04)
}

/// Axes, ticks and their labels.
fn grid(svg: &mut String, widest: f64, x: &impl Fn(f64) -> f64, y: &impl Fn(f64) -> f64) {
    let (left, right, bottom) = (x(0.0), x(widest), y(0.0));
    for percent in [0u8, 20, 40, 60, 80, 100] {
        let height = y(f64::from(percent) / 100.0);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{left:.2} {height:.2}H{right:.2}\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{:.2}\" y=\"{:.2}\" class=\"end\">{percent} %</text>",
            left - 8.0,
            height + 4.0
        );
    }
    let step = round_step(widest / 6.0);
    let mut tick = 0u32;
    while tick < 100 && f64::from(tick) * step <= widest {
        let radius = f64::from(tick) * step;
        let place = x(radius);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{place:.2} {bottom:.2}v5\"/>");
        let label = format!("{radius:.4}");
        let label = label.trim_end_matches('0').trim_end_matches('.');
        let _ = writeln!(
            svg,
            "<text x=\"{place:.2}\" y=\"{:.2}\" class=\"middle\">{label}</text>",
            bottom + 18.0
        );
        tick += 1;
    }
    let middle = f64::midpoint(left, right);
    let _ = writeln!(
        svg,
        "<text x=\"{middle:.2}\" y=\"{:.2}\" class=\"middle\">radius ε (ℓ2, units of the raw input)</text>",
        HEIGHT - 8.0
    );
}

/// A dashed line at each ε that was asked for.
fn epsilons(svg: &mut String, models: &[&Certified], widest: f64, x: &impl Fn(f64) -> f64) {
    let mut seen: Vec<f64> = Vec::new();
    for row in models.iter().flat_map(|model| &model.certified) {
        let place = x(row.radius);
        if row.radius > 0.0 && row.radius <= widest && !seen.iter().any(|other| (other - place).abs() < 1.0) {
            seen.push(place);
            let name = escape(&row.epsilon);
            let _ = writeln!(
                svg,
                "<path class=\"epsilon\" d=\"M{place:.2} {TOP:.2}V{:.2}\"><title>ε = {name}</title></path>",
                HEIGHT - BOTTOM
            );
            let _ = writeln!(
                svg,
                "<text x=\"{:.2}\" y=\"{:.2}\" class=\"small\">{name}</text>",
                place + 3.0,
                TOP + 10.0
            );
        }
    }
}

/// The number of the form 1, 2 or 5 times a power of ten next above `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= step);
    factor.unwrap_or(10.0) * power
}
