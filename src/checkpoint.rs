//! Checkpoints: `model.safetensors` in PyTorch's own names and layout, `optimizer.safetensors` beside it.
//!
//! A checkpoint is written to a temporary directory and renamed into place as one, so a kill at any moment
//! leaves the previous one.

mod fingerprint;
mod weights;

pub use fingerprint::Fingerprint;

use crate::data::standard::ColumnMoments;
use crate::error::{Error, Result};
use crate::files;
use crate::grid::Grid;
use crate::model::{Architecture, Hidden, Layer, Layers, LikelihoodName, Parameters};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use weights::Weights;

/// The file of the parameters in a checkpoint.
pub const MODEL_FILE: &str = "model.safetensors";

/// The file of Adam's moments in a checkpoint.
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";

/// The files of a checkpoint.
pub(crate) const FILES: [&str; 2] = [MODEL_FILE, OPTIMIZER_FILE];

/// The folder of a run's checkpoints.
pub(crate) const FOLDER: &str = "checkpoints";

/// The one metadata key.
const METADATA_KEY: &str = "elbo";

/// How many checkpoints a run keeps.
const KEPT: usize = 2;

/// A model and how far it is trained: what a run starts with and goes on from.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Sizes of the layers.
    pub architecture: Architecture,
    /// The model file's own description; none in a file from elsewhere.
    pub about: Option<About>,
    /// The weights.
    pub theta: Parameters,
    /// Adam's mean of gradients.
    pub m: Parameters,
    /// Adam's mean of squared gradients.
    pub v: Parameters,
    /// The part that is no tensor.
    pub progress: Progress,
}

/// Facts that the shapes of the tensors do not show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The hidden layers as `--architecture` has them, where they are not linear ones with ReLU alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Numbers of a pixel: 1 grey, 3 colour.
    #[serde(default = "grey")]
    pub channels: usize,
    /// How the columns of a table are standardised, where it learned from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<ColumnMoments>,
    /// Rows of an image.
    pub height: usize,
    /// p(x | z).
    pub likelihood: LikelihoodName,
    /// The standard deviation of a pixel, for the Gaussian.
    pub sigma: f32,
    /// Columns of an image.
    pub width: usize,
}

/// Channels in files that name none.
fn grey() -> usize {
    1
}

/// The epoch with the best ELBO on the validation images so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Mean ELBO of the validation images, in nats.
    pub elbo: f64,
    /// Passes over the training images.
    pub epoch: f64,
    /// Steps: the checkpoint that is kept.
    pub step: u64,
}

/// Where training stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The best epoch so far, with validation images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// What it is trained on; none in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Fingerprint>,
    /// Key of all random numbers.
    pub seed: u64,
    /// A sigma that changes with training: its logarithm, and Adam's moments of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma: Option<[f32; 3]>,
    /// Steps done.
    pub step: u64,
}

impl State {
    /// Before the first step: weights as PyTorch draws them, by `seed`; no moments.
    pub fn initial(architecture: Architecture, about: About, seed: u64) -> Self {
        let theta = Parameters::initial(&architecture, seed);
        Self {
            progress: Progress { seed, ..Progress::default() },
            ..Self::new(architecture, Some(about), theta)
        }
    }

    fn new(architecture: Architecture, about: Option<About>, theta: Parameters) -> Self {
        let zeros = theta.zeros_like();
        Self { architecture, about, theta, m: zeros.clone(), v: zeros, progress: Progress::default() }
    }

