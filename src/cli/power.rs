//! `elbo power`.

use super::bar::watch;
use super::device::DeviceOptions;
use super::output::{json, note, table, warn};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use elbo::data;
use elbo::engine::Device;
use elbo::error::{Error, Result};
use elbo::kernel::pairs::Family;
use elbo::picture::{Chart, Panel, Series, Style};
use elbo::problem::{Digits, Problem, Question};
use elbo::statistic::Bandwidth;
use elbo::statistic::p_value::too_few_draws;
use elbo::statistic::power::{Experiment, PowerLog, Rate, TESTS, TestKind};
use elbo::statistic::test::KernelChoice;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The files of the output directory.
const LOG: &str = "power.jsonl";
const TABLE: &str = "power.csv";
const PICTURE: &str = "power.png";

/// How often does a test find what is there? Its power curve on a standard problem
///
/// Draws samples of the problem again and again, and counts how often the test rejects them, for each value of the
/// problem's parameter. Where there is nothing to find, the share is the test's level, and should be alpha.
///
/// Leaves power.csv, power.png and power.jsonl, with a line for each repetition. A call with the same settings goes on
/// with what is there, after an interruption or with more repetitions or parameters.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo power perturbed-uniform                     six amplitudes, 100 times
  elbo power mixture --test fuse --permutations 1999 --out fuse
  elbo power laplace --test ksd --n 1000           goodness of fit to N(0, I)
  elbo power perturbed-pair --test hsic-agg        all pairs of bandwidths
  elbo power rotated-ica --kernel laplace --bandwidth 0.5*median
  elbo power blobs --parameters 1,1.5,2 --repetitions 1000 --json
  elbo power digit-subsets --data mnist            a folder with MNIST's files")]
pub(super) struct PowerArgs {
    /// The problem
    problem: Problem,
    /// The test; if not given, one that suits the problem
    #[arg(long, value_parser = kinds(), help_heading = "Test")]
    test: Option<&'static TestKind>,
    /// Values of the problem's parameter, instead of its own
    #[arg(
        long,
        value_delimiter = ',',
        allow_negative_numbers = true,
        value_name = "LIST",
        help_heading = "Problem"
    )]
    parameters: Vec<f64>,
    /// Points of X
    #[arg(long, default_value_t = 500, help_heading = "Problem")]
    n: usize,
    /// Points of Y; as many as X if not given
    #[arg(long, help_heading = "Problem", hide_short_help = true)]
    m: Option<usize>,
    /// Repetitions for each parameter
    #[arg(long, default_value_t = 100, value_name = "R", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Test")]
    repetitions: u32,
    /// Draws under the null; with more, agg and fuse see a little more
    #[arg(long, default_value_t = 199, value_name = "B", help_heading = "Test")]
    permutations: usize,
    /// Level of the test
    #[arg(long, default_value_t = 0.05, help_heading = "Test", hide_short_help = true)]
    alpha: f64,
    /// Kernel function, instead of gaussian; many for agg and fuse, and for hsic or hsic-agg perhaps X's and Y's
    #[arg(long, value_delimiter = ',', value_name = "LIST", help_heading = "Kernel")]
    kernel: Vec<Family>,
    /// Numbers, or a rule such as 0.5*median, instead of median; aggregated tests have their own
    #[arg(long, value_name = "B|RULE", help_heading = "Kernel")]
    bandwidth: Option<Bandwidth>,
    /// Seed of everything random
    #[arg(long, default_value_t = 0, help_heading = "Problem")]
    seed: u64,
    #[command(flatten)]
    device: DeviceOptions,
    /// Images of digits for the problems that are made of them: a folder with MNIST's files, or digits
    #[arg(long, value_name = "DIR", help_heading = "Problem", hide_short_help = true)]
    data: Option<String>,
    /// Directory for the results, instead of power/PROBLEM
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Begin anew in a directory that has results
    #[arg(long, help_heading = "Output")]
    force: bool,
    /// Print the result as one JSON object
    #[arg(long, help_heading = "Output")]
    json: bool,
}

