//! `elbo bench`.

use super::kernels::BenchKernels;
use super::output::{grouped, json, note, save, table};
use super::report::nulls;
use super::train::{DATA, engine_line, open};
use crate::ceiling::{BareStep, Ceiling};
use crate::data::{self, Dataset};
use crate::engine::{Choice, Device, MOST_STEPS};
use crate::error::Result;
use crate::kernel::pairs::{Family, Form};
use crate::memory::Memory;
use crate::random::{Sequence, Stream};
use crate::statistic::gram::{Extra, Pass};
use crate::statistic::points::Points;
use crate::statistic::two_sample::NULLS;
use crate::statistic::{Bandwidth, Common, KernelFunction, Null, Sample, TwoSampleSettings, two_sample};
use crate::train::config::Config;
use crate::train::session::Session;
use crate::train::{Submissions, initial_checkpoint};
use clap::{Args, Subcommand};
use rayon::prelude::*;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Measure speed on this machine
#[derive(Args)]
#[command(after_help = "Examples:
  elbo bench train
  elbo bench train --batch 128,1024 --engine gpu --json
  elbo bench mmd --n 1000,10000 --d 2,10,50,784
  elbo bench kernels --engine gpu")]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

/// On what a benchmark runs, and where its numbers go.
#[derive(Args)]
pub(super) struct Options {
    /// A hardware GPU if there is one, any GPU adapter, or the CPU
    #[arg(long, default_value = "auto")]
    engine: Choice,
    /// Part of the GPU adapter's name
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Measure the sizes of tiles again
    #[arg(long)]
    tune: bool,
    /// Write the JSON object to a file too
    #[arg(long, value_name = "FILE.json")]
    pub(super) save: Option<PathBuf>,
    /// Print the results as one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

impl Options {
    /// Opens the device and says which it is.
    pub(super) fn open(&self) -> Result<Device> {
        let device = open(self.engine, self.adapter.as_deref(), self.tune)?;
        note(engine_line(device.info()));
        Ok(device)
    }
}

#[derive(Subcommand)]
enum What {
    Train(BenchTrain),
    Mmd(BenchMmd),
    Kernels(BenchKernels),
}

/// Pairs of points a second: the sum over pairs of both samples, all three sums of MMD^2, and the test
///
/// Standard normal points, a gaussian kernel of sigma^2 = d; the points are on the device already, as they are in
/// other frameworks. `product`, on the CPU, is the bare matrix product of the same points, in blocks. `test` is a
/// whole permutation test, everything included. The ceiling is what the device's measured rates of multiplications
/// with addition and of exponentials allow; MB are those of the engine's buffers.
#[derive(Args)]
#[command(mut_arg("null", |arg| nulls(arg, &NULLS)))]
#[command(after_help = "Examples:
  elbo bench mmd
  elbo bench mmd --n 10000 --m 10000 --d 2,10 --permutations 1000 --engine gpu --json")]
struct BenchMmd {
    /// Points of X
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 10_000])]
    n: Vec<usize>,
    /// Points of Y; as many as X if not given
    #[arg(long, value_delimiter = ',')]
    m: Vec<usize>,
    /// Numbers of a point
    #[arg(long, value_delimiter = ',', default_values_t = [2, 10, 50, 784])]
    d: Vec<usize>,
    /// Measure a test with this many permutations too
    #[arg(long, default_value_t = 0, value_name = "B")]
    permutations: usize,
    /// How they are made
    #[arg(long)]
    null: Null,
    #[command(flatten)]
    run: Options,
}

/// Least time spent on one measurement, in seconds, and least number of repetitions.
const LEAST_SECONDS: f64 = 1.0;
const LEAST_REPETITIONS: usize = 3;

/// Bare steps after each pass over the data.
const BARE_STEPS: usize = 100;

/// Points of a block of the bare product.
const PRODUCT_BLOCK: usize = 256;

impl BenchMmd {
    fn run(&self) -> Result<()> {
        let device = self.run.open()?;
        let ceiling = Ceiling::new(&device)?;
        note(format_args!(
            "at most {:.1} * 10^9 multiplications and additions a second, and {:.2} * 10^9 exponentials",
            ceiling.multiply_adds * 1e-9,
            ceiling.exponentials * 1e-9
        ));
        let mut results = Vec::new();
        for &n in &self.n {
            let others = if self.m.is_empty() { &[n][..] } else { &self.m };
            for &m in others {
                for &d in &self.d {
                    self.measure(&device, &ceiling, [n, m], d, &mut results)?;
                }
            }
        }
        let listing = Listing { results };
        if let Some(path) = &self.run.save {
            save(&listing, path)?;
        }
        if self.run.json {
            return json(&listing);
        }
        let cells = |r: &Measured| {
            let rate = format!("{:.3}", r.per_second * 1e-9);
            vec![
                r.what.clone(),
                r.n.to_string(),
                r.m.to_string(),
                r.d.to_string(),
                format!("{:.4}", r.seconds),
                rate,
                r.fraction.map_or(String::new(), |fraction| format!("{:.0} %", 100.0 * fraction)),
                r.bytes.map_or(String::new(), |bytes| format!("{:.1}", bytes as f64 * 1e-6)),
            ]
        };
        let rows: Vec<Vec<String>> = listing.results.iter().map(cells).collect();
        table(&["what", "n", "m", "d", "seconds", "10^9 pairs/s", "of the ceiling", "MB"], &rows);
        Ok(())
    }

