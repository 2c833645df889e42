//! The training loop, and the directory that a run leaves behind.

pub mod config;
pub mod decomposition;
pub mod importance;
pub mod metrics;
mod number;
pub mod objective;
pub mod run;
pub mod schedule;
pub mod session;

use crate::data::Dataset;
use crate::engine::{Counters, Device, MOST_STEPS, Ticket};
use crate::error::{Kind, Result};
use crate::model::LikelihoodName;
use config::Config;
use decomposition::{Decomposer, Decomposition};
use metrics::{LossSums, Metrics, Terms, mmd_to_prior};
use objective::ObjectiveName;
use run::{Code, LogLine, Run};
use serde::Serialize;
use session::{Session, Split, initial_state};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long one submission should keep the device busy: long enough that waiting for it costs nothing, short
/// enough for a smooth progress bar and far below any driver's watchdog.
const SUBMISSION: Duration = Duration::from_millis(50);

/// Images whose codes are compared with each other at the end, which takes a time that grows with their square.
const COMPARED: usize = 10_000;

/// Images that the parts of the KL are averaged over after each epoch.
const COMPARED_EACH_EPOCH: usize = 1_000;

/// Test images whose codes are logged after each epoch: the first of so many classes.
pub const FOLLOWED: usize = 6;

/// Hears of progress during training.
pub trait Observer {
    /// Steps were done; averages over the latest of them.
    fn steps(&mut self, done: u64, recent: &Metrics, terms: &Terms);
    /// An epoch, or the run, was evaluated on the test images.
    fn evaluated(&mut self, epoch: f64, test: &Metrics);
}

/// An observer that ignores everything.
impl Observer for () {
    fn steps(&mut self, _: u64, _: &Metrics, _: &Terms) {}
    fn evaluated(&mut self, _: f64, _: &Metrics) {}
}

/// The result of a run, as `--json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// `gpu` or `cpu`.
    pub engine: &'static str,
    /// On what.
    pub adapter: String,
    /// The objective that was minimised.
    pub objective: ObjectiveName,
    /// Standard deviation of a pixel, for the Gaussian likelihood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma: Option<f32>,
    /// Steps done in all.
    pub steps: u64,
    /// Passes over the training images.
    pub epochs: f64,
    /// Training images a second, evaluation not counted; null when nothing was trained.
    pub images_per_second: Option<f64>,
    /// The cost of handing the steps to the device, when any were done.
    #[serde(flatten)]
    pub submissions: Option<Submissions>,
    /// Averages over the training images.
    pub train: Evaluated,
    /// Averages over the test images.
    pub test: Evaluated,
    /// ln p(x) of the test images, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<importance::ImportanceEstimate>,
    /// True when Ctrl-C ended the run early.
    pub interrupted: bool,
}

/// The cost of handing training steps to the device.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Submissions {
    /// Steps that went together, on average.
    pub steps_per_submit: f64,
    /// Kernel calls of a step.
    pub dispatches_per_step: f64,
    /// Time of the host to encode a step; null on the CPU.
    pub host_microseconds_per_step: Option<f64>,
    /// Time of the driver to take it; null on the CPU.
    pub submit_microseconds_per_step: Option<f64>,
    /// How often the host waited for results.
    pub readbacks: u64,
}

impl Submissions {
    /// From what was counted; nothing if there was no step.
    pub fn new(counters: &Counters) -> Option<Self> {
        let steps = counters.steps as f64;
        let microseconds = |time: Duration| (!time.is_zero()).then(|| time.as_secs_f64() * 1e6 / steps);
        (counters.steps > 0).then(|| Self {
            steps_per_submit: steps / counters.submissions as f64,
            dispatches_per_step: counters.dispatches as f64 / steps,
            host_microseconds_per_step: microseconds(counters.encoding),
            submit_microseconds_per_step: microseconds(counters.submitting),
            readbacks: counters.readbacks,
        })
    }
}

/// Averages over a split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluated {
    /// Loss terms.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Unbiased MMD^2 of z to N(0, I), over the first 10,000 images; null below two.
    pub mmd: Option<f64>,
    /// How many images' codes `mmd` and the parts of the KL are about.
    pub codes: usize,
    /// The parts of the sampled KL, over these images.
    #[serde(flatten)]
    pub decomposition: Decomposition,
    /// KL of each latent dimension in nats, in closed form, over all images.
    pub kl_by_dimension: Vec<f64>,
}

