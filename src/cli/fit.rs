//! `elbo fit`.

use super::bar::watch;
use super::output::{note, result};
use super::report::{
    DrawOptions, Report, SMALLEST, VerdictOptions, Words, decision, kernel_line, nulls, p_text,
    print_p_value, print_rows,
};
use super::sample::{CommonOptions, SAMPLES};
use clap::Args;
use elbo::data::table::Table;
use elbo::density::Distribution;
use elbo::engine::Device;
use elbo::error::{Error, Result};
use elbo::kernel::pairs::Family;
use elbo::numeric::grouped;
use elbo::picture::{Chart, Panel, Series, Style};
use elbo::statistic::aggregate::{self, Combine, fit::AggregateFit};
use elbo::statistic::columns::ColumnScale;
use elbo::statistic::fit::{Better, Candidate, Fit, FitSettings, NULLS, NamedModel, better, components, fit};
use elbo::statistic::p_value::PValue;
use elbo::statistic::tables::{THIN, order_warnings};
use elbo::statistic::{Bandwidth, Null, Outcome, Sample};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

const PICTURES: &str =
    "Directory for pictures: the null distribution of each model, NAME.png, and of one column densities.png";

/// Bars and points of the picture of a sample.
const BARS: usize = 40;
const CURVE: usize = 400;

/// Does a sample come from a model? And which of two models fits better? The kernel Stein discrepancy (KSD)
///
/// A model is a JSON file, or `--fit gaussian:K`: a mixture of K Gaussians fitted to the sample. A fitted model needs
/// `--null parametric` for an exact level, if rows are independent: the default finds a misfit less often than it should.
#[derive(Args)]
#[command(mut_arg("null", |arg| nulls(arg, &NULLS)))]
#[command(mut_arg("check", |arg| arg.help("End with exit code 3 if a model does not fit")))]
#[command(mut_arg("out", |arg| arg.help(PICTURES)))]
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
  elbo fit x.csv --fit gaussian:1 --fit gaussian:2    one Gaussian, or two?
  elbo fit x.csv --model a.json --model b.json --json
  elbo fit x.npy --model normal.json --aggregate agg  ten bandwidths in one test
  elbo fit x.csv --fit gaussian:2 --null parametric --permutations 199"))]
pub(super) struct FitArgs {
    /// The sample
    x: String,
    /// A model file; two of them are compared
    #[arg(long, value_name = "FILE.json", help_heading = "Model")]
    model: Vec<PathBuf>,
    /// A mixture of K Gaussians, fitted to the sample
    #[arg(long, value_name = "gaussian:K", help_heading = "Model")]
    fit: Vec<String>,
    /// Kernel function: gaussian or imq
    #[arg(long, default_value = "gaussian", hide_possible_values = true, help_heading = "Kernel")]
    kernel: Family,
    /// Numbers, or a rule: median, mean, 0.5*median
    #[arg(long, default_value = "median", value_name = "B|RULE", help_heading = "Kernel")]
    bandwidth: Bandwidth,
    /// Choose the bandwidth with the most power by half of the points, and test with the other half: one of several
    /// given, or of 1/32 to 32 times a rule
    #[arg(long, conflicts_with_all = ["fit", "aggregate"], help_heading = "Kernel", hide_short_help = true)]
    split: bool,
    #[command(flatten)]
    draws: DrawOptions,
    /// Test with many bandwidths at once: those of --bandwidth, or 2^i times the median with i = -5 to 4. Two models are
    /// then not compared
    #[arg(long, value_name = "agg", hide_possible_values = true, help_heading = "Kernel")]
    aggregate: Option<Combine>,
    #[command(flatten)]
    verdict: VerdictOptions,
    #[command(flatten)]
    common: CommonOptions,
}

/// The JSON result.
#[derive(Serialize)]
struct Fits<'a> {
    models: &'a [Outcome<Fit>],
    /// The name of the better model, if the relative test rejects that both fit equally well.
    better: Option<&'a str>,
    relative: Option<&'a Better>,
}

/// The JSON result with many bandwidths.
#[derive(Serialize)]
struct AggregateFits<'a> {
    models: &'a [Outcome<AggregateFit>],
}

