//! The settings of a training run: everything needed to repeat it.

use super::objective::{MmdEstimate, MmdOptions, Objective, ObjectiveName, TcEstimate};
use super::schedule::{Ramp, Schedule};
use crate::data::scale::Range;
use crate::data::{self, Dataset};
use crate::engine::{Choice, MOST_STEPS};
use crate::error::{Error, Result, readable};
use crate::kernel::backward_weights::Adam;
use crate::kernel::latent::KlEstimate;
use crate::kernel::sigma::Mode;
use crate::model::{Layers, LikelihoodName, WIDEST};
use clap::ValueEnum;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

/// The values of `--data`, in help texts.
pub const DATA: &str = "digits|sprites|sprites:colour|PATH|table:PATH";

/// Settings of the literature, by name: files of `presets`.
pub const PRESETS: [(&str, &str); 6] = [
    ("lecture-mnist", include_str!("../../presets/lecture-mnist.toml")),
    ("burgess-sprites", include_str!("../../presets/burgess-sprites.toml")),
    ("burgess-sprites-short", include_str!("../../presets/burgess-sprites-short.toml")),
    ("burgess-colour", include_str!("../../presets/burgess-colour.toml")),
    ("burgess-colour-short", include_str!("../../presets/burgess-colour-short.toml")),
    ("higgins-dsprites", include_str!("../../presets/higgins-dsprites.toml")),
];

/// The least and the largest sigma and bandwidth: their squares and the inverses of these are 32-bit numbers.
const WIDTHS: [f64; 2] = [1e-15, 1e15];

/// Longest file of settings, in bytes.
const LONGEST: u64 = 1 << 20;

/// Default of --beta with `beta-vae`: Higgins et al. (2017) for dSprites.
const BETA: f64 = 4.0;

/// Default of --beta with `tc-vae`: Chen et al. (2018).
const TC_BETA: f64 = 6.0;

/// Default of --lambda for each latent dimension.
const LAMBDA_PER_LATENT: f64 = 50.0;

/// Default of --capacity: from 0 to 25 nats over the run, as Burgess et al. (2018) for dSprites.
const CAPACITY: Schedule = Schedule::Linear(Ramp { from: 0.0, to: 25.0, steps: None });

/// Default of --gamma.
const GAMMA: f64 = 100.0;

