//! Active units: latents that say anything about the image, which needs no factors.
//!
//! ```text
//! by mean     Var_i mu_ij > .01, with n - 1 in the denominator
//! by KL       mean_i KL(N(mu_ij, s_ij^2) || N(0, 1)) > .01 nats, KL = (mu^2 + s^2 - 1) / 2 - ln s
//! ```
//!
//! By mean: Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, section 5.2. The
//! second is ours, for the same number: a latent with a constant mean but another width than the prior's
//! costs KL and yet says nothing.

use super::{Posteriors, Result, refused};

/// Least variance of an active unit's mean (Burda et al. 2016, section 5.2).
pub const LEAST_VARIANCE: f64 = 0.01;

/// Least KL divergence of an active unit, in nats: our choice.
pub const LEAST_KL: f64 = 0.01;

/// Which latents are active, by two criteria; nothing is random in either.
#[derive(Clone, Debug, PartialEq)]
pub struct Active {
    /// Variance over images of each latent's mean: `(m)`.
    pub variances: Vec<f64>,
    /// Latents active by Burda et al. 2016.
    pub by_mean: usize,
    /// Mean KL of each latent, in nats; None without widths: `(m)`.
    pub kl: Option<Vec<f64>>,
    /// Latents active by KL.
    pub by_kl: Option<usize>,
}

/// Counts active units.
///
/// # Errors
/// If sizes do not fit, or there is only one image.
pub fn active(codes: Posteriors<'_>) -> Result<Active> {
    let Posteriors { n, m, mean, log_std } = codes;
    if n < 2 || mean.len() != n * m || log_std.is_some_and(|part| part.len() != n * m) {
        return Err(refused(format!("active units need two images or more; found {n} with {m} latents")));
    }
    let variances: Vec<f64> = (0..m).map(|j| variance(mean.iter().skip(j).step_by(m))).collect();
    let by_mean = variances.iter().filter(|&&v| v > LEAST_VARIANCE).count();
    let kl = log_std.map(|log_std| {
        let one = |i: usize| 0.5 * (mean[i].powi(2) + (2.0 * log_std[i]).exp() - 1.0) - log_std[i];
        let of_latent = |j: usize| (0..n).map(|i| one(i * m + j)).sum::<f64>() / n as f64;
        (0..m).map(of_latent).collect::<Vec<f64>>()
    });
    let by_kl = kl.as_ref().map(|kl| kl.iter().filter(|&&kl| kl > LEAST_KL).count());
    Ok(Active { variances, by_mean, kl, by_kl })
}

/// Variance with n - 1 in the denominator; NaN of fewer than two values.
pub(super) fn variance<'a>(values: impl Iterator<Item = &'a f64> + Clone) -> f64 {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    values.map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Means of +-.2, +-.05 and 0; KL of N(0, .25) is (.25 - 1) / 2 + ln 2 = .3181.
    #[test]
    fn units_are_counted_by_both_criteria() {
        let mean: Vec<f64> =
            (0..50).flat_map(|i| if i % 2 == 0 { [0.2, 0.05, 0.0] } else { [-0.2, -0.05, 0.0] }).collect();
        let log_std: Vec<f64> = (0..50).flat_map(|_| [0.0, 0.0, 0.5f64.ln()]).collect();
        let active = active(Posteriors { n: 50, m: 3, mean: &mean, log_std: Some(&log_std) }).unwrap();
        assert_eq!((active.by_mean, active.by_kl), (1, Some(2)));
        for (variance, expected) in active.variances.iter().zip([0.04, 0.0025, 0.0]) {
            assert!((variance - expected * 50.0 / 49.0).abs() < 1e-15, "{variance}");
        }
        for (kl, expected) in active.kl.unwrap().iter().zip([0.02, 0.00125, 2f64.ln() - 0.375]) {
            assert!((kl - expected).abs() < 1e-14, "{kl}");
        }
        assert_eq!(
            super::active(Posteriors { n: 50, m: 3, mean: &mean, log_std: None }).unwrap().by_kl,
            None
        );
        assert!(super::active(Posteriors { n: 1, m: 3, mean: &mean[..3], log_std: None }).is_err());
    }
}