impl FitArgs {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let settings = self.settings()?;
        if self.common.scale() == Some(ColumnScale::Robust) {
            return Err(Error::usage("a model is about the data as they are; leave out --scale"));
        }
        self.fit.iter().try_for_each(|text| components(text).map(drop))?;
        let [table] = self.common.read([&self.x])?;
        let x = table.sample();
        let models = self.models(x)?;
        let device = self.common.open()?;
        match self.aggregate {
            None => self.one_kernel(&device, &table, &models, &settings),
            Some(_) => self.many_kernels(&device, &table, &models, &settings),
        }
    }

    /// The settings, if they are possible.
    fn settings(&self) -> Result<FitSettings> {
        let common = self.draws.common(self.common.seed, &self.verdict)?;
        let given = self.bandwidth != Bandwidth::default();
        let bandwidth = match self.aggregate {
            Some(_) if !given => aggregate::fit::bandwidths(),
            _ => self.bandwidth.clone(),
        };
        let settings = FitSettings { family: self.kernel, bandwidth, split: self.split, common };
        match self.aggregate {
            None => settings.check()?,
            Some(combine) => {
                combine.only_agg()?;
                aggregate::fit::check_settings(&settings)?;
            }
        }
        let models = self.model.len() + self.fit.len();
        if self.split && self.model.len() > 1 {
            return Err(Error::usage(
                "--split would choose another bandwidth for each model, and they could not be compared; give one --model",
            ));
        }
        if models == 0 || models > 2 {
            return Err(Error::usage("give one or two models: --model FILE.json or --fit gaussian:K"));
        }
        if common.budget.is_some() && self.aggregate.is_none() && models > 1 {
            return Err(Error::usage(
                "two models are compared by all pairs; leave out --budget, or give one model",
            ));
        }
        Ok(settings)
    }

    fn one_kernel(
        &self,
        device: &Device,
        table: &Table,
        models: &[NamedModel],
        settings: &FitSettings,
    ) -> Result<ExitCode> {
        let (name, x) = (&table.name[..], table.sample());
        let test = |candidate: Candidate<'_>, progress: &mut dyn FnMut(f64) -> Result<()>| {
            fit(device, x, candidate, settings, progress)
        };
        let report = Report::new(device, self.common.json, &self.verdict);
        let tests = self.each(&report, table, "KSD² (unbiased)", models, test)?;
        draw(&report, table, models)?;
        let alpha = settings.common.alpha;
        let relative = if let [a, b] = &tests[..] { Some(better([a, b], alpha)?) } else { None };
        let better = relative.as_ref().and_then(|relative| relative.better.as_deref());
        let fits = Fits { models: &tests, better, relative: relative.as_ref() };
        let reject = tests.iter().any(|test| test.p.reject);
        report.end(&fits, None, reject, || print(name, models, &tests, relative.as_ref(), alpha))
    }

    fn many_kernels(
        &self,
        device: &Device,
        table: &Table,
        models: &[NamedModel],
        settings: &FitSettings,
    ) -> Result<ExitCode> {
        let (name, x) = (&table.name[..], table.sample());
        let test = |candidate: Candidate<'_>, progress: &mut dyn FnMut(f64) -> Result<()>| {
            aggregate::fit::aggregate(device, x, candidate, settings, progress)
        };
        let report = Report::new(device, self.common.json, &self.verdict);
        let tests = self.each(&report, table, SMALLEST, models, test)?;
        draw(&report, table, models)?;
        let reject = tests.iter().any(|test| test.p.reject);
        report.end(&AggregateFits { models: &tests }, None, reject, || {
            for (test, model) in tests.iter().zip(models) {
                let found = &test.found;
                result(format_args!(
                    "X          {name}: {} points, d = {}",
                    grouped(found.n as f64),
                    found.d
                ));
                result(format_args!("model      {}", found.name));
                result(format_args!("bandwidths {}", found.bandwidth_rule));
                let header = ["kernel", "KSD^2"];
                print_rows(test, &found.kernels, &header, "does not fit", &decided(&test.p, model));
            }
        })
    }

    /// Tests each model, with its warnings and its picture.
    fn each<T>(
        &self,
        report: &Report<'_>,
        table: &Table,
        statistic: &str,
        models: &[NamedModel],
        test: impl Fn(Candidate<'_>, &mut dyn FnMut(f64) -> Result<()>) -> Result<Outcome<T>>,
    ) -> Result<Vec<Outcome<T>>> {
        let (mut tests, name) = (Vec::new(), &table.name);
        let mut order = Vec::new();
        if self.common.keeps_order() {
            order = order_warnings(&[table], THIN);
        }
        for model in models {
            let refit = model.refit();
            let candidate = model.candidate(refit.as_deref());
            let mut test = watch("fit", |progress| test(candidate, progress))?;
            test.warnings.extend(model.collapsed.clone());
            // The rows are the same for the second model.
            report.warn(&mut test, &std::mem::take(&mut order))?;
            if refit.is_some() && self.draws.null == Null::Wild {
                note(format_args!(
                    "note: {} was fitted to this sample, so its p-value is too large; --null parametric mends that",
                    model.name
                ));
            }
            let question = format!("Does {name} come from {}?", model.name);
            let words = Words { question, statistic, decision: decided(&test.p, model) };
            report.keep(&test, &words, &format!("{}.png", model.name.replace(':', "-")))?;
            tests.push(test);
        }
        Ok(tests)
    }

    /// The models, read or fitted.
    fn models(&self, x: Sample<'_>) -> Result<Vec<NamedModel>> {
        let mut models = Vec::new();
        for path in &self.model {
            let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            models.push(NamedModel::new(name, Distribution::read(path)?.into_density()));
        }
        for text in &self.fit {
            let (model, fitted) = NamedModel::fitted(text, x, self.common.seed)?;
            note(fitted);
            models.push(model);
        }
        Ok(models)
    }
}

