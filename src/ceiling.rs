//! What a device can do at most: rates of the operations that kernels are made of, measured with
//! [`Probe`].

use crate::engine::Device;
use crate::error::Result;
use crate::kernel::probe::{Operation, Probe, UNIT};
use crate::program::{MOST_ITERATIONS, Plan, Step};
use std::sync::Arc;
use std::time::Instant;

/// Numbers that are worked on: enough for every thread of a large GPU.
const NUMBERS: usize = 1024 * UNIT;

/// Least time of a measurement, in seconds.
const LEAST_SECONDS: f64 = 0.02;

/// Measurements, of which the fastest counts.
const REPETITIONS: usize = 5;

/// Most probes that are submitted together.
const MOST_PROBES: usize = 64;

/// Operations a second.
#[derive(Clone, Copy, Debug)]
pub struct Ceiling {
    /// Fused multiplications and additions: half of the FLOP/s.
    pub multiply_adds: f64,
    /// Exponential functions.
    pub exponentials: f64,
}

impl Ceiling {
    /// Measures a device, in about a second.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(device: &Device) -> Result<Self> {
        let [multiply_adds, exponentials] = [Operation::MultiplyAdd, Operation::Exponential];
        Ok(Self { multiply_adds: rate(device, multiply_adds)?, exponentials: rate(device, exponentials)? })
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
        let steps = vec![Step::default(); probes];
        let mut best = f64::INFINITY;
        for _ in 0..REPETITIONS {
            let start = Instant::now();
            let ticket = engine.submit(program, &steps, &[])?;
            engine.wait(ticket)?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        if best >= LEAST_SECONDS || probes == MOST_PROBES {
            return Ok((probes * rounds * NUMBERS) as f64 / best);
        }
        // A workgroup's loops have a limit; then the steps become more.
        if 10 * rounds <= MOST_ITERATIONS { rounds *= 2 } else { probes *= 2 }
    }
}
