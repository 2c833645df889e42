//! The training loop, and the directory that a run leaves behind.

pub mod config;
pub mod metrics;
pub mod run;
pub mod session;

use crate::checkpoint::{self, About, Optimizer};
use crate::data::Dataset;
use crate::engine::{Device, Info, MOST_STEPS, Ticket};
use crate::error::{Kind, Result};
use crate::model::{Architecture, Parameters};
use config::Config;
use metrics::{Metrics, Sums, mmd_to_prior};
use run::{Line, Run};
use serde::Serialize;
use session::{Session, Split};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long one submission should keep the device busy: long enough that waiting for it costs nothing, short
/// enough for a smooth progress bar and far below any driver's watchdog.
const SUBMISSION: Duration = Duration::from_millis(50);

/// Images for the MMD between z and the prior, which takes a time that grows with their square.
const MMD_IMAGES: usize = 10_000;

/// What happens during training, for a progress bar.
pub trait Observer {
    /// Steps were done; averages over the latest of them.
    fn steps(&mut self, done: u64, recent: &Metrics);
    /// An epoch, or the run, was evaluated on the test images.
    fn evaluated(&mut self, epoch: f64, test: &Metrics);
}

/// An observer that ignores everything.
impl Observer for () {
    fn steps(&mut self, _: u64, _: &Metrics) {}
    fn evaluated(&mut self, _: f64, _: &Metrics) {}
}

/// The result of a run, as `--json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// `gpu` or `cpu`.
    pub engine: &'static str,
    /// On what.
    pub adapter: String,
    /// What was minimised.
    pub objective: config::Objective,
    /// Steps done in all.
    pub steps: u64,
    /// The same in epochs.
    pub epochs: f64,
    /// Training images a second, evaluation not counted; null when nothing was trained.
    pub images_per_second: Option<f64>,
    /// Averages over the training images.
    pub train: Evaluated,
    /// Averages over the test images.
    pub test: Evaluated,
    /// True when Ctrl-C ended the run early.
    pub interrupted: bool,
}

/// Averages over a split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Evaluated {
    /// Loss terms.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Unbiased MMD^2 of z to N(0, I), over the first 10,000 images; null below two.
    pub mmd: Option<f64>,
}

