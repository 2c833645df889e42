//! What to decode and how to lay it out, for each picture of a run.

mod curves;
mod images;
mod plane;

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
    /// A few images, their codes as ellipses in the latent plane, samples of them and what these are decoded to; of
    /// a run also an animation of the codes during training. Needs --latent 2.
    Story,
    /// From one test image to another, along the line between their codes.
    Interpolation,
    /// What each latent dimension does to an image (Burgess et al. 2018, figure 4).
    Traversal,
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
    const EACH: [Self; 11] = [
        Self::Losses,
        Self::Reconstructions,
        Self::Samples,
        Self::Manifold,
        Self::Scatter,
        Self::Story,
        Self::Interpolation,
        Self::Traversal,
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
            Self::Story => "story.png",
            Self::Interpolation => "interpolation.png",
            Self::Traversal => "traversal.png",
            Self::Kl => "kl.png",
            Self::Decomposition => "decomposition.png",
            Self::Schedule => "schedule.png",
            Self::All => unreachable!("`all` is no file of its own"),
        }
    }

    fn needs(self) -> Needs {
        match self {
            Self::Losses | Self::Kl | Self::Decomposition | Self::Schedule => Needs::Log,
            Self::Manifold | Self::Scatter | Self::Story => Needs::Plane,
            Self::Reconstructions | Self::Samples | Self::Interpolation | Self::Traversal | Self::All => {
                Needs::Nothing
            }
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
            (Figure::Reconstructions, _) => images::reconstructions(&path, session, dataset)?,
            (Figure::Samples, _) => images::samples(&path, session, dataset)?,
            (Figure::Manifold, _) => plane::manifold(&path, session, dataset)?,
            (Figure::Scatter, _) => plane::scatter(&path, session, dataset)?,
            (Figure::Story, _) => plane::story(&path, session, dataset)?,
            (Figure::Interpolation, _) => images::interpolation(&path, session, dataset)?,
            (Figure::Traversal, _) => images::traversal(&path, session, dataset)?,
            (Figure::Losses, Some(log)) => curves::losses(&path, session, dataset, log)?,
            (Figure::Kl, Some(log)) => curves::kl(&path, dataset, log)?,
            (Figure::Decomposition, Some(log)) => curves::decomposition(&path, dataset, log)?,
            (Figure::Schedule, Some(log)) => curves::schedule(&path, dataset, log)?,
            (Figure::All, _) => unreachable!("`all` was resolved above"),
            (_, None) => unreachable!("it was checked that there is a log"),
        }
        files.push(path);
        // The codes that a run logged are those of its own data.
        let own = log.filter(|log| log.config.data == session.settings().data);
        if let (Figure::Story, Some(log)) = (figure, own) {
            let animation = directory.join("story.gif");
            files.extend(plane::animation(&animation, dataset, log)?.map(|()| animation));
        }
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
