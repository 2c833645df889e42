//! `elbo closer`.

use super::compare::{REJECTED, kernel_line};
use super::output::{grouped, json, note, result};
use super::sample::{CommonOptions, NullPicture, PairBar, SAMPLES, same_columns, sample};
use crate::engine::Info;
use crate::error::Result;
use crate::kernel::pairs::Family;
use crate::statistic::Bandwidth;
use crate::statistic::closer::{Closer as Test, Settings, Which, closer};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which of two samples is closer to the real one? The relative kernel test
///
/// For example, which of two trained models draws better digits. The difference of the two MMD^2 is compared with its
/// standard error.
#[derive(Args)]
#[command(after_help = format!("{SAMPLES}

Examples:
  elbo closer mnist:test run:runs/001 run:runs/002      which model's digits are closer to real ones?
  elbo closer real.npy a.npy b.npy --json --out pictures"))]
pub(super) struct Closer {
    /// The real sample
    real: String,
    /// One sample that may be closer
    a: String,
    /// The other
    b: String,
    /// Kernel function
    #[arg(long, default_value = "gaussian")]
    kernel: Family,
    /// Numbers, or a rule: median, mean, median-per-feature, 0.5*median,median,2*median
    #[arg(long, default_value = "median", value_name = "B|RULE")]
    bandwidth: Bandwidth,
    /// Level of the test
    #[arg(long, default_value_t = 0.05)]
    alpha: f64,
    /// End with exit code 3 if one of the two is closer
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
}

impl Closer {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let tables = self.common.read([&self.real, &self.a, &self.b])?;
        let [real, a, b] = &tables;
        same_columns([real, a])?;
        same_columns([real, b])?;
        let settings = Settings {
            family: self.kernel,
            bandwidth: self.bandwidth.clone(),
            alpha: self.alpha,
            seed: self.common.seed,
        };
        let device = self.common.open()?;
        let bar = PairBar::new("comparing");
        let samples = [sample(real), sample(a), sample(b)];
        let test = closer(&device, samples, &settings, &mut |done| bar.set(done))?;
        bar.finish();
        test.warnings.iter().for_each(|warning| note(format_args!("warning: {warning}")));
        let decision = match test.closer {
            Some(Which::A) => format!("A is closer (p <= {})", self.alpha),
            Some(Which::B) => format!("B is closer (p <= {})", self.alpha),
            None => format!("neither was found to be closer (p > {})", self.alpha),
        };
        if let Some(directory) = &self.out {
            let null = NullPicture {
                title: &format!("Is {} (A) or {} (B) closer to {}?", a.name, b.name, real.name),
                statistic: "|MMD² to A − MMD² to B|",
                decision: &decision,
                p: &test.p,
                observed: test.difference.abs(),
            };
            null.save(directory, "null.png", &test.draws)?;
        }
        if self.common.json {
            let Info { engine, adapter, .. } = device.info();
            json(&Report { test: &test, engine, adapter })?;
        } else {
            let names = [&real.name, &a.name, &b.name];
            for ((letter, name), count) in ["REAL", "A", "B"].iter().zip(names).zip(test.counts) {
                result(format_args!("{letter:<10} {name}: {} points", grouped(count as f64)));
            }
            let kernel = kernel_line(test.kernel, &test.bandwidths, &test.bandwidth_rule);
            result(format_args!("kernel     {kernel}"));
            result(format_args!("MMD^2      {:.4e} to A, {:.4e} to B", test.mmd2_a, test.mmd2_b));
            result(format_args!("difference {:.4e} +- {:.1e}", test.difference, test.standard_error));
            result(format_args!("p-value    {:.3e}, two-sided, by the normal distribution", test.p.p_value));
            result(format_args!("decision   {decision}"));
        }
        Ok(if self.check && test.p.reject { ExitCode::from(REJECTED) } else { ExitCode::SUCCESS })
    }
}
