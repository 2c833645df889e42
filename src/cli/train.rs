//! `elbo train` and `elbo resume`.

use super::output::{grouped, json, note, result};
use crate::data;
use crate::engine::{Choice, Device, Info};
use crate::error::{Error, Result};
use crate::figure::{self, Figure};
use crate::model::LikelihoodName;
use crate::train::config::{Config, KlName, Objective};
use crate::train::metrics::Metrics;
use crate::train::run::Run;
use crate::train::{Evaluated, Observer, Summary, initial_checkpoint};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Train a variational auto-encoder and draw what it learned
///
/// Without options: the lecture's model (784-300-2*2-300-784, Gaussian likelihood) on built-in digits. The run
/// directory gets the settings, losses, checkpoints and pictures; Ctrl-C saves and ends, `elbo resume` goes on.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo train
  elbo train --data path/to/mnist --latent 20 --epochs 10
  elbo train --data sprites --likelihood bernoulli --latent 10 --hidden 600,300
  elbo train --objective beta-vae --beta 4 --out runs/beta4")]
pub(super) struct Train {
    #[command(flatten)]
    settings: Settings,
    /// Run directory [default: runs/NNN, the next free number]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Overwrite an existing run directory
    #[arg(long)]
    force: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// What to train: a file's settings, changed by the options given.
#[derive(Args)]
pub(super) struct Settings {
    /// Built-in data, or a directory of MNIST-style IDX files, gzipped or not [default: digits]
    #[arg(long, value_name = "digits|sprites|PATH")]
    data: Option<String>,
    /// What is minimised: reconstruction + KL, or reconstruction + beta KL [default: vae]
    #[arg(long)]
    objective: Option<Objective>,
    /// p(x|z): N(x | x_hat, sigma^2 I), or independent Bernoulli pixels [default: gaussian]
    #[arg(long)]
    likelihood: Option<LikelihoodName>,
    /// Standard deviation of a pixel in the Gaussian likelihood [default: 1]
    #[arg(long, allow_negative_numbers = true)]
    sigma: Option<f32>,
    /// KL(q(z|x) || p(z)): in closed form, or log q - log p at the one sampled z [default: analytic]
    #[arg(long)]
    kl: Option<KlName>,
    /// Weight of the KL term, with --objective beta-vae [default: 1]
    #[arg(long, allow_negative_numbers = true)]
    beta: Option<f32>,
    /// Latent dimensions; with 2, the latent plane is drawn [default: 2]
    #[arg(long, value_name = "M")]
    latent: Option<usize>,
    /// Widths of the encoder's hidden layers; the decoder has them in reverse [default: 300]
    #[arg(long, value_name = "WIDTH", value_delimiter = ',')]
    hidden: Option<Vec<usize>>,
    /// How often each training image is seen [default: 30]
    #[arg(long, conflicts_with = "steps")]
    epochs: Option<u64>,
    /// Number of training steps, instead of --epochs
    #[arg(long)]
    steps: Option<u64>,
    /// Images of a step [default: 128]
    #[arg(long)]
    batch: Option<usize>,
    /// Adam's step size [default: 0.001]
    #[arg(long, value_name = "LR", allow_negative_numbers = true)]
    learning_rate: Option<f32>,
    /// Key of all random numbers: same seed, same device, same bits [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Steps between two training lines of metrics.jsonl [default: 50]
    #[arg(long, value_name = "STEPS")]
    log_every: Option<u64>,
    /// A hardware GPU if there is one, any GPU adapter, or the CPU [default: auto]
    #[arg(long)]
    engine: Option<Choice>,
    /// Part of the GPU adapter's name (see `elbo devices`)
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Start from the settings in a file, such as the config.toml of another run
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
}

/// Go on with a run from its last checkpoint
#[derive(Args)]
#[command(after_help = "Examples:
  elbo resume runs/001               finish an interrupted run
  elbo resume runs/001 --epochs 60   train a finished run for longer")]
pub(super) struct Resume {
    /// The run directory
    run: PathBuf,
    /// Epochs of the whole run, those already done included
    #[arg(long, conflicts_with = "steps")]
    epochs: Option<u64>,
    /// Steps of the whole run, those already done included
    #[arg(long)]
    steps: Option<u64>,
    /// Engine to go on with, if another than before
    #[arg(long)]
    engine: Option<Choice>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

impl Settings {
    /// Defaults, then the file, then the options.
    pub(super) fn config(&self) -> Result<Config> {
        if let Some(engine) = self.engine {
            check_adapter(engine, self.adapter.as_deref())?;
        }
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        fn set<T: Clone>(target: &mut T, option: &Option<T>) {
            if let Some(value) = option {
                target.clone_from(value);
            }
        }
        set(&mut config.data, &self.data);
        set(&mut config.objective, &self.objective);
        set(&mut config.likelihood, &self.likelihood);
        set(&mut config.sigma, &self.sigma);
        set(&mut config.kl, &self.kl);
        set(&mut config.beta, &self.beta);
        set(&mut config.latent, &self.latent);
        set(&mut config.hidden, &self.hidden);
        set(&mut config.batch, &self.batch);
        set(&mut config.learning_rate, &self.learning_rate);
        set(&mut config.seed, &self.seed);
        set(&mut config.log_every, &self.log_every);
        set(&mut config.engine, &self.engine);
        if self.engine == Some(Choice::Cpu) {
            config.adapter = None;
        }
        if self.adapter.is_some() {
            config.adapter.clone_from(&self.adapter);
        }
        set_length(&mut config, self.epochs, self.steps);
        config.check()?;
        Ok(config)
    }
}

/// Refuses a GPU's name for the CPU.
pub(super) fn check_adapter(engine: Choice, adapter: Option<&str>) -> Result<()> {
    match adapter {
        Some(name) if engine == Choice::Cpu => Err(Error::usage(format!(
            "--adapter {name} asks for a GPU but --engine cpu for none; leave out one of them"
        ))),
        _ => Ok(()),
    }
}

/// Epochs and steps exclude each other: the one given replaces the other.
fn set_length(config: &mut Config, epochs: Option<u64>, steps: Option<u64>) {
    if let Some(epochs) = epochs {
        (config.epochs, config.steps) = (epochs, None);
    }
    if steps.is_some() {
        config.steps = steps;
    }
}

impl Train {
    pub(super) fn run(&self) -> Result<()> {
        let config = self.settings.config()?;
        if let Some(out) = &self.out {
            Run::check_free(out, self.force)?;
        }
        let dataset = data::load(&config.data, config.seed)?;
        crate::train::session::model_config(&config, &dataset)?;
        let device = Device::open(config.engine, config.adapter.as_deref())?;
        let state = initial_checkpoint(&config, &dataset);
        let mut run = Run::create(self.out.as_deref(), self.force, &config, &state)?;
        train(&mut run, &device, &dataset, self.json)
    }
}

impl Resume {
    pub(super) fn run(&self) -> Result<()> {
        let mut run = Run::open(&self.run)?;
        let (_, optimizer) = run.last_checkpoint()?;
        let mut config = run.config.clone();
        set_length(&mut config, self.epochs, self.steps);
        if let Some(engine) = self.engine {
            (config.engine, config.adapter) = (engine, None);
        }
        config.check()?;
        let dataset = data::load(&config.data, config.seed)?;
        let device = Device::open(config.engine, config.adapter.as_deref())?;
        run.reconfigure(config)?;
        run.rewind(optimizer.progress.step)?;
        train(&mut run, &device, &dataset, self.json)
    }
}

/// Trains, draws, prints.
fn train(run: &mut Run, device: &Device, dataset: &data::Dataset, as_json: bool) -> Result<()> {
    let config = run.config.clone();
    note(engine_line(device.info()));
    let per_epoch = dataset.train.len() as u64 / config.batch as u64;
    let total = config.steps.unwrap_or(config.epochs.saturating_mul(per_epoch));
    let mut bar = Bar::new(total, per_epoch, config.batch);
    let (mut session, summary) = crate::train::train(run, device, dataset, &mut bar, stop_flag())?;
    bar.finish();
    if summary.interrupted {
        let path = run.path.display();
        note(format_args!("stopped and saved at step {}; go on with: elbo resume {path}", summary.steps));
    }
    let pictures = figure::draw_run(Figure::All, &run.path, &mut session, dataset)?;
    if as_json {
        return json(&summary);
    }
    print_summary(&summary);
    let names: Vec<_> = pictures.iter().filter_map(|p| p.file_name()?.to_str()).collect();
    result(format_args!("pictures   {}/pictures: {}", run.path.display(), names.join(", ")));
    Ok(())
}

/// Set by Ctrl-C; a second Ctrl-C ends the process at once.
fn stop_flag() -> &'static AtomicBool {
    static STOP: AtomicBool = AtomicBool::new(false);
    let handler = || {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        note(format_args!("Ctrl-C will end the run without saving: {error}"));
    }
    &STOP
}

/// One line on where the work is done and why.
pub(super) fn engine_line(info: &Info) -> String {
    format!("engine: {} ({}), {}", info.engine, info.adapter, info.reason)
}

/// The result for people.
pub(super) fn print_summary(summary: &Summary) {
    if let Some(speed) = summary.images_per_second {
        result(format_args!(
            "trained    {} steps ({:.1} epochs) at {} images/s",
            grouped(summary.steps as f64),
            summary.epochs,
            grouped(speed)
        ));
    }
    for (name, Evaluated { metrics, mmd }) in [("train", summary.train), ("test", summary.test)] {
        let Metrics { sse, reconstruction, kl, elbo } = metrics;
        let mmd = mmd.map_or(String::new(), |mmd| format!("   MMD^2 of z to the prior {mmd:.5}"));
        result(format_args!(
            "{name:<10} ELBO {elbo:.2} nats = -(reconstruction {reconstruction:.2} + KL {kl:.2})   \
             squared error {sse:.2}{mmd}"
        ));
    }
}

/// A progress bar, or a line per epoch where nobody watches.
struct Bar {
    bar: ProgressBar,
    lines: bool,
    batch: usize,
    per_epoch: u64,
    /// When the first report came, and how many steps were done then.
    start: Option<(Instant, u64)>,
}

impl Bar {
    fn new(total: u64, per_epoch: u64, batch: usize) -> Self {
        let lines = !std::io::stderr().is_terminal();
        let target = if lines { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = ProgressStyle::with_template("{bar:28} {pos}/{len} steps  {msg}  {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(total), target).with_style(style);
        Self { bar, lines, batch, per_epoch, start: None }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Bar {
    fn steps(&mut self, done: u64, recent: &Metrics) {
        // The first report of a resumed run is no progress.
        if self.bar.position() == 0 && done > self.per_epoch {
            self.bar.reset_eta();
        }
        self.bar.set_position(done);
        let (since, first) = *self.start.get_or_insert_with(|| (Instant::now(), done));
        let images = (done - first) * self.batch as u64;
        let speed = grouped(images as f64 / since.elapsed().as_secs_f64().max(1e-3));
        self.bar
            .set_message(format!("squared error {:.2}  KL {:.2}  {speed} images/s", recent.sse, recent.kl));
    }

    fn evaluated(&mut self, epoch: f64, test: &Metrics) {
        let line = format!(
            "epoch {epoch:>5.1}  test: ELBO {:.2}  squared error {:.2}  KL {:.2}",
            test.elbo, test.sse, test.kl
        );
        if self.lines {
            note(line);
        } else {
            self.bar.println(line);
        }
    }
}
