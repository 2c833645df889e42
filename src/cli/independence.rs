//! `elbo independence`.

use super::bar::watch;
use super::output::{note, result};
use super::report::{
    DrawOptions, Report, SMALLEST, VerdictOptions, Words, check_order, decision, kernel_line, nats, nulls,
    p_text, permutations_of, print_p_value, print_rows,
};
use super::sample::{CommonOptions, SAMPLES};
use clap::Args;
use elbo::data::table::Table;
use elbo::engine::Device;
use elbo::error::Result;
use elbo::kernel::pairs::Family;
use elbo::numeric::grouped;
use elbo::statistic::aggregate::{self, Combine};
use elbo::statistic::columns::ColumnScale;
use elbo::statistic::independence::{Independence, IndependenceSettings, NULLS, Variable, independence};
use elbo::statistic::neighbours::{self, Information};
use elbo::statistic::p_value::PValue;
use elbo::statistic::tables::{Rescaled, USE_SERIES, order_warnings};
use elbo::statistic::{Bandwidth, Null, Outcome};
use serde::Serialize;
use std::process::ExitCode;

/// Are two variables independent, and how strongly do they depend? The kernel independence test (HSIC)
///
/// Row i of X and row i of Y are one observation. Each variable has its own kernel and bandwidth. With
/// `--kernel-y delta`, Y holds labels: one a line in a .csv file, words or numbers, or the labels of MNIST's files.
#[derive(Args)]
#[command(mut_arg("null", |arg| nulls(arg, &NULLS)))]
#[command(mut_arg("check", |arg| arg.help("End with exit code 3 if the variables depend on each other")))]
#[command(after_help = format!("{SAMPLES}

Examples:
  elbo independence x.npy y.npy
  elbo independence mnist:test mnist:test --kernel-y delta --points 1000
  elbo independence x.csv y.csv --bandwidth 0.5 --bandwidth-y median
  elbo independence x.npy y.npy --aggregate agg    25 pairs of bandwidths in one
  elbo independence x.csv y.csv --null series      time series
  elbo independence x.npy y.npy --null wild        for a hundred thousand rows"))]
pub(super) struct IndependenceArgs {
    /// The first variable
    x: String,
    /// The second variable
    y: String,
    /// Kernel of X
    #[arg(long, default_value = "gaussian", help_heading = "Kernel")]
    kernel: Family,
    /// Kernel of Y, instead of the same
    #[arg(long, value_name = "KERNEL", help_heading = "Kernel")]
    kernel_y: Option<Family>,
    /// Bandwidth of X and, if it has none of its own, of Y: numbers, or a rule such as median or 0.5*median
    #[arg(
        long,
        visible_alias = "bandwidth-x",
        default_value = "median",
        value_name = "B|RULE",
        help_heading = "Kernel"
    )]
    bandwidth: Bandwidth,
    /// Bandwidth of Y
    #[arg(long, value_name = "B|RULE", help_heading = "Kernel")]
    bandwidth_y: Option<Bandwidth>,
    #[command(flatten)]
    draws: DrawOptions,
    /// Rows of a block of --null series, instead of (n tau^2)^(1/3) by the lag-one autocorrelations
    #[arg(
        long,
        value_name = "ROWS",
        conflicts_with = "aggregate",
        help_heading = "Test",
        hide_short_help = true
    )]
    block_length: Option<usize>,
    /// Test with many bandwidths at once: each of X, those of --bandwidth or c times the median with c = 1/4, 1/2, 1, 2,
    /// 4, with each of Y
    #[arg(
        long,
        value_name = "agg",
        hide_possible_values = true,
        conflicts_with = "information",
        help_heading = "Kernel"
    )]
    aggregate: Option<Combine>,
    /// Estimate the mutual information of many rows too, not only of up to 5000
    #[arg(long, help_heading = "Estimates", hide_short_help = true)]
    information: bool,
    #[command(flatten)]
    verdict: VerdictOptions,
    #[command(flatten)]
    common: CommonOptions,
}