impl Evaluated {
    /// Latent dimensions that say anything about the image.
    pub fn active_units(&self) -> usize {
        self.kl_by_dimension.iter().filter(|&&kl| kl > ACTIVE).count()
    }
}

/// KL in nats above which a latent dimension counts as used.
pub const ACTIVE: f64 = 0.01;

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
    config.check_length(dataset.train.len())?;
    let state = run.state()?;
    let mut session = Session::new(device, &config, dataset, &state)?;
    let mut progress = Standing {
        per_epoch: session.steps_per_epoch(),
        total: session.total_steps(),
        step: state.progress.step,
        images: 0,
        busy: Duration::ZERO,
        counters: Counters::default(),
    };
    let mut decomposer =
        Decomposer::new(device, COMPARED_EACH_EPOCH, dataset.test.len().min(COMPARED), config.latent)?;
    let followed = dataset.first_of_classes(FOLLOWED);
    while progress.step < progress.total && !stop.load(Ordering::Relaxed) {
        let before = session.counters();
        train_epoch(run, &mut session, &mut progress, observer, stop)?;
        progress.counters += session.counters() - before;
        let (test, codes) = session.evaluate(Split::Test)?;
        if !test.elbo.is_finite() {
            let (term, value, step) = ("ELBO of the test images", test.elbo, progress.step);
            return Err(Kind::Diverged { term, value, step }.into());
        }
        let parts = decomposer.run(&codes)?;
        run.log(&LogLine {
            terms: Terms {
                mmd: None,
                mutual_information: Some(parts.mutual_information),
                total_correlation: Some(parts.total_correlation),
                dimension_wise_kl: Some(parts.dimension_wise_kl),
            },
            kl_by_dimension: codes.kl_by_dimension(),
            followed: followed.iter().map(|&image| Code::of(image, &codes)).collect(),
            images_per_second: progress.images_per_second(),
            ..LogLine::new("test", progress.step, progress.epoch(), test)
        })?;
        // Last: what is logged but not saved is dropped and done again on resume.
        session.state(progress.step)?.write(&run.path)?;
        observer.evaluated(progress.epoch(), &test);
    }
    let summary = summary(&mut session, device, &config, &progress)?;
    Ok((session, summary))
}

/// Most steps of the probe of [`suggest_capacity`], and the part of them that is averaged over.
const PROBE_STEPS: u64 = 2000;
const PROBE_AVERAGED: u64 = 10;

/// Steps of the probe between two reports.
const PROBE_REPORT: u64 = 50;

