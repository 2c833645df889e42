//! Goodness of fit: does a sample come from a model? And which of two models fits better?
//!
//! ```text
//! u(x, x') = s.s' k + s.grad' k + s'.grad k + tr grad grad' k,  s = grad ln p(x)      (the Stein kernel)
//!
//! KSD^2 unbiased   sum over i != j of u(x_i, x_j) / (n (n - 1)), 0 in the mean if the model is right
//! KSD^2 biased     sum over all i, j / n^2, never negative
//! ```
//!
//! Liu, Lee, Jordan, "A kernelized Stein discrepancy for goodness-of-fit tests", ICML 2016; Chwialkowski, Strathmann,
//! Gretton, "A kernel test of goodness of fit", ICML 2016. The model enters by its score alone: no normalising
//! constant and no samples are needed.
//!
//! Draws under the null are w' U w with random signs w (wild bootstrap): one pass over the pairs for all of them. A
//! model whose parameters were fitted to the same sample fits it too well, and that test is too careful; the parametric
//! bootstrap draws samples from the model, and fits each (Key, Gretton, Briol, Fernandez, JMLR 2025). The kernel's
//! bandwidth stays that of the sample, so its level is right to the extent that the rule would choose much the same again.

use super::bandwidth::Resolved;
use super::gram::{Gram, Labels, Request, grams};
use super::null;
use super::p_value::{Distinct, PValue, normal_p_value};
use super::points::Points;
use super::resolution::quantile;
use super::split;
use super::test::{Common, KernelChoice, NamedKernel, Null, Outcome, Test, Trial};
use super::two_sample::mixed;
use super::{Bandwidth, KernelFunction, Sample};
use crate::density::fit::{Fitted, MixtureSettings, gaussian_mixture};
use crate::density::{Density, Scored};
use crate::engine::Device;
use crate::error::{Error, Kind, Result};
use crate::kernel::pair_forms::BITS;
use crate::kernel::pairs::Family;
use crate::random::{Sequence, Stream};
use rayon::prelude::*;
use serde::Serialize;
use std::time::Instant;

/// The nulls of the test of fit.
pub const NULLS: [(Null, &str); 2] = [
    (Null::Wild, "Random signs: one pass for all draws"),
    (Null::Parametric, "Samples of the model, fitted again if it was fitted"),
];

/// Settings of the test of fit.
#[derive(Clone, Debug)]
pub struct FitSettings {
    /// The kernel's family: gaussian or inverse multiquadric.
    pub family: Family,
    /// Its bandwidths.
    pub bandwidth: Bandwidth,
    /// Choose one of them by half of the points, and test with the other half.
    pub split: bool,
    /// Draws, level and seed.
    pub common: Common,
}

impl Default for FitSettings {
    fn default() -> Self {
        let common = Common { null: Null::Wild, ..Common::default() };
        Self { family: Family::default(), bandwidth: Bandwidth::default(), split: false, common }
    }
}

/// Draws of the parametric bootstrap that are made side by side.
const TOGETHER: usize = 16;

/// Which random order a budget's pairs are near in.
const MIXED: u32 = 3;

/// Fits a model to a sample, with a seed.
pub type Refit<'a> = dyn Fn(Sample<'_>, u64) -> Result<Box<dyn Density>> + Sync + 'a;

/// A model that may be right.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// Its name in results.
    pub name: &'a str,
    /// The model.
    pub density: &'a dyn Density,
    /// How it was fitted to the sample, if it was.
    pub refit: Option<&'a Refit<'a>>,
}

/// A model that a user names: given, or fitted to the sample.
#[derive(Debug)]
pub struct NamedModel {
    /// Its name in results.
    pub name: String,
    /// A warning if it was fitted and collapsed.
    pub collapsed: Option<String>,
    density: Box<dyn Density>,
    /// K, if it was fitted.
    components: Option<usize>,
}

impl NamedModel {
    /// A model that is given.
    pub fn new(name: String, density: Box<dyn Density>) -> Self {
        Self { name, density, components: None, collapsed: None }
    }

