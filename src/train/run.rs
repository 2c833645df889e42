//! The directory of a run.
//!
//! ```text
//! elbo-run.json     that this is a run, and in which format; locked by the process that trains it
//! config.toml       everything needed to repeat the run
//! metrics.jsonl     lines of training averages, and one line per epoch on the test images
//! checkpoints/STEP/ the last two, and the best on validation images: model.safetensors, optimizer.safetensors
//! pictures/         what `elbo draw` drew
//! tensorboard/      with `tensorboard`: event files
//! ```

use super::config::Config;
use super::decomposition::Decomposition;
use super::metrics::{Metrics, Terms};
use super::schedule::Schedule;
use super::session::Codes;
use super::tensorboard::{self, EventFile};
use crate::checkpoint::{self, State};
use crate::error::{Error, Result};
use crate::files::{self, own};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Names of the files of a run.
const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.jsonl";
const PICTURES: &str = "pictures";
const TENSORBOARD: &str = "tensorboard";
/// What `elbo page` leaves.
pub const PAGE: &str = "page.html";
/// What `elbo sweep` leaves, to say that a run is done: what `evaluate` printed.
pub const RESULT: &str = "result.json";

/// What `elbo draw` leaves in [`PICTURES`].
pub(crate) const PICTURES_OF_RUNS: [&str; 13] = [
    "losses.png",
    "reconstructions.png",
    "samples.png",
    "manifold.png",
    "scatter.png",
    "story.png",
    "interpolation.png",
    "traversal.png",
    "factors.png",
    "kl.png",
    "decomposition.png",
    "schedule.png",
    "story.gif",
];

const MARKER: &str = "elbo-run.json";

/// The format of runs that this version writes; it reads this one and those before it.
const FORMAT: u32 = 1;

/// What a second process is told.
const BUSY: &str = "is being trained by another process; wait for its end, or choose another --out";

/// What [`MARKER`] holds.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    /// Of the run's files.
    format: u32,
    /// The version that made it.
    elbo: String,
}

/// Where runs go when nothing is said.
const RUNS: &str = "runs";

/// An open run directory.
pub struct Run {
    /// The directory.
    pub path: PathBuf,
    /// Its settings.
    pub config: Config,
    /// What the user must know: what of an overwritten run was kept.
    pub notes: Vec<String>,
    metrics: File,
    /// For TensorBoard, if that is asked for.
    events: Option<EventFile>,
    /// Held for as long as this process may write to the run.
    _lock: File,
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
    /// It appears as one, with its settings and the checkpoint of step 0, and with `force` in the place of an older run: a
    /// kill at any moment leaves a loadable run, or none if there was none. Of the older run, what elbo made is removed;
    /// should other files be in it, they stay in a folder beside the new one.
    ///
    /// # Errors
    /// The directory exists and `force` is not set; it is no run, or being trained; it cannot be written.
    pub fn create(path: Option<&Path>, force: bool, config: &Config, state: &State) -> Result<Self> {
        let path = match path {
            Some(path) => path.to_path_buf(),
            None => next_free()?,
        };
        Self::check_free(&path, force)?;
        let marker = path.join(MARKER);
        let old = if marker.is_file() { Some(files::lock(&marker, BUSY)?) } else { None };
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(Error::io(parent, "create"))?;
        let temporary = files::new_folder(&path)?;
        let made = fill(&temporary, config, state).and_then(|()| match old {
            // An open file would keep Windows from moving its folder.
            Some(lock) if cfg!(windows) => {
                drop(lock);
                files::exchange(&temporary, &path)
            }
            Some(_) => files::exchange(&temporary, &path),
            // Another process may have been faster.
            None => files::publish(&temporary, &path).map_err(|error| match path.join(MARKER).is_file() {
                true => Error::run(&path, "was made by another process meanwhile; choose another --out"),
                false => error,
            }),
        });
        if let Err(error) = made {
            // The half-written directory is of no use; that it may be impossible to remove is not news.
            let _ = fs::remove_dir_all(&temporary);
            return Err(error);
        }
        // What is there now, if anything is, is the old run.
        let note = if temporary.exists() { remove_run(&temporary, &path) } else { None };
        let mut run = Self::open(&path)?;
        run.notes.extend(note);
        Ok(run)
    }

