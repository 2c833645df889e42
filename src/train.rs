//! The training loop, and the directory that a run leaves behind.

pub mod annealed;
pub mod config;
pub mod decomposition;
pub mod factors;
pub mod importance;
pub mod metrics;
mod number;
pub mod objective;
pub mod run;
pub mod schedule;
pub mod session;
mod tensorboard;
pub mod words;

use crate::checkpoint::{Best, Fingerprint, State};
use crate::data::Dataset;
use crate::engine::{Counters, Device, MOST_STEPS, Ticket};
use crate::error::{Error, Kind, Result};
use crate::model::LikelihoodName;
use config::Config;
use decomposition::{Decomposer, Decomposition};
use metrics::{LossSums, Metrics, Terms, mmd_to_prior};
use objective::{Objective, ObjectiveName};
use run::{Code, LogLine, Run, Scheduled};
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

/// Images that the parts of the KL are averaged over after each epoch: a random choice, the same each time.
const COMPARED_EACH_EPOCH: usize = 1_000;

/// Test images whose codes are logged after each epoch: the first of so many classes.
pub const FOLLOWED: usize = 6;

/// Hears of progress during training.
pub trait Observer {
    /// Steps were done; averages over the latest of them.
    fn steps(&mut self, done: u64, recent: &Metrics, terms: &Terms);
    /// An epoch was evaluated on the test images, and on the validation images where there are any.
    fn evaluated(&mut self, epoch: f64, test: &Metrics, validation: Option<&Metrics>);
    /// Something that a user should know, in one sentence.
    fn warning(&mut self, sentence: &str);
}