/// The settings of a run: the keys of its `config.toml`, and the options of the command line that change them.
///
/// A field is an option: its documentation is the help text, and [`clap::FromArgMatches::update_from_arg_matches`]
/// leaves alone what was not given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Built-in data, a .npz, .npy or IDX file of images, a directory of MNIST's files, a folder of PNG or JPEG images, or a
    /// table [default: digits]
    ///
    /// Images in a .npz file are its `imgs`, of shape (N, H, W), (N, H, W, 3), (N, 3, H, W) or flat, in bytes, words of
    /// 16 bits or numbers in 0..1; the names and shapes of dSprites' file are understood, and those of Keras' mnist.npz
    /// and of MedMNIST. In folders, subfolders are classes; DIR:colour keeps colours. Tables are .csv,
    /// .tsv or .txt files, or rows of numbers in another file, table:FILE.npy: each column is standardised. Where there
    /// is no part for tests, a tenth of the images, chosen by --seed, is kept for them.
    #[arg(long, value_name = DATA, help_heading = "Data")]
    pub data: String,
    /// Values of black and white, for images of numbers that are neither bytes nor within 0..1, such as 0,4095
    #[arg(
        long,
        value_name = "LOW,HIGH",
        allow_negative_numbers = true,
        help_heading = "Data",
        hide_short_help = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<Range>,
    /// Make every pixel black or white, once, at random by its grey level: the "static" MNIST of likelihood tables
    #[arg(long, help_heading = "Data", hide_short_help = true)]
    pub binarise: bool,
    /// New sprites in each training step, from the whole grid of factors, instead of 20,000 again and again
    #[arg(long, help_heading = "Data", hide_short_help = true)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
    /// What is minimised [default: vae]
    #[arg(long, help_heading = "Objective")]
    pub objective: ObjectiveName,
    /// p(x|z): N(x | x_hat, sigma^2 I), or independent Bernoulli pixels [default: gaussian]
    #[arg(long, help_heading = "Model")]
    pub likelihood: LikelihoodName,
    /// Standard deviation of a pixel in the Gaussian likelihood: a number; learned with the weights; or optimal, the
    /// root mean squared error of each batch [default: 1]
    #[arg(
        long,
        value_name = "NUMBER|learned|optimal",
        allow_negative_numbers = true,
        help_heading = "Model",
        hide_short_help = true
    )]
    pub sigma: PixelSigma,
    /// KL(q(z|x) || p(z)): in closed form, or log q - log p at the one sampled z [default: analytic]
    #[arg(long, help_heading = "Objective", hide_short_help = true)]
    pub kl: KlName,
    /// Weight of the KL term of beta-vae [default: 4], of the total correlation of tc-vae [default: 6]
    #[arg(long, value_name = "SCHEDULE", allow_negative_numbers = true, help_heading = "Objective")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta: Option<Schedule>,
    /// Weight of the MMD of mmd-vae and info-vae, in nats. Too low and the encoder's noise vanishes; too high and
    /// the code says nothing of the image [default: 50 for each latent dimension]
    #[arg(
        long,
        value_name = "SCHEDULE",
        allow_negative_numbers = true,
        help_heading = "Objective",
        hide_short_help = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda: Option<Schedule>,
    /// info-vae weights the KL with 1 - alpha and the MMD with alpha + lambda - 1 [default: 0]
    #[arg(long, allow_negative_numbers = true, help_heading = "Objective", hide_short_help = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// What capacity holds the mean KL at, in nats [default: linear:0:25]
    #[arg(
        long,
        value_name = "SCHEDULE",
        allow_negative_numbers = true,
        help_heading = "Objective",
        hide_short_help = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Schedule>,
    /// Weight of |KL - C| in capacity [default: 100]
    #[arg(
        long,
        value_name = "SCHEDULE",
        allow_negative_numbers = true,
        help_heading = "Objective",
        hide_short_help = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma: Option<Schedule>,
    /// Estimate of the MMD between z and the prior [default: closed-form]
    #[arg(long, help_heading = "Objective", hide_short_help = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mmd: Option<MmdEstimate>,
    /// sigma of its kernel exp(-|a - b|^2 / (2 sigma^2)) [default: sqrt(M / 2)]
    #[arg(
        long,
        value_name = "SIGMA",
        allow_negative_numbers = true,
        help_heading = "Objective",
        hide_short_help = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mmd_bandwidth: Option<f64>,
    /// Estimate of the total correlation of tc-vae [default: stratified]
    #[arg(long, help_heading = "Objective", hide_short_help = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tc: Option<TcEstimate>,
    /// No noise in the encoder: z is the mean
    #[arg(long, help_heading = "Model", hide_short_help = true)]
    pub deterministic: bool,
    /// Latent dimensions; with 2, the latent plane is drawn [default: 2]
    #[arg(long, value_name = "M", help_heading = "Model")]
    pub latent: usize,
    /// Widths of the encoder's hidden layers; the decoder has them in reverse [default: 300]
    #[arg(
        long,
        value_name = "WIDTH",
        value_delimiter = ',',
        conflicts_with = "architecture",
        help_heading = "Model"
    )]
    pub hidden: Vec<usize>,
    /// Hidden layers of any kind, instead of --hidden: lecture, burgess (four convolutions and two linear layers),
    /// higgins (1200-1200, decoder 1200-1200-1200 with tanh), or a list of one's own
    ///
    /// Layers are conv:CHANNELSxWINDOW/STRIDE and linear:UNITS, both with ReLU, or tanh:UNITS, from the image on; the
    /// decoder has them in reverse, unless layers of its own follow after `code`.
    #[arg(long, value_name = "NAME|LAYERS", help_heading = "Model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Layers>,
    /// How often each training image is seen [default: 30]
    #[arg(long, conflicts_with = "steps", help_heading = "Training")]
    pub epochs: u64,
    /// Number of training steps, instead of --epochs
    #[arg(long, help_heading = "Training", hide_short_help = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Images of a step [default: 128]
    #[arg(long, help_heading = "Training")]
    pub batch: usize,
    /// Adam's step size [default: 0.001]
    #[arg(long, value_name = "SCHEDULE", allow_negative_numbers = true, help_heading = "Training")]
    pub learning_rate: Schedule,
    /// Training images that are held out, the last ones of the file: a number, or a share below 1. The epoch with the
    /// best ELBO on them is kept beside the last, and is what evaluate and draw take
    #[arg(
        long,
        value_name = "N|SHARE",
        allow_negative_numbers = true,
        help_heading = "Data",
        hide_short_help = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<f64>,
    /// End when the ELBO on the validation images has not risen for so many epochs
    #[arg(long, value_name = "EPOCHS", help_heading = "Training", hide_short_help = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<u64>,
    /// Key of all random numbers: same seed, same device, same bits [default: 0]
    #[arg(long, help_heading = "Training")]
    pub seed: u64,
    /// Steps between two training lines of metrics.jsonl [default: 50]
    #[arg(long, value_name = "STEPS", help_heading = "Output", hide_short_help = true)]
    pub log_every: u64,
    /// Write event files for TensorBoard, too, into RUN/tensorboard: curves, spread of the weights, pictures
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tensorboard: bool,
    /// Steps that go to the device together, at most 256; results are waited for only where a line is due [default:
    /// as many as take 50 ms]
    #[arg(long, value_name = "STEPS", help_heading = "Engine", hide_short_help = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps_per_submit: Option<usize>,
    /// A hardware GPU if there is one, any GPU adapter, or the CPU [default: auto]
    #[arg(long, help_heading = "Engine")]
    pub engine: Choice,
    /// Part of the GPU adapter's name (see `elbo devices`)
    #[arg(long, value_name = "NAME", help_heading = "Engine", hide_short_help = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
}

