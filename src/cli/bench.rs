//! `elbo bench`.

use super::device::DeviceOptions;
use super::output::{json, note, result, save, table};
use super::report::nulls;
use clap::{Args, Subcommand};
use elbo::data;
use elbo::engine::Device;
use elbo::error::Result;
use elbo::export;
use elbo::measure::kernels::{self, KernelTime};
use elbo::measure::spirv;
use elbo::measure::sums::{self, Permutations, Sum};
use elbo::measure::training::{self, Training};
use elbo::measure::{Ceiling, Measurement};
use elbo::model::Layers;
use elbo::numeric::grouped;
use elbo::statistic::Null;
use elbo::statistic::two_sample::NULLS;
use elbo::train::Submissions;
use elbo::train::config::{Config, DATA};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Measure speed on this machine
#[derive(Args)]
#[command(after_help = "Examples:
  elbo bench train
  elbo bench train --batch 128,1024 --engine gpu --json
  elbo bench mmd --n 1000,10000 --d 2,10,50,784
  elbo bench kernels --engine gpu")]
pub(super) struct Bench {
    #[command(subcommand)]
    what: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    Train(BenchTrain),
    Mmd(BenchMmd),
    Kernels(BenchKernels),
}

impl Bench {
    pub(super) fn run(&self) -> Result<()> {
        match &self.what {
            Benchmark::Train(bench) => bench.run(),
            Benchmark::Mmd(bench) => bench.run(),
            Benchmark::Kernels(bench) => bench.run(),
        }
    }
}

/// The device of a benchmark, and where its numbers go.
#[derive(Args)]
struct BenchOptions {
    #[command(flatten)]
    device: DeviceOptions,
    /// Measure the sizes of tiles again
    #[arg(long)]
    tune: bool,
    /// Write the JSON object to a file too
    #[arg(long, value_name = "FILE.json")]
    save: Option<PathBuf>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

impl BenchOptions {
    /// Opens the device and says which it is.
    fn open(&self) -> Result<Device> {
        self.device.open(self.tune)
    }

    /// Saves the results if asked to, and prints them: as JSON, or with `print`.
    fn conclude<R: Serialize>(&self, results: &R, print: impl FnOnce(&R)) -> Result<()> {
        if let Some(path) = &self.save {
            save(results, path)?;
        }
        if self.json {
            return json(results);
        }
        print(results);
        Ok(())
    }
}

/// Measurements of one kind.
#[derive(Serialize)]
struct Measurements<T> {
    results: Vec<Measurement<T>>,
}

impl<T> Measurements<T> {
    fn table(&self, header: &[&str], row: impl Fn(&Measurement<T>) -> Vec<String>) {
        table(header, &self.results.iter().map(row).collect::<Vec<_>>());
    }
}

/// A size: nothing can be measured of no points.
fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".into()),
        Ok(size) => Ok(size),
        Err(_) => Err("give a whole number".into()),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn optional<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or(String::new(), text)
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
  elbo bench mmd --n 10000 --m 10000 --d 2,10 --engine gpu --json")]
struct BenchMmd {
    /// Points of X
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 10_000], value_parser = at_least_one)]
    n: Vec<usize>,
    /// Points of Y; as many as X if not given
    #[arg(long, value_delimiter = ',', value_parser = at_least_one)]
    m: Vec<usize>,
    /// Numbers of a point
    #[arg(long, value_delimiter = ',', default_values_t = [2, 10, 50, 784], value_parser = at_least_one)]
    d: Vec<usize>,
    /// Measure a test with this many permutations too
    #[arg(long, default_value_t = 0, value_name = "B")]
    permutations: usize,
    /// How they are made
    #[arg(long)]
    null: Null,
    #[command(flatten)]
    run: BenchOptions,
}