fn kinds() -> impl TypedValueParser<Value = &'static TestKind> {
    let values = TESTS.iter().map(|kind| PossibleValue::new(kind.name).help(kind.help));
    PossibleValuesParser::new(values).try_map(|name| TestKind::named(&name).ok_or("no test has this name"))
}

/// All that the outcome of a repetition depends on: the first line of the log.
#[derive(Serialize)]
struct Setup<'a> {
    problem: Problem,
    test: &'static TestKind,
    n: usize,
    m: usize,
    permutations: usize,
    alpha: f64,
    kernels: &'a [Family],
    /// Null where the test has its own.
    bandwidth: Option<String>,
    seed: u64,
    data: Option<&'a str>,
    engine: &'static str,
}

/// The JSON result.
#[derive(Serialize)]
struct PowerCurve<'a> {
    #[serde(flatten)]
    setup: &'a Setup<'a>,
    parameter: &'static str,
    adapter: &'a str,
    results: &'a [Rate],
    out: &'a Path,
}

impl PowerArgs {
    pub(super) fn run(&self) -> Result<()> {
        let (kind, m) = self.check()?;
        let (permutations, alpha) = (self.permutations, self.alpha);
        let (kernels, bandwidth) = (self.kernel.clone(), self.bandwidth.clone());
        let test = kind.test(&KernelChoice { kernels, bandwidth, permutations, alpha })?;
        let parameters = self.parameters()?;
        warn(too_few_draws(permutations, alpha).as_slice());
        let device = self.device.open(false)?;
        let kernels = test.families().to_vec();
        let setup = Setup {
            problem: self.problem,
            test: kind,
            n: self.n,
            m,
            permutations,
            alpha,
            kernels: &kernels,
            bandwidth: self.bandwidth.as_ref().map(ToString::to_string),
            seed: self.seed,
            data: self.data.as_deref(),
            engine: device.info().engine,
        };
        let out = self.out.clone().unwrap_or_else(|| Path::new("power").join(self.problem.name()));
        let mut log = PowerLog::open(&out.join(LOG), &setup, self.force)?;
        let (problem, sizes, seed) = (self.problem, [self.n, m], self.seed);
        let experiment = Experiment { problem, test, sizes, seed, digits: self.digits()? };
        self.repeat(&experiment, &device, &parameters, &mut log)?;

        let results: Vec<Rate> = parameters.iter().map(|&p| log.rate(p, self.repetitions)).collect();
        write_table(&out.join(TABLE), &results)?;
        self.draw(&out.join(PICTURE), &setup, &results)?;
        if self.json {
            let (parameter, adapter) = (self.problem.parameter(), &device.info().adapter);
            return json(&PowerCurve { setup: &setup, parameter, adapter, results: &results, out: &out });
        }
        print(self.problem, &results);
        Ok(())
    }

    /// The values of the problem's parameter, from small to large.
    fn parameters(&self) -> Result<Vec<f64>> {
        let given = if self.parameters.is_empty() { self.problem.defaults() } else { &self.parameters };
        let mut parameters = given.to_vec();
        parameters.iter().try_for_each(|&parameter| self.problem.check(parameter))?;
        parameters.sort_by(f64::total_cmp);
        parameters.dedup();
        Ok(parameters)
    }

    /// The test and the points of Y, if they are possible together with the problem.
    fn check(&self) -> Result<(&'static TestKind, usize)> {
        self.device.check()?;
        let (kind, [_, m]) = TestKind::for_problem(self.problem, self.test, self.n, self.m)?;
        let problem = self.problem.name();
        match (&self.data, self.problem.needs_digits()) {
            (None, true) => Err(Error::usage(format!(
                "the problem `{problem}` is made of images of digits; give --data a folder with MNIST's files"
            ))),
            (Some(data), false) => Err(Error::usage(format!(
                "the problem `{problem}` is not made of images; leave out --data {data}"
            ))),
            _ => Ok((kind, m)),
        }
    }

