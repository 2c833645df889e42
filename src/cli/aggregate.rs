//! `elbo compare --aggregate`.

use super::compare::{REJECTED, decision, kernel_line};
use super::output::{grouped, json, note, result, table};
use super::sample::{NullPicture, PairBar, sample};
use crate::data::table::Table;
use crate::engine::{Device, Info};
use crate::error::Result;
use crate::statistic::aggregate::{Aggregate, Combine, Settings, aggregate};
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// The JSON result.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    test: &'a Aggregate,
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
                Combine::Agg => "minus the smallest p-value of a kernel",
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
    let cells = |row: &crate::statistic::aggregate::Row| {
        vec![
            kernel_line(row.kernel, &[row.bandwidth], "").trim_end_matches(" ()").to_owned(),
            format!("{:.4e}", row.mmd2),
            format!("{:.4}", row.p_value),
            row.reject.map_or(String::new(), |reject| if reject { "differs" } else { "" }.into()),
        ]
    };
    let rows: Vec<Vec<String>> = test.kernels.iter().map(cells).collect();
    table(&["kernel", "MMD^2", "p alone", "in the combined test"], &rows);
    let p = &test.p;
    result(format_args!(
        "p-value    {:.4} +- {:.4}: {} of {} draws ({}) reach the observed value of all kernels together",
        p.p_value, p.p_standard_error, p.exceedances, p.permutations, p.null
    ));
    result(format_args!("decision   {}", decision(p)));
    result(format_args!("time       {:.2} s", test.seconds));
}
