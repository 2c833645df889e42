//! `elbo train` and `elbo resume`.

use super::output::{grouped, json, note, result};
use crate::data::Dataset;
use crate::engine::{Choice, Device, Info};
use crate::error::{Error, Result};
use crate::figure::{self, Figure};
use crate::model::LikelihoodName;
use crate::train::config::{Config, KlName, Sigma};
use crate::train::metrics::{Metrics, Terms};
use crate::train::objective::{MmdName, Objective, TcName};
use crate::train::run::Run;
use crate::train::schedule::Schedule;
use crate::train::{ACTIVE, Evaluated, Observer, Summary, initial_checkpoint};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
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
  elbo train --data dsprites.npz --likelihood bernoulli --latent 10 --epochs 3
  elbo train --objective beta-vae --beta 4 --out runs/beta4
  elbo train --objective beta-vae --beta linear:20:1 --data sprites --latent 10
  elbo train --objective mmd-vae --latent 20 --data path/to/mnist
  elbo train --objective capacity --capacity linear:0:25:4000 --steps 5000 --data sprites --latent 10

A SCHEDULE is a number, or changes with the step:
  linear:20:1               from 20 to 1 over the run
  linear:0:25:4000          from 0 to 25 over 4,000 steps, then 25
  cosine:20:1[:STEPS]       the same with a smooth start and end
  cyclic:0:1:2000           every 2,000 steps from 0 to 1 in the first half, then 1
  piecewise:0=20,500=4,2000=1   lines between points")]
pub(super) struct Train {
    #[command(flatten)]
    settings: Settings,
    /// Run directory [default: runs/NNN, the next free number]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Overwrite an existing run directory
    #[arg(long)]
    force: bool,
    /// Only say how many nats --capacity should end at: trains a plain vae for up to 2,000 steps, and keeps nothing
    #[arg(long)]
    suggest_capacity: bool,
    /// Measure again which sizes of tiles are the fastest on this GPU for these layers
    #[arg(long)]
    tune: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// What `--data` can be.
pub(super) const DATA: &str = "digits|sprites|sprites:colour|PATH";

/// What to train: a file's settings, changed by the options given.
#[derive(Args)]
pub(super) struct Settings {
    /// Built-in data, a .npz or .npy file of images, or a directory of MNIST-style IDX files [default: digits]
    ///
    /// Images in a .npz file are its `imgs`, of shape (N, H, W) or (N, H, W, 3), in bytes or f32 in 0..1; the
    /// names and shapes of the file of dSprites are understood, and those of Keras' mnist.npz. A tenth of the
    /// images, chosen by --seed, is kept for tests. IDX files may be gzipped.
    #[arg(long, value_name = DATA)]
    data: Option<String>,
    /// Make every pixel black or white, once, at random by its grey level: the "static" MNIST of likelihood tables
    #[arg(long)]
    binarise: bool,
    /// What is minimised [default: vae]
    #[arg(long)]
    objective: Option<Objective>,
    /// p(x|z): N(x | x_hat, sigma^2 I), or independent Bernoulli pixels [default: gaussian]
    #[arg(long)]
    likelihood: Option<LikelihoodName>,
    /// Standard deviation of a pixel in the Gaussian likelihood: a number; learned with the weights; or optimal, the
    /// root mean squared error of each batch [default: 1]
    #[arg(long, value_name = "NUMBER|learned|optimal", allow_negative_numbers = true)]
    sigma: Option<Sigma>,
    /// KL(q(z|x) || p(z)): in closed form, or log q - log p at the one sampled z [default: analytic]
    #[arg(long)]
    kl: Option<KlName>,
    /// Weight of the KL term of beta-vae [default: 4], of the total correlation of tc-vae [default: 6]
    #[arg(long, value_name = "SCHEDULE", allow_negative_numbers = true)]
    beta: Option<Schedule>,
    /// Weight of the MMD of mmd-vae and info-vae, in nats. Too low and the encoder's noise vanishes; too high and
    /// the code says nothing of the image [default: 50 for each latent dimension]
    #[arg(long, value_name = "SCHEDULE", allow_negative_numbers = true)]
    lambda: Option<Schedule>,
    /// info-vae weights the KL with 1 - alpha and the MMD with alpha + lambda - 1 [default: 0]
    #[arg(long, allow_negative_numbers = true)]
    alpha: Option<f64>,
    /// What capacity holds the mean KL at, in nats [default: linear:0:25]
    #[arg(long, value_name = "SCHEDULE", allow_negative_numbers = true)]
    capacity: Option<Schedule>,
    /// Weight of |KL - C| in capacity [default: 100]
    #[arg(long, value_name = "SCHEDULE", allow_negative_numbers = true)]
    gamma: Option<Schedule>,
    /// Estimate of the MMD between z and the prior [default: closed-form]
    #[arg(long)]
    mmd: Option<MmdName>,
    /// sigma of its kernel exp(-|a - b|^2 / (2 sigma^2)) [default: sqrt(M / 2)]
    #[arg(long, value_name = "SIGMA", allow_negative_numbers = true)]
    mmd_bandwidth: Option<f64>,
    /// Estimate of the total correlation of tc-vae [default: stratified]
    #[arg(long)]
    tc: Option<TcName>,
    /// No noise in the encoder: z is the mean
    #[arg(long)]
    deterministic: bool,
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
    #[arg(long, value_name = "SCHEDULE", allow_negative_numbers = true)]
    learning_rate: Option<Schedule>,
    /// Key of all random numbers: same seed, same device, same bits [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Steps between two training lines of metrics.jsonl [default: 50]
    #[arg(long, value_name = "STEPS")]
    log_every: Option<u64>,
    /// Steps that go to the device together, at most 256; results are waited for only where a line is due [default:
    /// as many as take 50 ms]
    #[arg(long, value_name = "STEPS")]
    steps_per_submit: Option<usize>,
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
        fn set_some<T: Clone>(target: &mut Option<T>, option: &Option<T>) {
            if option.is_some() {
                target.clone_from(option);
            }
        }
        set_some(&mut config.beta, &self.beta);
        set_some(&mut config.lambda, &self.lambda);
        set_some(&mut config.alpha, &self.alpha);
        set_some(&mut config.capacity, &self.capacity);
        set_some(&mut config.gamma, &self.gamma);
        set_some(&mut config.mmd, &self.mmd);
        set_some(&mut config.mmd_bandwidth, &self.mmd_bandwidth);
        set_some(&mut config.tc, &self.tc);
        config.deterministic |= self.deterministic;
        config.binarise |= self.binarise;
        set(&mut config.latent, &self.latent);
        set(&mut config.hidden, &self.hidden);
        set(&mut config.batch, &self.batch);
        set(&mut config.learning_rate, &self.learning_rate);
        set(&mut config.seed, &self.seed);
        set(&mut config.log_every, &self.log_every);
        set_some(&mut config.steps_per_submit, &self.steps_per_submit);
        set(&mut config.engine, &self.engine);
        if self.engine == Some(Choice::Cpu) {
            config.adapter = None;
        }
        set_some(&mut config.adapter, &self.adapter);
        set_length(&mut config, self.epochs, self.steps);
        let config = config.complete();
        config.check()?;
        Ok(config)
    }
}

