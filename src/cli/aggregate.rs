//! `--aggregate` of `elbo compare`, `elbo independence` and `elbo fit`.

use super::compare::{REJECTED, decision, kernel_line};
use super::output::{grouped, json, note, result, table};
use super::sample::{NullPicture, PairBar, sample};
use super::{fit, independence};
use crate::data::table::Table;
use crate::engine::{Device, Info};
use crate::error::{Error, Result};
use crate::kernel::pairs::Family;
use crate::statistic::aggregate::fit::Aggregate as Fit;
use crate::statistic::aggregate::independence::{
    Aggregate as Independence, aggregate as aggregate_independence,
};
use crate::statistic::aggregate::{Aggregate, Combine, Settings, aggregate};
use crate::statistic::independence::Settings as IndependenceSettings;
use crate::statistic::p_value::PValue;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// The JSON result.
#[derive(Serialize)]
struct Report<'a, T> {
    #[serde(flatten)]
    test: &'a T,
    engine: &'static str,
    adapter: &'a str,
    pairs_per_second: f64,
}

/// How a result leaves the command.
pub(super) struct Output<'a> {
    pub(super) json: bool,
    pub(super) check: bool,
    pub(super) out: Option<&'a Path>,
}

/// Runs the test and says what it found.
pub(super) fn run(
    device: &Device,
    [x, y]: [&Table; 2],
    settings: &Settings,
    to: &Output<'_>,
) -> Result<ExitCode> {
    let bar = PairBar::new("comparing");
    let test = aggregate(device, [sample(x), sample(y)], settings, &mut |done| bar.set(done))?;
    bar.finish();
    test.warnings.iter().for_each(|warning| note(format_args!("warning: {warning}")));
    if let Some(directory) = to.out {
        let null = NullPicture {
            title: &format!("Do {} and {} differ?", x.name, y.name),
            statistic: match test.combine {
                Combine::Agg => SMALLEST,
                Combine::Fuse => "soft maximum of normalised MMD²",
            },
            decision: &decision(&test.p),
            p: &test.p,
            observed: test.statistic,
        };
        null.save(directory, "null.png", &test.draws)?;
    }
    if to.json {
        let Info { engine, adapter, .. } = device.info();
        json(&Report { test: &test, engine, adapter, pairs_per_second: test.pairs / test.seconds })?;
    } else {
        print(&test, [&x.name, &y.name]);
    }
    Ok(if to.check && test.p.reject { ExitCode::from(REJECTED) } else { ExitCode::SUCCESS })
}

fn print(test: &Aggregate, [x, y]: [&str; 2]) {
    result(format_args!("X          {x}: {} points, d = {}", grouped(test.n as f64), test.d));
    result(format_args!("Y          {y}: {} points", grouped(test.m as f64)));
    result(format_args!("bandwidths {}", test.bandwidth_rule));
    let row = |row: &crate::statistic::aggregate::Row| {
        let numbers = [row.mmd2, row.p_value];
        cells(vec![short(row.kernel, row.bandwidth)], numbers, row.reject, "differs")
    };
    let rows: Vec<Vec<String>> = test.kernels.iter().map(row).collect();
    table(&["kernel", "MMD^2", "p alone", "in the combined test"], &rows);
    p_value(&test.p);
    result(format_args!("decision   {}", decision(&test.p)));
    result(format_args!("time       {:.2} s", test.seconds));
}

/// A kernel with its bandwidth alone.
fn short(family: Family, bandwidth: f64) -> String {
    kernel_line(family, &[bandwidth], "").trim_end_matches(" ()").to_owned()
}

/// A row of the table of kernels: their names, the statistic and the p-value, and a word where they reject.
fn cells(names: Vec<String>, [value, p]: [f64; 2], reject: Option<bool>, word: &str) -> Vec<String> {
    let word = if reject == Some(true) { word } else { "" };
    [names, vec![format!("{value:.4e}"), format!("{p:.4}"), word.into()]].concat()
}

fn p_value(p: &PValue) {
    result(format_args!(
        "p-value    {:.4} +- {:.4}: {} of {} draws ({}) reach the observed value of all kernels together",
        p.p_value, p.p_standard_error, p.exceedances, p.permutations, p.null
    ));
}