/// The JSON result.
#[derive(Serialize)]
struct Related<'a> {
    #[serde(flatten)]
    test: &'a Outcome<Independence>,
    /// In nats; null for many rows unless asked for, or where rows coincide.
    mutual_information: Option<&'a Information>,
}

/// Rows up to which mutual information is estimated without being asked for: it takes longer than the test in high
/// dimension.
const FEW_ROWS: usize = 5000;

/// Beyond so many columns, estimates by nearest neighbours are far too small.
const MANY_COLUMNS: usize = 10;

impl IndependenceArgs {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let settings = self.settings()?;
        match self.aggregate {
            None => settings.check()?,
            Some(combine) => {
                combine.only_agg()?;
                aggregate::independence::check_settings(&settings)?;
            }
        }
        check_order(settings.common.null, (!self.common.keeps_order()).then_some("--points"))?;
        let labels = settings.families.map(|family| family == Family::Delta);
        let tables = self.common.read_together([&self.x, &self.y], labels)?;
        let own = |which: usize| -> Result<(Table, ColumnScale)> {
            if labels[which] {
                return Ok((tables[which].clone(), ColumnScale::None));
            }
            let bandwidth = Some(&settings.bandwidths[which]);
            let Rescaled { tables: [table], scale, .. } =
                self.common.rescaled(&[tables[which].clone()], bandwidth)?;
            Ok((table, scale))
        };
        let ((x, of_x), (y, of_y)) = (own(0)?, own(1)?);
        let scale = if of_x == ColumnScale::Robust { of_x } else { of_y };
        let device = self.common.open()?;
        match self.aggregate {
            None => self.one_pair(&device, [&x, &y], &settings, scale),
            Some(_) => self.many_pairs(&device, [&x, &y], &settings, scale),
        }
    }

    fn settings(&self) -> Result<IndependenceSettings> {
        let families = [self.kernel, self.kernel_y.unwrap_or(self.kernel)];
        let own = [None, self.bandwidth_y.clone()];
        let bandwidths = [0, 1].map(|which| {
            let own = own[which].as_ref();
            aggregate::independence::chosen(families[which], own, &self.bandwidth, self.aggregate.is_some())
        });
        let common = self.draws.common(self.common.seed, &self.verdict)?;
        Ok(IndependenceSettings { families, bandwidths, block_length: self.block_length, common })
    }

    /// What is to be said of the order of the rows; labels have none.
    fn order(&self, tables: [&Table; 2], settings: &IndependenceSettings) -> Vec<String> {
        if settings.common.null == Null::Series || !self.common.keeps_order() {
            return Vec::new();
        }
        let both = tables.into_iter().zip(settings.families);
        let numbers: Vec<&Table> =
            both.filter(|(_, f)| *f != Family::Delta).map(|(table, _)| table).collect();
        // One dependent variable leaves the level as it is: any order of the other is as likely.
        if numbers.len() < 2 {
            return Vec::new();
        }
        let warnings = order_warnings(&numbers, USE_SERIES);
        if warnings.len() < 2 { Vec::new() } else { warnings }
    }

    fn one_pair(
        &self,
        device: &Device,
        [x, y]: [&Table; 2],
        settings: &IndependenceSettings,
        scale: ColumnScale,
    ) -> Result<ExitCode> {
        let samples = [x.sample(), y.sample()];
        let mut test = watch("permuting", |progress| independence(device, samples, settings, progress))?;
        let report = Report::new(device, self.common.json, &self.verdict).scaled(scale);
        report.warn(&mut test, &self.order([x, y], settings))?;
        let information = self.information(&settings.families, [x, y]);
        let wild = settings.common.null == Null::Wild;
        let statistic = if wild { "HSIC of paired rows" } else { "HSIC (biased)" };
        let words = words([x, y], statistic, &test.p);
        report.keep(&test, &words, "null.png")?;
        let related = Related { test: &test, mutual_information: information.as_ref() };
        report.end(&related, Some(test.pairs / test.seconds), test.p.reject, || {
            print(&test, [x, y], information.as_ref(), &words.decision);
        })
    }

    fn many_pairs(
        &self,
        device: &Device,
        [x, y]: [&Table; 2],
        settings: &IndependenceSettings,
        scale: ColumnScale,
    ) -> Result<ExitCode> {
        let samples = [x.sample(), y.sample()];
        let aggregate = aggregate::independence::aggregate;
        let mut test = watch("permuting", |progress| aggregate(device, samples, settings, progress))?;
        let report = Report::new(device, self.common.json, &self.verdict).scaled(scale);
        report.warn(&mut test, &self.order([x, y], settings))?;
        let words = words([x, y], SMALLEST, &test.p);
        report.keep(&test, &words, "null.png")?;
        report.end(&test, Some(test.pairs / test.seconds), test.p.reject, || {
            let found = &test.found;
            print_variables([x, y], [&found.x, &found.y], found.n);
            print_rows(&test, &found.kernels, &["kernel of X", "of Y", "HSIC"], "depend", &words.decision);
        })
    }

    /// I(X; Y) by nearest neighbours, where that is possible.
    fn information(&self, families: &[Family; 2], [x, y]: [&Table; 2]) -> Option<Information> {
        if x.rows > FEW_ROWS && !self.information {
            return None;
        }
        let labels = families.map(|family| family == Family::Delta);
        let estimate = neighbours::dependence([x.sample(), y.sample()], labels, self.common.seed)?;
        estimate.map_err(|error| note(format_args!("no mutual information: {error}"))).ok()
    }
}

