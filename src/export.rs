//! A plan as JSON: all that a host in another language needs to run it on WebGPU. `web/engine.js` is one.
//!
//! ```text
//! {"format": "elbo plan", "version": 1, "most_steps"            a version that a host does not know must be refused
//!  "step":     {"bytes", "fields": [{"name", "offset"}]}        the uniform block that changes from step to step
//!  "shaders":  [{"kernel", "source", "constants", "bindings"}]   WGSL, its override constants; binding: number, slot
//!  "buffers":  [{"name", "words"}]                               words of 32 bits
//!  "programs": [{"name", "calls": [{"shader", "params", "reads", "writes", "grid"}]}]}
//! ```
//!
//! A slot is `"params"`, `"step"`, `{"read": i}` or `{"write": i}`: the i-th of the call's `reads` or `writes`, which are
//! numbers of buffers. `params` are the words of the call's own uniform block. Grids are workgroups in x and y.
//!
//! Shaders are those of adapters about which nothing is known: the first variant of each kernel, and exp2 by a polynomial.
//!
//! [`write_cases`] writes the kernels' tests in the same form, with contents and the f64 truth, so that any host can show
//! that it runs the shaders correctly.

use crate::data::digits;
use crate::engine::binding::{Binding, bindings};
use crate::engine::{Choice, Device, MOST_STEPS};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::grid::Grid;
use crate::kernel::ALL;
use crate::kernel::backward_weights::Adam;
use crate::measure::suite;
use crate::model::{Decoder, Encoder, Evaluation, ImageBuffers, LayerBuffers, LikelihoodName, Pass};
use crate::program::{
    Buffer, BufferId, Call, Kernel, PartialSums, Plan, STEP_FIELDS, ShaderChoice, Spec, Step, Variant,
};
use crate::train::config::Config;
use crate::train::session::{Session, initial_state};
use crate::train::words::StepWords;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Range;
use std::path::Path;

/// What the files say they are.
const FORMAT: &str = "elbo plan";

/// Of the format: greater where an older host would run a plan wrongly.
const VERSION: u32 = 1;

/// A plan to be serialised.
#[derive(Debug, Serialize)]
pub struct ExportedPlan {
    format: &'static str,
    version: u32,
    most_steps: usize,
    step: ExportedBlock,
    shaders: Vec<ExportedShader>,
    buffers: Vec<ExportedBuffer>,
    programs: Vec<ExportedProgram>,
    #[serde(skip)]
    known: HashMap<String, usize>,
}

#[derive(Debug, Serialize)]
struct ExportedBlock {
    bytes: usize,
    fields: Vec<ExportedField>,
}

#[derive(Debug, Serialize)]
struct ExportedField {
    name: &'static str,
    offset: usize,
}

#[derive(Debug, Serialize)]
struct ExportedShader {
    kernel: &'static str,
    source: &'static str,
    constants: BTreeMap<&'static str, f64>,
    bindings: Vec<Binding>,
}

#[derive(Debug, Serialize)]
struct ExportedBuffer {
    name: String,
    words: usize,
}

#[derive(Debug, Serialize)]
struct ExportedProgram {
    name: String,
    calls: Vec<ExportedCall>,
}

#[derive(Debug, Serialize)]
struct ExportedCall {
    shader: usize,
    params: Vec<u32>,
    reads: Vec<usize>,
    writes: Vec<usize>,
    grid: [usize; 2],
}

impl ExportedPlan {
    /// A plan with the first variant of each kernel.
    ///
    /// # Errors
    /// A shader cannot be read: a mistake in this crate.
    pub fn of(plan: &Plan) -> Result<Self> {
        let mut exported = Self::empty();
        exported.buffers.extend(plan.buffers.iter().map(ExportedBuffer::of));
        for program in &plan.programs {
            let calls = program.calls.iter().map(|call| {
                let variant = call.kernel.variants().swap_remove(0);
                exported.call(call, &variant, 0)
            });
            let calls = calls.collect::<Result<_>>()?;
            exported.programs.push(ExportedProgram { name: program.name.clone(), calls });
        }
        Ok(exported)
    }

