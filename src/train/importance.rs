//! ln p(x) by importance sampling: how good is the bound?
//!
//! ```text
//! ln p(x) ~ ln 1/K sum_k w_k        w_k = p(x|z_k) p(z_k) / q(z_k|x),   z_k ~ q(z|x)
//! gap     = ln p(x) - ELBO = KL(q(z|x), p(z|x))
//! ```
//!
//! The ELBO is taken from the same samples, 1/K sum_k ln w_k, so that the estimated gap is never below 0. The
//! estimate of ln p(x) is a lower bound on average, and so is the gap. By how much it is too low is not known from the
//! samples alone: values for K/4, K/2 and K of the same samples show whether it still rises, and ESS = (sum w)^2 /
//! sum w^2, the effective number of samples of an image, whether one sample rules the sum.
//! Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders" (2016); Rezende et al. (2014), appendix E.
//! [`super::annealed`] has a better bound.

use super::annealed::jackknife;
use super::session::Session;
use crate::error::Result;
use serde::Serialize;

/// The estimate for the test images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImportanceEstimate {
    /// K, samples of z an image.
    pub importance_samples: usize,
    /// Mean ln 1/K sum_k w_k in nats: on average at most ln p(x).
    pub log_likelihood: f64,
    /// Its standard error by the sampling of z, these images given: the jackknife over [`BATCHES`] batches of samples, or
    /// fewer where K is. Null for one sample. It says nothing of how much the bound is too low.
    pub standard_error: Option<f64>,
    /// Its standard error by the choice of the images.
    pub standard_error_of_images: f64,
    /// The same from the first quarter and half of the samples, and from all.
    pub nested: Vec<Nested>,
    /// Mean ELBO of the same samples.
    pub elbo: f64,
    /// `log_likelihood - elbo`: on average at most KL(q(z|x) || p(z|x)).
    pub gap: f64,
    /// Mean effective number of samples an image.
    pub effective_samples: f64,
    /// Share of images whose effective number of samples is below [`FEW`].
    pub images_with_few_effective_samples: f64,
    /// ln 1/K sum_k w_k of each image.
    #[serde(skip)]
    pub of_images: Vec<f64>,
}

/// The estimate from the first samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Nested {
    /// How many.
    pub importance_samples: usize,
    /// Mean in nats.
    pub log_likelihood: f64,
}

/// Batches of samples that a standard error is found from: a quarter and a half of the samples are whole batches.
pub const BATCHES: usize = 16;

/// An effective number of samples with which one sample as good as decides.
pub const FEW: f64 = 3.0;

/// A share of images with few effective samples above which an estimate is warned of.
const MANY_IMAGES: f64 = 0.1;

/// What the last doubling of the samples may add, in nats, before an estimate is warned of.
const RISING: f64 = 0.1;

impl ImportanceEstimate {
    /// What should be said beside the number.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let advice = "raise --importance-samples, or use --ais";
        if self.images_with_few_effective_samples > MANY_IMAGES {
            warnings.push(format!(
                "{:.0} % of the images have an effective number of samples below {FEW}, so that one or two decide: ln p(x) may \
                 be nats above this bound; {advice}",
                100.0 * self.images_with_few_effective_samples
            ));
        }
        if let [.., half, all] = self.nested[..] {
            let risen = all.log_likelihood - half.log_likelihood;
            if risen > RISING {
                warnings.push(format!(
                    "the bound still rises, by {risen:.2} nats from {} to {} samples; {advice}",
                    half.importance_samples, all.importance_samples
                ));
            }
        }
        warnings
    }
}

/// The weights of one image's samples so far, in logarithms.
#[derive(Clone, Copy, Debug)]
struct ImportanceWeights {
    largest: f64,
    /// Sums of w and w^2, relative to the largest.
    sum: f64,
    squares: f64,
    /// Sum of ln w.
    logs: f64,
}

impl Default for ImportanceWeights {
    fn default() -> Self {
        Self { largest: f64::NEG_INFINITY, sum: 0.0, squares: 0.0, logs: 0.0 }
    }
}

