//! The parts that tests share: the settings of their draws under the null, and the head of their results.

use super::KernelFunction;
use super::bandwidth::{Bandwidth, Resolved};
use super::p_value::{self, Distinct, PValue};
use crate::density::Density;
use crate::engine::Device;
use crate::error::{Error, Result};
use crate::kernel::pairs::Family;
use crate::sample::Sample;
use serde::Serialize;
use std::fmt::Debug;
use std::str::FromStr;
use std::time::Instant;

/// How draws under the null are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Null {
    /// Permutations: exact level if rows are independent.
    #[default]
    Exact,
    /// Permutations of bins of points: exact level if rows are independent, too.
    Binned,
    /// Random signs (wild bootstrap).
    Wild,
    /// Permutations of blocks of consecutive rows, which may depend on each other: see [`series`](super::series).
    Series,
    /// Samples of the model, fitted again if it was fitted (parametric bootstrap).
    Parametric,
    /// A gamma distribution with the null's first two moments: no draws.
    Gamma,
}

impl FromStr for Null {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let all = [Self::Exact, Self::Binned, Self::Wild, Self::Series, Self::Parametric, Self::Gamma];
        all.into_iter().find(|null| null.name() == name).ok_or_else(|| format!("`{name}` is no null"))
    }
}

/// The nulls of a test, its default first, each with a line for help texts.
pub type Nulls = [(Null, &'static str)];

impl Null {
    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Binned => "binned",
            Self::Wild => "wild",
            Self::Series => "series",
            Self::Parametric => "parametric",
            Self::Gamma => "gamma",
        }
    }
}

/// Settings that tests have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Common {
    /// Draws under the null.
    pub permutations: usize,
    /// How they are made.
    pub null: Null,
    /// Take only pairs of items at most this far apart in a random order, about n R of them instead of n^2 / 2:
    /// near-linear time, at some loss of power. With the wild bootstrap only.
    pub budget: Option<usize>,
    /// Level of the test.
    pub alpha: f64,
    /// Seed of draws, orders and subsamples.
    pub seed: u64,
}

impl Default for Common {
    fn default() -> Self {
        Self { permutations: 999, null: Null::default(), budget: None, alpha: 0.05, seed: 0 }
    }
}

impl Common {
    /// Refuses a null that a test does not have, and draws, levels and budgets that are not possible.
    pub(super) fn check(&self, test: &str, nulls: &Nulls) -> Result<()> {
        if !nulls.iter().any(|(null, _)| *null == self.null) {
            let options: Vec<String> =
                nulls.iter().map(|(null, _)| format!("--null {}", null.name())).collect();
            return Err(Error::usage(format!(
                "{test} has no {} null; use {}",
                self.null.name(),
                options.join(" or ")
            )));
        }
        match self.budget {
            Some(0) => return Err(Error::usage("a budget of 0 takes no pairs; use at least 1")),
            Some(_) if self.null != Null::Wild => {
                return Err(Error::usage(
                    "only random signs go with a budget of pairs; use --null wild with --budget",
                ));
            }
            _ => {}
        }
        p_value::check(self.permutations, self.alpha)
    }

    /// The p-value of a statistic and its draws, as many of which differ as `distinct` says: `values` holds the observed
    /// one first.
    pub(super) fn p_value(&self, values: &[f64], tie: f64, distinct: Distinct) -> PValue {
        PValue::of_draws(values[0], &values[1..], tie, distinct, self.null.name(), self.alpha)
    }
}

/// A kernel function as results name it.
#[derive(Clone, Debug, Serialize)]
pub struct NamedKernel {
    /// The family.
    #[serde(rename = "kernel")]
    pub family: Family,
    /// Its bandwidths.
    pub bandwidths: Vec<f64>,
    /// Where they come from.
    pub bandwidth_rule: String,
    /// What each coordinate is divided by first, with the rule `median-per-feature`: `(d)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_feature: Option<Vec<f64>>,
}

impl From<&Resolved> for NamedKernel {
    fn from(resolved: &Resolved) -> Self {
        let KernelFunction { family, bandwidths, coordinates, .. } = resolved.kernel.clone();
        Self { family, bandwidths, bandwidth_rule: resolved.rule.clone(), per_feature: coordinates }
    }
}

/// The result of a test.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome<T> {
    /// The findings of this test alone.
    #[serde(flatten)]
    pub found: T,
    /// The p-value.
    #[serde(flatten)]
    pub p: PValue,
    /// The number that the draws are compared with.
    pub statistic: f64,
    /// The statistic under the null, one per draw.
    #[serde(skip)]
    pub draws: Vec<f64>,
    /// Kernel values computed; 0 where there is no kernel, only features.
    #[serde(skip_serializing_if = "is_zero")]
    pub pairs: f64,
    /// Seconds for everything.
    pub seconds: f64,
    /// How far apart the items of a pair were at most, if not all pairs were taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<usize>,
    /// Warnings for the user.
    pub warnings: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

impl<T> Outcome<T> {
    /// The result of a test that began at `start`: `values` holds the statistic, then its draws.
    pub(super) fn new(start: Instant, p: PValue, mut values: Vec<f64>, pairs: f64, found: T) -> Self {
        let draws = values.split_off(1);
        let seconds = start.elapsed().as_secs_f64();
        Self { found, p, statistic: values[0], draws, pairs, seconds, budget: None, warnings: Vec::new() }
    }
}

/// Settings of a test, as [`power`](super::power) repeats it.
pub trait Test: Debug + Send + Sync {
    /// Whether the settings alone are possible.
    ///
    /// # Errors
    /// If they are not.
    fn check(&self) -> Result<()>;

    /// The families of its kernels.
    fn families(&self) -> &[Family];

    /// The settings in words.
    fn words(&self) -> String;

    /// The p-value of one repetition.
    ///
    /// # Errors
    /// If the samples do not suit the test, or the device fails.
    fn p_value(&self, device: &Device, trial: &Trial<'_>) -> Result<PValue>;
}

/// One repetition of a test.
#[derive(Debug)]
pub struct Trial<'a> {
    /// X and Y.
    pub samples: [Sample<'a>; 2],
    /// The model that Y may come from.
    pub model: &'a dyn Density,
    /// Seed of all that the test itself draws.
    pub seed: u64,
}

/// Kernels and draws, as any test can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelChoice {
    /// Families of kernels, as many as the test takes; the test's own if there are none.
    pub kernels: Vec<Family>,
    /// The test's own if there is none.
    pub bandwidth: Option<Bandwidth>,
    /// Draws under the null.
    pub permutations: usize,
    /// Level.
    pub alpha: f64,
}

impl KernelChoice {
    /// The first family.
    pub(super) fn family(&self) -> Family {
        self.kernels.first().copied().unwrap_or_default()
    }

    /// That of X and that of Y.
    pub(super) fn families(&self) -> [Family; 2] {
        [self.family(), self.kernels.get(1).copied().unwrap_or(self.family())]
    }

    /// With the test's own null, budget and seed.
    pub(super) fn common(&self, own: Common) -> Common {
        Common { permutations: self.permutations, alpha: self.alpha, ..own }
    }
}
