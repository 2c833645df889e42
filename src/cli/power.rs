//! `elbo power`.

use super::device::{check_adapter, engine_line, open};
use super::output::{json, note, table};
use super::sample::PairBar;
use crate::data;
use crate::engine::{Choice, Device};
use crate::error::{Error, Result};
use crate::kernel::pairs::Family;
use crate::picture::{Chart, Panel, Series, Style};
use crate::problem::{Digits, Problem, Question};
use crate::statistic::Bandwidth;
use crate::statistic::power::{Experiment, Options, Power as Point, Test, TestName};
use clap::{Args, ValueEnum};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

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
  elbo power perturbed-uniform                     six amplitudes, 100 repetitions each
  elbo power mixture --test fuse --permutations 1999 --out fuse
  elbo power laplace --test ksd --n 1000           the goodness of fit to N(0, I)
  elbo power perturbed-pair --test hsic-agg        every bandwidth of x with every one of y
  elbo power rotated-ica --kernel laplace --bandwidth 0.5*median
  elbo power blobs --parameters 1,1.5,2 --repetitions 1000 --json
  elbo power digit-subsets --data mnist            a directory with MNIST's files")]
pub(super) struct Power {
    /// The problem
    problem: Problem,
    /// The test; if not given, one that suits the problem
    #[arg(long)]
    test: Option<TestName>,
    /// Values of the problem's parameter, instead of its own
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true, value_name = "LIST")]
    parameters: Vec<f64>,
    /// Points of X
    #[arg(long, default_value_t = 500)]
    n: usize,
    /// Points of Y; as many as X if not given
    #[arg(long)]
    m: Option<usize>,
    /// Repetitions for each parameter
    #[arg(long, default_value_t = 100, value_name = "R", value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Draws under the null; with more, agg and fuse see a little more
    #[arg(long, default_value_t = 199, value_name = "B")]
    permutations: usize,
    /// Level of the test
    #[arg(long, default_value_t = 0.05)]
    alpha: f64,
    /// Kernel function, instead of gaussian; many for agg and fuse, and for hsic or hsic-agg perhaps X's and Y's
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    kernel: Vec<Family>,
    /// Numbers, or a rule such as 0.5*median, instead of median; aggregated tests have their own
    #[arg(long, value_name = "B|RULE")]
    bandwidth: Option<Bandwidth>,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A hardware GPU if there is one, any GPU adapter, or the CPU
    #[arg(long, default_value = "auto")]
    engine: Choice,
    /// Part of the GPU adapter's name
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Images of digits for the problems that are made of them: a directory with MNIST's files, or digits
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Directory for the results, instead of power/PROBLEM
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Begin anew in a directory that has results
    #[arg(long)]
    force: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// All that the outcome of a repetition depends on: the first line of the log.
#[derive(Serialize)]
struct Settings<'a> {
    problem: Problem,
    test: TestName,
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

/// One repetition: a further line of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    parameter: f64,
    repetition: u32,
    p_value: f64,
    reject: bool,
    seconds: f64,
}

/// The JSON result.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    settings: &'a Settings<'a>,
    parameter: &'static str,
    adapter: &'a str,
    results: &'a [Point],
    out: &'a Path,
}

impl Power {
    pub(super) fn run(&self) -> Result<()> {
        let (name, m) = self.check()?;
        let options = Options {
            kernels: self.kernel.clone(),
            bandwidth: self.bandwidth.clone(),
            permutations: self.permutations,
            alpha: self.alpha,
        };
        let test = Test::new(name, &options)?;
        let mut parameters = if self.parameters.is_empty() {
            self.problem.defaults().to_vec()
        } else {
            self.parameters.clone()
        };
        parameters.iter().try_for_each(|&parameter| self.problem.check(parameter))?;
        parameters.sort_by(f64::total_cmp);
        parameters.dedup();

        let device = open(self.engine, self.adapter.as_deref(), false)?;
        note(engine_line(device.info()));
        let kernels = test.kernels().to_vec();
        let settings = Settings {
            problem: self.problem,
            test: name,
            n: self.n,
            m,
            permutations: self.permutations,
            alpha: self.alpha,
            kernels: &kernels,
            bandwidth: self.bandwidth.as_ref().map(ToString::to_string),
            seed: self.seed,
            data: self.data.as_deref(),
            engine: device.info().engine,
        };
        let out = self.out.clone().unwrap_or_else(|| Path::new("power").join(self.problem.name()));
        let mut log = Log::open(&out.join(LOG), &settings, self.force)?;
        let experiment = Experiment {
            problem: self.problem,
            test,
            sizes: [self.n, m],
            seed: self.seed,
            digits: self.digits()?,
        };
        self.repeat(&experiment, &device, &parameters, &mut log)?;

        let points: Vec<Point> = parameters.iter().map(|&p| log.point(p, self.repetitions)).collect();
        write_table(&out.join(TABLE), &points)?;
        self.draw(&out.join(PICTURE), &settings, &points)?;
        if self.json {
            let parameter = self.problem.parameter();
            let adapter = &device.info().adapter;
            return json(&Report { settings: &settings, parameter, adapter, results: &points, out: &out });
        }
        print(self.problem, &points);
        Ok(())
    }

