//! The numbers that are reported of a model: nats per image, all with one sampled z per image.

use crate::kernel::prior_mmd;
use crate::kernel::reconstruction::{Likelihood, TERMS};
use crate::model::Term;
use crate::numeric::exp;
use multiversion::multiversion;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Averages over images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Squared error, summed over pixels.
    pub sse: f64,
    /// -ln p(x | z), the likelihood's constant included.
    pub reconstruction: f64,
    /// KL(q(z|x) || p(z)).
    pub kl: f64,
    /// -(reconstruction + kl).
    pub elbo: f64,
}

/// Averages of the objective's further terms, those that it has, estimated from the batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// Unbiased MMD^2 between z and the prior.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mmd: Option<f64>,
    /// Mutual information of x and z, in nats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mutual_information: Option<f64>,
    /// KL(q(z) || prod_j q(z_j)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_correlation: Option<f64>,
    /// sum_j KL(q(z_j) || p(z_j)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimension_wise_kl: Option<f64>,
}

/// LossSums over the images of one or more steps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossSums {
    /// How many images.
    pub images: usize,
    /// Squared error.
    pub sse: f64,
    /// -ln p(x | z), the constant included.
    pub loss: f64,
    /// KL divergence.
    pub kl: f64,
    /// The numbers of the objective's further term: MMD^2; or mutual information and total correlation.
    pub terms: [f64; 2],
}

impl LossSums {
    /// The second half of the reduction: the partial sums of one step, added in order in f64. An image has
    /// `dimension` numbers.
    pub fn of_step(
        images: usize,
        kl_parts: &[f32],
        loss_parts: &[f32],
        likelihood: Likelihood,
        dimension: usize,
    ) -> Self {
        let total = |parts: &[f32], term: usize, terms: usize| -> f64 {
            parts.iter().skip(term).step_by(terms).map(|&part| f64::from(part)).sum()
        };
        let sse = total(loss_parts, 0, TERMS);
        let loss = match likelihood {
            // The device may have had another sigma: the squared error says all.
            Likelihood::Gaussian { sigma } => 0.5 * sse / f64::from(sigma).powi(2),
            Likelihood::Bernoulli => total(loss_parts, 1, TERMS),
        };
        let loss = loss + images as f64 * likelihood.constant(dimension);
        Self { images, sse, loss, kl: total(kl_parts, 0, 1), terms: [0.0; 2] }
    }

    /// Adds the partial sums of the objective's further term.
    #[must_use]
    pub fn with_term(self, term: Term, parts: &[f32]) -> Self {
        let total = |terms: usize, index: usize| -> f64 {
            parts.iter().skip(index).step_by(terms).map(|&part| f64::from(part)).sum()
        };
        let terms = match term {
            Term::None => [0.0; 2],
            // An average over the batch already.
            Term::PriorMmd { .. } => [total(1, 0) * self.images as f64, 0.0],
            Term::TotalCorrelation(_) => [total(2, 0), total(2, 1)],
        };
        Self { terms, ..self }
    }

    /// Adds another step.
    pub fn add(&mut self, other: &Self) {
        self.images += other.images;
        self.sse += other.sse;
        self.loss += other.loss;
        self.kl += other.kl;
        self.terms = [self.terms[0] + other.terms[0], self.terms[1] + other.terms[1]];
    }

    /// Averages of the objective's further term, for `latent` dimensions.
    pub fn terms(&self, term: Term, latent: usize) -> Terms {
        let [first, second] = self.terms.map(|sum| sum / self.images as f64);
        match term {
            Term::None => Terms::default(),
            Term::PriorMmd { h, .. } => {
                let mmd = first + prior_mmd::constant(latent, f64::from(h));
                Terms { mmd: Some(mmd), ..Terms::default() }
            }
            Term::TotalCorrelation(_) => Terms {
                mutual_information: Some(first),
                total_correlation: Some(second),
                // The three terms add to the KL.
                dimension_wise_kl: Some(self.kl / self.images as f64 - first - second),
                ..Terms::default()
            },
        }
    }

    /// Averages over the images.
    pub fn metrics(&self) -> Metrics {
        let images = self.images as f64;
        let (reconstruction, kl) = (self.loss / images, self.kl / images);
        Metrics { sse: self.sse / images, reconstruction, kl, elbo: -(reconstruction + kl) }
    }

    /// The first term that is not a finite number, for an objective with this further term.
    pub fn not_finite(&self, term: Term) -> Option<(&'static str, f64)> {
        let names = match term {
            Term::None => ["", ""],
            Term::PriorMmd { .. } => ["MMD to the prior", ""],
            Term::TotalCorrelation(_) => ["mutual information", "total correlation"],
        };
        let terms = [
            ("reconstruction loss", self.loss),
            ("KL divergence", self.kl),
            ("squared error", self.sse),
            (names[0], self.terms[0]),
            (names[1], self.terms[1]),
        ];
        terms.into_iter().find(|(_, value)| !value.is_finite())
    }
}

