//! ln p(x) by importance sampling: how good is the bound?
//!
//! ```text
//! ln p(x) ~ ln 1/K sum_k w_k        w_k = p(x|z_k) p(z_k) / q(z_k|x),   z_k ~ q(z|x)
//! gap     = ln p(x) - ELBO = KL(q(z|x), p(z|x))
//! ```
//!
//! The ELBO is taken from the same samples, 1/K sum_k ln w_k, so that the estimated gap is never below 0. The
//! estimate of ln p(x) is a lower bound on average, too low by about (1/ESS - 1/K) / 2, where ESS = (sum w)^2 /
//! sum w^2 is the effective number of samples of an image.
//! Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders" (2016); Rezende et al. (2014), appendix E.

use super::session::Session;
use crate::error::Result;
use serde::Serialize;

/// The estimate for the test images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ImportanceEstimate {
    /// K, samples of z an image.
    pub importance_samples: usize,
    /// Mean ln p(x) in nats.
    pub log_likelihood: f64,
    /// Its standard error by the sampling of z, over these images.
    pub standard_error: f64,
    /// Its standard error by the choice of the images.
    pub standard_error_of_images: f64,
    /// Mean ELBO of the same samples.
    pub elbo: f64,
    /// `log_likelihood - elbo` = KL(q(z|x) || p(z|x)).
    pub gap: f64,
    /// Mean effective number of samples an image.
    pub effective_samples: f64,
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
}

/// Estimates the mean ln p(x) of the test images from `samples` draws of z each; `progress` hears how many are done.
pub fn log_likelihood(
    session: &mut Session,
    samples: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<ImportanceEstimate> {
    let mut images: Vec<ImportanceWeights> = Vec::new();
    for k in 0..samples {
        let logs = session.log_weights(k as u32)?;
        images.resize(logs.len(), ImportanceWeights::default());
        images.iter_mut().zip(&logs).for_each(|(weights, &log)| weights.add(log));
        progress(k + 1);
    }
    let (n, k) = (images.len() as f64, samples as f64);
    let mean = |of: &dyn Fn(&ImportanceWeights) -> f64| images.iter().map(of).sum::<f64>() / n;
    let log_p = |w: &ImportanceWeights| w.largest + (w.sum / k).ln();
    let effective = |w: &ImportanceWeights| w.sum * w.sum / w.squares;
    let (log_likelihood, elbo) = (mean(&log_p), mean(&|w| w.logs / k));
    // The variance of ln of a mean of K weights is about (E w^2 / (E w)^2 - 1) / K = 1 / ESS - 1 / K.
    let variance = mean(&|w| effective(w).recip() - k.recip());
    let scatter = mean(&|w| (log_p(w) - log_likelihood).powi(2));
    Ok(ImportanceEstimate {
        importance_samples: samples,
        log_likelihood,
        standard_error: (variance.max(0.0) / n).sqrt(),
        standard_error_of_images: (scatter / n).sqrt(),
        elbo,
        gap: log_likelihood - elbo,
        effective_samples: mean(&effective),
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
