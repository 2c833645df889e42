//! `elbo closer`.

use super::bar::watch;
use super::kid::{KidOptions, kid_text, kid_words};
use super::output::result;
use super::report::{Report, VerdictOptions, Words, kernel_line, p_text};
use super::sample::{CommonOptions, SAMPLES};
use clap::Args;
use elbo::data::table::Table;
use elbo::error::Result;
use elbo::kernel::pairs::Family;
use elbo::numeric::grouped;
use elbo::statistic::closer::{Closer, CloserSettings, Side, closer};
use elbo::statistic::kid::{RelativeKid, relative_kid};
use elbo::statistic::tables::{Rescaled, THIN, order_warnings};
use elbo::statistic::{Bandwidth, Outcome};
use serde::Serialize;
use std::process::ExitCode;

/// Which of two samples is closer to the real one? The relative kernel test
///
/// For example, which of two trained models draws better digits. The difference of the two MMD^2 is compared with its
/// standard error.
#[derive(Args)]
#[command(mut_arg("check", |arg| arg.help("End with exit code 3 if one of the two is closer")))]
#[command(after_help = format!("{SAMPLES}

Examples:
  elbo closer mnist:test run:runs/001 run:runs/002   whose digits look real?
  elbo closer mnist:test run:runs/001 run:runs/002 --kid --encoder runs/003
  elbo closer real.npy a.npy b.npy --json --out pictures"))]
pub(super) struct CloserArgs {
    /// The real sample
    real: String,
    /// One sample that may be closer
    a: String,
    /// The other
    b: String,
    /// Kernel function
    #[arg(long, default_value = "gaussian", help_heading = "Kernel")]
    kernel: Family,
    /// Numbers, or a rule: median, mean, median-per-feature, 0.5*median,median,2*median
    #[arg(long, default_value = "median", value_name = "B|RULE", help_heading = "Kernel")]
    bandwidth: Bandwidth,
    /// Level of the test
    #[arg(long, default_value_t = 0.05, help_heading = "Test")]
    alpha: f64,
    #[command(flatten)]
    kid: KidOptions,
    #[command(flatten)]
    verdict: VerdictOptions,
    #[command(flatten)]
    common: CommonOptions,
}

/// The JSON result.
#[derive(Serialize)]
struct Judged<'a> {
    #[serde(flatten)]
    test: &'a Outcome<Closer>,
    /// The kernel inception distances, if asked for; null where they have no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<Option<&'a RelativeKid>>,
}

impl CloserArgs {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let tables = self.common.read([&self.real, &self.a, &self.b])?;
        let unscaled = self.kid.encoded(tables, &self.common)?;
        let Rescaled { tables, scale, .. } = self.common.rescaled(&unscaled, Some(&self.bandwidth))?;
        let [real, a, b] = &tables;
        let (alpha, seed) = (self.alpha, self.common.seed);
        let bandwidth = self.bandwidth.clone();
        let settings = CloserSettings { family: self.kernel, bandwidth, alpha, seed };
        let device = self.common.open()?;
        let samples = [real.sample(), a.sample(), b.sample()];
        let mut test = watch("comparing", |progress| closer(&device, samples, &settings, progress))?;
        let kid = self.kid.estimate(seed, &mut test.warnings, |settings, progress| {
            relative_kid(unscaled.each_ref().map(Table::sample), settings, progress)
        });
        let report = Report::new(&device, self.common.json, &self.verdict).scaled(scale);
        let order = self.common.keeps_order().then(|| order_warnings(&[real, a, b], THIN));
        report.warn(&mut test, &order.unwrap_or_default())?;
        let found = &test.found;
        let words = Words {
            question: format!("Is {} (A) or {} (B) closer to {}?", a.name, b.name, real.name),
            statistic: "|MMD² to A − MMD² to B|",
            decision: match found.closer {
                Some(Side::A) => format!("A is closer (p <= {alpha})"),
                Some(Side::B) => format!("B is closer (p <= {alpha})"),
                None => format!("neither was found to be closer (p > {alpha})"),
            },
        };
        report.keep(&test, &words, "null.png")?;
        let judged = Judged { test: &test, kid: kid.as_ref().map(Option::as_ref) };
        report.end(&judged, None, test.p.reject, || {
            for ((letter, table), count) in ["REAL", "A", "B"].iter().zip(&tables).zip(found.counts) {
                result(format_args!("{letter:<10} {}: {} points", table.name, grouped(count as f64)));
            }
            result(format_args!("kernel     {}", kernel_line(&found.kernel)));
            result(format_args!("MMD^2      {:.4e} to A, {:.4e} to B", found.mmd2_a, found.mmd2_b));
            result(format_args!("difference {:.4e} +- {:.1e}", found.difference, found.standard_error));
            let p = p_text(test.p.p_value);
            result(format_args!(
                "p-value    {p}, two-sided, by the normal distribution, if rows are independent"
            ));
            result(format_args!("decision   {}", words.decision));
            if let Some(Some(RelativeKid { a, b, difference })) = &kid {
                result(format_args!("KID        {} to A, {} to B", kid_text(a), kid_text(b)));
                result(format_args!("           {} A less B, subset by subset", kid_text(difference)));
                result(format_args!("           {}", kid_words(difference)));
            }
        })
    }
}
