//! `elbo program`.

use super::output::{json, result, table};
use super::train::TrainSettings;
use clap::Args;
use elbo::engine::gpu::{Description, Known, adapters};
use elbo::engine::{Choice, Device};
use elbo::error::{Error, Result};
use elbo::export;
use elbo::model::Model;
use elbo::numeric::grouped;
use elbo::program::{BufferId, Call, Plan};
use elbo::train::config::Config;
use elbo::train::session::{Session, initial_state, model_config};
use serde::Serialize;
use std::path::PathBuf;

/// List the kernels of one training step with shapes, work and grids
///
/// Takes the options of `elbo train`. Nothing is run. The size of a tile, of the result of a product, is the one that
/// was measured to be the fastest on the GPU, when `elbo train` first ran these layers there, or else the usual one.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo program
  elbo program --latent 20 --hidden 400 --batch 1024 --json
  elbo program --latent 2 --export plan.json     for web/engine.js, in a browser")]
pub(super) struct ProgramCommand {
    #[command(flatten)]
    settings: TrainSettings,
    /// Print the list as one JSON object
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Write all programs of the model, shaders included, as JSON that a host in another language can run, and
    /// FILE.bin with what its buffers hold at the start: first weights, images
    #[arg(long, value_name = "FILE.json", conflicts_with = "json", help_heading = "Output")]
    export: Option<PathBuf>,
}

/// The JSON result.
#[derive(Serialize)]
struct StepCalls {
    kernels: Vec<CallEntry>,
}

/// One dispatch.
#[derive(Serialize)]
struct CallEntry {
    name: &'static str,
    formula: &'static str,
    /// Buffers read, as `name[words]`.
    inputs: Vec<String>,
    /// Buffers written.
    outputs: Vec<String>,
    flop: u64,
    bytes: u64,
    /// Size of a workgroup's tile of a product.
    #[serde(skip_serializing_if = "String::is_empty")]
    tile: String,
    /// Whether that was measured to be the fastest.
    tile_measured: bool,
    grid: [usize; 2],
}

impl CallEntry {
    fn new(call: &Call, plan: &Plan, known: Option<&Known>) -> Self {
        let kernel = &*call.kernel;
        let (variant, tile_measured) =
            known.map_or_else(|| (kernel.variants().swap_remove(0), false), |known| known.choose(kernel));
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
            tile: variant.name,
            tile_measured,
            grid: variant.grid,
        }
    }
}

/// The adapter that `elbo train` would take with these settings.
fn adapter(config: &Config) -> Option<Description> {
    let wanted = config.adapter.as_deref().unwrap_or_default().to_lowercase();
    let takes = |adapter: &Description| match config.engine {
        Choice::Cpu => false,
        Choice::Auto if wanted.is_empty() => adapter.hardware,
        Choice::Auto | Choice::Gpu => adapter.name.to_lowercase().contains(&wanted),
    };
    adapters().into_iter().find(takes)
}

impl ProgramCommand {
    pub(super) fn run(&self) -> Result<()> {
        let config = self.settings.config()?;
        let dataset = config.dataset()?;
        if let Some(path) = &self.export {
            if path.extension().is_none_or(|extension| extension != "json") {
                let problem = format!(
                    "--export {}: give a name that ends in .json; a .bin file is written beside it",
                    path.display()
                );
                return Err(Error::usage(problem));
            }
            config.check_length(dataset.train.len())?;
            let device = Device::open(Choice::Cpu, None)?;
            let state = initial_state(&config, &dataset);
            export::write_model(&mut Session::new(&device, &config, &dataset, &state)?, path)?;
            result(format_args!("{}, {}", path.display(), path.with_extension("bin").display()));
            return Ok(());
        }
        let model = Model::new(model_config(&config, &dataset)?)?;
        let calls = &model.plan.programs[model.train.program.0].calls;
        let adapter = adapter(&config);
        let known = adapter.as_ref().map(Known::of);
        let kernels: Vec<CallEntry> =
            calls.iter().map(|call| CallEntry::new(call, &model.plan, known.as_ref())).collect();
        if self.json {
            return json(&StepCalls { kernels });
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
                    entry.tile.clone(),
                    format!("{} x {}", entry.grid[0], entry.grid[1]),
                    format!("{} -> {}", entry.inputs.join(", "), entry.outputs.join(", ")),
                ]
            })
            .collect();
        table(&["#", "kernel", "MFLOP", "MB", "tile", "grid", "buffers"], &rows);
        let total = |of: fn(&CallEntry) -> u64| kernels.iter().map(of).sum::<u64>() as f64;
        result(format_args!(
            "one step of {}: {} dispatches, {} FLOP, {} bytes",
            model.config.architecture,
            kernels.len(),
            grouped(total(|entry| entry.flop)),
            grouped(total(|entry| entry.bytes)),
        ));
        if let Some(adapter) = adapter {
            let measured = if kernels.iter().any(|entry| entry.tile_measured) { "as" } else { "not yet" };
            result(format_args!("tiles: {measured} measured on {}", adapter.name));
        }
        Ok(())
    }
}
