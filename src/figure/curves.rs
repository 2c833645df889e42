//! Pictures of numbers by step: what a run logged, and what its settings asked for.

use super::RunLog;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::kernel::reconstruction::Likelihood;
use crate::picture::{Chart, Latents, Panel, Series, Style};
use crate::train::ACTIVE;
use crate::train::config::Config;
use crate::train::objective::ObjectiveName;
use crate::train::run::LogLine;
use crate::train::schedule::Schedule;
use crate::train::session::Session;
use std::path::Path;

/// The horizontal axis of all of them.
const STEP: &str = "step";

/// How far the mean KL may be from the capacity, in nats: Burgess's own rule.
const TOLERANCE: f64 = 1.0;

/// Points of a schedule's curve.
const POINTS: u64 = 400;

pub(super) fn losses(path: &Path, session: &Session, dataset: &Dataset, log: RunLog<'_>) -> Result<()> {
    let fixed = session.model().adaptive.is_none();
    let constant = match fixed {
        true => session.likelihood().constant(session.model().config.architecture.dimension()),
        // It changes with sigma.
        false => 0.0,
    };
    if log.lines.is_empty() {
        return Err(Error::usage("no losses to draw: the run has not finished a step yet"));
    }
    let panel = |name: &str, floor: Option<f64>, term: &dyn Fn(&LogLine) -> f64| {
        let train = averages(log, term);
        let test = lines(log, "test").map(|line| [line.step as f64, term(line)]).collect();
        let series = vec![
            Series { name: "training".into(), points: train, style: Style::Line },
            Series { name: "test".into(), points: test, style: Style::Marked },
        ];
        Panel { x: "training step".into(), y: name.into(), series, floor, cut: true, ..Panel::default() }
    };
    let name = match session.likelihood() {
        Likelihood::Gaussian { .. } if fixed => "squared error / 2σ²",
        Likelihood::Gaussian { .. } => "-ln p(x|z)",
        Likelihood::Bernoulli => "cross-entropy",
    };
    let mut panels = vec![
        panel(name, None, &|line| line.metrics.reconstruction - constant),
        panel("KL divergence from the prior (nats per image)", Some(0.0), &|line| line.metrics.kl),
    ];
    // A deterministic code has no density, and no bound.
    if !log.config.deterministic {
        panels.insert(0, panel("ELBO (nats per image)", None, &|line| line.metrics.elbo));
    }
    Chart { title: format!("Training a VAE on {}", dataset.name), panels, ..Chart::default() }.save(path)
}

/// A term of training by step. The lines of a run are averages over the steps since the one before; those of few steps, at
/// the ends of epochs, scatter more, and are joined with the next.
fn averages(log: RunLog<'_>, term: &dyn Fn(&LogLine) -> f64) -> Vec<[f64; 2]> {
    let ends = std::iter::once(0).chain(lines(log, "train").map(|line| line.step));
    let spans: Vec<(u64, &LogLine)> = ends
        .zip(lines(log, "train"))
        .map(|(before, line)| (line.step.saturating_sub(before), line))
        .collect();
    let usual = spans.iter().map(|(steps, _)| *steps).max().unwrap_or(0);
    let (mut points, mut sum, mut steps, mut last) = (Vec::new(), 0.0, 0, (0.0, 0));
    for (own, line) in spans {
        sum += own as f64 * term(line);
        steps += own;
        if 2 * steps > usual {
            points.push([line.step as f64, sum / steps as f64]);
            last = (sum, steps);
            (sum, steps) = (0.0, 0);
        }
    }
    // A short rest belongs to the last point.
    if let (Some(point), Some(line), 1..) = (points.last_mut(), lines(log, "train").last(), steps) {
        *point = [line.step as f64, (last.0 + sum) / (last.1 + steps) as f64];
    }
    points
}

/// The KL of each latent dimension.
pub(super) fn kl(path: &Path, _: &Session, dataset: &Dataset, log: RunLog<'_>) -> Result<()> {
    let known = || lines(log, "test").filter(|line| !line.kl_by_dimension.is_empty());
    let dimensions = known().map(|line| line.kl_by_dimension.len()).max().unwrap_or(0);
    Latents {
        title: format!("What each latent dimension says of the test images of {}", dataset.name),
        steps: known().map(|line| line.step as f64).collect(),
        kl: (0..dimensions).map(|j| known().map(|line| line.kl_by_dimension[j]).collect()).collect(),
        threshold: ACTIVE,
        caption: "KL(q(z_j|x), p(z_j)) in nats, averaged over the test images".into(),
    }
    .save(path)
}

