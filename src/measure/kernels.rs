//! Every kernel of a training step and the pair sums, each alone, beside what the device can do at most.

use super::{Ceiling, Measurement};
use crate::data::{Dataset, Images};
use crate::engine::{Device, Engine, MOST_STEPS, Time};
use crate::error::Result;
use crate::kernel::pair_sums::PairSums;
use crate::kernel::pairs::{Family, Form, Function, Layout, MOST_POINTS, Pairs};
use crate::model::Model;
use crate::program::{Call, Kernel, OneVariant, Plan, Program, ProgramId, Step};
use crate::random::{Sequence, Stream};
use crate::statistic::points::LEAST_COORDINATES;
use crate::train::config::Config;
use crate::train::session::model_config;
use serde::Serialize;
use std::sync::Arc;

/// Measurements of a kernel and its baseline in turn, of which the fastest of each counts, and the least time of one.
const REPETITIONS: usize = 5;
const LEAST_SECONDS: f64 = 0.02;

/// Details of a kernel's time.
#[derive(Clone, Debug, Serialize)]
pub struct KernelTime {
    /// Size of its tile, or how else it differs from other variants.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// Workgroups.
    pub grid: [usize; 2],
    /// Operations, multiplications and additions counted apart.
    pub flop: u64,
    /// Bytes read and written, at least.
    pub bytes: u64,
    /// Time of one dispatch by the device's own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_seconds: Option<f64>,
    /// The least time that the ceilings allow, over the time.
    pub share: f64,
    /// The time of a plain shader, over the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times_baseline: Option<f64>,
}

/// A plan with kernels that are measured: each is a program.
struct Work {
    plan: Plan,
    /// The name of each, its n and d.
    names: Vec<(String, usize, usize)>,
    /// The part of the work that a kernel's shape counts which this call does.
    wanted: f64,
}

/// Measures the kernels of a training step of `config`, whose images have `dimension` pixels.
///
/// # Errors
/// If the device fails.
pub fn training(
    device: &Device,
    ceiling: &Ceiling,
    config: &Config,
    dimension: usize,
) -> Result<Vec<Measurement<KernelTime>>> {
    measure(device, ceiling, || step(config, dimension))
}

/// Measures the pair sums of two samples of `n` points in `d` dimensions.
///
/// # Errors
/// If the device fails.
pub fn pairs(device: &Device, ceiling: &Ceiling, n: usize, d: usize) -> Result<Vec<Measurement<KernelTime>>> {
    measure(device, ceiling, || pair_sums(n, d, false))
}

/// A kernel that is measured.
pub struct Listed {
    /// Its name with its sizes, as [`Kernel::tuning_key`] has them or the measurement.
    pub what: String,
    /// The kernel.
    pub kernel: Arc<dyn Kernel>,
}

/// The kernels that [`training`] measures.
///
/// # Errors
/// If the sizes are not possible.
pub fn of_training(config: &Config, dimension: usize) -> Result<Vec<Listed>> {
    Ok(step(config, dimension)?.listed())
}

/// The kernel that [`pairs`] measures, and the one that sums squares too.
///
/// # Errors
/// If the sizes are not possible.
pub fn of_pairs(n: usize, d: usize) -> Result<Vec<Listed>> {
    let mut listed = pair_sums(n, d, false)?.listed();
    listed.extend(pair_sums(n, d, true)?.listed());
    Ok(listed)
}

impl Work {
    fn listed(self) -> Vec<Listed> {
        let kernels = self.plan.programs.into_iter().map(|mut program| program.calls.remove(0).kernel);
        let name = |((what, ..), kernel): ((String, usize, usize), Arc<dyn Kernel>)| Listed {
            what: kernel.tuning_key().unwrap_or(what),
            kernel,
        };
        self.names.into_iter().zip(kernels).map(name).collect()
    }
}

/// The kernels of a training step.
fn step(config: &Config, dimension: usize) -> Result<Work> {
    let blank = |count: usize| Images::grey([1, dimension], vec![0; dimension * count], vec![0; count]);
    let dataset = Dataset {
        name: "blank".into(),
        train: blank(config.batch),
        test: blank(1),
        classes: vec!["blank".into()],
        columns: None,
        notes: Vec::new(),
    };
    let model = Model::new(model_config(config, &dataset)?)?;
    let train = model.train.program.0;
    let mut plan = Arc::into_inner(model.plan).expect("the model's plan has one owner");
    let calls = plan.programs.swap_remove(train).calls;
    let name = |call: &Call| (call.kernel.spec().name.to_owned(), config.batch, dimension);
    let names = calls.iter().map(name).collect();
    plan.programs = calls.into_iter().map(alone).collect();
    Ok(Work { plan, names, wanted: 1.0 })
}

