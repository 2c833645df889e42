//! Which variant of each kernel is the fastest on an adapter: measured once, and kept in a file.
//!
//! ```text
//! {"ADAPTER, DRIVER, elbo VERSION": {"linear 128 x 784 x 300": "64 x 32", ...}, ...}
//! ```
//!
//! Variants give the same weights bit for bit; only the order in which partial sums of a loss are added differs.

use super::{Description, Gpu, GpuEngine};
use crate::engine::{Engine, Info, MOST_STEPS};
use crate::error::{Error, Result};
use crate::files;
use crate::program::{Call, Kernel, OneVariant, Plan, ProgramId, Step, Variant};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Least time of one measurement.
const LEAST_SECONDS: f64 = 2e-3;

/// Measurements of each variant; the shortest counts.
const ROUNDS: usize = 4;

/// A variant must be this much faster than the first one to be taken instead.
const LEAST_GAIN: f64 = 1.03;

/// Names of variants by [`Kernel::tuning_key`].
type Choices = BTreeMap<String, String>;

/// The fastest variants of an adapter, as far as they were measured.
#[derive(Debug, Default)]
pub(crate) struct Tuning {
    /// The file, if there is a place for it.
    file: Option<PathBuf>,
    /// The adapter's name in the file.
    adapter: String,
    /// Whether what is not known is measured.
    measures: bool,
    /// Called with lines for the user.
    told: Option<fn(&str)>,
    choices: Choices,
}

impl Tuning {
    /// Reads the user's cache of an adapter; nothing if it is to be measured `again`. Software adapters are
    /// measured only then: nobody uses them for speed.
    pub(crate) fn new(adapter: &Description, again: bool, told: Option<fn(&str)>) -> Self {
        let file = dirs::cache_dir().map(|folder| folder.join("elbo").join("tiles.json"));
        let name = format!("{}, {}, elbo {}", adapter.name, adapter.driver, env!("CARGO_PKG_VERSION"));
        let known = file.as_deref().filter(|_| !again).map(read);
        let choices = known.and_then(|mut known| known.remove(&name)).unwrap_or_default();
        Self { file, adapter: name, measures: adapter.hardware || again, told, choices }
    }

    /// The variant to take of a kernel, and whether it was measured.
    pub(crate) fn choose(&self, kernel: &dyn Kernel, hardware: bool) -> (Variant, bool) {
        let mut variants = kernel.variants();
        let name = kernel.tuning_key().and_then(|key| self.choices.get(&key));
        let known = variants.iter().position(|variant| Some(&variant.name) == name);
        let software = || variants.iter().position(|variant| variant.software).filter(|_| !hardware);
        let at = known.or_else(software).unwrap_or(0);
        (variants.swap_remove(at), known.is_some())
    }

    /// Adds new choices, and writes them to the file beside what others wrote meanwhile, whole or not at all.
    fn keep(&mut self, new: Choices, time: Duration) {
        let done = format!("measured {} kernels in {:.1} s", new.len(), time.as_secs_f64());
        let kept = self.file.as_deref().map(|file| {
            let mut all = read(file);
            all.entry(self.adapter.clone()).or_default().extend(new.clone());
            write(file, &all).map(|()| file.display())
        });
        self.tell(&match kept {
            Some(Ok(file)) => format!("{done}; kept in {file}"),
            Some(Err(error)) => format!("{done}; not kept: {error}"),
            None => format!("{done}; not kept: this system has no folder for caches"),
        });
        self.choices.extend(new);
    }

    fn tell(&self, line: &str) {
        if let Some(told) = self.told {
            told(line);
        }
    }
}

/// The measured variants of an adapter, without opening it.
#[derive(Debug)]
pub struct Known {
    tuning: Tuning,
    hardware: bool,
}

impl Known {
    /// Reads what there is.
    pub fn of(adapter: &Description) -> Self {
        Self { tuning: Tuning::new(adapter, false, None), hardware: adapter.hardware }
    }

    /// The variant that the adapter takes of a kernel, and whether it was measured.
    pub fn choose(&self, kernel: &dyn Kernel) -> (Variant, bool) {
        self.tuning.choose(kernel, self.hardware)
    }
}

/// All adapters' choices; none where the file is not there or not one of ours.
fn read(file: &Path) -> BTreeMap<String, Choices> {
    let text = fs::read(file).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn write(file: &Path, choices: &BTreeMap<String, Choices>) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
    }
    let text = serde_json::to_string_pretty(choices)
        .map_err(|e| Error::usage(format!("tile sizes cannot be written as JSON: {e}")))?;
    files::replace(file, text + "\n")
}

impl Gpu {
    /// From now on takes the fastest variant of each kernel. Those that are not in the file, or all if they are to be
    /// measured `again`, are measured when a plan needs them; `told` is called with lines for the user.
    pub fn tune(&self, again: bool, told: fn(&str)) {
        *self.tuning() = Tuning::new(&self.description, again, Some(told));
    }

    /// The variant that is taken of a kernel, and whether it was measured.
    pub fn choose(&self, kernel: &dyn Kernel) -> (Variant, bool) {
        self.tuning().choose(kernel, self.description.hardware)
    }

