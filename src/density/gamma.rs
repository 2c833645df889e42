//! Independent gamma distributions, one for each coordinate, on x > 0:
//!
//! ```text
//! ln p(x) = sum_i ((shape_i - 1) ln x_i - x_i / scale_i - lnG(shape_i) - shape_i ln scale_i)
//! s_i(x)  = shape_i - x_i / scale_i
//! ```
//!
//! The score is that of y = ln x, with the density p(x) x: for shapes up to 1, p(x) does not vanish at 0, as a
//! Stein discrepancy asks, while the density of y vanishes at both ends.

use super::fields::{Fields, numbers};
use super::{Coordinates, Density, ZeroDensity, check_positive, draw};
use crate::error::Result;
use crate::random::Sequence;
use serde::Serialize;

/// Independent gamma distributions on the positive numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gamma {
    shape: Vec<f64>,
    scale: Vec<f64>,
}

impl Gamma {
    pub(super) const FIELDS: &'static [&'static str] = &["shape", "scale"];

    pub(super) fn read(fields: &Fields) -> Result<Self> {
        Self::new(fields.get("shape", numbers)?, fields.get("scale", numbers)?)
    }

    /// The distribution with shapes `(d)` and scales `(d)`: means shape * scale, variances shape * scale^2.
    ///
    /// # Errors
    /// If the dimensions differ, or a number is not finite and positive.
    pub fn new(shape: Vec<f64>, scale: Vec<f64>) -> Result<Self> {
        check_positive("shape", &shape, shape.len())?;
        check_positive("scale", &scale, shape.len())?;
        Ok(Self { shape, scale })
    }

    fn parameters(&self) -> impl Iterator<Item = (f64, f64)> {
        self.shape.iter().copied().zip(self.scale.iter().copied())
    }
}

impl Density for Gamma {
    fn dimension(&self) -> usize {
        self.shape.len()
    }

    fn coordinates(&self) -> Coordinates {
        Coordinates::Logarithms
    }

    fn score(&self, x: &[f64], out: &mut [f64]) -> std::result::Result<(), ZeroDensity> {
        for ((out, &x), (shape, scale)) in out.iter_mut().zip(x).zip(self.parameters()) {
            if x <= 0.0 {
                return Err(ZeroDensity);
            }
            *out = shape - x / scale;
        }
        Ok(())
    }

    fn ln_density(&self, x: &[f64]) -> Option<f64> {
        if x.iter().any(|x| *x <= 0.0) {
            return Some(f64::NEG_INFINITY);
        }
        let parts = x.iter().zip(self.parameters()).map(|(x, (shape, scale))| {
            (shape - 1.0) * x.ln() - x / scale - libm::lgamma(shape) - shape * scale.ln()
        });
        Some(parts.sum())
    }

    fn sample(&self, n: usize, random: &mut Sequence) -> Option<Vec<f64>> {
        let mut points = Vec::with_capacity(n * self.dimension());
        for _ in 0..n {
            points.extend(self.parameters().map(|(shape, scale)| {
                // With tiny shapes e^y may underflow, but 0 is not in the support.
                (scale * draw::ln_gamma_variate(shape, random).exp()).max(f64::MIN_POSITIVE)
            }));
        }
        Some(points)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scored;
    use super::super::check::{self, Moments};
    use super::*;
    use crate::sample::Sample;

    fn model() -> Gamma {
        Gamma::new(vec![0.5, 1.0, 4.5], vec![2.0, 0.5, 1.5]).expect("a model")
    }

    #[test]
    fn the_density_is_the_closed_form() {
        // Shape 1 is exponential; shape 1/2 and scale 2 are chi^2 of one degree of freedom; shape 3 has G(3) = 2.
        for x in [0.1, 1.0, 12.0_f64] {
            for (shape, scale, expected) in [
                (1.0, 0.5, 2f64.ln() - 2.0 * x),
                (0.5, 2.0, -0.5 * (2.0 * std::f64::consts::PI * x).ln() - 0.5 * x),
                (3.0, 1.0, 2.0 * x.ln() - x - 2f64.ln()),
            ] {
                let gamma = Gamma::new(vec![shape], vec![scale]).expect("a model");
                let ln_density = gamma.ln_density(&[x]).expect("known");
                assert!((ln_density - expected).abs() < 1e-14, "shape {shape} at {x}: {ln_density}");
            }
        }
    }

    #[test]
    fn the_score_is_the_gradient_and_has_mean_zero() {
        let line = Gamma::new(vec![2.5], vec![3.0]).expect("a model");
        for density in [&line as &dyn Density, &model()] {
            check::gradient(density);
            check::stein(density);
        }
        check::integral(&Gamma::new(vec![3.5], vec![1.5]).expect("a model"));
    }

    #[test]
    fn draws_have_its_moments() {
        let (model, moments) = (model(), Moments::of(&model()));
        for (i, (shape, scale)) in model.parameters().enumerate() {
            moments.mean_is(i, shape * scale);
            moments.covariance_is(i, i, shape * scale * scale);
        }
        moments.covariance_is(0, 1, 0.0);
    }

    #[test]
    fn points_outside_are_named() {
        let gamma = Gamma::new(vec![2.0, 2.0], vec![1.0, 1.0]).expect("a model");
        for outside in [0.0, -1.0] {
            assert_eq!(gamma.score(&[1.0, outside], &mut [0.0; 2]), Err(ZeroDensity));
            assert_eq!(gamma.ln_density(&[outside, 1.0]), Some(f64::NEG_INFINITY));
            let values = [1.0, 2.0, 3.0, outside, outside, 1.0];
            let problem = Scored::new(&gamma, Sample::new(2, &values)).expect_err("outside").to_string();
            assert!(
                problem.contains("row 1 (counted from 0): the model's density is zero there"),
                "{problem}"
            );
        }
        let scored = Scored::new(&gamma, Sample::new(2, &[1.0, 2.0, 3.0, 4.0])).expect("inside");
        assert_eq!(scored.scores, [1.0, 0.0, -1.0, -2.0]);
        assert_eq!(scored.points, [1.0, 2.0, 3.0, 4.0].map(f64::ln));
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let problem = |shape: &[f64], scale: &[f64]| {
            Gamma::new(shape.to_vec(), scale.to_vec()).expect_err("wrong").to_string()
        };
        assert!(problem(&[], &[]).contains("`shape` is empty"));
        assert!(problem(&[1.0, -2.0], &[1.0, 1.0]).contains("`shape[1]` is -2; give a positive number"));
        assert!(problem(&[1.0, 2.0], &[1.0]).contains("`scale` has 1 numbers, but the model needs 2"));
    }
}
