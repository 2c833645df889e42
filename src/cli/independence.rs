//! `elbo independence`.

use super::aggregate::{Output, only_agg, run_independence};
use super::compare::{REJECTED, kernel_line, nats};
use super::output::{grouped, json, note, result};
use super::sample::{CommonOptions, NullPicture, PairBar, SAMPLES, sample};
use crate::data::table::Table;
use crate::engine::Info;
use crate::error::Result;
use crate::kernel::pairs::Family;
use crate::statistic::Bandwidth;
use crate::statistic::aggregate::{self, Combine};
use crate::statistic::independence::{Independence as Test, Null, Settings, independence};
use crate::statistic::neighbours::{self, Information};
use crate::statistic::p_value::PValue;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Are two variables independent, and how strongly do they depend? The kernel independence test (HSIC)
///
/// Row i of X and row i of Y are one observation. Each variable has its own kernel and bandwidth. With
/// `--kernel-y delta`, Y holds labels: one a line in a .csv file, words or numbers, or the labels of MNIST's files.
#[derive(Args)]
#[command(after_help = format!("{SAMPLES}

Examples:
  elbo independence x.npy y.npy
  elbo independence mnist:test mnist:test --kernel-y delta --points 1000    images against their labels
  elbo independence x.csv y.csv --bandwidth-x 0.5 --bandwidth-y median --permutations 9999
  elbo independence x.npy y.npy --aggregate agg     five bandwidths of X with five of Y, in one test
  elbo independence x.npy y.npy --null wild --check                         for a hundred thousand rows"))]
pub(super) struct Independence {
    /// The first variable
    x: String,
    /// The second variable
    y: String,
    /// Kernel of X
    #[arg(long, default_value = "gaussian")]
    kernel: Family,
    /// Kernel of Y, instead of the same
    #[arg(long, value_name = "KERNEL")]
    kernel_y: Option<Family>,
    /// Bandwidth of X and, if it has none of its own, of Y: numbers, or a rule such as median or 0.5*median
    #[arg(long, visible_alias = "bandwidth-x", default_value = "median", value_name = "B|RULE")]
    bandwidth: Bandwidth,
    /// Bandwidth of Y
    #[arg(long, value_name = "B|RULE")]
    bandwidth_y: Option<Bandwidth>,
    /// Draws under the null
    #[arg(long, default_value_t = 999, value_name = "B")]
    permutations: usize,
    /// How they are made
    #[arg(long, default_value = "exact")]
    null: Null,
    /// Use only about N R pairs, of items at most R apart in a random order: near-linear time, and less power
    #[arg(long, value_name = "R")]
    budget: Option<usize>,
    /// Level of the test
    #[arg(long, default_value_t = 0.05)]
    alpha: f64,
    /// Test with many bandwidths at once: each of X, those of --bandwidth or c times the median with c = 1/4, 1/2, 1, 2,
    /// 4, with each of Y
    #[arg(long, value_name = "agg", conflicts_with = "information")]
    aggregate: Option<Combine>,
    /// Estimate the mutual information of many rows too, not only of up to 5000
    #[arg(long)]
    information: bool,
    /// End with exit code 3 if the variables depend on each other
    #[arg(long)]
    check: bool,
    /// Directory for a picture of the null distribution, null.png
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    common: CommonOptions,
}

/// The JSON result.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    test: &'a Test,
    engine: &'static str,
    adapter: &'a str,
    pairs_per_second: f64,
    /// In nats; null for many rows unless asked for, or where rows coincide.
    mutual_information: Option<Information>,
}

/// Rows up to which mutual information is estimated without being asked for: it takes longer than the test in high
/// dimension.
const FEW_ROWS: usize = 5000;

/// Beyond so many columns, estimates by nearest neighbours are far too small.
const MANY_COLUMNS: usize = 10;

impl Independence {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let families = [self.kernel, self.kernel_y.unwrap_or(self.kernel)];
        // What has no bandwidth ignores the default.
        let of_x =
            if families[0].without_bandwidth() { Bandwidth::default() } else { self.bandwidth.clone() };
        let of_y = match &self.bandwidth_y {
            None if families[1].without_bandwidth() => Bandwidth::default(),
            own => own.clone().unwrap_or_else(|| self.bandwidth.clone()),
        };
        let settings = Settings {
            families,
            bandwidths: [of_x, of_y],
            permutations: self.permutations,
            null: self.null,
            budget: self.budget,
            alpha: self.alpha,
            seed: self.common.seed,
        };
        let settings = match self.aggregate {
            None => settings,
            Some(combine) => {
                only_agg(combine)?;
                self.many(settings)
            }
        };
        if self.aggregate.is_some() {
            aggregate::independence::check_settings(&settings)?;
        } else {
            settings.check()?;
        }
        let labels = families.map(|family| family == Family::Delta);
        let [x, y] = self.common.read_together([&self.x, &self.y], labels)?;
        let device = self.common.open()?;
        if self.aggregate.is_some() {
            let to = Output { json: self.common.json, check: self.check, out: self.out.as_deref() };
            return run_independence(&device, [&x, &y], &settings, &to);
        }
        let bar = PairBar::new("permuting");
        let test = independence(&device, [sample(&x), sample(&y)], &settings, &mut |done| bar.set(done))?;
        bar.finish();
        test.warnings.iter().for_each(|warning| note(format_args!("warning: {warning}")));
        let information = self.information(&families, [&x, &y]);
        if let Some(directory) = &self.out
            && !test.draws.is_empty()
        {
            let title = format!("Do {} and {} depend on each other?", x.name, y.name);
            let statistic = if self.null == Null::Wild { "HSIC of paired rows" } else { "HSIC (biased)" };
            let observed = test.statistic;
            let decision = decision(&test.p);
            let null = NullPicture { title: &title, statistic, decision: &decision, p: &test.p, observed };
            null.save(directory, "null.png", &test.draws)?;
        }
        if self.common.json {
            let Info { engine, adapter, .. } = device.info();
            let pairs_per_second = test.pairs / test.seconds;
            json(&Report {
                test: &test,
                engine,
                adapter,
                pairs_per_second,
                mutual_information: information,
            })?;
        } else {
            print(&test, [&x.name, &y.name], information.as_ref());
        }
        Ok(if self.check && test.p.reject { ExitCode::from(REJECTED) } else { ExitCode::SUCCESS })
    }
}

