//! What to decode and how to lay it out, for each picture of a run.

mod curves;

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::picture::{Manifold, Row, Sheet, scatter};
use crate::train::config::Config;
use crate::train::run::{Line, Run};
use crate::train::session::{Session, Split};
use std::path::{Path, PathBuf};

/// A picture that `elbo draw` can draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Figure {
    /// Loss terms by step.
    Losses,
    /// Test images over their reconstructions.
    Reconstructions,
    /// Images decoded from draws of the prior.
    Samples,
    /// Images decoded over the latent plane; needs --latent 2.
    Manifold,
    /// Where the encoder puts the test images in the latent plane; needs --latent 2.
    Scatter,
    /// KL of each latent dimension by step, and at the end.
    Kl,
    /// Mutual information, total correlation and dimension-wise KL by step.
    Decomposition,
    /// Weights of the objective and learning rate by step; with a capacity, how well the KL keeps to it.
    Schedule,
    /// Each of them that applies.
    All,
}

/// What a picture needs besides a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// Two latent dimensions.
    Plane,
    /// What a run logged.
    Log,
}

impl Figure {
    const EACH: [Self; 8] = [
        Self::Losses,
        Self::Reconstructions,
        Self::Samples,
        Self::Manifold,
        Self::Scatter,
        Self::Kl,
        Self::Decomposition,
        Self::Schedule,
    ];

    fn file(self) -> &'static str {
        match self {
            Self::Losses => "losses.png",
            Self::Reconstructions => "reconstructions.png",
            Self::Samples => "samples.png",
            Self::Manifold => "manifold.png",
            Self::Scatter => "scatter.png",
            Self::Kl => "kl.png",
            Self::Decomposition => "decomposition.png",
            Self::Schedule => "schedule.png",
            Self::All => unreachable!("`all` is no file of its own"),
        }
    }

    fn needs(self) -> Needs {
        match self {
            Self::Losses | Self::Kl | Self::Decomposition | Self::Schedule => Needs::Log,
            Self::Manifold | Self::Scatter => Needs::Plane,
            Self::Reconstructions | Self::Samples | Self::All => Needs::Nothing,
        }
    }

    /// Whether it is drawn from what a run logged, which a model file has not.
    pub fn needs_run(self) -> bool {
        self.needs() == Needs::Log
    }
}

/// What a run says of itself.
#[derive(Clone, Copy)]
pub struct Log<'a> {
    /// Its settings.
    pub config: &'a Config,
    /// Its `metrics.jsonl`.
    pub lines: &'a [Line],
}

/// Pairs of rows in the picture of reconstructions, and images in each row.
const PAIRS: usize = 4;
const PAIR_COLUMNS: usize = 12;

/// Rows and columns of samples.
const SAMPLE_SIDE: usize = 10;

/// Columns and rows of the manifold, and how far out it goes, in standard deviations of the prior.
const MANIFOLD_SIDE: usize = 20;
const MANIFOLD_REACH: f64 = 3.0;

/// Points of the scatter.
const SCATTER_POINTS: usize = 10_000;

/// Draws a figure, or with [`Figure::All`] each that applies, into `directory`; returns the files.
///
/// `log` is there for a run; a model without one has none.
///
/// # Errors
/// A figure that does not apply was asked for by name; a file cannot be written.
pub fn draw(
    figure: Figure,
    directory: &Path,
    session: &mut Session,
    dataset: &Dataset,
    log: Option<Log<'_>>,
) -> Result<Vec<PathBuf>> {
    let latent = session.model().config.architecture.latent;
    let obstacle = |figure: Figure| match figure.needs() {
        Needs::Log if log.is_none() => Some("needs a run directory, which has what was logged".to_owned()),
        Needs::Plane if latent != 2 => {
            Some(format!("needs a model with --latent 2; this one has {latent} latent dimensions"))
        }
        _ => None,
    };
    if let Some(problem) = obstacle(figure) {
        return Err(Error::run(directory, format!("this picture {problem}")));
    }
    // A schedule that nothing changes is drawn only when asked for.
    let dull = |figure: Figure| {
        figure == Figure::Schedule && !log.is_some_and(|log| curves::has_schedule(log.config))
    };
    let figures: Vec<Figure> = match figure {
        Figure::All => {
            Figure::EACH.into_iter().filter(|&figure| obstacle(figure).is_none() && !dull(figure)).collect()
        }
        one => vec![one],
    };
    let mut files = Vec::new();
    for figure in figures {
        let path = directory.join(figure.file());
        match (figure, log) {
            (Figure::Reconstructions, _) => reconstructions(&path, session, dataset)?,
            (Figure::Samples, _) => samples(&path, session, dataset)?,
            (Figure::Manifold, _) => manifold(&path, session, dataset)?,
            (Figure::Scatter, _) => draw_scatter(&path, session, dataset)?,
            (Figure::Losses, Some(log)) => curves::losses(&path, session, dataset, log)?,
            (Figure::Kl, Some(log)) => curves::kl(&path, dataset, log)?,
            (Figure::Decomposition, Some(log)) => curves::decomposition(&path, dataset, log)?,
            (Figure::Schedule, Some(log)) => curves::schedule(&path, dataset, log)?,
            (Figure::All, _) => unreachable!("`all` was resolved above"),
            (_, None) => unreachable!("it was checked that there is a log"),
        }
        files.push(path);
    }
    Ok(files)
}

