//! A trained model named on the command line: a run directory, or a `.safetensors` file.

use super::train::{DATA, check_adapter, open};
use crate::checkpoint::{self, MODEL_FILE, Model, OPTIMIZER_FILE};
use crate::data::Dataset;
use crate::engine::{Choice, Device};
use crate::error::{Error, Result};
use crate::model::LikelihoodName;
use crate::train::config::{Config, Sigma};
use crate::train::session::Session;
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of the commands that use a trained model.
#[derive(Args)]
pub(super) struct Source {
    /// A run directory, or a .safetensors file
    #[arg(value_name = "RUN")]
    pub(super) path: PathBuf,
    /// Data to use instead of what the run was trained on; required for a .safetensors file
    #[arg(long, value_name = DATA)]
    data: Option<String>,
    /// p(x|z), for a .safetensors file that does not say
    #[arg(long)]
    likelihood: Option<LikelihoodName>,
    /// Engine: a hardware GPU if there is one, any GPU adapter, or the CPU
    #[arg(long, default_value = "auto")]
    engine: Choice,
    /// Part of the GPU adapter's name
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
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

impl Source {
    /// A run directory, with all else as it was trained.
    pub(super) fn of_run(path: &Path, engine: Choice, adapter: Option<String>) -> Self {
        Self { path: path.into(), data: None, likelihood: None, engine, adapter }
    }

    /// Another run, on the same data and engine.
    pub(super) fn beside(&self, path: &Path) -> Self {
        let Self { data, engine, adapter, .. } = self;
        Self { data: data.clone(), ..Self::of_run(path, *engine, adapter.clone()) }
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
        check_adapter(self.engine, self.adapter.as_deref())?;
        let (model, mut config, step) = if self.is_file() { self.read_file()? } else { self.read_run()? };
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        if let Some(likelihood) = self.likelihood {
            config.likelihood = likelihood;
        }
        let dataset = config.dataset()?;
        // No training step will be taken, so the batch may be whatever fits.
        config.batch = config.batch.min(dataset.train.len());
        let device = open(self.engine, self.adapter.as_deref(), false)?;
        let session = Session::new(&device, &config, &dataset, &model)?;
        Ok(Opened { session, device, config, dataset, step })
    }

    fn read_run(&self) -> Result<(Model, Config, u64)> {
        let directory = checkpoint::last(&self.path)?;
        let config = Config::read(&self.path.join("config.toml"))?;
        let model = checkpoint::load_model(&directory.join(MODEL_FILE))?;
        let optimizer = checkpoint::load_optimizer(&directory.join(OPTIMIZER_FILE), &model.architecture)?;
        Ok((model, config, optimizer.progress.step))
    }

    fn read_file(&self) -> Result<(Model, Config, u64)> {
        if self.data.is_none() {
            return Err(Error::usage(
                "a .safetensors file does not say what data it belongs to; add --data digits, sprites or PATH",
            ));
        }
        let model = checkpoint::load_model(&self.path)?;
        let mut config = Config {
            hidden: model.architecture.hidden.clone(),
            latent: model.architecture.latent,
            ..Config::default()
        };
        if let Some(about) = &model.about {
            (config.likelihood, config.sigma) = (about.likelihood, Sigma::Fixed(about.sigma));
        }
        Ok((model, config, 0))
    }
}
