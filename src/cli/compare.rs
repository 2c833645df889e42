//! `elbo compare`.

use super::aggregate::Output;
use super::output::{grouped, json, note, result};
use super::sample::{KernelOptions, NullPicture, PairBar, SAMPLES, halves, same_columns, sample};
use crate::data::table::Table;
use crate::engine::{Device, Info};
use crate::error::{Error, Result};
use crate::kernel::pairs::Family;
use crate::statistic::aggregate::{self, Combine};
use crate::statistic::features;
use crate::statistic::neighbours::{self, Information};
use crate::statistic::null::Null;
use crate::statistic::p_value::PValue;
use crate::statistic::{Bandwidth, Settings, TwoSample, two_sample};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code of `--check` when a test rejects its null.
pub(super) const REJECTED: u8 = 3;

/// Do two samples come from one distribution? The kernel two-sample test (MMD)
///
/// The kernel matrix is never stored, so samples may be large. `--null binned` permutes bins of points: nearly as
/// sharp, and with hardly more work than the estimate itself.
#[derive(Args)]
#[command(after_help = format!("{SAMPLES}

Examples:
  elbo compare a.npy b.npy
  elbo compare data.npz:before data.npz:after --kernel laplace --permutations 9999
  elbo compare mnist:test run:runs/001 --out comparison
  elbo compare a.npy b.npy --aggregate agg         twenty kernels in one test; says which see a difference
  elbo compare a.npy b.npy --split                 half of the points choose the bandwidth
  elbo compare a.npy b.npy --features 500          millions of points: random features instead of the kernel
  elbo compare a.npy                               two random halves: should not differ
  elbo compare old.csv new.csv --check --json      exit code 3 if they differ"))]
pub(super) struct Compare {
    /// The first sample
    x: String,
    /// The second sample; if there is none, two random halves of the first are compared
    y: Option<String>,
    #[command(flatten)]
    kernel: KernelOptions,
    /// Draws under the null
    #[arg(long, default_value_t = 999, value_name = "B")]
    permutations: usize,
    /// How they are made
    #[arg(long, default_value = "exact")]
    null: Null,
    /// Use only about N R pairs, of items at most R apart in a random order: near-linear time, and less power
    #[arg(long, value_name = "R")]
    budget: Option<usize>,
    /// Points of a bin of --null binned, instead of as many as make about 512 bins
    #[arg(long, value_name = "POINTS")]
    bin: Option<usize>,
    /// Level of the test
    #[arg(long, default_value_t = 0.05)]
    alpha: f64,
    /// Stop when more permutations cannot change the decision
    #[arg(long)]
    sequential: bool,
    /// Choose the bandwidth with the most power by half of the points, and test with the other half: one of several
    /// given, or of 1/32 to 32 times a rule
    #[arg(long, conflicts_with_all = ["aggregate", "features", "sum"])]
    split: bool,
    /// Test with many kernels at once, so that no bandwidth has to be chosen
    #[arg(long, value_name = "HOW")]
    aggregate: Option<Combine>,
    /// Kernels of --aggregate, each with all bandwidths: those of --bandwidth, or ten between the distances
    #[arg(long, value_delimiter = ',', default_values = ["gaussian", "laplace"], value_name = "LIST")]
    kernels: Vec<Family>,
    /// Use D random Fourier features instead of the kernel: an approximation, in time linear in the number of points
    #[arg(long, value_name = "D", conflicts_with_all = ["aggregate", "bin", "sequential", "divergence"])]
    features: Option<usize>,
    /// Estimate a divergence too: kl, KL(X || Y) in nats by nearest neighbours
    #[arg(long, value_name = "WHICH")]
    divergence: Option<Divergence>,
    /// End with exit code 3 if the samples differ
    #[arg(long)]
    check: bool,
    /// Directory for a picture of the null distribution, null.png
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// The JSON result.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    test: &'a TwoSample,
    /// KL(X || Y) in nats, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    kl: Option<Information>,
    engine: &'static str,
    adapter: &'a str,
    pairs_per_second: f64,
}

impl Compare {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let settings = Settings {
            family: self.kernel.kernel,
            bandwidth: self.kernel.bandwidth.clone(),
            sum: self.kernel.sum,
            split: self.split,
            permutations: self.permutations,
            null: self.null,
            bin: self.bin,
            alpha: self.alpha,
            sequential: self.sequential,
            seed: self.kernel.common.seed,
        };
        settings.check()?;
        if self.budget.is_some() && self.aggregate.is_none() {
            return Err(Error::usage(
                "--budget is for aggregated tests of two samples; add --aggregate agg --null wild",
            ));
        }
        let features = self.features.map(|count| self.features_settings(count)).transpose()?;
        let [x, y] = match &self.y {
            Some(y) => self.kernel.common.read([&self.x, y])?,
            None => self.kernel.common.read([&self.x]).map(|[x]| halves(&x, self.kernel.common.seed))?,
        };
        same_columns([&x, &y])?;
        let device = self.kernel.common.open()?;
        let to = Output { json: self.kernel.common.json, check: self.check, out: self.out.as_deref() };
        if let Some(settings) = features {
            return super::features::run(&device, [&x, &y], &settings, &to);
        }
        if let Some(combine) = self.aggregate {
            return self.run_aggregate(&device, [&x, &y], combine, &to);
        }
        let divergence = self.divergence.map(|Divergence::Kl| {
            let settings = neighbours::Settings { seed: settings.seed, ..neighbours::Settings::default() };
            neighbours::divergence([sample(&x), sample(&y)], &settings)
        });
        let divergence = divergence.transpose()?;
        let bar = PairBar::new("comparing");
        let test = two_sample(&device, [sample(&x), sample(&y)], &settings, &mut |done| bar.set(done))?;
        bar.finish();
        test.warnings.iter().for_each(|warning| note(format_args!("warning: {warning}")));
        if let Some(directory) = &self.out {
            let null = NullPicture {
                title: &format!("Do {} and {} differ?", x.name, y.name),
                statistic: match self.null {
                    Null::Wild => "MMD² (without pairs of one index)",
                    Null::Exact | Null::Binned => "MMD² (unbiased)",
                },
                decision: &decision(&test.p),
                p: &test.p,
                observed: test.statistic,
            };
            null.save(directory, "null.png", &test.draws)?;
        }
        if self.kernel.common.json {
            let Info { engine, adapter, .. } = device.info();
            let pairs_per_second = test.pairs / test.seconds;
            json(&Report { test: &test, kl: divergence, engine, adapter, pairs_per_second })?;
        } else {
            self.print(&test, [&x.name, &y.name]);
            if let Some(kl) = divergence {
                result(format_args!(
                    "KL         {}; from X to Y, by nearest neighbours (k = {})",
                    nats(&kl),
                    kl.k
                ));
                result("           Biased, the more the higher the dimension, and may be negative: no test.");
            }
        }
        Ok(if self.check && test.p.reject { ExitCode::from(REJECTED) } else { ExitCode::SUCCESS })
    }
}

