//! The mutual information gap from pointwise information, with its standard error.
//!
//! ```text
//! I_kj       = mean over images i of p_kj(i), information that latent j has of factor k: (f, m)
//! H_k        = mean over i of h_k(i), entropy of the factor; h_k(i) = -ln p(v_k(i)): (f)
//! gap_k      = (I_ka - I_kb) / H_k with a, b the two latents of most information
//! MIG        = mean over k of gap_k
//! influence  = ((p_ka - p_kb) - gap_k h_k) / H_k of image i, of mean 0
//! ```
//!
//! Chen, Li, Grosse, Duvenaud, "Isolating sources of disentanglement in variational autoencoders", NeurIPS
//! 2018, section 4.1. The influence is the derivative of a plug-in estimate by the weight of an image; that a
//! and b may change places is not in it, so errors are too large where the gap is near 0, and the gap itself,
//! never negative, is biased upwards there.

use super::{MeasureValue, largest, two_largest};

/// The part of a factor's entropy that a latent tells at least, to be named after it.
pub const LEAST_TOLD: f64 = 0.1;

/// Mutual information of factors and latents, and its gaps.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaps {
    /// Names of the factors.
    pub factors: Vec<String>,
    /// I in nats: `(f, m)`.
    pub information: Vec<f64>,
    /// H in nats: `(f)`.
    pub entropies: Vec<f64>,
    /// Gap of each factor, between 0 and 1 but for rounding and sampling: `(f)`.
    pub gaps: Vec<f64>,
    /// The latent of most information of each factor: `(f)`.
    pub best: Vec<usize>,
    /// Images that it is from.
    pub images: usize,
    /// Covariance over images of the influences: `(f, f)`.
    covariance: Vec<f64>,
}

impl Gaps {
    /// Gaps of `information` `(f, m)`; `pointwise(i, k, j)` is p and `surprisal(i, k)` is h.
    pub(super) fn new(
        factors: Vec<String>,
        information: Vec<f64>,
        entropies: Vec<f64>,
        images: usize,
        pointwise: impl Fn(usize, usize, usize) -> f64,
        surprisal: impl Fn(usize, usize) -> f64,
    ) -> Self {
        let (f, m) = (factors.len(), information.len() / factors.len());
        let tops: Vec<[usize; 2]> = information.chunks(m).map(two_largest).collect();
        let gap =
            |k: usize| (information[k * m + tops[k][0]] - information[k * m + tops[k][1]]) / entropies[k];
        let gaps: Vec<f64> = (0..f).map(gap).collect();
        let mut covariance = vec![0.0; f * f];
        let mut influence = vec![0.0; f];
        for i in 0..images {
            for (k, influence) in influence.iter_mut().enumerate() {
                let difference = pointwise(i, k, tops[k][0]) - pointwise(i, k, tops[k][1]);
                *influence = (difference - gaps[k] * surprisal(i, k)) / entropies[k];
            }
            for (k, row) in covariance.chunks_mut(f).enumerate() {
                row.iter_mut().zip(&influence).for_each(|(sum, other)| *sum += influence[k] * other);
            }
        }
        covariance.iter_mut().for_each(|sum| *sum /= images as f64);
        let best = tops.iter().map(|top| top[0]).collect();
        Self { factors, information, entropies, gaps, best, images, covariance }
    }

    /// The factor of which each latent tells the largest part, of those of which it tells at least
    /// [`LEAST_TOLD`]: `(m)`.
    pub fn tells(&self) -> Vec<Option<String>> {
        let (f, m) = (self.factors.len(), self.information.len() / self.factors.len());
        let part = |k: usize, j: usize| self.information[k * m + j] / self.entropies[k];
        let best = |j: usize| {
            let k = largest((0..f).map(|k| part(k, j)));
            (part(k, j) >= LEAST_TOLD).then(|| self.factors[k].clone())
        };
        (0..m).map(best).collect()
    }

    /// MIG: the mean over all factors.
    pub fn mean(&self) -> MeasureValue {
        self.mean_without::<&str>(&[]).unwrap_or(MeasureValue { value: f64::NAN, error: None })
    }

    /// MIG over all factors but those named, None if none is left. Chen et al. leave out `shape`, which has
    /// no order.
    pub fn mean_without<S: AsRef<str>>(&self, names: &[S]) -> Option<MeasureValue> {
        let left_out = |name: &String| names.iter().any(|other| other.as_ref() == name);
        let f = self.factors.len();
        let kept: Vec<usize> = (0..f).filter(|&k| !left_out(&self.factors[k])).collect();
        let count = kept.len() as f64;
        let value = kept.iter().map(|&k| self.gaps[k]).sum::<f64>() / count;
        let sum: f64 = kept.iter().flat_map(|&k| kept.iter().map(move |&l| self.covariance[k * f + l])).sum();
        (!kept.is_empty()).then(|| MeasureValue::over_images(value, sum / (count * count), self.images))
    }
}
