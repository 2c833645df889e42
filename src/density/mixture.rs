//! A mixture of normal distributions:
//!
//! ```text
//! p(x)   = sum_k w_k N(x; mean_k, C_k)
//! s(x)   = sum_k r_k(x) s_k(x),  r_k(x) = w_k N(x; mean_k, C_k) / p(x)
//! ```
//!
//! The weights r come from logarithms, so the score is right far from all components, where p underflows.

use super::fields::{Fields, covariance, list, numbers};
use super::matrix::Covariance;
use super::{Density, Gaussian, ZeroDensity, check_positive, draw, ln_sum_exp};
use crate::error::{Error, Result};
use crate::random::Sequence;
use serde::{Serialize, Serializer};

/// How far the sum of the weights may be from 1; weights are divided by their sum.
const WEIGHTS: f64 = 1e-6;

/// A mixture of K normal distributions on R^d.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianMixture {
    weights: Vec<f64>,
    components: Vec<Gaussian>,
    ln_weights: Vec<f64>,
}

impl GaussianMixture {
    pub(super) const FIELDS: &'static [&'static str] = &["weights", "means", "covariances"];

    pub(super) fn read(fields: &Fields) -> Result<Self> {
        let means = fields.get("means", |value, name| list(value, name, numbers))?;
        let covariances = fields.get("covariances", |value, name| list(value, name, covariance))?;
        Self::new(fields.get("weights", numbers)?, means, covariances)
    }

    /// The mixture with weights `(K)`, means `(K, d)` and covariances `(K, d, d)`.
    ///
    /// # Errors
    /// If the numbers of components or the dimensions differ, a weight is not positive, the weights do not sum to
    /// 1 within 1e-6, or a covariance is not symmetric and positive definite.
    pub fn new(weights: Vec<f64>, means: Vec<Vec<f64>>, covariances: Vec<Covariance>) -> Result<Self> {
        let count = weights.len();
        if count == 0 || means.len() != count || covariances.len() != count {
            return Err(Error::usage(format!(
                "`weights` has {count} entries, `means` {} and `covariances` {}; give one of each for every \
                 component, and at least one component",
                means.len(),
                covariances.len()
            )));
        }
        check_positive("weights", &weights, count)?;
        let total: f64 = weights.iter().sum();
        if (total - 1.0).abs() > WEIGHTS {
            return Err(Error::usage(format!("the sum of `weights` is {total}; give weights that sum to 1")));
        }
        let d = means[0].len();
        let components = means.into_iter().zip(covariances).enumerate().map(|(k, (mean, covariance))| {
            if mean.len() != d {
                return Err(Error::usage(format!(
                    "`means[{k}]` has {} numbers, but `means[0]` has {d}; give means of one dimension",
                    mean.len()
                )));
            }
            Gaussian::named(mean, covariance, [&format!("means[{k}]"), &format!("covariances[{k}]")])
        });
        let components = components.collect::<Result<_>>()?;
        let ln_weights = weights.iter().map(|weight| (weight / total).ln()).collect();
        Ok(Self { weights, components, ln_weights })
    }

    /// The weights `(K)`, as they were given.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The K components.
    pub fn components(&self) -> &[Gaussian] {
        &self.components
    }
}

impl Serialize for GaussianMixture {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            weights: &'a [f64],
            means: Vec<&'a [f64]>,
            covariances: Vec<&'a Covariance>,
        }
        let means = self.components.iter().map(Gaussian::mean).collect();
        let covariances = self.components.iter().map(Gaussian::covariance).collect();
        Written { weights: &self.weights, means, covariances }.serialize(serializer)
    }
}

impl Density for GaussianMixture {
    fn dimension(&self) -> usize {
        self.components[0].dimension()
    }

    fn score(&self, x: &[f64], out: &mut [f64]) -> std::result::Result<(), ZeroDensity> {
        let d = x.len();
        let mut scores = vec![0.0; self.components.len() * d];
        let parts = self.components.iter().zip(scores.chunks_mut(d)).zip(&self.ln_weights);
        let parts: Vec<f64> = parts.map(|((component, score), w)| w + component.both(x, score)).collect();
        let total = ln_sum_exp(&parts);
        out.fill(0.0);
        for (part, score) in parts.iter().zip(scores.chunks(d)) {
            let responsibility = (part - total).exp();
            out.iter_mut().zip(score).for_each(|(out, score)| *out += responsibility * score);
        }
        Ok(())
    }

    fn ln_density(&self, x: &[f64]) -> Option<f64> {
        let mut scratch = vec![0.0; x.len()];
        let parts = self.components.iter().zip(&self.ln_weights);
        Some(ln_sum_exp(&parts.map(|(c, w)| w + c.whitened(x, &mut scratch)).collect::<Vec<_>>()))
    }

