//! What a training run is: everything needed to repeat it.

use crate::engine::Choice;
use crate::error::{Error, Result};
use crate::kernel::latent::KlEstimate;
use crate::model::LikelihoodName;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// The settings of a run, as in its `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// `digits`, `sprites`, or a directory of IDX files.
    pub data: String,
    /// What is minimised.
    pub objective: Objective,
    /// p(x | z).
    pub likelihood: LikelihoodName,
    /// Standard deviation of a pixel, for the Gaussian likelihood.
    pub sigma: f32,
    /// How KL(q(z|x) || p(z)) is estimated.
    pub kl: KlName,
    /// Weight of the KL term, for `beta-vae`.
    pub beta: f32,
    /// M, latent dimensions.
    pub latent: usize,
    /// Widths of the encoder's hidden layers.
    pub hidden: Vec<usize>,
    /// How often each training image is seen.
    pub epochs: u64,
    /// Steps instead of epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Images a step.
    pub batch: usize,
    /// Adam's step size.
    pub learning_rate: f32,
    /// Key of all random numbers.
    pub seed: u64,
    /// Steps between two training lines of `metrics.jsonl`, each the average since the line before.
    pub log_every: u64,
    /// Which engine.
    pub engine: Choice,
    /// A part of the adapter's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
}

/// Units of the widest layer: far more than is of use, and no size computed from it overflows.
const WIDEST: usize = 1 << 16;

impl Default for Config {
    /// The lecture's model with two latent dimensions, which can be drawn, on built-in data.
    fn default() -> Self {
        Self {
            data: "digits".into(),
            objective: Objective::Vae,
            likelihood: LikelihoodName::Gaussian,
            sigma: 1.0,
            kl: KlName::Analytic,
            beta: 1.0,
            latent: 2,
            hidden: vec![300],
            epochs: 30,
            steps: None,
            batch: 128,
            learning_rate: 1e-3,
            seed: 0,
            log_every: 50,
            engine: Choice::Auto,
            adapter: None,
        }
    }
}

/// What is minimised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Reconstruction + KL: the negative ELBO.
    #[default]
    Vae,
    /// Reconstruction + beta KL (Higgins et al. 2017).
    BetaVae,
}

/// The name of a KL estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum KlName {
    /// The closed form for two Gaussians.
    #[default]
    Analytic,
    /// log q(z|x) - log p(z) at the sampled z, as in the lecture.
    Sampled,
}

impl From<KlName> for KlEstimate {
    fn from(name: KlName) -> Self {
        match name {
            KlName::Analytic => Self::Analytic,
            KlName::Sampled => Self::Sampled,
        }
    }
}

impl Config {
    /// Reads a configuration file; settings that it does not name keep their defaults.
    ///
    /// # Errors
    /// The file cannot be read, is no TOML, has an unknown setting, or one that cannot work.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path, "read"))?;
        let config: Self = toml::from_str(&text).map_err(|e| Error::data(path, problem(&text, &e)))?;
        config.check().map_err(|e| Error::data(path, e.to_string()))?;
        Ok(config)
    }

    /// The file's contents for [`Config::read`].
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self)
            .map_err(|e| Error::usage(format!("the settings cannot be written as TOML: {e}")))
    }

    /// Refuses settings that cannot work whatever the data.
    pub fn check(&self) -> Result<()> {
        let positive = |name: &str, value: f32| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(Error::usage(format!("--{name} is {value}; it must be a number above 0"))),
        };
        let at_most = |name: &str, value: usize| match value > WIDEST {
            true => {
                Err(Error::usage(format!("--{name} is {value}; a layer can have at most {WIDEST} units")))
            }
            false => Ok(()),
        };
        let at_least_one = |name: &str, value: u64, what: &str| match value {
            0 => Err(Error::usage(format!("--{name} is 0; {what}"))),
            _ => Ok(()),
        };
        at_least_one("latent", self.latent as u64, "the code needs at least 1 dimension")?;
        at_least_one("batch", self.batch as u64, "a step needs at least 1 image")?;
        at_least_one("epochs", self.epochs, "train for at least 1")?;
        at_least_one("log-every", self.log_every, "log every step with 1")?;
        at_least_one("steps", self.steps.unwrap_or(1), "train for at least 1")?;
        at_most("latent", self.latent)?;
        for &width in &self.hidden {
            at_most("hidden", width)?;
            at_least_one("hidden", width as u64, "a layer needs at least 1 unit")?;
        }
        positive("learning-rate", self.learning_rate)?;
        positive("sigma", self.sigma)?;
        if !self.beta.is_finite() || self.beta < 0.0 {
            return Err(Error::usage(format!("--beta is {}; it must be 0 or more", self.beta)));
        }
        if self.objective == Objective::Vae && self.beta != 1.0 {
            return Err(Error::usage(format!(
                "--beta {} has no effect on the objective vae; add --objective beta-vae",
                self.beta
            )));
        }
        Ok(())
    }
}

/// What is wrong with a file, in one sentence with the line; TOML's own message takes several lines.
fn problem(text: &str, error: &toml::de::Error) -> String {
    let mut message = error.message().replace('\n', ", ");
    for (rust, plain) in [("usize", "a whole number"), ("u64", "a whole number"), ("f32", "a number")] {
        message = message.replace(&format!("expected {rust}"), &format!("expected {plain}"));
    }
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else { return message };
    let number = before.matches('\n').count();
    let line = text.lines().nth(number).unwrap_or_default().trim();
    format!("line {}, `{line}`: {message}; correct the line or remove it", number + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_survives_its_file() {
        let config =
            Config { steps: Some(7), adapter: Some("lava".into()), hidden: vec![5, 6], ..Config::default() };
        let text = config.to_toml().expect("TOML");
        assert_eq!(toml::from_str::<Config>(&text).expect("its own TOML"), config);
    }

    #[test]
    fn impossible_settings_are_refused() {
        let with = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().expect_err("impossible").to_string()
        };
        assert!(with(|c| c.latent = 0).contains("--latent is 0"));
        assert!(with(|c| c.batch = 0).contains("--batch is 0"));
        assert!(with(|c| c.hidden = vec![3, 0]).contains("--hidden is 0"));
        assert!(with(|c| c.learning_rate = f32::NAN).contains("--learning-rate is NaN"));
        assert!(with(|c| c.sigma = 0.0).contains("--sigma is 0"));
        assert!(with(|c| c.beta = 4.0).contains("beta-vae"));
        Config::default().check().expect("the defaults");
    }
}