impl BenchMmd {
    fn run(&self) -> Result<()> {
        let device = self.run.open()?;
        let ceiling = Ceiling::new(&device)?;
        note(format_args!(
            "at most {:.1} * 10^9 multiplications and additions a second, and {:.2} * 10^9 exponentials",
            ceiling.multiply_adds * 1e-9,
            ceiling.exponentials * 1e-9
        ));
        let permutations = Permutations { count: self.permutations, null: self.null };
        let test = (self.permutations > 0).then_some(permutations);
        let mut results = Vec::new();
        for &n in &self.n {
            let others = if self.m.is_empty() { vec![n] } else { self.m.clone() };
            for m in others {
                for &d in &self.d {
                    results.extend(sums::measure(&device, &ceiling, [n, m, d], test)?);
                }
            }
        }
        self.run.conclude(&Measurements { results }, |results| {
            let header = ["what", "n", "m", "d", "seconds", "10^9 pairs/s", "of the ceiling", "MB"];
            results.table(&header, |r: &Measurement<Sum>| {
                vec![
                    r.what.clone(),
                    r.n.to_string(),
                    r.m.to_string(),
                    r.d.to_string(),
                    format!("{:.4}", r.seconds),
                    format!("{:.3}", r.per_second * 1e-9),
                    optional(r.details.fraction, percent),
                    optional(r.details.bytes, |bytes| format!("{:.1}", bytes as f64 * 1e-6)),
                ]
            });
        })
    }
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
    /// Hidden layers of any kind instead, as `elbo train` takes them
    #[arg(long, value_name = "NAME|LAYERS", conflicts_with = "hidden")]
    architecture: Option<Layers>,
    /// Timed passes over the data, after one that is not
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    epochs: u64,
    #[command(flatten)]
    run: BenchOptions,
}

impl BenchTrain {
    fn run(&self) -> Result<()> {
        let device = self.run.open()?;
        let (data, hidden, latent) = (self.data.clone(), self.hidden.clone(), self.latent);
        let architecture = self.architecture.clone();
        let config = Config { data, hidden, architecture, latent, ..Config::default() };
        let dataset = data::load(&self.data, config.seed, None)?;
        let measure = |&batch: &usize| {
            training::measure(&device, &Config { batch, ..config.clone() }, &dataset, self.epochs)
        };
        let results = self.batch.iter().map(measure).collect::<Result<Vec<_>>>()?;
        self.run.conclude(&Measurements { results }, |results| {
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
            results.table(&header, |r: &Measurement<Training>| {
                let handing = r.details.submissions;
                let microseconds = |of: fn(Submissions) -> Option<f64>| {
                    optional(handing.and_then(of), |time| format!("{time:.1}"))
                };
                vec![
                    r.what.clone(),
                    r.m.to_string(),
                    grouped(r.per_second),
                    format!("{:.1}", r.per_second / r.m as f64),
                    optional(handing, |handing| format!("{:.0}", handing.dispatches_per_step)),
                    microseconds(|handing| handing.host_microseconds_per_step),
                    microseconds(|handing| handing.submit_microseconds_per_step),
                    optional(r.details.fraction, percent),
                ]
            });
        })
    }
}

/// Time of every kernel of a training step and of the pair sums, alone, beside what the device can do at most
///
/// Random numbers take the place of images and parameters. A kernel is submitted again and again, each time after the
/// one before; `us` is the wall time of one, `GPU us` that of the device's own clock where it has one. `share` is the
/// least time that the measured ceilings allow, over the time. `times baseline` is the time of a plain shader, one
/// thread an output, which runs in turn with the kernel, over the kernel's. On software adapters the time of an empty
/// dispatch is not to be trusted.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo bench kernels
  elbo bench kernels --engine gpu --batch 1024 --hidden 600 --json")]
struct BenchKernels {
    /// Images of a step
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Pixels of an image
    #[arg(long, default_value_t = 784, value_parser = at_least_one)]
    dimension: usize,
    /// Latent dimensions
    #[arg(long, default_value_t = 20)]
    latent: usize,
    /// Widths of the hidden layers
    #[arg(long, value_delimiter = ',', default_values_t = [300])]
    hidden: Vec<usize>,
    /// Points of each sample of the pair sums
    #[arg(long, value_delimiter = ',', default_values_t = [1024], value_parser = at_least_one)]
    n: Vec<usize>,
    /// Numbers of a point
    #[arg(long, value_delimiter = ',', default_values_t = [2, 16, 64], value_parser = at_least_one)]
    d: Vec<usize>,
    /// Measure nothing: write these kernels, in all variants, as SPIR-V for compilers to look at
    #[arg(long, value_name = "DIR", conflicts_with_all = ["save", "json", "tune"])]
    spirv: Option<PathBuf>,
    /// Measure nothing: write the tests of all kernels, with the f64 truth, for hosts in other languages
    #[arg(long, value_name = "DIR", conflicts_with_all = ["save", "json", "tune", "spirv"])]
    cases: Option<PathBuf>,
    #[command(flatten)]
    run: BenchOptions,
}