    /// Refuses a path at which no run can be made: it exists, or with `force` is neither empty nor a run.
    pub fn check_free(path: &Path, force: bool) -> Result<()> {
        if path.symlink_metadata().is_err() {
            return Ok(());
        }
        let is_empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            _ => return Err(Error::run(path, "is no folder; choose another --out")),
        }
        match (force, path.join(MARKER).is_file()) {
            (false, _) => {
                Err(Error::run(path, "exists already; choose another --out, or --force to overwrite it"))
            }
            (true, true) => check_format(path),
            (true, false) if is_empty() => Ok(()),
            (true, false) => {
                let problem = format!(
                    "has no {MARKER} in it, so it may not be a run of this program, and --force does not overwrite it; \
                     choose another --out, or remove it"
                );
                Err(Error::run(path, problem))
            }
        }
    }

    /// Opens a run to train it further.
    ///
    /// # Errors
    /// If it is none, or another process trains it, or parts of it are links to other places.
    pub fn open(path: &Path) -> Result<Self> {
        checkpoint::last(path)?;
        let config = Self::config(path)?;
        for name in [CONFIG, METRICS, PICTURES, TENSORBOARD, MARKER, checkpoint::FOLDER] {
            own(path, name)?;
        }
        let marker = path.join(MARKER);
        if !marker.exists() {
            // Of a version before there were markers.
            files::replace(&marker, this_marker()?)?;
        }
        let lock = files::lock(&marker, BUSY)?;
        for folder in [path, &path.join(checkpoint::FOLDER)] {
            files::remove_temporaries(folder);
        }
        let metrics = path.join(METRICS);
        let metrics = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&metrics)
            .map_err(Error::io(&metrics, "open"))?;
        Ok(Self { path: path.into(), config, notes: Vec::new(), metrics, events: None, _lock: lock })
    }

    /// The state after the last checkpointed step, which training goes on from.
    pub fn state(&self) -> Result<State> {
        State::read(&self.path)
    }

    /// Writes new settings, for a run that is to go on for longer.
    pub fn reconfigure(&mut self, config: Config) -> Result<()> {
        files::replace(&self.path.join(CONFIG), config.to_toml()?)?;
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
        files::replace(&path, kept)?;
        self.metrics = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path, "open"))?;
        Ok(())
    }

    /// Begins to write events for TensorBoard, if the settings ask for them; `step` are done.
    pub(super) fn start_events(&mut self, step: u64) -> Result<()> {
        if self.config.tensorboard && self.events.is_none() {
            self.events = Some(EventFile::create(&self.path.join(TENSORBOARD), step)?);
        }
        Ok(())
    }

    /// Writes a checkpoint, which the disk has no sooner than the lines up to there.
    pub(super) fn save(&mut self, state: &State) -> Result<()> {
        self.metrics.sync_data().map_err(Error::io(self.path.join(METRICS), "write"))?;
        state.write(&self.path)
    }

    /// How the weights are spread, for TensorBoard.
    pub(super) fn log_weights(&mut self, state: &State) -> Result<()> {
        let Some(events) = &mut self.events else { return Ok(()) };
        let step = state.progress.step;
        state.tensors().iter().try_for_each(|(name, _, values)| events.histogram(step, name, values))
    }

    /// Shows pictures in TensorBoard, under their names.
    ///
    /// # Errors
    /// If one cannot be read, or the events cannot be written.
    pub fn log_pictures(&mut self, step: u64, files: &[PathBuf]) -> Result<()> {
        let Some(events) = &mut self.events else { return Ok(()) };
        let still = files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "png"));
        for file in still {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            events.picture(step, &name, file)?;
        }
        Ok(())
    }

    /// Appends to `metrics.jsonl`.
    pub fn log(&mut self, line: &LogLine) -> Result<()> {
        if let Some(events) = &mut self.events {
            events.log(line)?;
        }
        let path = self.path.join(METRICS);
        let json = serde_json::to_string(line).map_err(|e| Error::run(&path, e.to_string()))?;
        self.metrics.write_all((json + "\n").as_bytes()).map_err(Error::io(&path, "write"))
    }

    /// The directory of the pictures, made if need be.
    pub fn pictures(path: &Path) -> Result<PathBuf> {
        let pictures = own(path, PICTURES)?;
        match fs::create_dir(&pictures) {
            Err(error) if !pictures.is_dir() => Err(Error::io(&pictures, "create")(error)),
            _ => Ok(pictures),
        }
    }

    /// The settings of a run.
    ///
    /// # Errors
    /// If there are none, or a newer version wrote them.
    pub fn config(path: &Path) -> Result<Config> {
        check_format(path)?;
        Config::read(&path.join(CONFIG))
    }

    /// The lines of `metrics.jsonl` of a run.
    pub fn lines(path: &Path) -> Result<Vec<LogLine>> {
        read_lines(&path.join(METRICS))
    }
}