    /// `gaussian:K`, a mixture fitted to the sample; and a sentence about the fit.
    ///
    /// # Errors
    /// If it has another name, or cannot be fitted.
    pub fn fitted(text: &str, sample: Sample<'_>, seed: u64) -> Result<(Self, String)> {
        let components = components(text)?;
        let fitted = mixture(sample, components, seed)?;
        let sentence =
            format!("{text}: ln likelihood {:.3} after {} steps", fitted.ln_likelihood, fitted.iterations);
        let collapsed = fitted.warning().map(|warning| format!("{text}: {warning}"));
        let density = Box::new(fitted.mixture);
        Ok((Self { name: text.into(), density, components: Some(components), collapsed }, sentence))
    }

    /// How it was fitted, if it was.
    pub fn refit(&self) -> Option<Box<Refit<'static>>> {
        let components = self.components?;
        Some(Box::new(move |sample: Sample<'_>, seed: u64| -> Result<Box<dyn Density>> {
            Ok(Box::new(mixture(sample, components, seed)?.mixture))
        }))
    }

    /// As tests take it, with its [`NamedModel::refit`].
    pub fn candidate<'a>(&'a self, refit: Option<&'a Refit<'a>>) -> Candidate<'a> {
        Candidate { name: &self.name, density: &*self.density, refit }
    }
}

/// K of `gaussian:K`.
///
/// # Errors
/// If it is none.
pub fn components(text: &str) -> Result<usize> {
    let wrong =
        || Error::usage(format!("--fit {text}: write gaussian:K with a number K of components, such as 2"));
    let count = text.strip_prefix("gaussian:").ok_or_else(wrong)?;
    count.parse().ok().filter(|&k: &usize| k > 0).ok_or_else(wrong)
}

/// A mixture fitted to a sample.
fn mixture(sample: Sample<'_>, components: usize, seed: u64) -> Result<Fitted> {
    gaussian_mixture(sample, &MixtureSettings { components, seed, ..MixtureSettings::default() })
}

/// The result of a goodness-of-fit test; its statistic is the unbiased estimate.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    /// The model.
    pub name: String,
    /// Points.
    pub n: usize,
    /// Coordinates.
    pub d: usize,
    /// The kernel.
    #[serde(flatten)]
    pub kernel: NamedKernel,
    /// Unbiased estimate of KSD^2; with a budget the mean over the pairs taken.
    pub ksd2_unbiased: f64,
    /// Biased estimate from all pairs, never negative; none with a budget.
    pub ksd2_biased: Option<f64>,
    /// Row sums of the Stein kernel, without its diagonal, in its unit.
    #[serde(skip)]
    pub rows: Vec<f64>,
    /// The unit of the row sums: 1 / b^2 with the smallest bandwidth b. A discrepancy in the data's own units may be too
    /// large or small for any number, a ratio to this is not.
    #[serde(skip)]
    pub unit: f64,
}

/// Which of two models fits better.
#[derive(Clone, Debug, Serialize)]
pub struct Better {
    /// Unbiased KSD^2 of the first less that of the second.
    pub difference: f64,
    /// Of the difference.
    pub standard_error: f64,
    /// Two-sided, by the normal distribution.
    pub p_value: f64,
    /// The name of the better one, if the test rejects that both fit equally well.
    pub better: Option<String>,
}

impl FitSettings {
    /// Whether the settings alone are possible.
    ///
    /// # Errors
    /// If no draws are wanted, or the level or the kernel makes no sense.
    pub fn check(&self) -> Result<()> {
        if !matches!(self.family, Family::Gaussian | Family::Imq) {
            return Err(Error::usage(
                "a Stein discrepancy needs a smooth kernel; use --kernel gaussian or --kernel imq",
            ));
        }
        if self.split {
            split::candidates(&self.bandwidth, self.family)?;
        }
        self.common.check("the test of fit", &NULLS)
    }
}

