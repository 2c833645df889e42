//! Aggregated tests: many kernels and bandwidths in one test, so that none has to be chosen. Here that of two samples;
//! [`independence`] and [`fit`] are the others, and all are combined in the same way ([`Combine`]).
//!
//! `agg` for two samples is the multiple test of Schrab, Kim, Albert, Laurent, Guedj, Gretton, "MMD aggregated two-sample
//! test", JMLR 2023, with uniform weights. `fuse` is Biggs, Schrab, Gretton, "MMD-FUSE: learning and combining kernels
//! for two-sample testing without data splitting", NeurIPS 2023, with N_k = sum over all pairs of k^2 / (n (n - 1)), n the
//! smaller sample. Its text has lambda = sqrt(n (n - 1)); the authors' program, from which the published rates are, has the
//! square of that, and so has this: the statistic is then nearly the largest M / sqrt(N_k).
//!
//! With a budget R the wild bootstrap's sums are those over near pairs, and n (n - 1) is everywhere twice their number, 2
//! sum over r = 1..=R of n - r: incomplete U-statistics (Schrab, Kim, Guedj, Gretton, "Efficient aggregated kernel tests
//! using incomplete U-statistics", NeurIPS 2022). [`independence`] and [`fit`] have budgets too.

mod combine;
pub mod fit;
pub mod independence;

pub use combine::{Combine, KernelRow};

use super::bandwidth::distance_quantiles;
use super::gram::{Gram, Labels, grams, near_pairs};
use super::null;
use super::p_value::{Distinct, PValue};
use super::points::Points;
use super::test::{Common, KernelChoice, Null, Outcome, Test, Trial};
use super::two_sample::{check_samples, check_sizes, estimates, mixed, statistics};
use super::{Bandwidth, KernelFunction, Sample};
use crate::engine::Device;
use crate::error::{Error, Kind, Result};
use crate::kernel::pairs::{Family, UNLIMITED};
use combine::{Combined, Member, Scaled, combine};
use serde::Serialize;
use std::f64::consts::FRAC_1_SQRT_2;
use std::time::Instant;

/// Bandwidths of each family if none are given.
const BANDWIDTHS: usize = 10;

/// These reach from half of this quantile of the distances to twice that of 1 minus it (Biggs et al. 2023, section 5).
const QUANTILE: f64 = 0.05;

/// The nulls of aggregated tests of two samples.
const NULLS: [(Null, &str); 2] = [
    (Null::Exact, "Permute the points: exact level if rows are independent"),
    (Null::Wild, "Swap pairs of points at random, for samples of one size"),
];

/// Settings of the aggregated test of two samples.
#[derive(Clone, Debug)]
pub struct AggregateSettings {
    /// Families of kernels, each with all bandwidths.
    pub families: Vec<Family>,
    /// Bandwidths, each a kernel of its own; ten between the smallest and the largest distances if none are given.
    pub bandwidth: Option<Bandwidth>,
    /// How the kernels are combined.
    pub combine: Combine,
    /// Draws, level and seed.
    pub common: Common,
}

impl Default for AggregateSettings {
    fn default() -> Self {
        Self {
            families: vec![Family::Gaussian, Family::Laplace],
            bandwidth: None,
            combine: Combine::Agg,
            common: Common { permutations: 1999, ..Common::default() },
        }
    }
}

/// The result of an aggregated test of two samples; its statistic is T_0.
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
    /// One per kernel: MMD^2 is unbiased; for the wild bootstrap without k(`x_i`, `y_i`).
    pub kernels: Vec<KernelRow>,
    /// Where the bandwidths come from.
    pub bandwidth_rule: String,
}

