//! Aggregated tests: many kernels and bandwidths in one test, so that none has to be chosen. Here that of two samples;
//! [`independence`] and [`fit`] are the others, and all are combined in the same way ([`Combine`]).
//!
//! `agg` for two samples is the multiple test of Schrab, Kim, Albert, Laurent, Guedj, Gretton, "MMD aggregated two-sample
//! test", JMLR 2023, with uniform weights. `fuse` is Biggs, Schrab, Gretton, "MMD-FUSE: learning and combining kernels
//! for two-sample testing without data splitting", NeurIPS 2023: its lambda^2 is n (n - 1) with n the smaller sample, its
//! N_k = sum over all pairs of k^2 / (n (n - 1)).
//!
//! With a budget R the wild bootstrap's sums are those over near pairs, and n (n - 1) is everywhere twice their number, 2
//! sum over r = 1..=R of n - r: incomplete U-statistics (Schrab, Kim, Guedj, Gretton, "Efficient aggregated kernel tests
//! using incomplete U-statistics", NeurIPS 2022). The same goes for [`independence`] and [`fit`].

mod combine;
pub mod fit;
pub mod independence;

pub use combine::Combine;

use super::bandwidth::distance_quantiles;
use super::gram::{Gram, Labels, grams, near_pairs};
use super::null;
use super::p_value::{PValue, TIE};
use super::points::Points;
use super::two_sample::{check_samples, check_sizes, estimates, mixed, statistics};
use super::{Bandwidth, KernelFunction, Sample};
use crate::engine::Device;
use crate::error::{Error, Kind, Result};
use crate::kernel::pairs::{Family, UNLIMITED};
use combine::{Combined, How, Member, combine};
use serde::Serialize;
use std::time::Instant;

/// Bandwidths of each family if none are given.
const BANDWIDTHS: usize = 10;

/// The given bandwidths reach from half of this quantile of the distances to twice that of 1 minus it (Biggs et al.
/// 2023, section 5).
const QUANTILE: f64 = 0.05;

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
    /// Take only pairs of items at most this far apart in a random order, about n R of them instead of n^2 / 2: near-linear
    /// time, at some loss of power. With the wild bootstrap only.
    pub budget: Option<usize>,
    /// Level of the test.
    pub alpha: f64,
    /// Seed of draws, subsamples and orders.
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
            budget: None,
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
    /// How far apart the items of a pair were at most, if not all pairs were taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<usize>,
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
    // Near pairs must be a random choice: files are often in some order.
    let mixed = settings.budget.map(|_| [mixed(x, settings.seed, 0), mixed(y, settings.seed, 1)]);
    let [x, y] = match &mixed {
        Some(values) => [0, 1].map(|which| Sample::new(x.d, &values[which])),
        None => [x, y],
    };
    let (kernels, bandwidth_rule, warnings) = kernels(device, [x, y], settings)?;
    let (n, total) = (x.len(), settings.permutations + 1);
    let labels = match settings.null {
        Null::Exact => null::permutations([n, y.len()], settings.seed, 0, total),
        Null::Wild => null::rademacher(n, settings.seed, total),
    };
    let (mut pairs, mut members, mut scales) = (0.0, Vec::new(), Vec::new());
    for drawn in draws(device, [x, y], &kernels, &labels, settings, progress)? {
        pairs += drawn.evaluations;
        scales.push(drawn.squares.sqrt());
        members.push(Member { values: drawn.values, tie: TIE * drawn.mean.abs() });
    }
    let taken = 2.0 * near_pairs(x.len().min(y.len()) as f64, settings.budget.unwrap_or(UNLIMITED));
    let how = match settings.combine {
        Combine::Agg => How::Agg,
        Combine::Fuse => How::Fuse { lambda: taken.sqrt(), scales: &scales },
    };
    let Combined { statistic, p, alone, draws } =
        combine(&members, how, settings.null.name(), settings.alpha);
    let rows = kernels.iter().zip(alone).map(|(kernel, alone)| Row {
        kernel: kernel.family,
        bandwidth: kernel.bandwidths[0],
        mmd2: alone.value,
        p_value: alone.p_value,
        reject: alone.reject,
    });
    Ok(Aggregate {
        n,
        m: y.len(),
        d: x.d,
        combine: settings.combine,
        statistic,
        p,
        budget: settings.budget,
        kernels: rows.collect(),
        bandwidth_rule,
        seconds: start.elapsed().as_secs_f64(),
        pairs,
        draws,
        warnings,
    })
}