    /// The test and the points of Y, if they are possible together with the problem.
    fn check(&self) -> Result<(TestName, usize)> {
        check_adapter(self.engine, self.adapter.as_deref())?;
        let name = self.test.unwrap_or_else(|| TestName::of(self.problem));
        let problem = self.problem.name();
        if !self.problem.questions().contains(&name.question()) {
            let others: Vec<&str> = TestName::value_variants()
                .iter()
                .filter(|other| self.problem.questions().contains(&other.question()))
                .map(|other| other.name())
                .collect();
            return Err(Error::usage(format!(
                "the test `{}` does not suit the problem `{problem}`; use --test {}",
                name.name(),
                others.join(" or ")
            )));
        }
        let m = self.m.unwrap_or(self.n);
        if name.question() != Question::TwoSample && m != self.n {
            return Err(Error::usage(format!(
                "the test `{}` has one sample of {} points, not of {m} too; leave out --m",
                name.name(),
                self.n
            )));
        }
        match (&self.data, self.problem.needs_digits()) {
            (None, true) => Err(Error::usage(format!(
                "the problem `{problem}` is made of images of digits; give --data a directory with MNIST's files"
            ))),
            (Some(data), false) => Err(Error::usage(format!(
                "the problem `{problem}` is not made of images; leave out --data {data}"
            ))),
            _ => Ok((name, m)),
        }
    }

    fn digits(&self) -> Result<Option<Digits>> {
        let Some(name) = &self.data else { return Ok(None) };
        // The built-in digits are the same for all seeds of the repetitions.
        let data = data::load(name, 0)?;
        Digits::new(&[&data.train, &data.test]).map(Some)
    }

    /// Runs the repetitions that the log lacks, and logs them.
    fn repeat(
        &self,
        experiment: &Experiment,
        device: &Device,
        parameters: &[f64],
        log: &mut Log,
    ) -> Result<()> {
        let missing: Vec<(f64, u32)> = parameters
            .iter()
            .flat_map(|&parameter| (0..self.repetitions).map(move |repetition| (parameter, repetition)))
            .filter(|&(parameter, repetition)| log.find(parameter, repetition).is_none())
            .collect();
        let total = parameters.len() * self.repetitions as usize;
        let mut done = total - missing.len();
        if done > 0 {
            note(format_args!("{done} of {total} repetitions are there already"));
        }
        // Small samples have too little work for all threads in one repetition; a GPU works on one at a time.
        let together = if matches!(device, Device::Cpu(_)) { rayon::current_num_threads() } else { 1 };
        let bar = PairBar::new("repeating");
        for chunk in missing.chunks(together) {
            bar.set(done as f64 / total as f64);
            let start = Instant::now();
            let ps = chunk
                .par_iter()
                .map(|&(parameter, repetition)| experiment.repeat(device, parameter, repetition))
                .collect::<Result<Vec<_>>>()?;
            let seconds = start.elapsed().as_secs_f64() / chunk.len() as f64;
            for (&(parameter, repetition), p) in chunk.iter().zip(ps) {
                log.add(Line { parameter, repetition, p_value: p.p_value, reject: p.reject, seconds })?;
            }
            done += chunk.len();
        }
        bar.finish();
        Ok(())
    }

    fn draw(&self, path: &Path, settings: &Settings<'_>, points: &[Point]) -> Result<()> {
        let series = |name: String, style, y: &dyn Fn(&Point) -> f64| Series {
            name,
            points: points.iter().map(|point| [point.parameter, y(point)]).collect(),
            style,
        };
        let Settings { n, m, permutations, alpha, .. } = settings;
        let panel = Panel {
            x: self.problem.parameter().into(),
            y: "rejection rate".into(),
            series: vec![
                series(settings.test.name().into(), Style::Marked, &|point| point.rejection_rate),
                series(format!("alpha = {alpha}"), Style::Dashed, &|_| *alpha),
            ],
            floor: Some(0.0),
            ceiling: Some(1.0),
            ..Panel::default()
        };
        let sizes = if m == n { format!("n = m = {n}") } else { format!("n = {n}, m = {m}") };
        let sizes = if settings.test.question() == Question::TwoSample { sizes } else { format!("n = {n}") };
        let chart = Chart {
            title: format!("How often is {} rejected?", self.problem.name()),
            panels: vec![panel],
            caption: format!("{sizes}, {permutations} permutations, {} repetitions", self.repetitions),
            ..Chart::default()
        };
        chart.save(path)?;
        note(format_args!("picture: {}", path.display()));
        Ok(())
    }
}

fn print(problem: Problem, points: &[Point]) {
    let cells = |point: &Point| {
        vec![
            point.parameter.to_string(),
            format!("{:.3}", point.rejection_rate),
            format!("{:.3}", point.standard_error),
            point.rejections.to_string(),
            point.repetitions.to_string(),
            format!("{:.2}", point.seconds),
        ]
    };
    let rows: Vec<Vec<String>> = points.iter().map(cells).collect();
    let header = ["rejection rate", "standard error", "rejections", "repetitions", "seconds"];
    table(&[&[problem.parameter()][..], &header].concat(), &rows);
}

