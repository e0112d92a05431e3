//! The certified accuracy as a function of the radius.

use serde::{Deserialize, Serialize};

/// The most points of a curve.
const POINTS: usize = 200;

/// One point of the certified-accuracy curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// Radius, ℓ2, in units of the raw input.
    pub radius: f64,
    /// Number of samples that are classified correctly and certified at least up to that radius.
    pub count: usize,
}

/// The certified-accuracy curve of the certified radii of the correctly classified samples.
///
/// At most 200 points by rising radius, the first at radius 0, the last at the largest radius, every count exact. Between two
/// points the count is at least that of the right one. Radii that are NaN or negative count as 0; empty input gives one point.
#[must_use]
pub fn curve(radii: &[f64]) -> Vec<CurvePoint> {
    let mut sorted: Vec<f64> = radii.iter().map(|&radius| if radius > 0.0 { radius } else { 0.0 }).collect();
    sorted.sort_by(f64::total_cmp);
    let count_at = |radius: f64| sorted.len() - sorted.partition_point(|&other| other < radius);
    let mut places: Vec<f64> = std::iter::once(0.0).chain(sorted.iter().copied()).collect();
    places.dedup();
    if places.len() > POINTS {
        let last = places.len() - 1;
        places = (0..POINTS).map(|i| places[i * last / (POINTS - 1)]).collect();
    }
    places
        .into_iter()
        .map(|radius| CurvePoint {
            radius,
            count: count_at(radius),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_at_every_point() {
        let radii: Vec<f64> = (0..1000u32).map(|i| f64::from(i * 7919 % 1000) / 500.0).collect();
        let points = curve(&radii);
        assert_eq!(points.len(), POINTS);
        for point in &points {
            assert_eq!(point.count, radii.iter().filter(|&&radius| radius >= point.radius).count());
        }
        assert!(points.is_sorted_by(|a, b| a.radius < b.radius && a.count > b.count));
        assert_eq!(points.first().map(|point| (point.radius, point.count)), Some((0.0, 1000)));
        assert_eq!(
            points.last().map(|point| (point.radius, point.count)),
            Some((999.0 / 500.0, 1))
        );
    }

    #[test]
    fn few_and_odd_radii() {
        assert_eq!(curve(&[]), [CurvePoint { radius: 0.0, count: 0 }]);
        let points = curve(&[0.5, f64::NAN, 0.5, -1.0]);
        assert_eq!(
            points,
            [CurvePoint { radius: 0.0, count: 4 }, CurvePoint { radius: 0.5, count: 2 }]
        );
    }
}
