//! The aggregated test of goodness of fit: the kernel Stein discrepancy with many bandwidths.
//!
//! Schrab, Guedj, Gretton, "KSD aggregated goodness-of-fit test", NeurIPS 2022. The statistic of each kernel and its draws
//! are those of [`fit`](mod@super::super::fit), whose settings are used: random signs, or samples of the model, each of
//! which gives one value for every kernel. A model that was fitted to the same sample needs the latter here too.

use super::combine::{Combined, KernelRow, Member, Scaled, check, combine};
use super::each;
use crate::engine::Device;
use crate::error::Result;
use crate::kernel::pairs::Family;
use crate::statistic::fit::{Candidate, FitSettings, KsdDraws, NULLS, Stein};
use crate::statistic::p_value::PValue;
use crate::statistic::test::{Common, KernelChoice, Outcome, Test, Trial};
use crate::statistic::{Bandwidth, Rule, Sample};
use serde::Serialize;
use std::time::Instant;

/// Exponents of the bandwidths if none are given, 2^i medians of the distances.
const EXPONENTS: std::ops::RangeInclusive<i32> = -5..=4;

/// The bandwidths if none are given: ten around the median distance, more of them below.
pub fn bandwidths() -> Bandwidth {
    Bandwidth::Rule(Rule::Median, EXPONENTS.map(|i| 2f64.powi(i)).collect())
}

/// The result of an aggregated test of goodness of fit; its statistic is minus the smallest p-value of a kernel.
#[derive(Clone, Debug, Serialize)]
pub struct AggregateFit {
    /// The model.
    pub name: String,
    /// Points.
    pub n: usize,
    /// Coordinates.
    pub d: usize,
    /// Where the bandwidths come from.
    pub bandwidth_rule: String,
    /// One per kernel: KSD^2 is unbiased; with a budget the mean over the pairs taken.
    pub kernels: Vec<KernelRow>,
}

/// Whether the settings alone are possible.
///
/// # Errors
/// If there are too few draws to reject, or the kernel makes no sense.
pub fn check_settings(settings: &FitSettings) -> Result<()> {
    settings.check()?;
    check(&settings.common, "an aggregated test", &NULLS)
}

/// Whether a sample comes from a model: each bandwidth of the settings is a kernel of its own.
///
/// `progress` is called with the fraction that is done; its error ends the work, and is given back.
///
/// # Errors
/// If sample, model and settings do not fit together, or the device fails.
pub fn aggregate(
    device: &Device,
    sample: Sample<'_>,
    candidate: Candidate<'_>,
    settings: &FitSettings,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Outcome<AggregateFit>> {
    let start = Instant::now();
    check_settings(settings)?;
    let stein = Stein::new(device, sample, candidate, settings)?;
    let kernels = each(&stein.resolved.kernel);
    let drawn = stein.draws(device, candidate, &kernels, settings, progress)?;
    let pairs = drawn.iter().map(|drawn| drawn.evaluations).sum();
    let member = |(drawn, kernel)| {
        let KsdDraws { values, tie, unit, .. } = drawn;
        Member { kernels: vec![kernel], values, tie, unit }
    };
    let (n, d) = (stein.n(), stein.scored.d);
    let mut warnings = stein.resolved.warnings.clone();
    warnings.extend(drawn.iter().find_map(|drawn| drawn.warning.clone()));
    let members: Vec<Member<'_>> = drawn.into_iter().zip(&kernels).map(member).collect();
    let Combined { p, rows, values } =
        combine(&members, Scaled::Agg, "ksd2", &settings.common, stein.distinct(&settings.common));
    let found = AggregateFit {
        name: candidate.name.into(),
        n,
        d,
        bandwidth_rule: stein.resolved.rule,
        kernels: rows,
    };
    let budget = settings.common.budget;
    Ok(Outcome { budget, warnings, ..Outcome::new(start, p, values, pairs, found) })
}

/// The test with many bandwidths, as [`power`](mod@super::super::power) repeats it.
#[derive(Clone, Debug)]
pub struct ManyFits(pub FitSettings);

impl From<&KernelChoice> for ManyFits {
    fn from(choice: &KernelChoice) -> Self {
        let bandwidth = choice.bandwidth.clone().unwrap_or_else(bandwidths);
        Self(FitSettings { bandwidth, ..choice.into() })
    }
}

impl Test for ManyFits {
    fn check(&self) -> Result<()> {
        check_settings(&self.0)
    }

    fn families(&self) -> &[Family] {
        std::slice::from_ref(&self.0.family)
    }

    fn words(&self) -> String {
        let FitSettings { family, common, .. } = &self.0;
        format!("Agg, {family:?}, {:?}, {} draws", common.null, common.permutations)
    }

    fn p_value(&self, device: &Device, trial: &Trial<'_>) -> Result<PValue> {
        let common = Common { seed: trial.seed, ..self.0.common };
        let settings = FitSettings { common, ..self.0.clone() };
        Ok(aggregate(device, trial.samples[1], trial.into(), &settings, &mut |_| Ok(()))?.p)
    }
}