/// Opens a device for work that takes the fastest variant of each kernel; `tune`: all are measured again.
pub(super) fn open(engine: Choice, adapter: Option<&str>, tune: bool) -> Result<Device> {
    let device = Device::open(engine, adapter)?;
    if tune && device.info().engine == "cpu" {
        return Err(Error::usage(
            "--tune measures tile sizes on a GPU, but the CPU was chosen; try --engine gpu",
        ));
    }
    device.tune(tune, |line| note(line));
    Ok(device)
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
        if self.suggest_capacity {
            return suggest_capacity(&config, self.json);
        }
        if let Some(out) = &self.out {
            Run::check_free(out, self.force)?;
        }
        let dataset = config.dataset()?;
        crate::train::session::model_config(&config, &dataset)?;
        config.check_length(dataset.train.len())?;
        let device = open(config.engine, config.adapter.as_deref(), self.tune)?;
        let state = initial_checkpoint(&config, &dataset);
        let mut run = Run::create(self.out.as_deref(), self.force, &config, &state)?;
        train(&mut run, &device, &dataset, self.json)
    }
}

/// The JSON result of `--suggest-capacity`.
#[derive(Serialize)]
struct Suggestion {
    /// In nats.
    capacity: f64,
}

fn suggest_capacity(config: &Config, as_json: bool) -> Result<()> {
    let dataset = config.dataset()?;
    let device = open(config.engine, config.adapter.as_deref(), false)?;
    note(engine_line(device.info()));
    let style = ProgressStyle::with_template("{bar:28} {pos}/{len} steps of the probe  {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    let capacity = crate::train::suggest_capacity(&device, config, &dataset, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    if as_json {
        return json(&Suggestion { capacity });
    }
    result(format_args!("a vae of these settings takes {capacity:.1} nats"));
    result(format_args!("try       --objective capacity --capacity linear:0:{:.0}", capacity.ceil()));
    Ok(())
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
        let dataset = config.dataset()?;
        let device = open(config.engine, config.adapter.as_deref(), false)?;
        config.check_length(dataset.train.len())?;
        run.reconfigure(config)?;
        run.rewind(optimizer.progress.step)?;
        train(&mut run, &device, &dataset, self.json)
    }
}

