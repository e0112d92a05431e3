//! Maps of pairs of units that are given by angles.
//!
//! Sine and cosine are midpoints of enclosures; [`PairKernel::error_up`] bounds their distance from the exact numbers.
#![expect(clippy::float_arithmetic, clippy::disallowed_methods, reason = "the room that may round")]

use crate::rounding::directed::max;
use crate::rounding::interval::Interval;
use crate::rounding::trigonometry::sin_cos;
use crate::statement::{PairMap, Paired};

/// A point of the unit circle: `(cos, sin)`.
type Direction = [f64; 2];

/// A sector of the plane with the orthogonal map on it.
#[derive(Clone, Copy, Debug)]
struct Sector {
    /// Its bisector.
    middle: Direction,
    /// Half its width, in `[0, π/2]`, as a direction.
    half: Direction,
    /// `(cos, sin)` of the map's angle.
    map: Direction,
    /// Whether the map is a mirror image, else a rotation by minus the angle.
    mirrors: bool,
}

/// The numbers for one pair.
#[derive(Clone, Debug)]
enum Numbers {
    /// `(cos θ/2, sin θ/2)`.
    Fold(Direction),
    /// The same, neither number negative.
    Wedge(Direction),
    Sectors([Sector; 4]),
}

/// A pair map with its numbers.
#[derive(Clone, Debug)]
pub struct PairKernel {
    pairs: Vec<Numbers>,
    error: f64,
}

impl PairKernel {
    /// Encloses the sines and cosines.
    #[must_use]
    pub fn new(paired: &Paired) -> Self {
        let count = paired.angles.len() / paired.map.angles();
        let mut error = 0.0;
        let mut direction = |angle: Interval| {
            let (sin, cos) = sin_cos(angle);
            let middle = [cos.mid(), sin.mid()];
            error = max(error, max(cos.distance_up(middle[0]), sin.distance_up(middle[1])));
            middle
        };
        let times = |factor: f64, angle: f64| Interval::point(factor).mul(Interval::point(angle));
        let pairs = (0..count).map(|pair| {
            let angle = |which: usize| paired.angles[which * count + pair];
            match paired.map {
                PairMap::Householder => Numbers::Fold(direction(times(0.5, angle(0)))),
                PairMap::Projection => {
                    // The exact numbers are not negative, so this brings them no further away.
                    Numbers::Wedge(direction(times(0.5, angle(0))).map(|value| max(value, 0.0)))
                }
                PairMap::Householder2 => {
                    let (first, second, third) = (angle(0), angle(1), angle(2));
                    let (start, quarter2, quarter3) = (times(0.5, first), times(0.25, second), times(0.25, third));
                    let (half2, half3) = (times(0.5, second), times(0.5, third));
                    let (narrow, wide) = (direction(quarter2), direction(quarter3));
                    let turned = |[cos, sin]: Direction| [-sin, cos];
                    let sector = |middle, half, map, mirrors| Sector {
                        middle,
                        half,
                        map,
                        mirrors,
                    };
                    let third_middle = turned(direction(start.add(quarter2).add(half3)));
                    let [cos, sin] = direction(start.add(quarter3));
                    Numbers::Sectors([
                        sector(direction(start.add(quarter2)), narrow, [1.0, 0.0], false),
                        sector(
                            direction(start.add(half2).add(quarter3)),
                            wide,
                            direction(Interval::point(first).add(Interval::point(second))),
                            true,
                        ),
                        sector(third_middle, [narrow[1], narrow[0]], direction(Interval::point(third)), false),
                        sector([sin, -cos], [wide[1], wide[0]], direction(Interval::point(first)), true),
                    ])
                }
            }
        });
        let pairs = pairs.collect();
        Self { pairs, error }
    }

    /// Upper bound of the distance of every sine and cosine from the exact one.
    #[must_use]
    pub const fn error_up(&self) -> f64 {
        self.error
    }

    /// Writes the image of `input`, whose first half holds the first members of the pairs, `copies` entries a unit.
    ///
    /// # Panics
    ///
    /// If `input` has not `2 · pairs · copies` entries or `output` not as many as the map gives.
    pub fn apply(&self, input: &[f64], output: &mut [f64]) {
        let half = input.len() / 2;
        let copies = half / self.pairs.len();
        assert_eq!(input.len(), 2 * self.pairs.len() * copies, "as many entries for each unit");
        for (pair, numbers) in self.pairs.iter().enumerate() {
            for at in pair * copies..(pair + 1) * copies {
                let (x, y) = (input[at], input[half + at]);
                match numbers {
                    Numbers::Fold(direction) => (output[at], output[half + at]) = fold(*direction, x, y),
                    Numbers::Wedge(direction) => output[at] = wedge(*direction, x, y),
                    Numbers::Sectors(sectors) => (output[at], output[half + at]) = sector(sectors, x, y),
                }
            }
        }
    }
}

/// `z − 2 u relu(u·z)`, `u = (sin, −cos)`.
fn fold([cos, sin]: Direction, x: f64, y: f64) -> (f64, f64) {
    let along = x * sin - y * cos;
    // Not `max`, which drops NaN.
    let step = if along <= 0.0 { 0.0 } else { 2.0 * along };
    (x - step * sin, y + step * cos)
}

/// The signed distance to the wedge around the positive first axis whose upper border has this direction.
fn wedge([cos, sin]: Direction, x: f64, y: f64) -> f64 {
    let beside = x * cos + y.abs() * sin;
    if beside >= 0.0 {
        y.abs() * cos - x * sin
    } else {
        (x * x + y * y).sqrt()
    }
}

/// The image under the map of the sector in which the point lies, or nearly lies.
fn sector(sectors: &[Sector; 4], x: f64, y: f64) -> (f64, f64) {
    // With the angle τ by which the point lies outside a sector: `out` = r sin τ, `ahead` = r cos τ, τ in [−π/2, π]; the score grows with τ.
    let score = |sector: &Sector| {
        let [cos, sin] = sector.middle;
        let (across, along) = ((cos * y - sin * x).abs(), cos * x + sin * y);
        let [cos, sin] = sector.half;
        let (out, ahead) = (across * cos - along * sin, along * cos + across * sin);
        if ahead >= 0.0 || out < -0.5 * max(x.abs(), y.abs()) {
            out
        } else {
            2.0 * (x.abs() + y.abs()) - out
        }
    };
    let mut best = (&sectors[0], score(&sectors[0]));
    for sector in &sectors[1..] {
        let score = score(sector);
        if score < best.1 {
            best = (sector, score);
        }
    }
    let [cos, sin] = best.0.map;
    if best.0.mirrors {
        (x * cos + y * sin, x * sin - y * cos)
    } else {
        (x * cos + y * sin, y * cos - x * sin)
    }
}