    /// Reads a model file, from a checkpoint of ours or from PyTorch; `tell` hears what had to be done to its tensors.
    /// Convolutions from elsewhere are for images of the size `image`, of which they divide the sides by 2 where their
    /// windows are even, and keep them where they are odd.
    ///
    /// # Errors
    /// The file cannot be read, is no VAE of such layers, or has weights that are NaN or infinite.
    pub fn read_model(path: &Path, image: Option<Grid>, tell: &mut dyn FnMut(String)) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
        let (tensors, about) = parse::<About>(path, &bytes)?;
        let mut weights = Weights::new(path, &tensors)?;
        weights.check_memory()?;
        let architecture = architecture(path, &weights, about.as_ref(), image)?;
        let columns = about.as_ref().and_then(|about| about.columns.as_ref());
        if let Some(problem) = columns.and_then(|columns| columns.problem(architecture.dimension())) {
            return Err(Error::run(path, format!("{problem}; copy it again")));
        }
        let layers = architecture.layers();
        let theta = read_layers(&layers, "", |name, shape| weights.read_finite(name, shape))?;
        weights.check_complete()?;
        weights.notes().into_iter().for_each(tell);
        Ok(Self::new(architecture, about, theta))
    }

    /// Reads the last checkpoint of a run directory: what training goes on from.
    pub fn read(run: &Path) -> Result<Self> {
        Self::read_checkpoint(&last(run)?)
    }

    /// Reads the checkpoint of a run's best epoch on the validation images, or the last one where it has none: what a run
    /// is used for.
    pub fn read_best(run: &Path) -> Result<Self> {
        let last = Self::read(run)?;
        match last.progress.best {
            Some(best) if best.step != last.progress.step => {
                Self::read_checkpoint(&checkpoint(run, best.step))
            }
            _ => Ok(last),
        }
    }

    fn read_checkpoint(directory: &Path) -> Result<Self> {
        let model = Self::read_model(&directory.join(MODEL_FILE), None, &mut |_| ())?;
        let path = directory.join(OPTIMIZER_FILE);
        let bytes = fs::read(&path).map_err(Error::io(&path, "read"))?;
        let (tensors, progress) = parse(&path, &bytes)?;
        let layers = model.architecture.layers();
        let mut moments = Weights::new(&path, &tensors)?;
        Ok(Self {
            progress: progress.ok_or_else(|| Error::run(&path, "does not say which step it belongs to"))?,
            m: read_layers(&layers, "m.", |name, shape| moments.read(name, shape))?,
            v: read_layers(&layers, "v.", |name, shape| moments.read(name, shape))?,
            ..model
        })
    }

    /// Names, shapes and values of all weights and biases, as PyTorch has them.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>, &[f32])> {
        tensors(&self.architecture.layers(), &self.theta)
    }

    /// Writes checkpoint `checkpoints/STEP` of a run directory and removes all but the last two, the best, and itself.
    ///
    /// # Errors
    /// If the run is gone, or cannot be written to; what was there before is there still.
    pub fn write(&self, run: &Path) -> Result<()> {
        let checkpoints = files::own(run, FOLDER)?;
        if !checkpoints.is_dir() {
            return Err(Error::run(
                run,
                "is gone, or has no `checkpoints` any more: nothing can be saved there",
            ));
        }
        let step = self.progress.step;
        let target = files::own(&checkpoints, &step.to_string())?;
        let temporary = files::new_folder(&target)?;
        let layers = self.architecture.layers();
        let moments = [("m.", &self.m), ("v.", &self.v)];
        let written =
            write_tensors(&temporary.join(MODEL_FILE), &[("", &self.theta)], &layers, self.about.as_ref())
                .and_then(|()| {
                    write_tensors(&temporary.join(OPTIMIZER_FILE), &moments, &layers, Some(&self.progress))
                })
                .and_then(|()| match target.exists() {
                    // What is there is this checkpoint, or half of it, after a crash of the machine.
                    true => files::exchange(&temporary, &target).and_then(|()| {
                        fs::remove_dir_all(&temporary).map_err(Error::io(&temporary, "remove"))
                    }),
                    false => files::publish(&temporary, &target),
                });
        if let Err(error) = written {
            let _ = fs::remove_dir_all(&temporary);
            return Err(error);
        }
        self.prune(run)
    }

    /// Removes all earlier checkpoints of a run but the last two with this one, and the best: also what is left of one that
    /// was being removed.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub fn prune(&self, run: &Path) -> Result<()> {
        let best = self.progress.best.map(|best| best.step);
        let whole = list(run)?;
        let kept = |old: u64| old >= self.progress.step || Some(old) == best;
        let last = whole.iter().rev().take(KEPT).copied().collect::<Vec<u64>>();
        for (old, folder) in folders(run)?.into_iter().filter(|(old, _)| !kept(*old) && !last.contains(old)) {
            let entries = fs::read_dir(&folder).map_err(Error::io(&folder, "read"))?.flatten();
            let is_ours =
                entries.map(|entry| entry.file_name()).all(|name| FILES.iter().any(|file| name == **file));
            if whole.contains(&old) || is_ours {
                fs::remove_dir_all(&folder).map_err(Error::io(&folder, "remove"))?;
            }
        }
        Ok(())
    }
}

