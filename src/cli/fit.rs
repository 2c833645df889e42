//! `elbo fit`.

use super::aggregate::{only_agg, print_fit, save_fit};
use super::compare::{REJECTED, kernel_line};
use super::output::{grouped, json, note, result};
use super::sample::{CommonOptions, NullPicture, PairBar, SAMPLES, sample};
use crate::data::table::Table;
use crate::density::{Density, Model, fit as mixtures};
use crate::engine::{Device, Info};
use crate::error::{Error, Result};
use crate::kernel::pairs::Family;
use crate::statistic::aggregate::{self, Combine};
use crate::statistic::fit::{Better, Candidate, Fit as Test, Null, Refit, Settings, better, fit};
use crate::statistic::p_value::PValue;
use crate::statistic::{Bandwidth, Sample};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Does a sample come from a model? And which of two models fits better? The kernel Stein discrepancy (KSD)
///
/// A model is a JSON file, or `--fit gaussian:K`: a mixture of K Gaussians fitted to the sample. A fitted model needs
/// `--null parametric` for an exact level: the default finds a misfit less often than it should.
#[derive(Args)]
#[command(after_help = format!("{SAMPLES}

Models:
  {{\"family\": \"gaussian\", \"mean\": [0, 0], \"covariance\": [[1, 0.5], [0.5, 1]]}}
  {{\"family\": \"gaussian-mixture\", \"weights\": [0.3, 0.7], \"means\": [[0], [3]], \"covariances\": [[[1]], [[2]]]}}
  {{\"family\": \"student-t\", \"location\": [0], \"scale\": [[1]], \"degrees-of-freedom\": 5}}
  {{\"family\": \"laplace\", \"location\": [0], \"scale\": [1]}}
  {{\"family\": \"gamma\", \"shape\": [2], \"scale\": [1]}}
  {{\"family\": \"gauss-bernoulli-rbm\", \"B\": [[1, -1]], \"b\": [0], \"c\": [0, 0]}}

Examples:
  elbo fit x.npy --model normal.json
  elbo fit x.csv --fit gaussian:1 --fit gaussian:2     is one Gaussian or are two more fit?
  elbo fit x.csv --model a.json --model b.json --json
  elbo fit x.npy --model normal.json --kernel imq --aggregate agg    ten bandwidths in one test
  elbo fit x.csv --fit gaussian:2 --null parametric --permutations 199"))]
pub(super) struct Fit {
    /// The sample
    x: String,
    /// A model file; two of them are compared
    #[arg(long, value_name = "FILE.json")]
    model: Vec<PathBuf>,
    /// A mixture of K Gaussians, fitted to the sample
    #[arg(long, value_name = "gaussian:K")]
    fit: Vec<String>,
    /// Kernel function: gaussian or imq
    #[arg(long, default_value = "gaussian")]
    kernel: Family,
    /// Numbers, or a rule: median, mean, 0.5*median
    #[arg(long, default_value = "median", value_name = "B|RULE")]
    bandwidth: Bandwidth,
    /// Choose the bandwidth with the most power by half of the points, and test with the other half: one of several
    /// given, or of 1/32 to 32 times a rule
    #[arg(long, conflicts_with_all = ["fit", "aggregate"])]
    split: bool,
    /// Draws under the null
    #[arg(long, default_value_t = 999, value_name = "B")]
    permutations: usize,
    /// How they are made
    #[arg(long, default_value = "wild")]
    null: Null,
    /// Use only about N R pairs, of items at most R apart in a random order: near-linear time, and less power
    #[arg(long, value_name = "R")]
    budget: Option<usize>,
    /// Level of the test
    #[arg(long, default_value_t = 0.05)]
    alpha: f64,
    /// Test with many bandwidths at once: those of --bandwidth, or 2^i times the median with i = -5 to 4. Two models are
    /// then not compared
    #[arg(long, value_name = "agg")]
    aggregate: Option<Combine>,
    /// End with exit code 3 if a model does not fit
    #[arg(long)]
    check: bool,
    /// Directory for a picture of the null distribution of each model, NAME.png
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    common: CommonOptions,
}

/// The JSON result.
#[derive(Serialize)]
struct Report<'a> {
    models: &'a [Test],
    /// The name of the better model, if the relative test rejects that both fit equally well.
    better: Option<&'a str>,
    relative: Option<&'a Better>,
    engine: &'static str,
    adapter: &'a str,
}

/// The JSON result with many bandwidths.
#[derive(Serialize)]
struct AggregateReport<'a> {
    models: &'a [aggregate::fit::Aggregate],
    engine: &'static str,
    adapter: &'a str,
}

/// A model of the command line.
struct Named {
    name: String,
    model: Model,
    /// K, if it was fitted.
    components: Option<usize>,
}

impl Named {
    /// How it was fitted, if it was.
    fn refit(&self) -> Option<Box<Refit<'static>>> {
        let components = self.components?;
        Some(Box::new(move |sample: Sample<'_>, seed: u64| -> Result<Box<dyn Density>> {
            Ok(Box::new(fitted(sample, components, seed)?.mixture))
        }))
    }

    fn candidate<'a>(&'a self, refit: Option<&'a Refit<'a>>) -> Candidate<'a> {
        Candidate { name: &self.name, density: self.model.density(), refit }
    }

    /// Of the picture of its test.
    fn title_and_file(&self, sample: &str) -> [String; 2] {
        [format!("Does {sample} come from {}?", self.name), format!("{}.png", self.name.replace(':', "-"))]
    }
}

/// A mixture fitted to a sample.
fn fitted(sample: Sample<'_>, components: usize, seed: u64) -> Result<mixtures::Fitted> {
    mixtures::gaussian_mixture(
        sample,
        &mixtures::Settings { components, seed, ..mixtures::Settings::default() },
    )
}

impl Fit {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let settings = Settings {
            family: self.kernel,
            bandwidth: self.bandwidth.clone(),
            split: self.split,
            permutations: self.permutations,
            null: self.null,
            budget: self.budget,
            alpha: self.alpha,
            seed: self.common.seed,
        };
        match self.aggregate {
            None => settings.check()?,
            Some(combine) => {
                only_agg(combine)?;
                aggregate::fit::check_settings(&settings)?;
            }
        }
        if self.split && self.model.len() > 1 {
            return Err(Error::usage(
                "--split would choose another bandwidth for each model, and they could not be compared; give one --model",
            ));
        }
        if self.model.len() + self.fit.len() == 0 || self.model.len() + self.fit.len() > 2 {
            return Err(Error::usage("give one or two models: --model FILE.json or --fit gaussian:K"));
        }
        if self.budget.is_some() && self.aggregate.is_none() && self.model.len() + self.fit.len() > 1 {
            return Err(Error::usage(
                "two models are compared by all pairs; leave out --budget, or give one model",
            ));
        }
        let components = self.fit.iter().map(|text| components(text)).collect::<Result<Vec<_>>>()?;
        let [table] = self.common.read([&self.x])?;
        let x = sample(&table);
        let models = self.models(x, &components)?;
        let device = self.common.open()?;
        if self.aggregate.is_some() {
            return self.run_aggregate(&device, &table, &models, settings);
        }
        let mut tests = Vec::new();
        for model in &models {
            let bar = PairBar::new("fit");
            let refit = model.refit();
            let test = fit(&device, x, model.candidate(refit.as_deref()), &settings, &mut |d| bar.set(d))?;
            bar.finish();
            self.warn(model, &test.warnings);
            if let Some(directory) = &self.out {
                let [title, file] = model.title_and_file(&table.name);
                let (statistic, observed) = ("KSD² (unbiased)", test.ksd2_unbiased);
                let decision = decision(&test.p);
                let null =
                    NullPicture { title: &title, statistic, decision: &decision, p: &test.p, observed };
                null.save(directory, &file, &test.draws)?;
            }
            tests.push(test);
        }
        let relative = if let [a, b] = &tests[..] { Some(better([a, b], self.alpha)?) } else { None };
        if self.common.json {
            let Info { engine, adapter, .. } = device.info();
            let better = relative.as_ref().and_then(|relative| relative.better.as_deref());
            json(&Report { models: &tests, better, relative: relative.as_ref(), engine, adapter })?;
        } else {
            print(&table.name, &tests, relative.as_ref(), self.alpha);
        }
        let misfit = tests.iter().any(|test| test.p.reject);
        Ok(if self.check && misfit { ExitCode::from(REJECTED) } else { ExitCode::SUCCESS })
    }

    /// The same with many bandwidths.
    fn run_aggregate(
        &self,
        device: &Device,
        table: &Table,
        models: &[Named],
        settings: Settings,
    ) -> Result<ExitCode> {
        let given = self.bandwidth != Bandwidth::default();
        let settings =
            if given { settings } else { Settings { bandwidth: aggregate::fit::bandwidths(), ..settings } };
        let mut tests = Vec::new();
        for model in models {
            let bar = PairBar::new("fit");
            let refit = model.refit();
            let candidate = model.candidate(refit.as_deref());
            let test =
                aggregate::fit::aggregate(device, sample(table), candidate, &settings, &mut |d| bar.set(d))?;
            bar.finish();
            self.warn(model, &test.warnings);
            if let Some(directory) = &self.out {
                let [title, file] = model.title_and_file(&table.name);
                save_fit(&test, &title, directory, &file)?;
            }
            tests.push(test);
        }
        if self.common.json {
            let Info { engine, adapter, .. } = device.info();
            json(&AggregateReport { models: &tests, engine, adapter })?;
        } else {
            print_fit(&table.name, &tests);
        }
        let misfit = tests.iter().any(|test| test.p.reject);
        Ok(if self.check && misfit { ExitCode::from(REJECTED) } else { ExitCode::SUCCESS })
    }

    /// What a user should know of a test.
    fn warn(&self, model: &Named, warnings: &[String]) {
        warnings.iter().for_each(|warning| note(format_args!("warning: {warning}")));
        if model.components.is_some() && self.null == Null::Wild {
            note(format_args!(
                "note: {} was fitted to this sample, so its p-value is too large; --null parametric mends that",
                model.name
            ));
        }
    }

    /// The models, read or fitted.
    fn models(&self, x: Sample<'_>, components: &[usize]) -> Result<Vec<Named>> {
        let mut models = Vec::new();
        for path in &self.model {
            let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            models.push(Named { name, model: Model::read(path)?, components: None });
        }
        for (&components, text) in components.iter().zip(&self.fit) {
            let fitted = fitted(x, components, self.common.seed)?;
            note(format_args!(
                "{text}: ln likelihood {:.3} after {} steps",
                fitted.ln_likelihood, fitted.iterations
            ));
            let model = Model::GaussianMixture(fitted.mixture);
            models.push(Named { name: text.clone(), model, components: Some(components) });
        }
        Ok(models)
    }
}

/// K of `gaussian:K`.
fn components(text: &str) -> Result<usize> {
    let wrong =
        || Error::usage(format!("--fit {text}: write gaussian:K with a number K of components, such as 2"));
    let count = text.strip_prefix("gaussian:").ok_or_else(wrong)?;
    count.parse().ok().filter(|&k: &usize| k > 0).ok_or_else(wrong)
}

/// The decision in words.
pub(super) fn decision(p: &PValue) -> String {
    if p.reject {
        format!("the sample does not come from this model (p <= {})", p.alpha)
    } else {
        format!("no misfit was found (p > {}); this does not prove that there is none", p.alpha)
    }
}

fn print(name: &str, tests: &[Test], relative: Option<&Better>, alpha: f64) {
    if let [test, ..] = tests {
        result(format_args!("X          {name}: {} points, d = {}", grouped(test.n as f64), test.d));
        let kernel = kernel_line(test.kernel, &test.bandwidths, &test.bandwidth_rule);
        result(format_args!("kernel     {kernel}"));
    }
    for test in tests {
        let p = &test.p;
        result(format_args!("model      {}", test.name));
        let rest = test
            .ksd2_biased
            .map_or(", from a part of all pairs".into(), |biased| format!(", {biased:.4e} biased"));
        result(format_args!("KSD^2      {:.4e} unbiased{rest}", test.ksd2_unbiased));
        result(format_args!(
            "p-value    {:.4} +- {:.4}: {} of {} {} bootstrap draws reach the observed value",
            p.p_value, p.p_standard_error, p.exceedances, p.permutations, p.null
        ));
        result(format_args!("decision   {}", decision(p)));
    }
    if let Some(relative) = relative {
        let words = match &relative.better {
            Some(name) => format!("{name} fits better (p <= {alpha})"),
            None => format!("neither was found to fit better (p > {alpha})"),
        };
        result(format_args!(
            "better     {words}; difference {:.3e} +- {:.1e}, p = {:.3e}",
            relative.difference, relative.standard_error, relative.p_value
        ));
    }
}
