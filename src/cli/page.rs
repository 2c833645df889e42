//! `elbo page`.

use super::device::{DeviceOptions, engine_line};
use super::output::{note, result};
use super::source::{Opened, Source};
use clap::Args;
use elbo::error::{Error, Result};
use elbo::figure::RunLog;
use elbo::page;
use elbo::train::run::{PAGE, Run};
use std::path::PathBuf;

/// Make a page of a trained model, to explore its latent space in a browser, or a page that learns
///
/// A page is one HTML file. All that it shows is inside: it opens from disk, needs no server and no network. It decodes on
/// the reader's GPU (WebGPU), or in plain JavaScript where that is faster.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo page runs/001
  elbo page runs/001 --out page.html
  elbo page --learn                   train in the browser")]
pub(super) struct PageArgs {
    /// A run directory
    #[arg(value_name = "RUN", required_unless_present = "learn")]
    path: Option<PathBuf>,
    /// Make the page that trains the lecture's model on built-in digits, on the reader's own GPU
    #[arg(long, conflicts_with_all = ["path", "engine", "adapter"])]
    learn: bool,
    /// The file to write [default: RUN/page.html, or learn.html]
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceOptions,
}

impl PageArgs {
    pub(super) fn run(&self) -> Result<()> {
        let Some(path) = &self.path else {
            let path = self.out.clone().unwrap_or_else(|| "learn.html".into());
            page::learn(&path)?;
            result(path.display());
            return Ok(());
        };
        let source = Source::of_run(path, self.device.engine, self.device.adapter.clone());
        let Some(run) = source.run() else {
            return Err(Error::usage("a page shows what a run logged; a .safetensors file has no log"));
        };
        let Opened { mut session, device, dataset, step, .. } = source.open()?;
        if dataset.columns.is_some() {
            return Err(Error::run(run, "learned from a table; a page shows images"));
        }
        note(engine_line(device.info()));
        let (config, lines) = (Run::config(run)?.complete(), Run::lines(run)?);
        let path = self.out.clone().unwrap_or_else(|| run.join(PAGE));
        page::of_run(&path, &mut session, step, &dataset, RunLog { config: &config, lines: &lines })?;
        result(path.display());
        Ok(())
    }
}