    fn measure(
        &self,
        device: &Device,
        ceiling: &Ceiling,
        [n, m]: [usize; 2],
        d: usize,
        results: &mut Vec<Measured>,
    ) -> Result<()> {
        let points = |index: u32, n: usize| -> Vec<f64> {
            let mut random = Sequence::new(0, Stream::Data, index);
            (0..n * d).map(|_| f64::from(random.normal())).collect()
        };
        let (x, y) = (points(0, n), points(1, m));
        let samples = [Sample::new(d, &x), Sample::new(d, &y)];
        let kernel = KernelFunction::new(Family::Gaussian, (d as f64).sqrt());
        let info = device.info();
        let mut add = |what: &str, (seconds, pairs): (f64, f64), limit: Option<f64>, bytes: Option<usize>| {
            results.push(Measured {
                what: what.into(),
                n,
                m,
                d,
                engine: info.engine,
                adapter: info.adapter.clone(),
                seconds,
                per_second: pairs / seconds,
                unit: "pairs/s",
                fraction: limit.map(|limit| pairs / seconds / limit),
                bytes,
                submissions: None,
            });
        };
        let points = Points::new(samples[0], samples[1], None)?;
        for (what, cross) in [("sum", true), ("mmd", false)] {
            let mut pass = Pass::new(device, &points, &kernel, &Extra::None, cross)?;
            // A difference and its square, or one product, a coordinate.
            let each = if pass.form() == Form::Differences { 2 } else { 1 };
            let limit = ceiling.pairs(d, each, kernel.bandwidths.len());
            let time = repeat(what, || Ok(pass.run(&mut |_| {})?.evaluations))?;
            add(what, time, Some(limit), Some(pass.bytes()));
        }
        if info.engine == "cpu" {
            // What a sum of products is measured against: faer's product of the same points, in blocks whose
            // result stays in the cache.
            let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
            let (x, y) = (narrow(&x), narrow(&y));
            let product = || {
                let scratch = || Memory::new(PRODUCT_BLOCK * PRODUCT_BLOCK);
                x.par_chunks(PRODUCT_BLOCK * d).for_each_init(scratch, |result, x| {
                    for y in y.chunks(PRODUCT_BLOCK * d) {
                        let (rows, columns) = (x.len() / d, y.len() / d);
                        faer::linalg::matmul::matmul(
                            faer::MatMut::from_row_major_slice_mut(
                                &mut result.get_mut()[..rows * columns],
                                rows,
                                columns,
                            ),
                            faer::Accum::Replace,
                            faer::MatRef::from_row_major_slice(x, rows, d),
                            faer::MatRef::from_row_major_slice(y, columns, d).transpose(),
                            1.0,
                            faer::Par::Seq,
                        );
                    }
                });
                Ok((n * m) as f64)
            };
            add("product", repeat("product", product)?, Some(ceiling.multiply_adds / d as f64), None);
        }
        if self.permutations > 0 {
            let (permutations, null) = (self.permutations, self.null);
            let settings = TwoSampleSettings {
                bandwidth: Bandwidth::Values(kernel.bandwidths),
                common: Common { permutations, null, ..Common::default() },
                ..TwoSampleSettings::default()
            };
            let mut bytes = 0;
            let time = repeat("test", || {
                let test = two_sample(device, samples, &settings, &mut |_| {})?;
                bytes = test.found.bytes;
                Ok(test.pairs)
            })?;
            add("test", time, None, Some(bytes));
        }
        Ok(())
    }
}

