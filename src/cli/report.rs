//! How the result of a test leaves a command: warnings, pictures, files, JSON or text, an exit code.

use super::output::{json, note, result, table, to_value, warn};
use super::summary::{Finding, SummaryFile, TestSummary};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use elbo::data::table::CategoryColumn;
use elbo::engine::{Device, Info};
use elbo::error::{Error, Kind, Result};
use elbo::kernel::pairs::Family;
use elbo::numeric::grouped;
use elbo::picture::{self, ColumnValues};
use elbo::sample::Sample;
use elbo::statistic::aggregate::KernelRow;
use elbo::statistic::columns::{ColumnScale, ColumnShift, Moved};
use elbo::statistic::neighbours::Information;
use elbo::statistic::p_value::{PValue, too_few_draws};
use elbo::statistic::series::Blocks;
use elbo::statistic::test::{Common, NamedKernel, Null, Nulls, Outcome};
use serde::Serialize;
use std::cell::RefCell;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exit code of `--check` when a test rejects its null.
const REJECTED: u8 = 3;

/// Columns that a list of them names.
const SHOWN_COLUMNS: usize = 10;

/// Columns that are drawn.
const DRAWN_COLUMNS: usize = 6;

/// The statistic of an aggregated test, in pictures.
pub(super) const SMALLEST: &str = "minus the smallest p-value of a kernel";

/// What of it is drawn.
const SMALLEST_SHOWN: &str = "−log₁₀ of the smallest p-value of a kernel";

/// Options of the draws under the null; a test's command names its nulls: see [`nulls`].
#[derive(Args)]
pub(super) struct DrawOptions {
    /// Number of permutations, or other draws, under the null hypothesis
    #[arg(long, default_value_t = 999, value_name = "B", help_heading = "Test")]
    permutations: usize,
    /// How the draws under the null hypothesis are made
    #[arg(long, help_heading = "Test")]
    pub(super) null: Null,
    /// Use only about N R pairs, of items at most R apart in a random order: near-linear time, and less power
    #[arg(long, value_name = "R", help_heading = "Test", hide_short_help = true)]
    budget: Option<usize>,
    /// Level of the test
    #[arg(long, default_value_t = 0.05, help_heading = "Test")]
    pub(super) alpha: f64,
}

impl DrawOptions {
    /// The settings; where `--check` waits for a rejection, they must allow one.
    pub(super) fn common(&self, seed: u64, verdict: &VerdictOptions) -> Result<Common> {
        let Self { permutations, null, budget, alpha } = *self;
        let drawn = verdict.check && null != Null::Gamma && permutations > 0;
        if let Some(problem) = drawn.then(|| too_few_draws(permutations, alpha)).flatten() {
            return Err(Error::usage(problem));
        }
        Ok(Common { permutations, null, budget, alpha, seed })
    }
}

/// Options of all tests; a test's command says what `--check` means there.
#[derive(Args)]
pub(super) struct VerdictOptions {
    /// End with exit code 3 if the test rejects
    #[arg(long, help_heading = "Output")]
    check: bool,
    /// Directory for a picture of the null distribution, null.png
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(super) out: Option<PathBuf>,
    /// Write the result as a file too: Markdown for people, or JUnit, where a rejection is a failure, for a CI system; may be
    /// given twice
    #[arg(long, value_name = "FILE.md|FILE.xml", value_parser = SummaryFile::parse, help_heading = "Output")]
    report: Vec<SummaryFile>,
}

/// Lets `--null` be one of a test's nulls, the first if it is not given.
pub(super) fn nulls(arg: clap::Arg, nulls: &'static Nulls) -> clap::Arg {
    let values = nulls.iter().map(|(null, help)| PossibleValue::new(null.name()).help(*help));
    let parser = PossibleValuesParser::new(values);
    arg.required(false)
        .default_value(nulls[0].0.name())
        .value_parser(parser.try_map(|name| name.parse::<Null>()))
}

/// The draws of the series null.
pub(super) fn permutations_of(blocks: &Blocks) -> String {
    format!("permutations of blocks of {} rows, over {:.3},", blocks.length, blocks.kept)
}