fn this_marker() -> Result<String> {
    let marker = Marker { format: FORMAT, elbo: env!("CARGO_PKG_VERSION").into() };
    Ok(serde_json::to_string(&marker).map_err(|e| Error::usage(e.to_string()))? + "\n")
}

/// Refuses a run of a newer format. Runs of versions before there were markers have none.
fn check_format(path: &Path) -> Result<()> {
    let marker = path.join(MARKER);
    let Ok(text) = fs::read_to_string(&marker) else { return Ok(()) };
    let found: Marker = serde_json::from_str(&text)
        .map_err(|e| Error::run(&marker, format!("is damaged ({e}); copy it again, or remove it")))?;
    if found.format > FORMAT {
        let problem = format!(
            "is of format {}, as elbo {} writes it, and this one reads runs up to format {FORMAT}; use a newer elbo",
            found.format, found.elbo
        );
        return Err(Error::run(path, problem));
    }
    Ok(())
}

/// What is in a new run, on the disk when this returns.
fn fill(path: &Path, config: &Config, state: &State) -> Result<()> {
    files::write_new(&path.join(MARKER), this_marker()?)?;
    files::write_new(&path.join(CONFIG), config.to_toml()?)?;
    files::write_new(&path.join(METRICS), "")?;
    let checkpoints = path.join(checkpoint::FOLDER);
    fs::create_dir(&checkpoints).map_err(Error::io(&checkpoints, "create"))?;
    state.write(path)
}