/// Whether a sample comes from a model.
///
/// `progress` is called with the fraction that is done; its error ends the work, and is given back.
///
/// # Errors
/// If sample, model and settings do not fit together, or the device fails.
pub fn fit(
    device: &Device,
    sample: Sample<'_>,
    candidate: Candidate<'_>,
    settings: &FitSettings,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Outcome<Fit>> {
    let start = Instant::now();
    settings.check()?;
    if settings.split {
        return with_chosen_bandwidth(device, sample, candidate, settings, progress);
    }
    let stein = Stein::new(device, sample, candidate, settings)?;
    let kernel = &stein.resolved.kernel;
    let drawn = stein.draws(device, candidate, std::slice::from_ref(kernel), settings, progress)?;
    let Some(drawn) = drawn.into_iter().next() else {
        return Err(Error::usage("give at least one bandwidth"));
    };
    let distinct = stein.distinct(&settings.common);
    Ok(drawn.outcome(start, candidate.name, stein.scored.d, stein.resolved, &settings.common, distinct))
}

impl Fit {
    /// A warning if the estimates are no numbers in the data's units; the p-value does not depend on these.
    fn beyond_numbers(&self) -> Option<String> {
        let own = self.rows.iter().sum::<f64>() / (self.n as f64 * (self.n as f64 - 1.0));
        (!self.unit.is_normal()).then(|| {
            format!(
                "KSD^2 has the unit 1 / length^2, and leaves the range of 64-bit numbers in the data's own units; with \
                 the smallest bandwidth as the unit of length it is {own:.4e}"
            )
        })
    }
}

/// The test of half of the points, with the bandwidth that the other half chose.
fn with_chosen_bandwidth(
    device: &Device,
    sample: Sample<'_>,
    candidate: Candidate<'_>,
    settings: &FitSettings,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Outcome<Fit>> {
    let start = Instant::now();
    if candidate.refit.is_some() {
        return Err(Error::usage(format!(
            "{} was fitted to all points, so half of them cannot test it; leave out --split",
            candidate.name
        )));
    }
    let (family, seed) = (settings.family, settings.common.seed);
    let halves = split::halves(sample, seed, 0)?;
    let [choosing, testing] = [0, 1].map(|which| Sample::new(sample.d, &halves[which]));
    let scored = Scored::new(candidate.density, choosing)?;
    let points = Sample::new(scored.d, &scored.points);
    let criterion = |kernel: &KernelFunction| {
        let stein = Points::stein(points, &scored.scores, &[kernel])?;
        let gram = Gram::of(device, &stein, kernel, &Request::None, false, &mut |_| Ok(()))?;
        Ok(split::of_rows(&rows(&gram)))
    };
    let samples = [points, points.first(0)];
    let chosen = split::choose(device, samples, family, &settings.bandwidth, seed, criterion)?;
    let bandwidth = Bandwidth::Values(chosen.kernel.bandwidths);
    let settings = FitSettings { bandwidth, split: false, ..settings.clone() };
    let mut test = fit(device, testing, candidate, &settings, progress)?;
    test.found.kernel.bandwidth_rule = chosen.rule;
    test.warnings.splice(0..0, chosen.warnings);
    test.seconds = start.elapsed().as_secs_f64();
    Ok(test)
}

/// A sample with its scores, and the bandwidths for it.
pub(super) struct Stein {
    pub(super) scored: Scored,
    pub(super) resolved: Resolved,
}

/// KSD^2 with one kernel.
pub(super) struct KsdDraws {
    /// KSD^2, unbiased: of the sample, and then the draws.
    pub(super) values: Vec<f64>,
    /// Values that differ by less are equal.
    pub(super) tie: f64,
    /// Row sums of the sample's Stein kernel, without its diagonal.
    rows: Vec<f64>,
    /// The sum of its diagonal.
    diagonal: f64,
    pub(super) evaluations: f64,
    /// What values, rows and tie are to be multiplied by to be in the data's units.
    pub(super) unit: f64,
    pub(super) warning: Option<String>,
}

impl KsdDraws {
    /// Of the sums over all pairs with random signs, or near pairs, in the unit of the kernel's smallest bandwidth. `tie` is
    /// still to be multiplied by a typical value.
    pub(super) fn of_signs(gram: &Gram, labels: &Labels) -> Self {
        let pairs = 2.0 * gram.evaluations;
        let values = null::signed_sums(gram, labels).map(|sum| sum / pairs).collect();
        Self { values, ..Self::without_values(gram) }
    }

    fn without_values(gram: &Gram) -> Self {
        Self {
            values: Vec::new(),
            tie: gram.tie(),
            rows: rows(gram),
            diagonal: 0.0,
            evaluations: gram.evaluations,
            unit: gram.unit,
            warning: gram.warning(),
        }
    }

    /// With the Stein kernel's diagonal, u(`x_i`, `x_i`) of each point: ties are a share of its median, as a few points that
    /// the model thinks impossible must not make all draws equal.
    pub(super) fn with_diagonal(self, diagonal: &[f64]) -> Self {
        let tie = self.tie * quantile(diagonal.to_vec(), 0.5);
        Self { tie, diagonal: diagonal.iter().sum(), ..self }
    }

    /// The test's result; it began at `start`.
    pub(super) fn outcome(
        self,
        start: Instant,
        name: &str,
        d: usize,
        resolved: Resolved,
        common: &Common,
        distinct: Distinct,
    ) -> Outcome<Fit> {
        let Self { values, tie, rows, diagonal, evaluations, unit, warning } = self;
        let n = rows.len();
        let (points, pairs) = (n as f64, n as f64 * (n as f64 - 1.0));
        let biased = || (values[0] * pairs + diagonal) / (points * points) * unit;
        let budget = common.budget;
        let found = Fit {
            name: name.into(),
            n,
            d,
            kernel: NamedKernel::from(&resolved),
            ksd2_unbiased: values[0] * unit,
            ksd2_biased: budget.is_none().then(biased),
            rows,
            unit,
        };
        let p = common.p_value(&values, tie, distinct);
        let values = values.into_iter().map(|value| value * unit).collect();
        let mut warnings = resolved.warnings;
        warnings.extend(warning);
        warnings.extend(found.beyond_numbers());
        Outcome { budget, warnings, ..Outcome::new(start, p, values, evaluations, found) }
    }
}

impl Stein {
    /// Checks a sample and finds scores and bandwidths.
    pub(super) fn new(
        device: &Device,
        sample: Sample<'_>,
        candidate: Candidate<'_>,
        settings: &FitSettings,
    ) -> Result<Self> {
        if sample.len() < 2 {
            let message = format!("the sample has {} rows; the test needs at least two", sample.len());
            return Err(Kind::Samples(message).into());
        }
        let scored = Scored::new(candidate.density, sample)?;
        let points = Sample::new(scored.d, &scored.points);
        let samples = [points, points.first(0)];
        let resolved =
            settings.bandwidth.resolve(device, samples, settings.family, true, settings.common.seed)?;
        check_kernel(&resolved.kernel)?;
        Ok(Self { scored, resolved })
    }

    /// Points.
    pub(super) fn n(&self) -> usize {
        self.scored.points.len() / self.scored.d
    }

    /// How many draws differ.
    pub(super) fn distinct(&self, common: &Common) -> Distinct {
        match common.null {
            Null::Parametric => Distinct::ENDLESS,
            _ => Distinct::signs(self.n()),
        }
    }

    /// Pairs of different points.
    fn pairs(&self) -> f64 {
        self.n() as f64 * (self.n() as f64 - 1.0)
    }

    /// KSD^2 of the sample and of the draws, with each of some kernels.
    pub(super) fn draws(
        &self,
        device: &Device,
        candidate: Candidate<'_>,
        kernels: &[KernelFunction],
        settings: &FitSettings,
        progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Vec<KsdDraws>> {
        let common = &settings.common;
        let drawn = match common.null {
            Null::Parametric => self.parametric(device, candidate, kernels, common, progress)?,
            _ => self.wild(device, kernels, common, progress)?,
        };
        Ok(drawn
            .into_iter()
            .zip(kernels)
            .map(|(drawn, kernel)| drawn.with_diagonal(&self.diagonal(kernel)))
            .collect())
    }

    /// The means of u over i != j, with random signs; with a budget over near pairs.
    fn wild(
        &self,
        device: &Device,
        kernels: &[KernelFunction],
        common: &Common,
        progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Vec<KsdDraws>> {
        let labels = null::rademacher(self.n(), common.seed, common.permutations + 1);
        let [points, scores] =
            [&self.scored.points, &self.scored.scores].map(|values| Sample::new(self.scored.d, values));
        let all: Vec<&KernelFunction> = kernels.iter().collect();
        let stein = match common.budget {
            None => Points::stein(points, scores.values, &all)?,
            // Near pairs must be a random choice: files are often in some order.
            Some(_) => {
                let [points, scores] = [points, scores].map(|values| mixed(values, common.seed, MIXED));
                Points::stein(Sample::new(self.scored.d, &points), &scores, &all)?.within(common.budget)
            }
        };
        let drawn = |gram: Gram| KsdDraws::of_signs(&self.in_own_unit(gram, &stein), &labels);
        Ok(grams(device, &stein, &all, &[], &labels, progress)?.into_iter().map(drawn).collect())
    }

    /// The means of u over i != j: of the sample, and of samples of the model, each with all kernels.
    fn parametric(
        &self,
        device: &Device,
        candidate: Candidate<'_>,
        kernels: &[KernelFunction],
        common: &Common,
        progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Vec<KsdDraws>> {
        // A pass of many kernels computes forms; they are ignored here.
        let none = Labels { draws: 1, words: vec![0; self.n().div_ceil(BITS)] };
        let all: Vec<&KernelFunction> = kernels.iter().collect();
        let run = |scored: &Scored| {
            let points = Points::stein(Sample::new(scored.d, &scored.points), &scored.scores, &all)?;
            let grams = match kernels {
                [kernel] => {
                    vec![Gram::of(device, &points, kernel, &Request::None, false, &mut |_| Ok(()))?]
                }
                _ => grams(device, &points, &all, &[], &none, &mut |_| Ok(()))?,
            };
            let drawn = |gram: Gram| {
                let gram = self.in_own_unit(gram, &points);
                let values = vec![rows(&gram).iter().sum::<f64>() / self.pairs()];
                KsdDraws { values, ..KsdDraws::without_values(&gram) }
            };
            Ok::<Vec<KsdDraws>, Error>(grams.into_iter().map(drawn).collect())
        };
        let mut all_drawn = run(&self.scored)?;
        // Fits take long, and each draw's is its own.
        let drawn = |draw: usize| -> Result<Scored> {
            let mut random = Sequence::new(common.seed, Stream::Parametric, draw as u32);
            let drawn = candidate.density.sample(self.n(), &mut random).ok_or_else(|| {
                Error::usage(format!("{} cannot be drawn from; use --null wild", candidate.name))
            })?;
            let sample = Sample::new(candidate.density.dimension(), &drawn);
            match candidate.refit {
                None => Scored::new(candidate.density, sample),
                Some(refit) => Scored::new(&*refit(sample, common.seed)?, sample),
            }
        };
        for first in (1..=common.permutations).step_by(TOGETHER) {
            let last = common.permutations.min(first + TOGETHER - 1);
            let scored = (first..=last).into_par_iter().map(drawn).collect::<Result<Vec<Scored>>>()?;
            for scored in &scored {
                for (all, drawn) in all_drawn.iter_mut().zip(run(scored)?) {
                    all.evaluations += drawn.evaluations;
                    all.values.extend(drawn.values);
                }
            }
            progress(last as f64 / common.permutations as f64)?;
        }
        Ok(all_drawn)
    }

    /// Sums with the smallest bandwidth as the unit of length, whatever that of the points was.
    fn in_own_unit(&self, gram: Gram, points: &Points) -> Gram {
        in_own_unit(gram, &self.resolved.kernel, points)
    }

    /// u(`x_i`, `x_i`) of each point, in the own unit.
    fn diagonal(&self, kernel: &KernelFunction) -> Vec<f64> {
        diagonal(kernel, smallest(&self.resolved.kernel), self.scored.d, &self.scored.scores)
    }
}

/// Refuses a kernel with divisors of coordinates.
pub(super) fn check_kernel(kernel: &KernelFunction) -> Result<()> {
    if kernel.coordinates.is_some() {
        return Err(Error::usage(
            "a Stein discrepancy takes one bandwidth for all columns; use --bandwidth median",
        ));
    }
    Ok(())
}

/// The smallest bandwidth.
pub(super) fn smallest(kernel: &KernelFunction) -> f64 {
    kernel.bandwidths.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Sums with the smallest bandwidth as the unit of length, so that the unit of KSD^2 is that of all draws.
pub(super) fn in_own_unit(gram: Gram, kernel: &KernelFunction, points: &Points) -> Gram {
    let length = smallest(kernel);
    let ratio = length / points.unit;
    Gram { unit: 1.0 / length / length, ..gram.times(ratio * ratio) }
}

/// u(`x_i`, `x_i`) of points with some scores, `(n, d)`, in the unit of a length.
pub(super) fn diagonal(kernel: &KernelFunction, length: f64, d: usize, scores: &[f64]) -> Vec<f64> {
    let kernel = kernel.in_units(length);
    let at_zero = |score: &[f64]| {
        let squares: f64 = score.iter().map(|s| (s * length) * (s * length)).sum();
        let each = kernel.scales().map(|scale| {
            let [phi, first, _] = kernel.family.derivatives(scale, 0.0);
            squares * phi - 2.0 * first * d as f64
        });
        kernel.weight() * each.sum::<f64>()
    };
    scores.chunks_exact(d).map(at_zero).collect()
}

/// Row sums of one class of points.
fn rows(gram: &Gram) -> Vec<f64> {
    gram.k.iter().map(|k| k[0]).collect()
}

/// Which of two tested models fits better: the difference of two KSD^2 of the same points and the same kernel is
/// itself a mean over pairs, and normal for many points (Jitkrittum, Kanagawa, Sangkloy, Hays, Schölkopf, Gretton,
/// "Informative features for model comparison", NeurIPS 2018). Its variance is that of the first order,
/// 4 / n Var(mean over x' of u_1 - u_2), never negative.
///
/// # Errors
/// If the two were not tested on the same points with the same kernel, by all pairs.
pub fn better([first, second]: [&Outcome<Fit>; 2], alpha: f64) -> Result<Better> {
    if first.budget.or(second.budget).is_some() {
        return Err(Error::usage(
            "two models are compared by all pairs; leave out --budget, or give one model",
        ));
    }
    let [first, second] = [&first.found, &second.found];
    if first.n != second.n
        || first.kernel.family != second.kernel.family
        || first.kernel.bandwidths != second.kernel.bandwidths
    {
        return Err(Error::usage(
            "two models can be compared with the same kernel and bandwidth only; give --bandwidth a number",
        ));
    }
    let n = first.n as f64;
    let differences: Vec<f64> =
        first.rows.iter().zip(&second.rows).map(|(a, b)| (a - b) / (n - 1.0)).collect();
    let difference = differences.iter().sum::<f64>() / n;
    let spread = differences.iter().map(|v| (v - difference).powi(2)).sum::<f64>() / (n - 1.0);
    let standard_error = (4.0 * spread / n).sqrt();
    let p_value = normal_p_value(difference, standard_error);
    // Both have the same kernel, and with it the same unit.
    let [difference, standard_error] = [difference, standard_error].map(|value| value * first.unit);
    let nearer = if difference < 0.0 { first } else { second };
    Ok(Better {
        difference,
        standard_error,
        p_value,
        better: (p_value <= alpha).then(|| nearer.name.clone()),
    })
}

impl<'a> From<&Trial<'a>> for Candidate<'a> {
    fn from(trial: &Trial<'a>) -> Self {
        Self { name: "the problem's model", density: trial.model, refit: None }
    }
}

impl From<&KernelChoice> for FitSettings {
    fn from(choice: &KernelChoice) -> Self {
        let own = Self::default();
        let bandwidth = choice.bandwidth.clone().unwrap_or_default();
        Self { family: choice.family(), bandwidth, common: choice.common(own.common), ..own }
    }
}

impl Test for FitSettings {
    fn check(&self) -> Result<()> {
        self.check()
    }

    fn families(&self) -> &[Family] {
        std::slice::from_ref(&self.family)
    }

    fn words(&self) -> String {
        let Self { family, bandwidth, split, common } = self;
        let rule = if *split { "the best of many multiples".into() } else { format!("rule `{bandwidth}`") };
        format!("{family:?}, {rule}, {:?}, {} draws", common.null, common.permutations)
    }

    fn p_value(&self, device: &Device, trial: &Trial<'_>) -> Result<PValue> {
        let settings = Self { common: Common { seed: trial.seed, ..self.common }, ..self.clone() };
        Ok(fit(device, trial.samples[1], trial.into(), &settings, &mut |_| Ok(()))?.p)
    }
}
