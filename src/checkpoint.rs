//! Checkpoints: `model.safetensors` in PyTorch's own names and layout, `optimizer.safetensors` beside it.
//!
//! A checkpoint is written to a temporary directory and renamed into place as one, so a kill at any moment
//! leaves the previous one.

use crate::error::{Error, Result};
use crate::model::{Architecture, Layer, LikelihoodName, Parameters};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The file of the parameters in a checkpoint.
pub const MODEL_FILE: &str = "model.safetensors";

/// The file of Adam's moments in a checkpoint.
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";

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
    /// Numbers of a pixel: 1 grey, 3 colour.
    #[serde(default = "grey")]
    pub channels: usize,
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

/// Where training stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
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

    /// Reads a model file, from a checkpoint of ours or from PyTorch.
    pub fn read_model(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
        let (tensors, about) = parse(path, &bytes)?;
        let architecture = architecture(path, &tensors)?;
        let layers = architecture.layers();
        let expected = 2 * layers.len();
        if tensors.len() != expected {
            let problem =
                format!("has {} tensors, expected the {expected} of {}", tensors.len(), names(&layers));
            return Err(Error::run(path, problem));
        }
        let theta = read_tensors(path, &tensors, "", &layers)?;
        Ok(Self::new(architecture, about, theta))
    }

    /// Reads the last checkpoint of a run directory.
    pub fn read(run: &Path) -> Result<Self> {
        let directory = last(run)?;
        let model = Self::read_model(&directory.join(MODEL_FILE))?;
        let path = directory.join(OPTIMIZER_FILE);
        let bytes = fs::read(&path).map_err(Error::io(&path, "read"))?;
        let (tensors, progress) = parse(&path, &bytes)?;
        let layers = model.architecture.layers();
        Ok(Self {
            progress: progress.ok_or_else(|| Error::run(&path, "does not say which step it belongs to"))?,
            m: read_tensors(&path, &tensors, "m.", &layers)?,
            v: read_tensors(&path, &tensors, "v.", &layers)?,
            ..model
        })
    }

    /// Writes checkpoint `checkpoints/STEP` of a run directory and removes all but the last two.
    pub fn write(&self, run: &Path) -> Result<()> {
        let checkpoints = run.join("checkpoints");
        let step = self.progress.step;
        let (temporary, target) =
            (checkpoints.join(format!(".{step}.tmp")), checkpoints.join(step.to_string()));
        fs::create_dir_all(&temporary).map_err(Error::io(&temporary, "create"))?;
        let layers = self.architecture.layers();
        write_tensors(&temporary.join(MODEL_FILE), &[("", &self.theta)], &layers, self.about.as_ref())?;
        let moments = [("m.", &self.m), ("v.", &self.v)];
        write_tensors(&temporary.join(OPTIMIZER_FILE), &moments, &layers, Some(&self.progress))?;
        if target.exists() {
            // Equal runs give equal bytes: what is there already is this checkpoint.
            fs::remove_dir_all(&temporary).map_err(Error::io(&temporary, "remove"))?;
        } else {
            fs::rename(&temporary, &target).map_err(Error::io(&target, "create"))?;
        }
        for old in list(run)?.iter().rev().skip(KEPT) {
            let old = checkpoints.join(old.to_string());
            fs::remove_dir_all(&old).map_err(Error::io(&old, "remove"))?;
        }
        Ok(())
    }
}

/// The steps of a run's checkpoints, in order.
pub fn list(run: &Path) -> Result<Vec<u64>> {
    let checkpoints = run.join("checkpoints");
    let entries = fs::read_dir(&checkpoints).map_err(Error::io(&checkpoints, "read"))?;
    let mut steps: Vec<u64> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    steps.sort_unstable();
    Ok(steps)
}

/// The directory of a run's last checkpoint.
pub fn last(run: &Path) -> Result<PathBuf> {
    if !run.is_dir() {
        return Err(Error::run(run, "there is no such run directory; `elbo train` makes one"));
    }
    if !run.join("checkpoints").is_dir() {
        let problem = "is no run directory, it has no `checkpoints` in it; give one that `elbo train` made";
        return Err(Error::run(run, problem));
    }
    match list(run)?.last() {
        Some(step) => Ok(run.join("checkpoints").join(step.to_string())),
        None => Err(Error::run(run, "has no checkpoint; train it again with --force")),
    }
}

