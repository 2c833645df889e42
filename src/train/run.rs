//! The directory of a run.
//!
//! ```text
//! config.toml       everything needed to repeat the run
//! metrics.jsonl     lines of training averages, and one line per epoch on the test images
//! checkpoints/STEP/ the last two, and the best on validation images: model.safetensors, optimizer.safetensors
//! pictures/         what `elbo draw` drew
//! ```

use super::config::Config;
use super::decomposition::Decomposition;
use super::metrics::{Metrics, Terms};
use super::schedule::Schedule;
use super::session::Codes;
use crate::checkpoint::{self, State};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Names of the files of a run.
const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.jsonl";
const PICTURES: &str = "pictures";

/// Where runs go when nothing is said.
const RUNS: &str = "runs";

/// An open run directory.
pub struct Run {
    /// The directory.
    pub path: PathBuf,
    /// Its settings.
    pub config: Config,
    metrics: File,
}

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// `train`: an average over the steps since the last line; `test` and `validation`: over all of these images.
    pub split: String,
    /// Steps done.
    pub step: u64,
    /// Passes over the training images.
    pub epoch: f64,
    /// Averages.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// What is minimised, at the weights of its steps, or of the last step. Not in lines of `validation` with `tc-vae`,
    /// nor in logs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// The objective's further terms; in lines of `test`, the parts of the KL.
    #[serde(flatten)]
    pub terms: Terms,
    /// Weights and learning rate of the last step, those that the objective has.
    #[serde(flatten)]
    pub scheduled: Scheduled,
    /// In lines of `test`, how many images the parts of the KL are averaged over: a random choice, the same each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codes: Option<usize>,
    /// In lines of `test`, the parts again, with the KL of the same images and standard errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decomposition: Option<Decomposition>,
    /// KL of each latent dimension in nats, in lines of `test`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kl_by_dimension: Vec<f64>,
    /// The codes of a few test images, in lines of `test`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub followed: Vec<Code>,
    /// Training speed so far, in lines of `test`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_per_second: Option<f64>,
}

impl LogLine {
    /// A line with averages alone.
    pub fn new(split: &str, step: u64, epoch: f64, metrics: Metrics) -> Self {
        Self {
            split: split.into(),
            step,
            epoch,
            metrics,
            loss: None,
            terms: Terms::default(),
            scheduled: Scheduled::default(),
            codes: None,
            decomposition: None,
            kl_by_dimension: Vec::new(),
            followed: Vec::new(),
            images_per_second: None,
        }
    }
}

/// What changes with the step, as it is in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are options of `Config`, with its documentation")]
pub struct Scheduled {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
}

impl Scheduled {
    /// In step `step`, from 0, of a run of `total` steps.
    pub fn at(config: &Config, step: u64, total: u64) -> Self {
        let at = |schedule: &Option<Schedule>| schedule.as_ref().map(|schedule| schedule.at(step, total));
        Self {
            beta: at(&config.beta),
            lambda: at(&config.lambda),
            capacity: at(&config.capacity),
            gamma: at(&config.gamma),
            learning_rate: Some(config.learning_rate.at(step, total)),
        }
    }
}

/// The code of one test image: q(z|x), of whose dimensions the first few are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Code {
    /// Which test image.
    pub image: usize,
    /// The first dimensions of its mean.
    pub mean: Vec<f32>,
    /// The first dimensions of its standard deviation.
    pub std: Vec<f32>,
}

impl Code {
    /// Dimensions kept: those of a plane.
    const KEPT: usize = 2;

    /// The code of one image.
    pub fn of(image: usize, codes: &Codes) -> Self {
        let first = |values: &[f32]| values[image * codes.latent..][..codes.latent.min(Self::KEPT)].to_vec();
        let std = first(&codes.log_stds).iter().map(|log_std| log_std.exp()).collect();
        Self { image, mean: first(&codes.means), std }
    }
}

impl Run {
    /// Makes the directory of a new run: at `path`, or the next free number under `runs/`.
    ///
    /// It appears as one, with its settings and the checkpoint of step 0: a kill at any moment leaves a
    /// loadable run or none.
    ///
    /// # Errors
    /// The directory exists and `force` is not set; it cannot be written.
    pub fn create(path: Option<&Path>, force: bool, config: &Config, state: &State) -> Result<Self> {
        let path = match path {
            Some(path) => path.to_path_buf(),
            None => next_free()?,
        };
        Self::check_free(&path, force)?;
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(Error::io(parent, "create"))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let temporary = parent.join(format!(".{name}.{}.tmp", std::process::id()));
        let made = fill(&temporary, config, state).and_then(|()| {
            let aside = parent.join(format!(".{name}.{}.old", std::process::id()));
            let replaced = path.exists();
            if replaced {
                fs::rename(&path, &aside).map_err(Error::io(&path, "replace"))?;
            }
            fs::rename(&temporary, &path).map_err(Error::io(&path, "create"))?;
            if replaced {
                fs::remove_dir_all(&aside).map_err(Error::io(&aside, "remove"))?;
            }
            Ok(())
        });
        if let Err(error) = made {
            // The half-written directory is of no use; that it may be impossible to remove is not news.
            let _ = fs::remove_dir_all(&temporary);
            return Err(error);
        }
        Self::open(&path)
    }