/// Measurements of kernels, and what they are measured against.
#[derive(Serialize)]
struct KernelMeasurements {
    ceiling: Ceiling,
    /// Of a tick of the device's clock, where it has one.
    clock_nanoseconds: Option<f32>,
    #[serde(flatten)]
    kernels: Measurements<KernelTime>,
}

impl BenchKernels {
    fn run(&self) -> Result<()> {
        let (hidden, latent, batch) = (self.hidden.clone(), self.latent, self.batch);
        let config = Config { hidden, latent, batch, ..Config::default() };
        if let Some(directory) = &self.cases {
            let count = export::write_cases(directory)?;
            result(format_args!("{} checks in {}", grouped(count as f64), directory.display()));
            return Ok(());
        }
        if let Some(directory) = &self.spirv {
            return self.write(&config, directory);
        }
        let device = self.run.open()?;
        let ceiling = Ceiling::new(&device)?;
        let mut results = kernels::training(&device, &ceiling, &config, self.dimension)?;
        for &n in &self.n {
            for &d in &self.d {
                results.extend(kernels::pairs(&device, &ceiling, n, d)?);
            }
        }
        let clock_nanoseconds = device.clock();
        let measurements =
            KernelMeasurements { ceiling, clock_nanoseconds, kernels: Measurements { results } };
        self.run.conclude(&measurements, |measurements| {
            if let Some(clock) = measurements.clock_nanoseconds {
                result(format_args!("the device's clock ticks every {clock} ns"));
            }
            result(format_args!(
                "at most {:.1} * 10^9 multiplications with addition, {:.2} * 10^9 exponentials and {:.2} * 10^9 bytes \
                 a second; {:.1} us a dispatch, {:.1} us more where it waits for the one before",
                ceiling.multiply_adds * 1e-9,
                ceiling.exponentials * 1e-9,
                ceiling.bytes * 1e-9,
                ceiling.dispatch * 1e6,
                ceiling.barrier * 1e6,
            ));
            let header =
                ["kernel", "tile", "grid", "MFLOP", "MB", "us", "GPU us", "GFLOP/s", "share", "times baseline"];
            measurements.kernels.table(&header, kernel_row);
        })
    }
}

impl BenchKernels {
    /// Writes the shaders.
    fn write(&self, config: &Config, directory: &Path) -> Result<()> {
        let mut listed = kernels::of_training(config, self.dimension)?;
        for &n in &self.n {
            for &d in &self.d {
                listed.extend(kernels::of_pairs(n, d)?);
            }
        }
        let count = spirv::write(directory, &listed)?;
        result(format_args!("{count} shaders in {}", directory.display()));
        Ok(())
    }
}

fn kernel_row(measured: &Measurement<KernelTime>) -> Vec<String> {
    let microseconds = |seconds: f64| format!("{:.1}", seconds * 1e6);
    let KernelTime { variant, grid, flop, bytes, device_seconds, share, times_baseline } = &measured.details;
    vec![
        measured.what.clone(),
        variant.clone(),
        format!("{} x {}", grid[0], grid[1]),
        format!("{:.2}", *flop as f64 * 1e-6),
        format!("{:.2}", *bytes as f64 * 1e-6),
        microseconds(measured.seconds),
        optional(*device_seconds, microseconds),
        if *flop > 0 { format!("{:.2}", measured.per_second * 1e-9) } else { String::new() },
        percent(*share),
        optional(*times_baseline, |times| format!("{times:.2}")),
    ]
}