/// Weight and bias of each layer, row-major, under PyTorch's names.
fn write_tensors(
    path: &Path,
    groups: &[(&str, &Parameters)],
    layers: &[Layer],
    metadata: Option<&impl Serialize>,
) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| Error::run(path, format!("cannot be written: {e}"));
    let mut views = Vec::new();
    for (prefix, parameters) in groups {
        for (layer, values) in layers.iter().zip(&parameters.0) {
            let (weight, bias) = values.split_at(layer.outputs * layer.inputs);
            let shapes = [vec![layer.outputs, layer.inputs], vec![layer.outputs]];
            for ((part, values), shape) in [("weight", weight), ("bias", bias)].into_iter().zip(shapes) {
                let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(values))
                    .map_err(|e| failed(&e))?;
                views.push((format!("{prefix}{}.{part}", layer.name), view));
            }
        }
    }
    let metadata = metadata
        .map(|metadata| {
            serde_json::to_string(metadata).map(|json| HashMap::from([(METADATA_KEY.into(), json)]))
        })
        .transpose()
        .map_err(|e| failed(&e))?;
    let bytes = safetensors::serialize(views, metadata).map_err(|e| failed(&e))?;
    fs::write(path, bytes).map_err(Error::io(path, "write"))
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

fn read_tensors(
    path: &Path,
    tensors: &SafeTensors<'_>,
    prefix: &str,
    layers: &[Layer],
) -> Result<Parameters> {
    let read = |layer: &Layer| -> Result<Vec<f32>> {
        // Not allocated ahead: the sizes are those of a file that is not checked yet.
        let mut values = Vec::new();
        let shapes = [vec![layer.outputs, layer.inputs], vec![layer.outputs]];
        for (part, shape) in ["weight", "bias"].into_iter().zip(shapes) {
            let name = format!("{prefix}{}.{part}", layer.name);
            let tensor = tensors
                .tensor(&name)
                .map_err(|_| Error::run(path, format!("has no tensor `{name}` of shape {shape:?}")))?;
            if tensor.shape() != shape || tensor.dtype() != Dtype::F32 {
                let (found, dtype) = (tensor.shape(), tensor.dtype());
                let problem = format!("tensor `{name}` is {dtype:?} {found:?}, expected F32 {shape:?}");
                return Err(Error::run(path, problem));
            }
            values.extend(bytemuck::pod_collect_to_vec::<u8, f32>(tensor.data()));
        }
        Ok(values)
    };
    Ok(Parameters(layers.iter().map(read).collect::<Result<_>>()?))
}

/// Layer sizes from the shapes of the encoder's weights.
fn architecture(path: &Path, tensors: &SafeTensors<'_>) -> Result<Architecture> {
    let mut widths = Vec::new();
    for number in (0..).step_by(2) {
        let name = format!("encoder.{number}.weight");
        let Ok(tensor) = tensors.tensor(&name) else { break };
        let &[outputs, inputs] = tensor.shape() else {
            return Err(Error::run(
                path,
                format!("tensor `{name}` is {:?}, expected a matrix", tensor.shape()),
            ));
        };
        if widths.is_empty() {
            widths.push(inputs);
        }
        widths.push(outputs);
    }
    let [dimension, hidden @ .., statistics] = &widths[..] else {
        return Err(Error::run(
            path,
            "has no tensor `encoder.0.weight`; expected a VAE with `encoder` and `decoder` as nn.Sequential",
        ));
    };
    if statistics % 2 == 1 || *statistics == 0 || *dimension == 0 || hidden.contains(&0) {
        let problem = format!("the encoder ends in {statistics} outputs, expected a mean and a log-std each");
        return Err(Error::run(path, problem));
    }
    Ok(Architecture { dimension: *dimension, hidden: hidden.to_vec(), latent: statistics / 2 })
}

fn names(layers: &[Layer]) -> String {
    let names: Vec<_> = layers.iter().map(|layer| layer.name.as_str()).collect();
    format!("{} (weight and bias each)", names.join(", "))
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
