//! Aggregated two-sample tests: many kernels and bandwidths in one test, so that none has to be chosen.
//!
//! ```text
//! M_kb         MMD^2 (unbiased) of kernel k under draw b; draw 0 is what was observed
//!
//! agg   P_kb   (number of draws c with M_kc >= M_kb) / (B + 1): the p-value of kernel k if draw b had been observed
//!       T_b    minus min over k of P_kb
//! fuse  T_b    log mean over k of exp(lambda M_kb / sqrt(N_k)) / lambda
//!              lambda^2 = n (n - 1), n the smaller sample; N_k = sum over all pairs of k^2 / (n (n - 1))
//!
//! p = (number of draws b with T_b >= T_0) / (B + 1)
//! ```
//!
//! `agg` is the multiple test of Schrab, Kim, Albert, Laurent, Guedj, Gretton, "MMD aggregated two-sample test",
//! JMLR 2023, with uniform weights. They estimate the quantiles of the kernels and the correction for their number from
//! two sets of draws, by bisection; ranks among one set do both at once, with an exact level, and give a p-value.
//! `fuse` is Biggs, Schrab, Gretton, "MMD-FUSE: learning and combining kernels for two-sample testing without data
//! splitting", NeurIPS 2023.

use super::bandwidth::distance_quantiles;
use super::gram::{Extra, Gram, Labels, Pass};
use super::null;
use super::p_value::{self, PValue, TIE};
use super::points::Points;
use super::two_sample::{check_samples, check_sizes, estimates, statistics};
use super::{Bandwidth, Kernel, Sample};
use crate::engine::Device;
use crate::error::{Error, Kind, Result};
use crate::kernel::pairs::Family;
use rayon::prelude::*;
use serde::Serialize;
use std::time::Instant;

/// Bandwidths of each family if none are given.
const BANDWIDTHS: usize = 10;

/// The given bandwidths reach from half of this quantile of the distances to twice that of 1 minus it (Biggs et al.
/// 2023, section 5).
const QUANTILE: f64 = 0.05;

/// How the kernels are combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Combine {
    /// The smallest p-value of all kernels, corrected for their number: says which kernels see a difference
    #[default]
    Agg,
    /// A soft maximum of the normalised statistics
    Fuse,
}

/// How the draws under the null are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Null {
    /// Permute the points
    #[default]
    Exact,
    /// Swap pairs of points at random, for samples of one size
    Wild,
}

impl Null {
    fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Wild => "wild",
        }
    }
}

/// What test is wanted.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Families of kernels, each with all bandwidths.
    pub families: Vec<Family>,
    /// Bandwidths, each a kernel of its own; ten between the smallest and the largest distances if none are given.
    pub bandwidth: Option<Bandwidth>,
    /// How the kernels are combined.
    pub combine: Combine,
    /// Draws under the null.
    pub permutations: usize,
    /// How they are made.
    pub null: Null,
    /// Level of the test.
    pub alpha: f64,
    /// Seed of draws and subsamples.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            families: vec![Family::Gaussian, Family::Laplace],
            bandwidth: None,
            combine: Combine::Agg,
            permutations: 1999,
            null: Null::Exact,
            alpha: 0.05,
            seed: 0,
        }
    }
}

/// What one kernel alone says.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The family.
    pub kernel: Family,
    /// The bandwidth.
    pub bandwidth: f64,
    /// MMD^2, unbiased; for the wild bootstrap without k(`x_i`, `y_i`).
    pub mmd2: f64,
    /// Of a test with this kernel alone.
    pub p_value: f64,
    /// Whether this kernel would be enough to reject in the combined test: its p-value is small for the number of
    /// kernels that were tried. Only with [`Combine::Agg`].
    pub reject: Option<bool>,
}

/// The result of an aggregated test.
#[derive(Clone, Debug, Serialize)]
pub struct Aggregate {
    /// Points of X.
    pub n: usize,
    /// Points of Y.
    pub m: usize,
    /// Coordinates.
    pub d: usize,
    /// How the kernels are combined.
    pub combine: Combine,
    /// The statistic T_0.
    pub statistic: f64,
    /// The p-value.
    #[serde(flatten)]
    pub p: PValue,
    /// One a kernel.
    pub kernels: Vec<Row>,
    /// Where the bandwidths come from.
    pub bandwidth_rule: String,
    /// Seconds for everything.
    pub seconds: f64,
    /// Kernel values computed.
    pub pairs: f64,
    /// The statistic under the null: one a draw.
    #[serde(skip)]
    pub draws: Vec<f64>,
    /// What a user should know.
    pub warnings: Vec<String>,
}