/// Whether two samples come from one distribution, by many kernels at once.
///
/// `progress` is called with the fraction that is done; its error ends the work, and is given back.
///
/// # Errors
/// If the samples or settings do not fit together, or the device fails.
pub fn aggregate(
    device: &Device,
    [x, y]: [Sample<'_>; 2],
    settings: &AggregateSettings,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Outcome<Aggregate>> {
    let start = Instant::now();
    settings.check()?;
    check_samples([x, y])?;
    let Common { permutations, null, budget, seed, .. } = settings.common;
    if null == Null::Wild {
        check_sizes([x, y])?;
    }
    // Near pairs must be a random choice: files are often in some order.
    let mixed = budget.map(|_| [mixed(x, seed, 0), mixed(y, seed, 1)]);
    let [x, y] = match &mixed {
        Some(values) => [0, 1].map(|which| Sample::new(x.d, &values[which])),
        None => [x, y],
    };
    let (kernels, bandwidth_rule, mut warnings) = kernels(device, [x, y], settings)?;
    let (n, total) = (x.len(), permutations + 1);
    let (labels, distinct) = match null {
        Null::Wild => (null::rademacher(n, seed, total), Distinct::signs(n)),
        _ => (null::permutations([n, y.len()], seed, 0, total), Distinct::choices([n, y.len()])),
    };
    let (mut pairs, mut members, mut scales) = (0.0, Vec::new(), Vec::new());
    let drawn = draws(device, [x, y], &kernels, &labels, &settings.common, progress)?;
    for (drawn, kernel) in drawn.into_iter().zip(&kernels) {
        pairs += drawn.evaluations;
        scales.push(drawn.squares.sqrt());
        let tie = drawn.tie * drawn.mean.abs();
        members.push(Member { kernels: vec![kernel], values: drawn.values, tie, unit: drawn.unit });
        warnings.extend(drawn.warning.filter(|warning| !warnings.contains(warning)));
    }
    let taken = 2.0 * near_pairs(x.len().min(y.len()) as f64, budget.unwrap_or(UNLIMITED));
    let scaled = match settings.combine {
        Combine::Agg => Scaled::Agg,
        Combine::Fuse => Scaled::Fuse { lambda: taken, scales: &scales },
    };
    let Combined { p, rows, values } = combine(&members, scaled, "mmd2", &settings.common, distinct);
    let (m, d, combine) = (y.len(), x.d, settings.combine);
    let found = Aggregate { n, m, d, combine, kernels: rows, bandwidth_rule };
    Ok(Outcome { budget, warnings, ..Outcome::new(start, p, values, pairs, found) })
}

/// The p-value of [`Combine::Agg`] for statistics that were found elsewhere: for each kernel the observed one and then
/// the draws, which are the same for all.
///
/// # Errors
/// If there are no kernels, not as many values of each, or too few draws to reject.
pub fn agg(values: Vec<Vec<f64>>, null: Null, alpha: f64) -> Result<PValue> {
    let total = values.first().map_or(0, Vec::len);
    if values.iter().any(|values| values.len() != total) || total == 0 {
        return Err(Error::usage("an aggregated test needs kernels with as many values of each"));
    }
    let common = Common { permutations: total - 1, null, alpha, ..Common::default() };
    combine::check(&common, "an aggregated test", &[(null, "")])?;
    let member = |values| Member { kernels: Vec::new(), values, tie: 0.0, unit: 1.0 };
    let members: Vec<Member<'_>> = values.into_iter().map(member).collect();
    Ok(combine(&members, Scaled::Agg, "", &common, Distinct::ENDLESS).p)
}

impl AggregateSettings {
    /// Whether the settings alone are possible.
    ///
    /// # Errors
    /// If no draws or no kernels are wanted, or the level makes no sense.
    pub fn check(&self) -> Result<()> {
        if self.families.is_empty() {
            return Err(Error::usage("an aggregated test needs at least one kernel"));
        }
        combine::check(&self.common, "--aggregate", &NULLS)
    }
}

/// All kernels, where their bandwidths come from, and warnings.
fn kernels(
    device: &Device,
    samples: [Sample<'_>; 2],
    settings: &AggregateSettings,
) -> Result<(Vec<KernelFunction>, String, Vec<String>)> {
    let (mut kernels, mut warnings) = (Vec::new(), Vec::new());
    let steps = match settings.combine {
        Combine::Agg => "ratios",
        Combine::Fuse => "steps",
    };
    let mut rule = format!(
        "{BANDWIDTHS} at equal {steps} from half the 5 % quantile of the distances to twice the 95 % quantile"
    );
    for &family in &settings.families {
        if settings.bandwidth.is_none() && !family.without_bandwidth() {
            let [low, high] = distance_quantiles(
                device,
                samples,
                family,
                settings.common.seed,
                [QUANTILE, 1.0 - QUANTILE],
            )?;
            if high <= 0.0 {
                return Err(
                    Kind::Samples("nearly all points coincide: there is nothing to compare".into()).into()
                );
            }
            let range = [(0.5 * low).max(1e-3 * high), 2.0 * high];
            let bandwidths = published_bandwidths(settings.combine, family, range);
            kernels.extend(bandwidths.map(|bandwidth| KernelFunction::new(family, bandwidth)));
            continue;
        }
        let bandwidth =
            settings.bandwidth.clone().filter(|_| !family.without_bandwidth()).unwrap_or_default();
        let resolved = bandwidth.resolve(device, samples, family, true, settings.common.seed)?;
        warnings.extend(resolved.warnings);
        rule = resolved.rule;
        kernels.extend(each(&resolved.kernel));
    }
    Ok((kernels, rule, warnings))
}

/// The bandwidths of a family as the authors' programs have them: for `agg` a geometric sequence, of exp(-|d|^2 / b^2);
/// for `fuse` an arithmetic one, of exp(-sqrt(2) |d|_1 / b).
fn published_bandwidths(
    combine: Combine,
    family: Family,
    [low, high]: [f64; 2],
) -> impl Iterator<Item = f64> {
    (0..BANDWIDTHS).map(move |i| {
        let share = i as f64 / (BANDWIDTHS - 1) as f64;
        match (combine, family) {
            (Combine::Agg, Family::Gaussian) => low * (high / low).powf(share) * FRAC_1_SQRT_2,
            (Combine::Agg, _) => low * (high / low).powf(share),
            (Combine::Fuse, Family::Laplace) => (low + (high - low) * share) * FRAC_1_SQRT_2,
            (Combine::Fuse, _) => low + (high - low) * share,
        }
    })
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
struct KernelDraws {
    /// MMD^2 of each draw.
    values: Vec<f64>,
    /// N_k.
    squares: f64,
    /// Mean value of the kernel, or of its size.
    mean: f64,
    evaluations: f64,
    /// What the values are to be multiplied by to be in the data's units.
    unit: f64,
    /// Values that differ by less than this share of the mean are equal.
    tie: f64,
    warning: Option<String>,
}

/// The statistics of each kernel; those of one family share their points.
fn draws(
    device: &Device,
    samples: [Sample<'_>; 2],
    kernels: &[KernelFunction],
    labels: &Labels,
    common: &Common,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Vec<KernelDraws>> {
    let mut all = Vec::with_capacity(kernels.len());
    let alike =
        |a: &KernelFunction, b: &KernelFunction| a.family == b.family && a.coordinates == b.coordinates;
    for family in kernels.chunk_by(alike) {
        let (first, total) = (all.len() as f64, kernels.len() as f64);
        let mut part = |done: f64| progress((first + done * family.len() as f64) / total);
        all.extend(draws_of_family(device, samples, family, labels, common, &mut part)?);
    }
    Ok(all)
}

fn draws_of_family(
    device: &Device,
    [x, y]: [Sample<'_>; 2],
    kernels: &[KernelFunction],
    labels: &Labels,
    common: &Common,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Vec<KernelDraws>> {
    let all: Vec<&KernelFunction> = kernels.iter().collect();
    // One item for (x_i, y_i): a draw swaps some of them, which turns the signs of their rows around.
    let paired = common.null == Null::Wild;
    let points =
        if paired { Points::paired(x, y, &all)?.within(common.budget) } else { Points::new(x, y, &all)? };
    let size = x.len().min(y.len()) as f64;
    let drawn = |(gram, kernel): (Gram, &KernelFunction)| {
        let (unit, tie, warning) = (gram.unit, gram.tie(), gram.warning());
        let squares: f64 = gram.k2.iter().flatten().sum();
        if paired {
            let pairs = 2.0 * gram.evaluations;
            let values = null::signed_sums(&gram, labels).map(|sum| sum / pairs).collect();
            let (squares, evaluations) = (squares / pairs, 4.0 * gram.evaluations);
            return KernelDraws { values, squares, mean: squares.sqrt(), evaluations, unit, tie, warning };
        }
        KernelDraws {
            values: statistics(&gram, labels, None),
            squares: squares / (size * (size - 1.0)),
            mean: estimates(&gram, kernel).mean_kernel,
            evaluations: gram.evaluations,
            unit,
            tie,
            warning,
        }
    };
    let grams = grams(device, &points, &all, &[], labels, progress)?;
    Ok(grams.into_iter().zip(kernels).map(drawn).collect())
}

impl From<&KernelChoice> for AggregateSettings {
    fn from(choice: &KernelChoice) -> Self {
        let own = Self::default();
        let families = if choice.kernels.is_empty() { own.families } else { choice.kernels.clone() };
        let common = choice.common(own.common);
        Self { families, bandwidth: choice.bandwidth.clone(), common, ..own }
    }
}

impl Test for AggregateSettings {
    fn check(&self) -> Result<()> {
        self.check()
    }

    fn families(&self) -> &[Family] {
        &self.families
    }

    fn words(&self) -> String {
        let Self { combine, families, common, .. } = self;
        format!("{combine:?}, {families:?}, {} permutations", common.permutations)
    }

    fn p_value(&self, device: &Device, trial: &Trial<'_>) -> Result<PValue> {
        let settings = Self { common: Common { seed: trial.seed, ..self.common }, ..self.clone() };
        Ok(aggregate(device, trial.samples, &settings, &mut |_| Ok(()))?.p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hand-computed: from 1 to 512 there are nine ratios of 2 and nine steps of 511 / 9.
    #[test]
    fn bandwidths_are_the_published_ones() {
        let of = |combine, family| {
            let all: Vec<f64> = published_bandwidths(combine, family, [1.0, 512.0]).collect();
            assert_eq!(all.len(), 10);
            [all[0], all[3], all[9]]
        };
        let near = |found: [f64; 3], wanted: [f64; 3]| {
            assert!(
                found.iter().zip(wanted).all(|(f, w)| (f / w - 1.0).abs() < 1e-12),
                "{found:?}, {wanted:?}"
            );
        };
        let root = 0.5f64.sqrt();
        near(of(Combine::Agg, Family::Laplace), [1.0, 8.0, 512.0]);
        near(of(Combine::Agg, Family::Gaussian), [root, 8.0 * root, 512.0 * root]);
        near(of(Combine::Fuse, Family::Gaussian), [1.0, 1.0 + 511.0 / 3.0, 512.0]);
        near(of(Combine::Fuse, Family::Laplace), [root, (1.0 + 511.0 / 3.0) * root, 512.0 * root]);
    }
}