/// The mean KL in nats that a model of these settings takes where nothing but the ELBO holds it back: how far up a
/// capacity can usefully go. Trains a model that is then forgotten; `progress` hears of steps done and of all.
///
/// # Errors
/// As [`train`].
pub fn suggest_capacity(
    device: &Device,
    config: &Config,
    dataset: &Dataset,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<f64> {
    let config = config.clone().with_objective(ObjectiveName::Vae);
    let mut session = Session::new(device, &config, dataset, &initial_state(&config, dataset))?;
    let total = PROBE_STEPS.min(session.total_steps());
    let averaged = (total / PROBE_AVERAGED).max(1) as usize;
    let mut kl = Vec::new();
    while (kl.len() as u64) < total {
        let done = kl.len() as u64;
        let metrics = session.train(done..total.min(done + PROBE_REPORT))?;
        kl.extend(metrics.iter().map(|metrics| metrics.kl));
        progress(kl.len() as u64, total);
    }
    let late = &kl[kl.len().saturating_sub(averaged)..];
    Ok(late.iter().sum::<f64>() / late.len() as f64)
}

/// Where training stands.
struct Standing {
    per_epoch: u64,
    total: u64,
    step: u64,
    images: u64,
    busy: Duration,
    counters: Counters,
}

impl Standing {
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
    progress: &mut Standing,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<()> {
    let end = progress.total.min((progress.step / progress.per_epoch + 1) * progress.per_epoch);
    let (term, latent) = (session.term(), session.model().config.architecture.latent);
    let mut submitted = progress.step;
    let mut under_way: Option<(Ticket, usize)> = None;
    let mut window = LossSums::default();
    let mut most = 1;
    let mut since = Instant::now();
    loop {
        let next = submit(session, submitted..end, most, run.config.log_every, stop)?;
        submitted += next.as_ref().map_or(0, |&(_, count)| count as u64);
        if let Some((ticket, count)) = under_way {
            let sums = session.wait(ticket, count)?;
            let time = since.elapsed();
            since = Instant::now();
            most = ((SUBMISSION.as_secs_f64() / time.as_secs_f64() * count as f64) as usize)
                .clamp(1, MOST_STEPS);
            progress.busy += time;
            for step in &sums {
                if let Some((term, value)) = step.not_finite(term) {
                    return Err(Kind::Diverged { term, value, step: progress.step }.into());
                }
                progress.step += 1;
                progress.images += step.images as u64;
                window.add(step);
                if progress.step.is_multiple_of(run.config.log_every) || progress.step == end {
                    let metrics = window.metrics();
                    let line = LogLine::new("train", progress.step, progress.epoch(), metrics);
                    run.log(&LogLine { terms: window.terms(term, latent), ..line })?;
                    window = LossSums::default();
                }
            }
            let mut recent = LossSums::default();
            sums.iter().for_each(|step| recent.add(step));
            let (metrics, terms) = (recent.metrics(), recent.terms(term, latent));
            observer.steps(progress.step, &metrics, &terms);
        }
        under_way = next;
        if under_way.is_none() {
            return Ok(());
        }
    }
}

/// Starts steps of `range`, at most `most` of them; or, where the settings fix how many go together, one submission
/// after the other up to the first logged step or the end of the rings. Gives how many, and their ticket.
fn submit(
    session: &mut Session,
    range: Range<u64>,
    most: usize,
    log_every: u64,
    stop: &AtomicBool,
) -> Result<Option<(Ticket, usize)>> {
    let fixed = session.settings().steps_per_submit;
    let size = fixed.unwrap_or(most);
    let left = (range.end - range.start).min(MOST_STEPS as u64) as usize;
    let mut count = 0;
    while count < left && !(count == 0 && stop.load(Ordering::Relaxed)) {
        let slots = count..left.min(count + size);
        let done = range.start + slots.end as u64;
        let full = slots.end + size > MOST_STEPS || slots.end == left;
        let logged = done / log_every > range.start / log_every;
        let last = fixed.is_none() || full || logged || stop.load(Ordering::Relaxed);
        count = slots.end;
        let ticket = session.submit_part(range.start, slots, last)?;
        if last {
            return Ok(Some((ticket, count)));
        }
    }
    Ok(None)
}

/// Evaluates a model on both splits.
fn summary(session: &mut Session, device: &Device, config: &Config, progress: &Standing) -> Result<Summary> {
    let [train, test] = [Split::Train, Split::Test].map(|split| evaluate(session, device, split));
    Ok(Summary {
        engine: device.info().engine,
        adapter: device.info().adapter.clone(),
        objective: config.objective,
        sigma: (config.likelihood == LikelihoodName::Gaussian).then(|| session.sigma()),
        steps: progress.step,
        epochs: progress.epoch(),
        images_per_second: progress.images_per_second(),
        submissions: Submissions::new(&progress.counters),
        train: train?,
        test: test?,
        likelihood: None,
        interrupted: progress.step < progress.total,
    })
}

/// Evaluates a trained model that is not trained further; `step` is how far it came.
pub fn evaluate_only(session: &mut Session, device: &Device, config: &Config, step: u64) -> Result<Summary> {
    let per_epoch = session.steps_per_epoch();
    let counters = Counters::default();
    let progress = Standing { per_epoch, total: step, step, images: 0, busy: Duration::ZERO, counters };
    summary(session, device, config, &progress)
}

fn evaluate(session: &mut Session, device: &Device, split: Split) -> Result<Evaluated> {
    let (metrics, mut codes) = session.evaluate(split)?;
    let kl_by_dimension = codes.kl_by_dimension();
    codes.truncate(COMPARED);
    let (count, latent) = (codes.len(), codes.latent);
    Ok(Evaluated {
        metrics,
        mmd: mmd_to_prior(&codes.z, latent),
        codes: count,
        decomposition: Decomposer::new(device, count, count, latent)?.run(&codes)?,
        kl_by_dimension,
    })
}