/// Draws a sample of numbers, if that is what it is, with the densities of the models that know theirs.
fn draw(report: &Report<'_>, table: &Table, models: &[NamedModel]) -> Result<()> {
    if table.columns != 1 {
        return Ok(());
    }
    let (low, high) =
        table.values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    if low >= high {
        return Ok(());
    }
    let mut bars = Series::histogram(&table.values, [low, high], BARS);
    let width = (high - low) / BARS as f64;
    bars.points.iter_mut().for_each(|point| point[1] /= table.rows as f64 * width);
    let curve = |model: &NamedModel| {
        let point = |i: usize| {
            let x = low + (high - low) * i as f64 / CURVE as f64;
            Some([x, model.candidate(None).density.ln_density(&[x])?.exp()])
        };
        let points: Option<Vec<[f64; 2]>> = (0..=CURVE).map(point).collect();
        points.map(|points| Series { name: model.name.clone(), points, style: Style::Line })
    };
    let series =
        std::iter::once(Series { name: table.name.clone(), ..bars }).chain(models.iter().filter_map(curve));
    let axis = table.header.as_ref().map_or("value", |names| &names[0]);
    let panel = Panel {
        x: axis.into(),
        y: "density".into(),
        series: series.collect(),
        floor: Some(0.0),
        ..Panel::default()
    };
    let title = format!("{} and the densities of models", table.name);
    report.draw("densities.png", |path| Chart { title, panels: vec![panel], ..Chart::default() }.save(path))
}

fn decided(p: &PValue, model: &NamedModel) -> String {
    let nothing = match &model.collapsed {
        None => "no misfit was found",
        Some(_) => "no misfit was found, but the fit has collapsed, so that says nothing",
    };
    decision(p, "the sample does not come from this model", nothing)
}

fn print(name: &str, models: &[NamedModel], tests: &[Outcome<Fit>], relative: Option<&Better>, alpha: f64) {
    if let [Outcome { found, .. }, ..] = tests {
        result(format_args!("X          {name}: {} points, d = {}", grouped(found.n as f64), found.d));
        result(format_args!("kernel     {}", kernel_line(&found.kernel)));
    }
    for (Outcome { found, p, .. }, model) in tests.iter().zip(models) {
        result(format_args!("model      {}", found.name));
        let rest = found
            .ksd2_biased
            .map_or(", from a part of all pairs".into(), |biased| format!(", {biased:.4e} biased"));
        result(format_args!("KSD^2      {:.4e} unbiased{rest}", found.ksd2_unbiased));
        print_p_value(p, format_args!("{} bootstrap draws reach the observed value", p.null));
        result(format_args!("decision   {}", decided(p, model)));
    }
    if let Some(relative) = relative {
        let words = match &relative.better {
            Some(name) => format!("{name} fits better (p <= {alpha})"),
            None => format!("neither was found to fit better (p > {alpha})"),
        };
        result(format_args!(
            "better     {words}; difference {:.3e} +- {:.1e}, p = {}",
            relative.difference,
            relative.standard_error,
            p_text(relative.p_value)
        ));
    }
}
