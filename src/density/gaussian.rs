//! The normal distribution N(mean, C):
//!
//! ```text
//! ln p(x) = -1/2 r'C^-1 r - 1/2 ln det C - d/2 ln(2 pi),  r = x - mean
//! s(x)    = -C^-1 r
//! ```

use super::fields::{Fields, covariance, numbers};
use super::matrix::{Covariance, Factor};
use super::{Density, LN_TWO_PI, ZeroDensity, check_numbers, draw};
use crate::error::Result;
use crate::random::Sequence;
use serde::Serialize;

/// N(mean, covariance) on R^d.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gaussian {
    mean: Vec<f64>,
    covariance: Covariance,
    #[serde(skip)]
    factor: Factor,
    /// ln p at the mean.
    #[serde(skip)]
    ln_peak: f64,
}

impl Gaussian {
    pub(super) const FIELDS: &'static [&'static str] = &["mean", "covariance"];

    pub(super) fn read(fields: &Fields) -> Result<Self> {
        Self::new(fields.get("mean", numbers)?, fields.get("covariance", covariance)?)
    }

    /// The distribution of a mean `(d)` and a covariance `(d, d)`.
    ///
    /// # Errors
    /// If a number is not finite, the dimensions differ, or the covariance is not symmetric and positive definite.
    pub fn new(mean: Vec<f64>, covariance: impl Into<Covariance>) -> Result<Self> {
        Self::named(mean, covariance.into(), ["mean", "covariance"])
    }

    /// A Gaussian whose fields have these names in messages.
    pub(super) fn named(
        mean: Vec<f64>,
        covariance: Covariance,
        [mean_name, covariance_name]: [&str; 2],
    ) -> Result<Self> {
        let d = mean.len();
        check_numbers(mean_name, &mean, d)?;
        let factor = Factor::new(&covariance, d, covariance_name)?;
        let ln_peak = -factor.half_ln_determinant(d) - 0.5 * d as f64 * LN_TWO_PI;
        Ok(Self { mean, covariance, factor, ln_peak })
    }

    /// The mean `(d)`.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The covariance.
    pub fn covariance(&self) -> &Covariance {
        &self.covariance
    }

    /// ln p(x) with the score.
    pub(super) fn both(&self, x: &[f64], score: &mut [f64]) -> f64 {
        let ln_density = self.whitened(x, score);
        self.factor.whiten_transposed(score);
        ln_density
    }

    /// ln p(x), leaving L^-1 (mean - x) in a scratch vector.
    pub(super) fn whitened(&self, x: &[f64], scratch: &mut [f64]) -> f64 {
        for ((out, mean), x) in scratch.iter_mut().zip(&self.mean).zip(x) {
            *out = mean - x;
        }
        self.factor.whiten(scratch);
        self.ln_peak - 0.5 * scratch.iter().map(|v| v * v).sum::<f64>()
    }

    /// One draw.
    pub(super) fn draw(&self, random: &mut Sequence, out: &mut [f64]) {
        draw::normals(random, out);
        self.factor.colour(out);
        out.iter_mut().zip(&self.mean).for_each(|(out, mean)| *out += mean);
    }
}

impl Density for Gaussian {
    fn dimension(&self) -> usize {
        self.mean.len()
    }

    fn score(&self, x: &[f64], out: &mut [f64]) -> std::result::Result<(), ZeroDensity> {
        self.both(x, out);
        Ok(())
    }

    fn ln_density(&self, x: &[f64]) -> Option<f64> {
        Some(self.whitened(x, &mut vec![0.0; x.len()]))
    }

    fn sample(&self, n: usize, random: &mut Sequence) -> Option<Vec<f64>> {
        let mut points = vec![0.0; n * self.dimension()];
        points.chunks_mut(self.dimension()).for_each(|point| self.draw(random, point));
        Some(points)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{self, Moments};
    use super::*;

    fn model() -> Gaussian {
        let covariance = vec![vec![4.0, 2.0, -1.0], vec![2.0, 3.0, 0.5], vec![-1.0, 0.5, 2.0]];
        Gaussian::new(vec![1.0, -2.0, 0.5], covariance).expect("a model")
    }

    #[test]
    fn the_density_is_the_closed_form() {
        // The standard normal at 1; then C = [[2, 1], [1, 2]] with det C = 3, C^-1 = [[2, -1], [-1, 2]] / 3, and
        // r = (1, 2), so r'C^-1 r = (2 - 4 + 8) / 3 = 2.
        let normal = Gaussian::new(vec![0.0], vec![1.0]).expect("a model");
        assert!((normal.ln_density(&[1.0]).expect("known") + 0.5 + 0.5 * LN_TWO_PI).abs() < 1e-15);
        let pair = Gaussian::new(vec![1.0, 1.0], vec![vec![2.0, 1.0], vec![1.0, 2.0]]).expect("a model");
        let expected = -1.0 - 0.5 * 3f64.ln() - LN_TWO_PI;
        assert!((pair.ln_density(&[2.0, 3.0]).expect("known") - expected).abs() < 1e-15);
        let mut score = [f64::NAN; 2];
        pair.score(&[2.0, 3.0], &mut score).expect("a score");
        assert!(score[0].abs() < 1e-15 && (score[1] + 1.0).abs() < 1e-15, "{score:?}");
    }

    #[test]
    fn the_score_is_the_gradient_and_has_mean_zero() {
        let diagonal = Gaussian::new(vec![3.0, -1.0], vec![0.25, 9.0]).expect("a model");
        for density in [&diagonal as &dyn Density, &model()] {
            check::gradient(density);
            check::stein(density);
        }
        check::integral(&Gaussian::new(vec![0.5], vec![2.0]).expect("a model"));
    }

    #[test]
    fn draws_have_its_moments() {
        let model = model();
        let moments = Moments::of(&model);
        for i in 0..3 {
            moments.mean_is(i, model.mean[i]);
            for j in 0..3 {
                moments.covariance_is(i, j, model.covariance.entry(i, j));
            }
        }
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let problem = |mean: &[f64], covariance: Covariance| {
            Gaussian::new(mean.to_vec(), covariance).expect_err("wrong").to_string()
        };
        let two = || Covariance::Diagonal(vec![1.0, 1.0]);
        assert!(problem(&[], two()).contains("`mean` is empty"));
        assert!(problem(&[0.0], two()).contains("`covariance` has 2 numbers, but the model needs 1"));
        assert!(problem(&[0.0, f64::INFINITY], two()).contains("`mean[1]` is inf; give a finite number"));
    }
}