/// The median time of some repetitions after one that does not count, and the pairs of one.
fn repeat(what: &str, mut run: impl FnMut() -> Result<f64>) -> Result<(f64, f64)> {
    let pairs = run()?;
    let mut seconds = Vec::new();
    while seconds.len() < LEAST_REPETITIONS || seconds.iter().sum::<f64>() < LEAST_SECONDS {
        let start = Instant::now();
        run()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    tracing::info!("{what}: {} repetitions", seconds.len());
    seconds.sort_by(f64::total_cmp);
    Ok((seconds[seconds.len() / 2], pairs))
}

/// Images a second when training the lecture's model, without evaluation and files
///
/// On the CPU also the time of faer's bare products of a step and of Adam's pass over the weights, as a share of the
/// time of a step: nothing else is done there, but no zeros are skipped either, so that it may be above 100 %.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo bench train --batch 128,1024
  elbo bench train --data mnist --engine gpu --json")]
struct BenchTrain {
    /// Built-in data, or a file or directory of images; on the CPU, zeros in the images are skipped
    #[arg(long, default_value = "digits", value_name = DATA)]
    data: String,
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
    #[command(flatten)]
    run: Options,
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
    /// Images of the data set, or points of X.
    n: usize,
    /// Images of a step, or points of Y.
    m: usize,
    /// Pixels of an image, or numbers of a point.
    d: usize,
    engine: &'static str,
    adapter: String,
    /// Of one pass over the data or the pairs: the median.
    seconds: f64,
    per_second: f64,
    unit: &'static str,
    /// Of the rate that the device's multiplications, additions and exponentials allow; for training on the CPU, of that
    /// of faer's bare products and Adam.
    #[serde(skip_serializing_if = "Option::is_none")]
    fraction: Option<f64>,
    /// Of the engine's buffers.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    /// What handing the steps to the device took.
    #[serde(flatten)]
    submissions: Option<Submissions>,
}

impl Bench {
    pub(super) fn run(&self) -> Result<()> {
        match &self.what {
            What::Train(bench) => bench.run(),
            What::Mmd(bench) => bench.run(),
            What::Kernels(bench) => bench.run(),
        }
    }
}

impl BenchTrain {
    fn run(&self) -> Result<()> {
        let device = self.run.open()?;
        let dataset = data::load(&self.data, Config::default().seed)?;
        let measure = |&batch| self.measure(&device, &dataset, batch);
        let results = self.batch.iter().map(measure).collect::<Result<Vec<_>>>()?;
        let listing = Listing { results };
        if let Some(path) = &self.run.save {
            save(&listing, path)?;
        }
        if self.run.json {
            return json(&listing);
        }
        let cells = |r: &Measured| {
            let handing = r.submissions;
            let microseconds = |of: fn(Submissions) -> Option<f64>| {
                handing.and_then(of).map_or(String::new(), |time| format!("{time:.1}"))
            };
            vec![
                r.what.clone(),
                r.m.to_string(),
                grouped(r.per_second),
                format!("{:.1}", r.per_second / r.m as f64),
                handing.map_or(String::new(), |handing| format!("{:.0}", handing.dispatches_per_step)),
                microseconds(|handing| handing.host_microseconds_per_step),
                microseconds(|handing| handing.submit_microseconds_per_step),
                r.fraction.map_or(String::new(), |fraction| format!("{:.0} %", 100.0 * fraction)),
            ]
        };
        let rows: Vec<Vec<String>> = listing.results.iter().map(cells).collect();
        let header = [
            "what",
            "batch",
            "images/s",
            "steps/s",
            "dispatches",
            "encoding us",
            "submitting us",
            "of bare work",
        ];
        table(&header, &rows);
        Ok(())
    }

    fn measure(&self, device: &Device, dataset: &Dataset, batch: usize) -> Result<Measured> {
        let (data, hidden, latent) = (self.data.clone(), self.hidden.clone(), self.latent);
        let config = Config { data, batch, hidden, latent, ..Config::default() };
        let (model, _) = initial_checkpoint(&config, dataset);
        let mut session = Session::new(device, &config, dataset, &model)?;
        let steps = session.steps_per_epoch();
        let mut seconds = Vec::new();
        let layers = session.model().config.architecture.layers();
        let layers: Vec<[usize; 2]> = layers.iter().map(|layer| [layer.inputs, layer.outputs]).collect();
        let mut bare = (device.info().engine == "cpu").then(|| BareStep::new(&layers, batch));
        let mut fractions = Vec::new();
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
            let elapsed = start.elapsed().as_secs_f64();
            if epoch > 0 {
                seconds.push(elapsed);
                if let Some(bare) = &mut bare {
                    // In turn, because the speed of a machine changes.
                    let start = Instant::now();
                    (0..BARE_STEPS).for_each(|_| bare.run());
                    let each = start.elapsed().as_secs_f64() / BARE_STEPS as f64;
                    fractions.push(each * steps as f64 / elapsed);
                }
            }
        }
        let middle = |values: &mut Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        let median = middle(&mut seconds).unwrap_or(f64::NAN);
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
            fraction: middle(&mut fractions),
            bytes: None,
            submissions: Submissions::new(&session.counters()),
        })
    }
}