/// Draws all that applies into a run's own directory.
pub fn draw_run(
    figure: Figure,
    run: &Path,
    session: &mut Session,
    dataset: &Dataset,
) -> Result<Vec<PathBuf>> {
    let (config, lines) = (Run::config(run)?.complete(), Run::lines(run)?);
    draw(figure, &Run::pictures(run)?, session, dataset, Some(Log { config: &config, lines: &lines }))
}

fn reconstructions(path: &Path, session: &mut Session, dataset: &Dataset) -> Result<()> {
    let (test, latent) = (&dataset.test, session.model().config.architecture.latent);
    let count = (PAIRS * PAIR_COLUMNS).min(test.len());
    let means = session.encode(Split::Test, count)?.means;
    let decoded = session.decode(&means[..count * latent])?;
    let originals: Vec<Vec<f32>> =
        (0..count).map(|i| test.image(i).iter().map(|&p| f32::from(p) / 255.0).collect()).collect();
    let pairs = originals.chunks(PAIR_COLUMNS).zip(decoded.chunks(PAIR_COLUMNS));
    let rows = pairs
        .flat_map(|(original, decoded)| {
            [("original", original), ("VAE", decoded)]
                .map(|(label, images)| Row { label: label.into(), images: images.into() })
        })
        .collect();
    Sheet {
        title: format!("Test images of {} and what the VAE makes of them", dataset.name),
        rows,
        height: test.height,
        width: test.width,
        channels: 1,
        group: 2,
        caption: format!("{latent} latent dimensions; each image is decoded from the mean of its code"),
        ..Sheet::default()
    }
    .save(path)
}

fn samples(path: &Path, session: &mut Session, dataset: &Dataset) -> Result<()> {
    let images = session.sample(SAMPLE_SIDE * SAMPLE_SIDE)?;
    let row = |images: &[Vec<f32>]| Row { label: String::new(), images: images.into() };
    Sheet {
        title: format!("Images that the VAE invents after training on {}", dataset.name),
        rows: images.chunks(SAMPLE_SIDE).map(row).collect(),
        height: dataset.test.height,
        width: dataset.test.width,
        channels: 1,
        group: 0,
        caption: "Each is decoded from a draw of z from the prior N(0, I)".into(),
        ..Sheet::default()
    }
    .save(path)
}

fn manifold(path: &Path, session: &mut Session, dataset: &Dataset) -> Result<()> {
    let step = 2.0 * MANIFOLD_REACH / (MANIFOLD_SIDE - 1) as f64;
    let values: Vec<f64> = (0..MANIFOLD_SIDE).map(|i| -MANIFOLD_REACH + step * i as f64).collect();
    let z: Vec<f32> =
        values.iter().flat_map(|&z2| values.iter().flat_map(move |&z1| [z1 as f32, z2 as f32])).collect();
    Manifold {
        title: format!("The latent plane, decoded: {}", dataset.name),
        images: session.decode(&z)?,
        columns: values.clone(),
        rows: values,
        height: dataset.test.height,
        width: dataset.test.width,
        channels: 1,
        caption: "Each image is decoded from its place (z1, z2)".into(),
    }
    .save(path)
}

fn draw_scatter(path: &Path, session: &mut Session, dataset: &Dataset) -> Result<()> {
    let means = session.encode(Split::Test, SCATTER_POINTS)?.means;
    let points: Vec<[f32; 2]> = means.chunks_exact(2).map(|mean| [mean[0], mean[1]]).collect();
    let title = format!("Where the encoder puts the test images of {}", dataset.name);
    scatter(&title, &points, &dataset.test.labels[..points.len()], &dataset.classes, path)
}