/// Refuses the series null where rows are not in the order of their file.
pub(super) fn check_order(null: Null, breaks: Option<&str>) -> Result<()> {
    match breaks {
        Some(what) if null == Null::Series => Err(Error::usage(format!(
            "--null series needs rows in the order of their file, which {what} breaks; use another null, or two samples \
             with all their rows"
        ))),
        _ => Ok(()),
    }
}

/// Where a result goes, and where it comes from.
pub(super) struct Report<'a> {
    engine: &'static str,
    adapter: Option<&'a str>,
    json: bool,
    verdict: &'a VerdictOptions,
    scale: Option<ColumnScale>,
    /// The samples whose interquartile ranges columns were divided by.
    scaled_by: &'static str,
    shifts: &'a [ColumnShift],
    /// Corrected p-value up to which a column is said to have moved.
    alpha: f64,
    /// What was found so far, and the pictures of it, for the files of `--report`.
    findings: RefCell<Vec<Finding>>,
    pictures: RefCell<Vec<PathBuf>>,
}

/// A result as JSON.
#[derive(Serialize)]
struct Computed<'a, T> {
    #[serde(flatten)]
    result: &'a T,
    engine: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pairs_per_second: Option<f64>,
    /// What the columns were divided by.
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<ColumnScale>,
    /// How far each named column moved.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    columns: &'a [ColumnShift],
}

/// A test's question, statistic and decision in words.
pub(super) struct Words<'a> {
    pub(super) question: String,
    pub(super) statistic: &'a str,
    pub(super) decision: String,
}

impl<'a> Report<'a> {
    pub(super) fn new(device: &'a Device, json: bool, verdict: &'a VerdictOptions) -> Self {
        let Info { engine, adapter, .. } = device.info();
        Self { adapter: Some(adapter), ..Self::with_engine(engine, json, verdict) }
    }

    /// For tests that compute on the CPU whatever the device is.
    pub(super) fn on_cpu(json: bool, verdict: &'a VerdictOptions) -> Self {
        Self::with_engine("cpu", json, verdict)
    }

    fn with_engine(engine: &'static str, json: bool, verdict: &'a VerdictOptions) -> Self {
        let (findings, pictures) = (RefCell::default(), RefCell::default());
        Self {
            engine,
            adapter: None,
            json,
            verdict,
            scale: None,
            scaled_by: "all samples together",
            shifts: &[],
            alpha: 0.0,
            findings,
            pictures,
        }
    }

    /// Says what the columns were divided by.
    pub(super) fn scaled(self, scale: ColumnScale) -> Self {
        Self { scale: Some(scale), ..self }
    }

    /// Says that the interquartile ranges are those of a reference.
    pub(super) fn scaled_by_reference(self) -> Self {
        Self { scaled_by: "the reference", ..self }
    }

    /// Says how far each column moved, and which did at the level `alpha`.
    pub(super) fn with_shifts(self, shifts: &'a [ColumnShift], alpha: f64) -> Self {
        Self { shifts, alpha, ..self }
    }

    /// Prints the warnings of a test, with those of the order of its rows and with what keeps it from rejecting.
    ///
    /// # Errors
    /// If it cannot reject, but `--check` waits for that.
    pub(super) fn warn<T>(&self, test: &mut Outcome<T>, order: &[String]) -> Result<()> {
        if let Some(problem) = test.p.cannot_reject() {
            if self.verdict.check {
                return Err(Kind::Samples(problem).into());
            }
            test.warnings.push(problem);
        }
        test.warnings.extend_from_slice(order);
        warn(&test.warnings);
        Ok(())
    }