impl ImportanceWeights {
    fn add(&mut self, log: f64) {
        self.logs += log;
        if log > self.largest {
            let shrink = (self.largest - log).exp();
            (self.sum, self.squares) = (self.sum * shrink, self.squares * shrink * shrink);
            self.largest = log;
        }
        let weight = (log - self.largest).exp();
        self.sum += weight;
        self.squares += weight * weight;
    }

    /// ln of the mean of `count` weights.
    fn log_mean(&self, count: f64) -> f64 {
        self.largest + (self.sum / count).ln()
    }
}

/// Estimates the mean ln p(x) of the test images from `samples` draws of z each; `progress` hears how many are done.
pub fn log_likelihood(
    session: &mut Session,
    samples: usize,
    progress: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<ImportanceEstimate> {
    let batches = BATCHES.min(samples);
    // Where each batch begins, and where the last ends.
    let bounds: Vec<usize> = (0..=batches).map(|batch| samples * batch / batches).collect();
    let mut images: Vec<ImportanceWeights> = Vec::new();
    // Of each image, ln of the mean weight of each batch.
    let mut means: Vec<Vec<f64>> = Vec::new();
    // The first quarter and half of the samples are whole batches, up to the rounding of these.
    let parts: Vec<usize> = [4, 2, 1].map(|part| bounds[batches / part]).into();
    let mut nested = Vec::new();
    for bounds in bounds.windows(2) {
        let mut batch: Vec<ImportanceWeights> = Vec::new();
        for k in bounds[0]..bounds[1] {
            let logs = session.log_weights(k as u32)?;
            images.resize(logs.len(), ImportanceWeights::default());
            batch.resize(logs.len(), ImportanceWeights::default());
            for (weights, &log) in images.iter_mut().chain(&mut batch).zip(logs.iter().cycle()) {
                weights.add(log);
            }
            progress(k + 1)?;
        }
        means.resize(batch.len(), Vec::new());
        if parts.contains(&bounds[1]) {
            let count = bounds[1] as f64;
            let log_likelihood =
                images.iter().map(|weights| weights.log_mean(count)).sum::<f64>() / images.len() as f64;
            nested.push(Nested { importance_samples: bounds[1], log_likelihood });
        }
        let count = (bounds[1] - bounds[0]) as f64;
        means.iter_mut().zip(&batch).for_each(|(means, weights)| means.push(weights.log_mean(count)));
    }
    let (n, k) = (images.len() as f64, samples as f64);
    let mean = |of: &dyn Fn(&ImportanceWeights) -> f64| images.iter().map(of).sum::<f64>() / n;
    let log_p = |w: &ImportanceWeights| w.log_mean(k);
    let effective = |w: &ImportanceWeights| w.sum * w.sum / w.squares;
    let (log_likelihood, elbo) = (mean(&log_p), mean(&|w| w.logs / k));
    let scatter = mean(&|w| (log_p(w) - log_likelihood).powi(2));
    Ok(ImportanceEstimate {
        importance_samples: samples,
        log_likelihood,
        standard_error: jackknife(&means, batches),
        standard_error_of_images: (scatter / n).sqrt(),
        nested,
        elbo,
        gap: log_likelihood - elbo,
        effective_samples: mean(&effective),
        images_with_few_effective_samples: mean(&|w| f64::from(u8::from(effective(w) < FEW))),
        of_images: images.iter().map(log_p).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_added_without_overflow() {
        let logs = [-1000.0, -998.0, -999.5, -1003.0];
        let mut weights = ImportanceWeights::default();
        logs.iter().for_each(|&log| weights.add(log));
        let plain: Vec<f64> = logs.iter().map(|log| (log + 998.0f64).exp()).collect();
        let (sum, squares) = (plain.iter().sum::<f64>(), plain.iter().map(|w| w * w).sum::<f64>());
        assert_eq!(weights.largest, -998.0);
        assert!((weights.sum - sum).abs() < 1e-12 && (weights.squares - squares).abs() < 1e-12);
        assert_eq!(weights.logs, logs.iter().sum::<f64>());
    }
}
