//! The aggregated independence test: every bandwidth of X with every one of Y.
//!
//! Schrab, Kim, Guedj, Gretton, "Efficient aggregated kernel tests using incomplete U-statistics", NeurIPS 2022. With the
//! wild bootstrap the statistic of a pair of kernels is theirs, the U-statistic of paired rows; with
//! permutations it is the biased estimate of HSIC. Both are those of [`independence`](mod@super::super::independence),
//! whose settings and draws are used.

use super::combine::{Combined, KernelRow, Member, Scaled, check, combine};
use super::each;
use crate::engine::Device;
use crate::error::{Error, Result};
use crate::kernel::pairs::Family;
use crate::statistic::gram::{Gram, Request};
use crate::statistic::independence::{
    HsicSums, IndependenceSettings, NULLS, Variable, check_samples, distinct, resolve, wild_draws,
};
use crate::statistic::null;
use crate::statistic::p_value::PValue;
use crate::statistic::test::{Common, KernelChoice, Null, Outcome, Test, Trial};
use crate::statistic::{Bandwidth, KernelFunction, Rule, Sample};
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

/// The bandwidths of a variable: its `own`, or those of `both`, or where these are the default and the test is aggregated,
/// five of them.
pub fn chosen(family: Family, own: Option<&Bandwidth>, both: &Bandwidth, aggregated: bool) -> Bandwidth {
    match own {
        Some(own) => own.clone(),
        // A kernel without a bandwidth ignores the default.
        None if family.without_bandwidth() => Bandwidth::default(),
        None if aggregated && *both == Bandwidth::default() => bandwidths(family),
        None => both.clone(),
    }
}

/// The result of an aggregated independence test; its statistic is minus the smallest p-value of a pair of kernels.
#[derive(Clone, Debug, Serialize)]
pub struct AggregateIndependence {
    /// Points.
    pub n: usize,
    /// The kernels of X.
    pub x: Variable,
    /// The kernels of Y.
    pub y: Variable,
    /// One per pair: HSIC is the biased estimate, or for the wild bootstrap that of paired rows.
    pub kernels: Vec<KernelRow>,
}

/// Whether the settings alone are possible.
///
/// # Errors
/// If there are too few draws to reject, or the null has none.
pub fn check_settings(settings: &IndependenceSettings) -> Result<()> {
    if settings.common.null == Null::Gamma {
        return Err(Error::usage("an aggregated test needs draws; use --null exact or --null wild"));
    }
    if settings.common.null == Null::Series {
        return Err(Error::usage(
            "an aggregated test has no blocks of a series; leave out --aggregate with --null series",
        ));
    }
    check(&settings.common, "an aggregated test", &NULLS)
}