    /// Keeps what a test found for files, and draws the null distribution with the observed value, if a directory for it is
    /// given and there are draws.
    pub(super) fn keep<T>(&self, test: &Outcome<T>, words: &Words<'_>, file: &str) -> Result<()> {
        self.findings.borrow_mut().push(Finding {
            question: words.question.clone(),
            decision: words.decision.clone(),
            statistic: (words.statistic.into(), test.statistic),
            p: test.p.clone(),
            seconds: test.seconds,
            warnings: test.warnings.clone(),
        });
        if self.verdict.out.is_none() || test.draws.is_empty() {
            return Ok(());
        }
        // Small p-values can be told apart by their logarithms alone.
        let smallest = words.statistic == SMALLEST;
        let shown = |value: f64| if smallest { -(-value).max(f64::MIN_POSITIVE).log10() } else { value };
        let draws: Vec<f64> = test.draws.iter().map(|&draw| shown(draw)).collect();
        let mut sorted = draws.clone();
        sorted.sort_by(f64::total_cmp);
        let beyond = ((1.0 - test.p.alpha) * sorted.len() as f64) as usize;
        let value = p_with_error(&test.p, "±");
        let p = if value.starts_with('<') { format!("p {value}") } else { format!("p = {value}") };
        let histogram = picture::NullHistogram {
            title: &words.question,
            remark: &format!("{p}: {}", words.decision),
            statistic: if smallest { SMALLEST_SHOWN } else { words.statistic },
            draws: &draws,
            observed: shown(test.statistic),
            threshold: sorted.get(beyond).copied(),
        };
        self.draw(file, |path| histogram.save(path))
    }

    /// Draws a picture, if a directory for it is given.
    pub(super) fn draw(&self, file: &str, save: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let Some(directory) = self.verdict.out.as_deref() else { return Ok(()) };
        std::fs::create_dir_all(directory).map_err(Error::io(directory, "create"))?;
        let path = directory.join(file);
        save(&path)?;
        note(format_args!("picture: {}", path.display()));
        self.pictures.borrow_mut().push(path);
        Ok(())
    }

    /// Draws the columns that differ the most, if a directory for pictures is given.
    pub(super) fn draw_columns(
        &self,
        samples: [Sample<'_>; 2],
        categories: &[CategoryColumn],
        names: [&str; 2],
    ) -> Result<()> {
        if self.verdict.out.is_none() {
            return Ok(());
        }
        let column = |shift: &ColumnShift| {
            let values = samples.map(|sample| {
                sample.values.iter().skip(shift.column).step_by(sample.d).copied().collect::<Vec<f64>>()
            });
            let (distance, values) = match &shift.moved {
                Moved::Numbers { ks, .. } => (format!("KS {ks:.2}"), ColumnValues::Numbers(values)),
                Moved::Classes { total_variation, .. } => {
                    let classes = categories.iter().find(|category| category.column == shift.column);
                    let counted = classes.map(|category| counted(category, &values)).unwrap_or_default();
                    (format!("distance {total_variation:.2}"), ColumnValues::Classes(counted))
                }
            };
            let remark = format!("{distance}, p {}", p_text(shift.p_corrected));
            picture::ComparedColumn { name: shift.name.clone(), remark, values }
        };
        let columns: Vec<picture::ComparedColumn> =
            self.shifts.iter().take(DRAWN_COLUMNS).map(column).collect();
        if columns.is_empty() {
            return Ok(());
        }
        self.draw("columns.png", |path| picture::columns(path, names, &columns))
    }

    /// Prints JSON or text; the exit code says whether a test rejects, if that is asked for.
    pub(super) fn end<T: Serialize>(
        &self,
        outcome: &T,
        pairs_per_second: Option<f64>,
        reject: bool,
        print: impl FnOnce(),
    ) -> Result<ExitCode> {
        let Self { engine, adapter, scale, shifts: columns, .. } = *self;
        let computed = Computed { result: outcome, engine, adapter, pairs_per_second, scale, columns };
        if !self.verdict.report.is_empty() {
            let (findings, pictures) = (self.findings.borrow(), self.pictures.borrow());
            let fields = to_value(&computed)?;
            let (alpha, pictures) = (self.alpha, &pictures[..]);
            let summary = TestSummary { findings: &findings, shifts: columns, alpha, fields, pictures };
            summary.save(&self.verdict.report)?;
        }
        if self.json {
            json(&computed)?;
        } else {
            print();
            if self.scale == Some(ColumnScale::Robust) {
                result(format_args!(
                    "scale      each column is divided by its interquartile range in {}",
                    self.scaled_by
                ));
            }
            print_shifts(self.shifts, self.alpha);
        }
        Ok(if self.verdict.check && reject { ExitCode::from(REJECTED) } else { ExitCode::SUCCESS })
    }
}

/// The classes of a column, each with its number of rows in either table.
fn counted(category: &CategoryColumn, values: &[Vec<f64>; 2]) -> Vec<(String, [usize; 2])> {
    let mut counts = vec![[0; 2]; category.classes.len()];
    for (table, values) in values.iter().enumerate() {
        values.iter().for_each(|&class| counts[class as usize][table] += 1);
    }
    let named = counts.into_iter().enumerate();
    named.map(|(class, counts)| (category.class(class).to_owned(), counts)).collect()
}

/// The tests of columns.
pub(super) fn name_of_test(shifts: &[ColumnShift]) -> &'static str {
    match has_classes(shifts) {
        true => "Kolmogorov-Smirnov, chi-squared for classes",
        false => "Kolmogorov-Smirnov",
    }
}

