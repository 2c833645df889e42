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
use super::gram::{Extra, Gram, Labels, Pass, grams};
use super::null;
use super::p_value::{self, PValue, TIE, normal_tail};
use super::points::Points;
use super::split;
use super::two_sample::mixed;
use super::{Bandwidth, KernelFunction, Sample};
use crate::density::{Density, Scored};
use crate::engine::Device;
use crate::error::{Error, Kind, Result};
use crate::kernel::pair_forms::BITS;
use crate::kernel::pairs::Family;
use crate::random::{Sequence, Stream};
use serde::Serialize;
use std::time::Instant;

/// How the null distribution is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Null {
    /// Random signs: one pass for all draws
    #[default]
    Wild,
    /// Samples of the model, fitted again if it was fitted
    Parametric,
}

impl Null {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Wild => "wild",
            Self::Parametric => "parametric",
        }
    }
}

/// What test is wanted.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The kernel's family: gaussian or inverse multiquadric.
    pub family: Family,
    /// Its bandwidths.
    pub bandwidth: Bandwidth,
    /// Choose one of them by half of the points, and test with the other half.
    pub split: bool,
    /// Draws under the null.
    pub permutations: usize,
    /// How they are made.
    pub null: Null,
    /// Take only pairs of items at most this far apart in a random order, about n R of them instead of n^2 / 2: near-linear
    /// time, at some loss of power. With the wild bootstrap only.
    pub budget: Option<usize>,
    /// Level of the test.
    pub alpha: f64,
    /// Seed of the draws, and of the order with a budget.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            family: Family::Gaussian,
            bandwidth: Bandwidth::default(),
            split: false,
            permutations: 999,
            null: Null::Wild,
            budget: None,
            alpha: 0.05,
            seed: 0,
        }
    }
}

/// Which random order a budget's pairs are near in.
const MIXED: u32 = 3;

/// Fits a model to a sample, with a seed.
pub type Refit<'a> = dyn Fn(Sample<'_>, u64) -> Result<Box<dyn Density>> + 'a;

/// A model that may be right.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// What results call it.
    pub name: &'a str,
    /// The model.
    pub density: &'a dyn Density,
    /// How it was fitted to the sample, if it was.
    pub refit: Option<&'a Refit<'a>>,
}

/// The result of a goodness-of-fit test.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    /// The model.
    pub name: String,
    /// Points.
    pub n: usize,
    /// Coordinates.
    pub d: usize,
    /// The kernel's family.
    pub kernel: Family,
    /// Its bandwidths.
    pub bandwidths: Vec<f64>,
    /// Where they come from.
    pub bandwidth_rule: String,
    /// Unbiased estimate of KSD^2: what the draws are compared with. With a budget the mean over the pairs taken.
    pub ksd2_unbiased: f64,
    /// Biased estimate from all pairs, never negative; none with a budget.
    pub ksd2_biased: Option<f64>,
    /// How far apart the items of a pair were at most, if not all pairs were taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<usize>,
    /// The p-value.
    #[serde(flatten)]
    pub p: PValue,
    /// Seconds for everything.
    pub seconds: f64,
    /// Values of the Stein kernel computed.
    pub pairs: f64,
    /// The statistic under the null: one a draw.
    #[serde(skip)]
    pub draws: Vec<f64>,
    /// Row sums of the Stein kernel, without its diagonal.
    #[serde(skip)]
    pub rows: Vec<f64>,
    /// What a user should know.
    pub warnings: Vec<String>,
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

impl Settings {
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
        null::check_budget(self.budget, self.null == Null::Wild)?;
        p_value::check(self.permutations, self.alpha)
    }
}

/// Whether a sample comes from a model.
///
/// `progress` is called with the fraction that is done.
///
/// # Errors
/// If sample, model and settings do not fit together, or the device fails.
pub fn fit(
    device: &Device,
    sample: Sample<'_>,
    candidate: Candidate<'_>,
    settings: &Settings,
    progress: &mut dyn FnMut(f64),
) -> Result<Fit> {
    let start = Instant::now();
    settings.check()?;
    if settings.split {
        return with_chosen_bandwidth(device, sample, candidate, settings, progress);
    }
    let stein = Stein::new(device, sample, candidate, settings)?;
    let kernel = &stein.resolved.kernel;
    let drawn = stein.draws(device, candidate, std::slice::from_ref(kernel), settings, progress)?;
    let Some(Drawn { mut values, tie, rows, evaluations }) = drawn.into_iter().next() else {
        return Err(Error::usage("give at least one bandwidth"));
    };
    let draws = values.split_off(1);
    let (n, pairs) = (stein.n() as f64, stein.pairs());
    Ok(Fit {
        name: candidate.name.into(),
        n: stein.n(),
        d: stein.scored.d,
        kernel: settings.family,
        bandwidths: kernel.bandwidths.clone(),
        ksd2_unbiased: values[0],
        ksd2_biased: settings
            .budget
            .is_none()
            .then(|| (values[0] * pairs + stein.diagonal(kernel)) / (n * n)),
        budget: settings.budget,
        p: PValue::of_draws(values[0], &draws, tie, settings.null.name(), settings.alpha),
        seconds: start.elapsed().as_secs_f64(),
        pairs: evaluations,
        draws,
        rows,
        bandwidth_rule: stein.resolved.rule,
        warnings: stein.resolved.warnings,
    })
}