fn write_table(path: &Path, points: &[Point]) -> Result<()> {
    let wrong = |error: csv::Error| Error::run(path, format!("cannot write: {error}"));
    let mut writer = csv::Writer::from_path(path).map_err(wrong)?;
    points.iter().try_for_each(|point| writer.serialize(point)).map_err(wrong)?;
    writer.flush().map_err(Error::io(path, "write"))
}

/// The finished repetitions, in a file with a line for each after that of the settings.
struct Log {
    path: PathBuf,
    /// What a new file begins with.
    header: String,
    /// By parameter, and by repetition.
    lines: Vec<(f64, BTreeMap<u32, Line>)>,
    /// Open once there is something to write: what fails before leaves no file.
    file: Option<File>,
}

impl Log {
    /// What is there, with `force` nothing.
    ///
    /// # Errors
    /// If it has other settings, or is no log.
    fn open(path: &Path, settings: &Settings<'_>, force: bool) -> Result<Self> {
        let wrong = |e: serde_json::Error| Error::run(path, e.to_string());
        let header = serde_json::to_string(settings).map_err(wrong)?;
        let empty = Self { path: path.into(), header: header + "\n", lines: Vec::new(), file: None };
        if force || !path.exists() {
            return Ok(empty);
        }
        let text = fs::read_to_string(path).map_err(Error::io(path, "read"))?;
        // A kill may have left half a line at the end.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text[..whole].lines().enumerate();
        let Some((_, first)) = lines.next() else { return Ok(empty) };
        same_settings(path, first, &empty.header)?;
        let mut log = empty;
        for (number, line) in lines {
            let line = serde_json::from_str(line).map_err(|e| {
                Error::run(path, format!("line {}: {e}; use --force to begin anew", number + 1))
            })?;
            log.insert(line);
        }
        let file = OpenOptions::new().append(true).open(path).map_err(Error::io(path, "open"))?;
        file.set_len(whole as u64).map_err(Error::io(path, "write"))?;
        log.file = Some(file);
        Ok(log)
    }

    /// Where the repetitions of a parameter are.
    fn place(&self, parameter: f64) -> Option<usize> {
        // A number read from JSON may be off in its last bit.
        let same = |other: f64| (other - parameter).abs() <= 4.0 * f64::EPSILON * parameter.abs();
        self.lines.iter().position(|(other, _)| same(*other))
    }

    fn find(&self, parameter: f64, repetition: u32) -> Option<&Line> {
        self.place(parameter).and_then(|place| self.lines[place].1.get(&repetition))
    }

    fn insert(&mut self, line: Line) {
        let place = self.place(line.parameter).unwrap_or_else(|| {
            self.lines.push((line.parameter, BTreeMap::new()));
            self.lines.len() - 1
        });
        self.lines[place].1.insert(line.repetition, line);
    }

    fn point(&self, parameter: f64, repetitions: u32) -> Point {
        let line = |repetition| self.find(parameter, repetition).map(|line| (line.reject, line.seconds));
        Point::new(parameter, &(0..repetitions).filter_map(line).collect::<Vec<_>>())
    }

    fn add(&mut self, line: Line) -> Result<()> {
        let path = &self.path;
        let text = serde_json::to_string(&line).map_err(|e| Error::run(path, e.to_string()))? + "\n";
        let write =
            |mut file: &File, text: &str| file.write_all(text.as_bytes()).map_err(Error::io(path, "write"));
        match &self.file {
            Some(file) => write(file, &text)?,
            None => {
                if let Some(directory) = path.parent() {
                    fs::create_dir_all(directory).map_err(Error::io(directory, "create"))?;
                }
                let file = File::create(path).map_err(Error::io(path, "create"))?;
                write(&file, &self.header)?;
                write(&file, &text)?;
                self.file = Some(file);
            }
        }
        self.insert(line);
        Ok(())
    }
}

/// Whether the first line of a log has the settings of this call.
fn same_settings(path: &Path, found: &str, wanted: &str) -> Result<()> {
    type Fields = serde_json::Map<String, serde_json::Value>;
    let no_log = || {
        let problem = "the first line has no settings; choose another --out, or --force to overwrite it";
        Error::run(path, problem)
    };
    let fields = |text: &str| serde_json::from_str::<Fields>(text).map_err(|_| no_log());
    let (found, wanted) = (fields(found)?, fields(wanted)?);
    let differing: Vec<String> = wanted
        .iter()
        .filter(|(name, value)| found.get(*name) != Some(*value))
        .map(|(name, value)| match found.get(name) {
            Some(there) => format!("{name} {there} instead of {value}"),
            None => format!("no {name}"),
        })
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(Error::run(
        path,
        format!(
            "the results there have {}; choose another --out, or --force to begin anew",
            differing.join(" and ")
        ),
    ))
}
