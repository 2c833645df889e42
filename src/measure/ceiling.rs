//! The ceilings of a device: rates of the operations that kernels are made of, measured with
//! [`Probe`].

use crate::engine::{Device, Engine, MOST_STEPS, Time};
use crate::error::Result;
use crate::kernel::probe::{Operation, Probe, UNIT};
use crate::program::{MOST_ITERATIONS, Plan, ProgramId, Step};
use serde::Serialize;
use std::sync::Arc;

/// Numbers that are worked on: enough for every thread of a large GPU.
const NUMBERS: usize = 1024 * UNIT;

/// Least time of a measurement, in seconds.
const LEAST_SECONDS: f64 = 0.02;

/// Measurements, of which the fastest counts.
pub(super) const REPETITIONS: usize = 5;

/// Most probes that are submitted together.
const MOST_PROBES: usize = 64;

/// Numbers of the copy: more than the caches of large GPUs hold, and less than any adapter's largest buffer.
const COPIED: usize = 24 << 20;

/// Dispatches that nothing but their own cost keeps the device busy with.
const EMPTY: usize = MOST_STEPS;

/// Operations a second, and what a dispatch costs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ceiling {
    /// Fused multiplications and additions: half of the FLOP/s.
    pub multiply_adds: f64,
    /// Exponential functions.
    pub exponentials: f64,
    /// Bytes read and written, of numbers that are each read and written once.
    pub bytes: f64,
    /// Seconds of a dispatch without work, where the next one does not need its results.
    pub dispatch: f64,
    /// Further seconds where it does: the barrier in between.
    pub barrier: f64,
}

impl Ceiling {
    /// Measures a device, in about a second.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(device: &Device) -> Result<Self> {
        let [multiply_adds, exponentials] = [Operation::MultiplyAdd, Operation::Exponential];
        let (apart, in_turn) = (dispatches(device, EMPTY)?, dispatches(device, 1)?);
        Ok(Self {
            multiply_adds: rate(device, multiply_adds)?,
            exponentials: rate(device, exponentials)?,
            bytes: bandwidth(device)?,
            dispatch: apart,
            barrier: (in_turn - apart).max(0.0),
        })
    }

    /// Seconds that `flop` operations, multiplications and additions counted apart, and `bytes` take at least.
    pub fn seconds(&self, flop: u64, bytes: u64) -> f64 {
        (flop as f64 / (2.0 * self.multiply_adds)).max(bytes as f64 / self.bytes)
    }

    /// Kernel values a second if every instruction but those of the distance and of k were free: `d` coordinates
    /// with `each` instructions, and the exponentials of `bandwidths`.
    pub fn pairs(&self, d: usize, each: usize, bandwidths: usize) -> f64 {
        1.0 / ((d * each) as f64 / self.multiply_adds + bandwidths as f64 / self.exponentials)
    }
}

/// Operations a second, with more of them until a measurement is long enough.
fn rate(device: &Device, operation: Operation) -> Result<f64> {
    let (mut rounds, mut probes) = (64, 1);
    loop {
        let probe = Probe { operation, n: NUMBERS, rounds };
        let mut plan = Plan::default();
        let x = plan.buffer("x", NUMBERS);
        let program = plan.program("probe");
        plan.call(program, probe, &[("x", x)])?;
        let mut engine = device.load(Arc::new(plan))?;
        engine.write(x, bytemuck::cast_slice(&vec![0.5f32; NUMBERS]))?;
        let best = fastest(&mut *engine, program, probes)?;
        if best >= LEAST_SECONDS || probes == MOST_PROBES {
            return Ok((probes * rounds * NUMBERS) as f64 / best);
        }
        // A workgroup's loops have a limit; then the steps become more.
        if 10 * rounds <= MOST_ITERATIONS { rounds *= 2 } else { probes *= 2 }
    }
}

/// Seconds of the fastest of some repetitions of a program: the device's own where it has a clock.
fn fastest(engine: &mut dyn Engine, program: ProgramId, steps: usize) -> Result<f64> {
    let steps = vec![Step::default(); steps];
    let mut best = f64::INFINITY;
    for _ in 0..REPETITIONS {
        let Time { wall, device } = engine.time(program, &steps)?;
        best = best.min(device.unwrap_or(wall).as_secs_f64());
    }
    Ok(best)
}

/// Probes that each work on a buffer of their own, in one program.
fn probes(device: &Device, count: usize, n: usize, rounds: usize) -> Result<(Box<dyn Engine>, ProgramId)> {
    let mut plan = Plan::default();
    let program = plan.program("probes");
    for i in 0..count {
        let x = plan.buffer(format!("x {i}"), n);
        plan.call(program, Probe { operation: Operation::MultiplyAdd, n, rounds }, &[("x", x)])?;
    }
    Ok((device.load(Arc::new(plan))?, program))
}

/// Bytes a second.
fn bandwidth(device: &Device) -> Result<f64> {
    let (mut engine, program) = probes(device, 1, COPIED, 1)?;
    let passes = 4;
    Ok((2 * size_of::<f32>() * COPIED * passes) as f64 / fastest(&mut *engine, program, passes)?)
}

/// Seconds of a dispatch of one workgroup with next to no work: of `EMPTY` of them together, spread over `buffers` buffers.
/// Dispatches on the same buffer wait for each other.
fn dispatches(device: &Device, buffers: usize) -> Result<f64> {
    let (mut engine, program) = probes(device, buffers, UNIT, 1)?;
    Ok(fastest(&mut *engine, program, EMPTY / buffers)? / EMPTY as f64)
}
