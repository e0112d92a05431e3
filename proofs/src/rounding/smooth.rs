//! Activations that are not piecewise linear, with a proved bound of the error of every value. No library function is believed: they promise no
//! accuracy and differ between platforms.
//!
//! With `t = e^{−|x|} ≤ 1`:
//!
//! | activation | `x ≥ 0` | `x < 0` |
//! |---|---|---|
//! | tanh | `(1 − t²) / (1 + t²)` | `−(1 − t²) / (1 + t²)` |
//! | sigmoid | `1 / (1 + t)` | `t / (1 + t)` |
//! | softplus, `t = e^{−β|x|}` | `x + ln(1 + t) / β` | `ln(1 + t) / β` |
//! | elu | `x` | `t − 1` |
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::ball::Ball;
use super::directed::norm_up;
use crate::statement::Activation;

/// The value of an activation; nothing for those that round at most once, which [`super::kernels::entrywise`] applies.
///
/// An argument that is not finite gives a NaN, so that an overflow is not hidden by a bounded activation.
pub(crate) fn value(activation: Activation, x: f64) -> Option<Ball> {
    let negative = x < 0.0;
    let power = |factor: f64| power(factor, x);
    let one = Ball::point(1.0);
    let ball = match activation {
        Activation::Relu | Activation::LeakyRelu { .. } | Activation::Abs => return None,
        Activation::Tanh => {
            let t = power(2.0);
            let ratio = one.minus(t).over(one.plus(t));
            if negative { ratio.negated() } else { ratio }
        }
        Activation::Sigmoid => {
            let t = power(1.0);
            if negative { t } else { one }.over(one.plus(t))
        }
        Activation::Softplus { beta } => Ball::point(x)
            .positive_part()
            .plus(power(beta).ln_1p().over(Ball::point(beta))),
        Activation::Elu if negative => power(1.0).minus(one),
        Activation::Elu => Ball::point(x),
    };
    Some(if x.is_finite() { ball } else { Ball::point(f64::NAN) })
}

/// `e^{−factor · |x|}`, also where the exponent overflows.
fn power(factor: f64, x: f64) -> Ball {
    let exponent = Ball::point(x.abs()).times(Ball::point(-factor));
    if exponent.value < -1000.0 {
        return Ball {
            value: 0.0,
            error: 1e-303,
        };
    }
    exponent.exp()
}

/// The slope of softplus: the sigmoid of `β x`.
pub(crate) fn softplus_slope(beta: f64, x: f64) -> Ball {
    let one = Ball::point(1.0);
    let t = power(beta, x);
    if x < 0.0 { t } else { one }.over(one.plus(t))
}