/// Whether two samples come from one distribution, by many kernels at once.
///
/// `progress` is called with the fraction that is done.
///
/// # Errors
/// If the samples or settings do not fit together, or the device fails.
pub fn aggregate(
    device: &Device,
    [x, y]: [Sample<'_>; 2],
    settings: &Settings,
    progress: &mut dyn FnMut(f64),
) -> Result<Aggregate> {
    let start = Instant::now();
    settings.check()?;
    check_samples([x, y])?;
    if settings.null == Null::Wild {
        check_sizes([x, y])?;
    }
    let (kernels, bandwidth_rule, warnings) = kernels(device, [x, y], settings)?;
    let (n, total) = (x.len(), settings.permutations + 1);
    let labels = match settings.null {
        Null::Exact => null::permutations([n, y.len()], settings.seed, 0, total),
        Null::Wild => null::rademacher(n, settings.seed, total),
    };
    let mut values = Vec::with_capacity(kernels.len());
    let (mut pairs, mut scales, mut ties) = (0.0, Vec::new(), Vec::new());
    for (index, kernel) in kernels.iter().enumerate() {
        let mut part = |done: f64| progress((index as f64 + done) / kernels.len() as f64);
        let drawn = draws(device, [x, y], kernel, &labels, settings.null, &mut part)?;
        pairs += drawn.evaluations;
        scales.push(drawn.squares.sqrt());
        ties.push(TIE * drawn.mean.abs());
        values.push(drawn.values);
    }
    let ranks: Vec<Vec<f64>> =
        values.par_iter().zip(&ties).map(|(values, tie)| p_values(values, *tie)).collect();
    let size = x.len().min(y.len()) as f64;
    let combined: Vec<f64> = match settings.combine {
        Combine::Agg => {
            (0..total).map(|b| -ranks.iter().map(|p| p[b]).fold(f64::INFINITY, f64::min)).collect()
        }
        Combine::Fuse => {
            let lambda = (size * (size - 1.0)).sqrt();
            (0..total)
                .map(|b| soft_maximum(values.iter().zip(&scales).map(|(v, s)| v[b] * lambda / s), lambda))
                .collect()
        }
    };
    let tie = match settings.combine {
        // Counts divided by one number: equal or a draw apart.
        Combine::Agg => 0.5 / total as f64,
        Combine::Fuse => TIE * combined.iter().fold(0.0f64, |most, t| most.max(t.abs())),
    };
    let p = PValue::of_draws(combined[0], &combined[1..], tie, settings.null.name(), settings.alpha);
    // The largest p-value of a kernel with which the whole would still reject.
    let most = largest_rejected(&combined, settings.alpha);
    let row = |((kernel, values), ranks): ((&Kernel, &Vec<f64>), &Vec<f64>)| Row {
        kernel: kernel.family,
        bandwidth: kernel.bandwidths[0],
        mmd2: values[0],
        p_value: ranks[0],
        reject: (settings.combine == Combine::Agg).then(|| most.is_some_and(|most| ranks[0] <= most + tie)),
    };
    Ok(Aggregate {
        n,
        m: y.len(),
        d: x.d,
        combine: settings.combine,
        statistic: combined[0],
        p,
        kernels: kernels.iter().zip(&values).zip(&ranks).map(row).collect(),
        bandwidth_rule,
        seconds: start.elapsed().as_secs_f64(),
        pairs,
        draws: combined[1..].to_vec(),
        warnings,
    })
}

impl Settings {
    /// Whether the settings alone are possible.
    ///
    /// # Errors
    /// If no draws or no kernels are wanted, or the level makes no sense.
    pub fn check(&self) -> Result<()> {
        p_value::check(self.permutations, self.alpha)?;
        if self.families.is_empty() {
            return Err(Error::usage("an aggregated test needs at least one kernel"));
        }
        let nearest = 1.0 / (1 + self.permutations) as f64;
        if nearest > self.alpha {
            return Err(Error::usage(format!(
                "{} permutations cannot reject at level {}; use at least {}",
                self.permutations,
                self.alpha,
                (1.0 / self.alpha).ceil() - 1.0
            )));
        }
        Ok(())
    }
}

/// All kernels, where their bandwidths come from, and warnings.
fn kernels(
    device: &Device,
    samples: [Sample<'_>; 2],
    settings: &Settings,
) -> Result<(Vec<Kernel>, String, Vec<String>)> {
    let (mut kernels, mut warnings) = (Vec::new(), Vec::new());
    let mut rule =
        format!("{BANDWIDTHS} from half the 5 % quantile of the distances to twice the 95 % quantile");
    for &family in &settings.families {
        if settings.bandwidth.is_none() && !family.without_bandwidth() {
            let [low, high] =
                distance_quantiles(device, samples, family, settings.seed, [QUANTILE, 1.0 - QUANTILE])?;
            if high <= 0.0 {
                return Err(
                    Kind::Samples("nearly all points coincide: there is nothing to compare".into()).into()
                );
            }
            let [low, high] = [(0.5 * low).max(1e-3 * high), 2.0 * high];
            let step = (high - low) / (BANDWIDTHS - 1) as f64;
            kernels.extend((0..BANDWIDTHS).map(|i| Kernel::new(family, low + step * i as f64)));
            continue;
        }
        let bandwidth =
            settings.bandwidth.clone().filter(|_| !family.without_bandwidth()).unwrap_or_default();
        let resolved = bandwidth.resolve(device, samples, family, true, settings.seed)?;
        warnings.extend(resolved.warnings);
        rule = resolved.rule;
        for bandwidth in resolved.kernel.bandwidths {
            kernels.push(Kernel {
                coordinates: resolved.kernel.coordinates.clone(),
                ..Kernel::new(family, bandwidth)
            });
        }
    }
    Ok((kernels, rule, warnings))
}

/// The statistics of one kernel.
struct Drawn {
    /// MMD^2 of each draw.
    values: Vec<f64>,
    /// N_k.
    squares: f64,
    /// Mean value of the kernel, or of its size.
    mean: f64,
    evaluations: f64,
}

fn draws(
    device: &Device,
    [x, y]: [Sample<'_>; 2],
    kernel: &Kernel,
    labels: &Labels,
    null: Null,
    progress: &mut dyn FnMut(f64),
) -> Result<Drawn> {
    let size = x.len().min(y.len()) as f64;
    let pairs = size * (size - 1.0);
    let extra = Extra::Forms(labels);
    match null {
        Null::Exact => {
            let gram = Gram::new(device, [x, y], kernel, &extra, false, progress)?;
            let squares = gram.k2.iter().map(|k| k[0] + k[1]).sum::<f64>() / pairs;
            let mean = estimates(&gram, kernel).mean_kernel;
            Ok(Drawn {
                values: statistics(&gram, labels, None),
                squares,
                mean,
                evaluations: gram.evaluations,
            })
        }
        Null::Wild => {
            // One item for (x_i, y_i): a draw swaps some of them, which turns the signs of their rows around.
            let points = Points::paired(x, y, kernel.coordinates.as_deref())?;
            let gram = Pass::new(device, &points, kernel, &extra, false)?.run(progress)?;
            let rows: Vec<f64> = gram.k.iter().map(|k| k[0]).collect();
            let sum: f64 = rows.iter().sum();
            let dots = null::dot(labels, x.len(), &rows);
            let values = gram.forms.iter().zip(dots).map(|(q, l)| (4.0 * (q - l) + sum) / pairs).collect();
            let squares = gram.k2.iter().map(|k| k[0]).sum::<f64>() / pairs;
            Ok(Drawn { values, squares, mean: squares.sqrt(), evaluations: 4.0 * gram.evaluations })
        }
    }
}

/// Of each draw: the share of all draws that are not below it, by more than `tie`.
fn p_values(values: &[f64], tie: f64) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at_least = |value: f64| values.len() - sorted.partition_point(|v| *v < value - tie);
    values.iter().map(|value| at_least(*value) as f64 / values.len() as f64).collect()
}

/// log(mean exp(v)) / lambda.
fn soft_maximum(values: impl Iterator<Item = f64> + Clone, lambda: f64) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += (value - largest).exp();
        count += 1.0;
    }
    (largest + (sum / count).ln()) / lambda
}

