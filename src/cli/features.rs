//! `elbo compare --features`.

use super::aggregate::Output;
use super::compare::{REJECTED, decision, kernel_line};
use super::output::{grouped, json, note, result};
use super::sample::{NullPicture, PairBar, sample};
use crate::data::table::Table;
use crate::engine::Device;
use crate::error::Result;
use crate::statistic::features::{Approximate, Settings, approximate};
use serde::Serialize;
use std::process::ExitCode;

/// The JSON result.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    test: &'a Approximate,
    /// Features and draws are on the CPU wherever the bandwidth was found.
    engine: &'static str,
}

/// Runs the test and says what it found.
pub(super) fn run(
    device: &Device,
    [x, y]: [&Table; 2],
    settings: &Settings,
    to: &Output<'_>,
) -> Result<ExitCode> {
    let bar = PairBar::new("comparing");
    let test = approximate(device, [sample(x), sample(y)], settings, &mut |done| bar.set(done))?;
    bar.finish();
    test.warnings.iter().for_each(|warning| note(format_args!("warning: {warning}")));
    if let Some(directory) = to.out {
        let null = NullPicture {
            title: &format!("Do {} and {} differ?", x.name, y.name),
            statistic: &format!("MMD² (unbiased, {} random features)", grouped(test.features as f64)),
            decision: &decision(&test.p),
            p: &test.p,
            observed: test.statistic,
        };
        null.save(directory, "null.png", &test.draws)?;
    }
    if to.json {
        json(&Report { test: &test, engine: "cpu" })?;
    } else {
        print(&test, [&x.name, &y.name]);
    }
    Ok(if to.check && test.p.reject { ExitCode::from(REJECTED) } else { ExitCode::SUCCESS })
}

fn print(test: &Approximate, [x, y]: [&str; 2]) {
    let p = &test.p;
    result(format_args!("X          {x}: {} points, d = {}", grouped(test.n as f64), test.d));
    result(format_args!("Y          {y}: {} points", grouped(test.m as f64)));
    result(format_args!("kernel     {}", kernel_line(test.kernel, &test.bandwidths, &test.bandwidth_rule)));
    result(format_args!(
        "features   {}: an approximation; each kernel value has a standard error of at most {:.2e}",
        grouped(test.features as f64),
        test.kernel_standard_error
    ));
    result(format_args!(
        "MMD^2      {:.4e} +- {:.1e} unbiased, by the features",
        test.mmd2_unbiased, test.mmd2_standard_error
    ));
    result(format_args!("           {:.4e} biased", test.mmd2_biased));
    result(format_args!(
        "p-value    {:.4} +- {:.4}: {} of {} permutations reach the observed value",
        p.p_value, p.p_standard_error, p.exceedances, p.permutations
    ));
    result(format_args!("decision   {}", decision(p)));
    result(format_args!("time       {:.2} s", test.seconds));
}