/// The steps of a run's checkpoints, in order: folders, no links, named as numbers are written, with both files.
pub fn list(run: &Path) -> Result<Vec<u64>> {
    let whole = |folder: &Path| FILES.iter().all(|file| folder.join(file).is_file());
    let folders = folders(run)?.into_iter();
    Ok(folders.filter(|(_, folder)| whole(folder)).map(|(step, _)| step).collect())
}

/// The folders of a run's checkpoints, by step: those that are named as numbers are written, and no links.
pub(crate) fn folders(run: &Path) -> Result<BTreeMap<u64, PathBuf>> {
    let checkpoints = run.join(FOLDER);
    let entries = fs::read_dir(&checkpoints).map_err(Error::io(&checkpoints, "read"))?;
    let folder = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let step: u64 = name.to_str()?.parse().ok()?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        (is_folder && name == *step.to_string()).then(|| (step, entry.path()))
    };
    Ok(entries.flatten().filter_map(folder).collect())
}

/// The directory of a run's checkpoint of `step`.
fn checkpoint(run: &Path, step: u64) -> PathBuf {
    run.join(FOLDER).join(step.to_string())
}

/// The directory of a run's last checkpoint.
pub fn last(run: &Path) -> Result<PathBuf> {
    if !run.is_dir() {
        return Err(Error::run(run, "there is no such run directory; `elbo train` makes one"));
    }
    if !run.join(FOLDER).is_dir() {
        let problem = "is no run directory, it has no `checkpoints` in it; give one that `elbo train` made";
        return Err(Error::run(run, problem));
    }
    match list(run)?.last() {
        Some(&step) => Ok(checkpoint(run, step)),
        None => Err(Error::run(run, "has no checkpoint; train it again with --force")),
    }
}

/// Names, shapes and values, row-major, of all weights and biases, as PyTorch has them.
fn tensors<'a>(layers: &[Layer], parameters: &'a Parameters) -> Vec<(String, Vec<usize>, &'a [f32])> {
    let of = |(layer, values): (&Layer, &'a Vec<f32>)| {
        let (weight, bias) = values.split_at(layer.weights());
        [
            (format!("{}.weight", layer.name), layer.weight_shape(), weight),
            (format!("{}.bias", layer.name), vec![layer.biases()], bias),
        ]
    };
    layers.iter().zip(&parameters.0).flat_map(of).collect()
}

fn write_tensors(
    path: &Path,
    groups: &[(&str, &Parameters)],
    layers: &[Layer],
    metadata: Option<&impl Serialize>,
) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| Error::run(path, format!("cannot be written: {e}"));
    let mut views = Vec::new();
    for (prefix, parameters) in groups {
        for (name, shape, values) in tensors(layers, parameters) {
            let view =
                TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(values)).map_err(|e| failed(&e))?;
            views.push((format!("{prefix}{name}"), view));
        }
    }
    let metadata = metadata
        .map(|metadata| {
            serde_json::to_string(metadata).map(|json| HashMap::from([(METADATA_KEY.into(), json)]))
        })
        .transpose()
        .map_err(|e| failed(&e))?;
    let bytes = safetensors::serialize(views, metadata).map_err(|e| failed(&e))?;
    files::write_new(path, bytes)
}