/// The largest p-value of a single kernel with which the minimum over all would be rejected, if any is.
fn largest_rejected(combined: &[f64], alpha: f64) -> Option<f64> {
    let mut smallest: Vec<f64> = combined.iter().map(|t| -t).collect();
    smallest.sort_by(f64::total_cmp);
    let total = smallest.len() as f64;
    // With a minimum of v, the p-value is the share of draws with one of v or less.
    let share = |v: f64| smallest.partition_point(|s| *s <= v) as f64 / total;
    smallest.iter().rev().copied().find(|&v| share(v) <= alpha)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_ties_as_exceedances() {
        assert_eq!(p_values(&[3.0, 1.0, 2.0, 2.0], 0.0), [0.25, 1.0, 0.75, 0.75]);
        assert_eq!(p_values(&[3.0, 1.0, 2.9, 2.0], 0.2), [0.5, 1.0, 0.5, 0.75]);
    }

    #[test]
    fn the_soft_maximum_lies_between_mean_and_maximum() {
        let values = [1.0, 2.0, 6.0];
        let of = |lambda: f64| soft_maximum(values.iter().map(|v| v * lambda), lambda);
        assert!((of(1e-6) - 3.0).abs() < 1e-5, "small lambda: the mean");
        assert!((of(1e3) - 6.0).abs() < 2e-3, "large lambda: the maximum");
    }

    #[test]
    fn the_threshold_is_the_largest_that_rejects() {
        let combined: Vec<f64> = (1..=100).map(|i| -f64::from(i) / 100.0).collect();
        assert_eq!(largest_rejected(&combined, 0.05), Some(0.05));
        assert_eq!(largest_rejected(&[-0.5; 10], 0.05), None);
    }
}