fn has_classes(shifts: &[ColumnShift]) -> bool {
    shifts.iter().any(|shift| matches!(shift.moved, Moved::Classes { .. }))
}

/// The header of a table of columns.
pub(super) fn header_of_columns(shifts: &[ColumnShift]) -> &'static [&'static str] {
    match has_classes(shifts) {
        true => &["column", "distance", "p", "X: median, or share of a class", "Y"],
        false => &["column", "KS", "p", "median of X", "of Y"],
    }
}

/// How far a column moved, in words.
pub(super) struct Distance {
    pub(super) size: String,
    /// What is typical of X.
    pub(super) x: String,
    /// What is typical of Y.
    pub(super) y: String,
}

impl Distance {
    pub(super) fn of(shift: &ColumnShift) -> Self {
        match &shift.moved {
            Moved::Numbers { ks, median_x, median_y } => {
                let [x, y] = [median_x, median_y].map(|median| format!("{median:.4}"));
                Self { size: format!("{ks:.3}"), x, y }
            }
            Moved::Classes { total_variation, class, share_x, share_y } => {
                let [x, y] = [share_x, share_y].map(|share| format!("{:.1} % {class}", 100.0 * share));
                Self { size: format!("{total_variation:.3}"), x, y }
            }
        }
    }
}

/// The columns that moved at the level `alpha`, the clearest first.
fn print_shifts(shifts: &[ColumnShift], alpha: f64) {
    if shifts.is_empty() {
        return;
    }
    let moved: Vec<&ColumnShift> = shifts.iter().filter(|shift| shift.p_corrected <= alpha).collect();
    let test = name_of_test(shifts);
    if moved.is_empty() {
        let count = shifts.len();
        result(format_args!(
            "columns    none of the {count} moved by itself ({test}, corrected p > {alpha})"
        ));
        return;
    }
    result(format_args!(
        "columns    {} of {} moved ({test}, p corrected for their number):",
        moved.len(),
        shifts.len()
    ));
    let row = |shift: &&ColumnShift| {
        let Distance { size, x, y } = Distance::of(shift);
        vec![shift.name.clone(), size, format!("{:.1e}", shift.p_corrected), x, y]
    };
    let rows: Vec<Vec<String>> = moved.iter().take(SHOWN_COLUMNS).map(row).collect();
    table(header_of_columns(shifts), &rows);
    if moved.len() > SHOWN_COLUMNS {
        result(format_args!("and {} more; --json has them all", moved.len() - SHOWN_COLUMNS));
    }
}

/// The decision in words: what a rejection means, and what is said without one.
pub(super) fn decision(p: &PValue, rejection: &str, nothing: &str) -> String {
    if p.reject {
        format!("{rejection} (p <= {})", p.alpha)
    } else {
        format!("{nothing} (p > {}); this does not prove that there is none", p.alpha)
    }
}

/// Two samples and their numbers of points.
pub(super) fn print_samples([x, y]: [&str; 2], [n, m]: [usize; 2], d: usize) {
    result(format_args!("X          {x}: {} points, d = {d}", grouped(n as f64)));
    result(format_args!("Y          {y}: {} points", grouped(m as f64)));
}

