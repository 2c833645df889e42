//! `elbo devices`.

use super::output::{json, result, table};
use super::train::engine_line;
use crate::engine::gpu::{Description, adapters};
use crate::engine::{Choice, Device};
use crate::error::Result;
use clap::Args;
use serde::Serialize;

/// List GPU adapters and their limits, and say which engine `auto` takes
#[derive(Args)]
#[command(after_help = "Examples:
  elbo devices
  elbo devices --json")]
pub(super) struct Devices {
    /// Print the list as one JSON object
    #[arg(long)]
    json: bool,
}

/// The JSON result.
#[derive(Serialize)]
struct Listing {
    adapters: Vec<Description>,
    engine: &'static str,
    adapter: String,
    reason: String,
}

impl Devices {
    pub(super) fn run(&self) -> Result<()> {
        let adapters = adapters();
        let device = Device::open(Choice::Auto, None)?;
        let info = device.info();
        if self.json {
            let (adapter, reason) = (info.adapter.clone(), info.reason.clone());
            return json(&Listing { adapters, engine: info.engine, adapter, reason });
        }
        if adapters.is_empty() {
            result("no GPU adapter was found");
        } else {
            let rows: Vec<Vec<String>> = adapters.iter().map(row).collect();
            let header = [
                "adapter",
                "API",
                "kind",
                "driver",
                "buffer",
                "workgroup",
                "subgroup",
                "clock",
                "f16",
                "cooperative matrices",
            ];
            table(&header, &rows);
        }
        result(format_args!("{} (--engine auto)", engine_line(info)));
        Ok(())
    }
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.into()
}

fn row(adapter: &Description) -> Vec<String> {
    let [fewest, most] = adapter.subgroup;
    vec![
        adapter.name.clone(),
        adapter.backend.clone(),
        adapter.kind.clone(),
        adapter.driver.clone(),
        format!("{} MiB", adapter.largest_buffer >> 20),
        format!("{} KiB", adapter.workgroup_memory >> 10),
        if fewest == most { fewest.to_string() } else { format!("{fewest}-{most}") },
        yes(adapter.timestamps),
        yes(adapter.half_precision),
        if adapter.cooperative_matrices.is_empty() {
            yes(false)
        } else {
            adapter.cooperative_matrices.join(", ")
        },
    ]
}