/// An observer that ignores everything.
impl Observer for () {
    fn steps(&mut self, _: u64, _: &Metrics, _: &Terms) {}
    fn evaluated(&mut self, _: f64, _: &Metrics, _: Option<&Metrics>) {}
    fn warning(&mut self, _: &str) {}
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
    /// With validation images: the epoch with the best ELBO on them. The averages below are of its weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// Averages over the training images.
    pub train: Evaluated,
    /// Averages over the validation images, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Evaluated>,
    /// Averages over the test images.
    pub test: Evaluated,
    /// ln p(x) of the test images, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<importance::ImportanceEstimate>,
    /// The same by annealed importance sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ais: Option<annealed::AnnealedEstimate>,
    /// How well the latents keep the data's factors apart, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disentanglement: Option<factors::Disentanglement>,
    /// True when the validation images ended the run early.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stopped_early: bool,
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
    /// Unbiased MMD^2 of z to N(0, I), over all images or a random choice of 10,000; null below two.
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

/// Trains from the last checkpoint of `run` to the end, or until `stop` is set, and evaluates: the best epoch on the
/// validation images, or the last one without them.
///
/// # Errors
/// [`Kind::Diverged`] when a loss term is no longer finite; [`Kind::Run`] when the run was trained on other images;
/// whatever device and disk object to. The last checkpoint stays loadable in every case.
pub fn train(
    run: &mut Run,
    device: &Device,
    dataset: &Dataset,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<(Session, Summary)> {
    let config = run.config.clone();
    config.check_length(dataset.train.len())?;
    let mut state = run.state()?;
    state.prune(&run.path)?;
    state.progress.data = Some(check_data(run, &state, dataset, &mut |sentence| observer.warning(sentence))?);
    let mut session = Session::new(device, &config, dataset, &state)?;
    let mut progress = Standing {
        per_epoch: session.steps_per_epoch(),
        total: session.total_steps(),
        step: state.progress.step,
        images: 0,
        busy: Duration::ZERO,
        counters: Counters::default(),
        stopped: false,
    };
    if progress.step < progress.total {
        run.start_events(progress.step)?;
    }
    let mut decomposer =
        Decomposer::new(device, COMPARED_EACH_EPOCH, dataset.test.len().min(COMPARED), config.latent)?;
    let followed = dataset.first_of_classes(FOLLOWED);
    let mut judged = false;
    while progress.step < progress.total && !stop.load(Ordering::Relaxed) && !progress.is_stalled(&session) {
        let before = session.counters();
        train_epoch(run, &mut session, &mut progress, observer, stop)?;
        progress.counters += session.counters() - before;
        let validation = validate(run, &mut session, &progress)?;
        let line = test(run, &mut session, &progress, &mut decomposer, &followed)?;
        // Last: what is logged but not saved is dropped and done again on resume.
        let state = session.state(progress.step)?;
        run.save(&state)?;
        run.log_weights(&state)?;
        observer.evaluated(progress.epoch(), &line.metrics, validation.as_ref());
        if !std::mem::replace(&mut judged, true) {
            learns_nothing(&session, &state, &line).iter().for_each(|sentence| observer.warning(sentence));
        }
    }
    progress.stopped = stop.load(Ordering::Relaxed) && progress.step < progress.total;
    if session.best().is_some_and(|best| best.step != progress.step) {
        session.load(&State::read_best(&run.path)?)?;
    }
    let summary = summary(&mut session, device, &config, &progress)?;
    Ok((session, summary))
}

/// The fingerprint of the data; `tell` hears if the run has none to compare it with.
///
/// # Errors
/// [`Kind::Run`] when the images are others than those that the run was trained on so far.
pub fn check_data(
    run: &Run,
    state: &State,
    dataset: &Dataset,
    tell: &mut dyn FnMut(&str),
) -> Result<Fingerprint> {
    let found = Fingerprint::of(dataset);
    match &state.progress.data {
        Some(known) if !known.same_images(&found) => {
            let problem = format!(
                "was trained on {known}, but the images are now {found}; give it the old ones again, or train a new run"
            );
            return Err(Error::run(&run.path, problem));
        }
        Some(_) => {}
        None => tell(&format!(
            "{}: does not say which images it was trained on, as runs of earlier versions do not; it goes on with {found}",
            run.path.display()
        )),
    }
    Ok(found)
}

/// Evaluates the validation images, if there are any: logs it, and remembers the epoch if it is the best so far.
fn validate(run: &mut Run, session: &mut Session, progress: &Standing) -> Result<Option<Metrics>> {
    if session.model().validation.is_none() {
        return Ok(None);
    }
    let (metrics, codes) = session.evaluate(Split::Validation)?;
    let terms = session.terms_of(&codes.choice(COMPARED_EACH_EPOCH, session.settings().seed));
    run.log(&progress.line("validation", session, metrics, terms))?;
    if metrics.elbo.is_finite() && session.best().is_none_or(|best| metrics.elbo > best.elbo) {
        session.set_best(Best { elbo: metrics.elbo, epoch: progress.epoch(), step: progress.step });
    }
    Ok(Some(metrics))
}

/// Evaluates the test images, and logs it.
fn test(
    run: &mut Run,
    session: &mut Session,
    progress: &Standing,
    decomposer: &mut Decomposer,
    followed: &[usize],
) -> Result<LogLine> {
    let (metrics, codes) = session.evaluate(Split::Test)?;
    if !metrics.elbo.is_finite() {
        let (term, value, step) = ("ELBO of the test images", metrics.elbo, progress.step);
        return Err(Kind::Diverged { term, value, step }.into());
    }
    let chosen = codes.choice(COMPARED, session.settings().seed);
    let parts = decomposer.run(&chosen)?;
    let few = codes.choice(COMPARED_EACH_EPOCH, session.settings().seed);
    let terms = Terms {
        mutual_information: Some(parts.mutual_information),
        total_correlation: Some(parts.total_correlation),
        dimension_wise_kl: Some(parts.dimension_wise_kl),
        ..session.terms_of(&few)
    };
    let line = LogLine {
        codes: Some(few.len()),
        decomposition: Some(parts),
        kl_by_dimension: codes.kl_by_dimension(),
        followed: followed.iter().map(|&image| Code::of(image, &codes)).collect(),
        images_per_second: progress.images_per_second(),
        ..progress.line("test", session, metrics, terms)
    };
    run.log(&line)?;
    Ok(line)
}

/// What says after an epoch that a run learns nothing.
fn learns_nothing(session: &Session, state: &State, line: &LogLine) -> Vec<String> {
    let mut sentences = Vec::new();
    let Scheduled { beta, lambda, gamma, capacity, .. } = line.scheduled;
    let weights = [("beta", beta), ("lambda", lambda), ("gamma", gamma)];
    let weights = weights.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let named = weights.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(name, _)| format!("--{name}"));
    if state.v.0.iter().flatten().any(|moment| !moment.is_finite()) {
        let advice = named.clone().unwrap_or_else(|| "--learning-rate".into());
        sentences.push(format!(
            "the squared gradient is too large for f32, so that Adam leaves weights as they are and nothing is learned; \
             use a smaller {advice}"
        ));
    }
    // A capacity that starts at 0 allows nothing yet.
    let allowed = !matches!(session.objective(), Objective::Capacity { .. })
        || capacity.is_some_and(|capacity| capacity > UNINFORMATIVE);
    let information = line.terms.mutual_information.unwrap_or(f64::NAN);
    if allowed && (information.is_nan() || information < UNINFORMATIVE) {
        let advice = match named {
            Some(option) => format!("use a smaller {option}"),
            None => "look at the data, or use a larger --learning-rate".into(),
        };
        sentences.push(format!(
            "after epoch {:.1} the code says nothing of the image ({:.2} nats), so that pictures will be all \
             alike; if that stays so, {advice}",
            line.epoch,
            information.max(0.0)
        ));
    }
    sentences
}

/// Mutual information in nats below which a code is called uninformative.
pub const UNINFORMATIVE: f64 = 0.1;

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
    /// Whether it was told to stop.
    stopped: bool,
}

