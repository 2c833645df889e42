//! The two-sample test: do X and Y come from one distribution?
//!
//! ```text
//! MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y)
//!
//! biased     mean over all pairs, a point with itself included: the lecture's formula, never negative
//! unbiased   S_A / (n (n - 1)) + S_B / (m (m - 1)) - 2 S_C / (n m), with the sums over pairs of different points
//!            of X, of Y, and of both: negative about as often as not when there is no difference
//! linear     mean of k(x_1, x_2) + k(y_1, y_2) - k(x_1, y_2) - k(x_2, y_1) over disjoint pairs of points
//! ```
//!
//! Gretton, Borgwardt, Rasch, Schölkopf, Smola, "A kernel two-sample test", JMLR 2012.

use super::bandwidth::Resolved;
use super::gram::{Gram, Labels, Request};
use super::interval;
use super::null;
use super::p_value::{Distinct, PValue};
use super::series::{self, Blocks};
use super::split;
use super::test::{Common, KernelChoice, NamedKernel, Null, Outcome, Test, Trial};
use super::{Bandwidth, KernelFunction, Sample};
use crate::engine::Device;
use crate::error::{Error, Kind, Result};
use crate::kernel::pairs::{Family, Form, MOST_POINTS};
use crate::random::{Sequence, Stream};
use serde::Serialize;
use std::time::Instant;

/// The nulls of the two-sample test.
pub const NULLS: [(Null, &str); 4] = [
    (Null::Exact, "Permute the points: exact level if rows are independent"),
    (
        Null::Binned,
        "Permute bins of points: exact level too if rows are independent, and hardly more work than the estimate itself",
    ),
    (Null::Wild, "Swap pairs of points at random, for samples of one size (wild bootstrap)"),
    (Null::Series, "Permute blocks of consecutive rows, for rows that depend on those before: never exact"),
];

/// A mean kernel value this close to 0 or 1 means that the kernel sees no structure.
const COLLAPSED: f64 = 1e-6;

/// Draws between two looks at the decision, with [`TwoSampleSettings::sequential`].
const LOOK: usize = 100;

/// About how many bins the binned null makes of both samples.
pub(super) const BINS: usize = 512;

/// Most bins of both samples that are made for the sake of a far smaller one: a table of 128 MiB.
const MOST_BINS: usize = 4096;

/// Bins of a sample that the binned null needs at least, for enough different permutations.
const LEAST_BINS: usize = 8;

/// Settings of the two-sample test.
#[derive(Clone, Debug, Default)]
pub struct TwoSampleSettings {
    /// The kernel's family.
    pub family: Family,
    /// Its bandwidths.
    pub bandwidth: Bandwidth,
    /// Several bandwidths: the sum of their kernels instead of the mean.
    pub sum: bool,
    /// Several bandwidths: choose one by half of the points, and test with the other half. A single multiple of a rule
    /// becomes eleven.
    pub split: bool,
    /// Points of a bin of [`Null::Binned`], instead of a number that makes about 512 bins, and at least 8 of the smaller
    /// sample.
    pub bin: Option<usize>,
    /// Rows of a block of [`Null::Series`], instead of a number by the autocorrelation: see [`super::series`].
    pub block_length: Option<usize>,
    /// Stop drawing when the decision is certain.
    pub sequential: bool,
    /// Draws, level and seed; a budget is for [aggregated tests](super::aggregate) only.
    pub common: Common,
}

/// The estimates of MMD^2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimates {
    /// Unbiased.
    pub unbiased: f64,
    /// Biased.
    pub biased: f64,
    /// Of the unbiased estimate; itself an unbiased estimate, which may be negative for small samples. NaN below
    /// four points.
    pub variance: f64,
    /// Mean kernel value over pairs of different points of both samples.
    pub mean_kernel: f64,
}

