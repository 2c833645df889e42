//! The relative test: which of two samples, A or B, is closer to a third, Z?
//!
//! ```text
//! MMD^2(Z, A) - MMD^2(Z, B) = (mean of K_AA - mean of K_BB) - 2 (mean of K_ZA - mean of K_ZB)
//! ```
//!
//! The pairs within Z drop out of the difference. Divided by its standard deviation it is normal for large samples
//! where A and B differ from each other (Bounliphone, Belilovsky, Blaschko, Antonoglou, Gretton, "A test of relative
//! similarity for model selection in generative models", ICLR 2016). Each term of the variance is estimated without
//! bias, by Hoeffding's decomposition: the terms of MMD^2's own, without those of Z, and the covariance of K_ZA and
//! K_ZB, which share the points of Z.

use super::gram::{Gram, Request};
use super::p_value::{PValue, half_normal, normal_p_value};
use super::test::{NamedKernel, Outcome};
use super::two_sample::{covariance, cross_variance, estimates, own_variance};
use super::{Bandwidth, Sample};
use crate::engine::Device;
use crate::error::{Kind, Result};
use crate::kernel::pairs::Family;
use serde::Serialize;
use std::time::Instant;

/// Fewest points of a sample: the variance needs four.
const LEAST_POINTS: usize = 4;

/// Settings of the relative test.
#[derive(Clone, Debug)]
pub struct CloserSettings {
    /// The kernel's family.
    pub family: Family,
    /// Its bandwidths; a rule is applied to the three samples together.
    pub bandwidth: Bandwidth,
    /// Level of the test.
    pub alpha: f64,
    /// Seed of subsamples.
    pub seed: u64,
}

impl Default for CloserSettings {
    fn default() -> Self {
        Self { family: Family::Gaussian, bandwidth: Bandwidth::default(), alpha: 0.05, seed: 0 }
    }
}

/// One of the two samples that are compared with the third.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "their names say all")]
pub enum Side {
    A,
    B,
}

/// The result of a relative test: its p-value is two-sided, by the normal distribution; its statistic is |difference|,
/// and quantiles of that under the null take the place of draws.
#[derive(Clone, Debug, Serialize)]
pub struct Closer {
    /// Points of Z, A, B.
    pub counts: [usize; 3],
    /// Coordinates.
    pub d: usize,
    /// The kernel.
    #[serde(flatten)]
    pub kernel: NamedKernel,
    /// Unbiased estimate of MMD^2 between Z and A.
    pub mmd2_a: f64,
    /// Between Z and B.
    pub mmd2_b: f64,
    /// The first less the second.
    pub difference: f64,
    /// Of the difference.
    pub standard_error: f64,
    /// The closer one, if the test rejects that both are equally close.
    pub closer: Option<Side>,
}

/// Whether A or B is closer to Z.
///
/// `progress` is called with the fraction that is done; its error ends the work, and is given back.
///
/// # Errors
/// If the samples or settings do not fit together, or the device fails.
pub fn closer(
    device: &Device,
    [z, a, b]: [Sample<'_>; 3],
    settings: &CloserSettings,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Outcome<Closer>> {
    let start = Instant::now();
    super::p_value::check(1, settings.alpha)?;
    check_samples([z, a, b])?;
    let others = [a.values, b.values].concat();
    let pooled = [z, Sample::new(z.d, &others)];
    let resolved = settings.bandwidth.resolve(device, pooled, settings.family, true, settings.seed)?;
    let kernel = &resolved.kernel;
    let mut pass = |sample, first: f64| {
        Gram::new(device, [z, sample], kernel, &Request::Squares, false, &mut |done| {
            progress(0.5 * (first + done))
        })
    };
    let (of_a, of_b) = (pass(a, 0.0)?, pass(b, 1.0)?);
    // Both in one unit, the larger one: the estimates, and with them the variance's terms, are for differences.
    let unit = of_a.unit.max(of_b.unit);
    let [of_a, of_b] = [of_a, of_b].map(|gram| gram.in_unit(unit));
    let [mmd2_a, mmd2_b] = [&of_a, &of_b].map(|gram| estimates(gram, kernel).unbiased * unit);
    let difference = mmd2_a - mmd2_b;
    let variance = variance(&of_a, &of_b);
    let standard_error = variance.max(0.0).sqrt() * unit;
    let kernel = NamedKernel::from(&resolved);
    let mut warnings = resolved.warnings;
    warnings.extend(of_a.warning().or(of_b.warning()));
    if standard_error == 0.0 {
        warnings.push(
            "the variance of the difference was not estimated above 0: A and B hardly differ, or the samples are \
             too small; no decision is made"
                .into(),
        );
    }
    let p = PValue::exact(normal_p_value(difference, standard_error), "normal", settings.alpha);
    let nearer = if difference < 0.0 { Side::A } else { Side::B };
    let found = Closer {
        counts: [z.len(), a.len(), b.len()],
        d: z.d,
        kernel,
        mmd2_a,
        mmd2_b,
        difference,
        standard_error,
        closer: p.reject.then_some(nearer),
    };
    let values = std::iter::once(difference.abs()).chain(half_normal(standard_error)).collect();
    let pairs = of_a.evaluations + of_b.evaluations;
    Ok(Outcome { warnings, ..Outcome::new(start, p, values, pairs, found) })
}

/// Whether three samples have the same columns, and enough points.
fn check_samples([z, a, b]: [Sample<'_>; 3]) -> Result<()> {
    for (name, sample) in [("REAL", z), ("A", a), ("B", b)] {
        if sample.d != z.d {
            return Err(Kind::Samples(format!(
                "{name} has {} columns and REAL has {}; all samples must have the same ones",
                sample.d, z.d
            ))
            .into());
        }
        if sample.len() < LEAST_POINTS {
            return Err(Kind::Samples(format!(
                "{name} has {} points; the test needs at least {LEAST_POINTS} of each sample",
                sample.len()
            ))
            .into());
        }
    }
    Ok(())
}

/// Unbiased variance of the difference, from the sums over Z and A and over Z and B.
fn variance(of_a: &Gram, of_b: &Gram) -> f64 {
    let parts = [of_a, of_b]
        .map(|gram| own_variance(gram, 1) + 4.0 * cross_variance(gram) - 4.0 * covariance(gram, 1));
    let n = of_a.counts[0] as f64;
    let sizes = of_a.counts[1] as f64 * of_b.counts[1] as f64;
    let row = |gram: &Gram| gram.k[..gram.counts[0]].iter().map(|k| k[1]).collect::<Vec<f64>>();
    let (a, b) = (row(of_a), row(of_b));
    let both: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
    let [s, t] = [&a, &b].map(|rows| rows.iter().sum::<f64>());
    // E k(z, a) k(z, b) less E k(z, a) E k(z', b).
    let shared = (both / n - (s * t - both) / (n * (n - 1.0))) / sizes / n;
    parts[0] + parts[1] - 8.0 * shared
}