    fn digits(&self) -> Result<Option<Digits>> {
        let Some(name) = &self.data else { return Ok(None) };
        // The built-in digits are the same for all seeds of the repetitions.
        let data = data::load(name, 0, None)?;
        Digits::new(&[&data.train, &data.test]).map(Some)
    }

    /// Runs the repetitions that the log lacks, and logs them.
    fn repeat(
        &self,
        experiment: &Experiment,
        device: &Device,
        parameters: &[f64],
        log: &mut PowerLog,
    ) -> Result<()> {
        let missing = log.missing(parameters, self.repetitions);
        let total = parameters.len() * self.repetitions as usize;
        let before = total - missing.len();
        if before > 0 {
            note(format_args!("{before} of {total} repetitions are there already"));
        }
        watch("repeating", |progress| {
            let mut count = |done: usize| progress((before + done) as f64 / total as f64);
            log.run(experiment, device, &missing, &mut count)
        })
    }

    fn draw(&self, path: &Path, setup: &Setup<'_>, rates: &[Rate]) -> Result<()> {
        let series = |name: String, style, y: &dyn Fn(&Rate) -> f64| Series {
            name,
            points: rates.iter().map(|rate| [rate.parameter, y(rate)]).collect(),
            style,
        };
        let Setup { n, m, permutations, alpha, .. } = setup;
        let bars = rates.iter().map(|rate| {
            let ends = [-1.0, 1.0].map(|sign| rate.rejection_rate + sign * rate.standard_error);
            let points = ends.map(|end| [rate.parameter, end.clamp(0.0, 1.0)]).to_vec();
            Series { name: setup.test.name.into(), points, style: Style::Line }
        });
        let panel = Panel {
            x: self.problem.parameter().into(),
            y: "rejection rate".into(),
            series: [
                series(setup.test.name.into(), Style::Marked, &|rate| rate.rejection_rate),
                series(format!("alpha = {alpha}"), Style::Dashed, &|_| *alpha),
            ]
            .into_iter()
            .chain(bars)
            .collect(),
            floor: Some(0.0),
            ceiling: Some(1.0),
            ..Panel::default()
        };
        let sizes = if m == n { format!("n = m = {n}") } else { format!("n = {n}, m = {m}") };
        let sizes = if setup.test.question == Question::TwoSample { sizes } else { format!("n = {n}") };
        let chart = Chart {
            title: format!("How often is {} rejected?", self.problem.name()),
            panels: vec![panel],
            caption: format!(
                "{sizes}, {permutations} permutations, {} repetitions; bars: one standard error",
                self.repetitions
            ),
            ..Chart::default()
        };
        chart.save(path)?;
        note(format_args!("picture: {}", path.display()));
        Ok(())
    }
}

fn print(problem: Problem, rates: &[Rate]) {
    let cells = |rate: &Rate| {
        vec![
            rate.parameter.to_string(),
            format!("{:.3}", rate.rejection_rate),
            format!("{:.3}", rate.standard_error),
            rate.rejections.to_string(),
            rate.repetitions.to_string(),
            format!("{:.2}", rate.seconds),
        ]
    };
    let rows: Vec<Vec<String>> = rates.iter().map(cells).collect();
    let header = ["rejection rate", "standard error", "rejections", "repetitions", "seconds"];
    table(&[&[problem.parameter()][..], &header].concat(), &rows);
}

fn write_table(path: &Path, rates: &[Rate]) -> Result<()> {
    let wrong = |error: csv::Error| Error::run(path, format!("cannot write: {error}"));
    let mut writer = csv::Writer::from_path(path).map_err(wrong)?;
    rates.iter().try_for_each(|rate| writer.serialize(rate)).map_err(wrong)?;
    writer.flush().map_err(Error::io(path, "write"))
}