/// Whether two variables, row by row observed together, are independent: each bandwidth of the settings is a kernel of
/// its own.
///
/// `progress` is called with the fraction that is done; its error ends the work, and is given back.
///
/// # Errors
/// If the variables or settings do not fit together, or the device fails.
pub fn aggregate(
    device: &Device,
    samples: [Sample<'_>; 2],
    settings: &IndependenceSettings,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Outcome<AggregateIndependence>> {
    let start = Instant::now();
    check_settings(settings)?;
    check_samples(samples)?;
    let resolved = resolve(device, samples, settings)?;
    let [of_x, of_y] = resolved.each_ref().map(|resolved| each(&resolved.kernel));
    let both: Vec<[&KernelFunction; 2]> =
        of_x.iter().flat_map(|k| of_y.iter().map(move |l| [k, l])).collect();
    let mut warnings: Vec<String> = resolved.iter().flat_map(|resolved| resolved.warnings.clone()).collect();
    let mut pairs = 0.0;
    let mut members = Vec::with_capacity(both.len());
    if settings.common.null == Null::Wild {
        let means = means(device, samples, [&of_x, &of_y], settings)?;
        let drawn = wild_draws(device, samples, &both, settings, progress)?;
        for (index, drawn) in drawn.into_iter().enumerate() {
            pairs += drawn.evaluations;
            let size = means.get(index).map_or(drawn.size, |mean| mean.abs());
            let (values, unit) = (drawn.values, drawn.unit);
            members.push(Member { kernels: both[index].to_vec(), values, tie: drawn.tie * size, unit });
            warnings.extend(drawn.warning.filter(|warning| !warnings.contains(warning)));
        }
    } else {
        for (index, kernels) in both.iter().enumerate() {
            let mut part = |done: f64| progress((index as f64 + done) / both.len() as f64);
            let draws = settings.common.permutations + 1;
            let order = |draw| null::order(samples[0].len(), settings.common.seed, draw);
            let sums = HsicSums::new(device, samples, *kernels, &order, draws, &mut part)?;
            pairs += sums.evaluations;
            let (values, tie, unit) = (sums.biased(), sums.tie(), sums.unit());
            members.push(Member { kernels: kernels.to_vec(), values, tie, unit });
            warnings.extend(sums.warning().filter(|warning| !warnings.contains(warning)));
        }
    }
    let Combined { p, rows, values } =
        combine(&members, Scaled::Agg, "hsic", &settings.common, distinct(samples, settings, None));
    let [x, y] = [0, 1].map(|which| Variable::new(samples[which].d, &resolved[which]));
    let found = AggregateIndependence { n: samples[0].len(), x, y, kernels: rows };
    let budget = settings.common.budget;
    Ok(Outcome { budget, warnings, ..Outcome::new(start, p, values, pairs, found) })
}

/// The product of the kernels' means for each pair of them; none with a budget, where nothing may take all pairs.
fn means(
    device: &Device,
    samples: [Sample<'_>; 2],
    kernels: [&[KernelFunction]; 2],
    settings: &IndependenceSettings,
) -> Result<Vec<f64>> {
    if settings.common.budget.is_some() {
        return Ok(Vec::new());
    }
    let of = |which: usize| -> Result<Vec<f64>> {
        kernels[which].iter().map(|kernel| mean(device, samples[which], kernel)).collect()
    };
    let (of_x, of_y) = (of(0)?, of(1)?);
    Ok(of_x.iter().flat_map(|a| of_y.iter().map(move |b| a * b)).collect())
}

/// The mean of a kernel over all pairs of different points.
fn mean(device: &Device, sample: Sample<'_>, kernel: &KernelFunction) -> Result<f64> {
    let gram = Gram::new(device, [sample, sample.first(0)], kernel, &Request::None, false, &mut |_| Ok(()))?;
    let n = sample.len() as f64;
    Ok(gram.k.iter().map(|k| k[0]).sum::<f64>() / (n * (n - 1.0)))
}

/// The test with many pairs of kernels, as [`power`](mod@super::super::power) repeats it.
#[derive(Clone, Debug)]
pub struct ManyPairs(pub IndependenceSettings);

impl From<&KernelChoice> for ManyPairs {
    fn from(choice: &KernelChoice) -> Self {
        let settings = IndependenceSettings::from(choice);
        Self(match choice.bandwidth {
            Some(_) => settings,
            None => IndependenceSettings { bandwidths: settings.families.map(bandwidths), ..settings },
        })
    }
}

impl Test for ManyPairs {
    fn check(&self) -> Result<()> {
        check_settings(&self.0)
    }

    fn families(&self) -> &[Family] {
        &self.0.families
    }

    fn words(&self) -> String {
        let IndependenceSettings { families, common, .. } = &self.0;
        format!("Agg, {families:?}, {:?}, {} draws", common.null, common.permutations)
    }

    fn p_value(&self, device: &Device, trial: &Trial<'_>) -> Result<PValue> {
        let common = Common { seed: trial.seed, ..self.0.common };
        let settings = IndependenceSettings { common, ..self.0.clone() };
        Ok(aggregate(device, trial.samples, &settings, &mut |_| Ok(()))?.p)
    }
}
