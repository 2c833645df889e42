//! `elbo bandwidth`.

use super::output::{json, note, result};
use super::report::kernel_line;
use super::sample::{KernelOptions, SAMPLES};
use clap::Args;
use elbo::data::table::Table;
use elbo::error::Result;
use elbo::statistic::Sample;
use elbo::statistic::columns::ColumnScale;
use elbo::statistic::tables::Rescaled;
use elbo::statistic::test::NamedKernel;
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
pub(super) struct BandwidthArgs {
    /// The first sample
    x: String,
    /// The second sample, if any
    y: Option<String>,
    #[command(flatten)]
    kernel: KernelOptions,
}

/// The JSON result.
#[derive(Serialize)]
struct Chosen<'a> {
    n: usize,
    m: usize,
    d: usize,
    #[serde(flatten)]
    kernel: &'a NamedKernel,
    /// What the columns were divided by.
    scale: ColumnScale,
    engine: &'static str,
    adapter: &'a str,
}

impl BandwidthArgs {
    pub(super) fn run(&self) -> Result<()> {
        let KernelOptions { common, bandwidth, .. } = &self.kernel;
        let (tables, scale) = match &self.y {
            Some(y) => {
                let Rescaled { tables, scale, .. } =
                    common.rescaled(&common.read([&self.x, y])?, Some(bandwidth))?;
                (tables.to_vec(), scale)
            }
            None => {
                let Rescaled { tables, scale, .. } =
                    common.rescaled(&common.read([&self.x])?, Some(bandwidth))?;
                (tables.to_vec(), scale)
            }
        };
        let x = &tables[0];
        let device = self.kernel.common.open()?;
        let none = Sample { d: x.columns, values: &[] };
        let samples = [x.sample(), tables.get(1).map_or(none, Table::sample)];
        let resolved = self.kernel.resolve(&device, samples)?;
        let kernel = NamedKernel::from(&resolved);
        if self.kernel.common.json {
            return json(&Chosen {
                n: samples[0].len(),
                m: samples[1].len(),
                d: x.columns,
                kernel: &kernel,
                scale,
                engine: device.info().engine,
                adapter: &device.info().adapter,
            });
        }
        kernel.per_feature.as_ref().unwrap_or(&kernel.bandwidths).iter().for_each(result);
        note(kernel_line(&kernel));
        if scale == ColumnScale::Robust {
            note("of columns divided by their interquartile ranges");
        }
        Ok(())
    }
}