impl Compare {
    /// The settings of a test with random features.
    fn features_settings(&self, features: usize) -> Result<features::Settings> {
        if self.null != Null::Exact {
            return Err(Error::usage(format!(
                "--features has no {} null; use --null exact, which is fast with features",
                self.null.name()
            )));
        }
        let settings = features::Settings {
            family: self.kernel.kernel,
            bandwidth: self.kernel.bandwidth.clone(),
            sum: self.kernel.sum,
            features,
            permutations: self.permutations,
            alpha: self.alpha,
            seed: self.kernel.common.seed,
        };
        settings.check()?;
        Ok(settings)
    }

    fn run_aggregate(
        &self,
        device: &Device,
        tables: [&Table; 2],
        combine: Combine,
        to: &Output<'_>,
    ) -> Result<ExitCode> {
        let null = match self.null {
            Null::Exact => aggregate::Null::Exact,
            Null::Wild => aggregate::Null::Wild,
            Null::Binned => {
                return Err(Error::usage("--aggregate has no binned null; use --null exact or --null wild"));
            }
        };
        let given = self.kernel.bandwidth != Bandwidth::default();
        let settings = aggregate::Settings {
            families: self.kernels.clone(),
            bandwidth: given.then(|| self.kernel.bandwidth.clone()),
            combine,
            permutations: self.permutations,
            null,
            budget: self.budget,
            alpha: self.alpha,
            seed: self.kernel.common.seed,
        };
        super::aggregate::run(device, tables, &settings, to)
    }
}

/// A divergence that can be estimated.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Divergence {
    /// Kullback-Leibler, KL(X || Y)
    Kl,
}

/// An estimate in nats with its standard error.
pub(super) fn nats(information: &Information) -> String {
    let error = information.standard_error.map_or(String::new(), |error| format!(" +- {error:.3}"));
    format!("{:.3}{error} nats", information.nats)
}

/// The decision in words.
pub(super) fn decision(p: &PValue) -> String {
    if p.reject {
        format!("the samples differ (p <= {})", p.alpha)
    } else {
        format!("no difference was found (p > {}); this does not prove that there is none", p.alpha)
    }
}

/// The kernel with its bandwidths and where they come from.
pub(super) fn kernel_line(family: Family, bandwidths: &[f64], rule: &str) -> String {
    let name = match family {
        Family::Gaussian => "gaussian, sigma",
        Family::Laplace => "laplace, b",
        Family::Imq => "inverse multiquadric, b",
        Family::Energy => return "energy distance".into(),
        Family::Delta => return "delta: 1 for equal values".into(),
    };
    let values: Vec<String> = bandwidths.iter().map(|b| format!("{b:.4}")).collect();
    format!("{name} = {} ({rule})", values.join(", "))
}

impl Compare {
    fn print(&self, test: &TwoSample, [x, y]: [&str; 2]) {
        let p = &test.p;
        result(format_args!("X          {x}: {} points, d = {}", grouped(test.n as f64), test.d));
        result(format_args!("Y          {y}: {} points", grouped(test.m as f64)));
        result(format_args!(
            "kernel     {}",
            kernel_line(test.kernel, &test.bandwidths, &test.bandwidth_rule)
        ));
        let interval = test.confidence_interval.map_or(String::new(), |[low, high]| {
            format!(" ({:.0} % interval {low:.3e} to {high:.3e})", 100.0 * (1.0 - p.alpha))
        });
        result(format_args!("MMD^2      {:.4e} unbiased{interval}", test.mmd2_unbiased));
        result(format_args!("           {:.4e} biased, the mean over all pairs", test.mmd2_biased));
        let bins = test.bin.map_or(String::new(), |bin| format!(" of bins of {bin} points"));
        let draws = match self.null {
            Null::Wild => format!("{} wild bootstrap draws", p.permutations),
            Null::Exact | Null::Binned => format!("{} permutations{bins}", p.permutations),
        };
        result(format_args!(
            "p-value    {:.4} +- {:.4}: {} of {draws} reach the observed value",
            p.p_value, p.p_standard_error, p.exceedances
        ));
        result(format_args!("decision   {}", decision(p)));
        if test.mmd2_unbiased < 0.0 {
            result(
                "           A negative estimate is no mistake: without a difference, the unbiased estimate scatters \
                 around 0.",
            );
        }
        result(format_args!(
            "time       {:.2} s, {} pairs of points a second",
            test.seconds,
            grouped(test.pairs / test.seconds)
        ));
    }
}
