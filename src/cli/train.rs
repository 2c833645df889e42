//! `elbo train` and `elbo resume`.

use super::bar::Bar;
use super::device::{check_adapter, engine_line, open};
use super::output::{json, note, result};
use super::source::note_of_data;
use super::stop;
use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};
use elbo::data::Dataset;
use elbo::engine::{Choice, Device};
use elbo::error::{Error, Result};
use elbo::figure::{self, Figure};
use elbo::numeric::{grouped, hundredths};
use elbo::train::config::{Config, PRESETS};
use elbo::train::metrics::{Metrics, Terms};
use elbo::train::objective::{Objective, ObjectiveName};
use elbo::train::run::Run;
use elbo::train::session::{initial_state, model_config};
use elbo::train::{ACTIVE, Evaluated, Observer, Summary, UNINFORMATIVE};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
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
  elbo train --preset burgess-colour-short --out runs/figure4
  elbo train --tensorboard --out runs/one       then: tensorboard --logdir runs
  elbo train --data faces:colour --architecture conv:32x4/2,linear:256
  elbo train --objective capacity --capacity linear:0:25:4000 --data sprites

A SCHEDULE is a number, or changes with the step:
  linear:20:1               from 20 to 1 over the run
  linear:0:25:4000          from 0 to 25 over 4,000 steps, then 25
  cosine:20:1[:STEPS]       the same with a smooth start and end
  cyclic:0:1:2000           every 2,000 steps anew: up to 1 in 1,000, then 1
  piecewise:0=20,500=4,2000=1   lines between points
  steps:0=1e-3,100000=1e-4  constant from each step to the next")]