/// Applies a smooth activation to every entry of one sample and returns an upper bound of the norm of the error; nothing, and no change, for the
/// others.
pub(crate) fn apply_up(activation: Activation, values: &mut [f64]) -> Option<f64> {
    let balls: Vec<Ball> = values.iter().map(|x| value(activation, *x)).collect::<Option<_>>()?;
    for (entry, ball) in values.iter_mut().zip(&balls) {
        *entry = ball.value;
    }
    let errors: Vec<f64> = balls.iter().map(|ball| ball.error).collect();
    Some(norm_up(&errors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounding::directed::max;
    use proptest::prelude::*;

    const ALL: [Activation; 6] = [
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Elu,
        Activation::Softplus { beta: 1.0 },
        Activation::Softplus { beta: 20.0 },
        Activation::Softplus { beta: 0.01 },
    ];

    fn enclosed(activation: Activation, x: f64) -> Ball {
        value(activation, x).expect("a smooth activation")
    }

    /// Values to 25 digits by mpmath 1.3 with 60 digits, rounded to float64; half a unit in the last place is left for that.
    #[test]
    fn values_with_known_digits() {
        let softplus = |beta| Activation::Softplus { beta };
        let table: [(Activation, f64, f64); 24] = [
            (Activation::Tanh, 1e-9, 1e-9),
            (Activation::Sigmoid, 1e-9, 0.50000000025),
            (Activation::Tanh, 0.3, 0.2913126124515909),
            (Activation::Sigmoid, 0.3, 0.574442516811659),
            (Activation::Tanh, -0.5, -0.46211715726000974),
            (Activation::Sigmoid, -0.5, 0.37754066879814546),
            (Activation::Tanh, 2.0, 0.9640275800758169),
            (Activation::Sigmoid, 2.0, 0.8807970779778824),
            (Activation::Tanh, -7.25, -0.9999989913051835),
            (Activation::Sigmoid, -7.25, 0.0007096703991005881),
            (Activation::Tanh, 19.5, 1.0),
            (Activation::Sigmoid, 19.5, 0.9999999966017322),
            (Activation::Elu, -1e-9, -9.999999995e-10),
            (Activation::Elu, -0.3, -0.2591817793182821),
            (Activation::Elu, -4.5, -0.9888910034617577),
            (Activation::Elu, -40.0, -1.0),
            (Activation::Elu, 2.5, 2.5),
            (softplus(1.0), 0.0, std::f64::consts::LN_2),
            (softplus(1.0), 1.5, 1.7014132779827524),
            (softplus(1.0), -1.5, 0.2014132779827524),
            (softplus(5.0), 0.1, 0.19481539683602134),
            (softplus(0.25), -9.0, 0.40082623566698883),
            (softplus(1.0), 30.0, 30.000000000000092),
            (softplus(1.0), -50.0, 1.9287498479639178e-22),
        ];
        for (activation, x, expected) in table {
            let ball = enclosed(activation, x);
            let ulp = expected.abs().next_up() - expected.abs();
            assert!(
                (ball.value - expected).abs() <= ball.error + ulp,
                "{activation:?} {x:e}: {ball:?}, expected {expected:e}"
            );
            assert!(
                ball.error <= 2e-15 * max(expected.abs(), 1.0),
                "{activation:?} {x:e}: {ball:?}"
            );
        }
    }

    #[test]
    fn extreme_arguments() {
        for x in [
            0.0,
            -0.0,
            5e-324,
            -5e-324,
            2.2e-308,
            1e308,
            -1e308,
            700.0,
            -745.2,
            f64::MAX,
            f64::MIN,
        ] {
            for (activation, low, high) in [
                (Activation::Tanh, -1.0, 1.0),
                (Activation::Sigmoid, 0.0, 1.0),
                (Activation::Elu, -1.0, f64::MAX),
                (Activation::Softplus { beta: 3.0 }, 0.0, f64::MAX),
            ] {
                let ball = enclosed(activation, x);
                let scale = max(ball.value.abs(), 1.0);
                assert!(ball.error <= 1e-15 * scale, "{activation:?} {x:e}: {ball:?}");
                assert!(
                    ball.value + ball.error >= low && ball.value - ball.error <= high,
                    "{activation:?} {x:e}: {ball:?}"
                );
            }
        }
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for activation in ALL {
                assert!(enclosed(activation, x).value.is_nan(), "{activation:?} {x}");
            }
        }
        assert!(enclosed(Activation::Tanh, 1e308).value >= 1.0 && enclosed(Activation::Tanh, -1e308).value <= -1.0);
        assert!(enclosed(Activation::Elu, -1e308).value <= -1.0);
        assert_eq!(value(Activation::Relu, -1.0), None);
    }

    proptest! {
        /// The quotient `(σ(u) − σ(v)) / (u − v)` stays within the stated slopes, and the activation grows.
        #[test]
        fn slopes_and_growth(
            u in prop_oneof![-3.0..3.0f64, -800.0..800.0f64],
            gap in prop_oneof![1e-3..1.0f64, 1e-3..900.0f64],
            which in 0..ALL.len(),
        ) {
            let activation = ALL[which];
            let (low, high) = activation.slopes();
            let (a, b) = (enclosed(activation, u), enclosed(activation, u + gap));
            let slack = a.error + b.error + 1e-13 * max(u.abs(), 1.0);
            prop_assert!(b.value - a.value >= low * gap - slack);
            prop_assert!(b.value - a.value <= high * gap + slack);
        }

        /// The slope of softplus is its difference quotient in the limit.
        #[test]
        fn the_slope_of_softplus(x in -30.0..30.0f64, beta in 0.1..10.0f64) {
            let activation = Activation::Softplus { beta };
            let step = 1e-5 / beta;
            let rise = enclosed(activation, x + step).value - enclosed(activation, x - step).value;
            let slope = softplus_slope(beta, x);
            prop_assert!((rise / (2.0 * step) - slope.value).abs() <= 1e-8);
            prop_assert!(slope.error <= 1e-15);
        }
    }
}
