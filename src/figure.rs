//! The pictures of a run: what is decoded for each, and how it is laid out.

mod curves;
mod images;
mod plane;

pub use images::traversal_from;
pub use plane::scatter_beside;

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::train::config::Config;
use crate::train::run::{LogLine, Run};
use crate::train::session::Session;
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
    /// A few images, their codes as ellipses in the latent plane, samples of them and what these are decoded
    /// to; of a run also an animation of the codes during training. Needs --latent 2.
    Story,
    /// From one test image to another, along the line between their codes.
    Interpolation,
    /// What each latent dimension does to an image (Burgess et al. 2018, figure 4).
    Traversal,
    /// What each latent dimension tells of each known factor of the data.
    Factors,
    /// KL of each latent dimension by step, and at the end.
    Kl,
    /// Mutual information, total correlation and dimension-wise KL by step.
    Decomposition,
    /// Weights of the objective and learning rate by step; with a capacity, how well the KL keeps to it.
    Schedule,
    /// Each of them that applies.
    All,
}

/// The function that draws a figure into a file, by what it is drawn from.
#[derive(Clone, Copy)]
enum Drawing {
    Model(fn(&Path, &mut Session, &Dataset) -> Result<()>),
    /// A model, and at least two test images.
    Pairs(fn(&Path, &mut Session, &Dataset) -> Result<()>),
    /// A model of data with known factors.
    Known(fn(&Path, &mut Session, &Dataset) -> Result<()>),
    /// A model with two latent dimensions.
    Plane(fn(&Path, &mut Session, &Dataset) -> Result<()>),
    Log(fn(&Path, &Session, &Dataset, RunLog<'_>) -> Result<()>),
}

/// Beside the story.
const ANIMATION: &str = "story.gif";

/// All figures but [`Figure::All`], with their files.
const FIGURES: &[(Figure, &str, Drawing)] = &[
    (Figure::Losses, "losses.png", Drawing::Log(curves::losses)),
    (Figure::Reconstructions, "reconstructions.png", Drawing::Model(images::reconstructions)),
    (Figure::Samples, "samples.png", Drawing::Model(images::samples)),
    (Figure::Manifold, "manifold.png", Drawing::Plane(plane::manifold)),
    (Figure::Scatter, "scatter.png", Drawing::Plane(plane::scatter)),
    (Figure::Story, "story.png", Drawing::Plane(plane::story)),
    (Figure::Interpolation, "interpolation.png", Drawing::Pairs(images::interpolation)),
    (Figure::Traversal, "traversal.png", Drawing::Model(images::traversal)),
    (Figure::Factors, "factors.png", Drawing::Known(images::factors)),
    (Figure::Kl, "kl.png", Drawing::Log(curves::kl)),
    (Figure::Decomposition, "decomposition.png", Drawing::Log(curves::decomposition)),
    (Figure::Schedule, "schedule.png", Drawing::Log(curves::schedule)),
];

impl Figure {
    /// Whether it is drawn from what a run logged, which a model file has not.
    pub fn needs_run(self) -> bool {
        FIGURES.iter().any(|&(figure, _, drawing)| figure == self && matches!(drawing, Drawing::Log(_)))
    }
}

/// A run's settings and log.
#[derive(Clone, Copy)]
pub struct RunLog<'a> {
    /// Its settings.
    pub config: &'a Config,
    /// Its `metrics.jsonl`.
    pub lines: &'a [LogLine],
}

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
    log: Option<RunLog<'_>>,
) -> Result<Vec<PathBuf>> {
    let latent = session.model().config.architecture.latent;
    let is_table = dataset.columns.is_some();
    let mut files = Vec::new();
    for &(one, file, drawing) in FIGURES.iter().filter(|row| [row.0, Figure::All].contains(&figure)) {
        let path = directory.join(file);
        match (drawing, log) {
            // A schedule that nothing changes is drawn only when asked for.
            (Drawing::Log(_), Some(log))
                if figure == Figure::All && one == Figure::Schedule && !curves::has_schedule(log.config) =>
            {
                continue;
            }
            (Drawing::Log(draw), Some(log)) => draw(&path, session, dataset, log)?,
            (Drawing::Model(_) | Drawing::Pairs(_) | Drawing::Plane(_), _)
                if is_table && one != Figure::Scatter =>
            {
                if figure == Figure::All {
                    continue;
                }
                let problem = "this picture is of images, but the model learned from a table; draw scatter, losses or kl";
                return Err(Error::run(directory, problem));
            }
            (Drawing::Model(draw), _) => draw(&path, session, dataset)?,
            (Drawing::Pairs(draw), _) if dataset.test.len() > 1 => draw(&path, session, dataset)?,
            (Drawing::Known(draw), _) if dataset.test.factors.is_some() && latent > 1 => {
                match draw(&path, session, dataset) {
                    // Codes that say nothing may allow no estimate.
                    Err(_) if figure == Figure::All => continue,
                    drawn => drawn?,
                }
            }
            (Drawing::Plane(draw), _) if latent == 2 => draw(&path, session, dataset)?,
            _ if figure == Figure::All => continue,
            (Drawing::Log(_), None) => {
                let problem = "this picture needs a run directory, which has what was logged";
                return Err(Error::run(directory, problem));
            }
            (Drawing::Pairs(_), _) => {
                let problem = "this picture needs two test images, but there is only one";
                return Err(Error::run(directory, problem));
            }
            (Drawing::Known(_), _) => {
                let problem =
                    "this picture needs data with known factors, such as sprites, and two latent dimensions";
                return Err(Error::run(directory, problem));
            }
            (Drawing::Plane(_), _) => {
                let problem = format!(
                    "this picture needs a model with --latent 2; this one has {latent} latent dimensions"
                );
                return Err(Error::run(directory, problem));
            }
        }
        files.push(path);
        // The codes that a run logged are those of its own data.
        let own = log.filter(|log| log.config.data == session.settings().data);
        if let (Figure::Story, Some(log)) = (one, own) {
            let animation = directory.join(ANIMATION);
            files.extend(plane::animation(&animation, dataset, log)?.map(|()| animation));
        }
    }
    Ok(files)
}

/// Draws a figure of a run, or with [`Figure::All`] each that applies, into `directory`, such as [`Run::pictures`].
///
/// # Errors
/// As [`draw`]; the run's settings or its log cannot be read.
pub fn draw_run(
    figure: Figure,
    run: &Path,
    directory: &Path,
    session: &mut Session,
    dataset: &Dataset,
) -> Result<Vec<PathBuf>> {
    let (config, lines) = (Run::config(run)?.complete(), Run::lines(run)?);
    draw(figure, directory, session, dataset, Some(RunLog { config: &config, lines: &lines }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_figure_has_a_row() {
        let rows: Vec<Figure> = FIGURES.iter().map(|row| row.0).chain([Figure::All]).collect();
        assert_eq!(rows, Figure::value_variants());
        let files: Vec<&str> = FIGURES.iter().map(|row| row.1).chain([ANIMATION]).collect();
        assert_eq!(files, crate::train::run::PICTURES_OF_RUNS, "what --force removes");
    }
}