/// The p-value of [`Combine::Agg`] for statistics that were found elsewhere: those of each kernel, what was observed and
/// then the draws, which are the same for all.
///
/// # Errors
/// If there are no kernels, not as many values of each, or too few draws to reject.
pub fn agg(values: Vec<Vec<f64>>, null: &'static str, alpha: f64) -> Result<PValue> {
    let total = values.first().map_or(0, Vec::len);
    if values.iter().any(|values| values.len() != total) || total == 0 {
        return Err(Error::usage("an aggregated test needs kernels with as many values of each"));
    }
    combine::check(total - 1, alpha)?;
    let members: Vec<Member> = values.into_iter().map(|values| Member { values, tie: 0.0 }).collect();
    Ok(combine(&members, How::Agg, null, alpha).p)
}

impl Settings {
    /// Whether the settings alone are possible.
    ///
    /// # Errors
    /// If no draws or no kernels are wanted, or the level makes no sense.
    pub fn check(&self) -> Result<()> {
        if self.families.is_empty() {
            return Err(Error::usage("an aggregated test needs at least one kernel"));
        }
        null::check_budget(self.budget, self.null == Null::Wild)?;
        combine::check(self.permutations, self.alpha)
    }
}

/// All kernels, where their bandwidths come from, and warnings.
fn kernels(
    device: &Device,
    samples: [Sample<'_>; 2],
    settings: &Settings,
) -> Result<(Vec<KernelFunction>, String, Vec<String>)> {
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
            kernels.extend((0..BANDWIDTHS).map(|i| KernelFunction::new(family, low + step * i as f64)));
            continue;
        }
        let bandwidth =
            settings.bandwidth.clone().filter(|_| !family.without_bandwidth()).unwrap_or_default();
        let resolved = bandwidth.resolve(device, samples, family, true, settings.seed)?;
        warnings.extend(resolved.warnings);
        rule = resolved.rule;
        kernels.extend(each(&resolved.kernel));
    }
    Ok((kernels, rule, warnings))
}

/// A kernel for each bandwidth of a kernel that has many.
fn each(kernel: &KernelFunction) -> Vec<KernelFunction> {
    let one = |&bandwidth: &f64| KernelFunction {
        coordinates: kernel.coordinates.clone(),
        ..KernelFunction::new(kernel.family, bandwidth)
    };
    kernel.bandwidths.iter().map(one).collect()
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

/// The statistics of each kernel.
fn draws(
    device: &Device,
    [x, y]: [Sample<'_>; 2],
    kernels: &[KernelFunction],
    labels: &Labels,
    settings: &Settings,
    progress: &mut dyn FnMut(f64),
) -> Result<Vec<Drawn>> {
    let all: Vec<&KernelFunction> = kernels.iter().collect();
    let coordinates = kernels[0].coordinates.as_deref();
    match settings.null {
        Null::Exact => {
            let points = Points::new(x, y, coordinates)?;
            let size = x.len().min(y.len()) as f64;
            let drawn = |(gram, kernel): (Gram, &KernelFunction)| Drawn {
                values: statistics(&gram, labels, None),
                squares: gram.k2.iter().map(|k| k[0] + k[1]).sum::<f64>() / (size * (size - 1.0)),
                mean: estimates(&gram, kernel).mean_kernel,
                evaluations: gram.evaluations,
            };
            Ok(grams(device, &points, &all, &[], labels, progress)?
                .into_iter()
                .zip(kernels)
                .map(drawn)
                .collect())
        }
        Null::Wild => {
            // One item for (x_i, y_i): a draw swaps some of them, which turns the signs of their rows around.
            let points = Points::paired(x, y, coordinates)?.within(settings.budget);
            let drawn = |gram: Gram| {
                let pairs = 2.0 * gram.evaluations;
                let rows: Vec<f64> = gram.k.iter().map(|k| k[0]).collect();
                let sum: f64 = rows.iter().sum();
                let dots = null::dot(labels, x.len(), &rows);
                let values =
                    gram.forms.iter().zip(dots).map(|(q, l)| (4.0 * (q - l) + sum) / pairs).collect();
                let squares = gram.k2.iter().map(|k| k[0]).sum::<f64>() / pairs;
                Drawn { values, squares, mean: squares.sqrt(), evaluations: 4.0 * gram.evaluations }
            };
            Ok(grams(device, &points, &all, &[], labels, progress)?.into_iter().map(drawn).collect())
        }
    }
}