/// A p-value, or its standard error: never 0, as a p-value never is.
pub(super) fn p_text(p: f64) -> String {
    if p > 0.0 && p < 1e-4 { format!("{p:.1e}") } else { format!("{p:.4}") }
}

/// The p-value by draws; `rest` says which draws reach what.
pub(super) fn print_p_value(p: &PValue, rest: impl Display) {
    let value = p_with_error(p, "+-");
    result(format_args!("p-value    {value}: {} of {} {rest}", p.exceedances, p.permutations));
}

/// A p-value by draws with its standard error; where no draw reached the observed value a bound, whose standard error says
/// nothing.
pub(super) fn p_with_error(p: &PValue, sign: &str) -> String {
    let [value, error] = [p.p_value, p.p_standard_error].map(p_text);
    if p.exceedances == 0 { format!("<= {value}") } else { format!("{value} {sign} {error}") }
}

/// The kernels of an aggregated test with their own p-values, the combined one, the decision and the time; `word` says
/// that a kernel rejects.
pub(super) fn print_rows<T>(
    test: &Outcome<T>,
    rows: &[KernelRow],
    header: &[&str],
    word: &str,
    decision: &str,
) {
    let cells = |row: &KernelRow| {
        let names = row.kernels.iter().map(|&(family, bandwidth)| kernel_name(family, &[bandwidth]));
        let word = if row.reject == Some(true) { word } else { "" };
        let numbers = [format!("{:.4e}", row.value), p_text(row.p_value), word.into()];
        names.chain(numbers).collect()
    };
    let header = [header, &["p alone", "in the combined test"]].concat();
    table(&header, &rows.iter().map(cells).collect::<Vec<_>>());
    let draws = format!("draws ({})", test.p.null);
    print_p_value(&test.p, draws + " reach the observed value of all kernels together");
    result(format_args!("decision   {decision}"));
    result(format_args!("time       {:.2} s", test.seconds));
}

/// A kernel with its bandwidths.
fn kernel_name(family: Family, bandwidths: &[f64]) -> String {
    let name = match family {
        Family::Gaussian => "gaussian, sigma",
        Family::Laplace => "laplace, b",
        Family::Imq => "inverse multiquadric, b",
        Family::Energy => return "energy distance".into(),
        Family::Delta => return "delta: 1 for equal values".into(),
    };
    format!("{name} = {}", lengths(bandwidths))
}

/// Bandwidths, or what coordinates are divided by.
fn lengths(values: &[f64]) -> String {
    // Four places say nothing of very small or large units.
    let number = |v: &f64| if (1e-2..1e6).contains(v) { format!("{v:.4}") } else { format!("{v:.4e}") };
    values.iter().map(number).collect::<Vec<String>>().join(", ")
}

/// A kernel with its bandwidths and where they come from.
pub(super) fn kernel_line(kernel: &NamedKernel) -> String {
    let name = kernel_name(kernel.family, &kernel.bandwidths);
    if kernel.family.without_bandwidth() {
        return name;
    }
    let divided = kernel.per_feature.as_ref().map_or(String::new(), |divisors| {
        let shown = &divisors[..divisors.len().min(SHOWN_COLUMNS)];
        let more = if divisors.len() > SHOWN_COLUMNS { ", ..." } else { "" };
        format!(" of columns divided by {}{more}", lengths(shown))
    });
    format!("{name}{divided} ({})", kernel.bandwidth_rule)
}

/// An estimate in nats with its standard error.
pub(super) fn nats(information: &Information) -> String {
    let error = information.standard_error.map_or(String::new(), |error| format!(" +- {error:.3}"));
    format!("{:.3}{error} nats", information.nats)
}

#[cfg(test)]
mod tests {
    use super::p_text;

    #[test]
    fn no_p_value_is_printed_as_zero() {
        let texts = [1.0, 0.05, 1e-4, 9.9e-5, 3.12e-7, f64::MIN_POSITIVE].map(p_text);
        assert_eq!(texts, ["1.0000", "0.0500", "0.0001", "9.9e-5", "3.1e-7", "2.2e-308"]);
        assert_eq!(p_text(0.0), "0.0000", "the error of a p-value of 1");
    }
}