/// Times the kernels that `work` makes, which is called twice, and the baselines of those that have one.
fn measure(
    device: &Device,
    ceiling: &Ceiling,
    work: impl Fn() -> Result<Work>,
) -> Result<Vec<Measurement<KernelTime>>> {
    let (Work { plan, names, wanted }, Work { plan: mut plain, .. }) = (work()?, work()?);
    let kernels: Vec<_> = plan.programs.iter().map(|program| Arc::clone(&program.calls[0].kernel)).collect();
    // On the CPU there is nothing plainer to compare with.
    let gpu = device.info().engine == "gpu";
    let mut has_baseline = vec![false; names.len()];
    for (program, has) in plain.programs.iter_mut().zip(&mut has_baseline) {
        program.calls = std::mem::take(&mut program.calls)
            .into_iter()
            .filter_map(|call| Some(Call { kernel: Arc::new(OneVariant::plain(&call.kernel)?), ..call }))
            .collect();
        *has = gpu && !program.calls.is_empty();
    }
    let (mut engine, mut baselines) = (filled(device, plan)?, filled(device, plain)?);
    let mut results = Vec::new();
    for (i, ((what, n, d), kernel)) in names.into_iter().zip(kernels).enumerate() {
        let (shape, variant) = (kernel.shape(), device.choose(&*kernel).0);
        let program = ProgramId(i);
        let count = steps_for(&mut *engine, program)?;
        let baseline_count = if has_baseline[i] { steps_for(&mut *baselines, program)? } else { 0 };
        let (mut best, mut best_baseline) = (Fastest::default(), Fastest::default());
        for _ in 0..REPETITIONS {
            best.time(&mut *engine, program, count)?;
            if has_baseline[i] {
                best_baseline.time(&mut *baselines, program, baseline_count)?;
            }
        }
        let flop = (shape.flop as f64 * wanted) as u64;
        let time = best.device.unwrap_or(best.wall);
        let baseline = best_baseline.device.unwrap_or(best_baseline.wall);
        let (work, unit) = if flop > 0 { (flop, "FLOP/s") } else { (shape.bytes, "B/s") };
        let details = KernelTime {
            variant: if gpu { variant.name } else { String::new() },
            grid: variant.grid,
            flop,
            bytes: shape.bytes,
            device_seconds: best.device,
            share: ceiling.seconds(flop, shape.bytes) / time,
            times_baseline: has_baseline[i].then(|| baseline / time),
        };
        let measured = Measurement::new(device, what, [n, n, d], best.wall, (work as f64, unit), details);
        results.push(Measurement { per_second: work as f64 / time, ..measured });
    }
    Ok(results)
}

/// A program with one call.
fn alone(call: Call) -> Program {
    Program { name: call.kernel.spec().name.into(), calls: vec![call] }
}

/// The sums over all pairs of two samples of `n` points with `d` numbers, in one dispatch.
fn pair_sums(n: usize, d: usize, squares: bool) -> Result<Work> {
    let form = if d < LEAST_COORDINATES { Form::Differences } else { Form::Expanded };
    let function = Function { form, ..Function::kernel(Family::Gaussian, 1, d) };
    let mut pairs = Pairs { layout: Layout::new([n, n]), function };
    pairs.layout.block = pairs.fitting_block(MOST_POINTS, 0, 1);
    let blocks = pairs.layout.blocks();
    (pairs.layout.slice, pairs.layout.slab) = (blocks, blocks);
    let kernel = PairSums { pairs, squares };
    let (spec, shape) = (kernel.spec(), kernel.shape());
    let mut plan = Plan::default();
    let program = plan.program(spec.name);
    // Rows and columns are the same points.
    let points = plan.buffer("points", shape.reads[0]);
    let scales = plan.buffer("scales", shape.reads[2]);
    let [rows, columns] = [0, 1].map(|side| plan.buffer(spec.writes[side], shape.writes[side]));
    plan.call(
        program,
        kernel,
        &[
            ("rows", points),
            ("columns", points),
            ("scales", scales),
            ("row_parts", rows),
            ("column_parts", columns),
        ],
    )?;
    // Of two blocks only one order is taken.
    let wanted = (blocks + 1) as f64 / (2 * blocks) as f64;
    let with_squares = if squares { " with squares" } else { "" };
    Ok(Work { plan, wanted, names: vec![(format!("pair_sums{with_squares}, n = {n}, d = {d}"), n, d)] })
}

/// Deviation of the numbers in all buffers: no exponential of the default sizes leaves its range.
const SPREAD: f32 = 0.05;

/// An engine whose buffers hold small random numbers.
fn filled(device: &Device, plan: Plan) -> Result<Box<dyn Engine>> {
    let plan = Arc::new(plan);
    let mut engine = device.load(Arc::clone(&plan))?;
    for (i, buffer) in plan.buffers.iter().enumerate() {
        let mut random = Sequence::new(0, Stream::Data, i as u32);
        let values: Vec<f32> = (0..buffer.len).map(|_| -SPREAD * random.normal().abs()).collect();
        engine.write(crate::program::BufferId(i), bytemuck::cast_slice(&values))?;
    }
    Ok(engine)
}

/// Steps that take long enough together, after one that does not count.
fn steps_for(engine: &mut dyn Engine, program: ProgramId) -> Result<usize> {
    engine.time(program, &[Step::default()])?;
    let once = engine.time(program, &[Step::default()])?.wall.as_secs_f64();
    Ok(((LEAST_SECONDS / once) as usize).clamp(1, MOST_STEPS))
}

/// Seconds of one step, the least so far.
struct Fastest {
    wall: f64,
    device: Option<f64>,
}

impl Default for Fastest {
    fn default() -> Self {
        Self { wall: f64::INFINITY, device: None }
    }
}

impl Fastest {
    fn time(&mut self, engine: &mut dyn Engine, program: ProgramId, count: usize) -> Result<()> {
        let step = Step {
            learning_rate: 1e-3,
            correction1: 1.0,
            correction2: 1.0,
            kl_weight: 1.0,
            ..Step::default()
        };
        let Time { wall, device } = engine.time(program, &vec![step; count])?;
        self.wall = self.wall.min(wall.as_secs_f64() / count as f64);
        let device = device.map(|device| device.as_secs_f64() / count as f64);
        self.device = self.device.into_iter().chain(device).reduce(f64::min);
        Ok(())
    }
}