impl Independence {
    /// The settings with an aggregated test's bandwidths where none were given.
    fn many(&self, settings: Settings) -> Settings {
        let given = self.bandwidth != Bandwidth::default();
        let [x, y] = settings.families.map(aggregate::independence::bandwidths);
        let [of_x, of_y] = settings.bandwidths;
        let bandwidths =
            [if given { of_x } else { x }, if given || self.bandwidth_y.is_some() { of_y } else { y }];
        Settings { bandwidths, ..settings }
    }

    /// I(X; Y) by nearest neighbours, where that is possible.
    fn information(&self, families: &[Family; 2], [x, y]: [&Table; 2]) -> Option<Information> {
        if x.rows > FEW_ROWS && !self.information {
            return None;
        }
        let settings = neighbours::Settings { seed: self.common.seed, ..neighbours::Settings::default() };
        let numbers = |table: &Table| table.values.iter().map(|&v| v.to_bits()).collect::<Vec<u64>>();
        // Equal labels become equal numbers.
        let labels = |table: &Table| {
            let values = numbers(table);
            let mut different = values.clone();
            different.sort_unstable();
            different.dedup();
            values.iter().map(|v| different.partition_point(|d| d < v) as u32).collect::<Vec<u32>>()
        };
        let estimate = match families {
            [Family::Delta, Family::Delta] => return None,
            [_, Family::Delta] => {
                neighbours::mutual_information_with_labels(sample(x), &labels(y), &settings)
            }
            [Family::Delta, _] => {
                neighbours::mutual_information_with_labels(sample(y), &labels(x), &settings)
            }
            _ => neighbours::mutual_information([sample(x), sample(y)], &settings),
        };
        estimate.map_err(|error| note(format_args!("no mutual information: {error}"))).ok()
    }
}

/// The decision in words.
pub(super) fn decision(p: &PValue) -> String {
    if p.reject {
        format!("the variables depend on each other (p <= {})", p.alpha)
    } else {
        format!("no dependence was found (p > {}); this does not prove that there is none", p.alpha)
    }
}

fn print(test: &Test, names: [&str; 2], information: Option<&Information>) {
    for (letter, name, of) in [("X", names[0], &test.x), ("Y", names[1], &test.y)] {
        let kernel = kernel_line(of.kernel, &of.bandwidths, &of.bandwidth_rule);
        result(format_args!("{letter}          {name}: d = {}; {kernel}", of.d));
    }
    result(format_args!("rows       {}", grouped(test.n as f64)));
    if let Some((biased, unbiased)) = test.hsic_biased.zip(test.hsic_unbiased) {
        result(format_args!("HSIC       {biased:.4e} biased, {unbiased:.4e} unbiased"));
    } else {
        result(format_args!("HSIC       {:.4e}, of paired rows, from a part of all pairs", test.statistic));
    }
    let distance =
        test.distance_correlation.map_or(String::new(), |d| format!("; distance correlation {d:.3}"));
    if let Some(cka) = test.cka {
        result(format_args!("strength   CKA {cka:.4}{distance} (0 to 1, above 0 also by chance)"));
    }
    if let Some(information) = information {
        let caveat =
            if test.x.d.max(test.y.d) > MANY_COLUMNS { "; too small in so many dimensions" } else { "" };
        result(format_args!(
            "           mutual information {}, by nearest neighbours (k = {}){caveat}",
            nats(information),
            information.k
        ));
    }
    let p = &test.p;
    if test.draws.is_empty() {
        result(format_args!("p-value    {:.3e}, by a gamma distribution", p.p_value));
    } else {
        result(format_args!(
            "p-value    {:.4} +- {:.4}: {} of {} draws ({}) reach the observed value",
            p.p_value, p.p_standard_error, p.exceedances, p.permutations, p.null
        ));
    }
    result(format_args!("decision   {}", decision(p)));
    result(format_args!(
        "time       {:.2} s, {} kernel values a second",
        test.seconds,
        grouped(test.pairs / test.seconds)
    ));
}