impl Standing {
    /// A line of the log with the loss and what changes with the step.
    fn line(&self, split: &str, session: &Session, metrics: Metrics, terms: Terms) -> LogLine {
        let last = self.step.saturating_sub(1);
        let objective = session.objective();
        LogLine {
            loss: objective.loss(objective.weights(last, self.total), &metrics, &terms),
            terms,
            scheduled: Scheduled::at(session.settings(), last, self.total),
            ..LogLine::new(split, self.step, self.epoch(), metrics)
        }
    }

    /// Whether early stopping ends the run here.
    fn is_stalled(&self, session: &Session) -> bool {
        let patience = session.settings().early_stopping;
        patience.zip(session.best()).is_some_and(|(patience, best)| {
            self.step.saturating_sub(best.step) >= patience.saturating_mul(self.per_epoch)
        })
    }

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
    // Of the steps of the window: the loss, and how many.
    let mut losses = (0.0, 0.0);
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
                let weights = session.objective().weights(progress.step, progress.total);
                let loss = session.objective().loss(weights, &step.metrics(), &step.terms(term, latent));
                losses = (losses.0 + loss.unwrap_or(f64::NAN), losses.1 + 1.0);
                progress.step += 1;
                progress.images += step.images as u64;
                window.add(step);
                if progress.step.is_multiple_of(run.config.log_every) || progress.step == end {
                    let (metrics, terms) = (window.metrics(), window.terms(term, latent));
                    let line = progress.line("train", session, metrics, terms);
                    run.log(&LogLine { loss: Some(losses.0 / losses.1), ..line })?;
                    (window, losses) = (LossSums::default(), (0.0, 0.0));
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
    let validation =
        session.model().validation.is_some().then(|| evaluate(session, device, Split::Validation));
    Ok(Summary {
        engine: device.info().engine,
        adapter: device.info().adapter.clone(),
        objective: config.objective,
        sigma: (config.likelihood == LikelihoodName::Gaussian).then(|| session.sigma()),
        steps: progress.step,
        epochs: progress.epoch(),
        images_per_second: progress.images_per_second(),
        submissions: Submissions::new(&progress.counters),
        best: session.best(),
        train: train?,
        validation: validation.transpose()?,
        test: test?,
        likelihood: None,
        ais: None,
        disentanglement: None,
        stopped_early: progress.step < progress.total && !progress.stopped,
        interrupted: progress.stopped,
    })
}

/// Evaluates a trained model that is not trained further; `step` is how far it came.
pub fn evaluate_only(session: &mut Session, device: &Device, config: &Config, step: u64) -> Result<Summary> {
    let per_epoch = session.steps_per_epoch();
    let counters = Counters::default();
    let progress =
        Standing { per_epoch, total: step, step, images: 0, busy: Duration::ZERO, counters, stopped: false };
    summary(session, device, config, &progress)
}

fn evaluate(session: &mut Session, device: &Device, split: Split) -> Result<Evaluated> {
    let (metrics, mut codes) = session.evaluate(split)?;
    let kl_by_dimension = codes.kl_by_dimension();
    if codes.len() > COMPARED {
        codes = codes.choice(COMPARED, session.settings().seed);
    }
    let (count, latent) = (codes.len(), codes.latent);
    Ok(Evaluated {
        metrics,
        mmd: mmd_to_prior(&codes.z, latent),
        codes: count,
        decomposition: Decomposer::new(device, count, count, latent)?.run(&codes)?,
        kl_by_dimension,
    })
}