    /// Measures the kernels of a plan whose fastest variants are not known but wanted, and keeps the result.
    pub(super) fn measure(self: &Arc<Self>, plan: &Plan, info: &Info) -> Result<()> {
        if !self.tuning().measures {
            return Ok(());
        }
        let calls = plan.programs.iter().flat_map(|program| &program.calls);
        let named = calls.filter_map(|call| Some((call.kernel.tuning_key()?, &call.kernel)));
        let mut unknown: BTreeMap<_, _> = named.collect();
        unknown.retain(|_, kernel| !self.choose(&***kernel).1);
        if unknown.is_empty() {
            return Ok(());
        }
        self.tuning().tell("measuring tile sizes, once for this adapter and these layers");
        let start = Instant::now();
        let found = unknown.into_iter().map(|(key, kernel)| Ok((key, fastest(self, info, kernel)?)));
        let found = found.collect::<Result<_>>()?;
        self.tuning().keep(found, start.elapsed());
        Ok(())
    }
}

/// The name of a kernel's fastest variant, on buffers of zeros.
fn fastest(gpu: &Arc<Gpu>, info: &Info, kernel: &Arc<dyn Kernel>) -> Result<String> {
    let (spec, shape) = (kernel.spec(), kernel.shape());
    let mut plan = Plan::default();
    let mut buffers = |names: &[&str], lens: &[usize]| -> Vec<_> {
        names.iter().zip(lens).map(|(name, &len)| plan.buffer(*name, len)).collect()
    };
    let (reads, writes) = (buffers(spec.reads, &shape.reads), buffers(spec.writes, &shape.writes));
    let mut names = Vec::new();
    for one in OneVariant::all(kernel) {
        let program = plan.program(one.variant.name.clone());
        names.push(one.variant.name.clone());
        let (reads, writes) = (reads.clone(), writes.clone());
        plan.programs[program.0].calls.push(Call { kernel: Arc::new(one), reads, writes });
    }
    let mut engine = GpuEngine::new(Arc::clone(gpu), info.clone(), Arc::new(plan))?;
    let mut seconds = |program, steps: usize| {
        let time = engine.time(ProgramId(program), &vec![Step::default(); steps])?;
        Ok::<_, Error>(
            time.device.map_or(time.wall, |device| device.max(Duration::from_nanos(1))).as_secs_f64(),
        )
    };
    for program in 0..names.len() {
        seconds(program, 1)?;
    }
    let steps = ((LEAST_SECONDS / seconds(0, 1)?) as usize).clamp(1, MOST_STEPS);
    let mut shortest = vec![f64::INFINITY; names.len()];
    for _ in 0..ROUNDS {
        for (program, shortest) in shortest.iter_mut().enumerate() {
            *shortest = shortest.min(seconds(program, steps)?);
        }
    }
    let best = (0..names.len()).min_by(|&a, &b| shortest[a].total_cmp(&shortest[b])).unwrap_or(0);
    Ok(names.swap_remove(if shortest[0] < LEAST_GAIN * shortest[best] { 0 } else { best }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::linear::Linear;

    fn description() -> Description {
        Description { name: "test card".into(), driver: "driver 1".into(), ..Description::default() }
    }

    #[test]
    fn choices_are_kept_beside_those_of_other_adapters() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("new folder").join("tiles.json");
        let other = BTreeMap::from([("other card".to_owned(), Choices::from([("a".into(), "b".into())]))]);
        write(&file, &other).expect("a file");
        let mut tuning = Tuning { file: Some(file.clone()), ..Tuning::new(&description(), true, None) };
        tuning.keep(Choices::from([("linear 1 x 2 x 3".into(), "16 x 16".into())]), Duration::ZERO);
        let all = read(&file);
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!(all["other card"], other["other card"]);
        assert_eq!(all[&tuning.adapter]["linear 1 x 2 x 3"], "16 x 16");
        assert_eq!(
            fs::read_dir(file.parent().expect("a folder")).expect("it").count(),
            1,
            "no temporary file"
        );
    }

    #[test]
    fn a_file_that_is_none_of_ours_counts_as_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tiles.json");
        for text in ["", "{", "[1, 2]", "{\"card\": 3}"] {
            fs::write(&file, text).expect("a file");
            assert!(read(&file).is_empty(), "{text}");
        }
    }

    #[test]
    fn the_known_variant_is_taken_and_an_unknown_name_is_not() {
        let kernel =
            Linear { batch: 128, inputs: 300, outputs: 784, activation: crate::kernel::Activation::Identity };
        let key = kernel.tuning_key().expect("a product is tuned");
        let first = kernel.variants().swap_remove(0);
        let mut tuning = Tuning::default();
        assert_eq!(tuning.choose(&kernel, true), (first.clone(), false));
        tuning.choices.insert(key.clone(), "16 x 32".into());
        let (variant, measured) = tuning.choose(&kernel, true);
        assert_eq!((variant.name.as_str(), variant.grid, measured), ("16 x 32", [25, 8], true));
        tuning.choices.insert(key, "from another version".into());
        assert_eq!(tuning.choose(&kernel, true), (first, false));
    }
}