/// Trains from the last checkpoint of `run` to the end, or until `stop` is set, and evaluates.
///
/// # Errors
/// [`Kind::Diverged`] when a loss term is no longer finite; whatever device and disk object to. The last
/// checkpoint stays loadable in every case.
pub fn train(
    run: &mut Run,
    device: &Device,
    dataset: &Dataset,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<(Session, Summary)> {
    let config = run.config.clone();
    let (model, optimizer) = run.last_checkpoint()?;
    let mut session = Session::new(device, &config, dataset, &model)?;
    session.restore(&optimizer)?;
    let mut progress = Progress {
        per_epoch: session.steps_per_epoch(),
        total: session.total_steps(),
        step: optimizer.progress.step,
        images: 0,
        busy: Duration::ZERO,
    };
    while progress.step < progress.total && !stop.load(Ordering::Relaxed) {
        train_epoch(run, &mut session, &mut progress, observer, stop)?;
        let test = session.evaluate(Split::Test)?;
        if !test.elbo.is_finite() {
            let (term, value, step) = ("ELBO of the test images", test.elbo, progress.step);
            return Err(Kind::Diverged { term, value, step }.into());
        }
        let line = Line::new("test", progress.step, progress.epoch(), test);
        run.log(&Line { images_per_second: progress.images_per_second(), ..line })?;
        // Last: what is logged but not saved is dropped and done again on resume.
        run.save(&mut session, progress.step, &about(&config, dataset))?;
        observer.evaluated(progress.epoch(), &test);
    }
    let summary = summary(&mut session, device.info(), &config, &progress)?;
    Ok((session, summary))
}

/// Where training stands.
struct Progress {
    per_epoch: u64,
    total: u64,
    step: u64,
    images: u64,
    busy: Duration,
}

impl Progress {
    fn epoch(&self) -> f64 {
        self.step as f64 / self.per_epoch as f64
    }

    fn images_per_second(&self) -> Option<f64> {
        (self.images > 0).then(|| self.images as f64 / self.busy.as_secs_f64())
    }
}

/// Runs to the end of the epoch. One submission is under way while the next is prepared.
fn train_epoch(
    run: &mut Run,
    session: &mut Session,
    progress: &mut Progress,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<()> {
    let end = progress.total.min((progress.step / progress.per_epoch + 1) * progress.per_epoch);
    let (likelihood, dimension) = (session.likelihood(), session.model().config.architecture.dimension);
    let mut submitted = progress.step;
    let mut under_way: Option<(Ticket, usize)> = None;
    let mut window = Sums::default();
    let mut most = 1;
    let mut since = Instant::now();
    loop {
        let left = (end - submitted).min(MOST_STEPS as u64) as usize;
        let count = if stop.load(Ordering::Relaxed) { 0 } else { left.min(most) };
        let next = match count {
            0 => None,
            _ => Some((session.submit(submitted, count)?, count)),
        };
        submitted += count as u64;
        if let Some((ticket, count)) = under_way {
            let sums = session.wait(ticket, count)?;
            let time = since.elapsed();
            since = Instant::now();
            most = ((SUBMISSION.as_secs_f64() / time.as_secs_f64() * count as f64) as usize)
                .clamp(1, MOST_STEPS);
            progress.busy += time;
            for step in &sums {
                if let Some((term, value)) = step.not_finite() {
                    return Err(Kind::Diverged { term, value, step: progress.step }.into());
                }
                progress.step += 1;
                progress.images += step.images as u64;
                window.add(step);
                if progress.step.is_multiple_of(run.config.log_every) || progress.step == end {
                    let metrics = window.metrics(likelihood, dimension);
                    run.log(&Line::new("train", progress.step, progress.epoch(), metrics))?;
                    window = Sums::default();
                }
            }
            let mut recent = Sums::default();
            sums.iter().for_each(|step| recent.add(step));
            observer.steps(progress.step, &recent.metrics(likelihood, dimension));
        }
        under_way = next;
        if under_way.is_none() {
            return Ok(());
        }
    }
}

/// Evaluates a model on both splits.
fn summary(session: &mut Session, info: &Info, config: &Config, progress: &Progress) -> Result<Summary> {
    let [train, test] = [Split::Train, Split::Test].map(|split| evaluate(session, split, config.latent));
    Ok(Summary {
        engine: info.engine,
        adapter: info.adapter.clone(),
        objective: config.objective,
        steps: progress.step,
        epochs: progress.epoch(),
        images_per_second: progress.images_per_second(),
        train: train?,
        test: test?,
        interrupted: progress.step < progress.total,
    })
}

/// Evaluates a trained model that is not trained further; `step` is how far it came.
pub fn evaluate_only(session: &mut Session, info: &Info, config: &Config, step: u64) -> Result<Summary> {
    let per_epoch = session.steps_per_epoch();
    let progress = Progress { per_epoch, total: step, step, images: 0, busy: Duration::ZERO };
    summary(session, info, config, &progress)
}

fn evaluate(session: &mut Session, split: Split, latent: usize) -> Result<Evaluated> {
    let metrics = session.evaluate(split)?;
    let codes = session.encode(split, MMD_IMAGES)?;
    Ok(Evaluated { metrics, mmd: mmd_to_prior(&codes.z, latent) })
}

/// What the model file says of itself.
fn about(config: &Config, dataset: &Dataset) -> About {
    About {
        height: dataset.train.height,
        width: dataset.train.width,
        likelihood: config.likelihood,
        sigma: config.sigma,
    }
}

/// The state before the first step.
pub fn initial_checkpoint(config: &Config, dataset: &Dataset) -> (checkpoint::Model, Optimizer) {
    let architecture = Architecture {
        dimension: dataset.train.dimension(),
        hidden: config.hidden.clone(),
        latent: config.latent,
    };
    let parameters = Parameters::initial(&architecture, config.seed);
    let zeros = parameters.zeros_like();
    let progress = checkpoint::Progress { seed: config.seed, step: 0 };
    let model = checkpoint::Model { architecture, parameters, about: Some(about(config, dataset)) };
    (model, Optimizer { m: zeros.clone(), v: zeros, progress })
}