/// The parts of the KL.
pub(super) fn decomposition(path: &Path, _: &Session, dataset: &Dataset, log: RunLog<'_>) -> Result<()> {
    let series = |name: &str, style: Style, value: fn(&LogLine) -> Option<f64>| Series {
        name: name.into(),
        points: lines(log, "test").filter_map(|line| Some([line.step as f64, value(line)?])).collect(),
        style,
    };
    let panel = Panel {
        x: STEP.into(),
        y: "nats per image".into(),
        series: vec![
            series("mutual information I(x; z)", Style::Stacked, |line| line.terms.mutual_information),
            series("total correlation", Style::Stacked, |line| line.terms.total_correlation),
            series("dimension-wise KL", Style::Stacked, |line| line.terms.dimension_wise_kl),
            series("KL", Style::Dashed, |line| Some(line.metrics.kl)),
        ],
        floor: Some(0.0),
        ..Panel::default()
    };
    Chart {
        title: format!("What the KL of the codes consists of: test images of {}", dataset.name),
        panels: vec![panel],
        columns: 1,
        caption: "With one sampled z an image, the three parts add to the sampled KL".into(),
    }
    .save(path)
}

/// The settings that change with the step; with a capacity, how well the KL keeps to it.
pub(super) fn schedule(path: &Path, _: &Session, dataset: &Dataset, log: RunLog<'_>) -> Result<()> {
    let config = log.config;
    let total = config.total_steps(dataset.train.len());
    let mut panels = Vec::new();
    if config.objective == ObjectiveName::Capacity {
        panels.extend(gauge(log, total).into_iter().flatten());
    }
    // The capacity has panels of its own.
    let settings = config.schedules().into_iter().filter(|(name, _)| *name != "capacity");
    let settings: Vec<_> = settings.filter_map(|(name, schedule)| Some((name, schedule?))).collect();
    let one = |&(name, schedule): &(&str, &Schedule)| {
        let points = steps(total).map(|step| [step as f64, schedule.at(step, total)]).collect();
        let series = vec![Series { points, ..Series::default() }];
        Panel { x: STEP.into(), y: name.replace('-', " "), series, floor: Some(0.0), ..Panel::default() }
    };
    let changes = |(_, schedule): &&(&str, &Schedule)| !matches!(schedule, Schedule::Constant(_));
    panels.extend(settings.iter().filter(changes).map(one));
    if panels.is_empty() {
        panels.extend(settings.iter().map(one));
    }
    Chart {
        title: format!("Schedules of training on {}", dataset.name),
        panels,
        columns: 1,
        caption: String::new(),
    }
    .save(path)
}

/// The mean KL of the batches beside the capacity, and the distance between the two.
fn gauge(log: RunLog<'_>, total: u64) -> Option<[Panel; 2]> {
    let capacity = log.config.capacity.as_ref()?;
    // A line is an average over the steps since the one before it: the capacity in their middle belongs to
    // it.
    let ends = std::iter::once(0).chain(lines(log, "train").map(|line| line.step));
    let middles: Vec<(u64, f64)> = ends
        .zip(lines(log, "train"))
        .map(|(before, line)| ((before + line.step.max(1) - 1) / 2, line.metrics.kl))
        .collect();
    let curve = |value: &dyn Fn(u64, f64) -> f64| -> Vec<[f64; 2]> {
        middles.iter().map(|&(step, kl)| [step as f64, value(step, kl)]).collect()
    };
    let panel =
        |y: &str, series| Panel { x: STEP.into(), y: y.into(), series, floor: Some(0.0), ..Panel::default() };
    let ribbon = Series {
        name: "capacity C ± 1 nat".into(),
        points: steps(total).map(|step| [step as f64, capacity.at(step, total)]).collect(),
        style: Style::Ribbon(TOLERANCE),
    };
    let kl = Series { name: "mean KL of the batches".into(), points: curve(&|_, kl| kl), style: Style::Line };
    let distance = Series {
        name: "|KL - C|".into(),
        points: curve(&|step, kl| (kl - capacity.at(step, total)).abs()),
        style: Style::Line,
    };
    Some([panel("nats per image", vec![ribbon, kl]), panel("nats", vec![distance])])
}

/// Steps all along a run, its last one included.
fn steps(total: u64) -> impl Iterator<Item = u64> {
    let last = total.saturating_sub(1);
    (0..=POINTS.min(last)).map(move |i| last * i / POINTS.min(last).max(1))
}

/// The lines of one split.
fn lines<'a>(log: RunLog<'a>, split: &'static str) -> impl Iterator<Item = &'a LogLine> {
    log.lines.iter().filter(move |line| line.split == split)
}

/// Whether anything about the weights is worth a picture.
pub(super) fn has_schedule(config: &Config) -> bool {
    config.objective != ObjectiveName::Vae || !matches!(config.learning_rate, Schedule::Constant(_))
}
