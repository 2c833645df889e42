//! A trained model named on the command line: a run directory, or a `.safetensors` file.

use super::device::{DeviceOptions, open};
use super::output::note;
use clap::Args;
use elbo::checkpoint::{self, State};
use elbo::data::Dataset;
use elbo::data::standard::IN_MEMORY;
use elbo::engine::{Choice, Device};
use elbo::error::{Error, Result};
use elbo::model::{Architecture, LikelihoodName};
use elbo::train::config::{Config, DATA, PixelSigma};
use elbo::train::run::Run;
use elbo::train::session::Session;
use std::path::{Path, PathBuf};

/// Arguments of the commands that use a trained model.
#[derive(Args, Clone)]
pub(super) struct Source {
    /// A run directory, or a .safetensors file
    #[arg(value_name = "RUN")]
    pub(super) path: PathBuf,
    /// Data to use instead of what the run was trained on; required for a .safetensors file
    #[arg(long, value_name = DATA, help_heading = "Data")]
    data: Option<String>,
    /// p(x|z), for a .safetensors file that does not say
    #[arg(long, help_heading = "Data", hide_short_help = true)]
    likelihood: Option<LikelihoodName>,
    #[command(flatten)]
    device: DeviceOptions,
}

/// A model, loaded.
pub(super) struct Opened {
    pub(super) session: Session,
    pub(super) device: Device,
    pub(super) config: Config,
    pub(super) dataset: Dataset,
    /// Steps that it was trained for.
    pub(super) step: u64,
}

/// Says which file is read because a run says so, which somebody else may have made.
pub(super) fn note_of_data(config: &Config) {
    if !elbo::data::is_built_in(&config.data) {
        note(format_args!("note: reads {}, as the run's config.toml says", config.data));
    }
}

impl Source {
    /// A run directory, with all else as it was trained.
    pub(super) fn of_run(path: &Path, engine: Choice, adapter: Option<String>) -> Self {
        Self { path: path.into(), data: None, likelihood: None, device: DeviceOptions { engine, adapter } }
    }

    /// Another run, on the same data and engine.
    pub(super) fn beside(&self, path: &Path) -> Self {
        let DeviceOptions { engine, adapter } = &self.device;
        Self { data: self.data.clone(), ..Self::of_run(path, *engine, adapter.clone()) }
    }

    /// The run directory, if that is what was named.
    pub(super) fn run(&self) -> Option<&Path> {
        (!self.is_file()).then_some(&self.path)
    }

    fn is_file(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "safetensors")
    }

    /// Loads model and data onto the device.
    pub(super) fn open(&self) -> Result<Opened> {
        self.open_with(true)
    }

    /// The same where no image of the data is looked at, so that data which another program had in its memory are not missed.
    pub(super) fn open_model(&self) -> Result<Opened> {
        self.open_with(false)
    }

    fn open_with(&self, data: bool) -> Result<Opened> {
        self.device.check()?;
        let (state, mut config, mut dataset) =
            if self.is_file() { self.read_file()? } else { self.read_run(data)? };
        if let Some(likelihood) = self.likelihood {
            config.likelihood = likelihood;
        }
        dataset.standardise_as(state.about.as_ref().and_then(|about| about.columns.as_ref()))?;
        dataset.notes.iter().for_each(note);
        // No training step will be taken, so the batch may be whatever fits, and no new images are drawn.
        config.batch = config.batch.min(dataset.train.len());
        config.fresh = false;
        let device = open(self.device.engine, self.device.adapter.as_deref(), false)?;
        let session = Session::new(&device, &config, &dataset, &state)?;
        Ok(Opened { session, device, config, dataset, step: state.progress.step })
    }

    fn read_run(&self, data: bool) -> Result<(State, Config, Dataset)> {
        checkpoint::last(&self.path)?;
        let mut config = Run::config(&self.path)?;
        let state = State::read_best(&self.path)?;
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        if let (IN_MEMORY, Some(about)) = (&config.data[..], &state.about) {
            if data {
                let problem =
                    "learned from an array in the memory of another program; give a file with --data";
                return Err(Error::run(&self.path, problem));
            }
            let size = [about.height, about.width, about.channels];
            let dataset = Dataset::placeholder(size, about.columns.clone());
            return Ok((state, config, dataset));
        }
        if self.data.is_none() {
            note_of_data(&config);
        }
        let dataset = config.dataset()?;
        Ok((state, config, dataset))
    }

    fn read_file(&self) -> Result<(State, Config, Dataset)> {
        let Some(data) = self.data.clone() else {
            return Err(Error::usage(
                "a .safetensors file does not say what data it belongs to; add --data digits, sprites or PATH",
            ));
        };
        let config = Config { data, ..Config::default() };
        let dataset = config.dataset()?;
        let tell = &mut |sentence| note(format_args!("note: {sentence}"));
        let state = State::read_model(&self.path, Some(dataset.train.grid()), tell)?;
        let Architecture { hidden, latent, .. } = &state.architecture;
        let mut config = Config { latent: *latent, ..config }.with_layers(hidden.clone());
        if let Some(about) = &state.about {
            (config.likelihood, config.sigma) = (about.likelihood, PixelSigma::Fixed(about.sigma));
        }
        Ok((state, config, dataset))
    }
}