impl Default for Config {
    /// The lecture's model with two latent dimensions, which can be drawn, on built-in data.
    fn default() -> Self {
        Self {
            data: "digits".into(),
            scale: None,
            binarise: false,
            fresh: false,
            objective: ObjectiveName::Vae,
            likelihood: LikelihoodName::Gaussian,
            sigma: PixelSigma::Fixed(1.0),
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
            architecture: None,
            epochs: 30,
            steps: None,
            batch: 128,
            learning_rate: Schedule::Constant(1e-3),
            validation: None,
            early_stopping: None,
            seed: 0,
            log_every: 50,
            tensorboard: false,
            steps_per_submit: None,
            engine: Choice::Auto,
            adapter: None,
        }
    }
}

/// The standard deviation of a pixel in the Gaussian likelihood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PixelSigma {
    /// A number.
    Fixed(f32),
    /// A parameter like any other, with Adam; it starts at 1.
    Learned,
    /// In each step, what makes the batch most likely: the root mean squared error (Rybkin et al. 2021).
    Optimal,
}

impl PixelSigma {
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

impl fmt::Display for PixelSigma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(sigma) => write!(f, "{sigma}"),
            Self::Learned => f.write_str("learned"),
            Self::Optimal => f.write_str("optimal"),
        }
    }
}

impl FromStr for PixelSigma {
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

impl From<f64> for PixelSigma {
    fn from(sigma: f64) -> Self {
        Self::Fixed(sigma as f32)
    }
}

/// A number stays a number; the rest is text.
impl Serialize for PixelSigma {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(sigma) => serializer.serialize_f32(*sigma),
            name => serializer.collect_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for PixelSigma {
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
        let file = File::open(path).map_err(Error::io(path, "read"))?;
        let mut text = String::new();
        let length = file.take(LONGEST + 1).read_to_string(&mut text).map_err(Error::io(path, "read"))?;
        if length as u64 > LONGEST {
            let problem =
                "has more than a megabyte, so it is no file of settings; give one that `elbo train` wrote";
            return Err(Error::data(path, problem));
        }
        Self::parse(&text).map_err(|problem| Error::data(path, problem))
    }

    /// The settings in the text of a configuration file.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|e| problem(text, &e))?;
        let keys: LayerKeys = toml::from_str(text).map_err(|e| problem(text, &e))?;
        if keys.architecture.is_some() && keys.hidden.is_some() {
            return Err("names both hidden and architecture; keep the one that is meant".into());
        }
        config.check().map_err(|e| e.to_string())?;
        Ok(config)
    }