    /// Refuses a path at which no run can be made: it exists, or with `force` is neither empty nor a run.
    pub fn check_free(path: &Path, force: bool) -> Result<()> {
        if !path.exists() {
            return Ok(());
        }
        if !force {
            return Err(Error::run(path, "exists already; choose another --out, or --force to overwrite it"));
        }
        let empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        match path.join(CONFIG).is_file() && path.join("checkpoints").is_dir() || empty() {
            true => Ok(()),
            false => {
                Err(Error::run(path, "is no run, so --force does not overwrite it; choose another --out"))
            }
        }
    }

    /// Opens a run to train it further.
    pub fn open(path: &Path) -> Result<Self> {
        checkpoint::last(path)?;
        let config = Self::config(path)?;
        let metrics = path.join(METRICS);
        let metrics = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&metrics)
            .map_err(Error::io(&metrics, "open"))?;
        Ok(Self { path: path.into(), config, metrics })
    }

    /// The state after the last checkpointed step, which training goes on from.
    pub fn state(&self) -> Result<State> {
        State::read(&self.path)
    }

    /// Writes new settings, for a run that is to go on for longer.
    pub fn reconfigure(&mut self, config: Config) -> Result<()> {
        let (path, temporary) = (self.path.join(CONFIG), self.path.join(format!(".{CONFIG}.tmp")));
        fs::write(&temporary, config.to_toml()?).map_err(Error::io(&temporary, "write"))?;
        fs::rename(&temporary, &path).map_err(Error::io(&path, "write"))?;
        self.config = config;
        Ok(())
    }

    /// Cuts `metrics.jsonl` back to what was known at `step`, and drops a half-written last line.
    pub fn rewind(&mut self, step: u64) -> Result<()> {
        let path = self.path.join(METRICS);
        let kept: String = read_lines(&path)?
            .iter()
            .filter(|line| line.step <= step)
            .filter_map(|line| serde_json::to_string(line).ok().map(|json| json + "\n"))
            .collect();
        let temporary = self.path.join(format!(".{METRICS}.tmp"));
        fs::write(&temporary, kept).map_err(Error::io(&temporary, "write"))?;
        fs::rename(&temporary, &path).map_err(Error::io(&path, "write"))?;
        self.metrics = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path, "open"))?;
        Ok(())
    }

    /// Appends to `metrics.jsonl`.
    pub fn log(&mut self, line: &LogLine) -> Result<()> {
        let path = self.path.join(METRICS);
        let json = serde_json::to_string(line).map_err(|e| Error::run(&path, e.to_string()))?;
        self.metrics.write_all((json + "\n").as_bytes()).map_err(Error::io(&path, "write"))
    }

    /// The directory of the pictures, made if need be.
    pub fn pictures(path: &Path) -> Result<PathBuf> {
        let pictures = path.join(PICTURES);
        fs::create_dir_all(&pictures).map_err(Error::io(&pictures, "create"))?;
        Ok(pictures)
    }

    /// The settings of a run.
    pub fn config(path: &Path) -> Result<Config> {
        Config::read(&path.join(CONFIG))
    }

    /// The lines of `metrics.jsonl` of a run.
    pub fn lines(path: &Path) -> Result<Vec<LogLine>> {
        read_lines(&path.join(METRICS))
    }
}

fn fill(path: &Path, config: &Config, state: &State) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io(path, "create"))?;
    let file = path.join(CONFIG);
    fs::write(&file, config.to_toml()?).map_err(Error::io(&file, "write"))?;
    let file = path.join(METRICS);
    fs::write(&file, "").map_err(Error::io(&file, "write"))?;
    state.write(path)
}

/// `runs/001`, or the first number after the largest there is.
fn next_free() -> Result<PathBuf> {
    let runs = Path::new(RUNS);
    let largest = match fs::read_dir(runs) {
        Ok(entries) => entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .max()
            .unwrap_or(0),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(Error::io(runs, "read")(error)),
    };
    Ok(runs.join(format!("{:03}", largest + 1)))
}

/// Whole lines; a kill may have left half a line at the end.
fn read_lines(path: &Path) -> Result<Vec<LogLine>> {
    let text = fs::read_to_string(path).map_err(Error::io(path, "read"))?;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        match serde_json::from_str(line) {
            Ok(line) => lines.push(line),
            Err(_) if !text.ends_with('\n') && number + 1 == text.lines().count() => {}
            Err(e) => return Err(Error::run(path, format!("line {}: {e}", number + 1))),
        }
    }
    Ok(lines)
}