/// Trains, draws, prints.
fn train(run: &mut Run, device: &Device, dataset: &Dataset, as_json: bool) -> Result<()> {
    let config = run.config.clone();
    note(engine_line(device.info()));
    let images = dataset.train.len();
    let (per_epoch, total) = (config.steps_per_epoch(images), config.total_steps(images));
    advise(&config);
    let mut bar = Bar::new(total, per_epoch, &config);
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

/// Warns of settings that are allowed but rarely meant.
fn advise(config: &Config) {
    if let Some(sigma) = config.mmd_bandwidth {
        let flat = crate::kernel::prior_mmd::constant(config.latent, 2.0 * sigma * sigma);
        let notes = format!("two draws from the prior have a kernel value of {flat:.2} on average");
        if flat > FLAT {
            note(format_args!(
                "warning: {notes}: the MMD hardly sees any difference; use a smaller --mmd-bandwidth, such as {:.2}",
                (config.latent as f64 / 2.0).sqrt()
            ));
        } else if flat < 1.0 - FLAT {
            note(format_args!(
                "warning: {notes}: the MMD hardly sees neighbours; use a larger --mmd-bandwidth, such as {:.2}",
                (config.latent as f64 / 2.0).sqrt()
            ));
        }
    }
}

/// Mean kernel value above which the kernel is called flat.
const FLAT: f64 = 0.9;

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
    for (name, evaluated) in [("train", &summary.train), ("test", &summary.test)] {
        let Metrics { sse, reconstruction, kl, elbo } = evaluated.metrics;
        let mmd = evaluated.mmd.map_or(String::new(), |mmd| format!("   MMD^2 of z to the prior {mmd:.5}"));
        result(format_args!(
            "{name:<10} ELBO {elbo:.2} nats = -(reconstruction {reconstruction:.2} + KL {kl:.2})   \
             squared error {sse:.2}{mmd}"
        ));
    }
    let test = &summary.test;
    let parts = &test.decomposition;
    result(format_args!(
        "codes      KL of z on {} test images = mutual information {:.2} (at most {:.2}) + total correlation {:.2} + \
         dimension-wise KL {:.2}",
        grouped(test.codes as f64),
        parts.mutual_information,
        (test.codes as f64).ln(),
        parts.total_correlation,
        parts.dimension_wise_kl,
    ));
    result(format_args!("           {}", judgement(test)));
    let weighted = matches!(summary.objective, Objective::MmdVae | Objective::InfoVae);
    if weighted && test.mmd.is_some_and(|mmd| mmd > FAR) {
        result(format_args!(
            "           the codes are far from the prior (MMD^2 above {FAR}): images invented from it will be poor; \
             raise --lambda"
        ));
    }
}

/// What the latent dimensions are good for, in one sentence.
fn judgement(test: &Evaluated) -> String {
    let (active, all) = (test.active_units(), test.kl_by_dimension.len());
    let information = test.decomposition.mutual_information;
    if active == 0 || information < UNINFORMATIVE {
        return format!(
            "the code says nothing of the image ({information:.2} nats): the latent has collapsed; lower the weight \
             of the term that ties it to the prior"
        );
    }
    let most = (test.codes as f64).ln();
    let saturated =
        if information > most - SATURATED { "; the code tells every image from every other" } else { "" };
    match all - active {
        0 => format!("all {all} latent dimensions are used{saturated}"),
        unused => format!(
            "{active} of {all} latent dimensions are used; {unused} carry less than {ACTIVE} nats{saturated}"
        ),
    }
}

/// Mutual information in nats below which a code is called uninformative, and how near to its ceiling it is called
/// saturated.
const UNINFORMATIVE: f64 = 0.1;
const SATURATED: f64 = 0.05;

/// MMD^2 to the prior above which codes are called far from it: the default lambda leaves a tenth to a third of it.
const FAR: f64 = 0.005;

/// A progress bar, or a line per epoch where nobody watches.
struct Bar {
    bar: ProgressBar,
    lines: bool,
    config: Config,
    total: u64,
    per_epoch: u64,
    /// When the first report came, and how many steps were done then.
    start: Option<(Instant, u64)>,
}

impl Bar {
    fn new(total: u64, per_epoch: u64, config: &Config) -> Self {
        let lines = !std::io::stderr().is_terminal();
        let target = if lines { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = ProgressStyle::with_template("{bar:28} {pos}/{len} steps  {msg}  {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(total), target).with_style(style);
        Self { bar, lines, config: config.clone(), total, per_epoch, start: None }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Bar {
    fn steps(&mut self, done: u64, recent: &Metrics, terms: &Terms) {
        // The first report of a resumed run is no progress.
        if self.bar.position() == 0 && done > self.per_epoch {
            self.bar.reset_eta();
        }
        self.bar.set_position(done);
        let (since, first) = *self.start.get_or_insert_with(|| (Instant::now(), done));
        let images = (done - first) * self.config.batch as u64;
        let speed = grouped(images as f64 / since.elapsed().as_secs_f64().max(1e-3));
        let mut message = format!("squared error {:.2}  KL {:.2}", recent.sse, recent.kl);
        if self.config.objective == Objective::Capacity {
            let capacity = self.config.weights(done.saturating_sub(1), self.total).capacity;
            message += &format!("  |KL - C| {:.2}", (recent.kl - capacity).abs());
        }
        if let Some(mmd) = terms.mmd {
            message += &format!("  MMD^2 {mmd:.4}");
        }
        if let Some(correlation) = terms.total_correlation {
            message += &format!("  total correlation {correlation:.2}");
        }
        self.bar.set_message(format!("{message}  {speed} images/s"));
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