/// The test of half of the points, with the bandwidth that the other half chose.
fn with_chosen_bandwidth(
    device: &Device,
    sample: Sample<'_>,
    candidate: Candidate<'_>,
    settings: &Settings,
    progress: &mut dyn FnMut(f64),
) -> Result<Fit> {
    let start = Instant::now();
    if candidate.refit.is_some() {
        return Err(Error::usage(format!(
            "{} was fitted to all points, so half of them cannot test it; leave out --split",
            candidate.name
        )));
    }
    let Settings { family, seed, .. } = *settings;
    let halves = split::halves(sample, seed, 0)?;
    let [choosing, testing] = [0, 1].map(|which| Sample::new(sample.d, &halves[which]));
    let scored = Scored::new(candidate.density, choosing)?;
    let points = Sample::new(scored.d, &scored.points);
    let stein = Points::stein(points, &scored.scores)?;
    let criterion = |kernel: &KernelFunction| {
        let gram = Pass::new(device, &stein, kernel, &Extra::None, false)?.run(&mut |_| {})?;
        Ok(split::of_rows(&gram.k.iter().map(|k| k[0]).collect::<Vec<f64>>()))
    };
    let samples = [points, points.first(0)];
    let chosen = split::choose(device, samples, family, &settings.bandwidth, seed, criterion)?;
    let bandwidth = Bandwidth::Values(chosen.kernel.bandwidths);
    let settings = Settings { bandwidth, split: false, ..settings.clone() };
    let test = fit(device, testing, candidate, &settings, progress)?;
    Ok(Fit {
        bandwidth_rule: chosen.rule,
        warnings: [chosen.warnings, test.warnings].concat(),
        seconds: start.elapsed().as_secs_f64(),
        ..test
    })
}

/// A sample with its scores, and the bandwidths for it.
pub(super) struct Stein {
    pub(super) scored: Scored,
    pub(super) resolved: Resolved,
}

/// What a kernel gives.
pub(super) struct Drawn {
    /// KSD^2, unbiased: of the sample, and then the draws.
    pub(super) values: Vec<f64>,
    /// Values that differ by less are equal.
    pub(super) tie: f64,
    /// Row sums of the sample's Stein kernel, without its diagonal.
    rows: Vec<f64>,
    pub(super) evaluations: f64,
}

impl Stein {
    /// Checks a sample and finds scores and bandwidths.
    pub(super) fn new(
        device: &Device,
        sample: Sample<'_>,
        candidate: Candidate<'_>,
        settings: &Settings,
    ) -> Result<Self> {
        if sample.len() < 2 {
            let message = format!("the sample has {} rows; the test needs at least two", sample.len());
            return Err(Kind::Samples(message).into());
        }
        let scored = Scored::new(candidate.density, sample)?;
        let points = Sample::new(scored.d, &scored.points);
        let samples = [points, points.first(0)];
        let resolved = settings.bandwidth.resolve(device, samples, settings.family, true, settings.seed)?;
        if resolved.kernel.coordinates.is_some() {
            return Err(Error::usage(
                "a Stein discrepancy takes one bandwidth for all columns; use --bandwidth median",
            ));
        }
        Ok(Self { scored, resolved })
    }

