//! `elbo bench`.

use super::output::{grouped, json, note, result};
use super::train::engine_line;
use crate::data::digits;
use crate::engine::{Choice, Device, MOST_STEPS};
use crate::error::Result;
use crate::train::config::Config;
use crate::train::initial_checkpoint;
use crate::train::session::Session;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::time::Instant;

/// Measure speed on this machine
#[derive(Args)]
#[command(after_help = "Examples:
  elbo bench train
  elbo bench train --batch 128,1024 --engine gpu --json")]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Train(BenchTrain),
}

/// Images a second when training the lecture's model, without evaluation and files
#[derive(Args)]
#[command(after_help = "Examples:
  elbo bench train --batch 128,1024
  elbo bench train --engine gpu --json")]
struct BenchTrain {
    /// Images of a step
    #[arg(long, value_delimiter = ',', default_values_t = [128, 1024])]
    batch: Vec<usize>,
    /// Latent dimensions
    #[arg(long, default_value_t = 20)]
    latent: usize,
    /// Widths of the hidden layers
    #[arg(long, value_delimiter = ',', default_values_t = [300])]
    hidden: Vec<usize>,
    /// Timed passes over the data, after one that is not
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    epochs: u64,
    /// A hardware GPU if there is one, any GPU adapter, or the CPU
    #[arg(long, default_value = "auto")]
    engine: Choice,
    /// Part of the GPU adapter's name
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// The JSON result.
#[derive(Serialize)]
struct Listing {
    results: Vec<Measured>,
}

/// One measurement.
#[derive(Serialize)]
struct Measured {
    what: String,
    /// Images of the data set.
    n: usize,
    /// Images of a step.
    m: usize,
    /// Pixels of an image.
    d: usize,
    engine: &'static str,
    adapter: String,
    /// Of one pass over the data: the median.
    seconds: f64,
    per_second: f64,
    unit: &'static str,
}

impl Bench {
    pub(super) fn run(&self) -> Result<()> {
        let What::Train(bench) = &self.what;
        bench.run()
    }
}

impl BenchTrain {
    fn run(&self) -> Result<()> {
        let device = Device::open(self.engine, self.adapter.as_deref())?;
        note(engine_line(device.info()));
        let results =
            self.batch.iter().map(|&batch| self.measure(&device, batch)).collect::<Result<Vec<_>>>()?;
        if self.json {
            return json(&Listing { results });
        }
        for Measured { what, m, per_second, .. } in &results {
            result(format_args!("{what}, batch {m}: {} images/s", grouped(*per_second)));
        }
        Ok(())
    }

    fn measure(&self, device: &Device, batch: usize) -> Result<Measured> {
        let (hidden, latent) = (self.hidden.clone(), self.latent);
        let config = Config { batch, hidden, latent, ..Config::default() };
        let dataset = digits::dataset(config.seed);
        let (model, _) = initial_checkpoint(&config, &dataset);
        let mut session = Session::new(device, &config, &dataset, &model)?;
        let steps = session.steps_per_epoch();
        let mut seconds = Vec::new();
        for epoch in 0..=self.epochs {
            let start = Instant::now();
            let mut pending = None;
            for first in (0..steps).step_by(MOST_STEPS) {
                let count = (steps - first).min(MOST_STEPS as u64) as usize;
                let next = (session.submit(epoch * steps + first, count)?, count);
                if let Some((ticket, count)) = pending.replace(next) {
                    session.wait(ticket, count)?;
                }
            }
            if let Some((ticket, count)) = pending {
                session.wait(ticket, count)?;
            }
            if epoch > 0 {
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        let info = device.info();
        Ok(Measured {
            what: format!("training {}", session.model().config.architecture),
            n: dataset.train.len(),
            m: batch,
            d: dataset.train.dimension(),
            engine: info.engine,
            adapter: info.adapter.clone(),
            seconds: median,
            per_second: (steps * batch as u64) as f64 / median,
            unit: "images/s",
        })
    }
}
