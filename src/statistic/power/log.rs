//! The finished repetitions of an experiment, in a file with a line for each after that of the settings.

use super::{Experiment, Rate, Repetition};
use crate::engine::Device;
use crate::error::{Error, Result};
use crate::files::{lock, without_half_a_line};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What a second process is told.
const BUSY: &str = "another process runs this experiment there; wait for its end, or choose another --out";

/// The repetitions of an experiment, which a later call goes on with.
#[derive(Debug)]
pub struct PowerLog {
    path: PathBuf,
    /// The first line of a new file.
    header: String,
    /// By parameter, and by repetition.
    repetitions: Vec<(f64, BTreeMap<u32, Repetition>)>,
    /// Open once there is something to write: what fails before leaves no file.
    file: Option<File>,
}

impl PowerLog {
    /// The log of a file, if there is one and `force` does not begin anew. `settings` are all that the outcome of a
    /// repetition depends on.
    ///
    /// # Errors
    /// If it has other settings, or is no log.
    pub fn open(path: &Path, settings: &impl Serialize, force: bool) -> Result<Self> {
        let wrong = |e: serde_json::Error| Error::run(path, e.to_string());
        let header = serde_json::to_string(settings).map_err(wrong)? + "\n";
        let mut log = Self { path: path.into(), header, repetitions: Vec::new(), file: None };
        if force || !path.exists() {
            return Ok(log);
        }
        let mut file = lock(path, BUSY)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(Error::io(path, "read"))?;
        let text = without_half_a_line(text);
        let mut lines = text.lines().enumerate();
        let Some((_, first)) = lines.next() else { return Ok(log) };
        same_settings(path, first, &log.header)?;
        for (number, line) in lines {
            let repetition = serde_json::from_str(line).map_err(|e| {
                Error::run(path, format!("line {}: {e}; use --force to begin anew", number + 1))
            })?;
            log.insert(repetition);
        }
        file.set_len(text.len() as u64)
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .map_err(Error::io(path, "write"))?;
        log.file = Some(file);
        Ok(log)
    }

    /// The repetitions below a number that the log lacks.
    pub fn missing(&self, parameters: &[f64], repetitions: u32) -> Vec<(f64, u32)> {
        parameters
            .iter()
            .flat_map(|&parameter| (0..repetitions).map(move |repetition| (parameter, repetition)))
            .filter(|&(parameter, repetition)| self.find(parameter, repetition).is_none())
            .collect()
    }

    /// Runs repetitions and logs them; `progress` is called with the number of those that are done.
    ///
    /// # Errors
    /// If a repetition fails, or the file cannot be written.
    pub fn run(
        &mut self,
        experiment: &Experiment,
        device: &Device,
        missing: &[(f64, u32)],
        progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<()> {
        experiment.repeat_all(device, missing, progress, &mut |repetition| self.add(repetition))
    }

    /// The rate of a parameter over the repetitions below a number.
    pub fn rate(&self, parameter: f64, repetitions: u32) -> Rate {
        let found = (0..repetitions).filter_map(|repetition| self.find(parameter, repetition));
        Rate::new(parameter, &found.map(|found| (found.reject, found.seconds)).collect::<Vec<_>>())
    }

    /// Where the repetitions of a parameter are.
    fn place(&self, parameter: f64) -> Option<usize> {
        // A number read from JSON may be off in its last bit.
        let same = |other: f64| (other - parameter).abs() <= 4.0 * f64::EPSILON * parameter.abs();
        self.repetitions.iter().position(|(other, _)| same(*other))
    }

    fn find(&self, parameter: f64, repetition: u32) -> Option<&Repetition> {
        self.place(parameter).and_then(|place| self.repetitions[place].1.get(&repetition))
    }

    fn insert(&mut self, repetition: Repetition) {
        let place = self.place(repetition.parameter).unwrap_or_else(|| {
            self.repetitions.push((repetition.parameter, BTreeMap::new()));
            self.repetitions.len() - 1
        });
        self.repetitions[place].1.insert(repetition.repetition, repetition);
    }

    fn add(&mut self, repetition: Repetition) -> Result<()> {
        let path = &self.path;
        let mut text =
            serde_json::to_string(&repetition).map_err(|e| Error::run(path, e.to_string()))? + "\n";
        let mut file = match self.file.take() {
            Some(file) => file,
            None => {
                if let Some(directory) = path.parent() {
                    fs::create_dir_all(directory).map_err(Error::io(directory, "create"))?;
                }
                text.insert_str(0, &self.header);
                // Only who has the lock may take lines away.
                File::options().append(true).create(true).open(path).map_err(Error::io(path, "create"))?;
                let file = lock(path, BUSY)?;
                file.set_len(0).map_err(Error::io(path, "write"))?;
                file
            }
        };
        file.write_all(text.as_bytes()).map_err(Error::io(path, "write"))?;
        self.file = Some(file);
        self.insert(repetition);
        Ok(())
    }
}

/// Whether the first line of a log has the settings of this call.
fn same_settings(path: &Path, found: &str, wanted: &str) -> Result<()> {
    type Object = serde_json::Map<String, serde_json::Value>;
    let no_log = || {
        let problem = "the first line has no settings; choose another --out, or --force to overwrite it";
        Error::run(path, problem)
    };
    let object = |text: &str| serde_json::from_str::<Object>(text).map_err(|_| no_log());
    let (found, wanted) = (object(found)?, object(wanted)?);
    let differing: Vec<String> = wanted
        .iter()
        .filter(|(name, value)| found.get(*name) != Some(*value))
        .map(|(name, value)| match found.get(name) {
            Some(there) => format!("{name} {there} instead of {value}"),
            None => format!("no {name}"),
        })
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(Error::run(
        path,
        format!(
            "the results there have {}; choose another --out, or --force to begin anew",
            differing.join(" and ")
        ),
    ))
}
