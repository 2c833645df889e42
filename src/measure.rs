//! Speed and correctness of a device, measured: `elbo bench` and `elbo devices --check`.

mod bare;
mod ceiling;
pub mod kernels;
pub mod spirv;
pub mod suite;
pub mod sums;
pub mod training;

pub use ceiling::Ceiling;

use crate::engine::Device;
use crate::error::Result;
use serde::Serialize;
use std::time::Instant;

/// One measurement, as `--json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement<T> {
    /// The work.
    pub what: String,
    /// Images of the data set, or points of X.
    pub n: usize,
    /// Images of a step, or points of Y.
    pub m: usize,
    /// Pixels of an image, or numbers of a point.
    pub d: usize,
    /// `gpu` or `cpu`.
    pub engine: &'static str,
    /// The GPU, or the CPU's threads.
    pub adapter: String,
    /// Wall time of one pass over the data or the pairs, or of one dispatch.
    pub seconds: f64,
    /// Units of work per second.
    pub per_second: f64,
    /// The unit.
    pub unit: &'static str,
    /// Numbers that only this kind of measurement has.
    #[serde(flatten)]
    pub details: T,
}

impl<T> Measurement<T> {
    /// `work` units done in `seconds` on a device, with sizes `[n, m, d]`.
    fn new(
        device: &Device,
        what: String,
        [n, m, d]: [usize; 3],
        seconds: f64,
        work: (f64, &'static str),
        details: T,
    ) -> Self {
        let info = device.info();
        let (work, unit) = work;
        let (engine, adapter, per_second) = (info.engine, info.adapter.clone(), work / seconds);
        Self { what, n, m, d, engine, adapter, seconds, per_second, unit, details }
    }
}

/// Least time spent on one measurement, in seconds, and least number of repetitions.
const LEAST_SECONDS: f64 = 1.0;
const LEAST_REPETITIONS: usize = 3;

/// The median time in seconds of some repetitions after one that does not count, and the work of one.
fn repeat(what: &str, mut run: impl FnMut() -> Result<f64>) -> Result<(f64, f64)> {
    let work = run()?;
    let mut seconds = Vec::new();
    while seconds.len() < LEAST_REPETITIONS || seconds.iter().sum::<f64>() < LEAST_SECONDS {
        let start = Instant::now();
        run()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    tracing::info!("{what}: {} repetitions", seconds.len());
    Ok((median(&mut seconds).unwrap_or(f64::NAN), work))
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