    fn sample(&self, n: usize, random: &mut Sequence) -> Option<Vec<f64>> {
        let mut points = vec![0.0; n * self.dimension()];
        for point in points.chunks_mut(self.dimension()) {
            let mut left = draw::uniform(random);
            let chosen = self.ln_weights.iter().position(|w| {
                left -= w.exp();
                left < 0.0
            });
            // Rounding may leave a little beyond the last weight.
            self.components[chosen.unwrap_or(self.components.len() - 1)].draw(random, point);
        }
        Some(points)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{self, Moments};
    use super::*;

    fn full(rows: &[[f64; 2]]) -> Covariance {
        Covariance::Full(rows.iter().map(|row| row.to_vec()).collect())
    }

    fn model() -> GaussianMixture {
        let means = vec![vec![-2.0, 0.0], vec![2.0, 1.0], vec![0.0, 4.0]];
        let covariances = vec![
            full(&[[1.0, 0.6], [0.6, 1.0]]),
            Covariance::Diagonal(vec![0.5, 2.0]),
            full(&[[2.0, -1.0], [-1.0, 1.0]]),
        ];
        GaussianMixture::new(vec![0.2, 0.5, 0.3], means, covariances).expect("a model")
    }

    fn line(weights: [f64; 2], means: [f64; 2], variances: [f64; 2]) -> GaussianMixture {
        let means = means.map(|mean| vec![mean]).to_vec();
        let variances = variances.map(|variance| Covariance::Diagonal(vec![variance])).to_vec();
        GaussianMixture::new(weights.to_vec(), means, variances).expect("a model")
    }

    #[test]
    fn the_score_is_the_gradient_and_has_mean_zero() {
        let line = line([0.3, 0.7], [-1.0, 3.0], [0.5, 2.0]);
        for density in [&line as &dyn Density, &model()] {
            check::gradient(density);
            check::stein(density);
        }
        check::integral(&line);
    }

    #[test]
    fn one_component_is_the_gaussian() {
        let covariance = full(&[[2.0, 1.0], [1.0, 2.0]]);
        let gaussian = Gaussian::new(vec![1.0, -1.0], covariance.clone()).expect("a model");
        let mixture =
            GaussianMixture::new(vec![1.0], vec![vec![1.0, -1.0]], vec![covariance]).expect("a model");
        for x in [[0.0, 0.0], [3.0, -7.0], [-100.0, 50.0]] {
            assert_eq!(mixture.ln_density(&x), gaussian.ln_density(&x));
            let (mut a, mut b) = ([f64::NAN; 2], [f64::NAN; 2]);
            mixture.score(&x, &mut a).expect("a score");
            gaussian.score(&x, &mut b).expect("a score");
            assert_eq!(a, b, "at {x:?}");
        }
    }

    /// Two components at -m and m with variance 1 and weights 1/2 have the score m tanh(m x) - x.
    #[test]
    fn the_score_of_two_components_is_the_closed_form() {
        let (m, mut score) = (3.0, [f64::NAN]);
        let mixture = line([0.5, 0.5], [-m, m], [1.0, 1.0]);
        // The last point's density is e^(-2 10^9): it underflows.
        for x in [0.0, 0.1, -1.0, 2.5, 7e4] {
            mixture.score(&[x], &mut score).expect("a score");
            let expected = m * f64::tanh(m * x) - x;
            assert!(
                (score[0] - expected).abs() <= 1e-13 * (1.0 + x.abs()),
                "at {x}: {score:?}, not {expected}"
            );
        }
    }

    /// Mean sum w m; covariance sum w (C + m m') - mean mean'.
    #[test]
    fn draws_have_its_moments() {
        let model = model();
        let parts = || model.weights.iter().zip(&model.components);
        let mean: Vec<f64> = (0..2).map(|i| parts().map(|(w, c)| w * c.mean()[i]).sum()).collect();
        let moments = Moments::of(&model);
        for i in 0..2 {
            moments.mean_is(i, mean[i]);
            for j in 0..2 {
                let second: f64 =
                    parts().map(|(w, c)| w * (c.covariance().entry(i, j) + c.mean()[i] * c.mean()[j])).sum();
                moments.covariance_is(i, j, second - mean[i] * mean[j]);
            }
        }
    }

    #[test]
    fn weights_are_divided_by_their_sum() {
        let near = line([0.5, 0.5 + 8e-7], [0.0, 0.0], [1.0, 1.0]);
        let ln_density = near.ln_density(&[0.0]).expect("known");
        assert!((ln_density + 0.5 * super::super::LN_TWO_PI).abs() < 1e-15, "{ln_density}");
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let unit = |d: usize| Covariance::Diagonal(vec![1.0; d]);
        let (a, b) = (|| vec![0.0, 0.0], || vec![1.0, 1.0]);
        for (weights, means, covariances, words) in [
            (vec![], vec![], vec![], "at least one component"),
            (
                vec![1.0],
                vec![a(), b()],
                vec![unit(2)],
                "`weights` has 1 entries, `means` 2 and `covariances` 1",
            ),
            (vec![0.5, 0.4], vec![a(), b()], vec![unit(2), unit(2)], "the sum of `weights` is 0.9"),
            (
                vec![1.5, -0.5],
                vec![a(), b()],
                vec![unit(2), unit(2)],
                "`weights[1]` is -0.5; give a positive",
            ),
            (vec![0.5, 0.5], vec![a(), vec![1.0]], vec![unit(2), unit(2)], "`means[1]` has 1 numbers"),
            (vec![0.5, 0.5], vec![a(), b()], vec![unit(2), unit(3)], "`covariances[1]` has 3 numbers"),
            (
                vec![0.5, 0.5],
                vec![a(), b()],
                vec![unit(2), full(&[[1.0, 2.0], [2.0, 1.0]])],
                "`covariances[1]` is not positive definite",
            ),
        ] {
            let problem = GaussianMixture::new(weights, means, covariances).expect_err("wrong").to_string();
            assert!(problem.contains(words), "{problem}");
        }
    }
}