    fn empty() -> Self {
        let field = |&(name, offset, _): &(&'static str, usize, &str)| ExportedField { name, offset };
        Self {
            format: FORMAT,
            version: VERSION,
            most_steps: MOST_STEPS,
            step: ExportedBlock { bytes: size_of::<Step>(), fields: STEP_FIELDS.iter().map(field).collect() },
            shaders: Vec::new(),
            buffers: Vec::new(),
            programs: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// A call whose buffers are counted from `first`.
    fn call(&mut self, call: &Call, variant: &Variant, first: usize) -> Result<ExportedCall> {
        Ok(ExportedCall {
            shader: self.shader(&*call.kernel, variant)?,
            params: call.kernel.params(),
            reads: call.reads.iter().map(|id| first + id.0).collect(),
            writes: call.writes.iter().map(|id| first + id.0).collect(),
            grid: variant.grid,
        })
    }

    /// The number of a shader with its constants, each kept once.
    fn shader(&mut self, kernel: &dyn Kernel, variant: &Variant) -> Result<usize> {
        let spec = kernel.spec();
        let ShaderChoice { source, constants, key } = kernel.shader_choice(variant, || Ok(false))?;
        if let Some(&known) = self.known.get(&key) {
            return Ok(known);
        }
        let constants = constants.0.into_iter().collect();
        self.shaders.push(ExportedShader {
            kernel: spec.name,
            source,
            constants,
            bindings: bindings(spec, source)?,
        });
        self.known.insert(key, self.shaders.len() - 1);
        Ok(self.shaders.len() - 1)
    }
}

/// The plan of a model, which of its programs and buffers are what, and what the buffers hold before the first step.
#[derive(Debug, Serialize)]
pub(crate) struct ExportedModel {
    #[serde(flatten)]
    plan: ExportedPlan,
    /// Height, width and channels of an image.
    image: [usize; 3],
    latent: usize,
    likelihood: LikelihoodName,
    layers: Vec<ExportedLayer>,
    train: Pass,
    /// Where the words of the training step's block come from.
    words: StepWords,
    train_images: ImageBuffers,
    test_images: ImageBuffers,
    evaluate_test: Evaluation,
    encoder: Encoder,
    decoder: Decoder,
    /// All but zeros, by offsets in the file beside.
    contents: Vec<PlacedContents>,
}

/// Its buffers.
#[derive(Debug, Serialize)]
struct ExportedLayer {
    name: String,
    weight_shape: Vec<usize>,
    theta: BufferId,
    m: BufferId,
    v: BufferId,
}

impl ExportedModel {
    /// As the session holds it now.
    pub(crate) fn of(session: &mut Session, bytes: &mut Bytes) -> Result<Self> {
        let memory = session.memory()?;
        let held =
            memory.iter().enumerate().filter(|(_, words)| words.iter().any(|word| word.to_bits() != 0));
        let contents = held.map(|(buffer, words)| bytes.place(buffer, bytemuck::cast_slice(words))).collect();
        let (model, words) = (session.model(), session.step_words());
        let layer = |LayerBuffers { layer, theta, m, v }: &LayerBuffers| ExportedLayer {
            name: layer.name.clone(),
            weight_shape: layer.weight_shape(),
            theta: *theta,
            m: *m,
            v: *v,
        };
        let Grid { channels, height, width } = model.config.architecture.image;
        Ok(Self {
            plan: ExportedPlan::of(&model.plan)?,
            image: [height, width, channels],
            latent: model.config.architecture.latent,
            likelihood: session.settings().likelihood,
            layers: model.layers.iter().map(layer).collect(),
            train: model.train,
            words,
            train_images: model.train_images.clone(),
            test_images: model.test_images.clone(),
            evaluate_test: model.evaluate_test,
            encoder: model.encoder,
            decoder: model.decoder,
            contents,
        })
    }
}

/// Writes the model of a session: `FILE.json`, and `FILE.bin` with what its buffers hold, the images included.
///
/// # Errors
/// A file cannot be written, or the device fails.
pub fn write_model(session: &mut Session, path: &Path) -> Result<()> {
    let mut bytes = Bytes::default();
    let exported = ExportedModel::of(session, &mut bytes)?;
    write(path, json(&exported)?.as_bytes())?;
    write(&path.with_extension("bin"), &bytes.all)
}

/// A file of contents, each kept once.
#[derive(Default)]
pub(crate) struct Bytes {
    pub(crate) all: Vec<u8>,
    known: Vec<Range<usize>>,
}

impl Bytes {
    /// Adds what a buffer holds.
    pub(crate) fn place(&mut self, buffer: usize, contents: &[u8]) -> PlacedContents {
        PlacedContents { buffer, offset: self.add(contents) }
    }

    /// Adds bytes; gives their offset, a multiple of 8.
    pub(crate) fn add(&mut self, contents: &[u8]) -> usize {
        let same = |known: &&Range<usize>| self.all[Range::clone(known)] == *contents;
        if let Some(known) = self.known.iter().find(same) {
            return known.start;
        }
        let offset = self.all.len();
        self.all.extend(contents);
        self.known.push(offset..self.all.len());
        self.all.resize(self.all.len().next_multiple_of(8), 0);
        offset
    }
}

impl ExportedBuffer {
    fn of(buffer: &Buffer) -> Self {
        Self { name: buffer.name.clone(), words: buffer.len }
    }
}

/// The tests of one kernel: a plan whose program i is check i, and what goes in and should come out.
#[derive(Serialize)]
struct ExportedCases {
    #[serde(flatten)]
    plan: ExportedPlan,
    checks: Vec<ExportedCheck>,
}

/// Offsets are bytes in the file of contents.
#[derive(Serialize)]
struct ExportedCheck {
    /// Words of the step's block.
    step: Vec<u32>,
    /// The largest error, in units of the largest magnitude that is expected.
    tolerance: f64,
    /// What buffers hold before.
    contents: Vec<PlacedContents>,
    /// What they hold afterwards, as f64; NaN where nothing may be written.
    expected: Vec<PlacedContents>,
    /// The buffer of which the sums alone count, of so many terms that are interleaved.
    sums: Option<Interleaved>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct PlacedContents {
    buffer: usize,
    offset: usize,
}

#[derive(Serialize)]
struct Interleaved {
    buffer: usize,
    terms: usize,
}

/// Writes the tests of each kernel, all cases in all variants, as `KERNEL.json` and `KERNEL.bin`, `index.json` with their
/// names, and `words.json`, the blocks of steps. Gives the number of checks.
///
/// # Errors
/// A file cannot be written.
pub fn write_cases(directory: &Path) -> Result<usize> {
    fs::create_dir_all(directory).map_err(Error::io(directory, "make"))?;
    let mut count = 0;
    for spec in ALL {
        let (cases, bytes) = cases_of(spec)?;
        count += cases.checks.len();
        write(&directory.join(format!("{}.json", spec.name)), json(&cases)?.as_bytes())?;
        write(&directory.join(format!("{}.bin", spec.name)), &bytes)?;
    }
    let names: Vec<&str> = ALL.iter().map(|spec| spec.name).collect();
    write(&directory.join("index.json"), json(&names)?.as_bytes())?;
    let words = cases_of_words()?;
    write(&directory.join("words.json"), json(&words)?.as_bytes())?;
    for (name, settings) in TRAINED {
        write_training(directory, name, settings)?;
    }
    write(&directory.join("models.json"), json(&TRAINED.map(|(name, _)| name))?.as_bytes())?;
    Ok(count + words.len() + TRAINED.len())
}

/// Small models that are trained in the host.
const TRAINED: [(&str, &str); 3] = [
    ("vae", ""),
    ("mmd-vae", "objective = \"mmd-vae\"\nmmd = \"draws\""),
    ("tc-vae", "objective = \"tc-vae\"\nlikelihood = \"bernoulli\"\nbeta = \"linear:1:4:80\""),
];

/// Steps that each is trained for.
const TRAINED_STEPS: usize = 100;

/// What training leaves in a ring, summed up as f64: one number for each step and term.
#[derive(Serialize)]
struct ExpectedRing {
    buffer: BufferId,
    terms: usize,
    /// `(steps, terms)`.
    sums: Vec<f64>,
}

/// The model as it starts, and what the CPU's rings hold after its steps.
fn write_training(directory: &Path, name: &str, settings: &str) -> Result<()> {
    let config: Config = toml::from_str(settings).map_err(|e| Kind::Device(e.to_string()))?;
    let config =
        Config { hidden: vec![40], latent: 5, batch: 32, seed: 3, steps: Some(120), ..config }.complete();
    let dataset = digits::some(7, 300, 37);
    let device = Device::open(Choice::Cpu, None)?;
    let mut session = Session::new(&device, &config, &dataset, &initial_state(&config, &dataset))?;
    write_model(&mut session, &directory.join(format!("{name}-model.json")))?;
    let ticket = session.submit(0, TRAINED_STEPS)?;
    session.wait(ticket, TRAINED_STEPS)?;
    let memory = session.memory()?;
    let Pass { kl_ring, loss_ring, slots, .. } = session.model().train;
    let ring = |buffer: BufferId, terms: usize| {
        let rows = memory[buffer.0].chunks(memory[buffer.0].len() / slots).take(TRAINED_STEPS);
        let sum =
            |row: &[f32], term: usize| row.iter().skip(term).step_by(terms).map(|&v| f64::from(v)).sum();
        let sums = rows.flat_map(|row| (0..terms).map(move |term| sum(row, term))).collect();
        ExpectedRing { buffer, terms, sums }
    };
    let expected = [ring(kl_ring, 1), ring(loss_ring, 2)];
    write(&directory.join(format!("{name}-expected.json")), json(&expected)?.as_bytes())
}

/// The blocks of many steps, beside the formulas that they come from.
#[derive(Serialize)]
struct ExportedSteps {
    settings: &'static str,
    words: StepWords,
    /// Number and row of each.
    steps: Vec<(u64, usize)>,
    expected: Vec<Vec<u32>>,
}

/// Settings with all shapes of schedules.
const SCHEDULED: [&str; 5] = [
    "learning-rate = \"steps:0=1e-3,500=1e-4,900=1e-5\"",
    "objective = \"capacity\"\ncapacity = \"linear:0:25:700\"\ngamma = \"cosine:100:1000\"",
    "objective = \"beta-vae\"\nbeta = \"cyclic:0:4:300\"\nlearning-rate = \"linear:1e-3:1e-5\"",
    "objective = \"info-vae\"\nalpha = 0.3\nlambda = \"piecewise:100=20,500=4,800=1\"",
    "objective = \"tc-vae\"\nbeta = \"cosine:1:6:650\"",
];

/// Steps of each.
const STEPS: u64 = 1000;

fn cases_of_words() -> Result<Vec<ExportedSteps>> {
    let of_settings = |settings: &'static str| {
        let config: Config = toml::from_str(settings).map_err(|e| Kind::Device(e.to_string()))?;
        let config = Config { seed: u64::MAX - 5, ..config }.complete();
        let adam = Adam::default();
        let words = StepWords::new(&config, &config.objective(), &adam, 37, STEPS);
        let steps: Vec<(u64, usize)> = (0..STEPS).map(|t| (t, t as usize % 64)).collect();
        let block = |&(t, slot): &(u64, usize)| bytemuck::cast_slice(&[words.at(t, slot)]).to_vec();
        let expected = steps.iter().map(block).collect();
        Ok(ExportedSteps { settings, words, steps, expected })
    };
    SCHEDULED.into_iter().map(of_settings).collect()
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Kind::Device(e.to_string()).into())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    files::save(path, bytes)
}

fn cases_of(spec: &'static Spec) -> Result<(ExportedCases, Vec<u8>)> {
    let (mut plan, mut checks, mut bytes) = (ExportedPlan::empty(), Vec::new(), Bytes::default());
    for (index, case) in (spec.cases)().iter().enumerate() {
        let (first, (of_case, ids)) = (plan.buffers.len(), suite::plan(spec, case));
        plan.buffers.extend(of_case.buffers.iter().map(ExportedBuffer::of));
        let mut place = |buffer: usize, contents: &[u8]| bytes.place(first + buffer, contents);
        let contents: Vec<PlacedContents> = ids
            .iter()
            .zip(case.reads.iter().chain(&case.writes))
            .map(|(id, values)| place(id.0, bytemuck::cast_slice(values)))
            .collect();
        let written = &ids[spec.reads.len()..];
        let truth = suite::truth(spec, case, &of_case, &ids);
        let expected: Vec<PlacedContents> = written
            .iter()
            .zip(&truth)
            .map(|(id, values)| place(id.0, bytemuck::cast_slice(values)))
            .collect();
        let sums = |sums: PartialSums| {
            let place = spec.writes.iter().position(|name| *name == sums.buffer)?;
            Some(Interleaved { buffer: first + written[place].0, terms: sums.terms })
        };
        let plain = case.plain().map(|case| ("plain".to_owned(), case));
        for (variant, one) in case.variants().into_iter().chain(plain) {
            let chosen = one.kernel.variants().swap_remove(0);
            let call = &of_case.programs[0].calls[0];
            let call = plan.call(call, &chosen, first)?;
            let name = format!("{index} {variant}").trim_end().to_owned();
            plan.programs.push(ExportedProgram { name, calls: vec![call] });
            checks.push(ExportedCheck {
                step: bytemuck::cast_slice(&[case.step]).to_vec(),
                tolerance: case.kernel.tolerance(),
                contents: contents.clone(),
                expected: expected.clone(),
                sums: spec.partial_sums.and_then(sums),
            });
        }
    }
    Ok((ExportedCases { plan, checks }, bytes.all))
}
