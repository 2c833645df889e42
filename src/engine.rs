//! Runs a [`Plan`]: on a GPU, or on the CPU where there is none.

pub(crate) mod binding;
pub mod cpu;
pub mod gpu;
pub mod reference;

use crate::error::Result;
use crate::program::{BufferId, Kernel, Plan, ProgramId, Step, Variant};
use serde::{Deserialize, Serialize};
use std::ops::{AddAssign, Sub};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Holds the memory of one plan and runs its programs. The two engines differ in nothing that a caller can
/// see but speed and rounding.
pub trait Engine: Send {
    /// Which engine, and on what.
    fn info(&self) -> &Info;

    /// Fills a whole buffer.
    fn write(&mut self, buffer: BufferId, bytes: &[u8]) -> Result<()>;

    /// Waits for all work and copies a whole buffer out.
    fn read(&mut self, buffer: BufferId) -> Result<Vec<f32>>;

    /// Runs a program once for each step, in order, without waiting; then takes a copy of `results`.
    ///
    /// At most [`MOST_STEPS`] steps at a time.
    fn submit(&mut self, program: ProgramId, steps: &[Step], results: &[BufferId]) -> Result<Ticket>;

    /// Waits until the submission is done and gives its results, in the order asked for.
    fn wait(&mut self, ticket: Ticket) -> Result<Vec<Vec<f32>>>;

    /// Runs a program once for each step and says how long that took, at most [`MOST_STEPS`] steps at a time.
    fn time(&mut self, program: ProgramId, steps: &[Step]) -> Result<Time> {
        let start = Instant::now();
        self.run(program, steps, &[])?;
        Ok(Time { wall: start.elapsed(), device: None })
    }

    /// Its work so far.
    fn counters(&self) -> Counters;

    /// Runs a program once for each step and waits for its results.
    fn run(&mut self, program: ProgramId, steps: &[Step], results: &[BufferId]) -> Result<Vec<Vec<f32>>> {
        let ticket = self.submit(program, steps, results)?;
        self.wait(ticket)
    }
}

/// How long the steps of a submission took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Time {
    /// From the call to the end of the wait.
    pub wall: Duration,
    /// By the device's own clock, from the first step's start to the last one's end; none where it has no clock.
    pub device: Option<Duration>,
}

/// The work of an engine since it was made; the difference of two counts is the work in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls of [`Engine::submit`].
    pub submissions: u64,
    /// Steps of all submissions.
    pub steps: u64,
    /// Kernel calls of all steps.
    pub dispatches: u64,
    /// Times that the host waited for the device: calls of [`Engine::wait`] and [`Engine::read`]. 0 on the CPU,
    /// where results are there when `submit` returns.
    pub readbacks: u64,
    /// Time in which the host wrote down what the device is to do. 0 on the CPU.
    pub encoding: Duration,
    /// Time in which the host handed it over to the driver. 0 on the CPU.
    pub submitting: Duration,
}

impl Sub for Counters {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            submissions: self.submissions - before.submissions,
            steps: self.steps - before.steps,
            dispatches: self.dispatches - before.dispatches,
            readbacks: self.readbacks - before.readbacks,
            encoding: self.encoding - before.encoding,
            submitting: self.submitting - before.submitting,
        }
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, more: Self) {
        self.submissions += more.submissions;
        self.steps += more.steps;
        self.dispatches += more.dispatches;
        self.readbacks += more.readbacks;
        self.encoding += more.encoding;
        self.submitting += more.submitting;
    }
}

/// Most steps in one submission: the rows of the ring buffers, and a bound on how long a GPU is kept from
/// drawing the screen.
pub const MOST_STEPS: usize = 256;

/// A submission whose results have not been fetched.
#[must_use = "results are fetched with `wait`"]
pub enum Ticket {
    /// The results are here already.
    Ready(Vec<Vec<f32>>),
    /// They are on their way from the device.
    Pending(gpu::Pending),
}

/// Which engine runs, and on what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// `gpu` or `cpu`.
    pub engine: &'static str,
    /// The adapter's name, or the number of threads.
    pub adapter: String,
    /// Why this one was taken, for one line on the screen.
    pub reason: String,
}

/// Which engine to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// A hardware GPU if there is one, otherwise the CPU.
    #[default]
    Auto,
    /// Any adapter, software ones included.
    Gpu,
    /// The CPU.
    Cpu,
}

/// An opened device, before it is given a plan.
pub enum Device {
    /// A GPU.
    Gpu(Arc<gpu::Gpu>, Info),
    /// The CPU.
    Cpu(Info),
}

impl Device {
    /// Opens the device of the choice; `adapter` is a part of an adapter's name, in any case.
    pub fn open(choice: Choice, adapter: Option<&str>) -> Result<Self> {
        if choice == Choice::Cpu || (choice == Choice::Auto && adapter.is_none() && !gpu::has_hardware()) {
            let reason = match choice {
                Choice::Cpu => "asked for with --engine cpu",
                _ => "no hardware GPU was found",
            };
            let adapter = format!("{} threads", rayon::current_num_threads());
            return Ok(Self::Cpu(Info { engine: "cpu", adapter, reason: reason.into() }));
        }
        let gpu = gpu::Gpu::open(adapter)?;
        let reason = match (adapter, choice) {
            (Some(_), _) => "asked for with --adapter",
            (None, Choice::Gpu) => "asked for with --engine gpu",
            (None, _) => "a hardware GPU",
        };
        let info = Info { engine: "gpu", adapter: gpu.name(), reason: reason.into() };
        Ok(Self::Gpu(Arc::new(gpu), info))
    }

    /// Which device this is.
    pub fn info(&self) -> &Info {
        match self {
            Self::Gpu(_, info) | Self::Cpu(info) => info,
        }
    }

    /// Nanoseconds of a tick of the device's clock, if it has one.
    pub fn clock(&self) -> Option<f32> {
        match self {
            Self::Gpu(gpu, _) => gpu.clock(),
            Self::Cpu(_) => None,
        }
    }

    /// From now on takes the fastest variant of each kernel, as far as a kernel has several: see [`gpu::Gpu::tune`].
    pub fn tune(&self, again: bool, told: fn(&str)) {
        if let Self::Gpu(gpu, _) = self {
            gpu.tune(again, told);
        }
    }

    /// The variant that is taken of a kernel, and whether it was measured; the CPU takes none, and the first is given.
    pub fn choose(&self, kernel: &dyn Kernel) -> (Variant, bool) {
        match self {
            Self::Gpu(gpu, _) => gpu.choose(kernel),
            Self::Cpu(_) => (kernel.variants().swap_remove(0), false),
        }
    }

    /// An engine with the memory and programs of `plan`.
    pub fn load(&self, plan: Arc<Plan>) -> Result<Box<dyn Engine>> {
        Ok(match self {
            Self::Gpu(gpu, info) => Box::new(gpu::GpuEngine::new(Arc::clone(gpu), info.clone(), plan)?),
            Self::Cpu(info) => Box::new(cpu::CpuEngine::new(info.clone(), plan)?),
        })
    }
}
