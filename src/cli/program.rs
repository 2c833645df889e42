//! `elbo program`.

use super::output::{grouped, json, result, table};
use super::train::Settings;
use crate::error::Result;
use crate::model::Model;
use crate::program::{BufferId, Call, Plan};
use crate::train::session::model_config;
use clap::Args;
use serde::Serialize;

/// List the kernels of one training step with shapes, work and grids
///
/// Takes the options of `elbo train`. Nothing is run.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo program
  elbo program --latent 20 --hidden 400 --batch 1024 --json")]
pub(super) struct Program {
    #[command(flatten)]
    settings: Settings,
    /// Print the list as one JSON object
    #[arg(long)]
    json: bool,
}

/// The JSON result.
#[derive(Serialize)]
struct Listing {
    kernels: Vec<Entry>,
}

/// One dispatch.
#[derive(Serialize)]
struct Entry {
    name: &'static str,
    formula: &'static str,
    /// Buffers read, as `name[words]`.
    inputs: Vec<String>,
    /// Buffers written.
    outputs: Vec<String>,
    flop: u64,
    bytes: u64,
    grid: [usize; 2],
}

impl Entry {
    fn new(call: &Call, plan: &Plan) -> Self {
        let shape = call.kernel.shape();
        let spec = call.kernel.spec();
        let buffers = |ids: &[BufferId]| {
            plan.used(ids).map(|buffer| format!("{}[{}]", buffer.name, buffer.len)).collect()
        };
        Self {
            name: spec.name,
            formula: spec.formula,
            inputs: buffers(&call.reads),
            outputs: buffers(&call.writes),
            flop: shape.flop,
            bytes: shape.bytes,
            grid: shape.grid,
        }
    }
}

impl Program {
    pub(super) fn run(&self) -> Result<()> {
        let config = self.settings.config()?;
        let dataset = config.dataset()?;
        let model = Model::new(model_config(&config, &dataset)?)?;
        let calls = &model.plan.programs[model.train.program.0].calls;
        let kernels: Vec<Entry> = calls.iter().map(|call| Entry::new(call, &model.plan)).collect();
        if self.json {
            return json(&Listing { kernels });
        }
        let rows: Vec<Vec<String>> = kernels
            .iter()
            .enumerate()
            .map(|(i, entry)| {
                vec![
                    (i + 1).to_string(),
                    entry.name.into(),
                    format!("{:.2}", entry.flop as f64 / 1e6),
                    format!("{:.2}", entry.bytes as f64 / 1e6),
                    format!("{} x {}", entry.grid[0], entry.grid[1]),
                    format!("{} -> {}", entry.inputs.join(", "), entry.outputs.join(", ")),
                ]
            })
            .collect();
        table(&["#", "kernel", "MFLOP", "MB", "grid", "buffers"], &rows);
        let total = |of: fn(&Entry) -> u64| kernels.iter().map(of).sum::<u64>() as f64;
        result(format_args!(
            "one step of {}: {} dispatches, {} FLOP, {} bytes",
            model.config.architecture,
            kernels.len(),
            grouped(total(|entry| entry.flop)),
            grouped(total(|entry| entry.bytes)),
        ));
        Ok(())
    }
}
