//! The multivariate t distribution with nu degrees of freedom:
//!
//! ```text
//! ln p(x) = lnG((nu + d)/2) - lnG(nu/2) - d/2 ln(nu pi) - 1/2 ln det C - (nu + d)/2 ln(1 + q/nu)
//! s(x)    = -(nu + d)/(nu + q) C^-1 r,  r = x - location,  q = r'C^-1 r
//! ```
//!
//! with the scale matrix C, which is not the covariance: that is nu/(nu - 2) C for nu > 2 (Kotz and Nadarajah,
//! "Multivariate t distributions and their applications", 2004). Coordinates are dependent even where C is diagonal.

use super::fields::{Fields, covariance, number, numbers};
use super::matrix::{Covariance, Factor};
use super::{Density, ZeroDensity, check_numbers, draw};
use crate::error::{Error, Result};
use crate::random::Sequence;
use serde::Serialize;

/// The multivariate t distribution on R^d.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StudentT {
    location: Vec<f64>,
    scale: Covariance,
    degrees_of_freedom: f64,
    #[serde(skip)]
    factor: Factor,
    /// ln p at the location.
    #[serde(skip)]
    ln_peak: f64,
}

impl StudentT {
    pub(super) const FIELDS: &'static [&'static str] = &["location", "scale", "degrees-of-freedom"];

    pub(super) fn read(fields: &Fields) -> Result<Self> {
        let (location, scale) = (fields.get("location", numbers)?, fields.get("scale", covariance)?);
        Self::new(location, scale, fields.get("degrees-of-freedom", number)?)
    }

    /// The distribution with a location `(d)`, a scale matrix `(d, d)` and its degrees of freedom.
    ///
    /// # Errors
    /// If a number is not finite, the dimensions differ, the matrix is not symmetric and positive definite, or the
    /// degrees of freedom are not positive.
    pub fn new(location: Vec<f64>, scale: impl Into<Covariance>, degrees_of_freedom: f64) -> Result<Self> {
        let (scale, d, nu) = (scale.into(), location.len(), degrees_of_freedom);
        check_numbers("location", &location, d)?;
        let factor = Factor::new(&scale, d, "scale")?;
        if !(nu > 0.0 && nu.is_finite()) {
            return Err(Error::usage(format!("`degrees-of-freedom` is {nu}; give a positive number")));
        }
        let half = 0.5 * d as f64;
        let ln_peak = libm::lgamma(0.5 * nu + half)
            - libm::lgamma(0.5 * nu)
            - half * (nu * std::f64::consts::PI).ln()
            - factor.half_ln_determinant(d);
        Ok(Self { location, scale, degrees_of_freedom, factor, ln_peak })
    }

    /// L^-1 (location - x) in `out`, and the sum of its squares q.
    fn whitened(&self, x: &[f64], out: &mut [f64]) -> f64 {
        for ((out, location), x) in out.iter_mut().zip(&self.location).zip(x) {
            *out = location - x;
        }
        self.factor.whiten(out);
        out.iter().map(|v| v * v).sum()
    }

    /// nu + d.
    fn total(&self) -> f64 {
        self.degrees_of_freedom + self.location.len() as f64
    }
}

impl Density for StudentT {
    fn dimension(&self) -> usize {
        self.location.len()
    }

    fn score(&self, x: &[f64], out: &mut [f64]) -> std::result::Result<(), ZeroDensity> {
        let q = self.whitened(x, out);
        self.factor.whiten_transposed(out);
        let scale = self.total() / (self.degrees_of_freedom + q);
        out.iter_mut().for_each(|out| *out *= scale);
        Ok(())
    }

    fn ln_density(&self, x: &[f64]) -> Option<f64> {
        let q = self.whitened(x, &mut vec![0.0; x.len()]);
        Some(self.ln_peak - 0.5 * self.total() * (q / self.degrees_of_freedom).ln_1p())
    }