    /// Points.
    pub(super) fn n(&self) -> usize {
        self.scored.points.len() / self.scored.d
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
        settings: &Settings,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Vec<Drawn>> {
        let mut drawn = match settings.null {
            Null::Wild => self.wild(device, kernels, settings, progress)?,
            Null::Parametric => self.parametric(device, candidate, kernels, settings, progress)?,
        };
        for (drawn, kernel) in drawn.iter_mut().zip(kernels) {
            drawn.tie = TIE * self.diagonal(kernel) / self.n() as f64;
        }
        Ok(drawn)
    }

    /// The means of u over i != j, with random signs; with a budget over near pairs.
    fn wild(
        &self,
        device: &Device,
        kernels: &[KernelFunction],
        settings: &Settings,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Vec<Drawn>> {
        let labels = null::rademacher(self.n(), settings.seed, settings.permutations + 1);
        let [points, scores] =
            [&self.scored.points, &self.scored.scores].map(|values| Sample::new(self.scored.d, values));
        let stein = match settings.budget {
            None => Points::stein(points, scores.values)?,
            // Near pairs must be a random choice: files are often in some order.
            Some(_) => {
                let [points, scores] = [points, scores].map(|values| mixed(values, settings.seed, MIXED));
                Points::stein(Sample::new(self.scored.d, &points), &scores)?.within(settings.budget)
            }
        };
        let all: Vec<&KernelFunction> = kernels.iter().collect();
        let drawn = |gram: Gram| {
            let pairs = 2.0 * gram.evaluations;
            let rows: Vec<f64> = gram.k.iter().map(|k| k[0]).collect();
            let sum: f64 = rows.iter().sum();
            let dots = null::dot(&labels, self.n(), &rows);
            let values =
                gram.forms.iter().zip(dots).map(|(q, l)| (4.0 * q - 4.0 * l + sum) / pairs).collect();
            Drawn { values, tie: 0.0, rows, evaluations: gram.evaluations }
        };
        Ok(grams(device, &stein, &all, &[], &labels, progress)?.into_iter().map(drawn).collect())
    }

    /// The means of u over i != j: of the sample, and of samples of the model, each with all kernels.
    fn parametric(
        &self,
        device: &Device,
        candidate: Candidate<'_>,
        kernels: &[KernelFunction],
        settings: &Settings,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Vec<Drawn>> {
        // Forms are not wanted, but go with many kernels in a pass.
        let none = Labels { draws: 1, words: vec![0; self.n().div_ceil(BITS)] };
        let all: Vec<&KernelFunction> = kernels.iter().collect();
        let run = |scored: &Scored| {
            let points = Points::stein(Sample::new(scored.d, &scored.points), &scored.scores)?;
            let grams = match kernels {
                [kernel] => {
                    vec![Pass::new(device, &points, kernel, &Extra::None, false)?.run(&mut |_| {})?]
                }
                _ => grams(device, &points, &all, &[], &none, &mut |_| {})?,
            };
            let drawn = |gram: Gram| {
                let rows: Vec<f64> = gram.k.iter().map(|k| k[0]).collect();
                let values = vec![rows.iter().sum::<f64>() / self.pairs()];
                Drawn { values, tie: 0.0, rows, evaluations: gram.evaluations }
            };
            Ok::<Vec<Drawn>, Error>(grams.into_iter().map(drawn).collect())
        };
        let mut all_drawn = run(&self.scored)?;
        for draw in 1..=settings.permutations {
            let mut random = Sequence::new(settings.seed, Stream::Parametric, draw as u32);
            let drawn = candidate.density.sample(self.n(), &mut random).ok_or_else(|| {
                Error::usage(format!("{} cannot be drawn from; use --null wild", candidate.name))
            })?;
            let sample = Sample::new(candidate.density.dimension(), &drawn);
            let scored = match candidate.refit {
                None => Scored::new(candidate.density, sample)?,
                Some(refit) => Scored::new(&*refit(sample, settings.seed)?, sample)?,
            };
            for (all, drawn) in all_drawn.iter_mut().zip(run(&scored)?) {
                all.evaluations += drawn.evaluations;
                all.values.extend(drawn.values);
            }
            progress(draw as f64 / settings.permutations as f64);
        }
        Ok(all_drawn)
    }

    /// The sum over i of u(`x_i`, `x_i`).
    fn diagonal(&self, kernel: &KernelFunction) -> f64 {
        let squares: f64 = self.scored.scores.iter().map(|s| s * s).sum();
        let each = kernel.scales().map(|scale| {
            let [phi, first, _] = kernel.family.derivatives(scale, 0.0);
            squares * phi - 2.0 * first * self.scored.points.len() as f64
        });
        kernel.weight() * each.sum::<f64>()
    }
}

/// Which of two tested models fits better: the difference of two KSD^2 of the same points and the same kernel is
/// itself a mean over pairs, and normal for many points (Jitkrittum, Kanagawa, Sangkloy, Hays, Schölkopf, Gretton,
/// "Informative features for model comparison", NeurIPS 2018). Its variance is that of the first order,
/// 4 / n Var(mean over x' of u_1 - u_2), never negative.
///
/// # Errors
/// If the two were not tested on the same points with the same kernel, by all pairs.
pub fn better([first, second]: [&Fit; 2], alpha: f64) -> Result<Better> {
    if first.budget.or(second.budget).is_some() {
        return Err(Error::usage(
            "two models are compared by all pairs; leave out --budget, or give one model",
        ));
    }
    if first.n != second.n || first.kernel != second.kernel || first.bandwidths != second.bandwidths {
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
    let p_value =
        if standard_error > 0.0 { 2.0 * normal_tail((difference / standard_error).abs()) } else { 1.0 };
    let nearer = if difference < 0.0 { first } else { second };
    Ok(Better {
        difference,
        standard_error,
        p_value,
        better: (p_value <= alpha).then(|| nearer.name.clone()),
    })
}
