//! Independent Laplace distributions, one for each coordinate:
//!
//! ```text
//! ln p(x) = -sum_i (|x_i - location_i| / scale_i + ln(2 scale_i))
//! s_i(x)  = -sign(x_i - location_i) / scale_i
//! ```
//!
//! The density has a kink at the location, where the score is taken as 0: draws meet it with probability 0.

use super::fields::{Fields, numbers};
use super::{Density, ZeroDensity, check_numbers, check_positive, draw};
use crate::error::Result;
use crate::random::Sequence;
use serde::Serialize;

/// Independent Laplace distributions on R^d.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Laplace {
    location: Vec<f64>,
    scale: Vec<f64>,
}

impl Laplace {
    pub(super) const FIELDS: &'static [&'static str] = &["location", "scale"];

    pub(super) fn read(fields: &Fields) -> Result<Self> {
        Self::new(fields.get("location", numbers)?, fields.get("scale", numbers)?)
    }

    /// The distribution with locations `(d)` and scales `(d)`; the variances are 2 scale^2.
    ///
    /// # Errors
    /// If a number is not finite, the dimensions differ, or a scale is not positive.
    pub fn new(location: Vec<f64>, scale: Vec<f64>) -> Result<Self> {
        check_numbers("location", &location, location.len())?;
        check_positive("scale", &scale, location.len())?;
        Ok(Self { location, scale })
    }

    fn parameters(&self) -> impl Iterator<Item = (f64, f64)> {
        self.location.iter().copied().zip(self.scale.iter().copied())
    }
}

impl Density for Laplace {
    fn dimension(&self) -> usize {
        self.location.len()
    }

    fn score(&self, x: &[f64], out: &mut [f64]) -> std::result::Result<(), ZeroDensity> {
        for ((out, x), (location, scale)) in out.iter_mut().zip(x).zip(self.parameters()) {
            let r = location - x;
            *out = if r == 0.0 { 0.0 } else { r.signum() / scale };
        }
        Ok(())
    }

    fn ln_density(&self, x: &[f64]) -> Option<f64> {
        let parts = x.iter().zip(self.parameters());
        Some(
            -parts
                .map(|(x, (location, scale))| (x - location).abs() / scale + (2.0 * scale).ln())
                .sum::<f64>(),
        )
    }

    /// A random sign times -ln u, which is exponential.
    fn sample(&self, n: usize, random: &mut Sequence) -> Option<Vec<f64>> {
        let one = |(location, scale): (f64, f64), random: &mut Sequence| {
            let size = -scale * draw::uniform(random).ln();
            if random.word() & 1 == 0 { location + size } else { location - size }
        };
        let mut points = Vec::with_capacity(n * self.dimension());
        for _ in 0..n {
            points.extend(self.parameters().map(|parameters| one(parameters, random)));
        }
        Some(points)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{self, Moments};
    use super::*;

    fn model() -> Laplace {
        Laplace::new(vec![1.0, -2.0], vec![0.5, 3.0]).expect("a model")
    }

    #[test]
    fn the_density_is_the_closed_form() {
        // e^(-2) / 1 times e^(-1) / 6.
        let ln_density = model().ln_density(&[2.0, 1.0]).expect("known");
        assert!((ln_density + 3.0 + 6f64.ln()).abs() < 1e-15, "{ln_density}");
        let mut score = [f64::NAN; 2];
        model().score(&[2.0, -2.0], &mut score).expect("a score");
        assert_eq!(score, [-2.0, 0.0]);
    }

    #[test]
    fn the_score_is_the_gradient_and_has_mean_zero() {
        let line = Laplace::new(vec![0.0], vec![2.0]).expect("a model");
        for density in [&line as &dyn Density, &model()] {
            check::gradient(density);
            check::stein(density);
        }
        check::integral(&Laplace::new(vec![0.5], vec![1.5]).expect("a model"));
    }

    #[test]
    fn draws_have_its_moments() {
        let (model, moments) = (model(), Moments::of(&model()));
        for i in 0..2 {
            moments.mean_is(i, model.location[i]);
            moments.covariance_is(i, i, 2.0 * model.scale[i] * model.scale[i]);
        }
        moments.covariance_is(0, 1, 0.0);
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let problem = |location: &[f64], scale: &[f64]| {
            Laplace::new(location.to_vec(), scale.to_vec()).expect_err("wrong").to_string()
        };
        assert!(problem(&[0.0, 0.0], &[1.0]).contains("`scale` has 1 numbers, but the model needs 2"));
        assert!(problem(&[0.0, 0.0], &[1.0, 0.0]).contains("`scale[1]` is 0; give a positive number"));
        assert!(problem(&[f64::NAN], &[1.0]).contains("`location[0]` is NaN"));
    }
}
