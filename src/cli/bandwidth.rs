//! `elbo bandwidth`.

use super::output::{json, note, result};
use super::sample::{KernelOptions, SAMPLES, same_columns, sample};
use crate::error::Result;
use crate::kernel::pairs::Family;
use crate::statistic::Sample;
use clap::Args;
use serde::Serialize;

/// Bandwidth by a rule: the median heuristic unless asked otherwise
///
/// The median distance over all pairs of points of the samples together, found without storing or sorting
/// distances; of more than 4096 points, a seeded subsample is used.
#[derive(Args)]
#[command(after_help = format!("{SAMPLES}

Examples:
  elbo bandwidth a.npy b.npy
  elbo bandwidth a.npy --kernel laplace --bandwidth mean"))]
pub(super) struct BandwidthCommand {
    /// The first sample
    x: String,
    /// The second sample, if any
    y: Option<String>,
    #[command(flatten)]
    kernel: KernelOptions,
}

/// The JSON result.
#[derive(Serialize)]
struct Report<'a> {
    n: usize,
    m: usize,
    d: usize,
    kernel: Family,
    bandwidths: &'a [f64],
    bandwidth_rule: &'a str,
    /// What coordinates are divided by first, with the rule median-per-feature.
    per_feature: Option<&'a [f64]>,
    engine: &'static str,
    adapter: &'a str,
}

impl BandwidthCommand {
    pub(super) fn run(&self) -> Result<()> {
        let tables = match &self.y {
            Some(y) => self.kernel.common.read([&self.x, y])?.to_vec(),
            None => self.kernel.common.read([&self.x])?.to_vec(),
        };
        let x = &tables[0];
        if let Some(y) = tables.get(1) {
            same_columns([x, y])?;
        }
        let device = self.kernel.common.open()?;
        let none = Sample { d: x.columns, values: &[] };
        let samples = [sample(x), tables.get(1).map_or(none, sample)];
        let KernelOptions { kernel, bandwidth, sum, common } = &self.kernel;
        let resolved = bandwidth.resolve(&device, samples, *kernel, !sum, common.seed)?;
        resolved.warnings.iter().for_each(|warning| note(format_args!("warning: {warning}")));
        if self.kernel.common.json {
            return json(&Report {
                n: samples[0].len(),
                m: samples[1].len(),
                d: x.columns,
                kernel: *kernel,
                bandwidths: &resolved.kernel.bandwidths,
                bandwidth_rule: &resolved.rule,
                per_feature: resolved.kernel.coordinates.as_deref(),
                engine: device.info().engine,
                adapter: &device.info().adapter,
            });
        }
        match &resolved.kernel.coordinates {
            Some(coordinates) => {
                coordinates.iter().for_each(|b| result(format_args!("{b}")));
            }
            None => resolved.kernel.bandwidths.iter().for_each(|b| result(format_args!("{b}"))),
        }
        note(super::compare::kernel_line(*kernel, &resolved.kernel.bandwidths, &resolved.rule));
        Ok(())
    }
}
