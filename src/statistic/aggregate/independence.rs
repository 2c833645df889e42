//! The aggregated independence test: every bandwidth of X with every one of Y.
//!
//! Schrab, Kim, Guedj, Gretton, "Efficient aggregated kernel tests using incomplete U-statistics", NeurIPS 2022. With the
//! wild bootstrap the statistic of a pair of kernels is theirs, the U-statistic of paired rows; with
//! permutations it is the biased estimate of HSIC. Both are those of [`independence`](mod@super::super::independence),
//! whose settings and draws are used.

use super::combine::{self, Combined, How, Member, combine};
use super::each;
use crate::engine::Device;
use crate::error::{Error, Result};
use crate::kernel::pairs::Family;
use crate::statistic::gram::{Extra, Gram};
use crate::statistic::independence::{Named, Null, Settings, Sums, check, wild_draws};
use crate::statistic::p_value::{PValue, TIE};
use crate::statistic::{Bandwidth, KernelFunction, Rule, Sample, null};
use serde::Serialize;
use std::time::Instant;

/// Bandwidths of each variable if none are given, in medians of its distances (Schrab et al. 2022).
const MULTIPLES: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];

/// The bandwidths of a family if none are given: five around the median distance.
pub fn bandwidths(family: Family) -> Bandwidth {
    if family.without_bandwidth() {
        Bandwidth::default()
    } else {
        Bandwidth::Rule(Rule::Median, MULTIPLES.to_vec())
    }
}

/// What one pair of kernels alone says.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The family of X's kernel.
    pub kernel_x: Family,
    /// Its bandwidth.
    pub bandwidth_x: f64,
    /// The family of Y's kernel.
    pub kernel_y: Family,
    /// Its bandwidth.
    pub bandwidth_y: f64,
    /// HSIC: the biased estimate, or for the wild bootstrap that of paired rows.
    pub hsic: f64,
    /// Of a test with these kernels alone.
    pub p_value: f64,
    /// Whether they would be enough to reject in the combined test: their p-value is small for the number of pairs that
    /// were tried.
    pub reject: Option<bool>,
}

/// The result of an aggregated independence test.
#[derive(Clone, Debug, Serialize)]
pub struct Aggregate {
    /// Points.
    pub n: usize,
    /// The kernels of X.
    pub x: Named,
    /// The kernels of Y.
    pub y: Named,
    /// The statistic: minus the smallest p-value of a pair.
    pub statistic: f64,
    /// The p-value.
    #[serde(flatten)]
    pub p: PValue,
    /// How far apart the items of a pair were at most, if not all pairs were taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<usize>,
    /// One a pair.
    pub kernels: Vec<Row>,
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

/// Whether the settings alone are possible.
///
/// # Errors
/// If there are too few draws to reject, or the null has none.
pub fn check_settings(settings: &Settings) -> Result<()> {
    if settings.null == Null::Gamma {
        return Err(Error::usage("an aggregated test needs draws; use --null exact or --null wild"));
    }
    null::check_budget(settings.budget, settings.null == Null::Wild)?;
    combine::check(settings.permutations, settings.alpha)
}

/// Whether two variables, row by row observed together, are independent: each bandwidth of the settings is a kernel of
/// its own.
///
/// `progress` is called with the fraction that is done.
///
/// # Errors
/// If the variables or settings do not fit together, or the device fails.
pub fn aggregate(
    device: &Device,
    samples: [Sample<'_>; 2],
    settings: &Settings,
    progress: &mut dyn FnMut(f64),
) -> Result<Aggregate> {
    let start = Instant::now();
    check_settings(settings)?;
    check(samples)?;
    let resolve = |which: usize| {
        let (sample, family) = (samples[which], settings.families[which]);
        settings.bandwidths[which].resolve(device, [sample, sample.first(0)], family, true, settings.seed)
    };
    let resolved = [resolve(0)?, resolve(1)?];
    let [of_x, of_y] = resolved.each_ref().map(|resolved| each(&resolved.kernel));
    let both: Vec<[&KernelFunction; 2]> =
        of_x.iter().flat_map(|k| of_y.iter().map(move |l| [k, l])).collect();
    let mut pairs = 0.0;
    let mut members = Vec::with_capacity(both.len());
    match settings.null {
        Null::Wild => {
            // With a budget nothing may take all pairs.
            let complete = settings.budget.is_none();
            let mut means = [Vec::new(), Vec::new()];
            for (which, kernels) in [&of_x, &of_y].into_iter().enumerate() {
                for kernel in kernels.iter().filter(|_| complete) {
                    means[which].push(mean(device, samples[which], kernel)?);
                }
            }
            let means: Vec<f64> = means[0].iter().flat_map(|a| means[1].iter().map(move |b| a * b)).collect();
            let drawn = wild_draws(device, samples, &both, settings, progress)?;
            for (index, drawn) in drawn.into_iter().enumerate() {
                pairs += drawn.evaluations;
                let size = means.get(index).map_or(drawn.size, |mean| mean.abs());
                members.push(Member { values: drawn.values, tie: TIE * size });
            }
        }
        Null::Exact | Null::Gamma => {
            for (index, kernels) in both.iter().enumerate() {
                let mut part = |done: f64| progress((index as f64 + done) / both.len() as f64);
                let draws = settings.permutations + 1;
                let sums = Sums::new(device, samples, *kernels, settings.seed, draws, &mut part)?;
                pairs += sums.evaluations;
                members.push(Member { values: sums.biased(), tie: sums.tie() });
            }
        }
    }
    let Combined { statistic, p, alone, draws } =
        combine(&members, How::Agg, settings.null.name(), settings.alpha);
    let rows = both.iter().zip(alone).map(|([k, l], alone)| Row {
        kernel_x: k.family,
        bandwidth_x: k.bandwidths[0],
        kernel_y: l.family,
        bandwidth_y: l.bandwidths[0],
        hsic: alone.value,
        p_value: alone.p_value,
        reject: alone.reject,
    });
    let kernels = rows.collect();
    let warnings = resolved.iter().flat_map(|resolved| resolved.warnings.clone()).collect();
    let [x, y] = [0, 1].map(|which| Named::new(samples[which], &resolved[which]));
    let seconds = start.elapsed().as_secs_f64();
    let (n, budget) = (samples[0].len(), settings.budget);
    Ok(Aggregate { n, x, y, statistic, p, budget, kernels, seconds, pairs, draws, warnings })
}

/// The mean of a kernel over all pairs of different points.
fn mean(device: &Device, sample: Sample<'_>, kernel: &KernelFunction) -> Result<f64> {
    let gram = Gram::new(device, [sample, sample.first(0)], kernel, &Extra::None, false, &mut |_| {})?;
    let n = sample.len() as f64;
    Ok(gram.k.iter().map(|k| k[0]).sum::<f64>() / (n * (n - 1.0)))
}