pub(super) struct Train {
    #[command(flatten)]
    settings: TrainSettings,
    /// Run directory [default: runs/NNN, the next free number]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Overwrite an existing run directory
    #[arg(long, help_heading = "Output")]
    force: bool,
    /// Only say how many nats --capacity should end at: trains a plain vae for up to 2,000 steps, and keeps nothing
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    suggest_capacity: bool,
    /// Only print the settings, as a file for --config
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    show: bool,
    /// Measure again which sizes of tiles are the fastest on this GPU for these layers
    #[arg(long, help_heading = "Engine", hide_short_help = true)]
    tune: bool,
    /// Print the result as one JSON object
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Settings of training: the defaults, then those of a file or a preset, then the options.
pub(super) struct TrainSettings {
    /// `--config`, `--preset`, and the options of [`Config`].
    options: ArgMatches,
}

/// The file that settings start from.
const CONFIG: &str = "config";

/// The settings of the literature that they start from.
const PRESET: &str = "preset";

impl Args for TrainSettings {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(CONFIG).long(CONFIG).value_name("FILE.toml").value_parser(value_parser!(PathBuf));
        let help = "Start from the settings in a file, such as the config.toml of another run";
        let names = PossibleValuesParser::new(PRESETS.map(|(name, _)| name));
        let preset =
            Arg::new(PRESET).long(PRESET).value_name("NAME").value_parser(names).conflicts_with(CONFIG);
        let about = "Start from settings of the literature; `--show` prints them";
        let command = command.next_help_heading("Settings").arg(preset.help(about)).arg(file.help(help));
        Config::augment_args_for_update(command.next_help_heading(None::<&str>))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for TrainSettings {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        // Values that cannot be read are refused here, beside what else is wrong with the command line.
        Config::default().update_from_arg_matches(matches)?;
        Ok(Self { options: matches.clone() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
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

impl TrainSettings {
    /// The settings, complete and checked.
    pub(super) fn config(&self) -> Result<Config> {
        let options = &self.options;
        let given = |option: &str| options.value_source(option) == Some(ValueSource::CommandLine);
        let file = match (options.get_one::<PathBuf>(CONFIG), options.get_one::<String>(PRESET)) {
            (Some(path), _) => Config::read(path)?,
            (None, Some(name)) => Config::preset(name)?,
            (None, None) => Config::default(),
        };
        let mut config = file.clone();
        config.update_from_arg_matches(options).map_err(|error| Error::usage(error.to_string()))?;
        // A flag that is not given reads as false.
        config.binarise |= file.binarise;
        config.fresh |= file.fresh;
        config.deterministic |= file.deterministic;
        if given("engine") {
            check_adapter(config.engine, options.get_one::<String>("adapter").map(String::as_str))?;
            if config.engine == Choice::Cpu {
                config.adapter = None;
            }
        }
        if given("epochs") {
            config.steps = None;
        }
        if given("hidden") {
            config.architecture = None;
        }
        config.check()?;
        Ok(config.complete())
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
    pub(super) fn run(&self) -> Result<ExitCode> {
        let config = self.settings.config()?;
        if self.show {
            result(config.to_toml()?.trim_end());
            return Ok(ExitCode::SUCCESS);
        }
        if self.suggest_capacity {
            return suggest_capacity(&config, self.json).map(|()| ExitCode::SUCCESS);
        }
        if let Some(out) = &self.out {
            Run::check_free(out, self.force)?;
        }
        let dataset = config.dataset()?;
        dataset.notes.iter().for_each(note);
        model_config(&config, &dataset)?;
        config.check_length(dataset.train.len())?;
        let device = open(config.engine, config.adapter.as_deref(), self.tune)?;
        let state = initial_state(&config, &dataset);
        let mut run = Run::create(self.out.as_deref(), self.force, &config, &state)?;
        run.notes.iter().for_each(|sentence| note(format_args!("note: {sentence}")));
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
    let bar = Bar::new("probing", 0);
    let capacity = elbo::train::suggest_capacity(&device, config, &dataset, &mut |done, total| {
        bar.set_total(total);
        bar.set(done);
    })?;
    drop(bar);
    if as_json {
        return json(&Suggestion { capacity });
    }
    result(format_args!("a vae of these settings takes {capacity:.1} nats"));
    result(format_args!("try       --objective capacity --capacity linear:0:{:.0}", capacity.ceil()));
    Ok(())
}

impl Resume {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let mut run = Run::open(&self.run)?;
        let state = run.state()?;
        let mut config = run.config.clone();
        set_length(&mut config, self.epochs, self.steps);
        if let Some(engine) = self.engine {
            (config.engine, config.adapter) = (engine, None);
        }
        config.check()?;
        note_of_data(&config);
        let dataset = config.dataset()?;
        dataset.notes.iter().for_each(note);
        // Before anything of the run changes.
        elbo::train::check_data(&run, &state, &dataset, &mut |_| ())?;
        let images = dataset.train.len();
        for sentence in config.keep_schedules(run.config.total_steps(images), config.total_steps(images)) {
            note(format_args!("note: {sentence}"));
        }
        let device = open(config.engine, config.adapter.as_deref(), false)?;
        config.check_length(images)?;
        run.reconfigure(config)?;
        run.rewind(state.progress.step)?;
        train(&mut run, &device, &dataset, self.json)
    }
}

/// Trains, draws, prints.
///
/// The exit code is 128 + n where signal n ended it, as that of a program which knows nothing of signals.
fn train(run: &mut Run, device: &Device, dataset: &Dataset, as_json: bool) -> Result<ExitCode> {
    let config = run.config.clone();
    note(engine_line(device.info()));
    let images = dataset.train.len();
    let total = config.total_steps(images);
    advise(&config);
    if let held @ 1.. = config.held_out(images) {
        note(format_args!(
            "validation: the last {} of {} training images are held out, and choose the epoch that is kept",
            grouped(held as f64),
            grouped(images as f64)
        ));
    }
    let mut bar = TrainingBar::new(total, &config);
    stop::listen();
    let (mut session, summary) = elbo::train::train(run, device, dataset, &mut bar, &stop::ASKED)?;
    drop(bar);
    let path = run.path.display().to_string();
    if summary.images_per_second.is_none() && !summary.interrupted {
        let steps = grouped(summary.steps as f64);
        note(format_args!(
            "note: all {steps} steps of the run were done before; --epochs trains it for longer"
        ));
    }
    if summary.interrupted {
        note(format_args!(
            "stopped and saved at step {}; go on with: elbo resume {path}, or draw its pictures: elbo draw {path}",
            summary.steps
        ));
        print_or_json(&summary, as_json)?;
        return Ok(stop::exit_code());
    }
    if let (true, Some(best)) = (summary.stopped_early, summary.best) {
        note(format_args!(
            "stopped early at step {}: the ELBO on the validation images has not risen since epoch {:.1}",
            summary.steps, best.epoch
        ));
    }
    let pictures =
        figure::draw_run(Figure::All, &run.path, &Run::pictures(&run.path)?, &mut session, dataset)?;
    run.log_pictures(summary.steps, &pictures)?;
    print_or_json(&summary, as_json)?;
    if !as_json {
        let names: Vec<_> = pictures.iter().filter_map(|p| p.file_name()?.to_str()).collect();
        result(format_args!("pictures   {path}/pictures: {}", names.join(", ")));
    }
    // All was done before the signal could end anything, but who sent it waits for its code.
    Ok(stop::exit_code())
}

fn print_or_json(summary: &Summary, as_json: bool) -> Result<()> {
    if as_json {
        return json(summary);
    }
    print_summary(summary);
    Ok(())
}

/// Warns of settings that are allowed but rarely meant.
fn advise(config: &Config) {
    if let Some(sigma) = config.mmd_bandwidth {
        let flat = elbo::kernel::prior_mmd::constant(config.latent, 2.0 * sigma * sigma);
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
    if let Some(best) = summary.best {
        result(format_args!(
            "best       epoch {:.1} (step {}), by the ELBO of the validation images: {:.2} nats; what follows is of it",
            best.epoch, best.step, best.elbo
        ));
    }
    let splits = [
        Some(("train", &summary.train)),
        summary.validation.as_ref().map(|evaluated| ("validation", evaluated)),
        Some(("test", &summary.test)),
    ];
    for (name, evaluated) in splits.into_iter().flatten() {
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
        hundredths(parts.mutual_information),
        (test.codes as f64).ln(),
        hundredths(parts.total_correlation),
        hundredths(parts.dimension_wise_kl),
    ));
    result(format_args!("           {}", judgement(test)));
    let weighted = matches!(summary.objective, ObjectiveName::MmdVae | ObjectiveName::InfoVae);
    if weighted && test.mmd.is_some_and(|mmd| mmd > FAR) {
        result(format_args!(
            "           the codes are far from the prior (MMD^2 above {FAR}): images invented from it will be poor; \
             raise --lambda"
        ));
    }
}

/// How the latent dimensions are used, in one sentence.
fn judgement(test: &Evaluated) -> String {
    let (active, all) = (test.active_units(), test.kl_by_dimension.len());
    let information = test.decomposition.mutual_information;
    if active == 0 || information < UNINFORMATIVE {
        return format!(
            "the code says nothing of the image ({:.2} nats): the latent has collapsed; lower the weight of the term \
             that ties it to the prior",
            hundredths(information)
        );
    }
    let most = (test.codes as f64).ln();
    let saturated =
        if information > most - SATURATED { "; the code tells every image from every other" } else { "" };
    match all - active {
        0 if all == 1 => format!("the latent dimension is used{saturated}"),
        0 if all == 2 => format!("both latent dimensions are used{saturated}"),
        0 => format!("all {all} latent dimensions are used{saturated}"),
        unused => {
            let used = if active == 1 { "one".to_owned() } else { active.to_string() };
            let are = if active == 1 { "is" } else { "are" };
            let rest = if unused == 1 { "the other carries".to_owned() } else { format!("{unused} carry") };
            format!("{used} of {all} latent dimensions {are} used; {rest} less than {ACTIVE} nats{saturated}")
        }
    }
}

/// How near to its ceiling, in nats, the mutual information is called saturated.
const SATURATED: f64 = 0.05;

/// MMD^2 to the prior above which codes are called far from it: the default lambda leaves a tenth to a third of it.
const FAR: f64 = 0.005;

/// A progress bar, and a line per evaluation.
struct TrainingBar {
    bar: Bar,
    config: Config,
    total: u64,
    /// When the first report came, and how many steps were done then.
    start: Option<(Instant, u64)>,
}

impl TrainingBar {
    fn new(total: u64, config: &Config) -> Self {
        Self { bar: Bar::new("training", total), config: config.clone(), total, start: None }
    }
}

impl Observer for TrainingBar {
    fn steps(&mut self, done: u64, recent: &Metrics, terms: &Terms) {
        // The first report is no progress: a resumed run begins there.
        let (since, first) = *self.start.get_or_insert_with(|| {
            self.bar.start_at(done);
            (Instant::now(), done)
        });
        let images = (done - first) * self.config.batch as u64;
        let speed = grouped(images as f64 / since.elapsed().as_secs_f64().max(1e-3));
        let mut message = format!("squared error {:.2}  KL {:.2}", recent.sse, recent.kl);
        if let Objective::Capacity { capacity, .. } = self.config.objective() {
            let capacity = capacity.at(done.saturating_sub(1), self.total);
            message += &format!("  |KL - C| {:.2}", (recent.kl - capacity).abs());
        }
        if let Some(mmd) = terms.mmd {
            message += &format!("  MMD^2 {mmd:.4}");
        }
        if let Some(correlation) = terms.total_correlation {
            message += &format!("  total correlation {:.2}", hundredths(correlation));
        }
        self.bar.say(format!("step {}: {message}  {speed} images/s", grouped(done as f64)));
        self.bar.set(done);
    }

    fn evaluated(&mut self, epoch: f64, test: &Metrics, validation: Option<&Metrics>) {
        let validation =
            validation.map_or(String::new(), |held| format!("validation: ELBO {:.2}  ", held.elbo));
        self.bar.println(&format!(
            "epoch {epoch:>5.1}  {validation}test: ELBO {:.2}  squared error {:.2}  KL {:.2}",
            test.elbo, test.sse, test.kl
        ));
    }

    fn warning(&mut self, sentence: &str) {
        self.bar.println(&format!("warning: {sentence}"));
    }
}
