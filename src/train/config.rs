//! What a training run is: everything needed to repeat it.

use super::objective::{MmdName, Objective, TcName};
use super::schedule::Schedule;
use crate::data::{self, Dataset};
use crate::engine::{Choice, MOST_STEPS};
use crate::error::{Error, Result};
use crate::kernel::backward_weights::Adam;
use crate::kernel::latent::KlEstimate;
use crate::kernel::sigma::Mode;
use crate::model::LikelihoodName;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

/// The settings of a run, as in its `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// `digits`, `sprites`, `sprites:colour`, a file of NumPy's, or a directory of IDX files.
    pub data: String,
    /// Make every pixel black or white, once, at random by its grey level.
    pub binarise: bool,
    /// What is minimised.
    pub objective: Objective,
    /// p(x | z).
    pub likelihood: LikelihoodName,
    /// Standard deviation of a pixel, for the Gaussian likelihood.
    pub sigma: Sigma,
    /// How KL(q(z|x) || p(z)) is estimated.
    pub kl: KlName,
    /// Weight of the KL term for `beta-vae`, of the total correlation for `tc-vae`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta: Option<Schedule>,
    /// Weight of the MMD for `mmd-vae`; `info-vae` weights it with alpha + lambda - 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda: Option<Schedule>,
    /// `info-vae` weights the KL term with 1 - alpha.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// What the mean KL is held at by `capacity`, in nats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Schedule>,
    /// Weight of the distance between the mean KL and the capacity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma: Option<Schedule>,
    /// How the MMD between z and the prior is estimated in training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mmd: Option<MmdName>,
    /// sigma of its kernel exp(-|a - b|^2 / (2 sigma^2)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mmd_bandwidth: Option<f64>,
    /// How `tc-vae` estimates q(z) from a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tc: Option<TcName>,
    /// No noise in the encoder: z = mu.
    pub deterministic: bool,
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
    pub learning_rate: Schedule,
    /// Key of all random numbers.
    pub seed: u64,
    /// Steps between two training lines of `metrics.jsonl`, each the average since the line before.
    pub log_every: u64,
    /// Steps of one submission to the device; without it as many as fill a fixed time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps_per_submit: Option<usize>,
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
            binarise: false,
            objective: Objective::Vae,
            likelihood: LikelihoodName::Gaussian,
            sigma: Sigma::Fixed(1.0),
            kl: KlName::Analytic,
            beta: None,
            lambda: None,
            alpha: None,
            capacity: None,
            gamma: None,
            mmd: None,
            mmd_bandwidth: None,
            tc: None,
            deterministic: false,
            latent: 2,
            hidden: vec![300],
            epochs: 30,
            steps: None,
            batch: 128,
            learning_rate: Schedule::Constant(1e-3),
            seed: 0,
            log_every: 50,
            steps_per_submit: None,
            engine: Choice::Auto,
            adapter: None,
        }
    }
}

/// The standard deviation of a pixel in the Gaussian likelihood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sigma {
    /// A number.
    Fixed(f32),
    /// A parameter like any other, with Adam; it starts at 1.
    Learned,
    /// In each step, what makes the batch most likely: the root mean squared error (Rybkin et al. 2021).
    Optimal,
}

impl Sigma {
    /// The value at the start.
    pub fn initial(self) -> f32 {
        match self {
            Self::Fixed(sigma) => sigma,
            Self::Learned | Self::Optimal => 1.0,
        }
    }

    /// How it changes, if it does.
    pub fn mode(self) -> Option<Mode> {
        match self {
            Self::Fixed(_) => None,
            Self::Learned => Some(Mode::Learned(Adam::default())),
            Self::Optimal => Some(Mode::Optimal),
        }
    }
}

impl fmt::Display for Sigma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(sigma) => write!(f, "{sigma}"),
            Self::Learned => f.write_str("learned"),
            Self::Optimal => f.write_str("optimal"),
        }
    }
}