/// The result of a two-sample test; its statistic is the unbiased estimate, for the wild bootstrap the one without
/// k(`x_i`, `y_i`), and for series the biased one.
#[derive(Clone, Debug, Serialize)]
pub struct TwoSample {
    /// Points of X.
    pub n: usize,
    /// Points of Y.
    pub m: usize,
    /// Coordinates.
    pub d: usize,
    /// The kernel.
    #[serde(flatten)]
    pub kernel: NamedKernel,
    /// Unbiased estimate of MMD^2.
    pub mmd2_unbiased: f64,
    /// Biased estimate, the lecture's formula.
    pub mmd2_biased: f64,
    /// Linear-time estimate, and its standard error.
    pub mmd2_linear: f64,
    /// Standard error of the linear-time estimate.
    pub linear_standard_error: f64,
    /// Variance of the unbiased estimate.
    pub variance: Option<f64>,
    /// Confidence interval of MMD^2 at level 1 - alpha, whether or not there is a difference: see the file `interval.rs`.
    /// None below 50 points of a sample, with too few draws, and for series.
    pub confidence_interval: Option<[f64; 2]>,
    /// Mean kernel value over pairs of different points.
    pub mean_kernel: f64,
    /// Points of a bin, for the binned null.
    pub bin: Option<usize>,
    /// For the series null.
    pub blocks: Option<Blocks>,
    /// Bytes of the engine's buffers.
    pub bytes: usize,
    /// How distances were computed.
    #[serde(skip)]
    pub form: Form,
}