fn words<'a>([x, y]: [&Table; 2], statistic: &'a str, p: &PValue) -> Words<'a> {
    let decision = decision(p, "the variables depend on each other", "no dependence was found");
    Words { question: format!("Do {} and {} depend on each other?", x.name, y.name), statistic, decision }
}

fn print_variables(tables: [&Table; 2], variables: [&Variable; 2], n: usize) {
    for ((letter, table), variable) in ["X", "Y"].into_iter().zip(tables).zip(variables) {
        let kernel = kernel_line(&variable.kernel);
        result(format_args!("{letter}          {}: d = {}; {kernel}", table.name, variable.d));
    }
    result(format_args!("rows       {}", grouped(n as f64)));
}

fn print(
    test: &Outcome<Independence>,
    tables: [&Table; 2],
    information: Option<&Information>,
    decision: &str,
) {
    let Outcome { found, p, .. } = test;
    print_variables(tables, [&found.x, &found.y], found.n);
    if let Some((biased, unbiased)) = found.hsic_biased.zip(found.hsic_unbiased) {
        result(format_args!("HSIC       {biased:.4e} biased, {unbiased:.4e} unbiased"));
    } else {
        result(format_args!("HSIC       {:.4e}, of paired rows, from a part of all pairs", test.statistic));
    }
    let distance =
        found.distance_correlation.map_or(String::new(), |d| format!("; distance correlation {d:.3}"));
    if let Some(cka) = found.cka {
        result(format_args!("strength   CKA {cka:.4}{distance} (0 to 1, above 0 also by chance)"));
    }
    if let Some(information) = information {
        let caveat =
            if found.x.d.max(found.y.d) > MANY_COLUMNS { "; too small in so many dimensions" } else { "" };
        result(format_args!(
            "           mutual information {}, by nearest neighbours (k = {}, {} norm){caveat}",
            nats(information),
            information.k,
            information.norm
        ));
        result(format_args!("           {}", information.ties));
    }
    if test.draws.is_empty() {
        result(format_args!("p-value    {}, by a gamma distribution", p_text(p.p_value)));
    } else {
        let draws = match &found.blocks {
            Some(blocks) => permutations_of(blocks),
            None => format!("draws ({})", p.null),
        };
        print_p_value(p, draws + " reach the observed value");
    }
    result(format_args!("decision   {decision}"));
    let speed = grouped(test.pairs / test.seconds);
    result(format_args!("time       {:.2} s, {speed} kernel values a second", test.seconds));
}