impl FromStr for Sigma {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "learned" => Ok(Self::Learned),
            "optimal" => Ok(Self::Optimal),
            number => number.parse().map(Self::Fixed).map_err(|_| {
                Error::usage(format!("`{text}` is no sigma; give a number, learned or optimal"))
            }),
        }
    }
}

impl From<f64> for Sigma {
    fn from(sigma: f64) -> Self {
        Self::Fixed(sigma as f32)
    }
}

/// A number stays a number; the rest is text.
impl Serialize for Sigma {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(sigma) => serializer.serialize_f32(*sigma),
            name => serializer.collect_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for Sigma {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        super::number::or_text(deserializer, "a number, learned or optimal")
    }
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

    /// The data set that the settings name.
    pub fn dataset(&self) -> Result<Dataset> {
        let mut dataset = data::load(&self.data, self.seed)?;
        if self.binarise {
            dataset.binarise(self.seed)?;
        }
        Ok(dataset)
    }

    /// Steps in which every one of `images` training images is seen once; what is left over waits for the next
    /// shuffle.
    pub fn steps_per_epoch(&self, images: usize) -> u64 {
        (images / self.batch) as u64
    }

    /// Steps of the whole run.
    pub fn total_steps(&self, images: usize) -> u64 {
        self.steps.unwrap_or(self.epochs.saturating_mul(self.steps_per_epoch(images)))
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
        match self.steps_per_submit {
            Some(steps) if !(1..=MOST_STEPS).contains(&steps) => {
                return Err(Error::usage(format!(
                    "--steps-per-submit is {steps}; a submission has 1 to {MOST_STEPS} steps"
                )));
            }
            _ => {}
        }
        at_most("latent", self.latent)?;
        for &width in &self.hidden {
            at_most("hidden", width)?;
            at_least_one("hidden", width as u64, "a layer needs at least 1 unit")?;
        }
        match self.sigma {
            Sigma::Fixed(sigma) => positive("sigma", sigma)?,
            adaptive if self.likelihood != LikelihoodName::Gaussian => {
                return Err(Error::usage(format!(
                    "--sigma {adaptive} needs a sigma; use it with --likelihood gaussian, or leave it out"
                )));
            }
            Sigma::Learned | Sigma::Optimal => {}
        }
        self.learning_rate.check_not_negative("learning-rate")?;
        if self.learning_rate.is_always(0.0) {
            return Err(Error::usage("--learning-rate is 0; it must be above 0 somewhere"));
        }
        let schedules = [
            ("beta", &self.beta),
            ("lambda", &self.lambda),
            ("capacity", &self.capacity),
            ("gamma", &self.gamma),
        ];
        for (option, schedule) in schedules {
            schedule.as_ref().map_or(Ok(()), |schedule| schedule.check_not_negative(option))?;
        }
        if let Some(sigma) = self.mmd_bandwidth {
            positive("mmd-bandwidth", sigma as f32)?;
        }
        if self.alpha.is_some_and(|alpha| !alpha.is_finite()) {
            return Err(Error::usage("--alpha must be a number"));
        }
        let batch_terms = matches!(self.objective, Objective::MmdVae | Objective::InfoVae | Objective::TcVae);
        if batch_terms && self.batch < 2 {
            return Err(Error::usage(format!(
                "--batch 1 gives --objective {} no pairs of codes to compare; use at least 2",
                self.objective
            )));
        }
        self.check_used()?;
        self.check_signs()?;
        // With epochs, the number of steps depends on the data.
        self.steps.map_or(Ok(()), |steps| self.check_schedules(steps))
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
        assert!(with(|c| c.learning_rate = 0.0.into()).contains("--learning-rate is 0"));
        assert!(with(|c| c.steps_per_submit = Some(257)).contains("--steps-per-submit is 257"));
        assert!(with(|c| c.sigma = Sigma::Fixed(0.0)).contains("--sigma is 0"));
        assert!(with(|c| c.beta = Some(4.0.into())).contains("--objective beta-vae or --objective tc-vae"));
        Config::default().check().expect("the defaults");
    }
}
