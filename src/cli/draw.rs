//! `elbo draw`.

use super::device::engine_line;
use super::output::{note, result};
use super::source::{Opened, Source};
use clap::Args;
use elbo::error::{Error, Result};
use elbo::figure::{self, Figure};
use elbo::train::run::Run;
use std::path::{Path, PathBuf};

/// Draw pictures of a trained model
///
/// They go to RUN/pictures, or for a .safetensors file to the current directory.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo draw all runs/001
  elbo draw samples runs/001
  elbo draw scatter runs/vae --beside runs/mmd-vae
  elbo draw traversal runs/001 --seed-image 17
  elbo draw reconstructions model.safetensors --data path/to/mnist")]
pub(super) struct DrawArgs {
    /// Which picture
    figure: Figure,
    #[command(flatten)]
    source: Source,
    /// For the scatter: another run, whose codes of the same images are drawn beside
    #[arg(long, value_name = "RUN")]
    beside: Option<PathBuf>,
    /// For the traversal: the test image that it starts from, counted from 0 [default: 0]
    #[arg(long, value_name = "NUMBER")]
    seed_image: Option<usize>,
}

impl DrawArgs {
    pub(super) fn run(&self) -> Result<()> {
        if self.figure.needs_run() && self.source.run().is_none() {
            return Err(Error::usage("this picture is of what a run logged; a .safetensors file has no log"));
        }
        if self.beside.is_some() && self.figure != Figure::Scatter {
            return Err(Error::usage("--beside goes with the scatter: elbo draw scatter RUN --beside RUN"));
        }
        if self.seed_image.is_some() && self.figure != Figure::Traversal {
            return Err(Error::usage(
                "--seed-image goes with the traversal: elbo draw traversal RUN --seed-image 17",
            ));
        }
        let Opened { mut session, device, dataset, config, .. } = self.source.open()?;
        note(engine_line(device.info()));
        if let Some(beside) = &self.beside {
            let mut other = self.source.beside(beside).open()?;
            if other.dataset.name != dataset.name {
                return Err(Error::usage(format!(
                    "the two runs were trained on {} and {}; add --data to draw the same images with both",
                    dataset.name, other.dataset.name
                )));
            }
            let names = [&config, &other.config].map(|config| config.objective.to_string());
            let path = self.directory()?.join("scatter-beside.png");
            let models = [(&*names[0], &mut session), (&*names[1], &mut other.session)];
            figure::scatter_beside(&path, models, &dataset)?;
            result(path.display());
            return Ok(());
        }
        if let Some(image) = self.seed_image {
            let path = self.directory()?.join(format!("traversal-{image}.png"));
            figure::traversal_from(&path, &mut session, &dataset, image)?;
            result(path.display());
            return Ok(());
        }
        let files = match self.source.run() {
            Some(run) => figure::draw_run(self.figure, run, &mut session, &dataset)?,
            None => figure::draw(self.figure, Path::new("."), &mut session, &dataset, None)?,
        };
        files.iter().for_each(|file| result(file.display()));
        Ok(())
    }

    /// Where pictures with a name of their own go.
    fn directory(&self) -> Result<PathBuf> {
        self.source.run().map_or_else(|| Ok(PathBuf::new()), Run::pictures)
    }
}