/// Whether two samples come from one distribution.
///
/// `progress` is called with the fraction that is done; its error ends the work, and is given back.
///
/// # Errors
/// If the samples or settings do not fit together, or the device fails.
pub fn two_sample(
    device: &Device,
    [x, y]: [Sample<'_>; 2],
    settings: &TwoSampleSettings,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Outcome<TwoSample>> {
    let start = Instant::now();
    settings.check()?;
    check_samples([x, y])?;
    if settings.common.null == Null::Wild {
        check_sizes([x, y])?;
    }
    if settings.split {
        return with_chosen_bandwidth(device, [x, y], settings, progress);
    }
    let PairParts { size, blocks, values: parts, mut warnings } = PairParts::new([x, y], settings)?;
    let [x, y] = match &parts {
        Some(values) => [0, 1].map(|which| Sample::new(x.d, &values[which])),
        None => [x, y],
    };
    let resolved =
        settings.bandwidth.resolve(device, [x, y], settings.family, !settings.sum, settings.common.seed)?;
    let drawn = match size {
        Some(size) => {
            let gram = Gram::new(device, [x, y], &resolved.kernel, &Request::Bins(size), false, progress)?;
            Draws::of_bins(gram, &resolved.kernel, (size, blocks), &settings.common)
        }
        None => label_draws(device, [x, y], &resolved.kernel, settings, progress)?,
    };
    let linear = linear([x, y], &resolved.kernel, drawn.gram.unit);
    let outcome = drawn.outcome(start, x.d, &resolved, linear, &settings.common, (size, blocks));
    warnings.extend(outcome.warnings);
    Ok(Outcome { warnings, ..outcome })
}

impl TwoSample {
    fn new(
        d: usize,
        named: NamedKernel,
        estimates: &Estimates,
        (mmd2_linear, linear_standard_error): (f64, f64),
        gram: &Gram,
    ) -> Self {
        let [n, m] = gram.counts;
        Self {
            n,
            m,
            d,
            kernel: named,
            mmd2_unbiased: estimates.unbiased,
            mmd2_biased: estimates.biased,
            mmd2_linear,
            linear_standard_error,
            variance: estimates.variance.is_finite().then_some(estimates.variance),
            confidence_interval: None,
            mean_kernel: estimates.mean_kernel,
            bin: None,
            blocks: None,
            bytes: gram.bytes,
            form: gram.form,
        }
    }

    /// With all estimates in the data's units, from those in the pass's.
    fn times(self, unit: f64) -> Self {
        Self {
            mmd2_unbiased: self.mmd2_unbiased * unit,
            mmd2_biased: self.mmd2_biased * unit,
            mmd2_linear: self.mmd2_linear * unit,
            linear_standard_error: self.linear_standard_error * unit,
            variance: self.variance.map(|variance| variance * unit * unit),
            confidence_interval: self.confidence_interval.map(|interval| interval.map(|end| end * unit)),
            mean_kernel: self.mean_kernel * unit,
            ..self
        }
    }
}

/// The test of half of the points, with the bandwidth that the other half chose.
fn with_chosen_bandwidth(
    device: &Device,
    [x, y]: [Sample<'_>; 2],
    settings: &TwoSampleSettings,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Outcome<TwoSample>> {
    let start = Instant::now();
    let (family, seed) = (settings.family, settings.common.seed);
    let [of_x, of_y] = [split::halves(x, seed, 0)?, split::halves(y, seed, 1)?];
    let half = |which: usize| [Sample::new(x.d, &of_x[which]), Sample::new(y.d, &of_y[which])];
    let criterion = |kernel: &KernelFunction| split::of_two_samples(device, half(0), kernel);
    let chosen = split::choose(device, half(0), family, &settings.bandwidth, seed, criterion)?;
    let bandwidth = Bandwidth::Values(chosen.kernel.bandwidths);
    let settings = TwoSampleSettings { bandwidth, split: false, ..settings.clone() };
    let mut test = two_sample(device, half(1), &settings, progress)?;
    test.found.kernel.bandwidth_rule = chosen.rule;
    test.warnings.splice(0..0, chosen.warnings);
    test.seconds = start.elapsed().as_secs_f64();
    Ok(test)
}

impl TwoSampleSettings {
    /// Whether the settings alone are possible.
    ///
    /// # Errors
    /// If no draws are wanted, or the level or a bandwidth makes no sense.
    pub fn check(&self) -> Result<()> {
        Common { budget: None, ..self.common }.check("the two-sample test", &NULLS)?;
        let series = self.common.null == Null::Series;
        series::check_length(self.block_length, series)?;
        if series && self.split {
            return Err(Error::usage(
                "--split takes a random half of the rows, which breaks their order; leave it out with --null series",
            ));
        }
        if self.bin == Some(0) {
            return Err(Error::usage("a bin has at least one point"));
        }
        if self.split {
            split::candidates(&self.bandwidth, self.family)?;
        }
        check_no_budget(&self.common)
    }
}

/// Tests of two samples with one kernel take all pairs.
pub(super) fn check_no_budget(common: &Common) -> Result<()> {
    match common.budget {
        Some(_) => Err(Error::usage(
            "--budget is for aggregated tests of two samples; add --aggregate agg --null wild",
        )),
        None => Ok(()),
    }
}

/// Whether the points of two samples can be paired.
pub(super) fn check_sizes([x, y]: [Sample<'_>; 2]) -> Result<()> {
    if x.len() == y.len() {
        return Ok(());
    }
    Err(Kind::Samples(format!(
        "the wild bootstrap needs samples of one size, but X has {} points and Y has {}; use --null exact",
        x.len(),
        y.len()
    ))
    .into())
}

/// Whether two samples can be compared.
///
/// # Errors
/// If they have other columns, or too few points.
pub fn check_samples([x, y]: [Sample<'_>; 2]) -> Result<()> {
    let message = if x.d != y.d {
        format!("X has {} columns and Y has {}; both samples must have the same ones", x.d, y.d)
    } else if x.len() < 2 || y.len() < 2 {
        format!("X has {} points and Y has {}; the test needs at least two of each", x.len(), y.len())
    } else {
        return Ok(());
    };
    Err(Kind::Samples(message).into())
}

/// A random order of the rows of a sample.
fn random_order(count: usize, seed: u64, which: u32) -> Vec<usize> {
    Sequence::new(seed, Stream::Bins, which).order(count)
}

/// The points of a sample in random order.
pub(super) fn mixed(sample: Sample<'_>, seed: u64, which: u32) -> Vec<f64> {
    sample.choice(&random_order(sample.len(), seed, which))
}

/// What is permuted as a whole.
struct PairParts {
    /// Points of a bin or block, if that is not one.
    size: Option<usize>,
    /// If they are blocks.
    blocks: Option<Blocks>,
    /// Whole bins or blocks of both samples, if so.
    values: Option<[Vec<f64>; 2]>,
    warnings: Vec<String>,
}

impl PairParts {
    fn new(samples: [Sample<'_>; 2], settings: &TwoSampleSettings) -> Result<Self> {
        let counts = samples.map(|sample| sample.len());
        match settings.common.null {
            Null::Binned => {
                let Bins { size, rows, warnings } = Bins::new(counts, settings.bin, settings.common.seed)?;
                let values = [0, 1].map(|which| samples[which].choice(&rows[which]));
                Ok(Self { size: Some(size), blocks: None, values: Some(values), warnings })
            }
            Null::Series => {
                let phi = samples.map(series::phi).into_iter().fold(0.0, f64::max);
                let blocks = Blocks::new(counts, phi, settings.block_length)?;
                let size = blocks.length;
                let values = samples.map(|sample| series::whole_blocks(sample, size).values.to_vec());
                let left_out = counts.iter().map(|count| count % size).sum();
                let warnings = series::warnings(counts[0].min(counts[1]), left_out, phi);
                Ok(Self { size: Some(size), blocks: Some(blocks), values: Some(values), warnings })
            }
            _ => Ok(Self { size: None, blocks: None, values: None, warnings: Vec::new() }),
        }
    }
}

/// What the binned null permutes.
pub(super) struct Bins {
    /// Points of a bin.
    pub(super) size: usize,
    /// The rows of each sample, bin after bin: in random order, as files are often in some order.
    pub(super) rows: [Vec<usize>; 2],
    pub(super) warnings: Vec<String>,
}

impl Bins {
    pub(super) fn new(counts: [usize; 2], wanted: Option<usize>, seed: u64) -> Result<Self> {
        let size = bin_size(counts, wanted)?;
        let left_out: usize = counts.iter().map(|count| count % size).sum();
        let warning = format!("{left_out} points that fill no whole bin are left out");
        let warnings = if left_out > 0 { vec![warning] } else { Vec::new() };
        let rows = [0, 1].map(|which| {
            let mut rows = random_order(counts[which], seed, which as u32);
            rows.truncate(counts[which] / size * size);
            rows
        });
        Ok(Self { size, rows, warnings })
    }
}

/// Points of a bin: as asked for, or so that there are about [`BINS`] bins, and [`LEAST_BINS`] of the smaller sample;
/// beyond a block, whole blocks.
fn bin_size(counts: [usize; 2], wanted: Option<usize>) -> Result<usize> {
    let (total, fewest) = (counts.iter().sum::<usize>(), counts[0].min(counts[1]));
    let size = wanted.unwrap_or_else(|| {
        let size = total.div_ceil(BINS);
        size.min(fewest / LEAST_BINS).max(total.div_ceil(MOST_BINS))
    });
    let size = size.max(1);
    let size = if size > MOST_POINTS { size.next_multiple_of(MOST_POINTS) } else { size };
    if fewest / size < LEAST_BINS.min(fewest) {
        return Err(Kind::Samples(format!(
            "bins of {size} points leave only {} in the smaller sample; use smaller bins or --null exact",
            fewest / size
        ))
        .into());
    }
    Ok(size)
}

/// A kernel that is 1 or 0 everywhere tells nothing.
pub(super) fn collapse(kernel: &KernelFunction, mean: f64) -> Option<String> {
    let top = kernel.at_zero();
    if kernel.family == Family::Energy {
        None
    } else if mean < COLLAPSED * top {
        Some(format!(
            "the kernel is nearly 0 between all points (mean {mean:.1e}): the bandwidth is too small, and the test \
             sees nothing; use a larger --bandwidth"
        ))
    } else if mean > (1.0 - COLLAPSED) * top {
        Some(
            "the kernel is nearly 1 between all points: the bandwidth is too large, or the points coincide; use a \
             smaller --bandwidth"
                .into(),
        )
    } else {
        None
    }
}

/// What a pass over the pairs gave.
pub(super) struct Draws {
    gram: Gram,
    /// The statistic, and then its draws.
    values: Vec<f64>,
    /// The observed difference of the mean embeddings times that of each draw; first itself, the biased estimate.
    along: Vec<f64>,
    /// Values that differ by less are equal.
    tie: f64,
}

impl Draws {
    fn new(gram: Gram, kernel: &KernelFunction, values: Vec<f64>, along: Vec<f64>) -> Self {
        let tie = tie(&gram, kernel);
        Self { gram, values, along, tie }
    }

    /// Of permutations, all at once.
    pub(super) fn of_labels(gram: Gram, kernel: &KernelFunction, labels: &Labels) -> Self {
        let (values, along) = (statistics(&gram, labels, None), along(&gram, kernel, labels));
        Self::new(gram, kernel, values, along)
    }

    /// With what sums rounded that were made in another way.
    pub(super) fn with_tie(self, tie: f64) -> Self {
        Self { tie, ..self }
    }

    /// Of bins, or blocks.
    pub(super) fn of_bins(
        gram: Gram,
        kernel: &KernelFunction,
        (bin, blocks): (usize, Option<Blocks>),
        common: &Common,
    ) -> Self {
        let total: f64 = gram.k.iter().map(|k| k[0] + k[1]).sum();
        let witness = witness(&gram, kernel);
        let of_bins: Vec<f64> = witness.chunks_exact(bin).map(|points| points.iter().sum()).collect();
        let all: f64 = of_bins.iter().sum();
        let counts_of_bins = gram.counts.map(|count| count / bin);
        let drawn = null::binned(counts_of_bins, &gram.bins, &of_bins, common.seed, common.permutations + 1);
        let sizes = gram.counts.map(|count| count as f64);
        let mut values: Vec<f64> = drawn.iter().map(|&[q, l, _]| split(sizes, q, l, total)).collect();
        if let Some(blocks) = blocks {
            let top = kernel.at_zero();
            values = drawn.iter().map(|&[q, l, _]| biased(sizes, q, l, total, top)).collect();
            blocks.correct(&mut values);
        }
        let along = drawn.iter().map(|&[_, _, chosen]| project(sizes, chosen, all)).collect();
        Self::new(gram, kernel, values, along)
    }

    /// The test's result, which took from `start` on; `linear` are that estimate and its standard error.
    pub(super) fn outcome(
        self,
        start: Instant,
        d: usize,
        resolved: &Resolved,
        linear: (f64, f64),
        common: &Common,
        (size, blocks): (Option<usize>, Option<Blocks>),
    ) -> Outcome<TwoSample> {
        let Common { permutations, null, alpha, .. } = *common;
        let (kernel, gram) = (&resolved.kernel, &self.gram);
        let estimates = estimates(gram, kernel);
        let mut warnings = resolved.warnings.clone();
        let draws = self.values.len() - 1;
        if draws < permutations {
            warnings.push(format!(
                "stopped after {draws} of {permutations} permutations: the decision at level {alpha} is certain"
            ));
        }
        warnings.extend(collapse(kernel, estimates.mean_kernel));
        warnings.extend(gram.warning());
        let distinct = match null {
            Null::Wild => Distinct::signs(gram.counts[0]),
            _ => Distinct::choices(gram.counts.map(|count| count / size.unwrap_or(1))),
        };
        let p = common.p_value(&self.values, self.tie, distinct);
        let confidence_interval = if null == Null::Series { None } else { self.interval(&p) };
        let found = TwoSample::new(d, NamedKernel::from(resolved), &estimates, linear, gram);
        let bin = if blocks.is_none() { size } else { None };
        let found = TwoSample { bin, blocks, confidence_interval, ..found }.times(gram.unit);
        let values = self.values.iter().map(|value| value * gram.unit).collect();
        Outcome { warnings, ..Outcome::new(start, p, values, gram.evaluations, found) }
    }

    /// The confidence interval of MMD^2, where one is honest.
    fn interval(&self, p: &PValue) -> Option<[f64; 2]> {
        if self.gram.counts.iter().any(|&count| count < interval::LEAST_POINTS) {
            return None;
        }
        let [_, variance] = split::first_order(&self.gram);
        let quotient = variance / (4.0 * self.along[0]);
        let (draws, along) = (&self.values[1..], &self.along[1..]);
        interval::Evidence { observed: self.values[0], draws, along, quotient }.interval(p.alpha, p.reject)
    }
}

/// The difference of the mean embeddings at each point: its mean kernel value with X less that with Y, itself included.
fn witness(gram: &Gram, kernel: &KernelFunction) -> Vec<f64> {
    let [n, m] = gram.counts.map(|count| count as f64);
    let own = |i: usize| if i < gram.counts[0] { kernel.at_zero() / n } else { -kernel.at_zero() / m };
    gram.k.iter().enumerate().map(|(i, k)| k[0] / n - k[1] / m + own(i)).collect()
}

/// The observed difference times that of a labelling: `chosen` is the witness summed over the n points with label 1, `all`
/// that over those of m too.
fn project([n, m]: [f64; 2], chosen: f64, all: f64) -> f64 {
    chosen / n - (all - chosen) / m
}

/// Statistics that differ by less are equal, but for the rounding of their sums.
fn tie(gram: &Gram, kernel: &KernelFunction) -> f64 {
    gram.tie() * estimates(gram, kernel).mean_kernel.abs()
}

/// What [`Draws::along`] holds, of label vectors, which mark the smaller sample.
fn along(gram: &Gram, kernel: &KernelFunction, labels: &Labels) -> Vec<f64> {
    let [n, m] = gram.counts.map(|count| count as f64);
    let (sizes, sign) = if n <= m { ([n, m], 1.0) } else { ([m, n], -1.0) };
    let witness = witness(gram, kernel);
    let all: f64 = witness.iter().sum();
    let chosen = null::dot(labels, gram.counts[0], &witness).into_iter();
    chosen.map(|chosen| sign * project(sizes, chosen, all)).collect()
}

/// The statistics of label vectors: exact permutations or wild signs.
fn label_draws(
    device: &Device,
    [x, y]: [Sample<'_>; 2],
    kernel: &KernelFunction,
    settings: &TwoSampleSettings,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Draws> {
    let Common { permutations, null, seed, .. } = settings.common;
    let counts = [x.len(), y.len()];
    let total = permutations + 1;
    let (mut values, mut products): (Vec<f64>, Vec<f64>) = (Vec::with_capacity(total), Vec::new());
    loop {
        let first = values.len();
        let draws = if settings.sequential { LOOK.min(total - first) } else { total };
        let labels = match null {
            Null::Wild => null::signs(counts[0], seed, first, draws),
            _ => null::permutations(counts, seed, first, draws),
        };
        let share = draws as f64 / total as f64;
        let mut part = |done: f64| progress(first as f64 / total as f64 + share * done);
        let gram = Gram::new(device, [x, y], kernel, &Request::Forms(&labels), false, &mut part)?;
        let trace = (null == Null::Wild).then(|| cross_trace([x, y], kernel) / gram.unit);
        values.extend(statistics(&gram, &labels, trace));
        let tie = tie(&gram, kernel);
        products.extend(along(&gram, kernel, &labels));
        let exceedances = values[1..].iter().filter(|v| **v >= values[0] - tie).count();
        if values.len() == total || certain(exceedances, values.len() - 1, &settings.common) {
            return Ok(Draws::new(gram, kernel, values, products));
        }
    }
}

/// Whether the remaining draws cannot change the decision.
fn certain(exceedances: usize, drawn: usize, common: &Common) -> bool {
    let total = common.permutations;
    let p = |b: usize| (1 + b) as f64 / (1 + total) as f64;
    p(exceedances) > common.alpha || p(exceedances + total - drawn) <= common.alpha
}

/// MMD^2 of each label vector: see [`super::null`]; with `trace`, the sum of k(`x_i`, `y_i`), the one-sample form
/// w'H w / (n (n - 1)) of the wild bootstrap, w = 2 a - 1 on X and its opposite on Y.
pub(super) fn statistics(gram: &Gram, labels: &Labels, trace: Option<f64>) -> Vec<f64> {
    let [n, m] = gram.counts.map(|count| count as f64);
    let r: Vec<f64> = gram.k.iter().map(|k| k[0] + k[1]).collect();
    let total: f64 = r.iter().sum();
    let l = null::dot(labels, gram.counts[0], &r);
    let value = |(&q, l): (&f64, f64)| match trace {
        None => split([n.min(m), n.max(m)], q, l, total),
        Some(trace) => (4.0 * q - 4.0 * l + total + 2.0 * trace) / (n * (n - 1.0)),
    };
    gram.forms.iter().zip(l).map(value).collect()
}

/// The unbiased MMD^2 of a labelling with q = a'K a and l = a'K 1, n points with label 1 and m with 0.
fn split([n, m]: [f64; 2], q: f64, l: f64, total: f64) -> f64 {
    q / (n * (n - 1.0)) + (total - 2.0 * l + q) / (m * (m - 1.0)) - 2.0 * (l - q) / (n * m)
}

/// The biased MMD^2 of a labelling: as [`split`], with k(x, x) of each point.
fn biased([n, m]: [f64; 2], q: f64, l: f64, total: f64, top: f64) -> f64 {
    (q + n * top) / (n * n) + (total - 2.0 * l + q + m * top) / (m * m) - 2.0 * (l - q) / (n * m)
}

/// Sum of k(`x_i`, `y_i`).
fn cross_trace([x, y]: [Sample<'_>; 2], kernel: &KernelFunction) -> f64 {
    (0..x.len().min(y.len())).map(|i| kernel.value(x.point(i), y.point(i))).sum()
}

/// The estimates from the sums of a pass over all pairs, in the pass's units: see [`Gram::unit`].
pub fn estimates(gram: &Gram, kernel: &KernelFunction) -> Estimates {
    let [n, m] = gram.counts.map(|count| count as f64);
    let (x, y) = gram.k.split_at(gram.counts[0]);
    let sum = |points: &[[f64; 2]], class: usize| points.iter().map(|k| k[class]).sum::<f64>();
    let (a, b) = (sum(x, 0), sum(y, 1));
    // The sum over pairs of both samples was rounded twice, in different ways.
    let c = 0.5 * (sum(x, 1) + sum(y, 0));
    let own = |sum: f64, n: f64| (sum + n * kernel.at_zero()) / (n * n);
    Estimates {
        unbiased: a / (n * (n - 1.0)) + b / (m * (m - 1.0)) - 2.0 * c / (n * m),
        biased: own(a, n) + own(b, m) - 2.0 * c / (n * m),
        variance: if n < 4.0 || m < 4.0 { f64::NAN } else { variance(gram) },
        mean_kernel: (a + b + 2.0 * c) / ((n + m) * (n + m - 1.0)),
    }
}

/// Unbiased variance of the unbiased estimate for any n and m: Hoeffding's decomposition with every moment
/// estimated without bias. Products of two means lose a pair of equal indices each time they share a point.
fn variance(gram: &Gram) -> f64 {
    let own = |class| own_variance(gram, class) - 4.0 * covariance(gram, class);
    own(0) + own(1) + 4.0 * cross_variance(gram)
}

/// n (n - 1) .. (n - k + 1).
fn falling(n: f64, k: usize) -> f64 {
    (0..k).map(|i| n - i as f64).product()
}

/// The points of a sample (0 for X, 1 for Y), and their row sums of k and of k^2 with the points of a sample.
fn rows(gram: &Gram, own: usize, other: usize) -> [Vec<f64>; 2] {
    let n = gram.counts[0];
    let range = if own == 0 { 0..n } else { n..n + gram.counts[1] };
    [&gram.k, &gram.k2].map(|sums| sums[range.clone()].iter().map(|sums| sums[other]).collect())
}

fn sum(values: &[f64]) -> f64 {
    values.iter().sum()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Variance of the mean of k over the pairs of one sample. With row sums `a_i`, S their sum, R the sum of their
/// squares and Q the sum of squared entries.
pub(super) fn own_variance(gram: &Gram, class: usize) -> f64 {
    let n = gram.counts[class] as f64;
    let [row_sums, row_squares] = rows(gram, class, class);
    let (s, r, q) = (sum(&row_sums), dot(&row_sums, &row_sums), sum(&row_squares));
    let zeta = (r - q) / falling(n, 3);
    let mean2 = (s * s - 4.0 * r + 2.0 * q) / falling(n, 4);
    let second = q / falling(n, 2);
    4.0 * (n - 2.0) / (n * (n - 1.0)) * (zeta - mean2) + 2.0 / (n * (n - 1.0)) * (second - mean2)
}

/// Variance of the mean of k over the pairs of a point of each sample.
pub(super) fn cross_variance(gram: &Gram) -> f64 {
    let [n, m] = gram.counts.map(|count| count as f64);
    let ([x, x2], [y, y2]) = (rows(gram, 0, 1), rows(gram, 1, 0));
    // Sums over all pairs were rounded twice, in different ways.
    let c = 0.5 * (sum(&x) + sum(&y));
    let (r_rows, r_columns) = (dot(&x, &x), dot(&y, &y));
    let q = 0.5 * (sum(&x2) + sum(&y2));
    let mean2 = (c * c - r_rows - r_columns + q) / (n * (n - 1.0) * m * (m - 1.0));
    ((m - 1.0) * ((r_rows - q) / (n * m * (m - 1.0)) - mean2)
        + (n - 1.0) * ((r_columns - q) / (n * m * (n - 1.0)) - mean2)
        + q / (n * m)
        - mean2)
        / (n * m)
}

/// Covariance of the mean of k over the pairs of one sample and that over the pairs of a point of each.
pub(super) fn covariance(gram: &Gram, class: usize) -> f64 {
    let [n, m] = [class, 1 - class].map(|class| gram.counts[class] as f64);
    let ([own, _], [cross, _]) = (rows(gram, class, class), rows(gram, class, 1 - class));
    let both = dot(&own, &cross);
    let (s, c) = (sum(&own), sum(&cross));
    2.0 / n * (both / (n * (n - 1.0) * m) - (s * c - 2.0 * both) / (n * (n - 1.0) * (n - 2.0) * m))
}

/// The linear-time estimate and its standard error (Gretton et al. 2012, section 6), in some units.
fn linear([x, y]: [Sample<'_>; 2], kernel: &KernelFunction, unit: f64) -> (f64, f64) {
    let pairs = x.len().min(y.len()) / 2;
    let h = |i: usize| {
        let ([x1, x2], [y1, y2]) = ([0, 1].map(|j| x.point(2 * i + j)), [0, 1].map(|j| y.point(2 * i + j)));
        let value = |a: &[f64], b: &[f64]| kernel.value(a, b) / unit;
        value(x1, x2) + value(y1, y2) - value(x1, y2) - value(x2, y1)
    };
    let values: Vec<f64> = (0..pairs).map(h).collect();
    let mean = values.iter().sum::<f64>() / pairs as f64;
    let spread = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
    (mean, (spread / (pairs as f64 * (pairs as f64 - 1.0).max(1.0))).sqrt())
}

/// The unbiased estimate without k(`x_i`, `y_i`), for samples of one size: what the wild bootstrap draws; in the pass's
/// units.
pub fn incomplete(gram: &Gram, [x, y]: [Sample<'_>; 2], kernel: &KernelFunction) -> f64 {
    let n = gram.counts[0] as f64;
    let (of_x, of_y) = gram.k.split_at(gram.counts[0]);
    let own = of_x.iter().map(|k| k[0]).sum::<f64>() + of_y.iter().map(|k| k[1]).sum::<f64>();
    let cross = of_x.iter().map(|k| k[1]).sum::<f64>() - cross_trace([x, y], kernel) / gram.unit;
    (own - 2.0 * cross) / (n * (n - 1.0))
}

impl From<&KernelChoice> for TwoSampleSettings {
    fn from(choice: &KernelChoice) -> Self {
        let bandwidth = choice.bandwidth.clone().unwrap_or_default();
        let common = choice.common(Common::default());
        Self { family: choice.family(), bandwidth, common, ..Self::default() }
    }
}

impl Test for TwoSampleSettings {
    fn check(&self) -> Result<()> {
        self.check()
    }

    fn families(&self) -> &[Family] {
        std::slice::from_ref(&self.family)
    }

    fn words(&self) -> String {
        format!("Rule `{}`, {} permutations", self.bandwidth, self.common.permutations)
    }

    fn p_value(&self, device: &Device, trial: &Trial<'_>) -> Result<PValue> {
        let settings = Self { common: Common { seed: trial.seed, ..self.common }, ..self.clone() };
        Ok(two_sample(device, trial.samples, &settings, &mut |_| Ok(()))?.p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_certain_only_if_no_draw_can_change_it() {
        let common = Common { permutations: 99, ..Common::default() };
        for (exceedances, drawn, expected) in
            [(0, 50, false), (5, 10, true), (4, 98, false), (4, 99, true), (0, 95, true)]
        {
            assert_eq!(certain(exceedances, drawn, &common), expected, "{exceedances} of {drawn}");
        }
    }
}