/// What the pictures of tests with [`Combine::Agg`] show.
const SMALLEST: &str = "minus the smallest p-value of a kernel";

/// Of independence and fit there is one way to combine.
pub(super) fn only_agg(combine: Combine) -> Result<()> {
    match combine {
        Combine::Agg => Ok(()),
        Combine::Fuse => Err(Error::usage("--aggregate fuse is for two samples; use --aggregate agg")),
    }
}

/// Tests independence and says what was found.
pub(super) fn run_independence(
    device: &Device,
    [x, y]: [&Table; 2],
    settings: &IndependenceSettings,
    to: &Output<'_>,
) -> Result<ExitCode> {
    let bar = PairBar::new("permuting");
    let samples = [sample(x), sample(y)];
    let test = aggregate_independence(device, samples, settings, &mut |done| bar.set(done))?;
    bar.finish();
    test.warnings.iter().for_each(|warning| note(format_args!("warning: {warning}")));
    if let Some(directory) = to.out {
        let null = NullPicture {
            title: &format!("Do {} and {} depend on each other?", x.name, y.name),
            statistic: SMALLEST,
            decision: &independence::decision(&test.p),
            p: &test.p,
            observed: test.statistic,
        };
        null.save(directory, "null.png", &test.draws)?;
    }
    if to.json {
        let Info { engine, adapter, .. } = device.info();
        json(&Report { test: &test, engine, adapter, pairs_per_second: test.pairs / test.seconds })?;
    } else {
        print_independence(&test, [&x.name, &y.name]);
    }
    Ok(if to.check && test.p.reject { ExitCode::from(REJECTED) } else { ExitCode::SUCCESS })
}

fn print_independence(test: &Independence, names: [&str; 2]) {
    for (letter, name, of) in [("X", names[0], &test.x), ("Y", names[1], &test.y)] {
        let kernel = kernel_line(of.kernel, &of.bandwidths, &of.bandwidth_rule);
        result(format_args!("{letter}          {name}: d = {}; {kernel}", of.d));
    }
    result(format_args!("rows       {}", grouped(test.n as f64)));
    let row = |row: &crate::statistic::aggregate::independence::Row| {
        let names = vec![short(row.kernel_x, row.bandwidth_x), short(row.kernel_y, row.bandwidth_y)];
        cells(names, [row.hsic, row.p_value], row.reject, "depend")
    };
    let rows: Vec<Vec<String>> = test.kernels.iter().map(row).collect();
    table(&["kernel of X", "of Y", "HSIC", "p alone", "in the combined test"], &rows);
    p_value(&test.p);
    result(format_args!("decision   {}", independence::decision(&test.p)));
    result(format_args!("time       {:.2} s", test.seconds));
}

/// Saves the picture of a test of fit.
pub(super) fn save_fit(test: &Fit, title: &str, directory: &Path, file: &str) -> Result<()> {
    let null = NullPicture {
        title,
        statistic: SMALLEST,
        decision: &fit::decision(&test.p),
        p: &test.p,
        observed: test.statistic,
    };
    null.save(directory, file, &test.draws)
}

/// Says what tests of fit have found.
pub(super) fn print_fit(name: &str, tests: &[Fit]) {
    for test in tests {
        result(format_args!("X          {name}: {} points, d = {}", grouped(test.n as f64), test.d));
        result(format_args!("model      {}", test.name));
        result(format_args!("bandwidths {}", test.bandwidth_rule));
        let row = |row: &crate::statistic::aggregate::fit::Row| {
            let names = vec![short(row.kernel, row.bandwidth)];
            cells(names, [row.ksd2, row.p_value], row.reject, "does not fit")
        };
        let rows: Vec<Vec<String>> = test.kernels.iter().map(row).collect();
        table(&["kernel", "KSD^2", "p alone", "in the combined test"], &rows);
        p_value(&test.p);
        result(format_args!("decision   {}", fit::decision(&test.p)));
        result(format_args!("time       {:.2} s", test.seconds));
    }
}
