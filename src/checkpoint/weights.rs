//! Weights from elsewhere: names without the prefixes of wrappers, numbers of any width as f32, and what was done told.
//!
//! `nn.DataParallel` and `DistributedDataParallel` put `module` before the names of a model or of a part of it,
//! `torch.compile` puts `_orig_mod`; both may be there, in any order. Numbers may be f16, bf16, f32 or f64. Tensors of
//! no layer, such as a count of steps, are left out.

use crate::error::{Error, Result};
use crate::memory::has_room;
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

    /// The shapes of the matrices and windows whose names are a whole number between two texts, in its order.
    pub(super) fn shapes_of(&self, start: &str, end: &str) -> Vec<&[usize]> {
        let number = |name: &String| {
            let text = name.strip_prefix(start)?.strip_suffix(end)?;
            text.parse::<usize>().ok().filter(|number| *text == number.to_string())
        };
        let found = self.tensors.iter().filter_map(|(name, tensor)| Some((number(name)?, tensor.shape())));
        let ordered: BTreeMap<usize, &[usize]> = found.collect();
        ordered.into_values().filter(|shape| [2, 4].contains(&shape.len())).collect()
    }

    /// Refuses tensors that, as 32-bit numbers with their moments, take more memory than there is.
    pub(super) fn check_memory(&self) -> Result<()> {
        let numbers: usize =
            self.tensors.values().map(|tensor| tensor.shape().iter().product::<usize>()).sum();
        if has_room(numbers.saturating_mul(5 * size_of::<f32>())) {
            return Ok(());
        }
        Err(Error::run(self.path, format!("its {numbers} numbers take more memory than there is")))
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
                    "tensor `{name}` is of a layer beside {}; only Linear, Conv2d and ConvTranspose2d with ReLU in turn are understood",
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

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    /// Tensors of a model 3-2-2*1-2-3: names, types, shapes and bytes.
    type File = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;

    /// Numbers that all types hold exactly.
    fn value(i: usize) -> f32 {
        (i % 7) as f32 * 0.25 - 0.75
    }

    fn bytes(dtype: Dtype, count: usize) -> Vec<u8> {
        let values = (0..count).map(value);
        match dtype {
            Dtype::F16 => values.flat_map(|v| f16::from_f32(v).to_le_bytes()).collect(),
            Dtype::BF16 => values.flat_map(|v| bf16::from_f32(v).to_le_bytes()).collect(),
            Dtype::F64 => values.flat_map(|v| f64::from(v).to_le_bytes()).collect(),
            _ => values.flat_map(f32::to_le_bytes).collect(),
        }
    }

    fn model(name: impl Fn(&str) -> String, dtype: impl Fn(usize) -> Dtype) -> File {
        let shapes: [(&str, &[usize]); 8] = [
            ("encoder.0.weight", &[2, 3]),
            ("encoder.0.bias", &[2]),
            ("encoder.2.weight", &[2, 2]),
            ("encoder.2.bias", &[2]),
            ("decoder.0.weight", &[2, 1]),
            ("decoder.0.bias", &[2]),
            ("decoder.2.weight", &[3, 2]),
            ("decoder.2.bias", &[3]),
        ];
        let tensor = |(i, (of, shape)): (usize, (&str, &[usize]))| {
            (name(of), dtype(i), shape.to_vec(), bytes(dtype(i), shape.iter().product()))
        };
        shapes.into_iter().enumerate().map(tensor).collect()
    }

    fn read(file: &File) -> (Result<State>, Vec<String>) {
        let views = file.iter().map(|(name, dtype, shape, bytes)| {
            (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("model.safetensors");
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        let mut told = Vec::new();
        let state = State::read_model(&path, None, &mut |sentence| told.push(sentence));
        (state, told)
    }

    fn plain() -> File {
        model(str::to_owned, |_| Dtype::F32)
    }

    fn refused(file: &File) -> String {
        read(file).0.unwrap_err().to_string()
    }

    #[test]
    fn wrappers_and_types_change_no_number() {
        let (want, told) = read(&plain());
        let want = want.unwrap();
        assert_eq!((want.architecture.hidden.widths(), told), (Some(vec![2]), Vec::new()));
        assert_eq!(want.theta.0[0], (0..6).chain(0..2).map(value).collect::<Vec<_>>());
        let types = [Dtype::F16, Dtype::BF16, Dtype::F64, Dtype::F32];
        let names: [fn(&str) -> String; 6] = [
            str::to_owned,
            |name| format!("module.{name}"),
            |name| format!("_orig_mod.{name}"),
            |name| format!("module._orig_mod.{name}"),
            |name| format!("_orig_mod.module.{name}"),
            // One part of the model was compiled on its own.
            |name| name.replace("encoder.", "encoder._orig_mod."),
        ];
        for (n, name) in names.into_iter().enumerate() {
            for first in 0..5 {
                // All of one type, or mixed.
                let dtype = |i: usize| if first < 4 { types[first] } else { types[i % 4] };
                let mut file = model(name, dtype);
                file.push(("step".into(), Dtype::I64, vec![1], vec![0; 8]));
                let (state, told) = read(&file);
                assert_eq!(state.unwrap(), want, "names {n}, types {first}");
                let has = |words: &str| told.iter().any(|sentence| sentence.contains(words));
                assert!(has("1 tensor of no layer was left out: `step`"), "{told:?}");
                assert_eq!(has("was taken off the names"), n > 0, "{told:?}");
                assert_eq!(has("converted from F16 to F32"), [0, 4].contains(&first), "{told:?}");
                assert_eq!(has("converted from F64 to F32"), [2, 4].contains(&first), "{told:?}");
            }
        }
    }

    #[test]
    fn numbers_that_no_model_has_are_refused() {
        for (index, bad) in [(0, f32::NAN), (5, f32::INFINITY), (7, f32::NEG_INFINITY)] {
            let mut file = plain();
            file[index].3[4..8].copy_from_slice(&bad.to_le_bytes());
            let error = refused(&file);
            assert!(error.contains(&format!("tensor `{}` has 1 of", file[index].0)), "{error}");
            assert!(error.contains(&format!("being {bad} at 1")), "{error}");
        }
        // 1e39 is a number in f64 only.
        let mut file = model(str::to_owned, |_| Dtype::F64);
        file[0].3[..8].copy_from_slice(&1e39f64.to_le_bytes());
        assert!(refused(&file).contains("encoder.0.weight"));
        let mut file = plain();
        file[2] = (file[2].0.clone(), Dtype::I32, vec![2, 2], vec![0; 16]);
        assert!(refused(&file).contains("`encoder.2.weight` is I32, expected F16, BF16, F32 or F64"));
    }

    #[test]
    fn two_models_in_a_file_and_layers_beside_ours_are_refused() {
        let both = [plain(), model(|name| format!("module.{name}"), |_| Dtype::F32)].concat();
        assert!(refused(&both).contains("has two tensors for `"));
        let mut normed = plain();
        normed.push(("encoder.1.weight".into(), Dtype::F32, vec![2], bytes(Dtype::F32, 2)));
        assert!(refused(&normed).contains("tensor `encoder.1.weight` is of a layer beside"));
    }
}
