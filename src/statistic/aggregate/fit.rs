//! The aggregated test of goodness of fit: the kernel Stein discrepancy with many bandwidths.
//!
//! Schrab, Guedj, Gretton, "KSD aggregated goodness-of-fit test", NeurIPS 2022. The statistic of each kernel and its draws
//! are those of [`fit`](mod@super::super::fit), whose settings are used: random signs, or samples of the model, each of
//! which gives one value for every kernel. A model that was fitted to the same sample needs the latter here too.

use super::combine::{self, Combined, How, Member, combine};
use super::each;
use crate::engine::Device;
use crate::error::Result;
use crate::kernel::pairs::Family;
use crate::statistic::fit::{Candidate, Settings, Stein};
use crate::statistic::p_value::PValue;
use crate::statistic::{Bandwidth, Rule, Sample};
use serde::Serialize;
use std::time::Instant;

/// Exponents of the bandwidths if none are given, 2^i medians of the distances.
const EXPONENTS: std::ops::RangeInclusive<i32> = -5..=4;

/// The bandwidths if none are given: ten around the median distance, more of them below.
pub fn bandwidths() -> Bandwidth {
    Bandwidth::Rule(Rule::Median, EXPONENTS.map(|i| 2f64.powi(i)).collect())
}

/// What one kernel alone says.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The family.
    pub kernel: Family,
    /// The bandwidth.
    pub bandwidth: f64,
    /// KSD^2, unbiased; with a budget the mean over the pairs taken.
    pub ksd2: f64,
    /// Of a test with this kernel alone.
    pub p_value: f64,
    /// Whether this kernel would be enough to reject in the combined test: its p-value is small for the number of
    /// kernels that were tried.
    pub reject: Option<bool>,
}

/// The result of an aggregated test of goodness of fit.
#[derive(Clone, Debug, Serialize)]
pub struct Aggregate {
    /// The model.
    pub name: String,
    /// Points.
    pub n: usize,
    /// Coordinates.
    pub d: usize,
    /// Where the bandwidths come from.
    pub bandwidth_rule: String,
    /// The statistic: minus the smallest p-value of a kernel.
    pub statistic: f64,
    /// The p-value.
    #[serde(flatten)]
    pub p: PValue,
    /// How far apart the items of a pair were at most, if not all pairs were taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<usize>,
    /// One a kernel.
    pub kernels: Vec<Row>,
    /// Seconds for everything.
    pub seconds: f64,
    /// Values of the Stein kernel computed.
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
/// If there are too few draws to reject, or the kernel makes no sense.
pub fn check_settings(settings: &Settings) -> Result<()> {
    settings.check()?;
    combine::check(settings.permutations, settings.alpha)
}

/// Whether a sample comes from a model: each bandwidth of the settings is a kernel of its own.
///
/// `progress` is called with the fraction that is done.
///
/// # Errors
/// If sample, model and settings do not fit together, or the device fails.
pub fn aggregate(
    device: &Device,
    sample: Sample<'_>,
    candidate: Candidate<'_>,
    settings: &Settings,
    progress: &mut dyn FnMut(f64),
) -> Result<Aggregate> {
    let start = Instant::now();
    check_settings(settings)?;
    let stein = Stein::new(device, sample, candidate, settings)?;
    let kernels = each(&stein.resolved.kernel);
    let drawn = stein.draws(device, candidate, &kernels, settings, progress)?;
    let pairs = drawn.iter().map(|drawn| drawn.evaluations).sum();
    let members: Vec<Member> =
        drawn.into_iter().map(|drawn| Member { values: drawn.values, tie: drawn.tie }).collect();
    let Combined { statistic, p, alone, draws } =
        combine(&members, How::Agg, settings.null.name(), settings.alpha);
    let rows = kernels.iter().zip(alone).map(|(kernel, alone)| Row {
        kernel: kernel.family,
        bandwidth: kernel.bandwidths[0],
        ksd2: alone.value,
        p_value: alone.p_value,
        reject: alone.reject,
    });
    Ok(Aggregate {
        name: candidate.name.into(),
        n: stein.n(),
        d: stein.scored.d,
        bandwidth_rule: stein.resolved.rule.clone(),
        statistic,
        p,
        budget: settings.budget,
        kernels: rows.collect(),
        seconds: start.elapsed().as_secs_f64(),
        pairs,
        draws,
        warnings: stein.resolved.warnings,
    })
}
