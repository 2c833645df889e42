//! `elbo evaluate`.

use super::output::{json, note};
use super::source::{Opened, Source};
use super::train::{engine_line, print_summary};
use crate::error::Result;
use crate::train::evaluate_only;
use clap::Args;

/// Evaluate a trained model on training and test images
///
/// All numbers are nats per image, with one sampled z per image; the same seed gives the same samples.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo evaluate runs/001 --json
  elbo evaluate model.safetensors --data path/to/mnist")]
pub(super) struct Evaluate {
    #[command(flatten)]
    source: Source,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

impl Evaluate {
    pub(super) fn run(&self) -> Result<()> {
        let Opened { mut session, device, config, step, .. } = self.source.open()?;
        note(engine_line(device.info()));
        let summary = evaluate_only(&mut session, device.info(), &config, step)?;
        if self.json {
            return json(&summary);
        }
        print_summary(&summary);
        Ok(())
    }
}
