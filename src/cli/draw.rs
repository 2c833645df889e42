//! `elbo draw`.

use super::output::{note, result};
use super::source::{Opened, Source};
use super::train::engine_line;
use crate::error::{Error, Result};
use crate::figure::{self, Figure};
use clap::Args;
use std::path::Path;

/// Draw pictures of a trained model
///
/// They go to RUN/pictures, or for a .safetensors file to the current directory.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo draw all runs/001
  elbo draw samples runs/001
  elbo draw reconstructions model.safetensors --data path/to/mnist")]
pub(super) struct Draw {
    /// Which picture
    figure: Figure,
    #[command(flatten)]
    source: Source,
}

impl Draw {
    pub(super) fn run(&self) -> Result<()> {
        if self.figure.needs_run() && self.source.run().is_none() {
            return Err(Error::usage("this picture is of what a run logged; a .safetensors file has no log"));
        }
        let Opened { mut session, device, dataset, .. } = self.source.open()?;
        note(engine_line(device.info()));
        let files = match self.source.run() {
            Some(run) => figure::draw_run(self.figure, run, &mut session, &dataset)?,
            None => figure::draw(self.figure, Path::new("."), &mut session, &dataset, None)?,
        };
        files.iter().for_each(|file| result(file.display()));
        Ok(())
    }
}
