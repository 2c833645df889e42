//! What to decode and how to lay it out, for each picture of a run.

use crate::data::Dataset;
use crate::error::Result;
use crate::kernel::reconstruction::Likelihood;
use crate::picture::{LossPoint, Manifold, Row, Sheet, losses, scatter};
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
    /// Each of them that applies.
    All,
}

impl Figure {
    const EACH: [Self; 5] =
        [Self::Losses, Self::Reconstructions, Self::Samples, Self::Manifold, Self::Scatter];

    fn file(self) -> &'static str {
        match self {
            Self::Losses => "losses.png",
            Self::Reconstructions => "reconstructions.png",
            Self::Samples => "samples.png",
            Self::Manifold => "manifold.png",
            Self::Scatter => "scatter.png",
            Self::All => unreachable!("`all` is no file of its own"),
        }
    }

    fn needs_plane(self) -> bool {
        matches!(self, Self::Manifold | Self::Scatter)
    }
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
/// `lines` is the run's `metrics.jsonl`, for the losses; a model without a run has none.
///
/// # Errors
/// A figure that does not apply was asked for by name; a file cannot be written.
pub fn draw(
    figure: Figure,
    directory: &Path,
    session: &mut Session,
    dataset: &Dataset,
    lines: Option<&[Line]>,
) -> Result<Vec<PathBuf>> {
    let latent = session.model().config.architecture.latent;
    let obstacle = |figure: Figure| match figure {
        Figure::Losses if lines.is_none() => Some("needs a run directory, which has the losses".to_owned()),
        _ if figure.needs_plane() && latent != 2 => {
            Some(format!("needs a model with --latent 2; this one has {latent} latent dimensions"))
        }
        _ => None,
    };
    if let Some(problem) = obstacle(figure) {
        return Err(crate::error::Error::run(directory, format!("this picture {problem}")));
    }
    let figures: Vec<Figure> = match figure {
        Figure::All => Figure::EACH.into_iter().filter(|&f| obstacle(f).is_none()).collect(),
        one => vec![one],
    };
    let mut files = Vec::new();
    for figure in figures {
        let path = directory.join(figure.file());
        match figure {
            Figure::Losses => draw_losses(&path, session, dataset, lines.unwrap_or_default())?,
            Figure::Reconstructions => reconstructions(&path, session, dataset)?,
            Figure::Samples => samples(&path, session, dataset)?,
            Figure::Manifold => manifold(&path, session, dataset)?,
            Figure::Scatter => draw_scatter(&path, session, dataset)?,
            Figure::All => unreachable!("`all` was resolved above"),
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
    draw(figure, &Run::pictures(run)?, session, dataset, Some(&Run::lines(run)?))
}

fn draw_losses(path: &Path, session: &Session, dataset: &Dataset, lines: &[Line]) -> Result<()> {
    let constant = session.likelihood().constant(session.model().config.architecture.dimension);
    let points = |split: &str| -> Vec<LossPoint> {
        lines
            .iter()
            .filter(|line| line.split == split)
            .map(|line| LossPoint {
                step: line.step as f64,
                reconstruction: line.metrics.reconstruction - constant,
                kl: line.metrics.kl,
            })
            .collect()
    };
    let name = match session.likelihood() {
        Likelihood::Gaussian { .. } => "squared error / 2σ²",
        Likelihood::Bernoulli => "cross-entropy",
    };
    let title = format!("Training a VAE on {}", dataset.name);
    losses(&title, name, &points("train"), &points("test"), path)
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
