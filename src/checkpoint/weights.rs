//! Weights from elsewhere: names without the prefixes of wrappers, numbers of any width as f32, and what was done told.
//!
//! `nn.DataParallel` and `DistributedDataParallel` put `module` before the names of a model or of a part of it,
//! `torch.compile` puts `_orig_mod`; both may be there, in any order. Numbers may be f16, bf16, f32 or f64. Tensors of
//! no layer, such as a count of steps, are left out.

use crate::error::{Error, Result};
use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What wrappers of PyTorch call the module inside them.
const WRAPPERS: [&str; 2] = ["module", "_orig_mod"];

/// Names of left out tensors that are told.
const TOLD: usize = 5;

/// The tensors of a file by the names that they have in a model that nothing wraps.
pub(super) struct Weights<'a> {
    path: &'a Path,
    tensors: BTreeMap<String, TensorView<'a>>,
    /// The wrappers whose names were taken away.
    wrappers: BTreeSet<&'static str>,
    /// How many tensors of each other type were read.
    converted: BTreeMap<String, usize>,
    read: BTreeSet<String>,
}

impl<'a> Weights<'a> {
    /// The tensors of `file`, which lies at `path`.
    pub(super) fn new(path: &'a Path, file: &SafeTensors<'a>) -> Result<Self> {
        let (mut tensors, mut wrappers) = (BTreeMap::new(), BTreeSet::new());
        for (name, tensor) in file.tensors() {
            let (taken, kept): (Vec<&str>, Vec<&str>) =
                name.split('.').partition(|part| WRAPPERS.contains(part));
            wrappers.extend(WRAPPERS.into_iter().filter(|wrapper| taken.contains(wrapper)));
            let plain = kept.join(".");
            if tensors.insert(plain.clone(), tensor).is_some() {
                let problem = format!(
                    "has two tensors for `{plain}`, one of them `{name}`: it is not clear which one counts; \
                     save one model only"
                );
                return Err(Error::run(path, problem));
            }
        }
        Ok(Self { path, tensors, wrappers, converted: BTreeMap::new(), read: BTreeSet::new() })
    }

    /// The shape of a tensor, if there is one of this name.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(TensorView::shape)
    }

    /// The numbers of a tensor.
    ///
    /// # Errors
    /// It is not there, has another shape, or does not consist of floats.
    pub(super) fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let refused = |problem: String| Err(Error::run(self.path, problem));
        let Some(tensor) = self.tensors.get(name) else {
            return refused(format!("has no tensor `{name}` of shape {shape:?}"));
        };
        let (found, dtype) = (tensor.shape(), tensor.dtype());
        if found != shape {
            return refused(format!("tensor `{name}` is {dtype:?} {found:?}, expected F32 {shape:?}"));
        }
        let Some(values) = numbers(tensor) else {
            return refused(format!(
                "tensor `{name}` is {dtype:?}, expected F16, BF16, F32 or F64; save it as one of them"
            ));
        };
        if dtype != Dtype::F32 {
            *self.converted.entry(format!("{dtype:?}")).or_default() += 1;
        }
        self.read.insert(name.to_owned());
        Ok(values)
    }

    /// As [`Weights::read`], for weights that a model computes with.
    ///
    /// # Errors
    /// A number is NaN or infinite, or too large for f32.
    pub(super) fn read_finite(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let values = self.read(name, shape)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(at) => {
                let bad = values.iter().filter(|value| !value.is_finite()).count();
                let problem = format!(
                    "tensor `{name}` has {bad} of {} numbers that f32 cannot hold, the first being {} at {at} (counted \
                     from 0); use a model whose training did not diverge",
                    values.len(),
                    values[at]
                );
                Err(Error::run(self.path, problem))
            }
        }
    }

    /// Refuses tensors of `encoder` and `decoder` that were not read: layers that this model does not have.
    pub(super) fn check_complete(&self) -> Result<()> {
        let part = |name: &&String| name.starts_with("encoder.") || name.starts_with("decoder.");
        match self.left_out().find(part) {
            None => Ok(()),
            Some(name) => {
                let layers: Vec<&str> = self.read.iter().map(String::as_str).collect();
                let problem = format!(
                    "tensor `{name}` is of a layer beside {}; only Linear and ReLU in turn are understood",
                    layers.join(", ")
                );
                Err(Error::run(self.path, problem))
            }
        }
    }

    fn left_out(&self) -> impl Iterator<Item = &String> {
        self.tensors.keys().filter(|name| !self.read.contains(*name))
    }

    /// What was done to the file's tensors, a sentence each.
    pub(super) fn notes(&self) -> Vec<String> {
        let path = self.path.display();
        let mut notes = Vec::new();
        if !self.wrappers.is_empty() {
            let prefixes: Vec<String> = self.wrappers.iter().map(|wrapper| format!("`{wrapper}.`")).collect();
            notes.push(format!("{path}: {} was taken off the names of its tensors", prefixes.join(" and ")));
        }
        for (dtype, count) in &self.converted {
            notes.push(format!("{path}: {count} tensors were converted from {dtype} to F32"));
        }
        let left: Vec<String> = self.left_out().map(|name| format!("`{}`", name.escape_debug())).collect();
        if !left.is_empty() {
            let more = if left.len() > TOLD { ", ..." } else { "" };
            let names = left[..left.len().min(TOLD)].join(", ");
            let tensors = if left.len() == 1 { "tensor of no layer was" } else { "tensors of no layer were" };
            notes.push(format!("{path}: {} {tensors} left out: {names}{more}", left.len()));
        }
        notes
    }
}

/// The numbers of a tensor of floats.
fn numbers(tensor: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = tensor.data();
    Some(match tensor.dtype() {
        Dtype::F16 => bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        Dtype::BF16 => bytes.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        Dtype::F32 => bytemuck::pod_collect_to_vec(bytes),
        Dtype::F64 => bytemuck::pod_collect_to_vec::<u8, f64>(bytes).iter().map(|&v| v as f32).collect(),
        _ => return None,
    })
}