/// Removes an old run, in the place of which there is a new one; what elbo did not make, or what cannot be removed, stays in a
/// folder that the result tells of.
fn remove_run(old: &Path, place: &Path) -> Option<String> {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let kept = (1..)
        .map(|number| place.with_file_name(format!("{name}.old-{number}")))
        .find(|kept| kept.symlink_metadata().is_err())?;
    // From here on it has a name that a user can find, whatever happens.
    let kept = if fs::rename(old, &kept).is_ok() { kept } else { old.to_path_buf() };
    let mut made: Vec<PathBuf> = [CONFIG, METRICS, MARKER, PAGE, RESULT].map(|name| kept.join(name)).into();
    let mut folders = Vec::new();
    let pictures = kept.join(PICTURES);
    if !pictures.is_symlink() {
        made.extend(PICTURES_OF_RUNS.map(|name| pictures.join(name)));
        files::remove_temporaries(&pictures);
        folders.push(pictures);
    }
    let events = kept.join(TENSORBOARD);
    if !events.is_symlink() {
        let own = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(tensorboard::is_own);
        made.extend(
            fs::read_dir(&events).into_iter().flatten().flatten().filter(own).map(|entry| entry.path()),
        );
        folders.push(events);
    }
    let checkpoints = kept.join(checkpoint::FOLDER);
    if !checkpoints.is_symlink() {
        for (_, folder) in checkpoint::folders(&kept).unwrap_or_default() {
            made.extend(checkpoint::FILES.map(|name| folder.join(name)));
            folders.push(folder);
        }
        files::remove_temporaries(&checkpoints);
        folders.push(checkpoints);
    }
    files::remove_temporaries(&kept);
    folders.push(kept.clone());
    made.iter().for_each(|file| drop(fs::remove_file(file)));
    // Those that hold something else stay.
    folders.iter().for_each(|folder| drop(fs::remove_dir(folder)));
    let left = kept.symlink_metadata().is_ok();
    left.then(|| {
        format!("what elbo did not make in the old run, or could not remove, is in {}", kept.display())
    })
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

fn read_lines(path: &Path) -> Result<Vec<LogLine>> {
    let text = files::whole_lines(path)?;
    let line = |(number, line)| {
        serde_json::from_str(line).map_err(|e| Error::run(path, format!("line {}: {e}", number + 1)))
    };
    text.lines().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::session::initial_state;

    fn made(path: &Path, force: bool, seed: u64) -> Result<Run> {
        let config = Config { hidden: vec![2], latent: 1, seed, ..Config::default() };
        let dataset = crate::data::Dataset::placeholder([2, 2, 1], None);
        Run::create(Some(path), force, &config, &initial_state(&config, &dataset))
    }

    fn seed(path: &Path) -> u64 {
        Run::config(path).expect("settings").seed
    }

    #[test]
    fn a_run_that_is_open_is_taken_by_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run");
        let first = made(&path, false, 1).unwrap();
        for (force, said) in [(false, "exists already"), (true, "another process")] {
            let message = made(&path, force, 2).err().expect("refused").to_string();
            assert!(message.contains(said), "{message}");
        }
        assert!(Run::open(&path).err().expect("locked").to_string().contains("another process"));
        assert_eq!(seed(&path), 1);
        drop(first);
        made(&path, true, 3).unwrap();
        assert_eq!(seed(&path), 3);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left there");
    }

    /// Whatever is wrong with the old run.
    #[test]
    fn what_others_made_in_an_old_run_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run");
        drop(made(&path, false, 1).unwrap());
        fs::remove_dir_all(path.join("checkpoints")).unwrap();
        fs::write(path.join("notes.txt"), "mine").unwrap();
        fs::create_dir_all(path.join("pictures/losses.png")).unwrap();
        let run = made(&path, true, 2).unwrap();
        let kept = directory.path().join("run.old-1");
        assert!(run.notes[0].contains("run.old-1"), "{:?}", run.notes);
        assert_eq!(fs::read_to_string(kept.join("notes.txt")).unwrap(), "mine");
        assert!(kept.join("pictures/losses.png").is_dir() && !kept.join(CONFIG).exists());
        assert_eq!(seed(&path), 2);
    }

    #[test]
    fn runs_of_newer_versions_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run");
        drop(made(&path, false, 1).unwrap());
        for (marker, said) in [("{\"format\":2,\"elbo\":\"9\"}", "use a newer elbo"), ("{", "is damaged")] {
            fs::write(path.join(MARKER), marker).unwrap();
            let message = Run::config(&path).unwrap_err().to_string();
            assert!(message.contains(said), "{message}");
        }
        // Those of before there were markers are read, and get one when they go on.
        fs::remove_file(path.join(MARKER)).unwrap();
        assert!(made(&path, true, 2).err().expect("refused").to_string().contains("has no elbo-run.json"));
        drop(Run::open(&path).unwrap());
        made(&path, true, 2).unwrap();
    }
}