    /// The settings of a preset.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn preset(name: &str) -> Result<Self> {
        match PRESETS.iter().find(|(known, _)| *known == name) {
            Some((name, text)) => Self::parse(text).map_err(|e| Error::usage(format!("preset {name}: {e}"))),
            None => {
                let names = PRESETS.map(|(name, _)| name).join(", ");
                Err(Error::usage(format!("there is no preset `{name}`; the presets are {names}")))
            }
        }
    }

    /// The file's contents for [`Config::read`].
    pub fn to_toml(&self) -> Result<String> {
        let text = toml::to_string(self)
            .map_err(|e| Error::usage(format!("the settings cannot be written as TOML: {e}")))?;
        // With an architecture there are no widths beside it.
        let unused = |line: &&str| self.architecture.is_some() && line.starts_with("hidden = ");
        Ok(text.lines().filter(|line| !unused(line)).map(|line| format!("{line}\n")).collect())
    }

    /// The hidden layers.
    pub fn layers(&self) -> Layers {
        self.architecture.clone().unwrap_or_else(|| Layers::linear(&self.hidden))
    }

    /// With these hidden layers.
    #[must_use]
    pub fn with_layers(self, layers: Layers) -> Self {
        match layers.widths() {
            Some(hidden) => Self { hidden, architecture: None, ..self },
            None => Self { architecture: Some(layers), ..self },
        }
    }

    /// The data set that the settings name.
    pub fn dataset(&self) -> Result<Dataset> {
        let mut dataset = data::load(&self.data, self.seed, self.scale)?;
        if self.binarise {
            dataset.binarise(self.seed)?;
        }
        Ok(dataset)
    }

    /// How many of `images` training images, the last ones, are held out for validation.
    pub fn held_out(&self, images: usize) -> usize {
        match self.validation {
            None => 0,
            Some(share) if share < 1.0 => (share * images as f64).round().max(1.0) as usize,
            Some(count) => count as usize,
        }
    }

    /// Steps in which every image that is learned from is seen once, of `images` training images with those held out;
    /// what is left over waits for the next shuffle.
    pub fn steps_per_epoch(&self, images: usize) -> u64 {
        (images.saturating_sub(self.held_out(images)) / self.batch) as u64
    }

    /// Steps of the whole run.
    pub fn total_steps(&self, images: usize) -> u64 {
        self.steps.unwrap_or(self.epochs.saturating_mul(self.steps_per_epoch(images)))
    }

    /// Refuses settings that cannot work whatever the data.
    pub fn check(&self) -> Result<()> {
        let positive = |name: &str, value: f64| {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::usage(format!("--{name} is {value}; it must be a number above 0")));
            }
            let [least, most] = WIDTHS;
            match (least..=most).contains(&value) {
                true => Ok(()),
                false => Err(Error::usage(format!(
                    "--{name} is {value:e}; it must be from {least:e} to {most:e}, as 32-bit numbers hold its square and \
                     what is divided by that"
                ))),
            }
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
        self.check_validation()?;
        at_most("latent", self.latent)?;
        for &width in &self.hidden {
            at_most("hidden", width)?;
            at_least_one("hidden", width as u64, "a layer needs at least 1 unit")?;
        }
        match self.sigma {
            PixelSigma::Fixed(sigma) => positive("sigma", sigma.into())?,
            adaptive if self.likelihood != LikelihoodName::Gaussian => {
                return Err(Error::usage(format!(
                    "--sigma {adaptive} needs a sigma; use it with --likelihood gaussian, or leave it out"
                )));
            }
            PixelSigma::Learned | PixelSigma::Optimal => {}
        }
        if self.learning_rate.is_always(0.0) {
            return Err(Error::usage("--learning-rate is 0; it must be above 0 somewhere"));
        }
        for (option, schedule) in self.schedules() {
            schedule.map_or(Ok(()), |schedule| schedule.check_not_negative(option))?;
        }
        if let Some(sigma) = self.mmd_bandwidth {
            positive("mmd-bandwidth", sigma)?;
        }
        if self.alpha.is_some_and(|alpha| !alpha.is_finite()) {
            return Err(Error::usage("--alpha must be a number"));
        }
        let objective = self.objective();
        if objective.compares_codes() && self.batch < 2 {
            return Err(Error::usage(format!(
                "--batch 1 gives --objective {} no pairs of codes to compare; use at least 2",
                self.objective
            )));
        }
        self.check_used()?;
        objective.check()?;
        // With epochs, the number of steps depends on the data.
        self.steps.map_or(Ok(()), |steps| self.check_schedules(steps))
    }

    fn check_validation(&self) -> Result<()> {
        match self.validation {
            Some(images) if !(images > 0.0 && (images < 1.0 || images.fract() == 0.0) && images < 1e15) => {
                Err(Error::usage(format!(
                    "--validation is {images}; it must be a whole number of images, or a share between 0 and 1"
                )))
            }
            None if self.early_stopping.is_some() => Err(Error::usage(
                "--early-stopping looks at the ELBO of validation images; hold some out with --validation",
            )),
            _ if self.early_stopping == Some(0) => {
                Err(Error::usage("--early-stopping is 0; wait for at least 1 epoch"))
            }
            _ => Ok(()),
        }
    }

    /// The settings that change with the step, by the option's name.
    pub fn schedules(&self) -> [(&'static str, Option<&Schedule>); 5] {
        [
            ("beta", self.beta.as_ref()),
            ("lambda", self.lambda.as_ref()),
            ("capacity", self.capacity.as_ref()),
            ("gamma", self.gamma.as_ref()),
            ("learning-rate", Some(&self.learning_rate)),
        ]
    }

    /// Lets schedules that run over the whole run end where they would have, before the run's length went from `before`
    /// to `after` steps: the steps that are done had their values. Says so of each.
    pub fn keep_schedules(&mut self, before: u64, after: u64) -> Vec<String> {
        let schedules = [
            ("beta", self.beta.as_mut()),
            ("lambda", self.lambda.as_mut()),
            ("capacity", self.capacity.as_mut()),
            ("gamma", self.gamma.as_mut()),
            ("learning-rate", Some(&mut self.learning_rate)),
        ];
        let mut sentences = Vec::new();
        for (option, schedule) in schedules {
            let Some(schedule) = schedule.filter(|_| before != after) else { continue };
            let Some(kept) = schedule.of_length(before) else { continue };
            sentences.push(format!(
                "--{option} {schedule} ran over the {before} steps that the run was to have, and still does: it is {kept} now, \
                 level from there to step {after}"
            ));
            *schedule = kept;
        }
        sentences
    }

    /// Refuses schedules that a run of `total` steps would cut short.
    pub fn check_schedules(&self, total: u64) -> Result<()> {
        let mut schedules = self.schedules().into_iter();
        schedules.try_for_each(|(option, schedule)| {
            schedule.map_or(Ok(()), |schedule| schedule.check_fits(option, total))
        })
    }

    /// Refuses schedules that epochs of `images` training images would cut short.
    pub fn check_length(&self, images: usize) -> Result<()> {
        self.check_schedules(self.total_steps(images))
            .map_err(|error| Error::data(&self.data, error.to_string()))
    }

    /// The objective, with the defaults of options that are not given.
    pub fn objective(&self) -> Objective {
        let or = |given: &Option<Schedule>, default: f64| given.clone().unwrap_or(default.into());
        let lambda = || or(&self.lambda, LAMBDA_PER_LATENT * self.latent as f64);
        let mmd = MmdOptions {
            estimate: self.mmd.unwrap_or_default(),
            bandwidth: self.mmd_bandwidth.unwrap_or((self.latent as f64 / 2.0).sqrt()),
        };
        match self.objective {
            ObjectiveName::Vae => Objective::Vae,
            ObjectiveName::BetaVae => Objective::BetaVae { beta: or(&self.beta, BETA) },
            ObjectiveName::MmdVae => Objective::MmdVae { lambda: lambda(), mmd },
            ObjectiveName::InfoVae => {
                Objective::InfoVae { alpha: self.alpha.unwrap_or(0.0), lambda: lambda(), mmd }
            }
            ObjectiveName::TcVae => {
                Objective::TcVae { beta: or(&self.beta, TC_BETA), tc: self.tc.unwrap_or_default() }
            }
            ObjectiveName::Capacity => Objective::Capacity {
                capacity: self.capacity.clone().unwrap_or(CAPACITY),
                gamma: or(&self.gamma, GAMMA),
            },
        }
    }

    /// Settings with these options of an objective, and no others.
    fn with_options(self, objective: Objective) -> Self {
        let none = Self {
            beta: None,
            lambda: None,
            alpha: None,
            capacity: None,
            gamma: None,
            mmd: None,
            mmd_bandwidth: None,
            tc: None,
            ..self
        };
        let with = |MmdOptions { estimate, bandwidth }, none| Self {
            mmd: Some(estimate),
            mmd_bandwidth: Some(bandwidth),
            ..none
        };
        match objective {
            Objective::Vae => none,
            Objective::BetaVae { beta } => Self { beta: Some(beta), ..none },
            Objective::MmdVae { lambda, mmd } => Self { lambda: Some(lambda), ..with(mmd, none) },
            Objective::InfoVae { alpha, lambda, mmd } => {
                Self { alpha: Some(alpha), lambda: Some(lambda), ..with(mmd, none) }
            }
            Objective::TcVae { beta, tc } => Self { beta: Some(beta), tc: Some(tc), ..none },
            Objective::Capacity { capacity, gamma } => {
                Self { capacity: Some(capacity), gamma: Some(gamma), ..none }
            }
        }
    }

    /// Another objective, with its own defaults.
    #[must_use]
    pub fn with_objective(self, objective: ObjectiveName) -> Self {
        Self { objective, ..self.with_options(Objective::Vae) }.complete()
    }

    /// Writes the defaults of the objective's options into the settings, so that they say everything.
    #[must_use]
    pub fn complete(self) -> Self {
        let objective = self.objective();
        let layers = self.layers();
        self.with_layers(layers).with_options(objective)
    }

    /// Refuses options that the objective does not look at.
    fn check_used(&self) -> Result<()> {
        let taken = self.clone().complete().given()?;
        let Some(option) = self.given()?.into_iter().find(|option| !taken.contains(option)) else {
            return Ok(());
        };
        let takes = |name: &ObjectiveName| {
            let settings = Self { objective: *name, ..Self::default() }.complete().given();
            settings.is_ok_and(|settings| settings.contains(&option))
        };
        let names = ObjectiveName::value_variants().iter().filter(|name| takes(name));
        let names: Vec<String> = names.map(|name| format!("--objective {name}")).collect();
        Err(Error::usage(format!(
            "--{option} has no effect on --objective {}; use it with {}, or leave it out",
            self.objective,
            names.join(" or ")
        )))
    }

    /// The names of all settings that have a value.
    fn given(&self) -> Result<Vec<String>> {
        let value = serde_json::to_value(self)
            .map_err(|e| Error::usage(format!("the settings cannot be written as JSON: {e}")))?;
        Ok(value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect())
    }
}

/// Which of the two ways to say the layers a file takes.
#[derive(Deserialize)]
struct LayerKeys {
    hidden: Option<IgnoredAny>,
    architecture: Option<IgnoredAny>,
}

/// The problem of a file, in one sentence with the line; TOML's own message takes several lines.
fn problem(text: &str, error: &toml::de::Error) -> String {
    let mut message = error.message().replace('\n', ", ");
    for (rust, plain) in [("usize", "a whole number"), ("u64", "a whole number"), ("f32", "a number")] {
        message = message.replace(&format!("expected {rust}"), &format!("expected {plain}"));
    }
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else { return message };
    let number = before.matches('\n').count();
    let line = readable(text.lines().nth(number).unwrap_or_default().trim());
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
        assert!(with(|c| c.sigma = PixelSigma::Fixed(0.0)).contains("--sigma is 0"));
        assert!(with(|c| c.beta = Some(4.0.into())).contains("--objective beta-vae or --objective tc-vae"));
        Config::default().check().expect("the defaults");
    }
}
