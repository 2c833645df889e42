//! `elbo draw`.

use super::device::engine_line;
use super::output::{note, result};
use super::source::{Opened, Source};
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Args, Command, ValueEnum};
use elbo::error::{Error, Result};
use elbo::figure::{self, Figure};
use elbo::train::run::Run;
use std::ffi::OsStr;
use std::path::PathBuf;

/// The picture that is drawn if none is named.
const ALL: &str = "all";

/// Draw pictures of a trained model
///
/// They go to RUN/pictures, or for a .safetensors file to the current directory. The picture may also be named before the
/// run.
#[derive(Args)]
#[command(after_help = "Examples:
  elbo draw runs/001                      all that apply
  elbo draw runs/001 samples
  elbo draw runs/vae scatter --beside runs/mmd-vae
  elbo draw runs/001 traversal --seed-image 17
  elbo draw runs/001 --out pictures
  elbo draw model.safetensors reconstructions --data path/to/mnist")]
pub(super) struct DrawArgs {
    #[command(flatten)]
    source: Source,
    /// Which picture
    #[arg(default_value = ALL, value_parser = FigureName)]
    figure: String,
    /// Directory for the pictures, instead of RUN/pictures or, for a .safetensors file, the current one
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// For the scatter: another run, whose codes of the same images are drawn beside
    #[arg(long, value_name = "RUN", help_heading = "Output")]
    beside: Option<PathBuf>,
    /// For the traversal: the test image that it starts from, counted from 0 [default: 0]
    #[arg(long, value_name = "NUMBER", help_heading = "Output")]
    seed_image: Option<usize>,
}

impl DrawArgs {
    pub(super) fn run(&self) -> Result<()> {
        let (figure, source) = self.asked()?;
        if figure.needs_run() && source.run().is_none() {
            return Err(Error::usage("this picture is of what a run logged; a .safetensors file has no log"));
        }
        if self.beside.is_some() && figure != Figure::Scatter {
            return Err(Error::usage("--beside goes with the scatter: elbo draw RUN scatter --beside RUN"));
        }
        if self.seed_image.is_some() && figure != Figure::Traversal {
            return Err(Error::usage(
                "--seed-image goes with the traversal: elbo draw RUN traversal --seed-image 17",
            ));
        }
        let Opened { mut session, device, dataset, config, .. } = source.open()?;
        note(engine_line(device.info()));
        if let Some(beside) = &self.beside {
            let mut other = source.beside(beside).open()?;
            if other.dataset.name != dataset.name {
                return Err(Error::usage(format!(
                    "the two runs were trained on {} and {}; add --data to draw the same images with both",
                    dataset.name, other.dataset.name
                )));
            }
            let names = [&config, &other.config].map(|config| config.objective.to_string());
            let path = self.directory(&source)?.join("scatter-beside.png");
            let models = [(&*names[0], &mut session), (&*names[1], &mut other.session)];
            figure::scatter_beside(&path, models, &dataset)?;
            result(path.display());
            return Ok(());
        }
        if let Some(image) = self.seed_image {
            let path = self.directory(&source)?.join(format!("traversal-{image}.png"));
            figure::traversal_from(&path, &mut session, &dataset, image)?;
            result(path.display());
            return Ok(());
        }
        let directory = self.directory(&source)?;
        let files = match source.run() {
            Some(run) => figure::draw_run(figure, run, &directory, &mut session, &dataset)?,
            None => figure::draw(figure, &directory, &mut session, &dataset, None)?,
        };
        files.iter().for_each(|file| result(file.display()));
        Ok(())
    }

    /// The picture and the model, in either order.
    fn asked(&self) -> Result<(Figure, Source)> {
        let named = |name: &str| Figure::from_str(name, false).ok();
        if let Some(figure) = named(&self.figure) {
            // `elbo draw samples`, without a run.
            if figure == Figure::All
                && self.source.path.to_str().is_some_and(|path| named(path).is_some())
                && !self.source.path.exists()
            {
                return Err(Error::usage(format!(
                    "{0} is a picture; name a run, too, such as: elbo draw runs/001 {0}",
                    self.source.path.display()
                )));
            }
            return Ok((figure, self.source.clone()));
        }
        match self.source.path.to_str().and_then(named) {
            Some(figure) => {
                let mut source = self.source.clone();
                source.path = self.figure.clone().into();
                Ok((figure, source))
            }
            None => {
                let names: Vec<String> = Figure::value_variants()
                    .iter()
                    .filter_map(ValueEnum::to_possible_value)
                    .map(|value| value.get_name().to_owned())
                    .collect();
                Err(Error::usage(format!(
                    "no picture is called {}; choose one of {}",
                    self.figure,
                    names.join(", ")
                )))
            }
        }
    }

    /// Where pictures go.
    fn directory(&self, source: &Source) -> Result<PathBuf> {
        match (&self.out, source.run()) {
            (Some(out), _) => {
                std::fs::create_dir_all(out).map_err(Error::io(out, "create"))?;
                Ok(out.clone())
            }
            (None, Some(run)) => Run::pictures(run),
            (None, None) => Ok(PathBuf::from(".")),
        }
    }
}

/// The name of a picture, or whatever else stands there.
#[derive(Clone)]
struct FigureName;

impl TypedValueParser for FigureName {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> std::result::Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Figure::value_variants().iter().filter_map(ValueEnum::to_possible_value)))
    }
}