/// The tensors of a file and the JSON under our metadata key.
fn parse<'a, M: DeserializeOwned>(path: &Path, bytes: &'a [u8]) -> Result<(SafeTensors<'a>, Option<M>)> {
    let damaged = |e: &dyn std::fmt::Display| {
        let advice = "copy it again, or if it is of a run, remove this checkpoint to use the one before it";
        Error::run(path, format!("is damaged or no safetensors file ({e}); {advice}"))
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
    let about = header.metadata().as_ref().and_then(|map| map.get(METADATA_KEY));
    let about = about.map(|json| serde_json::from_str(json)).transpose().map_err(|e| damaged(&e))?;
    Ok((SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?, about))
}

/// Weight and bias of each layer, from `read`, which is asked for a name and a shape.
fn read_layers(
    layers: &[Layer],
    prefix: &str,
    mut read: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
) -> Result<Parameters> {
    let layer = |layer: &Layer| -> Result<Vec<f32>> {
        let name = &layer.name;
        let mut numbers = read(&format!("{prefix}{name}.weight"), &layer.weight_shape())?;
        numbers.extend(read(&format!("{prefix}{name}.bias"), &[layer.biases()])?);
        Ok(numbers)
    };
    Ok(Parameters(layers.iter().map(layer).collect::<Result<_>>()?))
}

/// The layers, from the file's own description or the shapes of the encoder's weights. Shapes do not say the size of
/// the `image` that convolutions are for.
fn architecture(
    path: &Path,
    weights: &Weights<'_>,
    about: Option<&About>,
    image: Option<Grid>,
) -> Result<Architecture> {
    let shapes = weights.shapes_of("encoder.", ".weight");
    let Some((&[statistics, inputs], hidden)) = shapes.split_last() else {
        return Err(Error::run(
            path,
            "has no tensor `encoder.0.weight`; expected a VAE with `encoder` and `decoder` as nn.Sequential, whose \
             encoder ends in a Linear",
        ));
    };
    let shapes_of_none = shapes.iter().any(|shape| shape.contains(&0));
    if statistics % 2 == 1 || shapes_of_none {
        let problem = format!("the encoder ends in {statistics} outputs, expected a mean and a log-std each");
        return Err(Error::run(path, problem));
    }
    let latent = statistics / 2;
    if let Some(About { architecture: Some(text), channels, height, width, .. }) = about {
        let hidden = text.parse().map_err(|e: Error| Error::run(path, e.to_string()))?;
        let image = Grid { channels: *channels, height: *height, width: *width };
        return checked(path, Architecture { image, hidden, latent });
    }
    if hidden.iter().all(|shape| shape.len() == 2) {
        let dimension = shapes[0].get(1).copied().unwrap_or(*inputs);
        let widths: Vec<usize> = hidden.iter().map(|shape| shape[0]).collect();
        return checked(path, Architecture::linear(dimension, &widths, latent));
    }
    let Some(image) = image else {
        let problem = "has convolutions and does not say the size of its images; add --data with such images";
        return Err(Error::run(path, problem));
    };
    let hidden =
        Layers { encoder: hidden.iter().map(|shape| Hidden::of_shape(shape)).collect(), decoder: None };
    checked(path, Architecture { image, hidden, latent })
}

fn checked(path: &Path, architecture: Architecture) -> Result<Architecture> {
    architecture.check().map_err(|e| Error::run(path, e.to_string()))?;
    Ok(architecture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_names_no_channels_is_of_grey_images() {
        let read = |json: &str| serde_json::from_str::<About>(json).unwrap();
        let old = read(r#"{"height":28,"likelihood":"gaussian","sigma":1.0,"width":28}"#);
        assert_eq!(old.channels, 1);
        let json = serde_json::to_string(&About { channels: 3, ..old.clone() }).unwrap();
        assert!(json.starts_with(r#"{"channels":3,"height":28,"#), "fields are sorted: {json}");
        assert_eq!(read(&json), About { channels: 3, ..old });
    }
}