/// Unbiased MMD^2 between the rows of `z`, `(N, M)`, and N(0, I), with the kernel `exp(-|a - b|^2 / M)`.
///
/// The prior's part is known in closed form, so no prior samples are needed:
/// E k(z, .) = (1 + 2/M)^(-M/2) exp(-|z|^2 / (M + 2)) and E k = (1 + 4/M)^(-M/2). `None` below two rows.
pub fn mmd_to_prior(z: &[f32], latent: usize) -> Option<f64> {
    mmd_to_prior_with(z, latent, prior_mmd::usual_h(latent))
}

/// The same with the kernel `exp(-|a - b|^2 / h)`: E k(z, .) = (1 + 2/h)^(-M/2) exp(-|z|^2 / (h + 2)) and
/// E k = (1 + 4/h)^(-M/2).
pub fn mmd_to_prior_with(z: &[f32], latent: usize, h: f64) -> Option<f64> {
    let n = (z.len() / latent) as f64;
    if n < 2.0 {
        return None;
    }
    let row = |i: usize| &z[i * latent..][..latent];
    let scale = -1.0 / h as f32;
    // One sum per row, added in order: the same bits on any number of threads.
    let rows: Vec<[f64; 2]> = (0..z.len() / latent)
        .into_par_iter()
        .map(|i| {
            let a = row(i);
            let pairs = kernel_sum(a, &z[..i * latent], scale);
            let norm: f64 = a.iter().map(|&v| f64::from(v).powi(2)).sum();
            [pairs, (-norm / (h + 2.0)).exp()]
        })
        .collect();
    let [pairs, prior] = rows.iter().fold([0.0; 2], |sum, row| [sum[0] + row[0], sum[1] + row[1]]);
    let within = 2.0 * pairs / (n * (n - 1.0));
    let across = prior_mmd::height(latent, h) * prior / n;
    Some(within - 2.0 * across + prior_mmd::constant(latent, h))
}

/// The sum of exp(scale |a - b|^2) over the rows b.
#[multiversion(targets = "simd")]
fn kernel_sum(a: &[f32], rows: &[f32], scale: f32) -> f64 {
    let kernel = |b: &[f32]| {
        let square: f32 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        f64::from(exp(scale * square))
    };
    rows.chunks_exact(a.len()).map(kernel).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Sequence, Stream};

    fn draws(n: usize, latent: usize, shift: f32) -> Vec<f32> {
        let mut random = Sequence::new(1, Stream::Prior, 0);
        (0..n * latent).map(|_| random.normal() + shift).collect()
    }

    #[test]
    fn mmd_is_zero_for_the_prior_and_known_for_a_shifted_one() {
        for latent in [1, 2, 20] {
            // The unbiased estimate scatters around 0 by about sqrt(2 E k^2) / n.
            let same = mmd_to_prior(&draws(2000, latent, 0.0), latent).expect("enough rows");
            assert!(same.abs() < 5.0 * 1.5 / 2000.0, "latent {latent}: {same}");
            // Two unit Gaussians s apart: MMD^2 = 2 (1 + 4/M)^(-M/2) (1 - exp(-s^2 / (M + 4))).
            let (m, shift) = (latent as f64, 1.5);
            let distance = m * shift * shift;
            let want = 2.0 * (1.0 + 4.0 / m).powf(-m / 2.0) * (1.0 - (-distance / (m + 4.0)).exp());
            let got = mmd_to_prior(&draws(2000, latent, 1.5), latent).expect("enough rows");
            assert!((got - want).abs() < 0.05 * want, "latent {latent}: {got} is not {want}");
        }
        assert_eq!(mmd_to_prior(&[0.0; 3], 3), None);
    }

    #[test]
    fn sums_become_averages_with_the_constant() {
        let (kl, loss) = ([1.0, 3.0], [10.0, 5.0, 2.0, 1.0]);
        let bernoulli = LossSums::of_step(2, &kl, &loss, Likelihood::Bernoulli, 784);
        assert_eq!(bernoulli, LossSums { images: 2, sse: 12.0, loss: 6.0, kl: 4.0, terms: [0.0; 2] });
        let mut sums = LossSums::of_step(2, &kl, &loss, Likelihood::Gaussian { sigma: 2.0 }, 784);
        sums.add(&sums.clone());
        let metrics = sums.metrics();
        let constant = 720.45 + 784.0 * std::f64::consts::LN_2;
        assert!((metrics.reconstruction - (12.0 / 8.0 / 2.0 + constant)).abs() < 0.01, "{metrics:?}");
        assert_eq!((metrics.sse, metrics.kl), (6.0, 2.0));
        assert_eq!(sums.not_finite(Term::None), None);
        sums.kl = f64::NAN;
        assert_eq!(sums.not_finite(Term::None).map(|(term, _)| term), Some("KL divergence"));
    }
}