    /// location + L z sqrt(nu / chi^2), with chi^2 of nu degrees of freedom twice a gamma variate of shape nu/2.
    fn sample(&self, n: usize, random: &mut Sequence) -> Option<Vec<f64>> {
        let mut points = vec![0.0; n * self.dimension()];
        for point in points.chunks_mut(self.dimension()) {
            draw::normals(random, point);
            self.factor.colour(point);
            let half = 0.5 * self.degrees_of_freedom;
            let stretch = (0.5 * (half.ln() - draw::ln_gamma_variate(half, random))).exp();
            point.iter_mut().zip(&self.location).for_each(|(x, location)| *x = location + stretch * *x);
        }
        Some(points)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{self, Moments};
    use super::*;
    use crate::density::Gaussian;

    fn model() -> StudentT {
        let scale = vec![vec![2.0, 1.0], vec![1.0, 3.0]];
        StudentT::new(vec![1.0, -1.0], scale, 9.0).expect("a model")
    }

    #[test]
    fn the_density_is_the_closed_form() {
        // One degree of freedom is Cauchy's distribution; in the plane its density is 1 / (2 pi (1 + q)^1.5).
        let cauchy = StudentT::new(vec![0.0], vec![1.0], 1.0).expect("a model");
        let plane = StudentT::new(vec![0.0, 0.0], vec![1.0, 1.0], 1.0).expect("a model");
        for x in [0.0, 1.0, -30.0] {
            let expected = -(std::f64::consts::PI * (1.0 + x * x)).ln();
            assert!((cauchy.ln_density(&[x]).expect("known") - expected).abs() < 1e-14, "at {x}");
            let expected = -super::super::LN_TWO_PI - 1.5 * (1.0 + 2.0 * x * x).ln();
            assert!((plane.ln_density(&[x, -x]).expect("known") - expected).abs() < 1e-14, "at {x}, -{x}");
        }
    }

    /// The logarithms differ by (q^2 - 2 d q + d (d - 2)) / (4 nu), below 1e-6 for q up to 20 and nu = 10^8; the
    /// difference of two lgamma around 10^9 rounds to about 1e-7.
    #[test]
    fn many_degrees_of_freedom_are_the_gaussian() {
        let scale = vec![vec![2.0, 1.0], vec![1.0, 3.0]];
        let t = StudentT::new(vec![1.0, -1.0], scale.clone(), 1e8).expect("a model");
        let gaussian = Gaussian::new(vec![1.0, -1.0], scale).expect("a model");
        for x in [[0.0, 0.0], [3.0, -4.0]] {
            let difference = t.ln_density(&x).expect("known") - gaussian.ln_density(&x).expect("known");
            assert!(difference.abs() < 2e-6, "at {x:?}: {difference}");
        }
    }

    #[test]
    fn the_score_is_the_gradient_and_has_mean_zero() {
        let line = StudentT::new(vec![2.0], vec![0.5], 7.0).expect("a model");
        let space = StudentT::new(vec![0.0, 1.0, 2.0], vec![1.0, 4.0, 0.25], 12.0).expect("a model");
        for density in [&line as &dyn Density, &model(), &space] {
            check::gradient(density);
            check::stein(density);
        }
        // Nine degrees of freedom leave 1e-10 beyond the interval's ends.
        check::integral(&StudentT::new(vec![0.5], vec![1.0], 9.0).expect("a model"));
    }

    #[test]
    fn draws_have_its_moments() {
        let (model, moments) = (model(), Moments::of(&model()));
        for i in 0..2 {
            moments.mean_is(i, model.location[i]);
            for j in 0..2 {
                moments.covariance_is(i, j, 9.0 / 7.0 * model.scale.entry(i, j));
            }
        }
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let problem = |location: &[f64], scale: &[f64], nu: f64| {
            StudentT::new(location.to_vec(), scale.to_vec(), nu).expect_err("wrong").to_string()
        };
        assert!(problem(&[0.0], &[1.0], 0.0).contains("`degrees-of-freedom` is 0; give a positive number"));
        assert!(problem(&[0.0], &[1.0, 2.0], 3.0).contains("`scale` has 2 numbers, but the model needs 1"));
        assert!(problem(&[], &[], 3.0).contains("`location` is empty"));
    }
}
